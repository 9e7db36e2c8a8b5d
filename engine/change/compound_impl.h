/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compound: several statements about one table as one change: what its record holds, and the
 * versions of the table on the way.
 */
#ifndef INSTAR_CHANGE_COMPOUND_IMPL_H
#define INSTAR_CHANGE_COMPOUND_IMPL_H

#include "change/alter_impl.h"

#define COMPOUND_STATEMENTS_MAX 256
/* Trees of which one change builds at once so many: each has a share of its memory. */
#define COMPOUND_INDEXES_MAX 16

/* ---- compound.c --------------------------------------------------------------------------- */

/* Is an ALTER TABLE of these steps a change of several statements? So it is when it makes or drops
 * a UNIQUE. ENOMEM. */
int compound_is_needed(const struct catalog_table *table, const instar_alteration *steps,
                       size_t count, bool *needed_out, struct base_err *err);

/* What steps make anew. */
struct compound_anew {
    bool rekeys;           /* they give the table another primary key, or one whose columns have
                            * other keys: then all indexes are made anew, which are not counted */
    size_t indexes;        /* that mind the other types of their columns, */
    size_t unique_indexes; /* and the unique ones of these */
};
/* What is wrong with the steps is said by whoever takes them. ENOMEM. (compound_remake.c) */
int compound_look(const struct catalog_table *table, const instar_alteration *steps, size_t count,
                  struct compound_anew *out, struct base_err *err);

/* ---- compound_record.c -------------------------------------------------------------------- */

enum compound_kind {
    COMPOUND_CREATE_INDEX = 1,
    COMPOUND_DROP_INDEX = 2,
    COMPOUND_ALTER_TABLE = 3,
    COMPOUND_REMAKE_INDEX = 4, /* one that stands, for the type of a column is another one, or the
                                * primary key */
    COMPOUND_DROP_KEY = 5,     /* from here on the statements know no primary key */
    COMPOUND_REKEY = 6         /* rows by a primary key; one for a change at most */
};
struct compound_statement {
    enum compound_kind kind;
    uint64_t tree;     /* of the index that is made or dropped; of one that is made anew, */
    uint64_t old_tree; /* and of that in whose place it comes; of rows the same */
    uint64_t witness;  /* rekey: of the unique index on the new key; 0: to row ids, without one */
    instar_index_def def; /* of one that is made; the table counts for nothing. rekey: columns of
                           * the key, none: row ids */
    const char *name;     /* of one that is dropped, or made anew */
    struct alter_request alter; /* steps only */
};
/* The request as it is kept, in memory of its own. */
struct compound_request {
    struct compound_statement *statements;
    size_t count;
    struct alter_request renames; /* names only */
    struct base_arena arena;
};
int compound_encode(const struct compound_statement *statements, size_t count,
                    const struct alter_name *names, size_t name_count, struct base_buf *out,
                    struct base_err *err);
/* Trusts nothing: ECORRUPT. Free with compound_free, also on failure. */
int compound_decode(struct base_slice bytes, struct compound_request *out, struct base_err *err);
void compound_free(struct compound_request *request);
/* The tree of an index that comes by this statement, and of one that goes; 0: none. */
uint64_t compound_coming(const struct compound_statement *s);
uint64_t compound_going(const struct compound_statement *s);
uint64_t compound_witness(const struct compound_statement *s);
typedef uint64_t (*compound_which)(const struct compound_statement *s);
/* The index that the change of this record makes under that name; NULL: none. */
const struct compound_statement *compound_created(const struct compound_request *request,
                                                  const char *name);

/* ---- compound_rekey.c: the same with another primary key ---------------------------------- */

/* The statement that gives it; NULL: the key stays. The others but the last three are about a
 * request that has one. */
const struct compound_statement *compound_rekey(const struct compound_request *request);
/* Let the table, not finished, have the key of that statement. */
int compound_set_key(struct catalog_table *target, const struct compound_statement *s,
                     struct base_err *err);
/* With the witness in its first stage, or the column of row ids, which all writers fill from now
 * on. */
int compound_key_add(const struct catalog_table *now, const struct compound_request *request,
                     uint64_t change, struct catalog_table **next_out, struct base_err *err);
int compound_key_raise(const struct catalog_table *now, const struct compound_request *request,
                       struct catalog_table **next_out, struct base_err *err);
/* With UNIQUE and NOT NULL of the new key enforced. */
int compound_key_enforce(const struct catalog_table *now, const struct compound_request *request,
                         struct catalog_table **next_out, struct base_err *err);
/* Into a version: indexes of the table as it was are numbered behind the witness and the rows. */
void compound_reserve_ids(struct catalog_table *base, const struct compound_request *request);
/* Into one: the rows by the new key, before all that ends with it. *id_out: 0, there are none. */
int compound_add_rows(struct catalog_table *next, const struct catalog_table *target,
                      const struct compound_request *request, uint64_t change, uint32_t *id_out,
                      struct base_err *err);
