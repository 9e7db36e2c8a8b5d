/* SPDX-License-Identifier: Apache-2.0 */
/* The clocks of a machine, beside real time. */
#define _GNU_SOURCE
#include "support/clocks.h"

#include "support/test.h"

#include <sys/mman.h>
#include <time.h>

#define MOVES_MAX 100000
/* Ahead of the real clock, so that a process may be an hour behind on a machine just started. */
#define AHEAD_NS (UINT64_C(24) * CLOCKS_HOUR_NS)

/* From a moment of the real clock on. */
struct move {
    uint64_t real_ns;
    uint64_t shown_ns;
    unsigned slow;
};
struct clocks {
    _Atomic uint32_t now; /* the last move; those before it never change */
    _Atomic int64_t wall_ns;
    _Atomic uint64_t shown_ns; /* the latest that anybody has seen: time never goes back */
    struct move moves[MOVES_MAX];
};

static struct clocks *attached;
static int64_t ahead;

static uint64_t real_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t shown(struct clocks *c)
{
    const struct move *m = &c->moves[atomic_load(&c->now)];
    uint64_t real = real_ns(CLOCK_BOOTTIME);
    uint64_t at = m->shown_ns + ((real > m->real_ns ? real - m->real_ns : 0) >> m->slow);
    uint64_t latest = atomic_load(&c->shown_ns);
    while (at > latest && !atomic_compare_exchange_weak(&c->shown_ns, &latest, at)) {
    }
    return at > latest ? at : latest;
}

static void move(struct clocks *c, uint64_t leap_ns, unsigned slow)
{
    uint32_t next = atomic_load(&c->now) + 1;
    expect(next < MOVES_MAX);
    c->moves[next] = (struct move){real_ns(CLOCK_BOOTTIME), shown(c) + leap_ns, slow};
    atomic_store(&c->now, next);
}

struct clocks *clocks_new(void)
{
    struct clocks *c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    expect(c != MAP_FAILED);
    uint64_t now = real_ns(CLOCK_BOOTTIME);
    c->moves[0] = (struct move){now, now + AHEAD_NS, 0};
    return c;
}

static uint64_t boottime(void *arg)
{
    (void)arg;
    return shown(attached) + (uint64_t)ahead;
}

static int64_t wall(void *arg)
{
    (void)arg;
    return ((int64_t)real_ns(CLOCK_REALTIME) + atomic_load(&attached->wall_ns)) / 1000;
}

void clocks_attach(struct clocks *c, int64_t ahead_ns)
{
    static struct os_hooks hooks;
    attached = c;
    ahead = ahead_ns;
    hooks = os_hooks_now != NULL ? *os_hooks_now : (struct os_hooks){0};
    hooks.boottime_ns = boottime;
    hooks.realtime_us = wall;
    os_hooks_set(&hooks);
}

void clocks_sleep(struct clocks *c, uint64_t ns)
{
    move(c, ns, c->moves[atomic_load(&c->now)].slow);
}

void clocks_set_wall(struct clocks *c, int64_t by_ns)
{
    atomic_fetch_add(&c->wall_ns, by_ns);
}

void clocks_slow(struct clocks *c, unsigned by_two)
{
    move(c, 0, by_two);
}
