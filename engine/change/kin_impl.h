/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kin: the tables that foreign keys tie to the one that a change is about. A change that makes or
 * takes away a foreign key is a change of both tables: its record names the others, it waits for
 * their turn too (CHANGE-4), and what it publishes it publishes for all of them at once.
 */
#ifndef INSTAR_CHANGE_KIN_IMPL_H
#define INSTAR_CHANGE_KIN_IMPL_H

#include "change/record.h"
#include "lease/lease.h"

struct submission;

#define KIN_TABLES_MAX CATALOG_FKEYS_MAX
struct kin_table {
    char name[INSTAR_NAME_BYTES_MAX + 1]; /* as the request calls it, or "" */
    struct catalog_table *now;
    struct catalog_table *next; /* its next version, or NULL */
};
/* Does not move once it is open: `face` points to it. */
struct kin {
    struct store_txn *t;
    struct submission *s; /* while a change is submitted: a table that is named is opened */
    struct kin_table list[KIN_TABLES_MAX]; /* of a request at most RECORD_OTHERS_MAX */
    size_t count;
    struct catalog_kin face; /* for the copies that are altered */
    struct lease_also also[RECORD_OTHERS_MAX];
    size_t also_count;
};

/* For a submission: tables are opened as they are named. */
void kin_begin(struct kin *kin, struct submission *s);
/* The others of a record, as they stand. To be closed, also on failure. EUNKNOWN. */
int kin_open(struct kin *kin, struct store_txn *t, const struct change_record *r,
             struct base_err *err);
/* The parents of the foreign keys that are being validated; the same. */
int kin_open_parents(struct kin *kin, struct store_txn *t, const struct catalog_table *table,
                     struct base_err *err);
/* foreign key "k" of table "t" */
void kin_describe(struct store_txn *t, const struct catalog_referrer *referrer, char *text,
                  size_t size);
void kin_close(struct kin *kin);
/* Name them in the record: those that were opened, and the parents of foreign keys that are not the
 * same in both; either may be NULL. ELIMIT. */
int kin_claim(const struct kin *kin, const struct catalog_table *from,
              const struct catalog_table *to, struct change_record *r, struct base_err *err);
/* A new table has its id now: what refers to itself knows that, and the record all others. */
int kin_tie(const struct kin *kin, struct catalog_table *table, struct change_record *r,
            struct base_err *err);
/* kin->also: the next versions that go with `next`, the next one of `now`; of those that have one.
 * NULL: the table comes, or goes. ESTATE: one is needed that the change has not claimed, or has not
 * the key any more. */
int kin_follow(struct kin *kin, const struct catalog_table *now, struct catalog_table *next,
               struct base_err *err);
/* kin->also: the drains of all of them, below the versions that stand. */
void kin_drain(struct kin *kin);

/* May the table be dropped? ESTATE names a constraint of another one. */
int kin_check_drop_table(struct store_txn *t, const struct catalog_table *table,
                         struct base_err *err);
/* The record of a drop names those to which the table refers; what refers to it forbids it. other:
 * the change at work on the name, if any: the table may not be there yet. */
int kin_claim_drop(struct store_txn *t, struct change_record *r, const struct change_record *other,
                   struct base_err *err);
/* May the index? ESTATE names the foreign key that needs it. */
int kin_check_drop_index(struct store_txn *t, struct catalog_table *table, uint32_t index,
                         struct base_err *err);

#endif
