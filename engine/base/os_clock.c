/* SPDX-License-Identifier: Apache-2.0 */
/* Time, which tests may replace. */
#include "base/os_impl.h"

#include <time.h>

#define NS_PER_S 1000000000u

uint64_t os_now_ns(void)
{
    const struct os_hooks *hooks = os_hooks_get();
    if (__builtin_expect(hooks != NULL, 0) && hooks->boottime_ns != NULL) {
        return hooks->boottime_ns(hooks->arg);
    }
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

int64_t os_realtime_us(void)
{
    const struct os_hooks *hooks = os_hooks_get();
    if (__builtin_expect(hooks != NULL, 0) && hooks->realtime_us != NULL) {
        return hooks->realtime_us(hooks->arg);
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void os_sleep_ns(uint64_t ns)
{
    struct timespec left = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
    }
}
