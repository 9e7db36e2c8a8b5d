/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors from bytes, in the form of descriptor.c. Trusts nothing: a count is believed only as
 * far as bytes are left for it, so a few bytes cannot ask for much memory; what then stands in the
 * structures has passed catalog_table_valid.
 */
#include "catalog/descriptor_impl.h"

static uint32_t get_u32(struct base_reader *r)
{
    uint64_t v = base_read_varint(r);
    r->bad = r->bad || v > UINT32_MAX;
    return r->bad ? 0 : (uint32_t)v;
}

/* A count of things of which each takes at least so many bytes. */
static uint32_t get_count(struct base_reader *r, size_t bytes_each, uint32_t most)
{
    uint32_t count = get_u32(r);
    r->bad = r->bad || count > most || count > base_reader_left(r) / bytes_each;
    return r->bad ? 0 : count;
}

static uint8_t get_format(struct base_reader *r)
{
    uint8_t format = base_read_u8(r);
    r->bad = r->bad || format < FORMAT_NO_ALIASES || format > FORMAT;
    return format;
}

/* The envelope's checksum held, so another format is one that came later. */
static int check_format(struct base_slice bytes, struct base_err *err)
{
    const uint8_t *format = bytes.data;
    if (bytes.size == 0 || *format <= FORMAT) {
        return 0; /* what else may be wrong is found by reading */
    }
    return base_err_set(err, INSTAR_EVERSION, "table descriptor: format %u, known are 1 to %d",
                        *format, FORMAT);
}

/* A byte of flags of which only some are known. */
static uint8_t get_flags(struct base_reader *r, unsigned known)
{
    uint8_t flags = base_read_u8(r);
    r->bad = r->bad || (flags & ~known) != 0;
    return flags;
}

static void get_name(struct base_reader *r, char name[INSTAR_NAME_BYTES_MAX + 1])
{
    struct base_slice s = base_read_blob(r);
    r->bad = r->bad || s.size > INSTAR_NAME_BYTES_MAX || memchr(s.data, 0, s.size) != NULL;
    if (!r->bad) {
        memcpy(name, s.data, s.size);
        name[s.size] = 0;
    }
}

/* Bytes on their way into a table. */
struct input {
    struct base_reader r;
    struct catalog_table *table;
    uint8_t format;
    bool no_memory; /* then r.bad is set too, but nothing is said of the bytes */
};

static void get_alias(struct input *in, char alias[INSTAR_NAME_BYTES_MAX + 1])
{
    if (in->format != FORMAT_NO_ALIASES) {
        get_name(&in->r, alias);
    }
}

static void get_value(struct input *in, instar_value *value)
{
    instar_value v;
    if (row_value_get(&in->r, &v, NULL) == 0 && !row_value_copy(&in->table->arena, &v, value)) {
        in->no_memory = true;
        in->r.bad = true;
    }
}

/* Zeroed room for count things. */
static void *get_room(struct input *in, uint32_t count, size_t size)
{
    size_t total;
    void *p = base_mul_ok(count, size, &total) ? base_arena_alloc(&in->table->arena, total) : NULL;
    if (p == NULL) {
        in->no_memory = true;
        in->r.bad = true;
        return NULL;
    }
    return memset(p, 0, total);
}

static void get_columns(struct input *in)
{
    struct base_reader *r = &in->r;
    struct catalog_table *t = in->table;
    t->column_count = get_count(r, 5, INSTAR_COLUMNS_MAX);
    t->columns = get_room(in, t->column_count, sizeof(*t->columns));
    for (uint32_t i = 0; !r->bad && i < t->column_count; i++) {
        struct catalog_column *c = &t->columns[i];
        c->id = get_u32(r);
        get_name(r, c->name);
        get_alias(in, c->alias);
        c->type = (enum instar_type)base_read_u8(r);
        uint8_t flags = get_flags(r, FLAG_NOT_NULL | FLAG_ENFORCING | FLAG_HIDDEN);
        c->not_null = (flags & FLAG_NOT_NULL) != 0;
        c->enforcing = (flags & FLAG_ENFORCING) != 0;
        c->hidden = (flags & FLAG_HIDDEN) != 0;
        get_value(in, &c->default_value);
        c->has_default = c->default_value.type != INSTAR_NULL;
    }
}

