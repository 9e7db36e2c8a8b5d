/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each file operation of a course through the whole engine fails, by each error that it may give:
 * once, and from then on. So do short reads and writes. What must be true then: trial.h.
 *
 * A case is a number. INSTAR_SEED takes range after range of them, each spread over all, of
 * INSTAR_SYSCALLS cases. How many there are depends on what the threads do when, so a failure is
 * repeated by what it was: INSTAR_SYSCALL_CASE=OP,NTH,ERRNO,LASTS,AFTER_A_KILL.
 *
 * And each place that calls for an operation, by its last calls, fails where it is come by first:
 * each is counted. INSTAR_SYSCALL_SITES of them are, from the seed's on; which of its errors, and
 * whether it lasts, is another for each seed. INSTAR_SYSCALL_SITE=PLACE,ERRNO,LASTS,AFTER_A_KILL.
 */
#define _GNU_SOURCE
#include "support/trial.h"

#include <errno.h>
#include <execinfo.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define CASES 40
#define SITES 8
#else
#define CASES 200
#define SITES 40
#endif

#define OPS (OS_OP_LOCK + 1)
#define SHORT (-1) /* in place of an error: fewer bytes are moved */
#define SHORT_BYTES 7

/* How each operation may fail. */
static const int errors[OPS][7] = {[OS_OP_OPEN] = {EMFILE, ENOSPC, EIO, EACCES, EINTR, ENFILE},
                                   [OS_OP_CLOSE] = {EIO, EINTR},
                                   [OS_OP_READ] = {EIO, EINTR, SHORT, EAGAIN},
                                   [OS_OP_WRITE] = {ENOSPC, EIO, EDQUOT, EINTR, SHORT, EAGAIN},
                                   [OS_OP_SYNC] = {EIO, ENOSPC, EDQUOT},
                                   [OS_OP_SYNC_DIR] = {EIO, ENOSPC},
                                   [OS_OP_ALLOCATE] = {ENOSPC, EDQUOT, EIO, EINTR, EFBIG, EAGAIN},
                                   [OS_OP_ZERO_RANGE] = {ENOSPC, EIO, EINTR, EAGAIN},
                                   [OS_OP_TRUNCATE] = {ENOSPC, EIO, EINTR, EAGAIN},
                                   [OS_OP_RENAME] = {ENOSPC, EIO, EDQUOT},
                                   [OS_OP_UNLINK] = {EIO, EACCES},
                                   [OS_OP_MKDIR] = {ENOSPC, EDQUOT, EACCES},
                                   [OS_OP_SYMLINK] = {ENOSPC, EDQUOT, EIO},
                                   [OS_OP_MAP] = {ENOMEM, ENODEV, EAGAIN},
                                   [OS_OP_STAT] = {EIO, ENOMEM},
                                   [OS_OP_LOCK] = {ENOLCK, EINTR, EAGAIN}};

/* Operations of a course, by kind; shared with the trial that counts them. */
static uint64_t *counts;

struct failing {
    struct test_fault fault;
    bool recover;
};

static void count_call(void *arg, const struct os_call *call)
{
    (void)arg;
    __atomic_fetch_add(&counts[call->op], 1, __ATOMIC_RELAXED);
}

static void arm_count(const struct trial *t)
{
    (void)t;
    test_listener_set(&(struct test_listener){.before = count_call});
}

static uint64_t disarm_count(const struct trial *t)
{
    (void)t;
    test_listener_set(NULL);
    return 0;
}

static void arm(const struct trial *t)
{
    const struct failing *f = t->arg;
    test_fault_set(&f->fault);
}

static uint64_t disarm(const struct trial *t)
{
    uint64_t fired = test_fault_fired();
    (void)t;
    test_fault_set(NULL);
    return fired;
}

/* What such a failure may become; anything else would be a wrong diagnosis. */
static bool fits(const struct trial *t, int code)
{
    const struct failing *f = t->arg;
    switch (code) {
    case INSTAR_EFAILED: /* a change was undone, and says why */
    case INSTAR_ESTOPPED:
    case INSTAR_ECOMMIT_UNKNOWN:
    case INSTAR_EBUSY:
        return true;
    case INSTAR_ENOSPACE:
        return f->fault.error == ENOSPC || f->fault.error == EDQUOT || f->fault.error == EFBIG ||
               (f->fault.short_bytes != 0 && f->fault.op == OS_OP_WRITE); /* so LMDB takes it */
    case INSTAR_ESLOTS:
        return f->fault.error == EMFILE || f->fault.error == ENFILE;
    case INSTAR_EACCESS:
        return f->fault.error == EACCES;
    case INSTAR_ENOMEM:
        return f->fault.error == ENOMEM;
    case INSTAR_ECORRUPT: /* what the check cannot read is a finding; and LMDB does not go on with a
                           * read that was short */
        return f->fault.op == OS_OP_READ;
    default:
        return code == INSTAR_EIO;
    }
}

