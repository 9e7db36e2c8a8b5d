/* SPDX-License-Identifier: Apache-2.0 */
/* explain: what a change would do, and what it would cost, told in lines; what its files share. */
#ifndef INSTAR_DDL_EXPLAIN_IMPL_H
#define INSTAR_DDL_EXPLAIN_IMPL_H

#include "ddl/ddl_impl.h"

/* What is known of the store. */
struct found {
    const char *name; /* what the statement makes or drops */
    const char *from; /* the table that an index is made for, or NULL */
    bool has_table, has_index, has_from, unique;
    bool loses;    /* a type that a value may have no room in */
    bool rechecks; /* a type that a check is about */
    uint64_t rows;
    size_t indexes;
    const instar_sql_statement *statement;
    size_t uniques_dropped;       /* by DROP CONSTRAINT in it */
    bool drops_key, adds_key;     /* the primary key */
    bool remakes_key;             /* a column of it gets a type with other keys */
    uint64_t window_s;            /* for which what it drops is kept */
    size_t indexes_needed;        /* by its foreign keys, and made with them */
    size_t remade, remade_unique; /* a column of them gets another type, or their table a key */
};

/* Lines go to the caller until it stops them. */
struct telling {
    int (*fn)(void *arg, const char *line);
    void *arg;
    int stopped;
};

void ddl_tell(struct telling *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- explain.c ---------------------------------------------------------------------------- */

/* What the parts of a compound change need. */
struct needs {
    size_t builds, unique, drops;
    bool rows, leaves;
    bool loses;  /* types */
    bool by_key; /* rows by another primary key are built with the indexes */
};

void ddl_add_need(struct needs *n, const instar_sql_statement *s);
/* Types that may lose values are looked at on their own, before anything is built of them; else
 * with the rest of what is validated. */
void ddl_settle_types(struct needs *n);
void ddl_tell_foreseen(struct telling *t, const struct needs *n, uint32_t wait_ms, int *step);
/* Those with another primary key, until its rows can be built. */
void ddl_tell_new_key(struct telling *t, bool numbers, uint32_t wait_ms, int *step);
/* The steps before all is public. */
void ddl_tell_going_up(struct telling *t, const struct needs *n, uint32_t wait_ms, int *step);
/* For instar_table_list(): what the store has of the statement's table, into a struct found. */
int ddl_look(void *arg, const instar_table_info *info);

/* ---- explain_several.c -------------------------------------------------------------------- */

/* Are the parts of a COMPOUND about several tables, or do they make or drop one? */
bool ddl_is_several(const instar_sql_statement *s);
void ddl_tell_several(struct telling *t, instar *db, const instar_sql_statement *s);

/* ---- explain_table.c ---------------------------------------------------------------------- */

void ddl_tell_create_table(struct telling *t, const instar_sql_statement *s);
void ddl_tell_drop_table(struct telling *t, const struct found *found,
                         const instar_change_options *options);
void ddl_tell_vacuum(struct telling *t, const struct found *found,
                     const instar_change_options *options);
void ddl_tell_undo(struct telling *t, instar *db, const instar_sql_statement *s);
/* Has an ALTER TABLE no other steps than COMMENT ON? */
bool ddl_only_comments(const instar_sql_statement *s);
void ddl_tell_comment(struct telling *t);

/* ---- explain_cost.c ----------------------------------------------------------------------- */

/* EUNKNOWN: of something that is not there nothing is told, the names are. */
int ddl_explain_cost(instar *db, const instar_sql_statement *s, instar_estimate *estimate_out);
void ddl_tell_cost(struct telling *t, const instar_estimate *e);

#endif
