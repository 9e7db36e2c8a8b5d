/* SPDX-License-Identifier: Apache-2.0 */
/* The seam itself: which hooks are set, and the named points. The library has nothing of it. */
#include "base/os.h"

#include <stddef.h>

#if defined(INSTAR_TEST)
const struct os_hooks *_Atomic os_hooks_now;

void os_hooks_set(const struct os_hooks *hooks)
{
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
