/* SPDX-License-Identifier: Apache-2.0 */
/* All memory of the library, behind one hook that lets a test make any request fail. */
#include "base/base.h"

#include <stdlib.h>
#include <string.h>

bool (*_Atomic base_alloc_hook)(size_t size);

static bool refused(size_t size)
{
    bool (*hook)(size_t size) = base_alloc_hook;
    return hook != NULL && !hook(size);
}

/* An empty request gives a pointer too, so that NULL always means: no memory. */
void *base_alloc(size_t size)
{
    return refused(size) ? NULL : malloc(size != 0 ? size : 1);
}

void *base_alloc_zero(size_t count, size_t size)
{
    size_t total;
    if (!base_mul_ok(count, size, &total) || refused(total)) {
        return NULL;
    }
    return calloc(1, total != 0 ? total : 1);
}

void *base_realloc(void *p, size_t size)
{
    return refused(size) ? NULL : realloc(p, size != 0 ? size : 1);
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
