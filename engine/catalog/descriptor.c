/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A descriptor as bytes: on disk inside the envelope of record.c, and in the records of changes.
 * v is a varint, name and value are as in base and row (varint length and bytes; type and payload).
 *
 *   u8 format (6)
 *   v id | v version | name | alias | v tree | v change | v next column id | v next index id
 *   v count, columns:   v id | name | alias | u8 type | u8 flags (1 not null, 2 enforcing,
 *                      4 hidden)
 *                       | value: the default, or null
 *   v count, key parts: v position | u8 flags (1 descending, 2 nulls swapped,
 *                      4 expression) | of an expression, whose position is 0: varint size, bytes
 *   v count, indexes:   v id | v tree | name | alias | u8 flags (1 unique, 2 enforcing,
 *                      4 constraint, 8 there is more, 16 sees columns in types that come, 32 in
 *                      those of the past) | u8 stage | v change | v count, parts as
 *                      above | if there is more: v count, included: v position
 *                      | varint size and bytes of the predicate, size 0: none
 *   v count, layouts:   v number | v count, columns: v id | u8 type | of a numeric: u8 scale
 *                      | value: missing, or null
 *   v count, map:       v first version | v position of the layout
 *   v next check id
 *   v count, checks:    v id | name | u8 state | varint size and bytes of the expression
 * (row/expr.c)
 *   v count, columns with a limit or a type on its way, ascending:  v position
 *                       | v characters at most, 0: any number; of a numeric its digits
 *                       | u8 type on its way, or 0 | v its characters at most, or digits
 *                       | varint size and bytes of the expression that makes it, or 0
 *                       | u8 type that it had, or 0 | v its characters at most, or digits
 *   v count, columns of layouts that an expression made: v position of the layout | v of the column
 *                       | varint size and bytes of the expression
 *   v id of the column of row ids, or 0
 *   v count, indexes of a primary key that is changing, ascending:  v position
 *                       | u8 1 whole rows | v id of that by which it is keyed, or 0 | v id of that
 *                       which it replaces, or 0
 *   v count, dropped columns that are kept:
 *                       v change | v id | name | u8 type | u8 flags (1 not null)
 *                       | v characters at most | value: the default, or null
 *   v next foreign key's id
 *   v count, foreign keys: v id | name | u8 state | v parent | v index of the parent, 0: its
 *                      primary key | u8 flags (1 ON DELETE RESTRICT, 2 ON UPDATE RESTRICT)
 *                       | v count, ids of columns: v id
 *   v count, foreign keys that refer to it: v child | v id there | v index, 0: the primary key
 *   v count, comments, ascending: u8 kind | v id of what it is about, 0: the table | text
 *
 * Format 5, from before numerics, comments and indexes that are made anew with a type, ends in
 * front of comments, and lacks the type that was and two flags. Format 4, from before row ids,
 * indexes on expressions, kept columns and foreign keys, ends in front of them. Format 3, from
 * before indexes had more than columns, lacks some flags, limits of texts and types on their way.
 * Format 2, from before there were checks, ends in front of them, and format 1, from before tables
 * could be altered, has no aliases either; all are read, and written no more.
 */
#include "catalog/descriptor_impl.h"

static bool put_name(struct base_buf *out, const char *name)
{
    return base_buf_add_blob(out, name, strlen(name));
}

static bool put_columns(struct base_buf *out, const struct catalog_table *t)
{
    bool ok = base_buf_add_varint(out, t->column_count);
    for (uint32_t i = 0; ok && i < t->column_count; i++) {
        const struct catalog_column *c = &t->columns[i];
        uint8_t flags =
            (uint8_t)((c->not_null ? FLAG_NOT_NULL : 0) | (c->enforcing ? FLAG_ENFORCING : 0) |
                      (c->hidden ? FLAG_HIDDEN : 0));
        ok = base_buf_add_varint(out, c->id) && put_name(out, c->name) && put_name(out, c->alias) &&
             base_buf_add_u8(out, (uint8_t)c->type) && base_buf_add_u8(out, flags) &&
             row_value_put(out, &c->default_value);
    }
    return ok;
}

/* NULL: no bytes. */
static bool put_expr(struct base_buf *out, const struct row_expr *expr)
{
    struct base_buf bytes = {0};
    bool ok = (expr == NULL || row_expr_encode(expr, &bytes)) &&
              base_buf_add_blob(out, bytes.data, bytes.size);
    base_buf_free(&bytes);
    return ok;
}

static bool put_parts(struct base_buf *out, const struct catalog_key_part *parts, uint32_t count)
{
    bool ok = base_buf_add_varint(out, count);
    for (uint32_t i = 0; ok && i < count; i++) {
        const struct row_expr *expr = parts[i].expr;
        ok = base_buf_add_varint(out, expr != NULL ? 0 : parts[i].column) &&
             base_buf_add_u8(out, (uint8_t)((parts[i].descending ? FLAG_DESCENDING : 0) |
                                            (parts[i].nulls_swapped ? FLAG_NULLS_SWAPPED : 0) |
                                            (expr != NULL ? FLAG_EXPRESSION : 0))) &&
             (expr == NULL || put_expr(out, expr));
    }
    return ok;
}

