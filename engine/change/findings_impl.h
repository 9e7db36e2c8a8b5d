/* SPDX-License-Identifier: Apache-2.0 */
/* findings: the rows that break what is to hold. Only nulls.c and findings.c include this. */
#ifndef INSTAR_CHANGE_FINDINGS_IMPL_H
#define INSTAR_CHANGE_FINDINGS_IMPL_H

#include "change/build_impl.h"

#define FINDINGS_MAX 10 /* that are told */

struct finding {
    struct gap_key row; /* its primary key */
    enum instar_failure_kind kind;
    const char *name;       /* of the column or constraint, of the table that is validated */
    struct base_buf values; /* what a foreign key has there, in words; or empty */
    struct base_buf why;    /* in words; or empty */
};
/* Shared by all workers. */
struct findings {
    struct os_plain_mutex lock;
    uint64_t broken; /* in all */
    uint64_t of_kind[INSTAR_FAILURE_FOREIGN_KEY + 1];
    struct finding first[FINDINGS_MAX]; /* by row */
    size_t count;
};
/* A piece that was found; all of it is copied but the name. */
struct finding_told {
    enum instar_failure_kind kind;
    const char *name;
    struct base_slice row;
    const struct base_buf *values; /* or NULL */
    const char *why;               /* or NULL */
};
void findings_init(struct findings *f);
void findings_free(struct findings *f);
void findings_add(struct findings *f, const struct finding_told *told);
/* The first ones, for people and for programs. name_them: with the constraint's name. */
void findings_describe(const struct findings *f, const struct catalog_table *table, bool name_them,
                       struct base_buf *out, struct base_buf *samples_out);

#endif
