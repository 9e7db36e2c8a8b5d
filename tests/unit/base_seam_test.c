/* SPDX-License-Identifier: Apache-2.0 */
/* LMDB's own system calls pass the seam: they are seen, and can be made to fail. */
#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include <lmdb.h>

struct counts {
    int opened;
    int created;
    int written;
    int synced;
    int mapped;
    int closed;
    size_t bytes;
};

static void watch(void *arg, const struct os_call *call, int result)
{
    struct counts *c = arg;
    if (result < 0) {
        return;
    }
    switch (call->op) {
    case OS_OP_OPEN:
        c->opened++;
        c->created += (call->flags & O_EXCL) != 0;
        break;
    case OS_OP_WRITE:
        c->written++;
        c->bytes += (size_t)result;
        expect(call->data != NULL);
        break;
    case OS_OP_SYNC:
        c->synced++;
        break;
    case OS_OP_MAP:
        c->mapped++;
        break;
    case OS_OP_CLOSE:
        c->closed++;
        break;
    default:
        break;
    }
}

static MDB_env *open_env(void)
{
    MDB_env *env;
    cr_assert_eq(mdb_env_create(&env), 0);
    cr_assert_eq(mdb_env_open(env, test_dir(), 0, 0600), 0);
    return env;
}

/* Write values that fill several pages, so that LMDB uses each way of writing it has. */
static int fill(MDB_env *env, size_t value_size)
{
    static char value[100000];
    MDB_txn *txn;
    MDB_dbi dbi;
    int rc = mdb_txn_begin(env, NULL, 0, &txn);
    if (rc != 0) {
        return rc;
    }
    rc = mdb_dbi_open(txn, NULL, 0, &dbi);
    for (int i = 0; rc == 0 && i < 50; i++) {
        MDB_val k = {.mv_size = sizeof(i), .mv_data = &i};
        MDB_val v = {.mv_size = value_size, .mv_data = value};
        rc = mdb_put(txn, dbi, &k, &v, 0);
    }
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

/* Creating, writing, syncing and closing are all seen, with the bytes that are written. */
Test(base_seam, lmdb_operations_are_seen)
{
    struct counts c = {0};
    test_listener_set(&(struct test_listener){.after = watch, .arg = &c});
    MDB_env *env = open_env();
    cr_expect_eq(c.created, 2, "data.mdb and lock.mdb");
    cr_expect_geq(c.opened, 3, "and data.mdb again, for its metas");
    cr_expect_geq(c.mapped, 2);
    struct counts opened = c;
    cr_assert_eq(fill(env, 10000), 0);
    cr_expect_geq(c.synced - opened.synced, 1);
    cr_expect_geq(c.bytes - opened.bytes, 50 * 10000);
    mdb_env_close(env);
    cr_expect_geq(c.closed, 3);
    test_hooks_clear();
}

/* A write of LMDB can be made to fail, and so can its sync. */
Test(base_seam, lmdb_operations_can_fail)
{
    MDB_env *env = open_env();
    test_fault_set(
        &(struct test_fault){.op = OS_OP_WRITE, .path = "data.mdb", .nth = 1, .error = ENOSPC});
    cr_expect_eq(fill(env, 100), ENOSPC);
    cr_expect_eq(test_fault_fired(), 1);
    test_fault_set(&(struct test_fault){.op = OS_OP_SYNC, .nth = 1, .error = EIO});
    cr_expect_eq(fill(env, 100), EIO);
    test_hooks_clear();
    mdb_env_close(env);
}

/* An open and a map that fail are reported by LMDB. */
Test(base_seam, lmdb_open_can_fail)
{
    static const int ops[] = {OS_OP_OPEN, OS_OP_MAP, OS_OP_WRITE, OS_OP_TRUNCATE};
    for (size_t i = 0; i < BASE_ARRAY_LEN(ops); i++) {
        MDB_env *env;
        cr_assert_eq(mdb_env_create(&env), 0);
        test_fault_set(&(struct test_fault){.op = ops[i], .nth = 1, .error = EIO});
        cr_expect_neq(mdb_env_open(env, test_dir(), 0, 0600), 0, "%s", test_op_name(ops[i]));
        cr_expect_eq(test_fault_fired(), 1, "%s", test_op_name(ops[i]));
        test_hooks_clear();
        mdb_env_close(env);
        test_remove(test_path("data.mdb"));
        test_remove(test_path("lock.mdb"));
    }
}
