/* SPDX-License-Identifier: Apache-2.0 */
/* runner: the thread that claims changes; and the calls that submit them. */
#ifndef INSTAR_CHANGE_RUNNER_IMPL_H
#define INSTAR_CHANGE_RUNNER_IMPL_H

#include "change/job_impl.h"

int runner_start(struct changes *c, struct base_err *err);
/* c->stop is set and the events are bumped. Returns when all jobs have ended. */
void runner_stop(struct changes *c);

/* ---- history.c ---------------------------------------------------------------------------- */

/* What a change of that kind costs. */
struct history_cost {
    enum change_kind kind;
    bool scans;     /* it reads the rows of its table */
    uint64_t rows;  /* of the table, and */
    uint64_t bytes; /* what they take */
    uint64_t ms;    /* UINT64_MAX: none like it has ended well */
    uint32_t learnt_from;
};
/* kind and scans are given; table 0: one that is not there yet. The others come from the trees and
 * from the latest changes. */
int history_cost_of(struct store *s, struct store_txn *t, uint64_t table, struct history_cost *cost,
                    struct base_err *err);
/* Forget the changes that ended longer ago than the option history_s says. */
int history_prune(struct changes *c, struct base_err *err);

/* ---- join.c ------------------------------------------------------------------------------- */

/* What a name that is taken means for who wants to create it. */
enum join {
    JOIN_FREE,   /* it is not taken */
    JOIN_BEHIND, /* create it when *change_out has ended */
    JOIN_ATTACH, /* *change_out is creating just that */
    JOIN_EXISTS  /* it exists as wanted */
};
/* Decide for a create; flags: enum instar_change_flag. EEXISTS, EDEFINITION (names the difference),
 * ESTATE. */
int join_index(struct store_txn *t, const instar_index_def *def, uint32_t flags,
               enum join *join_out, uint64_t *change_out, struct base_err *err);
int join_table(struct store_txn *t, const struct catalog_table *wanted, uint32_t flags,
               enum join *join_out, uint64_t *change_out, struct base_err *err);
/* Is the index of the record's definition the same as that one? If not, the first difference. */
int join_same_index(const struct catalog_table *table, const struct catalog_index *existing,
                    const instar_index_def *def, bool *same_out, char *difference, size_t size,
                    struct base_err *err);

#endif
