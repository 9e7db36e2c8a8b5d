/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running a transaction until it succeeds. Losers wait for a random time that doubles with each
 * loss, so that two of them do not meet again and again; after several losses the turn is reserved,
 * which a transaction shorter than the turn's limit cannot lose to others who also run this way.
 */
#include "txn/txn_impl.h"

#define GIVE_UP_NS (UINT64_C(30) * 1000000000)
#define FIRST_WAIT_NS UINT64_C(50000)
#define LONGEST_WAIT_NS UINT64_C(20000000)
#define LOSSES_BEFORE_TURN 5

static uint64_t random_of(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    return x * UINT64_C(0x2545f4914f6cdd1d);
}

static uint64_t seed(void)
{
    uint64_t state = 0;
    if (os_random(&state, sizeof(state)) != 0 || state == 0) {
        state = os_now_ns() | 1;
    }
    return state;
}

static void back_off(unsigned losses, uint64_t *random)
{
    uint64_t most = FIRST_WAIT_NS << (losses < 12 ? losses : 12);
    if (most > LONGEST_WAIT_NS) {
        most = LONGEST_WAIT_NS;
    }
    os_sleep_ns(random_of(random) % most + 1);
}

static int run_once(struct txn_env *env, unsigned flags, unsigned more,
                    int (*fn)(struct txn *t, void *arg), void *arg, struct base_err *err)
{
    struct txn *t;
    unsigned store_flags;
    base_err_clear(err);
    int rc = txn_store_flags(env, flags, &store_flags, err);
    if (rc == INSTAR_OK) {
        rc = txn_begin_store(env, store_flags | more, &t, err);
    }
    if (rc != INSTAR_OK) {
        return rc;
    }
    rc = fn(t, arg);
    if (rc != INSTAR_OK) {
        txn_abort(t);
        return rc;
    }
    return txn_commit(t, err);
}

int txn_run(struct txn_env *env, unsigned flags, int (*fn)(struct txn *t, void *arg), void *arg,
            struct base_err *err)
{
    uint64_t begun_ns = os_now_ns();
    uint64_t random = 0;
    for (unsigned losses = 0;; losses++) {
        unsigned more = losses >= LOSSES_BEFORE_TURN ? STORE_TXN_RESERVED : 0u;
        int rc = run_once(env, flags, more, fn, arg, err);
        if (base_error_class(rc) != INSTAR_CLASS_RETRY || os_now_ns() - begun_ns >= GIVE_UP_NS) {
            return rc;
        }
        if (random == 0) {
            random = seed();
        }
        back_off(losses, &random);
    }
}
