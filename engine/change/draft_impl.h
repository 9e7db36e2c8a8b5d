/* SPDX-License-Identifier: Apache-2.0 */
/* draft: several statements about one table, while they are put together as a request. */
#ifndef INSTAR_CHANGE_DRAFT_IMPL_H
#define INSTAR_CHANGE_DRAFT_IMPL_H

#include "change/compound_impl.h"
#include "change/submit_impl.h"

/* The request as it is put together. */
struct draft {
    struct submission *s;
    size_t at;                          /* of the statement at hand */
    struct catalog_table *from;         /* as it stands; NULL: no statement has named it yet */
    struct catalog_table *target;       /* as the statements until now leave it */
    uint64_t behind;                    /* a change of the table that has not ended, or 0 */
    bool may_bind;                      /* whether rows must obey it is known behind that one */
    struct compound_statement *request; /* what each of them has to do */
    size_t count;
    size_t created;
    size_t bytes; /* of the last descriptor, once the versions are made */
    struct base_buf words;
    instar_alteration *renames; /* of RENAME INDEX, made into steps; one for each statement */
    struct base_arena arena;    /* of definitions that are made here */
    struct kin kin;             /* what foreign keys tie to the table */
};
/* Those of one ALTER TABLE. */
struct steps {
    const instar_alteration *list;
    size_t count;
};

/* ---- compound.c --------------------------------------------------------------------------- */

/* To be closed, also on failure. */
int draft_open(struct draft *d, struct submission *s, struct base_err *err);
void draft_close(struct draft *d);
/* The statement at d->at. */
int draft_take_statement(struct draft *d, const instar_statement *statement, struct base_err *err);
/* An index that is made must end with the name that is reserved for it. */
int draft_check_names(const struct draft *d, struct base_err *err);
/* The request as bytes; names are reserved, versions made once. The change has its id, and in its
 * record whether the draft builds; what else the plan needs is noted there. */
int draft_encode(struct draft *d, struct base_buf *out, struct base_err *err);
/* The record of a change of this one table. */
int draft_record(struct draft *d, struct base_err *err);
/* The part that drops the index of that name; NULL: none does. */
const struct compound_statement *draft_dropped(const struct draft *d, const char *name);
/* An index of the table at hand. Its definition lives as long as the request. */
int draft_make_index(struct draft *d, const instar_index_def *def, uint32_t flags,
                     struct base_err *err);
/* One that the target has. */
int draft_take_away(struct draft *d, const char *name, struct base_err *err);
/* The steps of a statement from one to before another: a part of the request. */
int draft_alter_steps(struct draft *d, const struct steps *all, size_t from, size_t to,
                      struct base_err *err);

/* Steps of an ALTER TABLE of the table of that name, in words. */
void draft_tell_steps(struct draft *d, const char *table, const instar_alteration *steps,
                      size_t count);

/* ---- compound_key.c ----------------------------------------------------------------------- */

bool draft_is_key_step(const struct draft *d, const instar_alteration *step);
int draft_key_step(struct draft *d, const instar_alteration *step, struct base_err *err);
/* All statements are taken: what another primary key asks for besides. EEXISTS, EINVALID, ESTATE,
 * ELIMIT. */
int draft_complete(struct draft *d, struct base_err *err);
/* Does the table get another one? */
bool draft_changes_key(const struct draft *d);
/* EINVALID: a foreign key that the same change makes would refer to it. */
int draft_refuse_fkey(const struct draft *d, const struct catalog_fkey *fkey,
                      const struct catalog_table *child, struct base_err *err);

/* ---- compound_alter.c --------------------------------------------------------------------- */

/* Which of a statement's steps it was goes before what is wrong with it. */
int draft_step_fault(const struct steps *all, size_t at, int rc, struct base_err *err);
/* Those about UNIQUE and the primary key are parts of their own, with what stands between them; so
 * are indexes that foreign keys lack. */
int draft_alter_all(struct draft *d, const struct steps *all, struct base_err *err);

/* ---- compound_remake.c -------------------------------------------------------------------- */

/* The indexes of the target that the last steps have made others are made anew: parts of the
 * request. ESTATE, EINVALID, ELIMIT. */
int compound_remake(struct draft *d, struct base_err *err);

#endif
