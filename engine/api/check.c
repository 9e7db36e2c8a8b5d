/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checker: one snapshot, every table, both directions.
 *
 *   rows -> entries   each row decodes by the layout of its tag, obeys NOT NULL and the checks that
 *                     are valid, and has its entry in every public index, if its predicate is true
 *   entries -> rows   each entry's checksum holds, its row exists, belongs into the index, and has
 *                     those values, the included ones too; in a
 *                     unique index no two neighbours have equal values (nulls apart)
 *   trees             every tree belongs to a table or an index, and none is missing
 *   log               every record not yet in the trees verifies
 *   pages             all of data.mdb's fit together; before anything is read through them
 *
 * An index that a change is at work on is left out: it may lack entries by design, and its tree
 * may be filled past the log. It changes nothing, and holds no lease: it is a reader.
 */
#include "api/api_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct check {
    instar *db;
    struct store_txn *txn;
    const struct catalog_view *view;
    int (*fn)(void *arg, const instar_finding *finding);
    void *arg;
    instar_check_summary sum;
    /* of the table in hand */
    const struct catalog_table *table;
    struct txn_rows *rows;
    struct base_buf key_text;  /* readable key */
    struct base_buf entry;     /* entry key that a row must have */
    struct base_buf include;   /* and what it includes */
    struct base_arena scratch; /* of one evaluation */
    bool fast;                 /* pages and log alone */
};

/* ---- findings ----------------------------------------------------------------------------- */

/* Where a finding is. */
struct place {
    const struct catalog_index *index; /* or NULL */
    uint32_t written_by;
};

