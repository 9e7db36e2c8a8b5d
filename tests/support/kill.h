/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill: processes that work on one store while they are killed, and a record of what each of them
 * was promised, kept in memory of its own that no kill can tear.
 *
 * Worker w owns the keys "w k" of tree 1 and alone writes them; each transaction writes its number
 * to its stamp, so the stamp tells whether a commit that was interrupted has happened. All add to
 * one counter, by reading and writing it: so their transactions conflict. Values are derived from
 * their number, so a torn or mixed one is seen.
 */
#ifndef INSTAR_TEST_KILL_H
#define INSTAR_TEST_KILL_H

#include "store/store.h"
#include "support/test.h"

#define KILL_WORKERS_MAX 8
#define KILL_KEYS 12
#define KILL_UNTOUCHED UINT64_MAX

enum { KILL_TREE_OWN = 1, KILL_TREE_COUNTER = 2, KILL_TREE_PAIRS = 3, KILL_TREE_FIRST_BUILT = 10 };

enum kill_doubt {
    KILL_SETTLED, /* `is` holds */
    KILL_TRYING,  /* a commit is on its way: `is` or `may_be` */
    KILL_PROMISED /* it was acknowledged: `may_be` */
};

struct kill_expected {
    uint64_t stamp;
    uint64_t added;           /* to the counter */
    uint64_t keys[KILL_KEYS]; /* numbers of the values, 0: absent */
};

/* What one worker was promised. */
struct kill_record {
    _Atomic uint32_t doubt;
    struct kill_expected is;
    struct kill_expected may_be;
    _Atomic uint64_t commits;
};

/* Shared by the test and all workers. */
struct kill_world {
    struct kill_record workers[KILL_WORKERS_MAX];
    _Atomic uint32_t events; /* a futex: some worker has committed */
    _Atomic uint64_t next_tree;
    _Atomic uint64_t building; /* tree of the builder, 0: none */
    char path[300];
};

/* What a worker is to do; another for each start. */
struct kill_job {
    struct kill_world *world;
    uint32_t worker;
    uint64_t stream; /* of chance */
    instar_options options;
    const char *point; /* to be killed at, or NULL */
    uint64_t nth;
    bool builder;
};

/* Works until it is killed. */
void kill_work(struct test_child *self, void *job);
/* Make tree after tree by bulk load, beside the others. */
void kill_build(struct store *s, struct kill_world *world, struct test_random *r);
/* Settle what an interrupted commit left open: by the stamp, as t sees it. */
void kill_settle(struct store_txn *t, struct kill_world *world, uint32_t worker);
/* Compare everything of one worker, or of all with the counter. */
void kill_check_worker(struct store_txn *t, struct kill_world *world, uint32_t worker);
void kill_check_all(struct store *s, struct kill_world *world);
void kill_check_pairs(struct store_txn *t);

/* Keys and values. */
struct base_slice kill_key(char out[16], uint32_t worker, uint32_t key);
#define KILL_STAMP KILL_KEYS                      /* the key that holds the stamp */
size_t kill_value(uint8_t *out, uint64_t number); /* at most KILL_VALUE_MAX bytes */
#define KILL_VALUE_MAX 3000

#endif