/* Of an index or a check. */
static const struct row_expr *get_expr(struct input *in, struct base_slice bytes)
{
    struct row_expr *expr = NULL;
    int rc = row_expr_decode(bytes, &in->table->arena, &expr, NULL);
    in->no_memory = in->no_memory || rc == INSTAR_ENOMEM;
    in->r.bad = in->r.bad || rc != 0;
    return expr;
}

static uint32_t get_parts(struct input *in, struct catalog_key_part parts[INSTAR_INDEX_COLUMNS_MAX])
{
    struct base_reader *r = &in->r;
    uint32_t count = get_count(r, 2, INSTAR_INDEX_COLUMNS_MAX);
    for (uint32_t i = 0; !r->bad && i < count; i++) {
        parts[i].column = get_u32(r);
        uint8_t flags = get_flags(r, FLAG_DESCENDING | FLAG_NULLS_SWAPPED | FLAG_EXPRESSION);
        if (!r->bad && (flags & FLAG_EXPRESSION) != 0) {
            r->bad = parts[i].column != 0; /* else it would be written in another way */
            parts[i].column = CATALOG_NO_COLUMN;
            parts[i].expr = get_expr(in, base_read_blob(r));
        }
        parts[i].descending = (flags & FLAG_DESCENDING) != 0;
        parts[i].nulls_swapped = (flags & FLAG_NULLS_SWAPPED) != 0;
    }
    return count;
}

static void get_more(struct input *in, struct catalog_index *x)
{
    struct base_reader *r = &in->r;
    x->include_count = get_count(r, 1, INSTAR_INDEX_COLUMNS_MAX);
    for (uint32_t i = 0; !r->bad && i < x->include_count; i++) {
        x->includes[i] = get_u32(r);
    }
    struct base_slice bytes = base_read_blob(r);
    if (!r->bad && bytes.size != 0) {
        x->predicate = get_expr(in, bytes);
    }
    r->bad = r->bad || !descriptor_has_more(x); /* else it would be written in another way */
}

static void get_indexes(struct input *in)
{
    struct base_reader *r = &in->r;
    struct catalog_table *t = in->table;
    t->index_count = get_count(r, 7, CATALOG_INDEXES_MAX);
    t->indexes = get_room(in, t->index_count, sizeof(*t->indexes));
    for (uint32_t i = 0; !r->bad && i < t->index_count; i++) {
        struct catalog_index *x = &t->indexes[i];
        x->id = get_u32(r);
        x->tree = base_read_varint(r);
        get_name(r, x->name);
        get_alias(in, x->alias);
        unsigned sights = in->format > FORMAT_NO_COMMENTS ? FLAG_COMING | FLAG_PAST : 0;
        uint8_t flags =
            get_flags(r, FLAG_UNIQUE | FLAG_ENFORCING | FLAG_CONSTRAINT | FLAG_MORE | sights);
        x->unique = (flags & FLAG_UNIQUE) != 0;
        x->enforcing = (flags & FLAG_ENFORCING) != 0;
        x->constraint = (flags & FLAG_CONSTRAINT) != 0;
        x->sight = (flags & FLAG_COMING) != 0 ? CATALOG_SIGHT_COMING
                   : (flags & FLAG_PAST) != 0 ? CATALOG_SIGHT_PAST
                                              : CATALOG_SIGHT_NOW;
        r->bad = r->bad || ((flags & FLAG_COMING) != 0 && (flags & FLAG_PAST) != 0);
        uint8_t stage = base_read_u8(r);
        r->bad = r->bad || stage > INSTAR_STAGE_PUBLIC;
        x->stage = (enum instar_stage)stage;
        x->change = base_read_varint(r);
        x->part_count = get_parts(in, x->parts);
        if (!r->bad && (flags & FLAG_MORE) != 0) {
            get_more(in, x);
        }
    }
}

