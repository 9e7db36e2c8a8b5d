/* SPDX-License-Identifier: Apache-2.0 */
/* Schema changes: arguments and options checked, then handed down. */
#include "api/api_impl.h"

#include <inttypes.h>
#include <string.h>

/* What every submission begins with. */
static int enter_submit(instar *db, const void *what, const instar_change_options *options,
                        instar_change_options *complete, uint64_t *change_out)
{
    int rc = api_need(change_out, "change_out");

    if (rc != INSTAR_OK) {
        return rc;
    }
    *change_out = 0;
    rc = api_enter(db, API_MAGIC_DB, "store");
    if (rc == INSTAR_OK) {
        rc = api_need(what, "the definition or name");
    }
    if (rc == INSTAR_OK) {
        rc = api_change_options_complete(options, complete);
    }
    return rc;
}

/* Flags that say nothing about such a change are a mistake. */
static int refuse_nullable(const instar_change_options *options)
{
    return (options->flags & INSTAR_CHANGE_NULLABLE) == 0
               ? INSTAR_OK
               : base_err_set(api_err(), INSTAR_EINVALID, "NULLABLE is for an undo only");
}

/* A change of one statement has a plan of its own kind. */
static int submit_one(struct changes *c, const instar_statement *s, instar_change_options *options,
                      uint64_t *change_out)
{
    struct base_err *err = api_err();

    options->flags |= s->flags;
    switch (s->kind) {
    case INSTAR_STATEMENT_CREATE_TABLE:
        return change_create_table(c, s->table, options, change_out, err);
    case INSTAR_STATEMENT_DROP_TABLE:
        return change_drop_table(c, s->name, options, change_out, err);
    case INSTAR_STATEMENT_CREATE_INDEX:
        return change_create_index(c, s->index, options, change_out, err);
    case INSTAR_STATEMENT_DROP_INDEX:
        return change_drop_index(c, s->name, options, change_out, err);
    case INSTAR_STATEMENT_ALTER_TABLE:
        return change_alter_table(c, s->name, s->steps, s->step_count, options, change_out, err);
    case INSTAR_STATEMENT_VACUUM:
        return change_vacuum(c, s->name, options, change_out, err);
    case INSTAR_STATEMENT_COMMENT_INDEX:
        return change_comment_index(c, s->name, s->comment, options, change_out, err);
    default:
        return change_rename_index(c, s->name, s->new_name, options, change_out, err);
    }
}

/* What the statement cannot do without. */
static int check_statement(const instar_statement *s)
{
    const uint32_t known = INSTAR_CHANGE_IF_NOT_EXISTS | INSTAR_CHANGE_IF_EXISTS;
    const void *what = s->kind == INSTAR_STATEMENT_CREATE_TABLE   ? (const void *)s->table
                       : s->kind == INSTAR_STATEMENT_CREATE_INDEX ? (const void *)s->index
                                                                  : s->name;
    int rc = api_need(what, "the definition or name");

    if (s->kind != INSTAR_STATEMENT_VACUUM && s->kind != INSTAR_STATEMENT_COMMENT_INDEX &&
        (s->kind < INSTAR_STATEMENT_CREATE_TABLE || s->kind > INSTAR_STATEMENT_RENAME_INDEX)) {
        return base_err_set(api_err(), INSTAR_EINVALID, "there is no kind of statement %" PRIu32,
                            s->kind);
    }
    if (rc == INSTAR_OK && (s->flags & ~known) != 0) {
        rc = base_err_set(api_err(), INSTAR_EINVALID, "statement flags 0x%" PRIx32 ": unknown",
                          s->flags & ~known);
    }
    if (rc == INSTAR_OK && s->kind == INSTAR_STATEMENT_ALTER_TABLE && s->step_count > 0) {
        rc = api_need(s->steps, "steps");
    }
    return rc;
}

