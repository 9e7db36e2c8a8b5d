/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each operation while the store refuses each call of the layers above it, on each path of calls,
 * with the codes that it may give: a page that cannot be read, no snapshot or tree to be had, a
 * lost race, a disk or a map without room. Its functions are bent at link time (--wrap) in this
 * one program. A call that was refused has done nothing; a commit that was refused has ended its
 * transaction.
 */
#include "ddl/refusals.h"
#include "store/store.h"
#include "support/dbs.h"

#if defined(__SANITIZE_ADDRESS__)
#define SHARE 24
#else
#define SHARE 6
#endif
#define OWN 2 /* calls: refused, and the function */

/* One of these, each for a place of its own; 0: go on. */
static int refused(struct base_err *err, const char *what, const int *codes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (refusals_is_new((uint64_t)-codes[i], OWN)) {
            return base_err_set(err, codes[i], "%s: the test says so", what);
        }
    }
    return 0;
}

/* BENT(function, (its parameters), (their names), what it does when it is refused, codes…) */
#define BENT(function, parameters, names, end, ...)                     \
    int __real_##function parameters;                                   \
    int __wrap_##function parameters;                                   \
    int __wrap_##function parameters                                    \
    {                                                                   \
        static const int codes[] = {__VA_ARGS__};                       \
        int rc = refused(err, #function, codes, BASE_ARRAY_LEN(codes)); \
        if (rc != 0) {                                                  \
            end;                                                        \
        }                                                               \
        return rc != 0 ? rc : __real_##function names;                  \
    }

BENT(store_txn_begin,
     (struct store * s, unsigned flags, struct store_txn **txn_out, struct base_err *err),
     (s, flags, txn_out, err), *txn_out = NULL, INSTAR_EBUSY, INSTAR_ESLOTS)
BENT(store_txn_get,
     (struct store_txn * t, uint64_t tree, struct base_slice key, enum store_read how,
      struct base_slice *value_out, struct base_err *err),
     (t, tree, key, how, value_out, err), *value_out = (struct base_slice){0}, INSTAR_ECORRUPT)
BENT(store_txn_put,
     (struct store_txn * t, uint64_t tree, struct base_slice key, struct base_slice value,
      struct base_err *err),
     (t, tree, key, value, err), (void)0, INSTAR_ELIMIT)
BENT(store_txn_delete,
     (struct store_txn * t, uint64_t tree, struct base_slice key, struct base_err *err),
     (t, tree, key, err), (void)0, INSTAR_ELIMIT)
BENT(store_txn_tree_op,
     (struct store_txn * t, enum store_tree_op op, uint64_t tree, struct base_err *err),
     (t, op, tree, err), (void)0, INSTAR_ELIMIT)
BENT(store_txn_commit,
     (struct store_txn * t, const struct store_commit *how, uint64_t *lsn_out,
      struct base_err *err),
     (t, how, lsn_out, err), store_txn_abort(t), INSTAR_ECONFLICT, INSTAR_ESNAPSHOT_TOO_OLD,
     INSTAR_ENOSPACE)
BENT(store_cursor_open,
     (struct store_txn * t, uint64_t tree, const struct store_range *range, enum store_read how,
      struct store_cursor **cursor_out, struct base_err *err),
     (t, tree, range, how, cursor_out, err), *cursor_out = NULL, INSTAR_ECORRUPT)
BENT(store_cursor_next,
     (struct store_cursor * c, struct base_slice *key_out, struct base_slice *value_out,
      struct base_err *err),
     (c, key_out, value_out, err), (void)0, INSTAR_ECORRUPT)
BENT(store_wait_applied,
     (struct store * s, uint64_t lsn, uint64_t deadline_ns, struct base_err *err),
     (s, lsn, deadline_ns, err), (void)0, INSTAR_EMAPFULL)
BENT(store_build_claim, (struct store * s, uint64_t tree, uint64_t token, struct base_err *err),
     (s, tree, token, err), (void)0, INSTAR_ESLOTS, INSTAR_EIO)
BENT(store_bulk_begin,
     (struct store * s, uint64_t tree, uint64_t token, bool hurry, struct store_bulk **bulk_out,
      struct base_err *err),
     (s, tree, token, hurry, bulk_out, err), *bulk_out = NULL, INSTAR_EMAPFULL)
BENT(store_bulk_append,
     (struct store_bulk * b, struct base_slice key, struct base_slice value, struct base_err *err),
     (b, key, value, err), (void)0, INSTAR_EMAPFULL)
BENT(store_bulk_progress, (struct store_bulk * b, struct base_slice progress, struct base_err *err),
     (b, progress, err), (void)0, INSTAR_EMAPFULL)
BENT(store_bulk_commit, (struct store_bulk * b, struct base_err *err), (b, err),
     store_bulk_abort(b), INSTAR_EIO)
BENT(store_build_progress,
     (struct store * s, uint64_t tree, struct base_buf *progress_out, struct base_err *err),
     (s, tree, progress_out, err), (void)0, INSTAR_ECORRUPT)
BENT(store_build_fold,
     (struct store * s, uint64_t tree, uint64_t token, bool hurry, uint64_t *left_out,
      struct base_err *err),
     (s, tree, token, hurry, left_out, err), (void)0, INSTAR_EMAPFULL)
BENT(store_build_settle, (struct store * s, uint64_t tree, uint64_t token, struct base_err *err),
     (s, tree, token, err), (void)0, INSTAR_EIO)
BENT(store_tree_stat,
     (struct store * s, uint64_t tree, struct store_tree_stat *stat_out, struct base_err *err),
     (s, tree, stat_out, err), (void)0, INSTAR_ECORRUPT)
BENT(store_spill_create, (struct store * s, const char *name, int *fd_out, struct base_err *err),
     (s, name, fd_out, err), *fd_out = -1, INSTAR_ENOSPACE)
BENT(store_spill_open, (struct store * s, const char *name, int *fd_out, struct base_err *err),
     (s, name, fd_out, err), *fd_out = -1, INSTAR_EIO)

static bool may_end(int code)
{
    static const int codes[] = {INSTAR_EBUSY,    INSTAR_ESLOTS,    INSTAR_ECORRUPT,
                                INSTAR_ELIMIT,   INSTAR_ECONFLICT, INSTAR_ESNAPSHOT_TOO_OLD,
                                INSTAR_ENOSPACE, INSTAR_EMAPFULL,  INSTAR_EIO};

    for (size_t i = 0; i < BASE_ARRAY_LEN(codes); i++) {
        if (code == codes[i]) {
            return true;
        }
    }
    return false;
}

/* E1. */
Test(ddl_store_calls, refused_at_each_place, .timeout = 3600)
{
    refusals_run(&(struct refusals){.share = SHARE, .runners = true, .may_end = may_end});
}