static void get_layouts(struct input *in)
{
    struct base_reader *r = &in->r;
    struct catalog_table *t = in->table;
    t->layout_count = get_count(r, 2, UINT32_MAX);
    t->layouts = get_room(in, t->layout_count, sizeof(*t->layouts));
    for (uint32_t i = 0; !r->bad && i < t->layout_count; i++) {
        struct row_layout *layout = &t->layouts[i];
        layout->number = get_u32(r);
        layout->column_count = get_count(r, 3, INSTAR_COLUMNS_MAX);
        struct row_column *c = get_room(in, layout->column_count, sizeof(*c));
        layout->columns = c;
        for (uint32_t j = 0; !r->bad && j < layout->column_count; j++) {
            c[j].id = get_u32(r);
            c[j].type = (enum instar_type)base_read_u8(r);
            c[j].scale = c[j].type == INSTAR_NUMERIC ? base_read_u8(r) : 0;
            get_value(in, &c[j].missing);
        }
    }
    t->layout_map_count = get_count(r, 2, UINT32_MAX);
    t->layout_map = get_room(in, t->layout_map_count, sizeof(*t->layout_map));
    for (uint32_t i = 0; !r->bad && i < t->layout_map_count; i++) {
        t->layout_map[i].first_version = get_u32(r);
        t->layout_map[i].layout = get_u32(r);
    }
}

static void get_check(struct input *in, struct catalog_check *check)
{
    struct base_reader *r = &in->r;
    check->id = get_u32(r);
    get_name(r, check->name);
    uint8_t state = base_read_u8(r);
    struct base_slice bytes = base_read_blob(r);
    r->bad = r->bad || state < CATALOG_CHECK_NOT_VALID || state > CATALOG_CHECK_VALID;
    if (r->bad) {
        return;
    }
    check->state = (enum catalog_check_state)state;
    check->expr = get_expr(in, bytes);
}

static void get_checks(struct input *in)
{
    struct base_reader *r = &in->r;
    struct catalog_table *t = in->table;
    t->next_check_id = 1;
    if (in->format <= FORMAT_NO_CHECKS) {
        return;
    }
    t->next_check_id = get_u32(r);
    t->check_count = get_count(r, 5, CATALOG_CHECKS_MAX);
    t->checks = get_room(in, t->check_count, sizeof(*t->checks));
    for (uint32_t i = 0; !r->bad && i < t->check_count; i++) {
        get_check(in, &t->checks[i]);
    }
}

/* No bytes: NULL. */
static const struct row_expr *get_made_by(struct input *in)
{
    struct base_slice bytes = base_read_blob(&in->r);
    return !in->r.bad && bytes.size != 0 ? get_expr(in, bytes) : NULL;
}

/* In the order of layouts and columns. */
static void get_made(struct input *in)
{
    struct base_reader *r = &in->r;
    struct catalog_table *t = in->table;
    uint64_t next = 0;
    uint32_t count = in->format > FORMAT_NO_LENGTHS ? get_count(r, 3, UINT32_MAX) : 0;
    for (uint32_t i = 0; !r->bad && i < count; i++) {
        uint32_t layout = get_u32(r);
        uint32_t column = get_u32(r);
        const struct row_expr *expr = get_made_by(in);
        uint64_t place = (uint64_t)layout << 32 | column;
        r->bad = r->bad || expr == NULL || layout == 0 || layout >= t->layout_count ||
                 column >= t->layouts[layout].column_count || place < next;
        if (!r->bad) {
            /* The room is this table's own. */
            struct row_column *c = (struct row_column *)(uintptr_t)t->layouts[layout].columns;
            c[column].made_by = expr;
            c[column].is_made = true;
        }
        next = place + 1;
    }
}

static void get_lengths(struct input *in)
{
    struct base_reader *r = &in->r;
    struct catalog_table *t = in->table;
    uint32_t next = 0;
    uint32_t count = in->format > FORMAT_NO_LENGTHS ? get_count(r, 5, INSTAR_COLUMNS_MAX) : 0;
    for (uint32_t i = 0; !r->bad && i < count; i++) {
        uint32_t at = get_u32(r);
        r->bad = r->bad || at < next || at >= t->column_count;
        if (!r->bad) {
            struct catalog_column *c = &t->columns[at];
            c->length_max = get_u32(r);
            c->type_coming = (enum instar_type)base_read_u8(r);
            c->length_coming = get_u32(r);
            c->made_by = get_made_by(in);
            if (in->format > FORMAT_NO_COMMENTS) {
                c->type_past = (enum instar_type)base_read_u8(r);
                c->length_past = get_u32(r);
            }
            r->bad = r->bad || !descriptor_is_limited(c);
        }
        next = at + 1;
    }
}

