/* SPDX-License-Identifier: Apache-2.0 */
/* The checker, inside: check.c walks pages, trees and log, check_table.c a table's rows and
 * entries. */
#ifndef INSTAR_API_CHECK_IMPL_H
#define INSTAR_API_CHECK_IMPL_H

#include "api/api_impl.h"

struct check {
    instar *db;
    struct store_txn *txn;
    const struct catalog_view *view;
    int (*fn)(void *arg, const instar_finding *finding);
    void *arg;
    instar_check_summary sum;
    /* of the table in hand */
    const struct catalog_table *table;
    struct txn_rows *rows;
    struct base_buf key_text;  /* readable key */
    struct base_buf entry;     /* entry key that a row must have */
    struct base_buf include;   /* and what it includes */
    struct base_arena scratch; /* of one evaluation */
    struct base_buf unlike;    /* trees that do not add up to their digests, u64 each */
    bool fast;                 /* pages and log alone */
};

/* Where a finding is. */
struct place {
    const struct catalog_index *index; /* or NULL */
    uint32_t written_by;
};

/* Tell what was found, about the table in hand, if there is one, and about c->key_text. */
int check_report(struct check *c, enum instar_problem problem, const struct place *where,
                 const char *what);
/* Of the trees that do not add up: is this one of them? Then it is told, once. */
int check_digest(struct check *c, uint64_t tree, const struct catalog_index *index);
/* Rows, entries and ties of one table. */
int check_table(struct check *c, const struct catalog_table *table);

#endif
