/* SPDX-License-Identifier: Apache-2.0 */
/* What insert, upsert, update and delete do to a table and its indexes, and what they refuse. */
#include "support/txns.h"

#include <string.h>

static struct txn_env *env;
static uint64_t table;
static struct txn_projection *all;

static void setup(void)
{
    txns_make(NULL);
    env = txns_open(NULL);
    table = txns_table(env, "t", "a int8, b int8, c text", "a");
    txns_index(env, table, "t_b", "b", false, "public");
    all = txns_projection(env, "t", NULL);
}

static void teardown(void)
{
    txn_projection_free(all);
    txns_close(env);
}

TestSuite(txn_write, .init = setup, .fini = teardown);

static const char *entries(void)
{
    struct catalog_table *now = txns_current(env, table);
    const char *text = txns_entries(env, now, "t_b");
    catalog_table_free(now);
    return text;
}

/* An inserted row is there after the commit, with its entry. */
Test(txn_write, insert_writes_row_and_entry)
{
    txns_put_row(env, all, "1,10,one");
    txns_put_row(env, all, "2,20,null");
    cr_assert_str_eq(txns_dump(env, all), "1,10,one 2,20,null ");
    cr_assert_str_eq(entries(), "10:1 20:2 ");
}
