/* SPDX-License-Identifier: Apache-2.0 */
/* A small store through the public interface. */
#include "support/dbs.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void dbs_check(const char *file, int line, const char *what, int got, int wanted)
{
    if (got != wanted) {
        test_fail(file, line, "%s: %s in place of %s: %s", what, instar_error_name(got),
                  instar_error_name(wanted), instar_error_text());
    }
}

bool says(const char *words)
{
    bool found = strstr(instar_error_text(), words) != NULL;

    if (!found) {
        fprintf(stderr, "not \"%s\", but \"%s\"\n", words, instar_error_text());
    }
    return found;
}

const char *dbs_path(void)
{
    static char path[300];

    (void)snprintf(path, sizeof(path), "%s/db", test_fast_dir());
    return path;
}

instar_options dbs_options(void)
{
    instar_options o;

    instar_options_init(&o);
    o.flags = INSTAR_OPEN_CREATE;
    o.segment_bytes = (uint64_t)1 << 20;
    o.map_bytes = (uint64_t)4 << 30;
    o.trees_max = 256;
    o.nodes_max = 16;
    o.lease_slots = 64;
    o.readers_max = 256;
    return o;
}

/* Those that wait to be folded and one made ahead; those kept for old writers; and what two folds
 * leave, since the first is in both of LMDB's meta pages only after the second. */
uint64_t dbs_log_segments_bound(void)
{
    instar_options o = dbs_options();

    return o.segments_pending + 1 + o.segments_retained + o.segments_pending;
}

instar *dbs_open(uint32_t flags)
{
    instar_options o = dbs_options();
    instar *db = NULL;

    o.flags |= flags;
    ok(instar_open(dbs_path(), &o, &db));
    return db;
}

void dbs_create(instar *db, const instar_table_def *def)
{
    uint64_t change = 0;

    ok(instar_create_table(db, def, NULL, &change));
    ok(instar_change_wait(db, change, 60000, NULL));
}

void dbs_make_table(instar *db, const char *name)
{
    instar_column_def columns[] = {{"a", INSTAR_INT8, true, NULL, 0},
                                   {"b", INSTAR_INT8, false, NULL, 0},
                                   {"c", INSTAR_TEXT, false, NULL, 0}};
    instar_key_column key = {.name = "a"};
    instar_table_def def = {
        .name = name, .columns = columns, .column_count = 3, .key = &key, .key_count = 1};

    dbs_create(db, &def);
}

uint64_t dbs_submit_index(instar *db, const char *name, const char *table, const char *columns,
                          bool unique, const instar_change_options *options)
{
    instar_key_column parts[INSTAR_INDEX_COLUMNS_MAX];
    instar_index_def def = {.name = name, .table = table, .columns = parts, .unique = unique};
    uint64_t change = 0;
    char list[256], *rest = NULL;

    (void)snprintf(list, sizeof(list), "%s", columns);
    for (char *part = strtok_r(list, ",", &rest); part != NULL; part = strtok_r(NULL, ",", &rest)) {
        char *desc = strstr(part, " desc");

        if (desc != NULL) {
            *desc = '\0';
        }
        parts[def.column_count++] = (instar_key_column){.name = part, .descending = desc != NULL};
    }
    ok(instar_create_index(db, &def, options, &change));
    return change;
}

int dbs_index(instar *db, const char *name, const char *table, const char *columns, bool unique,
              instar_change_info *info)
{
    uint64_t change = dbs_submit_index(db, name, table, columns, unique, NULL);

    return instar_change_wait(db, change, 60000, info);
}

int dbs_drop_index(instar *db, const char *name)
{
    uint64_t change = 0;
    int rc = instar_drop_index(db, name, NULL, &change);

    return rc != INSTAR_OK ? rc : instar_change_wait(db, change, 60000, NULL);
}

/* ---- rows --------------------------------------------------------------------------------- */

enum row_verb { ROW_INSERT, ROW_UPDATE, ROW_DELETE };

struct row_work {
    enum row_verb verb;
    instar_projection *projection;
    int64_t a, b;
};

static int work_row(instar_txn *txn, void *arg)
{
    const struct row_work *w = arg;
    instar_value values[2] = {{.type = INSTAR_INT8, .i = w->a}, {.type = INSTAR_INT8, .i = w->b}};

    switch (w->verb) {
    case ROW_INSERT:
        return instar_insert(txn, w->projection, values);
    case ROW_UPDATE:
        return instar_update(txn, w->projection, values, values);
    default:
        return instar_delete(txn, w->projection, values);
    }
}

