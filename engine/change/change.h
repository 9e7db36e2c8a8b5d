/* SPDX-License-Identifier: Apache-2.0 */
/*
 * change: schema changes as durable records, guided stage by stage by a runner. A runner thread in
 * every process adopts what has no living owner.
 */
#ifndef INSTAR_CHANGE_H
#define INSTAR_CHANGE_H

#include "txn/txn.h"

struct changes; /* this process's part; thread safe */

/* run: start the runner thread (not with INSTAR_OPEN_NO_RUNNER). */
int change_open(struct txn_env *env, bool run, struct changes **changes_out, struct base_err *err);
/* Stops the runner at its next batch; what it was running is for others to adopt. */
void change_close(struct changes *c);

/* As the public functions; options are complete. */
int change_create_table(struct changes *c, const instar_table_def *def,
                        const instar_change_options *options, uint64_t *id_out,
                        struct base_err *err);
int change_drop_table(struct changes *c, const char *table, const instar_change_options *options,
                      uint64_t *id_out, struct base_err *err);
int change_create_index(struct changes *c, const instar_index_def *def,
                        const instar_change_options *options, uint64_t *id_out,
                        struct base_err *err);
int change_drop_index(struct changes *c, const char *index, const instar_change_options *options,
                      uint64_t *id_out, struct base_err *err);
int change_alter_table(struct changes *c, const char *table, const instar_alteration *steps,
                       size_t count, const instar_change_options *options, uint64_t *id_out,
                       struct base_err *err);
int change_rename_index(struct changes *c, const char *index, const char *new_name,
                        const instar_change_options *options, uint64_t *id_out,
                        struct base_err *err);
int change_comment_index(struct changes *c, const char *index, const char *comment,
                         const instar_change_options *options, uint64_t *id_out,
                         struct base_err *err);
/* More than one statement, or one that is not told by itself. */
int change_compound(struct changes *c, const instar_statement *statements, size_t count,
                    const instar_change_options *options, uint64_t *id_out, struct base_err *err);
/* Bring back what a drop has kept; new_name: NULL, or another name for it. */
int change_undo(struct changes *c, uint64_t drop, const char *new_name,
                const instar_change_options *options, uint64_t *id_out, struct base_err *err);
int change_vacuum(struct changes *c, const char *table, const instar_change_options *options,
                  uint64_t *id_out, struct base_err *err);
/* Of a change that is not told otherwise. */
#define CHANGE_FENCE_AFTER_MS 30000
int change_estimate(struct changes *c, const instar_statement *statements, size_t count,
                    const instar_change_options *options, instar_estimate *estimate_out,
                    struct base_err *err);
/* stage: NULL, or one of its plan that is enough. */
int change_wait(struct changes *c, uint64_t id, const char *stage, uint64_t deadline_ns,
                instar_change_info *info_out, struct base_err *err);
int change_get(struct changes *c, uint64_t id, instar_change_info *info_out, struct base_err *err);
/* As instar_change_get_failure. */
int change_get_failure(struct changes *c, uint64_t id,
                       int (*fn)(void *arg, const instar_change_failure *failure), void *arg,
                       struct base_err *err);
int change_list(struct changes *c, int (*fn)(void *arg, const instar_change_info *info), void *arg,
                struct base_err *err);
/* words: why, for the change's reason; NULL or "": not said. ELIMIT: too many. */
#define CHANGE_CANCEL_WORDS_MAX 1000
int change_cancel(struct changes *c, uint64_t id, const char *words, struct base_err *err);
/* The flags that steering is about. */
#define CHANGE_STEERED                                                           \
    ((uint32_t)(INSTAR_CHANGE_PAUSE | INSTAR_CHANGE_HOLD | INSTAR_CHANGE_HURRY | \
                INSTAR_CHANGE_KEEP_WAITING | INSTAR_CHANGE_GIVE_UP))
int change_steer(struct changes *c, uint64_t id, const instar_change_steering *steering,
                 struct base_err *err);
/* The tables that were dropped and are kept, as of the transaction's snapshot. Stops when fn
 * returns not 0, and returns that. */
int change_list_kept(struct store_txn *t, int (*fn)(void *arg, const struct catalog_table *table),
                     void *arg, struct base_err *err);
/* Running changes that a node owns, for `instar nodes`. */
uint32_t change_owned_by(struct changes *c, uint64_t nonce);

#endif
