/* SPDX-License-Identifier: Apache-2.0 */
/* Schema changes: arguments and options checked, then handed down. */
#include "api/api_impl.h"

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

int instar_create_table(instar *db, const instar_table_def *def,
                        const instar_change_options *options, uint64_t *change_out)
{
    instar_change_options complete;
    int rc = enter_submit(db, def, options, &complete, change_out);

    if (rc == INSTAR_OK) {
        rc = change_create_table(db->changes, def, &complete, change_out, api_err());
    }
    return rc;
}

int instar_drop_table(instar *db, const char *table, const instar_change_options *options,
                      uint64_t *change_out)
{
    instar_change_options complete;
    int rc = enter_submit(db, table, options, &complete, change_out);

    if (rc == INSTAR_OK) {
        rc = change_drop_table(db->changes, table, &complete, change_out, api_err());
    }
    return rc;
}

int instar_create_index(instar *db, const instar_index_def *def,
                        const instar_change_options *options, uint64_t *change_out)
{
    instar_change_options complete;
    int rc = enter_submit(db, def, options, &complete, change_out);

    if (rc == INSTAR_OK) {
        rc = change_create_index(db->changes, def, &complete, change_out, api_err());
    }
    return rc;
}

int instar_drop_index(instar *db, const char *index, const instar_change_options *options,
                      uint64_t *change_out)
{
    instar_change_options complete;
    int rc = enter_submit(db, index, options, &complete, change_out);

    if (rc == INSTAR_OK) {
        rc = change_drop_index(db->changes, index, &complete, change_out, api_err());
    }
    return rc;
}

int instar_alter_table(instar *db, const char *table, const instar_alteration *steps, size_t count,
                       const instar_change_options *options, uint64_t *change_out)
{
    instar_change_options complete;
    int rc = enter_submit(db, table, options, &complete, change_out);

    if (rc == INSTAR_OK && count > 0) {
        rc = api_need(steps, "steps");
    }
    if (rc == INSTAR_OK) {
        rc = change_alter_table(db->changes, table, steps, count, &complete, change_out, api_err());
    }
    return rc;
}

int instar_rename_index(instar *db, const char *index, const char *new_name,
                        const instar_change_options *options, uint64_t *change_out)
{
    instar_change_options complete;
    int rc = enter_submit(db, index, options, &complete, change_out);

    if (rc == INSTAR_OK) {
        rc = change_rename_index(db->changes, index, new_name, &complete, change_out, api_err());
    }
    return rc;
}

const char *instar_expression_function(size_t at)
{
    return row_expr_function(at);
}

int instar_change_wait(instar *db, uint64_t change, uint32_t timeout_ms,
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
    return change_wait(db->changes, change, deadline, info_out, api_err());
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

int instar_change_cancel(instar *db, uint64_t change)
{
    int rc = api_enter(db, API_MAGIC_DB, "store");

    if (rc == INSTAR_OK) {
        rc = change_cancel(db->changes, change, api_err());
    }
    return rc;
}
