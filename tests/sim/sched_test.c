/* SPDX-License-Identifier: Apache-2.0 */
/* The scheduler of simulated worlds: that it can find what it is there for. */
#include "sim/sim.h"

#include <errno.h>

#include <string.h>
#include <sys/mman.h>

#define THREADS 3
#define LETTERS 12

static struct os_plain_mutex first, second;

static void *lock_backwards(void *arg)
{
    (void)arg;
    os_plain_lock(&second);
    os_plain_lock(&first);
    os_plain_unlock(&first);
    os_plain_unlock(&second);
    return NULL;
}

static void lock_both(void *arg)
{
    struct os_thread t;

    (void)arg;
    os_plain_init(&first);
    os_plain_init(&second);
    expect(os_thread_start(&t, "backwards", lock_backwards, NULL) == 0);
    os_plain_lock(&first);
    os_plain_lock(&second);
    os_plain_unlock(&second);
    os_plain_unlock(&first);
    os_thread_join(&t);
}

/* Two threads that take two locks in opposite orders: of some seeds they get through, of others
 * they do not, and that is seen at once. */
Test(sched, a_deadlock_is_seen)
{
    struct sim_result r;
    int seen = 0;

    for (uint64_t seed = 1; seed <= 40; seed++) {
        sim_try(seed, lock_both, NULL, &r);
        cr_assert(r.words[0] == '\0' || strstr(r.words, "deadlock") != NULL, "%s", r.words);
        seen += r.words[0] != '\0';
    }
    cr_assert(seen > 0 && seen < 40, "%d of 40", seen);
}

static _Atomic uint32_t word;

static void wait_for_nobody(void *arg)
{
    uint64_t begun_ns = os_now_ns();

    (void)arg;
    os_sleep_ns(3600 * SIM_NS_PER_S / 10);
    expect(os_futex_wait(&word, 0, 60 * SIM_NS_PER_S) == -ETIMEDOUT);
    expect(os_now_ns() - begun_ns >= 420 * SIM_NS_PER_S);
}

/* Seven minutes of waiting are over when nobody has anything to do meanwhile. */
Test(sched, time_leaps, .timeout = 60)
{
    struct sim_result r;

    sim_try(1, wait_for_nobody, NULL, &r);
    cr_assert_str_empty(r.words, "%s", r.words);
    cr_assert(r.lived_ns >= 420 * SIM_NS_PER_S && r.lived_ns < 421 * SIM_NS_PER_S);
}

struct story {
    _Atomic uint32_t count;
    char letters[THREADS * LETTERS + 1];
};
struct teller {
    struct story *story;
    struct os_thread thread;
    char letter;
};

static void *tell(void *arg)
{
    const struct teller *t = arg;

    for (int i = 0; i < LETTERS; i++) {
        t->story->letters[t->story->count++] = t->letter;
        (void)os_now_ns();
    }
    return NULL;
}

static void tell_together(void *arg)
{
    struct teller tellers[THREADS];

    for (int i = 0; i < THREADS; i++) {
        tellers[i] = (struct teller){.story = arg, .letter = (char)('a' + i)};
        expect(os_thread_start(&tellers[i].thread, "teller", tell, &tellers[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        os_thread_join(&tellers[i].thread);
    }
}

static uint64_t order_of(uint64_t seed, struct story *s)
{
    struct sim_result r;

    *s = (struct story){.count = 0};
    sim_try(seed, tell_together, s, &r);
    cr_assert_str_empty(r.words, "%s", r.words);
    cr_assert_eq(s->count, THREADS * LETTERS);
    return r.trace;
}

/* The order of what threads do is the seed's, and no other. */
Test(sched, the_seed_is_the_order)
{
    struct story *s = test_shared(sizeof(*s));
    char letters[THREADS * LETTERS + 1];
    int others = 0;

    uint64_t trace = order_of(7, s);
    memcpy(letters, s->letters, sizeof(letters));
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(order_of(7, s), trace);
        cr_assert_str_eq(s->letters, letters);
    }
    for (uint64_t seed = 8; seed < 18; seed++) {
        (void)order_of(seed, s);
        others += strcmp(s->letters, letters) != 0;
    }
    cr_assert(others >= 9, "%d", others);
    munmap(s, sizeof(*s));
}

static void fail(void *arg)
{
    (void)arg;
    sim_fail("so it is");
}

/* What a process says when it ends in the middle is kept. */
Test(sched, a_failure_is_told)
{
    struct sim_result r;

    sim_try(1, fail, NULL, &r);
    cr_assert_str_eq(r.words, "so it is");
}