/* The errors of one kind, and how many: those that do not end may not last. */
static size_t error_count(int op)
{
    size_t n = 0;
    while (n < BASE_ARRAY_LEN(errors[op]) && errors[op][n] != 0) {
        n++;
    }
    return n;
}

static bool may_last(int error)
{
    return error != EINTR && error != SHORT;
}

/* The case with this number, by counting through all. False: there are fewer. */
static bool find_case(uint64_t number, const uint64_t seen[2][OPS], struct failing *f)
{
    for (int recover = 0; recover < 2; recover++) {
        for (int op = 0; op < OPS; op++) {
            uint64_t kinds = error_count(op) * 2;
            uint64_t all = seen[recover][op] * kinds;
            if (number < all) {
                int error = errors[op][number % kinds / 2];
                *f = (struct failing){.recover = recover == 1,
                                      .fault = {.op = op,
                                                .nth = number / kinds + 1,
                                                .error = error != SHORT ? error : 0,
                                                .short_bytes = error == SHORT ? SHORT_BYTES : 0,
                                                .sticky = number % 2 == 1 && may_last(error)}};
                return number % 2 == 0 || may_last(error);
            }
            number -= all;
        }
    }
    return false;
}

static void describe(const struct failing *f, char *text, size_t size)
{
    (void)snprintf(text, size, "%s %llu%s %s%s", test_op_name(f->fault.op),
                   (unsigned long long)f->fault.nth, f->fault.sticky ? " and all later ones" : "",
                   f->fault.short_bytes != 0 ? "is short" : strerrorname_np(f->fault.error),
                   f->recover ? ", after a kill" : "");
}

static bool run_case(const struct failing *f, struct course_book *book)
{
    char name[160];
    describe(f, name, sizeof(name));
    struct trial t = {
        .name = name, .recover = f->recover, .arm = arm, .disarm = disarm, .fits = fits, .arg = f};
    uint64_t began = os_now_ns();
    bool struck = trial_run(&t, book);
    fprintf(stderr, "%s: %.1f s\n", name, (double)(os_now_ns() - began) / 1e9);
    if (book->wrong) {
        fprintf(stderr, "replay: INSTAR_SYSCALL_CASE=%d,%llu,%d,%d,%d tests/fault/syscall_test\n",
                f->fault.op, (unsigned long long)f->fault.nth, f->fault.error, f->fault.sticky,
                f->recover);
    }
    return struck;
}

static bool run_number(uint64_t number, const void *seen, struct course_book *book,
                       bool *struck_out)
{
    struct failing f;
    bool found = find_case(number, seen, &f);
    *struck_out = found && run_case(&f, book);
    return found;
}

static uint64_t count_all(uint64_t seen[2][OPS], struct course_book *book)
{
    uint64_t all = 0;
    counts = test_shared(sizeof(*counts) * OPS);
    for (int recover = 0; recover < 2; recover++) {
        struct trial t = {
            .name = "counting", .recover = recover == 1, .arm = arm_count, .disarm = disarm_count};
        memset(counts, 0, sizeof(*counts) * OPS);
        (void)trial_count(&t, book);
        for (int op = 0; op < OPS; op++) {
            seen[recover][op] = counts[op];
            all += counts[op] * error_count(op) * 2;
            fprintf(stderr, "%s: %llu\n", test_op_name(op), (unsigned long long)counts[op]);
        }
    }
    return all;
}

static bool parse_case(const char *text, struct failing *f)
{
    unsigned long long nth = 0;
    int lasts = 0, recover = 0;
    *f = (struct failing){.recover = false};
    bool read = sscanf(text, "%d,%llu,%d,%d,%d", &f->fault.op, &nth, &f->fault.error, &lasts,
                       &recover) == 5;
    f->fault.nth = nth;
    f->fault.short_bytes = f->fault.error == 0 ? SHORT_BYTES : 0;
    f->fault.sticky = lasts != 0;
    f->recover = recover != 0;
    return read;
}

/* ---- places that call --------------------------------------------------------------------- */

#define DEPTH 4 /* calls that make a place, behind the hook's own */
#define PLACES 4096
#define COURSES 3 /* from nothing, and as many after a kill, to see which places each comes by */

