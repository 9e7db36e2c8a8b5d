/* SPDX-License-Identifier: Apache-2.0 */
/* The checker's look at one table: rows, entries, and what ties it to others. */
#include "api/check_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- names of things ---------------------------------------------------------------------- */

static void name_row(struct check *c, struct base_slice key)
{
    base_buf_clear(&c->key_text);
    (void)base_buf_add(&c->key_text, "row ", 4);
    txn_describe_key(c->table, key, &c->key_text);
    (void)base_buf_add_u8(&c->key_text, 0);
}

static void name_entry(struct check *c, const struct catalog_index *index, struct base_slice key)
{
    base_buf_clear(&c->key_text);
    (void)base_buf_add(&c->key_text, "entry ", 6);
    txn_describe_entry(c->table, index, key, &c->key_text);
    (void)base_buf_add_u8(&c->key_text, 0);
}
/* ---- rows -> entries ---------------------------------------------------------------------- */

/* Is this index complete by its stage, and filled through the log alone? */
static bool is_settled(const struct catalog_index *index)
{
    return catalog_may_read(index) && index->change == 0;
}

/* The values of a condition's inputs, in scratch memory. NULL: there is none. */
static instar_value *inputs_of(struct check *c, const instar_value *values, const uint32_t *columns,
                               uint32_t count)
{
    base_arena_reset(&c->scratch);
    instar_value *inputs = base_arena_alloc(&c->scratch, (count + 1u) * sizeof(*inputs));

    for (uint32_t i = 0; inputs != NULL && i < count; i++) {
        inputs[i] = values[columns[i]];
    }
    return inputs;
}

/* What could not be read or computed is no finding: it ends the check. */
static int failed(int rc, const struct base_err *err)
{
    return base_err_set(api_err(), rc, "%s", err->text);
}

static int is_inside(struct check *c, const struct catalog_index *index, const instar_value *values,
                     bool *inside_out, struct base_err *err)
{
    if (index->predicate == NULL) {
        return INSTAR_OK;
    }
    const instar_value *inputs = inputs_of(c, values, index->inputs, index->input_count);

    if (inputs == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "checking: out of memory");
    }
    return catalog_index_inside(c->table, index, inputs, &c->scratch, inside_out, err);
}

static int check_entry_of_row(struct check *c, const struct catalog_index *index,
                              const instar_value *values, uint32_t version)
{
    struct place where = {index, version};
    struct base_err err = {0};
    struct base_slice value;
    bool inside = true;
    int rc = is_inside(c, index, values, &inside, &err);

    if (rc == INSTAR_OK && !inside) {
        return rc;
    }
    base_buf_clear(&c->entry);
    rc =
        rc == INSTAR_OK ? txn_entry_key(c->table, index, values, &c->scratch, &c->entry, &err) : rc;
    if (rc == INSTAR_ENOMEM) {
        return failed(rc, &err);
    }
    if (rc != INSTAR_OK) {
        return check_report(c, INSTAR_PROBLEM_ENTRY_MISSING, &where, err.text);
    }
    rc = store_txn_get(c->txn, index->tree, base_buf_slice(&c->entry), STORE_READ_UNTRACKED, &value,
                       &err);
    if (rc == INSTAR_ENOTFOUND) {
        return check_report(c, INSTAR_PROBLEM_ENTRY_MISSING, &where,
                            "the row has no entry in the index");
    }
    return rc == INSTAR_OK ? rc : failed(rc, &err);
}

/* The valid checks; the others bind only what is written. */
static int check_checks(struct check *c, const instar_value *values, uint32_t version)
{
    struct place where = {NULL, version};
    int rc = INSTAR_OK;

    for (uint32_t i = 0; rc == INSTAR_OK && i < c->table->check_count; i++) {
        const struct catalog_check *check = &c->table->checks[i];
        struct base_err err = {0};
        instar_value *inputs;

        if (check->state != CATALOG_CHECK_VALID) {
            continue;
        }
        inputs = inputs_of(c, values, check->inputs, check->input_count);
        if (inputs == NULL) {
            return base_err_set(api_err(), INSTAR_ENOMEM, "checking: out of memory");
        }
        rc = catalog_check_row(c->table, check, inputs, &c->scratch, &err);
        if (rc == INSTAR_ENOMEM) {
            return failed(rc, &err);
        }
        rc = rc != INSTAR_OK ? check_report(c, INSTAR_PROBLEM_CONSTRAINT, &where, err.text) : rc;
    }
    return rc;
}

