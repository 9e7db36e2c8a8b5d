/* SPDX-License-Identifier: Apache-2.0 */
/* XXH3, compiled into this file so that its small sizes stay fast. */
#include "base/base.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t base_hash64(const void *data, size_t size, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, size, seed);
}

uint32_t base_hash32(const void *data, size_t size, uint64_t seed)
{
    return (uint32_t)base_hash64(data, size, seed);
}
