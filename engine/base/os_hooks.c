/* SPDX-License-Identifier: Apache-2.0 */
/* The seam itself: which hooks are set, and the named points. The library has nothing of it. */
#include "base/os.h"

#if defined(INSTAR_TEST)
const struct os_hooks *_Atomic os_hooks_now;

/* Of tests/support, where the library's own objects are linked: makes their points breakpoints. */
extern void os_points_watch(void) __attribute__((weak));

void os_hooks_set(const struct os_hooks *hooks)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (os_points_watch != NULL) {
        (void)pthread_once(&once, os_points_watch);
    }
    os_hooks_now = hooks;
}

void os_point_hit(const char *name)
{
    const struct os_hooks *hooks = os_hooks_now;
    if (hooks != NULL && hooks->point != NULL) {
        hooks->point(hooks->arg, name);
    }
}
#endif
