/* SPDX-License-Identifier: Apache-2.0 */
/* alter: what the record of an alter table holds, and the names that it gives and takes. */
#ifndef INSTAR_CHANGE_ALTER_IMPL_H
#define INSTAR_CHANGE_ALTER_IMPL_H

#include "change/edit_impl.h"

#define ALTER_STEPS_MAX 1024    /* in one change */
#define ALTER_UNBORN UINT64_MAX /* stands for the id of a change that has none yet */

/* ---- alter_record.c ----------------------------------------------------------------------- */

/* A table or an index that gets another name. */
struct alter_name {
    uint32_t index; /* id, 0: the table */
    char old[INSTAR_NAME_BYTES_MAX + 1];
    char new[INSTAR_NAME_BYTES_MAX + 1];
};
/* The request as it is kept, in memory of its own. */
struct alter_request {
    instar_alteration *steps;
    size_t step_count;
    struct alter_name *names;
    size_t name_count;
    struct base_arena arena;
};
int alter_encode(const instar_alteration *steps, size_t step_count, const struct alter_name *names,
                 size_t name_count, struct base_buf *out, struct base_err *err);
/* Trusts nothing: ECORRUPT. Free with base_arena_free(&out->arena), also on failure. */
int alter_decode(struct base_slice bytes, struct alter_request *out, struct base_err *err);
/* In the words of SQL, cut between two characters. */
void alter_describe(const char *table, const instar_alteration *steps, size_t count, char *text,
                    size_t size);
/* Are there steps that rows may have to obey, at one state of the table or another? */
bool alter_may_bind(const instar_alteration *steps, size_t count);
/* The table as it is wanted: a copy of `from` with all steps done, not finished. NULL and 0: there
 * is nothing to do. */
int alter_target(const struct catalog_table *from, const instar_alteration *steps, size_t count,
                 struct catalog_table **target_out, struct base_err *err);
/* Will the last version of the plan be possible: `altered`, or that one without what it leaves? The
 * latter is published past the point of no return, where nothing may fail for good. record_size:
 * of the request, and of what else is in the commit. bytes_out: the descriptor's, may be NULL.
 * ELIMIT. */
int alter_check_size(struct store *s, const struct catalog_table *altered, size_t record_size,
                     size_t *bytes_out, struct base_err *err);

/* ---- alter_names.c ------------------------------------------------------------------------ */

/* What has another name in `to`. The list is in the arena. */
int alter_names_find(const struct catalog_table *from, const struct catalog_table *to,
                     struct base_arena *arena, struct alter_name **names_out, size_t *count_out,
                     struct base_err *err);
/* Another change is at work on the name: ESTATE says what it does. */
int alter_name_busy(struct store_txn *t, const char *name, uint64_t change, struct base_err *err);
/* What the steps rename must not be on its way by another change, IF EXISTS or not: its new name
 * could not be reserved. ESTATE. */
int alter_names_idle(struct store_txn *t, const struct catalog_table *from,
                     const instar_alteration *steps, size_t count, struct base_err *err);
/* Both names of each belong to the change from now on. EEXISTS, ESTATE. */
int alter_names_reserve(struct store_txn *t, uint64_t table, uint64_t change,
                        const struct alter_name *names, size_t count, struct base_err *err);
/* The new names stand; the old ones are held still, for they are aliases. */
int alter_names_give(struct store_txn *t, uint64_t table, const struct alter_request *request,
                     struct base_err *err);
/* The old names are free. */
int alter_names_retire(struct store_txn *t, const struct alter_request *request,
                       struct base_err *err);
/* All is as before the reservation. */
int alter_names_restore(struct store_txn *t, uint64_t table, const struct alter_request *request,
                        struct base_err *err);
int alter_names_back(struct store_txn *t, const struct change_record *r, struct base_err *err);

/* ---- alter_step.c ------------------------------------------------------------------------- */

int alter_enforce(struct job *j, struct base_err *err);
int alter_relax(struct job *j, struct base_err *err);
int alter_publish(struct job *j, struct base_err *err);
int alter_retire(struct job *j, struct base_err *err);

/* ---- nulls.c ------------------------------------------------------------------------------ */

/* ENOT_NULL or ECHECK with words when rows break what is to hold; their number in
 * j->rec.duplicate_count. */
int nulls_run(struct job *j, struct base_err *err);

#endif
