/* SPDX-License-Identifier: Apache-2.0 */
/* What a killed worker was promised, compared with what the store holds. */
#include "support/kill.h"

#include <stdio.h>
#include <string.h>

struct base_slice kill_key(char out[16], uint32_t worker, uint32_t key)
{
    int size = snprintf(out, 16, "%02u %02u", worker, key);
    return base_slice(out, (size_t)size);
}

/* One in eight is long. The number comes first, then bytes made of it. */
size_t kill_value(uint8_t *out, uint64_t number)
{
    uint64_t mix = base_hash64(&number, sizeof(number), 7);
    size_t size = 8 + (size_t)(mix % ((mix >> 32) % 8 == 0 ? KILL_VALUE_MAX - 8 : 100));
    base_put_u64(out, number);
    memset(out + 8, (int)(mix >> 24 & 0xff), size - 8);
    return size;
}

/* The number under a key, 0 when there is none. */
static uint64_t read_number(struct store_txn *t, uint32_t worker, uint32_t key)
{
    char text[16];
    uint8_t wanted[KILL_VALUE_MAX];
    struct base_slice value;
    int rc = store_txn_get(t, KILL_TREE_OWN, kill_key(text, worker, key), STORE_READ_UNTRACKED,
                           &value, &test_err);
    if (rc == INSTAR_ENOTFOUND) {
        return 0;
    }
    must(rc);
    expect(value.size >= 8);
    uint64_t number = base_get_u64(value.data);
    expect_u64(value.size, kill_value(wanted, number));
    expect(memcmp(value.data, wanted, value.size) == 0);
    return number;
}

void kill_settle(struct store_txn *t, struct kill_world *world, uint32_t worker)
{
    struct kill_record *w = &world->workers[worker];
    uint32_t doubt = atomic_load(&w->doubt);
    if (doubt == KILL_SETTLED) {
        return;
    }
    uint64_t stamp = read_number(t, worker, KILL_STAMP);
    if (stamp == w->may_be.stamp) {
        atomic_store(&w->doubt, KILL_PROMISED); /* if we are killed in the copy */
        w->is = w->may_be;
    } else if (doubt == KILL_PROMISED) {
        test_fail(__FILE__, __LINE__, "worker %u: promised commit %llu is lost, found %llu", worker,
                  (unsigned long long)w->may_be.stamp, (unsigned long long)stamp);
    } else if (stamp != w->is.stamp) {
        test_fail(__FILE__, __LINE__, "worker %u: stamp %llu, expected %llu or %llu", worker,
                  (unsigned long long)stamp, (unsigned long long)w->is.stamp,
                  (unsigned long long)w->may_be.stamp);
    }
    atomic_store(&w->doubt, KILL_SETTLED);
}

void kill_check_worker(struct store_txn *t, struct kill_world *world, uint32_t worker)
{
    const struct kill_expected *is = &world->workers[worker].is;
    for (uint32_t key = 0; key <= KILL_KEYS; key++) {
        uint64_t wanted = key == KILL_STAMP ? is->stamp : is->keys[key];
        uint64_t found = read_number(t, worker, key);
        if (found != wanted) {
            test_fail(__FILE__, __LINE__, "worker %u, key %u: value %llu, expected %llu", worker,
                      key, (unsigned long long)found, (unsigned long long)wanted);
        }
    }
}

/* Both halves of a pair are always written in one transaction. */
void kill_check_pairs(struct store_txn *t)
{
    struct store_range range = {0};
    struct store_cursor *cursor;
    struct base_slice key;
    struct base_slice value;
    uint64_t half = 0;
    uint64_t count = 0;
    int rc;
    must(store_cursor_open(t, KILL_TREE_PAIRS, &range, STORE_READ_UNTRACKED, &cursor, &test_err));
    while ((rc = store_cursor_next(cursor, &key, &value, &test_err)) == 0) {
        expect(value.size == 8);
        if (count++ % 2 == 0) {
            half = base_get_u64(value.data);
        } else {
            expect_u64(base_get_u64(value.data), half);
        }
    }
    expect(rc == INSTAR_END);
    expect(count % 2 == 0);
    store_cursor_close(cursor);
}

void kill_check_all(struct store *s, struct kill_world *world)
{
    struct store_txn *t;
    struct base_slice value;
    uint64_t added = 0;
    uint64_t found = 0;
    must(store_txn_begin(s, STORE_TXN_READONLY, &t, &test_err));
    for (uint32_t worker = 0; worker < KILL_WORKERS_MAX; worker++) {
        kill_settle(t, world, worker);
        kill_check_worker(t, world, worker);
        added += world->workers[worker].is.added;
    }
    kill_check_pairs(t);
    int rc = store_txn_get(t, KILL_TREE_COUNTER, base_slice("c", 1), STORE_READ_UNTRACKED, &value,
                           &test_err);
    if (rc != INSTAR_ENOTFOUND) {
        must(rc);
        found = base_get_u64(value.data);
    }
    expect_u64(found, added);
    store_txn_abort(t);
}