int instar_submit(instar *db, const instar_statement *statements, size_t count,
                  const instar_change_options *options, uint64_t *change_out)
{
    const uint32_t own = INSTAR_CHANGE_IF_NOT_EXISTS | INSTAR_CHANGE_IF_EXISTS;
    instar_change_options complete;
    int rc = enter_submit(db, statements, options, &complete, change_out);

    rc = rc == INSTAR_OK ? refuse_nullable(&complete) : rc;
    if (rc == INSTAR_OK && (complete.flags & own) != 0) {
        rc = base_err_set(api_err(), INSTAR_EINVALID,
                          "IF [NOT] EXISTS stands with a statement, not with the options");
    }
    for (size_t i = 0; rc == INSTAR_OK && i < count; i++) {
        rc = check_statement(&statements[i]);
    }
    if (rc != INSTAR_OK) {
        return rc;
    }
    return count == 1
               ? submit_one(db->changes, statements, &complete, change_out)
               : change_compound(db->changes, statements, count, &complete, change_out, api_err());
}

int instar_estimate_cost(instar *db, const instar_statement *statements, size_t count,
                         const instar_change_options *options, instar_estimate *estimate_out)
{
    instar_change_options complete;
    int rc = api_need(estimate_out, "estimate_out");

    if (rc == INSTAR_OK) {
        *estimate_out = (instar_estimate){.duration_ms = UINT64_MAX};
        rc = api_enter(db, API_MAGIC_DB, "store");
    }
    if (rc == INSTAR_OK && count == 0) {
        rc = base_err_set(api_err(), INSTAR_EINVALID, "an estimate of no statement");
    }
    rc = rc == INSTAR_OK ? api_need(statements, "statements") : rc;
    rc = rc == INSTAR_OK ? api_change_options_complete(options, &complete) : rc;
    for (size_t i = 0; rc == INSTAR_OK && i < count; i++) {
        rc = check_statement(&statements[i]);
    }
    return rc == INSTAR_OK
               ? change_estimate(db->changes, statements, count, &complete, estimate_out, api_err())
               : rc;
}

/* The functions for one statement: IF [NOT] EXISTS stands with the options there. */
static int submit_alone(instar *db, instar_statement *s, const instar_change_options *options,
                        uint64_t *change_out)
{
    const void *what = s->table != NULL   ? (const void *)s->table
                       : s->index != NULL ? (const void *)s->index
                                          : s->name;
    instar_change_options complete;
    int rc = enter_submit(db, what, options, &complete, change_out);

    if (rc == INSTAR_OK && s->step_count > 0) {
        rc = api_need(s->steps, "steps");
    }
    rc = rc == INSTAR_OK ? refuse_nullable(&complete) : rc;
    return rc == INSTAR_OK ? submit_one(db->changes, s, &complete, change_out) : rc;
}

int instar_create_table(instar *db, const instar_table_def *def,
                        const instar_change_options *options, uint64_t *change_out)
{
    instar_statement s = {.kind = INSTAR_STATEMENT_CREATE_TABLE, .table = def};

    return submit_alone(db, &s, options, change_out);
}

int instar_drop_table(instar *db, const char *table, const instar_change_options *options,
                      uint64_t *change_out)
{
    instar_statement s = {.kind = INSTAR_STATEMENT_DROP_TABLE, .name = table};

    return submit_alone(db, &s, options, change_out);
}

int instar_create_index(instar *db, const instar_index_def *def,
                        const instar_change_options *options, uint64_t *change_out)
{
    instar_statement s = {.kind = INSTAR_STATEMENT_CREATE_INDEX, .index = def};

    return submit_alone(db, &s, options, change_out);
}

int instar_drop_index(instar *db, const char *index, const instar_change_options *options,
                      uint64_t *change_out)
{
    instar_statement s = {.kind = INSTAR_STATEMENT_DROP_INDEX, .name = index};

    return submit_alone(db, &s, options, change_out);
}

int instar_alter_table(instar *db, const char *table, const instar_alteration *steps, size_t count,
                       const instar_change_options *options, uint64_t *change_out)
{
    instar_statement s = {
        .kind = INSTAR_STATEMENT_ALTER_TABLE, .name = table, .steps = steps, .step_count = count};

    return submit_alone(db, &s, options, change_out);
}

int instar_rename_index(instar *db, const char *index, const char *new_name,
                        const instar_change_options *options, uint64_t *change_out)
{
    instar_statement s = {
        .kind = INSTAR_STATEMENT_RENAME_INDEX, .name = index, .new_name = new_name};

    return submit_alone(db, &s, options, change_out);
}

