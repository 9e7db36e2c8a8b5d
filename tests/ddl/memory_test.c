/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each operation while memory is refused at each place that asks for any. Of the threads that stay,
 * which only try again later, alloc_test.c takes care.
 */
#include "ddl/refusals.h"
#include "support/dbs.h"

#if defined(__SANITIZE_ADDRESS__)
#define SHARE 8
#else
#define SHARE 1
#endif
#define OWN 2 /* calls: the hook, and the allocator */

static bool refuse_new(size_t size)
{
    (void)size;
    return !refusals_is_new(0, OWN);
}

static bool may_end(int code)
{
    return code == INSTAR_ENOMEM;
}

/* E1. */
Test(ddl_memory, refused_at_each_place, .timeout = 3600)
{
    base_alloc_hook = refuse_new;
    refusals_run(&(struct refusals){.share = SHARE, .may_end = may_end});
    base_alloc_hook = NULL;
}
