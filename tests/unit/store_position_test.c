/* SPDX-License-Identifier: Apache-2.0 */
/* How far the log is folded, and who waits for it. */
#include "support/stores.h"

#include <errno.h>

#define T 1

/* A fold that failed is told to who waits for it, until one has succeeded. */
Test(store_position, a_failure_is_over_when_a_fold_succeeds)
{
    struct store *s = stores_make_tree(NULL, T);
    stores_fold(s);
    test_fault_set(&(struct test_fault){
        .op = OS_OP_WRITE, .path = "data.mdb", .nth = 1, .error = ENOSPC, .sticky = true});
    uint64_t lsn = stores_write(s, T, "a", "1");
    uint64_t until_ns = os_now_ns() + UINT64_C(60000000000);
    must_fail(store_wait_applied(s, lsn, until_ns, &test_err), INSTAR_ENOSPACE);
    cr_assert(strstr(test_err.text, "cannot be folded") != NULL, "%s", test_err.text);
    test_fault_set(NULL);
    stores_await_folding(s, lsn);
    lsn = stores_write(s, T, "b", "2");
    must(store_wait_applied(s, lsn, until_ns, &test_err));
    stores_close(s);
}

/* Without being asked, the applier folds what has been pending for a while. */
Test(store_position, folds_when_idle)
{
    struct store *s = stores_make_tree(NULL, T);
    stores_await_folding(s, stores_write(s, T, "k", "1"));
    stores_close(s);
}

/* Close leaves nothing pending: the next open reads everything from the trees. What was folded is
 * not needed again: a log that ends at lo is a whole log. */
Test(store_position, close_folds_everything)
{
    struct store *s = stores_make_tree(NULL, T);
    stores_write(s, T, "k", "1");
    stores_close(s);
    s = stores_open(NULL);
    expect_u64(store_applied(s), store_tail(s));
    stores_read(s, T, "k", "1");
    stores_close(s);
}