struct place {
    _Atomic uint64_t id;      /* 0: none is here */
    _Atomic uint32_t courses; /* that came by: a bit for each */
    int op;
    bool recover; /* it was met after a kill alone */
    uint32_t offsets[DEPTH];
};

static struct places {
    struct place list[PLACES]; /* by their ids */
    uint64_t failing;          /* this one */
    int error;                 /* 0: none does, they are noted */
    bool lasts, recover;
    uint32_t course; /* the bit of the one that notes */
    _Atomic uint64_t struck;
} * places; /* shared with the trials */

/* By offsets in the program, so that it is the same in each run of it. */
static uint64_t place_of(const struct os_call *call, uint32_t offsets[DEPTH])
{
    extern const char __executable_start, etext;
    void *calls[DEPTH + 1] = {NULL};
    (void)backtrace(calls, DEPTH + 1);
    for (size_t i = 0; i < DEPTH; i++) {
        uintptr_t at = (uintptr_t)calls[i + 1];
        bool ours = at >= (uintptr_t)&__executable_start && at < (uintptr_t)&etext;
        offsets[i] = ours ? (uint32_t)(at - (uintptr_t)&__executable_start) : 0;
    }
    return base_hash64(offsets, sizeof(*offsets) * DEPTH, (uint64_t)call->op + 1) | 1;
}

static void note_place(uint64_t id, const struct os_call *call, const uint32_t offsets[DEPTH])
{
    for (size_t i = 0; i < PLACES; i++) {
        struct place *p = &places->list[(id + i) % PLACES];
        uint64_t there = 0;
        if (atomic_compare_exchange_strong(&p->id, &there, id)) {
            p->op = (int)call->op;
            p->recover = places->recover;
            memcpy(p->offsets, offsets, sizeof(p->offsets));
            there = id;
        }
        if (there == id) {
            atomic_fetch_or(&p->courses, places->course);
            return;
        }
    }
    test_fail(__FILE__, __LINE__, "more than %d places", PLACES);
}

static int at_place(void *arg, const struct os_call *call)
{
    uint32_t offsets[DEPTH];
    uint64_t id = place_of(call, offsets);
    (void)arg;
    if (places->error == 0) {
        note_place(id, call, offsets);
        return 0;
    }
    if (id != places->failing || (atomic_fetch_add(&places->struck, 1) > 0 && !places->lasts)) {
        return 0;
    }
    return places->error == SHORT ? SHORT_BYTES : -places->error;
}

static void arm_place(const struct trial *t)
{
    static struct os_hooks hooks;
    void *first[1];
    (void)t;
    (void)backtrace(first, 1); /* it loads a library */
    hooks = *os_hooks_now;     /* with the pretended boot */
    hooks.before = at_place;
    os_hooks_set(&hooks);
}

static uint64_t disarm_place(const struct trial *t)
{
    (void)t;
    test_boot_set(1);
    return atomic_load(&places->struck);
}

static void note_places(struct course_book *book)
{
    places = test_shared(sizeof(*places));
    for (unsigned course = 0; course < 2 * COURSES; course++) {
        bool recover = course >= COURSES;
        struct trial t = {
            .name = "places", .recover = recover, .arm = arm_place, .disarm = disarm_place};
        places->recover = recover;
        places->course = 1u << course;
        (void)trial_count(&t, book);
    }
}

/* Every course that is like the one in which it fails came by: so that one should, too. */
static bool is_on_each_way(const struct place *p)
{
    uint32_t alike = ((1u << COURSES) - 1) << (p->recover ? COURSES : 0);
    return (p->courses & alike) == alike;
}

/* True: it was met, and failed. */
static bool run_place(const struct place *p, int error, bool lasts, struct course_book *book)
{
    struct failing f = {.recover = p->recover,
                        .fault = {.op = p->op,
                                  .error = error != SHORT ? error : 0,
                                  .short_bytes = error == SHORT ? SHORT_BYTES : 0,
                                  .sticky = lasts}};
    char name[160], what[120];
    describe(&f, what, sizeof(what));
    (void)snprintf(name, sizeof(name), "place %" PRIx64 ", %s", p->id, what);
    struct trial t = {.name = name,
                      .recover = p->recover,
                      .arm = arm_place,
                      .disarm = disarm_place,
                      .fits = fits,
                      .arg = &f};
    places->failing = p->id;
    places->error = error;
    places->lasts = lasts;
    atomic_store(&places->struck, 0);
    bool struck = trial_run(&t, book);
    if (book->wrong) {
        fprintf(stderr,
                "replay: INSTAR_SYSCALL_SITE=%" PRIx64 ",%d,%d,%d tests/fault/syscall_test\n",
                p->id, error, lasts, p->recover);
        for (size_t i = 0; i < DEPTH; i++) {
            fprintf(stderr, "%s0x%" PRIx32, i == 0 ? "called at (addr2line): " : " ",
                    p->offsets[i]);
        }
        fprintf(stderr, "\n");
    }
    return struck;
}

