/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a batch syncs delays the log's flushes, so its size goes by who is waiting. Measured with a
 * committer of 256 bytes beside a bulk writer (p99, max; alone 0.25 and 3 ms): batches of 64 MiB
 * back to back 30-50 and 60 ms; 1 MiB 1.5 and 5; 1 MiB and then a pause as long as the batch took
 * 0.85 ms at 85 % of the committer's throughput; 256 KiB with pause 0.36 and 3 at full throughput.
 */
#include "store/pace.h"

#define SYNC_SEEN_NS ((uint64_t)200000000) /* a sync committer this long ago still counts */
#define GENTLE_BYTES ((uint64_t)512 << 10)
#define SMALL_BYTES ((uint64_t)64 << 10)
#define LARGE_BYTES ((uint64_t)32 << 20)
#define GENTLE_TURN_NS ((uint64_t)20000000)
#define TURN_NS ((uint64_t)60000000) /* of 100 ms; the rest is for the sync */
#define PAUSE_MAX_NS ((uint64_t)100000000)

void pace_begin(struct store *s, enum pace_kind kind, struct pace *p)
{
    p->gentle = kind == PACE_POLITE && flush_waited_for_within(s, SYNC_SEEN_NS);
    p->bytes_max = kind == PACE_SMALL ? SMALL_BYTES : p->gentle ? GENTLE_BYTES : LARGE_BYTES;
    p->began_ns = os_now_ns();
    p->until_ns = p->began_ns + (p->gentle ? GENTLE_TURN_NS : TURN_NS);
}

bool pace_full(const struct pace *p, uint64_t bytes)
{
    return bytes >= p->bytes_max || os_now_ns() >= p->until_ns;
}

void pace_pause(const struct store *s, const struct pace *p)
{
    if (p->gentle && !atomic_load(&s->closing)) {
        uint64_t took = os_now_ns() - p->began_ns;
        uint64_t flush = flush_latency_ns(s);
        uint64_t pause = took > flush ? took : flush;
        os_sleep_ns(pause < PAUSE_MAX_NS ? pause : PAUSE_MAX_NS);
    }
}
