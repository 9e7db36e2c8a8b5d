/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Live progress, in shared memory: one slot for each change that is being run.
 *
 *      0  u64 sequence: odd while it is being written
 *      8  u64 change id, 0: free
 *     16  struct live, as 64-bit words
 *
 * One runner writes a slot, any process reads it: copy the words, and take them only when the
 * sequence was even and did not move. A runner that was killed while it wrote leaves it odd; the
 * next one goes on from there. Should two write (one has lost its claim and does not know yet), a
 * reader may see words of both; so strings are ended by the reader, and nothing relies on them.
 */
#include "change/job_impl.h"

#include <string.h>

#define SLOT_SIZE 512
#define SLOT_WORDS (sizeof(struct live) / sizeof(uint64_t))
#define READ_TRIES 64

struct slot {
    _Atomic uint64_t sequence;
    _Atomic uint64_t change;
    _Atomic uint64_t words[SLOT_WORDS];
    uint8_t unused[SLOT_SIZE - 16 - sizeof(struct live)];
};
_Static_assert(sizeof(struct live) % sizeof(uint64_t) == 0, "copied by words");
_Static_assert(sizeof(struct slot) == SLOT_SIZE, "layout of the shared area");

static struct slot *slots(struct store *s, size_t *count_out)
{
    size_t size;
    struct slot *first = store_shared_area(s, STORE_AREA_CHANGE, &size);

    *count_out = size / sizeof(*first);
    return first;
}

static void copy_out(const struct slot *slot, struct live *live_out)
{
    uint64_t words[SLOT_WORDS];

    for (size_t i = 0; i < SLOT_WORDS; i++) {
        words[i] = atomic_load_explicit(&slot->words[i], memory_order_acquire);
    }
    memcpy(live_out, words, sizeof(*live_out));
    live_out->stage[sizeof(live_out->stage) - 1] = 0;
    live_out->waiting_for[sizeof(live_out->waiting_for) - 1] = 0;
    live_out->throttle[sizeof(live_out->throttle) - 1] = 0;
    live_out->trouble[sizeof(live_out->trouble) - 1] = 0;
}

static struct slot *find(struct store *s, uint64_t change, size_t *at_out)
{
    size_t count;
    struct slot *all = slots(s, &count);

    for (size_t i = 0; i < count; i++) {
        if (atomic_load_explicit(&all[i].change, memory_order_acquire) == change) {
            *at_out = i;
            return &all[i];
        }
    }
    return NULL;
}

size_t live_open(struct store *s, uint64_t change, struct live *shown_out)
{
    size_t at;
    size_t count;
    struct slot *slot = find(s, change, &at);

    memset(shown_out, 0, sizeof(*shown_out));
    if (slot != NULL) {
        copy_out(slot, shown_out);
        return at;
    }
    slot = slots(s, &count);
    for (size_t i = 0; i < count; i++) {
        uint64_t free = 0;
        if (atomic_compare_exchange_strong(&slot[i].change, &free, change)) {
            live_write(s, i, change, shown_out);
            return i;
        }
    }
    return LIVE_NONE;
}

void live_write(struct store *s, size_t at, uint64_t change, const struct live *live)
{
    size_t count;
    uint64_t words[SLOT_WORDS];

    if (at == LIVE_NONE) {
        return;
    }
    struct slot *slot = &slots(s, &count)[at];
    base_assert(at < count);
    if (atomic_load_explicit(&slot->change, memory_order_relaxed) != change) {
        return; /* another runner has ended the change, and this one does not know yet */
    }
    memcpy(words, live, sizeof(words));
    uint64_t sequence = atomic_load_explicit(&slot->sequence, memory_order_relaxed) | 1;
    atomic_store_explicit(&slot->sequence, sequence, memory_order_relaxed);
    /* Release and acquire of each word: who sees a new one sees the odd sequence before it. */
    for (size_t i = 0; i < SLOT_WORDS; i++) {
        atomic_store_explicit(&slot->words[i], words[i], memory_order_release);
    }
    atomic_store_explicit(&slot->sequence, sequence + 1, memory_order_release);
}

void live_close(struct store *s, size_t at, uint64_t change)
{
    size_t count;

    if (at != LIVE_NONE) {
        struct slot *slot = &slots(s, &count)[at];
        atomic_compare_exchange_strong(&slot->change, &change, 0);
    }
}

size_t live_list(struct store *s, uint64_t changes_out[LIVE_SLOTS_MAX])
{
    size_t count;
    struct slot *all = slots(s, &count);

    base_assert(count <= LIVE_SLOTS_MAX);
    for (size_t i = 0; i < count; i++) {
        changes_out[i] = atomic_load_explicit(&all[i].change, memory_order_acquire);
    }
    return count;
}

bool live_read(struct store *s, uint64_t change, struct live *live_out)
{
    size_t at;
    const struct slot *slot = find(s, change, &at);

    for (int i = 0; slot != NULL && i < READ_TRIES; i++) {
        uint64_t before = atomic_load_explicit(&slot->sequence, memory_order_acquire);
        if (before % 2 != 0) {
            continue;
        }
        copy_out(slot, live_out);
        if (atomic_load_explicit(&slot->sequence, memory_order_relaxed) == before) {
            return atomic_load_explicit(&slot->change, memory_order_relaxed) == change;
        }
    }
    memset(live_out, 0, sizeof(*live_out));
    return false;
}
