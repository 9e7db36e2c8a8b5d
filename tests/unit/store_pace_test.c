/* SPDX-License-Identifier: Apache-2.0 */
/* Work that nobody waits for gives way to commits. */
#include "support/stores.h"

#define T 3
#define NS_PER_MS UINT64_C(1000000)

TestSuite(store_pace);

/* It sleeps some times as long as a piece took, when anybody has committed meanwhile: not before
 * there was a piece, nor while nobody commits. */
Test(store_pace, work_gives_way_to_commits)
{
    struct store *s = stores_make(NULL);
    struct store_breath b = {0};
    stores_tree_op(s, STORE_TREE_CREATE, T);
    test_clock_start(os_now_ns());
    expect_u64(store_breathe(s, &b), 0);
    test_clock_advance(NS_PER_MS);
    expect_u64(store_breathe(s, &b), 0);
    stores_write(s, T, "k", "1");
    test_clock_advance(NS_PER_MS);
    expect(store_breathe(s, &b) > NS_PER_MS);
    test_clock_stop();
    stores_close(s);
}
