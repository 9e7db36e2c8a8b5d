/* SPDX-License-Identifier: Apache-2.0 */
/* compound, while it is submitted: the request as it is put together, statement by statement. */
#ifndef INSTAR_CHANGE_COMPOUND_DRAFT_H
#define INSTAR_CHANGE_COMPOUND_DRAFT_H

#include "change/compound_impl.h"
#include "change/submit_impl.h"

struct draft {
    struct submission *s;
    size_t at;                          /* of the statement at hand */
    struct catalog_table *from;         /* as it stands; NULL: no statement has named it yet */
    struct catalog_table *target;       /* as the statements until now leave it */
    struct compound_statement *request; /* what each of them has to do */
    size_t count;
    size_t created;
    struct base_buf words;
    instar_alteration *renames; /* of RENAME INDEX, made into steps; one for each statement */
    struct base_arena arena;    /* of definitions that are made here */
    struct kin kin;             /* what foreign keys tie to the table */
};

/* ---- compound_remake.c -------------------------------------------------------------------- */

/* The indexes of the target that the last steps have made others are made anew: parts of the
 * request. ESTATE, EINVALID, ELIMIT. */
int compound_remake(struct draft *d, struct base_err *err);

#endif
