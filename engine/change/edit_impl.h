/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edit: what a step has open that makes the next version of the record's table: the table as it
 * stands, read in the transaction that is to publish what becomes of it.
 */
#ifndef INSTAR_CHANGE_EDIT_IMPL_H
#define INSTAR_CHANGE_EDIT_IMPL_H

#include "change/job_impl.h"
#include "change/kin_impl.h"

/* Does not move once it is open: `now` points to its kin. */
struct edit {
    struct job *j;
    struct store_txn *t;        /* NULL: it did not begin */
    uint32_t seen;              /* of the lease event, from before the step began */
    struct catalog_table *now;  /* as it stands */
    struct catalog_table *next; /* the version to be published, or NULL */
    struct kin kin;             /* what foreign keys tie to it */
};

/* To be freed or published, also on failure. As job_begin. */
int edit_begin(struct edit *e, struct job *j, struct base_err *err);
/* e->now: the table; ENOTFOUND. */
int edit_open(struct edit *e, struct base_err *err);
/* The same, and what foreign keys tie to it. */
int edit_open_with_kin(struct edit *e, struct base_err *err);
/* The step ends with e->next, or by an ordinary commit where there is none: then the table as it
 * stands is what a drain is to prove. Or with the transaction if rc says that something went wrong
 * before. Ends and frees all. */
int edit_publish(struct edit *e, int rc, struct base_err *err);
/* What it has but the transaction, which has ended. */
void edit_free(struct edit *e);

/* The copy that a version was made in: finished, or freed where rc says that something went wrong;
 * NULL: there is none. later: its version is not counted yet. */
int edit_ready(int rc, bool later, struct catalog_table *next, struct catalog_table **next_out,
               struct base_err *err);

#endif