/* Into that of the flip, behind what goes: the rows by the old key, with which that ends. */
int compound_swap(const struct catalog_table *now, struct catalog_table *next,
                  const struct compound_request *request, uint64_t change, struct base_err *err);
/* Row ids that are no key any more, or not yet, leave the columns. False: there are none. */
bool compound_drop_row_ids(struct catalog_table *next);

/* ---- compound_target.c: versions of the table --------------------------------------------- */

/* Each makes a new table, a version later than `now`, ready to be published, from the one that
 * stands; NULL and 0: there is nothing to publish. */
/* The table as it is wanted, not finished: all statements done to `now`, less what the change has
 * put there already. */
int compound_target(const struct catalog_table *now, const struct compound_request *request,
                    struct catalog_table **target_out, struct base_err *err);
/* With the types that may lose values on their way: before anything is made of them. */
int compound_foresee(const struct catalog_table *now, const struct compound_request *request,
                     struct catalog_table **next_out, struct base_err *err);
/* With the new indexes in their first stage, and what columns they need. */
int compound_add(const struct catalog_table *now, const struct compound_request *request,
                 uint64_t change, struct catalog_table **next_out, struct base_err *err);
int compound_raise(const struct catalog_table *now, const struct compound_request *request,
                   struct catalog_table **next_out, struct base_err *err);
/* With UNIQUE, NOT NULL and checks enforced. */
int compound_enforce(const struct catalog_table *now, const struct compound_request *request,
                     struct catalog_table **next_out, struct base_err *err);
/* All of it, at once; what is dropped begins to go. r->keeps is set: columns that it drops are
 * kept. */
int compound_flip(const struct catalog_table *now, const struct compound_request *request,
                  struct change_record *r, struct catalog_table **next_out, struct base_err *err);
int compound_lower(const struct catalog_table *now, const struct compound_request *request,
                   struct catalog_table **next_out, struct base_err *err);
/* Without what is dropped, without hidden columns and old names. */
int compound_remove(const struct catalog_table *now, const struct compound_request *request,
                    struct catalog_table **next_out, struct base_err *err);
/* Only without hidden columns and old names. */
int compound_retire(const struct catalog_table *now, struct catalog_table **next_out,
                    struct base_err *err);
/* The way back: delete-only and not enforced; then without what was new. */
int compound_withdraw(const struct catalog_table *now, const struct compound_request *request,
                      struct catalog_table **next_out, struct base_err *err);
int compound_take_out(const struct catalog_table *now, const struct compound_request *request,
                      struct catalog_table **next_out, struct base_err *err);

/* Make every version once: they say what the plan needs, into the record, and whether they are
 * possible. bytes_out: of the last one's descriptor. */
int compound_rehearse(struct store *store, const struct catalog_table *from,
                      const struct compound_request *request, struct change_record *r,
                      size_t *bytes_out, struct base_err *err);

/* ---- compound_step.c ---------------------------------------------------------------------- */

/* A step that publishes a version. */
int compound_publish(struct job *j, enum change_work work, struct base_err *err);
/* For the tree of each such index of the request. */
int compound_trees(struct store_txn *t, const struct compound_request *request,
                   compound_which tree_of, enum store_tree_op op, struct base_err *err);
/* For those that must go when the change has ended in whatever way. */
int compound_purge(struct store_txn *t, const struct compound_request *request, bool back,
                   struct base_err *err);
/* For the tree of each index that is made at this moment, or, to drop them on the way there, that
 * is dropped. */
int compound_tree_ops(const struct change_record *r, struct store_txn *t, enum store_tree_op op,
                      struct base_err *err);
/* The indexes of that table that the request makes have ids now: their names lead to them. */
int compound_names_complete(struct store_txn *t, const struct compound_request *request,
                            const struct catalog_table *table, uint64_t change,
                            struct base_err *err);
/* The names of those that are made anew lead to the ones that stand in their place now. */
int compound_names_move(struct store_txn *t, const struct compound_request *request,
                        const struct catalog_table *table, struct base_err *err);
/* The names of indexes that it makes, or drops, are no more the change's: kept, or free. */
int compound_names_let_go(struct store_txn *t, const struct compound_request *request,
                          enum compound_kind kind, uint64_t change, bool keep,
                          struct base_err *err);
/* Remove what files the builds have. */
void compound_forget(struct job *j);
void compound_forget_trees(struct store *store, const struct compound_request *request);
/* All names are as before the reservation. */
int compound_names_back(struct store_txn *t, const struct change_record *r, struct base_err *err);
/* The same of one table's request, by that change. */
int compound_request_back(struct store_txn *t, const struct compound_request *request,
                          uint64_t table, uint64_t change, struct base_err *err);

#endif
