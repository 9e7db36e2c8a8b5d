/* SPDX-License-Identifier: Apache-2.0 */
/* The two halves of the seam, for the files of this layer that make system calls. */
#ifndef INSTAR_BASE_OS_IMPL_H
#define INSTAR_BASE_OS_IMPL_H

#include "base/os.h"

#include <errno.h>

/* NULL, always, in the library. */
static inline const struct os_hooks *os_hooks_get(void)
{
#if defined(INSTAR_TEST)
    return os_hooks_now;
#else
    return NULL;
#endif
}

/* 0: make the call. Negative: it has failed with that. Positive: move at most so many bytes. */
static inline int os_before(const struct os_call *call)
{
    const struct os_hooks *hooks = os_hooks_get();
    if (__builtin_expect(hooks == NULL, 1) || hooks->before == NULL) {
        return 0;
    }
    return hooks->before(hooks->arg, call);
}

/* Returns result, so that a function may end in it. */
static inline int os_after(const struct os_call *call, int result)
{
    const struct os_hooks *hooks = os_hooks_get();
    if (__builtin_expect(hooks != NULL, 0) && hooks->after != NULL) {
        int saved = errno;
        hooks->after(hooks->arg, call, result);
        errno = saved;
    }
    return result;
}

/* The result of a system call as this layer gives it. */
static inline int os_result(long value)
{
    return value < 0 ? -errno : (int)value;
}

#endif
