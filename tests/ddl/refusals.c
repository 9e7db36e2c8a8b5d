/* SPDX-License-Identifier: Apache-2.0 */
/* Places by their paths of calls, and attempts until none is new. */
#define _GNU_SOURCE
#include "ddl/refusals.h"

#include "ddl/cases.h"
#include "ddl/scene.h"
#include "support/sqls.h"

#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEPTH 10      /* calls that make a place */
#define OWN_MAX 6     /* and those behind them */
#define PLACES 262144 /* a power of two */
#define ATTEMPTS \
    200         /* in one store: each may leave two layouts, of which a table has 1024 at most */
#define A_FEW 8 /* on its way back a change waits longer after each */

static const struct refusals *now;
static _Atomic uint64_t places[PLACES];
static _Atomic uint64_t refused;
static _Atomic int64_t left;             /* in this attempt */
static _Thread_local bool spared = true; /* what the test does itself */

/* Is it new? */
static bool note(uint64_t place)
{
    for (uint64_t at = place;; at++) {
        uint64_t there = 0;
        if (atomic_compare_exchange_strong(&places[at % PLACES], &there, place)) {
            return true;
        }
        if (there == place) {
            return false;
        }
    }
}

/* One of the threads that stay for as long as the store is open, or none of the engine's? */
static bool stays(void)
{
    static const char *const names[] = {"instar-apply", "instar-log", "instar-lease",
                                        "instar-runner"};
    static _Thread_local enum { UNKNOWN, STAYS, GOES } known;
    size_t count = BASE_ARRAY_LEN(names) - now->runners;
    char name[16] = "";

    if (known != UNKNOWN) {
        return known == STAYS;
    }
    if (pthread_getname_np(pthread_self(), name, sizeof(name)) != 0 ||
        strncmp(name, "instar-", 7) != 0) {
        return true;
    }
    known = GOES;
    for (size_t i = 0; i < count; i++) {
        known = strcmp(name, names[i]) == 0 ? STAYS : known;
    }
    return known == STAYS;
}

bool refusals_is_new(uint64_t kind, unsigned own)
{
    void *calls[OWN_MAX + DEPTH];
    bool main_thread = gettid() == getpid();

    expect(own + 1 < OWN_MAX);
    if (atomic_load(&left) <= 0 || (main_thread ? spared : stays())) {
        return false;
    }
    int skipped = (int)own + 1; /* this one */
    int count = backtrace(calls, skipped + DEPTH) - skipped;
    if (count <= 0 ||
        !note(base_hash64(calls + skipped, sizeof(void *) * (size_t)count, kind + 1) | 1)) {
        return false;
    }
    /* A submission is refused one thing: of two that it asks for before it looks at both, the
     * second is met alone in the next attempt, and what it does without shows. */
    atomic_fetch_sub(&left, main_thread ? INT32_MAX : 1);
    atomic_fetch_add(&refused, 1);
    return true;
}

void refusals_arm(const struct refusals *r, int64_t few)
{
    void *first[1];

    (void)backtrace(first, 1); /* it loads a library */
    now = r;
    atomic_store(&left, few);
}

uint64_t refusals_count(void)
{
    return atomic_load(&refused);
}

/* In this process alone. */
static void make(struct scene *s, const struct operation *o)
{
    scene_make(s, o);
    test_kill(&s->steps.first, SIGKILL);
    s->steps.first.pid = 0;
    ok(instar_close(s->db));
    s->db = dbs_open(0);
}

/* The verdict of one attempt, also where the submission was refused. */
static int try(struct scene *s, instar_change_info *info)
{
    *info = (instar_change_info){.id = 0};
    refusals_arm(now, A_FEW);
    spared = false;
    int rc = scene_try(s, s->sql);
    if (rc == INSTAR_OK && s->change != 0) {
        do { /* who waits is refused, too */
            rc = instar_change_wait(s->db, s->change, TEST_AWAIT_S * 1000, info);
        } while (now->may_end(rc));
        rc = rc == INSTAR_EFAILED ? info->error : rc;
    }
    spared = true;
    return rc;
}

/* In a store of its own, until it is done. Was anything refused on the way? */
static bool run(const struct operation *o)
{
    instar_change_info info;
    struct scene s;
    uint64_t began = atomic_load(&refused);
    int rc, attempts = 0;

    make(&s, o);
    while (now->may_end(rc = try(&s, &info)) && attempts < ATTEMPTS) {
        attempts++;
        cr_assert_str_eq(sqls_schema(s.db, NULL), s.before, "%s", o->name);
        cr_assert(s.words[0] != '\0' || info.reason[0] != '\0', "%s: %s without words", o->name,
                  instar_error_name(rc));
    }
    atomic_store(&left, 0);
    if (attempts == ATTEMPTS) { /* the rest in another store */
        scene_close(&s);
        return true;
    }
    cr_assert_eq(rc, o->error, "%s: %s in place of %s: %s %s", o->name, instar_error_name(rc),
                 instar_error_name(o->error), s.words, info.reason);
    fprintf(stderr, "%s: %d attempts, %llu places\n", o->name, attempts,
            (unsigned long long)(atomic_load(&refused) - began));
    scene_expect(&s, o->error == 0);
    scene_close(&s);
    return atomic_load(&refused) != began;
}

void refusals_run(const struct refusals *r)
{
    now = r;
    for (size_t i = 0; i < operations_count; i++) {
        if (cases_take(operations[i].name, r->share)) {
            while (run(&operations[i])) {
            }
        }
    }
    cases_end();
}