/* The valid foreign keys: what the row refers to is there. */
static int check_fkeys(struct check *c, const instar_value *values, uint32_t version)
{
    struct place where = {NULL, version};
    int rc = INSTAR_OK;

    for (uint32_t i = 0; rc == INSTAR_OK && i < c->table->fkey_count; i++) {
        const struct catalog_fkey *fkey = &c->table->fkeys[i];
        const struct catalog_table *parent = catalog_view_table_by_id(c->view, fkey->parent);
        instar_value own[INSTAR_INDEX_COLUMNS_MAX];
        bool has = fkey->state != CATALOG_CHECK_VALID;

        for (uint32_t k = 0; k < fkey->column_count; k++) {
            own[k] = values[fkey->columns[k]];
            has = has || own[k].type == INSTAR_NULL;
        }
        if (!has && parent != NULL) {
            rc = txn_parent_has(c->txn, parent, fkey, own, &has, api_err());
        }
        if (rc == INSTAR_OK && !has) {
            char what[2 * INSTAR_NAME_BYTES_MAX + 64];

            (void)snprintf(what, sizeof(what),
                           "foreign key %s: what it refers to is not in table %s", fkey->name,
                           parent != NULL ? parent->name : "?");
            rc = check_report(c, INSTAR_PROBLEM_CONSTRAINT, &where, what);
        }
    }
    return rc;
}

/* Both descriptors of each foreign key say the same. */
static int check_ties(struct check *c)
{
    struct place where = {NULL, 0};
    int rc = INSTAR_OK;

    base_buf_clear(&c->key_text);
    for (uint32_t i = 0; rc == INSTAR_OK && i < c->table->fkey_count; i++) {
        const struct catalog_fkey *fkey = &c->table->fkeys[i];
        const struct catalog_table *parent = catalog_view_table_by_id(c->view, fkey->parent);
        bool known = false;

        for (uint32_t k = 0; parent != NULL && k < parent->referrer_count; k++) {
            const struct catalog_referrer *r = &parent->referrers[k];
            known = known || (r->child == c->table->id && r->fkey == fkey->id &&
                              r->index == fkey->parent_index);
        }
        if (!known) {
            rc = check_report(c, INSTAR_PROBLEM_CONSTRAINT, &where,
                              "the table to which a foreign key refers knows nothing of it");
        }
    }
    for (uint32_t i = 0; rc == INSTAR_OK && i < c->table->referrer_count; i++) {
        const struct catalog_referrer *r = &c->table->referrers[i];
        const struct catalog_table *child = catalog_view_table_by_id(c->view, r->child);

        if (child == NULL || catalog_table_fkey_by_id(child, r->fkey) == NULL) {
            rc = check_report(c, INSTAR_PROBLEM_CONSTRAINT, &where,
                              "a foreign key that is said to refer to the table does not exist");
        }
    }
    return rc;
}

