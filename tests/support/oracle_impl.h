/* SPDX-License-Identifier: Apache-2.0 */
/* The oracle, inside: what script, run and comparison share. */
#ifndef INSTAR_TEST_ORACLE_IMPL_H
#define INSTAR_TEST_ORACLE_IMPL_H

#include "support/oracle.h"

#define ORACLE_BASE_TREE 1 /* holds "seq", and is what the mirror mirrors */
#define ORACLE_OPS_MAX 6

struct operation {
    uint64_t tree;
    char key[16];
    size_t key_size;
    uint8_t *value; /* NULL: a delete */
    size_t value_size;
};

/* Of one commit. Free the arena. */
struct operations {
    struct operation list[2 * ORACLE_OPS_MAX + 1];
    size_t count;
    struct base_arena arena;
};

struct model_row {
    uint64_t tree;
    char key[16];
    uint64_t hash; /* of the value */
};

struct model {
    struct model_row *rows; /* by tree and key; free them */
    size_t count, room;
    struct oracle_point point;
    uint64_t mirror; /* follows tree 1: being built, or ready */
};

/* The operations of a step, from its seed. `mirror`: the tree that follows tree 1 at this time, or
 * 0. */
void oracle_operations(const struct oracle *o, const struct oracle_step *step,
                       const struct oracle_point *before, uint64_t mirror, struct operations *ops);
/* All that is there after so many commits. */
struct model oracle_model(const struct oracle *o, uint64_t number);
/* One row more in the digest of a point. */
uint64_t oracle_mix(uint64_t digest, uint64_t tree, struct base_slice key, uint64_t value_hash);

#endif