static bool put_more(struct base_buf *out, const struct catalog_index *x)
{
    struct base_buf expr = {0};
    bool ok = base_buf_add_varint(out, x->include_count);
    for (uint32_t i = 0; ok && i < x->include_count; i++) {
        ok = base_buf_add_varint(out, x->includes[i]);
    }
    ok = ok && (x->predicate == NULL || row_expr_encode(x->predicate, &expr)) &&
         base_buf_add_blob(out, expr.data, expr.size);
    base_buf_free(&expr);
    return ok;
}

static bool put_indexes(struct base_buf *out, const struct catalog_table *t)
{
    bool ok = base_buf_add_varint(out, t->index_count);
    for (uint32_t i = 0; ok && i < t->index_count; i++) {
        const struct catalog_index *x = &t->indexes[i];
        uint8_t flags =
            (uint8_t)((x->unique ? FLAG_UNIQUE : 0) | (x->enforcing ? FLAG_ENFORCING : 0) |
                      (x->constraint ? FLAG_CONSTRAINT : 0) |
                      (x->sight == CATALOG_SIGHT_COMING ? FLAG_COMING : 0) |
                      (x->sight == CATALOG_SIGHT_PAST ? FLAG_PAST : 0) |
                      (descriptor_has_more(x) ? FLAG_MORE : 0));
        ok = base_buf_add_varint(out, x->id) && base_buf_add_varint(out, x->tree) &&
             put_name(out, x->name) && put_name(out, x->alias) && base_buf_add_u8(out, flags) &&
             base_buf_add_u8(out, (uint8_t)x->stage) && base_buf_add_varint(out, x->change) &&
             put_parts(out, x->parts, x->part_count) &&
             (!descriptor_has_more(x) || put_more(out, x));
    }
    return ok;
}

static bool put_layouts(struct base_buf *out, const struct catalog_table *t)
{
    bool ok = base_buf_add_varint(out, t->layout_count);
    for (uint32_t i = 0; ok && i < t->layout_count; i++) {
        const struct row_layout *layout = &t->layouts[i];
        ok = base_buf_add_varint(out, layout->number) &&
             base_buf_add_varint(out, layout->column_count);
        for (uint32_t j = 0; ok && j < layout->column_count; j++) {
            const struct row_column *c = &layout->columns[j];
            ok = base_buf_add_varint(out, c->id) && base_buf_add_u8(out, (uint8_t)c->type) &&
                 (c->type != INSTAR_NUMERIC || base_buf_add_u8(out, c->scale)) &&
                 row_value_put(out, &c->missing);
        }
    }
    ok = ok && base_buf_add_varint(out, t->layout_map_count);
    for (uint32_t i = 0; ok && i < t->layout_map_count; i++) {
        ok = base_buf_add_varint(out, t->layout_map[i].first_version) &&
             base_buf_add_varint(out, t->layout_map[i].layout);
    }
    return ok;
}

static bool put_checks(struct base_buf *out, const struct catalog_table *t)
{
    struct base_buf expr = {0};
    bool ok =
        base_buf_add_varint(out, t->next_check_id) && base_buf_add_varint(out, t->check_count);
    for (uint32_t i = 0; ok && i < t->check_count; i++) {
        const struct catalog_check *c = &t->checks[i];
        base_buf_clear(&expr);
        ok = row_expr_encode(c->expr, &expr) && base_buf_add_varint(out, c->id) &&
             put_name(out, c->name) && base_buf_add_u8(out, (uint8_t)c->state) &&
             base_buf_add_blob(out, expr.data, expr.size);
    }
    base_buf_free(&expr);
    return ok;
}

static bool put_lengths(struct base_buf *out, const struct catalog_table *t)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < t->column_count; i++) {
        count += descriptor_is_limited(&t->columns[i]) ? 1 : 0;
    }
    bool ok = base_buf_add_varint(out, count);
    for (uint32_t i = 0; ok && i < t->column_count; i++) {
        const struct catalog_column *c = &t->columns[i];
        ok = !descriptor_is_limited(c) ||
             (base_buf_add_varint(out, i) && base_buf_add_varint(out, c->length_max) &&
              base_buf_add_u8(out, (uint8_t)c->type_coming) &&
              base_buf_add_varint(out, c->length_coming) && put_expr(out, c->made_by) &&
              base_buf_add_u8(out, (uint8_t)c->type_past) &&
              base_buf_add_varint(out, c->length_past));
    }
    return ok;
}

/* The columns of layouts that an expression has made. */
static bool put_made(struct base_buf *out, const struct catalog_table *t)
{
    uint32_t count = 0;
    bool ok = true;
    for (int pass = 0; ok && pass < 2; pass++) {
        ok = pass == 0 || base_buf_add_varint(out, count);
        for (uint32_t i = 0; ok && i < t->layout_count; i++) {
            const struct row_layout *layout = &t->layouts[i];
            for (uint32_t j = 0; ok && j < layout->column_count; j++) {
                const struct row_column *c = &layout->columns[j];
                count += pass == 0 && c->is_made ? 1 : 0;
                ok = pass == 0 || !c->is_made ||
                     (base_buf_add_varint(out, i) && base_buf_add_varint(out, j) &&
                      put_expr(out, c->made_by));
            }
        }
    }
    return ok;
}