static void get_rekeyed(struct input *in)
{
    struct base_reader *r = &in->r;
    struct catalog_table *t = in->table;
    uint32_t next = 0;
    if (in->format <= FORMAT_NO_REKEYS) {
        return;
    }
    t->row_id = get_u32(r);
    uint32_t count = get_count(r, 4, CATALOG_INDEXES_MAX);
    for (uint32_t i = 0; !r->bad && i < count; i++) {
        uint32_t at = get_u32(r);
        r->bad = r->bad || at < next || at >= t->index_count;
        if (!r->bad) {
            struct catalog_index *x = &t->indexes[at];
            x->rows = get_flags(r, 1) != 0;
            x->keyed_by = get_u32(r);
            x->replaces = get_u32(r);
            r->bad = r->bad || !descriptor_is_rekeyed(x);
        }
        next = at + 1;
    }
}

static void get_kept(struct input *in)
{
    struct base_reader *r = &in->r;
    struct catalog_table *t = in->table;
    t->kept_count = in->format > FORMAT_NO_REKEYS ? get_count(r, 7, INSTAR_COLUMNS_MAX) : 0;
    t->kept = get_room(in, t->kept_count, sizeof(*t->kept));
    for (uint32_t i = 0; !r->bad && i < t->kept_count; i++) {
        struct catalog_kept *k = &t->kept[i];
        k->change = base_read_varint(r);
        k->column.id = get_u32(r);
        get_name(r, k->column.name);
        k->column.type = (enum instar_type)base_read_u8(r);
        k->column.not_null = (get_flags(r, FLAG_NOT_NULL) & FLAG_NOT_NULL) != 0;
        k->column.length_max = get_u32(r);
        get_value(in, &k->column.default_value);
        k->column.has_default = k->column.default_value.type != INSTAR_NULL;
    }
}

static void get_fkey(struct input *in, struct catalog_fkey *f)
{
    struct base_reader *r = &in->r;
    f->id = get_u32(r);
    get_name(r, f->name);
    uint8_t state = base_read_u8(r);
    f->parent = base_read_varint(r);
    f->parent_index = get_u32(r);
    uint8_t flags = get_flags(r, FLAG_RESTRICT_DELETE | FLAG_RESTRICT_UPDATE);
    f->column_count = get_count(r, 1, INSTAR_INDEX_COLUMNS_MAX);
    r->bad = r->bad || state < CATALOG_CHECK_NOT_VALID || state > CATALOG_CHECK_VALID;
    f->state = r->bad ? CATALOG_CHECK_VALID : (enum catalog_check_state)state;
    f->restrict_delete = (flags & FLAG_RESTRICT_DELETE) != 0;
    f->restrict_update = (flags & FLAG_RESTRICT_UPDATE) != 0;
    for (uint32_t i = 0; !r->bad && i < f->column_count; i++) {
        f->column_ids[i] = get_u32(r);
    }
}

static void get_fkeys(struct input *in)
{
    struct base_reader *r = &in->r;
    struct catalog_table *t = in->table;
    t->next_fkey_id = 1;
    if (in->format <= FORMAT_NO_REKEYS) {
        return;
    }
    t->next_fkey_id = get_u32(r);
    t->fkey_count = get_count(r, 8, CATALOG_FKEYS_MAX);
    t->fkeys = get_room(in, t->fkey_count, sizeof(*t->fkeys));
    for (uint32_t i = 0; !r->bad && i < t->fkey_count; i++) {
        get_fkey(in, &t->fkeys[i]);
    }
    t->referrer_count = get_count(r, 3, CATALOG_REFERRERS_MAX);
    t->referrers = get_room(in, t->referrer_count, sizeof(*t->referrers));
    for (uint32_t i = 0; !r->bad && i < t->referrer_count; i++) {
        struct catalog_referrer *referrer = &t->referrers[i];
        referrer->child = base_read_varint(r);
        referrer->fkey = get_u32(r);
        referrer->index = get_u32(r);
    }
}

