/* SPDX-License-Identifier: Apache-2.0 */
/* Chance: the same for the same seed. */
#include "support/test.h"

struct test_random test_random(uint64_t stream)
{
    struct test_random r = {.state = test_seed() * 0x9e3779b97f4a7c15u + stream};
    test_random_next(&r);
    return r;
}

/* splitmix64: any state is a good one. */
uint64_t test_random_next(struct test_random *r)
{
    uint64_t z = (r->state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t test_random_below(struct test_random *r, uint64_t limit)
{
    return limit != 0 ? test_random_next(r) % limit : 0;
}

bool test_random_chance(struct test_random *r, unsigned percent)
{
    return test_random_below(r, 100) < percent;
}

void test_random_fill(struct test_random *r, void *data, size_t size)
{
    uint8_t *at = data;
    for (size_t i = 0; i < size; i++) {
        at[i] = (uint8_t)test_random_next(r);
    }
}
