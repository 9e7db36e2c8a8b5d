/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much room the trees have left. Deletes need pages too, so puts are refused before the last of
 * them is gone: room is kept for what is pending in the log, and for deletes and drops.
 *
 * `map_tight` in `control` says that puts are refused now. Each fold sets it anew. That is not
 * enough to take it back: when an old reader ends, or a purge has emptied a tree, nothing may be
 * left to fold, and nothing can come, because puts are refused. So a commit that is about to be
 * refused looks for itself: after a fold (the applier shows that it has folded before it looks),
 * else ten times a second at most.
 */
#include "store/control.h"
#include "store/store_impl.h"
#include "store/trees.h"

#define ROOM_FACTOR 3 /* the log that may be pending, as pages, twice, and the deletes */
#define LOOK_AGAIN_NS (UINT64_C(100) * 1000000)

int room_look(struct store *s, struct base_err *err)
{
    struct trees_usage u;
    uint64_t unused = 0;
    trees_usage_get(s->trees, &u);
    uint64_t keep = (uint64_t)s->options.segments_pending * s->segment_bytes * ROOM_FACTOR;
    keep = keep < u.map_bytes / 4 ? keep : u.map_bytes / 4;
    bool tight = atomic_load(&s->ctl->map_tight) != 0;
    uint64_t free_bytes = u.map_bytes - u.used_bytes;
    bool is_short = free_bytes < 2 * keep;
    if (is_short) {
        int rc = trees_free_bytes(s->trees, &unused, err);
        if (rc != 0) {
            return rc;
        }
        free_bytes += unused;
        is_short = free_bytes < 2 * keep;
    }
    atomic_store(&s->room_is_short, is_short);
    atomic_store(&s->ctl->map_tight, free_bytes < (tight ? keep + keep / 4 : keep));
    return 0;
}

bool room_refuses(struct store *s)
{
    struct store_control *ctl = s->ctl;
    if (atomic_load_explicit(&ctl->map_tight, memory_order_relaxed) == 0) {
        return false;
    }
    uint64_t now = os_now_ns();
    uint64_t lo = store_applied(s);
    uint64_t looked = atomic_load(&s->room_looked_ns);
    bool folded = atomic_exchange(&s->room_looked_lo, lo) != lo;
    if (!folded && (now - looked < LOOK_AGAIN_NS ||
                    !atomic_compare_exchange_strong(&s->room_looked_ns, &looked, now))) {
        return true;
    }
    trees_reap_readers(s); /* what killed ones keep is room */
    return room_look(s, NULL) != 0 || atomic_load(&ctl->map_tight) != 0;
}
