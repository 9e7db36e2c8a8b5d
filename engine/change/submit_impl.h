/* SPDX-License-Identifier: Apache-2.0 */
/* submit: what the submissions of all kinds of changes have in common. */
#ifndef INSTAR_CHANGE_SUBMIT_IMPL_H
#define INSTAR_CHANGE_SUBMIT_IMPL_H

#include "change/runner_impl.h"

struct several_draft;
struct submission {
    struct changes *c;
    const instar_change_options *options;
    const instar_table_def *table_def;
    const instar_index_def *index_def;
    const char *name; /* of what is to be dropped or altered */
    const struct instar_alteration *steps;
    size_t step_count;
    const instar_statement *statements;
    size_t statement_count;
    uint64_t steered; /* a change that exists: to be steered or cancelled */
    const instar_change_steering *steering;
    const char *words; /* why it is cancelled, or NULL */
    uint64_t takes;    /* undo, purge: the drop */
    unsigned room;     /* STORE_TXN_LAST_ROOM for what makes room, or 0 */
    struct store_txn *t;
    const struct catalog_view *view;
    struct change_record rec;
    uint64_t id; /* the answer: 0 nothing to do, or a change that exists already */
    bool ready;  /* rec is to be written */
    const struct several_draft *several; /* while statements about several tables are read */
};

/* Run fn in a transaction, again and again while others are faster. */
int submit_run(struct submission *s, int (*fn)(struct submission *s, struct base_err *err),
               uint64_t *id_out, struct base_err *err);
/* What all records have, and the change's id; the record will be written. */
int submit_fill(struct submission *s, enum change_kind kind, const char *object,
                struct base_err *err);
/* A table that exists and is not on its way out. The copy is the caller's. */
int submit_open_table(struct submission *s, const char *name, struct catalog_table **copy_out,
                      struct base_err *err);
/* The name of what is to be dropped or renamed. *found_out: false when there is none and that is no
 * error. */
int submit_find_name(struct submission *s, enum catalog_name_kind kind, struct catalog_name *name,
                     bool *found_out, struct base_err *err);
/* The table that an index belongs to; it must not be on its way out. The copy is the caller's, also
 * on failure. */
int submit_table_of_index(struct submission *s, uint64_t id, struct catalog_table **table_out,
                          struct base_err *err);

/* CREATE TABLE in a few words. */
void submit_table_statement(const struct catalog_table *t, char *text, size_t size);
/* Reserve the names of the indexes with which a new table begins, and give them trees: of the
 * table_def at hand. */
int submit_reserve_uniques(struct submission *s, struct catalog_table *table, struct base_err *err);
int submit_give_trees(struct submission *s, struct catalog_table *table, struct base_err *err);
/* How long it keeps what it drops, as it says or else the store's option. */
uint64_t submit_undo_window(const struct submission *s);
/* compound.c: the statements of the submission, for submit_run. */
int compound_submit(struct submission *s, struct base_err *err);
/* rekey.c: the steps of the submission, to the table as it stands. */
int rekey_submit(struct submission *s, struct catalog_table *from, struct base_err *err);
/* May DROP INDEX drop it? ESTATE: it is a constraint's. */
int submit_check_drop(const struct catalog_table *table, const struct catalog_index *index,
                      struct base_err *err);

#endif