static int report(struct check *c, enum instar_problem problem, const struct place *where,
                  const char *what)
{
    char text[BASE_ERR_TEXT_MAX + 512];
    const char *key = c->key_text.size > 0 ? (const char *)c->key_text.data : "";
    const char *index = where->index != NULL ? where->index->name : NULL;
    instar_finding finding = {.problem = problem,
                              .written_by = where->written_by,
                              .table = c->table != NULL ? c->table->name : "",
                              .index = index,
                              .key = key,
                              .text = text};
    int at = 0;

    c->sum.findings++;
    if (c->fn == NULL) {
        return INSTAR_OK;
    }
    if (c->table != NULL) {
        at = snprintf(text, sizeof(text), "table %s%s%s: %s%s", c->table->name,
                      index != NULL ? ", index " : "", index != NULL ? index : "", key,
                      key[0] != '\0' ? ": " : "");
    }
    at = at < 0 || (size_t)at >= sizeof(text) ? 0 : at;
    if (where->written_by != 0) {
        (void)snprintf(text + at, sizeof(text) - (size_t)at,
                       "%s (written by schema version %" PRIu32 ")", what, where->written_by);
    } else {
        (void)snprintf(text + at, sizeof(text) - (size_t)at, "%s", what);
    }
    return c->fn(c->arg, &finding);
}

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
        return base_err_set(api_err(), rc, "%s", err.text);
    }
    if (rc != INSTAR_OK) {
        return report(c, INSTAR_PROBLEM_ENTRY_MISSING, &where, err.text);
    }
    rc = store_txn_get(c->txn, index->tree, base_buf_slice(&c->entry), STORE_READ_UNTRACKED, &value,
                       &err);
    if (rc == INSTAR_ENOTFOUND) {
        return report(c, INSTAR_PROBLEM_ENTRY_MISSING, &where, "the row has no entry in the index");
    }
    return rc;
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
            return base_err_set(api_err(), rc, "%s", err.text);
        }
        rc = rc != INSTAR_OK ? report(c, INSTAR_PROBLEM_CONSTRAINT, &where, err.text) : rc;
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

        return report(c, newer ? INSTAR_PROBLEM_VERSION : INSTAR_PROBLEM_ROW_UNREADABLE, &where,
                      err.text);
    }
    for (uint32_t i = 0; rc == INSTAR_OK && i < c->table->column_count; i++) {
        if (c->table->columns[i].not_null && values[i].type == INSTAR_NULL) {
            char what[160];

            (void)snprintf(what, sizeof(what), "column %s is null and must not be",
                           c->table->columns[i].name);
            rc = report(c, INSTAR_PROBLEM_CONSTRAINT, &where, what);
        }
        if (catalog_column_holds(&c->table->columns[i], &values[i], &err) != INSTAR_OK) {
            base_err_prefix(&err, "column %s", c->table->columns[i].name);
            rc = report(c, INSTAR_PROBLEM_CONSTRAINT, &where, err.text);
        }
    }
    rc = rc == INSTAR_OK ? check_checks(c, values, where.written_by) : rc;
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
        return report(c, INSTAR_PROBLEM_ENTRY_DANGLING, &where, "the entry's row does not exist");
    }
    if (rc != INSTAR_OK) {
        return rc;
    }
    base_buf_clear(&c->entry);
    base_buf_clear(&c->include);
    rc = txn_rows_entry(c->rows, index, found->row_key, record, &made, &err);
    if (rc == INSTAR_ENOMEM) {
        return base_err_set(api_err(), rc, "%s", err.text);
    }
    if (rc != INSTAR_OK) {
        return INSTAR_OK; /* the row itself was reported in the other direction */
    }
    if (!made.inside) {
        return report(c, INSTAR_PROBLEM_ENTRY_DANGLING, &where,
                      "the index's predicate is not true for the entry's row");
    }
    if (!base_slice_eq(base_buf_slice(&c->entry), found->key)) {
        return report(c, INSTAR_PROBLEM_ENTRY_DANGLING, &where, "the entry's row has other values");
    }
    if (!base_slice_eq(base_buf_slice(&c->include), row_entry_include(found->record))) {
        return report(c, INSTAR_PROBLEM_ENTRY_DANGLING, &where,
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
        rc = report(c, INSTAR_PROBLEM_CONSTRAINT, &where,
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
        return report(c, INSTAR_PROBLEM_ENTRY_UNREADABLE, &where, err.text);
    }
    name_entry(c, index, key);
    rc = row_entry_decode(key, record, &where.written_by, &err);
    if (rc != INSTAR_OK) {
        return report(c, INSTAR_PROBLEM_ENTRY_UNREADABLE, &where, err.text);
    }
    if (where.written_by > c->table->version) {
        return report(c, INSTAR_PROBLEM_VERSION, &where, "the entry is newer than its table");
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

static int check_table(struct check *c, const struct catalog_table *table)
{
    size_t row_bytes_max = (size_t)store_options(c->db->env.store)->row_bytes_max;
    int rc;

    c->table = table;
    c->sum.tables++;
    rc = txn_rows_open(table, row_bytes_max, &c->rows, api_err());
    if (rc != INSTAR_OK) {
        return rc;
    }
    rc = walk_rows(c);
    for (uint32_t i = 0; rc == INSTAR_OK && i < table->index_count; i++) {
        if (is_settled(&table->indexes[i])) {
            c->sum.indexes++;
            rc = walk_entries(c, &table->indexes[i]);
        }
    }
    txn_rows_close(c->rows);
    c->rows = NULL;
    c->table = NULL;
    return rc;
}

/* ---- trees and log ------------------------------------------------------------------------ */

static bool tree_is_owned(const struct catalog_view *view, uint64_t tree)
{
    if (tree == CATALOG_TREE || tree == CATALOG_CHANGE_TREE) {
        return true;
    }
    for (uint32_t i = 0; i < view->table_count; i++) {
        const struct catalog_table *table = view->tables[i];

        if (table->tree == tree) {
            return true;
        }
        for (uint32_t k = 0; k < table->index_count; k++) {
            if (table->indexes[k].tree == tree) {
                return true;
            }
        }
    }
    return false;
}

static int check_tree(void *arg, uint64_t tree, bool dead)
{
    struct check *c = arg;
    struct place nowhere = {NULL, 0};
    char what[96];

    if (dead || tree_is_owned(c->view, tree)) {
        return INSTAR_OK;
    }
    (void)snprintf(what, sizeof(what), "tree %" PRIu64 " belongs to no table and no index", tree);
    base_buf_clear(&c->key_text);
    return report(c, INSTAR_PROBLEM_TREE, &nowhere, what);
}

static int count_running(void *arg, const instar_change_info *info)
{
    uint32_t *running = arg;

    if (info->state == INSTAR_CHANGE_RUNNING || info->state == INSTAR_CHANGE_REVERTING) {
        (*running)++;
    }
    return INSTAR_OK;
}

/* A running change owns trees that no descriptor names yet, or no longer: then nothing can be said
 * of stray trees. */
static int check_trees(struct check *c)
{
    uint32_t running = 0;
    int rc = change_list(c->db->changes, count_running, &running, api_err());

    if (rc != INSTAR_OK || running > 0 ||
        store_schema_lsn(c->db->env.store) > store_txn_lsn(c->txn)) {
        return rc;
    }
    /* A drop that has been logged must have reached the trees. */
    struct store *s = c->db->env.store;
    uint64_t limit_ns = (uint64_t)store_options(s)->lock_timeout_ms * 1000000u;
    rc = store_wait_applied(s, store_durable(s), os_now_ns() + limit_ns, api_err());
    return rc != INSTAR_OK ? rc : store_tree_list(s, check_tree, c, api_err());
}

static int check_log(void *arg, uint64_t lsn, const char *text)
{
    struct check *c = arg;
    struct place nowhere = {NULL, 0};
    char what[512];

    (void)snprintf(what, sizeof(what), "log at %" PRIu64 ": %s", lsn, text);
    base_buf_clear(&c->key_text);
    return report(c, INSTAR_PROBLEM_LOG, &nowhere, what);
}

/* ---- the whole ---------------------------------------------------------------------------- */

static int check_page(void *arg, uint64_t page, const char *text)
{
    struct check *c = arg;
    struct place nowhere = {NULL, 0};
    char key[40];

    (void)snprintf(key, sizeof(key), "page %" PRIu64, page);
    base_buf_clear(&c->key_text);
    (void)base_buf_add(&c->key_text, key, strlen(key) + 1);
    return report(c, INSTAR_PROBLEM_FILE, &nowhere, text);
}

/* LMDB would follow a damaged page anywhere: what lies behind it is not read. */
static int check_pages(struct check *c)
{
    int rc = store_check_pages(c->db->env.store, check_page, c, &c->sum.pages, api_err());

    if (rc == INSTAR_OK && (c->fast || c->sum.findings > 0)) {
        rc = store_verify(c->db->env.store, check_log, c, api_err());
    }
    return rc;
}

static int check_all(struct check *c)
{
    int rc = catalog_view_get(c->db->env.catalog, c->txn, &c->view, api_err());

    if (rc != INSTAR_OK) {
        return rc;
    }
    for (uint32_t i = 0; rc == INSTAR_OK && i < c->view->table_count; i++) {
        rc = check_table(c, c->view->tables[i]);
    }
    if (rc == INSTAR_OK) {
        rc = check_trees(c);
    }
    if (rc == INSTAR_OK) {
        rc = store_verify(c->db->env.store, check_log, c, api_err());
    }
    catalog_view_release(c->db->env.catalog, c->view);
    return rc;
}

/* The result of a check that came to its end. */
static int judge(int rc, uint64_t findings)
{
    return rc == INSTAR_OK && findings > 0
               ? base_err_set(api_err(), INSTAR_ECORRUPT, "the check has %" PRIu64 " findings",
                              findings)
               : rc;
}

static int check_rows(struct check *c)
{
    int rc = store_txn_begin(c->db->env.store, STORE_TXN_READONLY, &c->txn, api_err());

    if (rc == INSTAR_OK) {
        rc = check_all(c);
        store_txn_abort(c->txn);
    }
    return rc;
}

static int run(struct check *c, instar_check_summary *summary_out)
{
    int rc = api_enter(c->db, API_MAGIC_DB, "store");

    if (rc != INSTAR_OK) {
        return rc;
    }
    rc = check_pages(c);
    if (rc == INSTAR_OK && !c->fast && c->sum.findings == 0) {
        rc = check_rows(c);
    }
    base_buf_free(&c->key_text);
    base_buf_free(&c->entry);
    base_buf_free(&c->include);
    base_arena_free(&c->scratch);
    if (summary_out != NULL) {
        *summary_out = c->sum;
    }
    return judge(rc, c->sum.findings);
}

int instar_check(instar *db, int (*fn)(void *arg, const instar_finding *finding), void *arg,
                 instar_check_summary *summary_out)
{
    struct check c = {.db = db, .fn = fn, .arg = arg};

    return run(&c, summary_out);
}

int instar_check_fast(instar *db, int (*fn)(void *arg, const instar_finding *finding), void *arg,
                      instar_check_summary *summary_out)
{
    struct check c = {.db = db, .fn = fn, .arg = arg, .fast = true};

    return run(&c, summary_out);
}

/* ---- without opening ---------------------------------------------------------------------- */

static int report_file(void *arg, const char *file, const char *text)
{
    struct check *c = arg;
    instar_finding finding = {
        .problem = INSTAR_PROBLEM_FILE, .table = "", .key = file, .text = text};

    return c->fn != NULL ? c->fn(c->arg, &finding) : INSTAR_OK;
}

int instar_check_files(const char *path, int (*fn)(void *arg, const instar_finding *finding),
                       void *arg, instar_check_summary *summary_out)
{
    struct check c = {.fn = fn, .arg = arg};
    struct store_files files = {0};
    instar_options options;
    int rc = api_need(path, "path");

    if (rc == INSTAR_OK) {
        rc = api_options_complete(NULL, &options);
    }
    if (rc == INSTAR_OK) {
        rc = store_check_files(path, &options, report_file, &c, &files, api_err());
    }
    if (summary_out != NULL) {
        *summary_out = (instar_check_summary){
            .entries = files.entries, .pages = files.pages, .findings = files.findings};
    }
    return judge(rc, files.findings);
}

int instar_check_after_io_error(const char *path)
{
    instar_options options;
    int rc = api_need(path, "path");

    if (rc == INSTAR_OK) {
        rc = api_options_complete(NULL, &options);
    }
    return rc == INSTAR_OK ? store_check_after_io_error(path, &options, api_err()) : rc;
}

int instar_repair(const char *path, int (*fn)(void *arg, const char *text), void *arg)
{
    char text[512] = "";
    instar_options options;
    int rc = api_need(path, "path");

    if (rc == INSTAR_OK) {
        rc = api_options_complete(NULL, &options);
    }
    if (rc == INSTAR_OK) {
        rc = store_repair(path, &options, text, sizeof(text), api_err());
    }
    return rc == INSTAR_OK && text[0] != '\0' && fn != NULL ? fn(arg, text) : rc;
}
