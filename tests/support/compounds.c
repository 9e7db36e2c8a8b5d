/* SPDX-License-Identifier: Apache-2.0 */
#include "support/compounds.h"

#include <stdio.h>
#include <string.h>

#include "instar_sql.h"

static instar_sql_error last_error;

const char *compounds_error(void)
{
    return last_error.text;
}

int compounds_submit(instar *db, const char *text, const instar_change_options *options,
                     uint64_t *change)
{
    char script[2048];
    instar_sql *sql;

    *change = 0;
    snprintf(script, sizeof(script), "BEGIN; %s; COMMIT;", text);
    int rc = instar_sql_read(script, strlen(script), NULL, &sql, &last_error);
    if (rc != 0) {
        return rc;
    }
    cr_assert_eq(instar_sql_count(sql), 1, "one change");
    if (options != NULL) {
        *(instar_change_options *)instar_sql_at(sql, 0)->options = *options;
    }
    rc = instar_sql_submit(db, sql, 0, change, &last_error);
    instar_sql_free(sql);
    return rc;
}

int compounds_run(instar *db, const char *text)
{
    uint64_t change;
    int rc = compounds_submit(db, text, NULL, &change);

    return rc == 0 ? instar_change_wait(db, change, TEST_AWAIT_S * 1000, NULL) : rc;
}

static int tell(void *arg, const instar_table_info *info)
{
    static const char *const stages[] = {"absent", "delete-only", "write-only", "public"};
    char *text = arg;
    size_t used = 0;

    for (size_t i = 0; i < info->index_count; i++) {
        const instar_index_info *x = &info->indexes[i];
        used +=
            (size_t)snprintf(text + used, 1024 - used, "%s%s%s %s%s", i == 0 ? "" : "; ", x->name,
                             x->unique ? " unique" : "", stages[x->stage],
                             x->enforcing && x->stage != INSTAR_STAGE_PUBLIC ? " enforcing" : "");
    }
    return 0;
}

const char *compounds_indexes(instar *db, const char *table)
{
    static char text[1024];

    text[0] = 0;
    ok(instar_table_list(db, table, tell, text));
    return text;
}