static int check_row(struct check *c, struct base_slice key, struct base_slice record)
{
    const instar_value *values = NULL;
    struct place where = {NULL, 0};
    struct base_err err = {0};
    int rc;

    c->sum.rows++;
    name_row(c, key);
    rc = txn_rows_decode(c->rows, key, record, &values, &where.written_by, &err);
    if (rc == INSTAR_ECORRUPT) {
        bool newer = where.written_by > c->table->version;

        return check_report(c, newer ? INSTAR_PROBLEM_VERSION : INSTAR_PROBLEM_ROW_UNREADABLE,
                            &where, err.text);
    }
    if (rc != INSTAR_OK) {
        return failed(rc, &err);
    }
    for (uint32_t i = 0; rc == INSTAR_OK && i < c->table->column_count; i++) {
        if (c->table->columns[i].not_null && values[i].type == INSTAR_NULL) {
            char what[160];

            (void)snprintf(what, sizeof(what), "column %s is null and must not be",
                           c->table->columns[i].name);
            rc = check_report(c, INSTAR_PROBLEM_CONSTRAINT, &where, what);
        }
        if (catalog_column_holds(&c->table->columns[i], &values[i], &err) != INSTAR_OK) {
            base_err_prefix(&err, "column %s", c->table->columns[i].name);
            rc = check_report(c, INSTAR_PROBLEM_CONSTRAINT, &where, err.text);
        }
    }
    rc = rc == INSTAR_OK ? check_checks(c, values, where.written_by) : rc;
    rc = rc == INSTAR_OK ? check_fkeys(c, values, where.written_by) : rc;
    for (uint32_t i = 0; rc == INSTAR_OK && i < c->table->index_count; i++) {
        if (is_settled(&c->table->indexes[i])) {
            rc = check_entry_of_row(c, &c->table->indexes[i], values, where.written_by);
        }
    }
    return rc;
}

/* ---- entries -> rows ---------------------------------------------------------------------- */

/* An entry as it was found. */
struct found_entry {
    struct base_slice key;
    struct base_slice row_key;
    struct base_slice record;
    uint32_t version;
};

/* Does the row to which an entry points make this very entry? */
static int check_row_of_entry(struct check *c, const struct catalog_index *index,
                              const struct found_entry *found)
{
    struct place where = {index, found->version};
    struct txn_entry made = {.key = &c->entry, .include = &c->include};
    struct base_err err = {0};
    struct base_slice record;
    int rc =
        store_txn_get(c->txn, c->table->tree, found->row_key, STORE_READ_UNTRACKED, &record, &err);

    if (rc == INSTAR_ENOTFOUND) {
        return check_report(c, INSTAR_PROBLEM_ENTRY_DANGLING, &where,
                            "the entry's row does not exist");
    }
    if (rc != INSTAR_OK) {
        return failed(rc, &err);
    }
    base_buf_clear(&c->entry);
    base_buf_clear(&c->include);
    rc = txn_rows_entry(c->rows, index, found->row_key, record, &made, &err);
    if (rc == INSTAR_ENOMEM) {
        return failed(rc, &err);
    }
    if (rc != INSTAR_OK) {
        return INSTAR_OK; /* the row itself was reported in the other direction */
    }
    if (!made.inside) {
        return check_report(c, INSTAR_PROBLEM_ENTRY_DANGLING, &where,
                            "the index's predicate is not true for the entry's row");
    }
    if (!base_slice_eq(base_buf_slice(&c->entry), found->key)) {
        return check_report(c, INSTAR_PROBLEM_ENTRY_DANGLING, &where,
                            "the entry's row has other values");
    }
    if (!base_slice_eq(base_buf_slice(&c->include), row_entry_include(found->record))) {
        return check_report(c, INSTAR_PROBLEM_ENTRY_DANGLING, &where,
                            "the entry's row has other values in the included columns");
    }
    return rc;
}

/* One scan over an index: the values of the entry before, for uniqueness. */
struct entry_scan {
    const struct catalog_index *index;
    struct base_buf before;
};

static int check_unique(struct check *c, struct entry_scan *scan, struct base_slice key,
                        size_t prefix, uint32_t version)
{
    struct place where = {scan->index, version};
    struct base_slice values = base_slice(key.data, prefix);
    int rc = INSTAR_OK;

    if (!scan->index->unique ||
        row_key_has_null(scan->index->key_parts, scan->index->part_count, key)) {
        base_buf_clear(&scan->before);
        return INSTAR_OK;
    }
    if (scan->before.size > 0 && base_slice_eq(base_buf_slice(&scan->before), values)) {
        rc = check_report(c, INSTAR_PROBLEM_CONSTRAINT, &where,
                          "another row has the same values, and the index is unique");
    }
    base_buf_clear(&scan->before);
    if (!base_buf_add(&scan->before, key.data, prefix)) {
        return base_err_set(api_err(), INSTAR_ENOMEM, "checking: out of memory");
    }
    return rc;
}

