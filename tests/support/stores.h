/* SPDX-License-Identifier: Apache-2.0 */
/* stores: a small store of this test, and its operations in one line each. Keys and values are
 * text. */
#ifndef INSTAR_TEST_STORES_H
#define INSTAR_TEST_STORES_H

#include "store/store.h"
#include "support/test.h"

#include <string.h>

/* Small segments, few trees; in shared memory, where a sync costs nothing. */
instar_options stores_options(void);
const char *stores_path(void);
/* Make it, and open it. options NULL: as above. */
struct store *stores_make(const instar_options *options);
/* With this tree in it. */
struct store *stores_make_tree(const instar_options *options, uint64_t tree);
/* Open it, also in another process. */
struct store *stores_open(const instar_options *options);
void stores_close(struct store *s);

static inline struct base_slice stores_text(const char *text)
{
    return base_slice(text, strlen(text));
}

struct store_txn *stores_begin(struct store *s, unsigned flags);
/* Commit; must succeed. The LSN. */
uint64_t stores_commit(struct store_txn *t);
void stores_put(struct store_txn *t, uint64_t tree, const char *key, const char *value);
void stores_delete(struct store_txn *t, uint64_t tree, const char *key);
/* One entry of a bulk load, with its hash. */
int stores_append(struct store_bulk *b, struct base_slice key, struct base_slice value,
                  struct base_err *err);
/* The value, or NULL. Valid until the next call. */
const char *stores_get(struct store_txn *t, uint64_t tree, const char *key);
void stores_expect(struct store_txn *t, uint64_t tree, const char *key, const char *value);

/* Each in an async transaction of its own; value NULL deletes. */
uint64_t stores_write(struct store *s, uint64_t tree, const char *key, const char *value);
uint64_t stores_tree_op(struct store *s, enum store_tree_op op, uint64_t tree);
/* The same, durable; and to execute it before its turn. */
uint64_t stores_tree_op_synced(struct store *s, enum store_tree_op op, uint64_t tree);
int stores_ahead(struct store *s, enum store_tree_op op, uint64_t tree, uint64_t lsn);
void stores_read(struct store *s, uint64_t tree, const char *key, const char *value);
/* Flush and fold everything committed so far. */
void stores_fold(struct store *s);
/* So many times over: write a value of a page or so, fold it. */
void stores_churn(struct store *s, uint64_t tree, int times);
/* Wait until the applier has folded everything up to there without being asked. */
void stores_await_folding(struct store *s, uint64_t lsn);
/* Of the map, by pages that hold something. */
uint64_t stores_used_bytes(struct store *s);
/* Keys and values of a tree, "a=1 b=2 ", as a new transaction sees it, or t. */
const char *stores_scan(struct store_txn *t, uint64_t tree, bool reverse);
const char *stores_dump(struct store *s, uint64_t tree);

#endif
