/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory is refused: at each allocation of a course through the whole engine, in whatever thread,
 * once and from then on. What must be true then: trial.h. Besides, no commit is ever in doubt for
 * it, and no store stops.
 *
 * INSTAR_SEED takes range after range of the allocations, each spread over all, of INSTAR_ALLOCS;
 * INSTAR_ALLOC_CASE=NTH,LASTS,AFTER_A_KILL repeats one.
 */
#define _GNU_SOURCE
#include "support/trial.h"

#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define CASES 16
#else
#define CASES 100
#endif

struct refusing {
    uint64_t nth; /* 0: never */
    bool lasts;
    bool recover;
};

static void arm(const struct trial *t)
{
    const struct refusing *r = t->arg;
    test_shortage_set(&(struct test_shortage){.nth = r->nth, .sticky = r->lasts, .all = true});
}

static uint64_t disarm(const struct trial *t)
{
    const struct refusing *r = t->arg;
    test_shortage_set(NULL);
    return r->nth == 0 ? test_shortage_seen() : test_shortage_fired();
}

static bool fits(const struct trial *t, int code)
{
    (void)t;
    return code == INSTAR_ENOMEM || code == INSTAR_EFAILED || code == INSTAR_EBUSY;
}

static bool run_case(const struct refusing *r, struct course_book *book)
{
    char name[80];
    (void)snprintf(name, sizeof(name), "allocation %llu%s%s", (unsigned long long)r->nth,
                   r->lasts ? " and all later ones" : "", r->recover ? ", after a kill" : "");
    struct trial t = {
        .name = name, .recover = r->recover, .arm = arm, .disarm = disarm, .fits = fits, .arg = r};
    bool struck = trial_run(&t, book);
    if (book->wrong) {
        fprintf(stderr, "replay: INSTAR_ALLOC_CASE=%llu,%d,%d tests/fault/alloc_test\n",
                (unsigned long long)r->nth, r->lasts, r->recover);
    }
    return struck;
}

static uint64_t count_all(bool recover, struct course_book *book)
{
    struct refusing never = {.recover = recover};
    struct trial t = {
        .name = "counting", .recover = recover, .arm = arm, .disarm = disarm, .arg = &never};
    return trial_count(&t, book);
}

/* Number by number: from nothing and after a kill, once and lasting. False: there are fewer. */
static bool find_case(uint64_t number, const uint64_t seen[2], struct refusing *r)
{
    uint64_t nth = number / 2;
    r->lasts = number % 2 == 1;
    r->recover = nth >= seen[0];
    r->nth = (r->recover ? nth - seen[0] : nth) + 1;
    return nth < seen[0] + seen[1];
}

static bool run_number(uint64_t number, const void *seen, struct course_book *book,
                       bool *struck_out)
{
    struct refusing r;
    bool found = find_case(number, seen, &r);
    *struck_out = found && run_case(&r, book);
    return found;
}

static bool parse_case(const char *text, struct refusing *r)
{
    unsigned long long nth = 0;
    int lasts = 0, recover = 0;
    bool read = sscanf(text, "%llu,%d,%d", &nth, &lasts, &recover) == 3;
    *r = (struct refusing){.nth = nth, .lasts = lasts != 0, .recover = recover != 0};
    return read;
}

/* Whatever request for memory is refused: nothing is lost, and all goes on. */
Test(allocations, each_is_refused, .timeout = 3600)
{
    struct course_book *book = course_book_new();
    const char *only = getenv("INSTAR_ALLOC_CASE");
    struct refusing r;
    if (only != NULL) {
        expect(parse_case(only, &r));
        (void)run_case(&r, book);
        cr_assert_not(book->wrong);
        return;
    }
    const uint64_t seen[2] = {count_all(false, book), count_all(true, book)};
    uint64_t all = 2 * (seen[0] + seen[1]);
    trial_sample(all, test_env_u64("INSTAR_ALLOCS", CASES), run_number, seen, book);
}