static void get_comments(struct input *in)
{
    struct base_reader *r = &in->r;
    struct catalog_table *t = in->table;
    uint32_t count = in->format > FORMAT_NO_COMMENTS ? get_count(r, 4, UINT32_MAX) : 0;
    t->comments = get_room(in, count, sizeof(*t->comments));
    for (uint32_t i = 0; !r->bad && i < count; i++) {
        struct catalog_comment *c = &t->comments[i];
        c->kind = (enum catalog_comment_kind)base_read_u8(r);
        c->id = get_u32(r);
        struct base_slice text = base_read_blob(r);
        r->bad = r->bad || text.size > INSTAR_COMMENT_BYTES_MAX ||
                 (text.size != 0 && memchr(text.data, 0, text.size) != NULL) ||
                 !catalog_comment_stands(t, c);
        char *kept = r->bad ? NULL : get_room(in, (uint32_t)text.size + 1, 1);
        if (kept != NULL && text.size != 0) {
            memcpy(kept, text.data, text.size);
        }
        c->text = kept;
        t->comment_count += kept != NULL;
    }
}

static void get_table(struct input *in)
{
    struct base_reader *r = &in->r;
    struct catalog_table *t = in->table;
    in->format = get_format(r);
    t->id = base_read_varint(r);
    t->version = get_u32(r);
    get_name(r, t->name);
    get_alias(in, t->alias);
    t->tree = base_read_varint(r);
    t->change = base_read_varint(r);
    t->next_column_id = get_u32(r);
    t->next_index_id = get_u32(r);
    if (!r->bad) {
        get_columns(in);
    }
    t->key_count = get_parts(in, t->key);
    if (!r->bad) {
        get_indexes(in);
    }
    if (!r->bad) {
        get_layouts(in);
    }
    if (!r->bad) {
        get_checks(in);
    }
    if (!r->bad) {
        get_lengths(in);
    }
    if (!r->bad) {
        get_made(in);
    }
    if (!r->bad) {
        get_rekeyed(in);
    }
    if (!r->bad) {
        get_kept(in);
    }
    if (!r->bad) {
        get_fkeys(in);
    }
    if (!r->bad) {
        get_comments(in);
    }
    r->bad = r->bad || base_reader_left(r) != 0;
}

int catalog_table_decode(struct base_slice bytes, struct catalog_table **table_out,
                         struct base_err *err)
{
    char problem[CATALOG_PROBLEM_MAX];
    *table_out = NULL;
    int rc = check_format(bytes, err);
    if (rc != 0) {
        return rc;
    }
    struct catalog_table *t = catalog_table_new();
    if (t == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory for a table's descriptor");
    }
    struct input in = {.r = base_reader(bytes), .table = t};
    get_table(&in);
    if (in.no_memory) {
        rc = base_err_set(err, INSTAR_ENOMEM, "no memory for a table's descriptor");
    } else if (in.r.bad) {
        rc =
            base_err_set(err, INSTAR_ECORRUPT, "table descriptor of %zu bytes: wrong near byte %zu",
                         bytes.size, bytes.size - (size_t)(in.r.end - in.r.at));
    } else if (!catalog_table_valid(t, problem)) {
        rc = base_err_set(err, INSTAR_ECORRUPT, "table descriptor: %s", problem);
    } else {
        rc = catalog_table_finish(t, err);
        base_assert(rc == 0 || rc == INSTAR_ENOMEM); /* CAT-3 is what else it checks */
    }
    if (rc != 0) {
        catalog_table_free(t);
        return rc;
    }
    *table_out = t;
    return 0;
}

int catalog_table_peek(struct base_slice bytes, uint64_t *id_out, uint32_t *version_out,
                       struct base_err *err)
{
    struct base_reader r = base_reader(bytes);
    int rc = check_format(bytes, err);
    get_format(&r);
    *id_out = base_read_varint(&r);
    *version_out = get_u32(&r);
    if (r.bad) {
        *id_out = 0;
        return rc != 0 ? rc
                       : base_err_set(err, INSTAR_ECORRUPT,
                                      "table descriptor: no id and version in front");
    }
    return 0;
}