int instar_comment_index(instar *db, const char *index, const char *comment,
                         const instar_change_options *options, uint64_t *change_out)
{
    instar_statement s = {
        .kind = INSTAR_STATEMENT_COMMENT_INDEX, .name = index, .comment = comment};

    return submit_alone(db, &s, options, change_out);
}

int instar_vacuum(instar *db, const char *table, const instar_change_options *options,
                  uint64_t *change_out)
{
    instar_statement s = {.kind = INSTAR_STATEMENT_VACUUM, .name = table};

    return submit_alone(db, &s, options, change_out);
}

int instar_change_undo(instar *db, uint64_t change, const char *new_name,
                       const instar_change_options *options, uint64_t *change_out)
{
    instar_change_options complete;
    int rc = enter_submit(db, db, options, &complete, change_out);

    return rc == INSTAR_OK
               ? change_undo(db->changes, change, new_name, &complete, change_out, api_err())
               : rc;
}

const char *instar_expression_function(size_t at)
{
    return row_expr_function(at);
}

int instar_change_wait_stage(instar *db, uint64_t change, const char *stage, uint32_t timeout_ms,
                             instar_change_info *info_out)
{
    instar_change_info unseen;
    uint64_t deadline = STORE_FOREVER;
    int rc = api_enter(db, API_MAGIC_DB, "store");

    if (rc != INSTAR_OK) {
        return rc;
    }
    if (info_out == NULL) {
        info_out = &unseen;
    }
    memset(info_out, 0, sizeof(*info_out));
    if (timeout_ms != UINT32_MAX) {
        deadline = os_now_ns() + (uint64_t)timeout_ms * 1000000u;
    }
    return change_wait(db->changes, change, stage, deadline, info_out, api_err());
}

int instar_change_wait(instar *db, uint64_t change, uint32_t timeout_ms,
                       instar_change_info *info_out)
{
    return instar_change_wait_stage(db, change, NULL, timeout_ms, info_out);
}

int instar_change_get(instar *db, uint64_t change, instar_change_info *info_out)
{
    int rc = api_need(info_out, "info_out");

    if (rc != INSTAR_OK) {
        return rc;
    }
    memset(info_out, 0, sizeof(*info_out));
    rc = api_enter(db, API_MAGIC_DB, "store");
    if (rc == INSTAR_OK) {
        rc = change_get(db->changes, change, info_out, api_err());
    }
    return rc;
}

int instar_change_get_failure(instar *db, uint64_t change,
                              int (*fn)(void *arg, const instar_change_failure *failure), void *arg)
{
    int rc = api_enter(db, API_MAGIC_DB, "store");

    if (rc == INSTAR_OK && fn == NULL) {
        rc = base_err_set(api_err(), INSTAR_EMISUSE, "fn is NULL");
    }
    if (rc == INSTAR_OK) {
        rc = change_get_failure(db->changes, change, fn, arg, api_err());
    }
    return rc;
}

int instar_change_list(instar *db, int (*fn)(void *arg, const instar_change_info *info), void *arg)
{
    int rc = api_enter(db, API_MAGIC_DB, "store");

    if (rc == INSTAR_OK && fn == NULL) {
        rc = base_err_set(api_err(), INSTAR_EMISUSE, "fn is NULL");
    }
    if (rc == INSTAR_OK) {
        rc = change_list(db->changes, fn, arg, api_err());
    }
    return rc;
}

int instar_change_steer(instar *db, uint64_t change, const instar_change_steering *steering)
{
    int rc = api_enter(db, API_MAGIC_DB, "store");

    if (rc == INSTAR_OK) {
        rc = api_need(steering, "steering");
    }
    if (rc == INSTAR_OK) {
        rc = api_change_steering_check(steering);
    }
    if (rc == INSTAR_OK) {
        rc = change_steer(db->changes, change, steering, api_err());
    }
    return rc;
}

int instar_change_cancel_because(instar *db, uint64_t change, const char *words)
{
    int rc = api_enter(db, API_MAGIC_DB, "store");

    if (rc == INSTAR_OK) {
        rc = change_cancel(db->changes, change, words, api_err());
    }
    return rc;
}

int instar_change_cancel(instar *db, uint64_t change)
{
    return instar_change_cancel_because(db, change, NULL);
}