static bool run_only(const char *only, struct course_book *book)
{
    uint64_t id = 0;
    int error = 0, lasts = 0, recover = 0;
    expect(sscanf(only, "%" SCNx64 ",%d,%d,%d", &id, &error, &lasts, &recover) == 4);
    for (size_t i = 0; i < PLACES; i++) {
        if (places->list[i].id == id) {
            (void)run_place(&places->list[i], error, lasts != 0, book);
            return true;
        }
    }
    return false;
}

/* Each place that calls for a file operation is come by, and fails: nothing acknowledged is lost.
 * Some are come by in some courses alone, as the threads go: they may not be met again. */
Test(syscalls, each_place_fails, .timeout = 3600)
{
    struct course_book *book = course_book_new();
    const char *only = getenv("INSTAR_SYSCALL_SITE");
    uint64_t all = 0, tried = 0, failed = 0, wrong = 0, at = 0, due = 0, met = 0;
    uint64_t wanted = test_env_u64("INSTAR_SYSCALL_SITES", SITES);
    note_places(book);
    if (only != NULL) {
        cr_assert(run_only(only, book));
        cr_assert_not(book->wrong);
        return;
    }
    for (size_t i = 0; i < PLACES; i++) {
        all += places->list[i].id != 0;
    }
    uint64_t first = wanted < all ? (test_seed() - 1) * wanted % all : 0;
    for (size_t i = 0; i < PLACES; i++) {
        const struct place *p = &places->list[i];
        if (p->id == 0 || (at++ + all - first) % all >= wanted) {
            continue;
        }
        uint64_t kinds = error_count(p->op);
        int error = errors[p->op][test_seed() % kinds];
        bool lasts = test_seed() / kinds % 2 == 0; /* each error both ways, some time */
        bool struck = run_place(p, error, lasts && may_last(error), book);
        tried++;
        failed += struck;
        due += is_on_each_way(p);
        met += struck && is_on_each_way(p);
        wrong += book->wrong;
    }
    printf("%llu of %llu places tried, %llu failed, %llu violations\n", (unsigned long long)tried,
           (unsigned long long)all, (unsigned long long)failed, (unsigned long long)wrong);
    cr_assert_eq(wrong, 0);
    cr_assert_gt(met, due * 3 / 4, "of %llu places that each course comes by, %llu were met",
                 (unsigned long long)due, (unsigned long long)met);
}

/* ---- the whole ---------------------------------------------------------------------------- */

/* Who waits for a change is told when the store stops: nobody can write its end any more. */
Test(syscalls, stopped_store_ends_waiting)
{
    instar *db = dbs_open(0);
    instar_options o = dbs_options();
    instar_change_info info;
    dbs_make_table(db, "t");
    ok(instar_close(db));
    o.flags |= INSTAR_OPEN_NO_RUNNER;
    ok(instar_open(dbs_path(), &o, &db));
    uint64_t change = dbs_submit_index(db, "t_b", "t", "b", false, NULL);
    test_fault_set(&(struct test_fault){.op = OS_OP_SYNC, .nth = 1, .error = EIO});
    expect(dbs_insert(db, "t", 1, 1) != INSTAR_OK);
    fails(instar_change_wait(db, change, 20000, &info), INSTAR_ESTOPPED);
    expect(strstr(instar_error_text(), "does not end: the store has stopped") != NULL);
    test_fault_set(NULL);
    (void)instar_close(db);
    test_remove(dbs_path());
}

/* Whatever file operation fails, however: nothing acknowledged is lost, and all goes on. */
Test(syscalls, each_fails, .timeout = 3600)
{
    struct course_book *book = course_book_new();
    const char *only = getenv("INSTAR_SYSCALL_CASE");
    uint64_t seen[2][OPS] = {{0}};
    struct failing f;
    if (only != NULL) {
        expect(parse_case(only, &f));
        (void)run_case(&f, book);
        cr_assert_not(book->wrong);
        return;
    }
    uint64_t all = count_all(seen, book);
    trial_sample(all, test_env_u64("INSTAR_SYSCALLS", CASES), run_number, seen, book);
}
