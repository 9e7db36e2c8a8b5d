/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rekey: another primary key for a table, or row ids in its place: what the record of such a change
 * holds, the versions of the table on the way, and its steps.
 */
#ifndef INSTAR_CHANGE_REKEY_IMPL_H
#define INSTAR_CHANGE_REKEY_IMPL_H

#include "change/alter_impl.h"

#define REKEY_TREES_MAX 16 /* that are built by one scan: each has a share of its memory */

/* ---- rekey_record.c ----------------------------------------------------------------------- */

/* The request as it is kept, and what has come of it that no descriptor knows any more. */
struct rekey_request {
    instar_key_column key[INSTAR_INDEX_COLUMNS_MAX];
    char names[INSTAR_INDEX_COLUMNS_MAX][INSTAR_NAME_BYTES_MAX + 1]; /* of the columns */
    size_t key_count;                                                /* 0: row ids */
    uint64_t trees[REKEY_TREES_MAX + 2];                             /* to be dropped */
    size_t tree_count;
};
int rekey_encode(const struct rekey_request *request, struct base_buf *out, struct base_err *err);
/* Trusts nothing: ECORRUPT. */
int rekey_decode(struct base_slice bytes, struct rekey_request *out, struct base_err *err);

/* ---- rekey_target.c: versions of the table ------------------------------------------------ */

/* Each makes a new table, a version later than `now`, ready to be published, from the one that
 * stands; NULL and 0: there is nothing to publish. What the change has put there bears its id.
 * `t` gives trees to new indexes; NULL: this is only to see whether it is possible. */
struct rekey_edit {
    const struct catalog_table *now;
    const struct rekey_request *request;
    uint64_t change;
    struct store_txn *t;
};
/* The columns of the new key in a table; EINVALID, EUNKNOWN. */
int rekey_parts(struct catalog_table *table, const struct rekey_request *request,
                struct catalog_key_part parts[INSTAR_INDEX_COLUMNS_MAX], uint32_t *count_out,
                struct base_err *err);
/* With a unique index on the new key, in its first stage. */
int rekey_add_witness(const struct rekey_edit *e, struct catalog_table **next_out,
                      struct base_err *err);
/* With the column of row ids, which all writers fill from now on. */
int rekey_add_ids(const struct rekey_edit *e, struct catalog_table **next_out,
                  struct base_err *err);
/* With the new tree of rows, and each index once more, in their first stage. */
int rekey_add_rows(const struct rekey_edit *e, struct catalog_table **next_out,
                   struct base_err *err);
int rekey_raise(const struct rekey_edit *e, struct catalog_table **next_out, struct base_err *err);
/* With UNIQUE enforced, and NOT NULL of the new key. */
int rekey_enforce(const struct rekey_edit *e, struct catalog_table **next_out,
                  struct base_err *err);
/* The new key is the table's, the old one begins to go. */
int rekey_swap(const struct rekey_edit *e, struct catalog_table **next_out, struct base_err *err);
/* Delete-only and nothing enforced: on the way down, and on the way back. */
int rekey_lower(const struct rekey_edit *e, struct catalog_table **next_out, struct base_err *err);
/* Without all that bears the change's id, and without row ids that are no key. */
int rekey_remove(const struct rekey_edit *e, struct catalog_table **next_out, struct base_err *err);

/* ---- rekey.c ------------------------------------------------------------------------------ */

/* Is an ALTER TABLE of these steps about the primary key? */
bool rekey_is_needed(const struct catalog_table *table, const instar_alteration *steps,
                     size_t count);
/* If so, about nothing else? */
bool rekey_is_alone(const struct catalog_table *table, const instar_alteration *steps,
                    size_t count);
/* Does the step take the primary key away that the table has, by whatever words? */
bool rekey_drops_key(const struct catalog_table *table, const instar_alteration *step);
/* Of an ADD PRIMARY KEY, as far as it needs no table; EINVALID, ELIMIT. */
int rekey_check_columns(const instar_alteration *step, struct base_err *err);
/* EEXISTS: it has one; it is that one. EUNKNOWN: it has none. */
int rekey_refuse_two(const struct catalog_table *table, struct base_err *err);
int rekey_refuse_same(const struct catalog_table *table, struct base_err *err);
int rekey_refuse_none(const struct catalog_table *table, struct base_err *err);
/* Every index is made anew, with another id, so no foreign key may know one by it; but for those of
 * its own that `to` has no more. ESTATE names one. */
struct kin;
int rekey_check_referrers(const struct catalog_table *from, const struct catalog_table *to,
                          const struct kin *kin, struct base_err *err);
/* The names of the indexes are held from now on, so there must be no other change that makes or
 * drops one: ESTATE. */
struct submission;
int rekey_check_others(struct submission *s, const struct catalog_table *from,
                       struct base_err *err);

/* ---- rekey_step.c ------------------------------------------------------------------------- */

/* A step that publishes a version. */
int rekey_publish(struct job *j, enum change_work work, struct base_err *err);
/* For every tree that is being built, or, to drop them, for those that have gone. */
int rekey_tree_ops(const struct change_record *r, struct store_txn *t, enum store_tree_op op,
                   struct base_err *err);
/* Remove what files the builds have. */
void rekey_forget(struct job *j);
/* The names of the table's indexes are held by nobody any more. */
int rekey_names_back(struct store_txn *t, const struct change_record *r, struct base_err *err);

/* ---- rekey_fill.c ------------------------------------------------------------------------- */

/* Give a row id to every row that has none, in transactions of some rows each, where that is to
 * become the key. */
int rekey_fill(struct job *j, struct base_err *err);

#endif
