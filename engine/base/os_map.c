/* SPDX-License-Identifier: Apache-2.0 */
/* Files seen as memory. */
#define _GNU_SOURCE /* MADV_POPULATE_READ */
#include "base/os_impl.h"

#include <sys/mman.h>

#define PAGE 4096
/* At once: as long as it takes no other thread can map or unmap anything, and then none can have a
 * page brought in either. */
#define TOUCH_BYTES ((size_t)256 << 10)

int os_map(int fd, size_t size, bool writable, bool prefault, void **addr_out)
{
    *addr_out = NULL;
    struct os_call call = {.op = OS_OP_MAP, .fd = fd, .size = size, .flags = writable};
    int rc = os_before(&call);
    if (rc < 0) {
        return rc;
    }
    int protection = PROT_READ | (writable ? PROT_WRITE : 0);
    int flags = MAP_SHARED | (prefault ? MAP_POPULATE : 0);
    void *addr = mmap(NULL, size, protection, flags, fd, 0);
    rc = os_after(&call, addr == MAP_FAILED ? -errno : 0);
    if (rc == 0) {
        *addr_out = addr;
    }
    return rc;
}

int os_map_instead(int fd, const void *addr, size_t size)
{
    struct os_call call = {.op = OS_OP_MAP, .fd = fd, .size = size};
    int rc = os_before(&call);
    if (rc < 0) {
        return rc;
    }
    void *at = mmap((void *)(uintptr_t)addr, size, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
    return os_after(&call, at == MAP_FAILED ? -errno : 0);
}

void os_map_touch(const void *addr, size_t size)
{
    const uint8_t *at = addr;
    int rc = 0;
    for (size_t i = 0; i < size && rc == 0; i += TOUCH_BYTES) {
        size_t left = size - i;
        rc = madvise((void *)(at + i), left < TOUCH_BYTES ? left : TOUCH_BYTES, MADV_POPULATE_READ);
    }
    if (rc == 0 || errno != EINVAL) {
        return;
    }
    /* Before Linux 5.14: what is read is not looked at. */
    for (size_t i = 0; i + sizeof(uint64_t) <= size; i += PAGE) {
        (void)atomic_load_explicit((const _Atomic uint64_t *)(at + i), memory_order_relaxed);
    }
}

int os_unmap(void *addr, size_t size)
{
    return os_result(munmap(addr, size));
}

void os_map_retire(void *addr, size_t size)
{
    /* One call, so that no other map can get in between. Refused for lack of memory, the old map
     * stays, which is as safe. */
    (void)mmap(addr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
               0);
}