static bool put_rekeyed(struct base_buf *out, const struct catalog_table *t)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < t->index_count; i++) {
        count += descriptor_is_rekeyed(&t->indexes[i]) ? 1 : 0;
    }
    bool ok = base_buf_add_varint(out, t->row_id) && base_buf_add_varint(out, count);
    for (uint32_t i = 0; ok && i < t->index_count; i++) {
        const struct catalog_index *x = &t->indexes[i];
        ok = !descriptor_is_rekeyed(x) ||
             (base_buf_add_varint(out, i) && base_buf_add_u8(out, x->rows) &&
              base_buf_add_varint(out, x->keyed_by) && base_buf_add_varint(out, x->replaces));
    }
    return ok;
}

static bool put_kept(struct base_buf *out, const struct catalog_table *t)
{
    bool ok = base_buf_add_varint(out, t->kept_count);
    for (uint32_t i = 0; ok && i < t->kept_count; i++) {
        const struct catalog_kept *k = &t->kept[i];
        const struct catalog_column *c = &k->column;
        ok = base_buf_add_varint(out, k->change) && base_buf_add_varint(out, c->id) &&
             put_name(out, c->name) && base_buf_add_u8(out, (uint8_t)c->type) &&
             base_buf_add_u8(out, c->not_null ? FLAG_NOT_NULL : 0) &&
             base_buf_add_varint(out, c->length_max) && row_value_put(out, &c->default_value);
    }
    return ok;
}

static bool put_fkeys(struct base_buf *out, const struct catalog_table *t)
{
    bool ok = base_buf_add_varint(out, t->next_fkey_id) && base_buf_add_varint(out, t->fkey_count);
    for (uint32_t i = 0; ok && i < t->fkey_count; i++) {
        const struct catalog_fkey *f = &t->fkeys[i];
        uint8_t flags = (uint8_t)((f->restrict_delete ? FLAG_RESTRICT_DELETE : 0) |
                                  (f->restrict_update ? FLAG_RESTRICT_UPDATE : 0));
        ok = base_buf_add_varint(out, f->id) && put_name(out, f->name) &&
             base_buf_add_u8(out, (uint8_t)f->state) && base_buf_add_varint(out, f->parent) &&
             base_buf_add_varint(out, f->parent_index) && base_buf_add_u8(out, flags) &&
             base_buf_add_varint(out, f->column_count);
        for (uint32_t k = 0; ok && k < f->column_count; k++) {
            ok = base_buf_add_varint(out, f->column_ids[k]);
        }
    }
    ok = ok && base_buf_add_varint(out, t->referrer_count);
    for (uint32_t i = 0; ok && i < t->referrer_count; i++) {
        const struct catalog_referrer *r = &t->referrers[i];
        ok = base_buf_add_varint(out, r->child) && base_buf_add_varint(out, r->fkey) &&
             base_buf_add_varint(out, r->index);
    }
    return ok;
}

/* What they are about may have gone since the table was finished. */
static bool put_comments(struct base_buf *out, const struct catalog_table *t)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < t->comment_count; i++) {
        count += catalog_comment_stands(t, &t->comments[i]) ? 1 : 0;
    }
    bool ok = base_buf_add_varint(out, count);
    for (uint32_t i = 0; ok && i < t->comment_count; i++) {
        const struct catalog_comment *c = &t->comments[i];
        ok = !catalog_comment_stands(t, c) ||
             (base_buf_add_u8(out, (uint8_t)c->kind) && base_buf_add_varint(out, c->id) &&
              put_name(out, c->text));
    }
    return ok;
}

int catalog_table_encode(const struct catalog_table *table, struct base_buf *out,
                         struct base_err *err)
{
    char problem[CATALOG_PROBLEM_MAX];
    size_t before = out->size;
    if (!catalog_table_valid(table, problem)) {
        return base_err_set(err, INSTAR_EINVALID, "descriptor of table \"%s\": %s", table->name,
                            problem);
    }
    bool ok = base_buf_add_u8(out, FORMAT) && base_buf_add_varint(out, table->id) &&
              base_buf_add_varint(out, table->version) && put_name(out, table->name) &&
              put_name(out, table->alias) && base_buf_add_varint(out, table->tree) &&
              base_buf_add_varint(out, table->change) &&
              base_buf_add_varint(out, table->next_column_id) &&
              base_buf_add_varint(out, table->next_index_id) && put_columns(out, table) &&
              put_parts(out, table->key, table->key_count) && put_indexes(out, table) &&
              put_layouts(out, table) && put_checks(out, table) && put_lengths(out, table) &&
              put_made(out, table) && put_rekeyed(out, table) && put_kept(out, table) &&
              put_fkeys(out, table) && put_comments(out, table);
    if (!ok) {
        out->size = before;
        return base_err_set(err, INSTAR_ENOMEM, "no memory for a table's descriptor");
    }
    return 0;
}
