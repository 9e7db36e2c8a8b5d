/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a batch syncs delays the log's flushes, so its size goes by who is waiting. Measured with a
 * committer of 256 bytes beside a bulk writer (p99, max; alone 0.25 and 3 ms): batches of 64 MiB
 * back to back 30-50 and 60 ms; 1 MiB 1.5 and 5; 1 MiB and then a pause as long as the batch took
 * 0.85 ms at 85 % of the committer's throughput; 256 KiB with pause 0.36 and 3 at full throughput.
 * These were pages in a row. Random pages, which the device writes one by one, take 8 ms for 512
 * KiB; smaller batches then only sync more often: 8 committers beside a build keep 75 % of their
 * throughput with batches of 256 KiB, 83 with 512, 85 with 1 and 2 MiB, which has a longer p99.
 */
#include "store/pace.h"

#define SYNC_SEEN_NS ((uint64_t)200000000) /* a sync committer this long ago still counts */
#define SYNC_BUSY_NS ((uint64_t)20000000)  /* they come again and again: patience pays */
#define GENTLE_BYTES ((uint64_t)1 << 20)
#define SMALL_BYTES ((uint64_t)64 << 10)
#define LARGE_BYTES ((uint64_t)32 << 20)
#define GENTLE_TURN_NS ((uint64_t)20000000)
#define TURN_NS ((uint64_t)60000000) /* of 100 ms; the rest is for the sync */
#define PAUSE_MAX_NS ((uint64_t)100000000)
/* How many times as long as it worked a build stands back while others commit. Measured on 2 cores:
 * 8 sync writers keep 74 % of their throughput with 3 and 84 % with 6; an async writer keeps a
 * tenth more with 3 than with 1. Short pieces matter as much: each may delay a committer's wake-up.
 * Between the pieces of a scan it is more for sync writers: 8 that update keep 64 % with 6 and 77 %
 * with 16, and their p99 is 2.9 times idle's in place of 3.5. Not between LMDB transactions: a fold
 * must stay faster than what they write.
 */
#define STAND_BACK_SYNC 6
#define STAND_BACK_ASYNC 3
#define STAND_BACK_BREATH 16
#define BREATH_LEAST_NS ((uint64_t)200000)
#define PIECE_MAX_NS ((uint64_t)5000000) /* the rest of a longer piece was spent waiting */

/* How long to stand back after work of so long. */
static uint64_t stand_back_ns(const struct store *s, uint64_t took_ns, uint64_t tail_before,
                              uint64_t for_sync)
{
    if (store_tail(s) == tail_before) {
        return 0;
    }
    return took_ns * (flush_waited_for_within(s, SYNC_SEEN_NS) ? for_sync : STAND_BACK_ASYNC);
}

void pace_begin(struct store *s, enum pace_kind kind, struct pace *p)
{
    p->stands_back = kind == PACE_BUILD;
    p->tail = store_tail(s);
    p->patience = 1;
    p->gentle =
        (kind == PACE_POLITE || kind == PACE_BUILD) && flush_waited_for_within(s, SYNC_SEEN_NS);
    p->bytes_max = kind == PACE_SMALL ? SMALL_BYTES : p->gentle ? GENTLE_BYTES : LARGE_BYTES;
    p->began_ns = os_now_ns();
    p->until_ns = p->began_ns + (p->gentle ? GENTLE_TURN_NS : TURN_NS);
}

bool pace_full(const struct pace *p, uint64_t bytes)
{
    return bytes >= p->bytes_max || os_now_ns() >= p->until_ns;
}

void pace_pause(struct store *s, const struct pace *p)
{
    uint64_t took = os_now_ns() - p->began_ns;
    uint64_t pause = p->stands_back ? stand_back_ns(s, took, p->tail, STAND_BACK_SYNC) : 0;
    if (p->gentle) {
        uint64_t flush = flush_latency_ns(s);
        uint64_t polite = took > flush ? took : flush;
        polite *= flush_waited_for_within(s, SYNC_BUSY_NS) ? p->patience : 1;
        pause = pause > polite ? pause : polite;
    }
    if (pause > 0 && !atomic_load(&s->closing)) {
        os_sleep_ns(pause < PAUSE_MAX_NS ? pause : PAUSE_MAX_NS);
    }
}

uint64_t store_breathe(struct store *s, struct store_breath *b)
{
    uint64_t now = os_now_ns();
    uint64_t took = b->since_ns != 0 ? now - b->since_ns : 0;
    uint64_t pause = 0;
    if (b->since_ns != 0 && took < BREATH_LEAST_NS) {
        return 0;
    }
    if (b->since_ns != 0) {
        pause =
            stand_back_ns(s, took < PIECE_MAX_NS ? took : PIECE_MAX_NS, b->tail, STAND_BACK_BREATH);
    }
    if (pause > 0 && !atomic_load(&s->closing)) {
        os_sleep_ns(pause);
        now = os_now_ns();
    }
    *b = (struct store_breath){.since_ns = now, .tail = store_tail(s)};
    return pause;
}
