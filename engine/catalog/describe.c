/* SPDX-License-Identifier: Apache-2.0 */
/* Definitions in words: for people, and to say how two of them differ. */
#include "catalog/catalog_impl.h"

#include <stdarg.h>
#include <stdio.h>

/* A text that is cut at its room, like snprintf piece by piece. */
struct words {
    char *text;
    size_t size;
    size_t length;
    bool no_memory; /* for some of them */
};

static void add(struct words *w, const char *fmt, ...) BASE_PRINTF(2, 3);

static void add(struct words *w, const char *fmt, ...)
{
    va_list args;
    size_t left = w->length < w->size ? w->size - w->length : 0;
    va_start(args, fmt);
    int n = vsnprintf(left != 0 ? w->text + w->length : NULL, left, fmt, args);
    va_end(args);
    w->length += n > 0 ? (size_t)n : 0;
}

/* In quotes unless it is all small letters, digits and underscores. */
static void add_name(struct words *w, const char *name)
{
    bool plain = !(name[0] >= '0' && name[0] <= '9');
    for (const char *p = name; *p != 0; p++) {
        plain = plain && ((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '_');
    }
    if (plain) {
        add(w, "%s", name);
        return;
    }
    add(w, "\"");
    for (const char *p = name; *p != 0; p++) {
        add(w, "%s%c", *p == '"' ? "\"" : "", *p);
    }
    add(w, "\"");
}

bool catalog_name_add(struct base_buf *out, const char *name)
{
    char text[2 * INSTAR_NAME_BYTES_MAX + 3];
    struct words w = {text, sizeof(text), 0, false};
    add_name(&w, name);
    return base_buf_add(out, text, w.length);
}

/* " DESC NULLS LAST", only what is not usual. */
static const char *order_words(const struct catalog_key_part *part)
{
    if (part->nulls_swapped) {
        return part->descending ? " DESC NULLS LAST" : " NULLS FIRST";
    }
    return part->descending ? " DESC" : "";
}

static void add_part(struct words *w, const struct catalog_table *table,
                     const struct catalog_key_part *part)
{
    struct base_buf text = {0};
    if (catalog_index_print_part(table, part, &text)) {
        add(w, "%.*s", (int)text.size, text.size != 0 ? (const char *)text.data : "");
    } else {
        w->no_memory = true;
    }
    base_buf_free(&text);
}

static void add_predicate(struct words *w, const struct catalog_table *table,
                          const struct catalog_index *index)
{
    struct base_buf text = {0};
    if (catalog_index_print_predicate(table, index, &text)) {
        add(w, "(%.*s)", (int)text.size, text.size != 0 ? (const char *)text.data : "");
    } else {
        w->no_memory = true;
    }
    base_buf_free(&text);
}

void catalog_index_describe(const struct catalog_table *table, const struct catalog_index *index,
                            char *text, size_t size)
{
    struct words w = {text, size, 0, false};
    if (size != 0) {
        text[0] = 0;
    }
    if (index->constraint) {
        add(&w, "ALTER TABLE ");
        add_name(&w, table->name);
        add(&w, " ADD CONSTRAINT ");
        add_name(&w, index->name);
        add(&w, " UNIQUE (");
    } else {
        add(&w, "CREATE %sINDEX ", index->unique ? "UNIQUE " : "");
        add_name(&w, index->name);
        add(&w, " ON ");
        add_name(&w, table->name);
        add(&w, " (");
    }
    for (uint32_t i = 0; i < index->part_count; i++) {
        add(&w, "%s", i != 0 ? ", " : "");
        add_part(&w, table, &index->parts[i]);
        add(&w, "%s", order_words(&index->parts[i]));
    }
    add(&w, ")");
    for (uint32_t i = 0; i < index->include_count; i++) {
        add(&w, "%s", i != 0 ? ", " : " INCLUDE (");
        add_name(&w, table->columns[index->includes[i]].name);
    }
    add(&w, "%s", index->include_count != 0 ? ")" : "");
    if (index->predicate != NULL) {
        add(&w, " WHERE ");
        add_predicate(&w, table, index);
    }
}

/* ---- differences -------------------------------------------------------------------------- */

/* The columns of a key, to be compared by name and direction. */
struct key_list {
    const struct catalog_table *table;
    const struct catalog_key_part *parts;
    uint32_t count;
};

/* Of two tables, which may know a column by another id: by names, as they are written. */
static bool part_same(const struct key_list *a, const struct key_list *b, uint32_t at,
                      struct words *w)
{
    const struct catalog_key_part *p = &a->parts[at];
    const struct catalog_key_part *q = &b->parts[at];
    struct base_buf x = {0};
    struct base_buf y = {0};
    bool printed =
        catalog_index_print_part(a->table, p, &x) && catalog_index_print_part(b->table, q, &y);
    bool same = printed && p->descending == q->descending && p->nulls_swapped == q->nulls_swapped &&
                base_slice_eq(base_buf_slice(&x), base_buf_slice(&y));
    w->no_memory |= !printed;
    base_buf_free(&x);
    base_buf_free(&y);
    return same;
}

static bool keys_same(const struct key_list *a, const struct key_list *b, struct words *w)
{
    for (uint32_t i = 0; i < a->count && i < b->count; i++) {
        if (!part_same(a, b, i, w)) {
            add(w, "column %u is ", i + 1);
            add_part(w, a->table, &a->parts[i]);
            add(w, "%s, not ", order_words(&a->parts[i]));
            add_part(w, b->table, &b->parts[i]);
            add(w, "%s", order_words(&b->parts[i]));
            return false;
        }
    }
    if (a->count != b->count) {
        add(w, "has %u columns, not %u", a->count, b->count);
        return false;
    }
    return true;
}

static void add_includes(struct words *w, const struct catalog_table *table,
                         const struct catalog_index *index)
{
    for (uint32_t i = 0; i < index->include_count; i++) {
        add(w, "%s%s", i != 0 ? ", " : "", table->columns[index->includes[i]].name);
    }
}

static bool includes_same(const struct catalog_table *table, const struct catalog_index *a,
                          const struct catalog_index *b, struct words *w)
{
    if (a->include_count == b->include_count &&
        memcmp(a->includes, b->includes, a->include_count * sizeof(a->includes[0])) == 0) {
        return true;
    }
    add(w, a->include_count != 0 ? "it includes " : "it includes nothing");
    add_includes(w, table, a);
    add(w, b->include_count != 0 ? ", not " : "");
    add_includes(w, table, b);
    return false;
}

static bool predicates_same(const struct catalog_table *table, const struct catalog_index *a,
                            const struct catalog_index *b, struct words *w)
{
    if (a->predicate == NULL && b->predicate == NULL) {
        return true;
    }
    if (a->predicate != NULL && b->predicate != NULL &&
        catalog_expr_same(a->predicate, b->predicate)) {
        return true;
    }
    add(w, a->predicate != NULL ? "it is partial, WHERE " : "it is of all rows");
    if (a->predicate != NULL) {
        add_predicate(w, table, a);
    }
    if (b->predicate != NULL) {
        add(w, ", not WHERE ");
        add_predicate(w, table, b);
    }
    return false;
}

/* A difference of which the words are lost may be none. */
static bool told(bool same, const struct words *w)
{
    if (!same && w->no_memory && w->size != 0) {
        w->text[0] = 0;
    }
    return same;
}

bool catalog_index_same(const struct catalog_table *table, const struct catalog_index *a,
                        const struct catalog_index *b, char *difference, size_t size)
{
    struct words w = {difference, size, 0, false};
    if (size != 0) {
        difference[0] = 0;
    }
    if (a->unique != b->unique) {
        add(&w, "%s", a->unique ? "it is unique" : "it is not unique");
        return false;
    }
    if (a->constraint != b->constraint) {
        add(&w, "%s", a->constraint ? "it is a UNIQUE constraint" : "it is no constraint");
        return false;
    }
    struct key_list x = {table, a->parts, a->part_count};
    struct key_list y = {table, b->parts, b->part_count};
    return told(keys_same(&x, &y, &w) && includes_same(table, a, b, &w) &&
                    predicates_same(table, a, b, &w),
                &w);
}

static bool columns_same(const struct catalog_column *a, const struct catalog_column *b,
                         uint32_t at, struct words *w)
{
    if (strcmp(a->name, b->name) != 0) {
        add(w, "column %u is %s, not %s", at + 1, a->name, b->name);
        return false;
    }
    if (a->type != b->type || a->length_max != b->length_max) {
        char x[CATALOG_TYPE_TEXT_MAX];
        char y[CATALOG_TYPE_TEXT_MAX];
        add(w, "column %s is %s, not %s", a->name, catalog_type_text(a->type, a->length_max, x),
            catalog_type_text(b->type, b->length_max, y));
        return false;
    }
    if (a->not_null != b->not_null) {
        add(w, "column %s %s", a->name, a->not_null ? "is NOT NULL" : "may be null");
        return false;
    }
    if (row_value_cmp(&a->default_value, &b->default_value) != 0) {
        add(w, "column %s has another default", a->name);
        return false;
    }
    return true;
}

/* By name, whatever the order; the conditions are compared as they are written. */
static bool checks_same(const struct catalog_table *a, const struct catalog_table *b,
                        struct words *w)
{
    struct base_buf x = {0};
    struct base_buf y = {0};
    bool same = a->check_count == b->check_count;
    if (!same) {
        add(w, "has %u checks, not %u", a->check_count, b->check_count);
    }
    for (uint32_t i = 0; same && i < a->check_count; i++) {
        const struct catalog_check *other = catalog_table_check(b, a->checks[i].name);
        base_buf_clear(&x);
        base_buf_clear(&y);
        bool printed = other == NULL || (catalog_check_print(a, &a->checks[i], &x) &&
                                         catalog_check_print(b, other, &y));
        same = other != NULL && printed && base_slice_eq(base_buf_slice(&x), base_buf_slice(&y));
        w->no_memory |= !printed;
        if (!same) {
            add(w, "check %s is another one", a->checks[i].name);
        }
    }
    base_buf_free(&x);
    base_buf_free(&y);
    return same;
}

/* Has a name been made of this one, because it was taken? */
static bool is_numbered(const char *name, const char *base)
{
    size_t size = strlen(base);
    return strncmp(name, base, size) == 0 &&
           strspn(name + size, "0123456789") == strlen(name + size);
}

static const struct catalog_index *find_unique(const struct catalog_table *table, const char *name)
{
    const struct catalog_index *found = catalog_table_unique(table, name);
    for (uint32_t i = 0; found == NULL && i < table->index_count; i++) {
        const struct catalog_index *index = &table->indexes[i];
        found = index->constraint && is_numbered(index->name, name) ? index : NULL;
    }
    return found;
}

static uint32_t count_uniques(const struct catalog_table *table)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < table->index_count; i++) {
        count += table->indexes[i].constraint;
    }
    return count;
}

