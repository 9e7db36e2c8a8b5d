/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A build whose entries do not fit into its memory, while each of its calls that touch a sorted run
 * fails once, and memory is refused at each place that asks for any. It fails for that reason, or
 * does without; then all is as it was, and it can be asked for again. A run for whose removal there
 * was no memory goes when the store is opened next.
 */
#include "ddl/refusals.h"
#include "support/scenes.h"
#include "support/sqls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#if defined(INSTAR_COVERAGE)
#define ROWS 24000 /* so many runs that they are merged on the way */
#else
#define ROWS 6900
#endif
#define BATCH 300
#define TEXT 480 /* bytes, so that a mebibyte of memory is filled three times */
#define OWN 2    /* calls: the hook, and the allocator */
#define A_FEW 4

struct rows {
    instar_projection *p;
    int64_t from;
};

static int insert(instar_txn *txn, void *arg)
{
    const struct rows *r = arg;
    char text[TEXT];
    int rc = INSTAR_OK;

    memset(text, 'x', sizeof(text));
    for (int64_t i = r->from; rc == INSTAR_OK && i < r->from + BATCH; i++) {
        (void)snprintf(text, 24, "%020llu", (unsigned long long)scene_scattered(i));
        text[20] = 'x';
        const instar_value row[] = {{.type = INSTAR_INT8, .i = i},
                                    {.type = INSTAR_TEXT, .bytes = {text, sizeof(text)}}};
        rc = instar_insert(txn, r->p, row);
    }
    return rc;
}

static size_t descriptors; /* before the store is open */

static instar *begin(void)
{
    static const char *const columns[] = {"a", "c"};
    instar *db = dbs_open(0);
    struct rows r;

    ok(instar_close(db));
    descriptors = test_descriptors();
    db = dbs_open(0);
    dbs_make_table(db, "t");
    ok(instar_projection_prepare(db, "t", columns, 2, NULL, &r.p));
    for (r.from = 0; r.from < ROWS; r.from += BATCH) {
        ok(instar_run(db, INSTAR_TXN_ASYNC, insert, &r));
    }
    instar_projection_free(r.p);
    return db;
}

/* The verdict of a build with little memory. */
static int build(instar *db, instar_change_info *info)
{
    instar_change_options o = scene_options(30000);

    o.sort_memory_bytes = 1 << 20;
    o.workers = 2;
    uint64_t change = dbs_submit_index(db, "i", "t", "c", true, &o);
    int rc = instar_change_wait(db, change, TEST_AWAIT_S * 1000, info);
    return rc == INSTAR_EFAILED ? info->error : rc;
}

/* Nothing is left there. */
static void expect_empty(const char *path)
{
    char **names;
    size_t count;
    int fd;

    cr_assert_eq(os_open_dir(path, &fd), 0);
    cr_assert_eq(os_list_dir(fd, &names, &count), 0);
    cr_assert_eq(count, 0, "%s", count > 0 ? names[0] : "");
    base_free(names);
    ok(os_close(fd));
}

static void expect_no_run(void)
{
    char path[400];

    (void)snprintf(path, sizeof(path), "%s/spill", dbs_path());
    expect_empty(path);
}

/* What was made is dropped again. */
static void clear(instar *db, int rc)
{
    if (rc == INSTAR_OK) {
        ok(dbs_drop_index(db, "i"));
    }
    expect(strstr(sqls_schema(db, "t"), "INDEX") == NULL);
}

static void end(instar *db)
{
    instar_change_info info;

    ok(build(db, &info));
    dbs_end(db);
    expect_u64(test_descriptors(), descriptors);
    ok(instar_close(dbs_open(0))); /* the first one removes what is left */
    expect_no_run();
}

Test(ddl_spill, each_call_of_a_run_fails, .timeout = 600)
{
    static const struct {
        int op, error, code;
    } faults[] = {{OS_OP_OPEN, EMFILE, INSTAR_ESLOTS}, {OS_OP_WRITE, ENOSPC, INSTAR_ENOSPACE},
                  {OS_OP_WRITE, EIO, INSTAR_EIO},      {OS_OP_SYNC, EIO, INSTAR_EIO},
                  {OS_OP_READ, EIO, INSTAR_EIO},       {OS_OP_OPEN, EACCES, INSTAR_EACCESS},
                  {OS_OP_OPEN, EIO, INSTAR_EIO}};
    instar *db = begin();

    for (size_t i = 0; i < BASE_ARRAY_LEN(faults); i++) {
        uint64_t fired = 1;
        for (uint64_t nth = 1; fired > 0; nth += 1 + nth / 2) {
            instar_change_info info;
            test_fault_set(&(struct test_fault){
                .op = faults[i].op, .path = "run-", .nth = nth, .error = faults[i].error});
            int rc = build(db, &info);
            fired = test_fault_fired();
            test_fault_set(NULL);
            cr_assert(rc == INSTAR_OK || (fired > 0 && rc == faults[i].code), "%s %d: %s: %s",
                      test_op_name(faults[i].op), (int)nth, instar_error_name(rc), info.reason);
            fprintf(stderr, "%s %d: %s\n", test_op_name(faults[i].op), (int)nth,
                    instar_error_name(rc));
            clear(db, rc);
            expect_no_run();
        }
    }
    end(db);
}

static bool refuse_new(size_t size)
{
    (void)size;
    return !refusals_is_new(0, OWN);
}

static bool may_end(int code)
{
    return code == INSTAR_ENOMEM;
}

Test(ddl_spill, memory_is_refused_at_each_place, .timeout = 600)
{
    static const struct refusals refusals = {.may_end = may_end};
    instar_change_info info;
    instar *db = begin();
    uint64_t before;

    base_alloc_hook = refuse_new;
    do {
        before = refusals_count();
        refusals_arm(&refusals, A_FEW);
        int rc = build(db, &info);
        refusals_arm(&refusals, 0);
        cr_assert(rc == INSTAR_OK || rc == INSTAR_ENOMEM, "%s: %s", instar_error_name(rc),
                  info.reason);
        clear(db, rc);
    } while (refusals_count() != before);
    base_alloc_hook = NULL;
    fprintf(stderr, "%d places\n", (int)refusals_count());
    end(db);
}
