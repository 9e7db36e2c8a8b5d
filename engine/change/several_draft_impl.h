/* SPDX-License-Identifier: Apache-2.0 */
/* several_draft: statements about several tables, while they are put together as one change. */
#ifndef INSTAR_CHANGE_SEVERAL_DRAFT_IMPL_H
#define INSTAR_CHANGE_SEVERAL_DRAFT_IMPL_H

#include "change/draft_impl.h"
#include "change/several_impl.h"

/* A table that statements have named. */
struct subject {
    enum several_kind kind;
    struct draft draft;          /* altered */
    size_t told;                 /* of its words, that are among those of the change */
    struct catalog_table *table; /* made: as it will be; dropped, parent: as it stands */
    const instar_table_def *def; /* made */
    uint32_t own_indexes;        /* made: those of its definition; the others have been named */
};
struct several_draft {
    struct submission *s;
    struct subject *list[SEVERAL_TABLES_MAX + RECORD_OTHERS_MAX];
    size_t count;
    struct kin kin; /* of tables that are made */
    struct base_buf words;
};

/* ---- several.c ---------------------------------------------------------------------------- */

/* By the name that the statements until now give it; NULL: they have not named it. */
struct subject *several_find_name(const struct several_draft *sd, const char *name);
/* ELIMIT, ENOMEM. */
int several_add_subject(struct several_draft *sd, enum several_kind kind, struct subject **out,
                        struct base_err *err);
/* A statement in words. */
void several_tell(struct several_draft *sd, const char *text, size_t size);

/* ---- several_new.c ------------------------------------------------------------------------ */

int several_create_table(struct several_draft *sd, const instar_statement *statement,
                         struct base_err *err);
/* Another statement about a table that is made. */
int several_statement_new(struct several_draft *sd, struct subject *x,
                          const instar_statement *statement, struct base_err *err);
/* Its descriptor; its names are reserved. */
int several_encode_made(struct several_draft *sd, struct subject *x, struct base_buf *out,
                        struct base_err *err);

#endif
