/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks, the process and its machine; and the kill points, held threads and pretences of tests. */
#define _GNU_SOURCE
#include "support/test.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MS ((uint64_t)1000000)

/* Time goes on, and a pause lasts at least as long as asked. */
Test(base_os_process, time_goes_on)
{
    uint64_t before = os_now_ns();
    os_sleep_ns(5 * MS);
    cr_expect_geq(os_now_ns() - before, 5 * MS);
    cr_expect_leq(labs((long)(os_realtime_us() / 1000000 - time(NULL))), 2);
}

/* A virtual clock stands until it is moved, for forks too, and real time comes back after it. */
Test(base_os_process, virtual_time_moves_when_told)
{
    uint64_t real = os_now_ns();
    test_clock_start(1000);
    cr_expect_eq(os_now_ns(), 1000);
    test_clock_advance(234);
    cr_expect_eq(os_now_ns(), 1234);
    test_clock_stop();
    cr_expect_geq(os_now_ns(), real);
}

static void send_pid(struct test_child *self, void *arg)
{
    (void)arg;
    test_send(self, (uint64_t)os_pid());
    test_send(self, (uint64_t)getpid());
}

/* The process id is right after a fork. */
Test(base_os_process, pid_is_right_after_fork)
{
    cr_expect_eq(os_pid(), getpid());
    struct test_child child;
    test_fork(&child, send_pid, NULL);
    uint64_t cached = test_receive(&child);
    cr_expect_eq(cached, (uint64_t)child.pid);
    cr_expect_eq(test_receive(&child), cached);
    test_wait_ok(&child);
    cr_expect_eq(os_pid(), getpid());
}

/* The boot id stays the same and is not empty; a test can pretend another. */
Test(base_os_process, boot_id_can_be_pretended)
{
    uint8_t a[16];
    uint8_t b[16];
    uint8_t none[16] = {0};
    cr_assert_eq(os_boot_id(a), 0);
    cr_assert_eq(os_boot_id(b), 0);
    cr_expect_eq(memcmp(a, b, 16), 0);
    cr_expect_neq(memcmp(a, none, 16), 0);
    test_boot_set(1);
    cr_assert_eq(os_boot_id(b), 0);
    cr_expect_neq(memcmp(a, b, 16), 0);
    test_boot_set(2);
    cr_assert_eq(os_boot_id(none), 0);
    cr_expect_neq(memcmp(none, b, 16), 0);
    test_hooks_clear();
}

/* A process knows its pid namespace and its processors, and two random draws differ. */
Test(base_os_process, machine_is_known)
{
    uint64_t inode;
    cr_assert_eq(os_pid_namespace(&inode), 0);
    cr_expect_neq(inode, 0);
    cr_expect_geq(os_cpu_count(), 1);
    uint8_t a[32] = {0};
    uint8_t b[32] = {0};
    cr_assert_eq(os_random(a, sizeof(a)), 0);
    cr_assert_eq(os_random(b, sizeof(b)), 0);
    cr_expect_neq(memcmp(a, b, sizeof(a)), 0);
}

static void pass_points(struct test_child *self, void *arg)
{
    test_kill_at_point(arg, 3);
    for (int i = 0; i < 5; i++) {
        os_point("test.here");
        test_send(self, (uint64_t)i);
    }
}

/* A kill point ends the process at exactly the hit that was asked for. */
Test(base_os_process, kill_point_kills_at_its_hit)
{
    struct test_child child;
    test_fork(&child, pass_points, "test.here");
    test_await(&child, 0);
    test_await(&child, 1);
    cr_expect_eq(test_wait(&child), -SIGKILL);
    test_fork(&child, pass_points, "test.elsewhere");
    for (uint64_t i = 0; i < 5; i++) {
        test_await(&child, i);
    }
    test_wait_ok(&child);
}

static void *pass_point(void *arg)
{
    _Atomic int *passed = arg;
    os_point("test.hold");
    atomic_store(passed, 1);
    return NULL;
}

/* A held thread stays at its point until it is released. */
Test(base_os_process, held_thread_waits_for_release)
{
    _Atomic int passed = 0;
    struct test_hold hold;
    struct os_thread thread;
    test_hold_set(&hold, "test.hold", 1);
    cr_assert_eq(os_thread_start(&thread, "held", pass_point, &passed), 0);
    test_hold_await(&hold);
    cr_expect_eq(atomic_load(&passed), 0);
    test_hold_release(&hold);
    os_thread_join(&thread);
    cr_expect_eq(atomic_load(&passed), 1);
    test_hold_end(&hold);
    test_hooks_clear();
}

/* Points are counted by name. */
Test(base_os_process, points_are_counted)
{
    os_point("test.before");
    test_points_count(true);
    for (int i = 0; i < 3; i++) {
        os_point("test.a");
    }
    os_point("test.b");
    cr_expect_eq(test_points_seen(), 2);
    cr_expect_eq(test_point_hits("test.a"), 3);
    cr_expect_eq(test_point_hits("test.b"), 1);
    cr_expect_eq(test_point_hits("test.before"), 0);
    test_hooks_clear();
}

static void trip(struct test_child *self, void *arg)
{
    (void)self;
    (void)arg;
    base_assert(1 + 1 == 3);
}

/* A broken assertion ends the program. */
Test(base_os_process, broken_assertion_aborts)
{
    struct test_child child;
    test_fork(&child, trip, NULL);
    cr_expect_eq(test_wait(&child), -SIGABRT);
}