/* Every UNIQUE of b is one of a. Their columns have the same positions. */
static bool uniques_same(const struct catalog_table *a, const struct catalog_table *b,
                         struct words *w)
{
    uint32_t x = count_uniques(a);
    uint32_t y = count_uniques(b);
    char difference[128];
    if (x != y) {
        add(w, "has %u UNIQUE constraints, not %u", x, y);
        return false;
    }
    for (uint32_t i = 0; i < b->index_count; i++) {
        const struct catalog_index *wanted = &b->indexes[i];
        if (!wanted->constraint) {
            continue;
        }
        const struct catalog_index *found = find_unique(a, wanted->name);
        if (found == NULL) {
            add(w, "has no constraint %s", wanted->name);
            return false;
        }
        if (!catalog_index_same(a, found, wanted, difference, sizeof(difference))) {
            add(w, "constraint %s: %s", found->name, difference);
            w->no_memory |= difference[0] == 0;
            return false;
        }
    }
    return true;
}

/* By name, as checks. The columns have the same positions; a table that is not there yet has no id,
 * so one that refers to itself is compared by that. */
static bool fkeys_same(const struct catalog_table *a, const struct catalog_table *b,
                       struct words *w)
{
    bool same = a->fkey_count == b->fkey_count;
    if (!same) {
        add(w, "has %u foreign keys, not %u", a->fkey_count, b->fkey_count);
    }
    for (uint32_t i = 0; same && i < b->fkey_count; i++) {
        const struct catalog_fkey *y = &b->fkeys[i];
        const struct catalog_fkey *x = catalog_table_fkey(a, y->name);
        bool own = y->parent == b->id;
        same = x != NULL && x->column_count == y->column_count &&
               x->restrict_delete == y->restrict_delete &&
               x->restrict_update == y->restrict_update && own == (x->parent == a->id) &&
               (own ? (x->parent_index == 0) == (y->parent_index == 0)
                    : x->parent == y->parent && x->parent_index == y->parent_index) &&
               memcmp(x->columns, y->columns, x->column_count * sizeof(x->columns[0])) == 0;
        if (!same) {
            add(w, "foreign key %s is another one", y->name);
        }
    }
    return same;
}

bool catalog_table_same(const struct catalog_table *a, const struct catalog_table *b,
                        char *difference, size_t size)
{
    struct words w = {difference, size, 0, false};
    if (size != 0) {
        difference[0] = 0;
    }
    for (uint32_t i = 0; i < a->column_count && i < b->column_count; i++) {
        if (!columns_same(&a->columns[i], &b->columns[i], i, &w)) {
            return false;
        }
    }
    if (a->column_count != b->column_count) {
        add(&w, "has %u columns, not %u", a->column_count, b->column_count);
        return false;
    }
    add(&w, "primary key: ");
    struct key_list x = {a, a->key, a->key_count};
    struct key_list y = {b, b->key, b->key_count};
    if (!keys_same(&x, &y, &w)) {
        return told(false, &w);
    }
    if (size != 0) {
        difference[0] = 0;
    }
    w.length = 0;
    return told(checks_same(a, b, &w) && uniques_same(a, b, &w) && fkeys_same(a, b, &w), &w);
}
