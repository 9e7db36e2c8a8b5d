/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each operation while memory is refused at each place that asks for any, in the threads that
 * submit and run the change: a place is a path of calls, and is refused when it is come by for the
 * first time, but only a few in each attempt. Where the change fails for it all is as it was, and
 * it is submitted again; and all of it in another store, until nothing new is on its way. Of the
 * threads that stay, which only try
 * again later, alloc_test.c takes care.
 */
#define _GNU_SOURCE
#include "ddl/cases.h"
#include "ddl/scene.h"

#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SHARE 8
#else
#define SHARE 1
#endif
#define DEPTH 10      /* calls that make a place */
#define SKIPPED 3     /* of these: the hook's own, and the allocator's */
#define PLACES 262144 /* a power of two */
#define ATTEMPTS 20000
#define A_FEW 8 /* on its way back a change waits longer after each */

static _Atomic uint64_t places[PLACES];
static _Atomic uint64_t refused;
static _Atomic int64_t left;      /* in this attempt */
static _Thread_local bool spared; /* what the test does itself */

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

/* One of the threads that stay for as long as the store is open, or one that has no name yet? */
static bool stays(void)
{
    static const char *const names[] = {"instar-apply", "instar-log", "instar-lease",
                                        "instar-runner"};
    static _Thread_local enum { UNKNOWN, STAYS, GOES } known;
    char name[16] = "";

    if (known != UNKNOWN || gettid() == getpid()) {
        return known == STAYS;
    }
    if (pthread_getname_np(pthread_self(), name, sizeof(name)) != 0 ||
        strncmp(name, "instar-", 7) != 0) {
        return true;
    }
    known = GOES;
    for (size_t i = 0; i < BASE_ARRAY_LEN(names); i++) {
        known = strcmp(name, names[i]) == 0 ? STAYS : known;
    }
    return known == STAYS;
}

static bool refuse_new(size_t size)
{
    void *calls[SKIPPED + DEPTH];

    (void)size;
    if (atomic_load(&left) <= 0 || spared || stays()) {
        return true;
    }
    int count = backtrace(calls, BASE_ARRAY_LEN(calls)) - SKIPPED;
    if (count <= 0 || !note(base_hash64(calls + SKIPPED, sizeof(void *) * (size_t)count, 1) | 1)) {
        return true;
    }
    atomic_fetch_sub(&left, 1);
    atomic_fetch_add(&refused, 1);
    return false;
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

/* The verdict of one attempt, ENOMEM also where the submission was refused. */
static int try(struct scene *s, instar_change_info *info)
{
    *info = (instar_change_info){.id = 0};
    atomic_store(&left, A_FEW);
    spared = false;
    int rc = scene_try(s, s->sql);
    spared = true;
    if (rc != INSTAR_OK) {
        return rc;
    }
    if (s->change == 0) {
        return INSTAR_OK;
    }
    rc = instar_change_wait(s->db, s->change, TEST_AWAIT_S * 1000, info);
    return rc == INSTAR_EFAILED ? info->error : rc;
}

/* In a store of its own, until it is done. Was anything refused on the way? */
static bool run(const struct operation *o)
{
    instar_change_info info;
    struct scene s;
    uint64_t began = atomic_load(&refused);
    int rc, attempts = 0;

    make(&s, o);
    while ((rc = try(&s, &info)) == INSTAR_ENOMEM && attempts < ATTEMPTS) {
        attempts++;
        cr_assert_str_eq(scene_schema(s.db), s.before, "%s", o->name);
    }
    atomic_store(&left, 0);
    cr_assert_eq(rc, o->error, "%s: %s in place of %s: %s %s", o->name, instar_error_name(rc),
                 instar_error_name(o->error), s.words, info.reason);
    fprintf(stderr, "%s: %d attempts, %llu places\n", o->name, attempts,
            (unsigned long long)(atomic_load(&refused) - began));
    scene_expect(&s, o->error == 0);
    scene_close(&s);
    return atomic_load(&refused) != began;
}

/* E1. */
Test(ddl_memory, refused_at_each_place, .timeout = 3600)
{
    void *first[1];

    (void)backtrace(first, 1); /* it loads a library */
    spared = true;
    base_alloc_hook = refuse_new;
    for (size_t i = 0; i < operations_count; i++) {
        if (cases_take(operations[i].name, SHARE)) {
            while (run(&operations[i])) {
            }
        }
    }
    base_alloc_hook = NULL;
    cases_end();
}
