/* SPDX-License-Identifier: Apache-2.0 */
/* All memory of the library, behind one hook that lets a test make any request fail. */
#include "base/base.h"

#include <stdlib.h>
#include <string.h>

#if defined(INSTAR_TEST)
bool (*_Atomic base_alloc_hook)(size_t size);
#endif

/* An empty request gives a pointer too, so that NULL always means: no memory. */
void *base_alloc(size_t size)
{
    return base_alloc_refused(size) ? NULL : malloc(size != 0 ? size : 1);
}

void *base_alloc_zero(size_t count, size_t size)
{
    size_t total;
    if (!base_mul_ok(count, size, &total) || base_alloc_refused(total)) {
        return NULL;
    }
    return calloc(1, total != 0 ? total : 1);
}

void *base_realloc(void *p, size_t size)
{
    return base_alloc_refused(size) ? NULL : realloc(p, size != 0 ? size : 1);
}

void base_free(void *p)
{
    free(p);
}

char *base_strdup(const char *s)
{
    size_t size = strlen(s) + 1;
    char *copy = base_alloc(size);
    if (copy != NULL) {
        memcpy(copy, s, size);
    }
    return copy;
}