static int run_row(instar *db, const char *table, struct row_work w)
{
    const char *columns[] = {"a", "b"};
    int rc = instar_projection_prepare(db, table, columns, 2, NULL, &w.projection);

    if (rc == INSTAR_OK) {
        rc = instar_run(db, 0, work_row, &w);
        instar_projection_free(w.projection);
    }
    return rc;
}

int dbs_insert(instar *db, const char *table, int64_t a, int64_t b)
{
    return run_row(db, table, (struct row_work){ROW_INSERT, NULL, a, b});
}

int dbs_update(instar *db, const char *table, int64_t a, int64_t b)
{
    return run_row(db, table, (struct row_work){ROW_UPDATE, NULL, a, b});
}

int dbs_delete(instar *db, const char *table, int64_t a)
{
    return run_row(db, table, (struct row_work){ROW_DELETE, NULL, a, 0});
}

/* ---- whole tables ------------------------------------------------------------------------- */

static char *dump(instar *db, const char *table, const char *index)
{
    const char *columns[] = {"a", "b"};
    instar_projection *projection = NULL;
    instar_cursor *cursor = NULL;
    instar_txn *txn = NULL;
    instar_value row[2];
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    int rc = INSTAR_OK;

    expect(memory != NULL);
    ok(instar_projection_prepare(db, table, columns, 2, index, &projection));
    ok(instar_begin(db, INSTAR_TXN_READONLY, &txn));
    ok(instar_scan(txn, projection, NULL, &cursor));
    while ((rc = instar_cursor_next(cursor, row)) == INSTAR_OK) {
        if (row[1].type == INSTAR_NULL) {
            fprintf(memory, "%" PRId64 ":null ", row[0].i);
        } else {
            fprintf(memory, "%" PRId64 ":%" PRId64 " ", row[0].i, row[1].i);
        }
    }
    fails(rc, INSTAR_END);
    instar_cursor_close(cursor);
    instar_abort(txn);
    instar_projection_free(projection);
    (void)fclose(memory);
    return text;
}

/* Each thread's last dump goes with the thread. */
static pthread_key_t last_dump;
__attribute__((constructor)) static void make_key(void)
{
    expect(pthread_key_create(&last_dump, free) == 0);
}

const char *dbs_dump(instar *db, const char *table, const char *index)
{
    char *text = dump(db, table, index);

    free(pthread_getspecific(last_dump));
    expect(pthread_setspecific(last_dump, text) == 0);
    return text;
}

static int print_finding(void *arg, const instar_finding *finding)
{
    (void)arg;
    fprintf(stderr, "finding: %s\n", finding->text);
    return 0;
}

/* Sorted, scans by different indexes compare equal. */
static char *sorted_dump(instar *db, const char *table, const char *index)
{
    return test_sorted(dump(db, table, index), " ");
}

/* A partial index has some of the rows; which, the checker knows. Both are sorted words. */
static bool agree(const char *by_table, const char *by_index, bool partial)
{
    const char *all = by_table, *some = by_index;

    while (partial && *some != '\0' && *all != '\0') {
        size_t size = strcspn(all, " ") + 1;

        some += strncmp(all, some, size) == 0 ? size : 0;
        all += size;
    }
    return partial ? *some == '\0' : strcmp(by_table, by_index) == 0;
}

static int compare_scans(void *arg, const instar_table_info *info)
{
    instar *db = arg;
    char *by_table = sorted_dump(db, info->name, NULL);

    for (size_t i = 0; i < info->index_count; i++) {
        if (info->indexes[i].stage == INSTAR_STAGE_PUBLIC && info->indexes[i].change == 0) {
            char *by_index = sorted_dump(db, info->name, info->indexes[i].name);

            if (!agree(by_table, by_index, info->indexes[i].predicate != NULL)) {
                test_fail(__FILE__, __LINE__, "index %s gives other rows than the table:\n%s\n%s",
                          info->indexes[i].name, by_index, by_table);
            }
            free(by_index);
        }
    }
    free(by_table);
    return 0;
}

static int take_version(void *arg, const instar_table_info *info)
{
    *(uint32_t *)arg = info->version;
    return 0;
}

uint32_t dbs_version(instar *db, const char *table)
{
    uint32_t version = 0;

    ok(instar_table_list(db, table, take_version, &version));
    return version;
}

void dbs_check_sound(instar *db)
{
    instar_check_summary sum;

    ok(instar_check(db, print_finding, NULL, &sum));
    expect_u64(sum.findings, 0);
}

void dbs_check_clean(instar *db)
{
    dbs_check_sound(db);
    ok(instar_table_list(db, NULL, compare_scans, db));
}

void dbs_end_sound(instar *db)
{
    dbs_check_sound(db);
    ok(instar_close(db));
}

void dbs_end(instar *db)
{
    dbs_check_clean(db);
    ok(instar_close(db));
}
