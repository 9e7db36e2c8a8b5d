/* SPDX-License-Identifier: Apache-2.0 */
/*
 * several: statements about several tables as one change. Each table is a member; those that are
 * altered have a request as a compound change of one table has it.
 */
#ifndef INSTAR_CHANGE_SEVERAL_IMPL_H
#define INSTAR_CHANGE_SEVERAL_IMPL_H

#include "change/compound_impl.h"
#include "change/submit_impl.h"

#define SEVERAL_TABLES_MAX 64

/* ---- several_record.c --------------------------------------------------------------------- */

enum several_kind {
    SEVERAL_ALTER = 1,
    SEVERAL_CREATE = 2,
    SEVERAL_DROP = 3,
    SEVERAL_PARENT = 4 /* a foreign key of a member leads to it, or led */
};
struct several_member {
    enum several_kind kind;
    uint64_t table;
    char name[INSTAR_NAME_BYTES_MAX + 1]; /* as the statements leave it */
    uint32_t gone;         /* the version in which this change has taken it away; 0: it has not */
    struct base_buf bytes; /* altered: compound_record.c's; created, and dropped once it has gone:
                            * its descriptor */
};
struct several_request {
    struct several_member *list;
    size_t count;
};
int several_encode(const struct several_request *request, struct base_buf *out,
                   struct base_err *err);
/* Trusts nothing: ECORRUPT. Free with several_free, also on failure. */
int several_decode(struct base_slice bytes, struct several_request *out, struct base_err *err);
void several_free(struct several_request *request);

/* ---- several.c ---------------------------------------------------------------------------- */

/* The statements of the submission, for submit_run. */
int several_submit(struct submission *s, struct base_err *err);
/* For foreign keys: what the statements until now make of a table of that name. *table_out NULL and
 * 0: nothing, the store knows. EUNKNOWN: it is dropped, or has another name. */
int several_find(const struct several_draft *draft, const char *name,
                 const struct catalog_table **table_out, struct base_err *err);

/* ---- several_step.c ----------------------------------------------------------------------- */

/* A step that publishes versions, all of them in one commit. */
int several_publish(struct job *j, enum change_work work, struct base_err *err);
/* Cut, drain, purge: of all members at once. */
int several_prove(struct job *j, enum change_work work, struct base_err *err);
/* ---- several_all.c ------------------------------------------------------------------------ */

/* What reads rows, one member after the other. */
int several_each(struct job *j, int (*fn)(struct job *j, struct base_err *err), bool builds,
                 struct base_err *err);
/* For the tree of each index that is made. */
int several_tree_ops(const struct change_record *r, struct store_txn *t, enum store_tree_op op,
                     struct base_err *err);
void several_forget(struct job *j);
/* All names are as before the reservation. */
int several_names_back(struct store_txn *t, const struct change_record *r, struct base_err *err);

#endif