static int check_entry(struct check *c, struct entry_scan *scan, struct base_slice key,
                       struct base_slice record)
{
    const struct catalog_index *index = scan->index;
    struct place where = {index, 0};
    struct base_err err = {0};
    size_t prefix = 0;
    int rc = row_key_skip(index->key_parts, index->part_count, key, &prefix, &err);

    c->sum.entries++;
    if (rc != INSTAR_OK) {
        base_buf_clear(&c->key_text);
        return check_report(c, INSTAR_PROBLEM_ENTRY_UNREADABLE, &where, err.text);
    }
    name_entry(c, index, key);
    rc = row_entry_decode(key, record, &where.written_by, &err);
    if (rc != INSTAR_OK) {
        return check_report(c, INSTAR_PROBLEM_ENTRY_UNREADABLE, &where, err.text);
    }
    if (where.written_by > c->table->version) {
        return check_report(c, INSTAR_PROBLEM_VERSION, &where, "the entry is newer than its table");
    }
    uint64_t before = c->sum.findings;
    rc = check_row_of_entry(
        c, index,
        &(struct found_entry){.key = key,
                              .row_key =
                                  base_slice((const char *)key.data + prefix, key.size - prefix),
                              .record = record,
                              .version = where.written_by});
    /* An entry without its row is no duplicate of anything. */
    if (rc == INSTAR_OK && c->sum.findings == before) {
        rc = check_unique(c, scan, key, prefix, where.written_by);
    }
    return rc;
}

/* ---- walks -------------------------------------------------------------------------------- */

static int walk_rows(struct check *c)
{
    struct store_range all = {{NULL, 0}, {NULL, 0}, false};
    struct store_cursor *cursor = NULL;
    struct base_slice key, record;
    int rc =
        store_cursor_open(c->txn, c->table->tree, &all, STORE_READ_UNTRACKED, &cursor, api_err());

    while (rc == INSTAR_OK) {
        rc = store_cursor_next(cursor, &key, &record, api_err());
        if (rc == INSTAR_OK) {
            rc = check_row(c, key, record);
        }
    }
    store_cursor_close(cursor);
    return rc == INSTAR_END ? INSTAR_OK : rc;
}

static int walk_entries(struct check *c, const struct catalog_index *index)
{
    struct store_range all = {{NULL, 0}, {NULL, 0}, false};
    struct entry_scan scan = {.index = index};
    struct store_cursor *cursor = NULL;
    struct base_slice key, record;
    int rc = store_cursor_open(c->txn, index->tree, &all, STORE_READ_UNTRACKED, &cursor, api_err());

    while (rc == INSTAR_OK) {
        rc = store_cursor_next(cursor, &key, &record, api_err());
        if (rc == INSTAR_OK) {
            rc = check_entry(c, &scan, key, record);
        }
    }
    store_cursor_close(cursor);
    base_buf_free(&scan.before);
    return rc == INSTAR_END ? INSTAR_OK : rc;
}

int check_table(struct check *c, const struct catalog_table *table)
{
    size_t row_bytes_max = (size_t)store_options(c->db->env.store)->row_bytes_max;
    int rc;

    c->table = table;
    c->sum.tables++;
    rc = txn_rows_open(table, row_bytes_max, &c->rows, api_err());
    if (rc != INSTAR_OK) {
        return rc;
    }
    rc = check_ties(c);
    rc = rc == INSTAR_OK ? check_digest(c, table->tree, NULL) : rc;
    rc = rc == INSTAR_OK ? walk_rows(c) : rc;
    for (uint32_t i = 0; rc == INSTAR_OK && i < table->index_count; i++) {
        rc = check_digest(c, table->indexes[i].tree, &table->indexes[i]);
        if (rc == INSTAR_OK && is_settled(&table->indexes[i])) {
            c->sum.indexes++;
            rc = walk_entries(c, &table->indexes[i]);
        }
    }
    txn_rows_close(c->rows);
    c->rows = NULL;
    c->table = NULL;
    return rc;
}
