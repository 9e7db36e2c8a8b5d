/* SPDX-License-Identifier: Apache-2.0 */
/* One course in which something fails. */
#include "support/trial.h"

#include "support/sqls.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

/* A course of some seconds that takes this long hangs. */
#define HANG_S 120
#define PATIENCE_MS 2000 /* with a change that cannot go on while the trouble lasts */
#define MANY 50          /* violations are enough */
#define KILL_AT_OP 700   /* of a course: rows and indexes are there, not all is folded */

struct run {
    const struct trial *trial;
    struct course_book *book;
    struct course course;
};

static struct course new_course(struct run *run)
{
    return (struct course){.dir = test_fast_dir(), .book = run->book, .arg = run};
}

static void refused(struct course *c, const char *leg, int code, const char *words)
{
    const struct run *run = c->arg;
    if (getenv("INSTAR_TRIAL_WORDS") != NULL) {
        fprintf(stderr, "%s | %s | %s | %s\n", run->trial->name, leg, instar_error_name(code),
                words);
    }
    if (words[0] == '\0') {
        test_fail(__FILE__, __LINE__, "%s: %s ends with %s and without words", run->trial->name,
                  leg, instar_error_name(code));
    }
    run->book->waiting |= code == INSTAR_EBUSY;
    bool in_the_way = run->book->waiting && (code == INSTAR_ESTATE || code == INSTAR_EDEFINITION);
    if (!in_the_way && !run->trial->fits(run->trial, code)) {
        test_fail(__FILE__, __LINE__, "%s: %s ends with %s: %s", run->trial->name, leg,
                  instar_error_name(code), words);
    }
    run->book->stopped |= code == INSTAR_ESTOPPED || code == INSTAR_ECOMMIT_UNKNOWN;
}

static void surprised(struct course *c, const char *leg, int code, const char *words)
{
    const struct run *run = c->arg;
    test_fail(__FILE__, __LINE__, "%s: the trouble is over, yet %s ends with %s: %s",
              run->trial->name, leg, instar_error_name(code), words);
}

static void expect_no_leak(void)
{
#if defined(__SANITIZE_ADDRESS__)
    expect(__lsan_do_recoverable_leak_check() == 0);
#endif
}

/* The trouble is over. A store may have stopped in the background, which its opening tells. */
static void go_on(struct run *run, struct course *c)
{
    if (c->db == NULL) {
        int rc = course_open(c);
        run->book->stopped |= rc == INSTAR_ESTOPPED;
        expect(rc == INSTAR_OK || rc == INSTAR_ESTOPPED || rc == INSTAR_ENOSTORE);
    }
    if (!run->book->stopped) {
        if (c->db != NULL) {
            course_settle(c);
        }
        c->failed = surprised;
        course_run(c);
        ok(course_open(c));
        course_look(c, true);
    }
}

/* The course with trouble; then, unless the store has stopped, the course again, by the handle that
 * met it where there is one. */
static void trouble(struct test_child *self, void *arg)
{
    struct run *run = arg;
    struct course c = new_course(run);
    (void)self;
    alarm(HANG_S);
    test_boot_set(1);
    size_t before = test_descriptors();
    c.failed = refused;
    sqls_patience(PATIENCE_MS);
    run->trial->arm(run->trial);
    course_run(&c);
    run->book->fired = run->trial->disarm(run->trial);
    sqls_patience(HANG_S * 1000);
    if (run->book->failed > 0) {
        go_on(run, &c);
    }
    if (c.db != NULL) {
        (void)instar_close(c.db);
    }
    expect_u64(test_descriptors(), before);
    expect_no_leak();
}

/* Another process, after a reboot if need be: it finds what is known, and runs the course. */
static void look_again(struct test_child *self, void *arg)
{
    struct run *run = arg;
    struct course c = new_course(run);
    (void)self;
    alarm(HANG_S);
    test_boot_set(1);
    int rc = course_open(&c);
    if (rc == INSTAR_ESTOPPED) { /* maybe behind the last leg, where nobody could be told */
        expect(run->book->stopped || run->trial->fits(run->trial, rc));
        test_boot_set(2);
        rc = course_open(&c);
    }
    if (rc == INSTAR_ESTOPPED) { /* it had no room to note the boot */
        ok(instar_check_after_io_error(course_store(&c)));
        rc = course_open(&c);
    }
    if (rc == INSTAR_OK) {
        course_look(&c, run->book->failed == 0);
    } else {
        fails(rc, INSTAR_ENOSTORE);
    }
    c.failed = surprised;
    course_run(&c);
    ok(course_open(&c));
    course_look(&c, true);
    ok(instar_close(c.db));
}

static void until_killed(struct test_child *self, void *arg)
{
    struct run *run = arg;
    struct course c = new_course(run);
    (void)self;
    c.failed = surprised;
    test_boot_set(1);
    test_kill_at_op(KILL_AT_OP);
    course_run(&c);
}

/* False, after words on stderr: it did not end as it should. */
static bool in_child(void (*fn)(struct test_child *self, void *arg), struct run *run, int wanted)
{
    struct test_child child;
    test_fork(&child, fn, run);
    int status = test_wait(&child);
    if (status != wanted) {
        fprintf(stderr, "%s: %s (%d)\n", run->trial->name,
                status == -SIGALRM ? "it does not end" : "see above", status);
        run->book->wrong = true;
    }
    return status == wanted;
}

static bool prepare(struct run *run)
{
    struct course c = new_course(run);
    course_remove(&c);
    course_book_clear(run->book);
    return !run->trial->recover || in_child(until_killed, run, -SIGKILL);
}

bool trial_run(const struct trial *t, struct course_book *book)
{
    struct run run = {.trial = t, .book = book};
    (void)(prepare(&run) && in_child(trouble, &run, 0) && in_child(look_again, &run, 0));
    struct course c = new_course(&run);
    course_remove(&c);
    return book->fired > 0;
}

static void count(struct test_child *self, void *arg)
{
    struct run *run = arg;
    struct course c = new_course(run);
    (void)self;
    test_boot_set(1);
    c.failed = surprised;
    run->trial->arm(run->trial);
    course_run(&c);
    run->book->counted = run->trial->disarm(run->trial);
}

uint64_t trial_count(const struct trial *t, struct course_book *book)
{
    struct run run = {.trial = t, .book = book};
    expect(prepare(&run) && in_child(count, &run, 0));
    return book->counted;
}

/* Of `room` numbers, a power of two: neighbours come to lie far apart. */
static uint64_t spread(uint64_t number, uint64_t room)
{
    return number * 0x9e3779b1 % room; /* odd, so that each comes once */
}

void trial_sample(uint64_t all, uint64_t cases,
                  bool (*run)(uint64_t number, const void *arg, struct course_book *book,
                              bool *struck_out),
                  const void *arg, struct course_book *book)
{
    uint64_t room = 1, tried = 0, met = 0, wrong = 0;
    while (room < all) {
        room *= 2;
    }
    for (uint64_t i = (test_seed() - 1) * cases; i < test_seed() * cases && wrong < MANY; i++) {
        bool struck = false;
        if (run(spread(i, room), arg, book, &struck)) {
            tried++;
            met += struck;
            wrong += book->wrong;
        }
    }
    printf("%llu of %llu cases tried, %llu met their trouble, %llu violations\n",
           (unsigned long long)tried, (unsigned long long)all, (unsigned long long)met,
           (unsigned long long)wrong);
    cr_assert_eq(wrong, 0);
    cr_assert_gt(met, tried / 4);
}
