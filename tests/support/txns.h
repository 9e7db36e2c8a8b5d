/* SPDX-License-Identifier: Apache-2.0 */
/*
 * txns: a store with catalog, leases and tables, below the changes: a test publishes each version
 * itself. Rows are text, "1,abc,null", in the order of a projection.
 */
#ifndef INSTAR_TEST_TXNS_H
#define INSTAR_TEST_TXNS_H

#include "support/stores.h"
#include "support/tables.h"
#include "txn/txn.h"

/* Make a store with an empty catalog. options NULL: stores_options(). */
void txns_make(const instar_options *options);
/* Open it: what transactions stand on. Also in another process. */
struct txn_env *txns_open(const instar_options *options);
void txns_close(struct txn_env *env);
/* Make a store with a table t of these columns, primary key a, and open it. */
struct txn_env *txns_open_t(const instar_options *options, const char *columns,
                            uint64_t *table_out);

/* ---- versions ---------------------------------------------------------------------------------
 */

/* Publish a new table, at version 1, with its tree. Columns and key as for tables_make. */
uint64_t txns_table(struct txn_env *env, const char *name, const char *columns, const char *key);
/* A copy of the descriptor as it stands; free with catalog_table_free. */
struct catalog_table *txns_current(struct txn_env *env, uint64_t table);
/* Publish the next version: the copy, which must be one version on. It is freed. create_tree: 0 or
 * the id of a tree to be created with it. fence: as for lease_publish. Returns its code. */
int txns_publish(struct txn_env *env, struct catalog_table *next, uint64_t create_tree, bool fence,
                 struct lease_blockers *blockers_out, struct base_err *err);
/* Publish versions that take the index one step each to this state; an index that is not there is
 * added first. Nobody may be in the way. "delete-only", "write-only", "enforcing", "public",
 * "absent". */
void txns_index(struct txn_env *env, uint64_t table, const char *name, const char *columns,
                bool unique, const char *state);
/* A private copy, one version on, with the index in this state: for txn_force_version. */
struct catalog_table *txns_forced(struct txn_env *env, uint64_t table, uint32_t version,
                                  const char *index, const char *state);
/* Commit one tree operation with the proof that no lease is below the version. */
uint64_t txns_tree_op(struct txn_env *env, uint64_t table, uint32_t drained_below,
                      enum store_tree_op op, uint64_t tree);
/* Set stage and enforcing from one of the words above. */
void txns_set_state(struct catalog_index *index, const char *state);

/* ---- rows -------------------------------------------------------------------------------------
 */

struct txn *txns_begin(struct txn_env *env, unsigned flags);
/* All columns; index NULL: the primary key. */
struct txn_projection *txns_projection(struct txn_env *env, const char *table, const char *index);
/* "a, b" */
struct txn_projection *txns_columns(struct txn_env *env, const char *table, const char *columns,
                                    const char *index);

/* Each returns the code of the call. */
int txns_insert(struct txn *t, struct txn_projection *p, const char *row);
int txns_upsert(struct txn *t, struct txn_projection *p, const char *row);
int txns_update(struct txn *t, struct txn_projection *p, const char *key, const char *row);
int txns_delete(struct txn *t, struct txn_projection *p, const char *key);
/* The row as text, or the name of the code. Valid until the next call. */
const char *txns_get(struct txn *t, struct txn_projection *p, const char *key);
/* Rows "1,2 3,4 ". lower and upper: NULL, or values, "(" before and ")" behind them for exclusive.
 */
const char *txns_scan(struct txn *t, struct txn_projection *p, const char *lower, const char *upper,
                      bool reverse);
/* The same in an async transaction of its own, committed. */
void txns_put_row(struct txn_env *env, struct txn_projection *p, const char *row);
void txns_change_row(struct txn_env *env, struct txn_projection *p, const char *key,
                     const char *row);
void txns_delete_row(struct txn_env *env, struct txn_projection *p, const char *key);
const char *txns_dump(struct txn_env *env, struct txn_projection *p);

/* Entries of an index whatever its stage, "value:key ", as a new snapshot has them. */
/* Key of the entry of a row that is in the index, appended to out. */
int txns_entry_key(struct txn_rows *rows, const struct catalog_index *index, struct base_slice key,
                   struct base_slice record, struct base_buf *out, struct base_err *err);
const char *txns_entries(struct txn_env *env, const struct catalog_table *table, const char *index);
/*
 * The oracle: every entry of an index points to a row that has its value; an index in `complete` (a
 * name, or NULL) has an entry for every row. Returns "" or what is wrong.
 */
const char *txns_wrong(struct txn_env *env, const struct catalog_table *table,
                       const char *complete);

#endif
