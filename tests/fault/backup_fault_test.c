/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every system call of a backup and of a restore fails once. Each time it is not noticed, or ends
 * with a code that fits and words, and leaves neither a directory nor a descriptor; and the store
 * that was copied does not mind.
 */
#include "support/dbs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define STRIDE 2
#else
#define STRIDE 1
#endif

struct tried {
    bool stays_whole; /* what failed last of all is there, as with instar_create() */
    uint64_t calls, failed;
};

/* One run with the nth call failing. False: there are no more calls. */
static bool once(struct tried *t, const struct test_fault *fault, int (*run)(void *arg), void *arg,
                 const char *made)
{
    size_t before = test_descriptors();
    test_fault_set(fault);
    int rc = run(arg);
    bool fired = test_fault_fired() > 0;
    test_fault_set(NULL);
    bool fits = rc == INSTAR_OK || rc == INSTAR_EIO || rc == INSTAR_ENOSPACE ||
                rc == INSTAR_ESTOPPED || rc == INSTAR_ECOMMIT_UNKNOWN || rc == INSTAR_EBUSY;
    if (!fits || (rc != INSTAR_OK && instar_error_text()[0] == '\0')) {
        test_fail(__FILE__, __LINE__, "call %llu: %s: %s", (unsigned long long)fault->nth,
                  instar_error_name(rc), instar_error_text());
    }
    expect_u64(test_descriptors(), before);
    bool there = access(made, F_OK) == 0;
    if (there && rc != INSTAR_OK && t->stays_whole) {
        instar *db = NULL;
        ok(instar_open(made, NULL, &db));
        dbs_end(db);
    } else {
        expect(there == (rc == INSTAR_OK));
    }
    test_remove(made);
    t->calls += fired;
    t->failed += fired && rc != INSTAR_OK;
    return fired;
}

struct job {
    instar *db;
    char backup[300], restored[300];
};

static int back_up(void *arg)
{
    struct job *job = arg;
    return instar_backup(job->db, job->backup, NULL, NULL);
}

static int restore(void *arg)
{
    struct job *job = arg;
    return instar_restore(job->backup, job->restored, NULL);
}

static void begin(struct job *job)
{
    job->db = dbs_open(0);
    dbs_make_table(job->db, "t");
    for (int64_t i = 1; i <= 100; i++) {
        ok(dbs_insert(job->db, "t", i, i));
    }
    ok(dbs_index(job->db, "t_b", "t", "b", true, NULL));
    (void)snprintf(job->backup, sizeof(job->backup), "%s/backup", test_fast_dir());
    (void)snprintf(job->restored, sizeof(job->restored), "%s/restored", test_fast_dir());
}

Test(backup_fault, each_call_of_a_backup)
{
    static const int errors[] = {ENOSPC, EIO};
    struct tried t = {0};
    struct job job;
    begin(&job);
    for (size_t e = 0; e < BASE_ARRAY_LEN(errors); e++) {
        struct test_fault fault = {
            .op = TEST_ANY_OP, .path = "/backup", .nth = 1, .error = errors[e]};
        while (once(&t, &fault, back_up, &job, job.backup)) {
            fault.nth++;
        }
    }
    fprintf(stderr, "%llu calls failed once, %llu ended the backup\n", (unsigned long long)t.calls,
            (unsigned long long)t.failed);
    expect(t.failed > 20);
    dbs_check_clean(job.db);
    ok(instar_close(job.db));
}

Test(backup_fault, each_call_of_a_restore)
{
    struct tried t = {.stays_whole = true};
    struct job job;
    begin(&job);
    ok(instar_backup(job.db, job.backup, NULL, NULL));
    ok(instar_close(job.db));
    struct test_fault fault = {.op = TEST_ANY_OP, .nth = 1, .error = ENOSPC};
    while (once(&t, &fault, restore, &job, job.restored)) {
        fault.nth += STRIDE;
    }
    fprintf(stderr, "%llu calls failed once, %llu ended the restore\n", (unsigned long long)t.calls,
            (unsigned long long)t.failed);
    expect(t.failed > 20);
}
