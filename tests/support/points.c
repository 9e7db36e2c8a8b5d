/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named points of the release's own objects. Each is an instruction that does nothing, and a
 * section that is left out of the library says where they are and how they are called, one behind
 * the other: the distance from these four bytes to the instruction, and a text with its 0. They
 * become breakpoints, and SIGTRAP finds the name by the address.
 */
#define _GNU_SOURCE
#include "base/os.h"
#include "support/test.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__x86_64__)
#define POINTS_MAX 512
#define BREAKPOINT 0xcc

/* Of the linker: where no object has the section, there is none. */
extern const uint8_t first_point[] __asm__("__start_instar_points") __attribute__((weak));
extern const uint8_t points_end[] __asm__("__stop_instar_points") __attribute__((weak));

struct point {
    uint8_t *at;
    const char *name;
};
static struct point points[POINTS_MAX];
static size_t point_count;

static int by_address(const void *a, const void *b)
{
    const uint8_t *x = ((const struct point *)a)->at, *y = ((const struct point *)b)->at;
    return x < y ? -1 : x > y;
}

static void on_trap(int number, siginfo_t *info, void *context)
{
    const ucontext_t *c = context;
    const struct point key = {.at = (uint8_t *)(uintptr_t)c->uc_mcontext.gregs[REG_RIP] - 1};
    const struct point *p = bsearch(&key, points, point_count, sizeof(points[0]), by_address);
    int saved = errno;
    (void)info;
    if (p == NULL) { /* not one of ours: as if nobody had looked */
        (void)signal(number, SIG_DFL);
        (void)raise(number);
        return;
    }
    os_point_hit(p->name);
    errno = saved;
}

static void set_breakpoint(uint8_t *at)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    void *from = (void *)((uintptr_t)at & ~(page - 1));
    expect(mprotect(from, page, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
    *(volatile uint8_t *)at = BREAKPOINT;
    expect(mprotect(from, page, PROT_READ | PROT_EXEC) == 0);
}

void os_points_watch(void);
void os_points_watch(void)
{
    /* Hooks may come to a point themselves; and they run where the point is, so nothing waits. */
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_NODEFER};
    for (const uint8_t *at = first_point; at < points_end;) {
        int32_t distance;
        expect(point_count < POINTS_MAX);
        memcpy(&distance, at, sizeof(distance));
        points[point_count++] = (struct point){(uint8_t *)(uintptr_t)at + distance,
                                               (const char *)at + sizeof(distance)};
        at += sizeof(distance) + strlen((const char *)at + sizeof(distance)) + 1;
    }
    qsort(points, point_count, sizeof(points[0]), by_address);
    expect(sigaction(SIGTRAP, &action, NULL) == 0);
    for (size_t i = 0; i < point_count; i++) {
        set_breakpoint(points[i].at);
    }
}
#else
void os_points_watch(void);
void os_points_watch(void)
{
}
#endif
