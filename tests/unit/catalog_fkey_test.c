/* SPDX-License-Identifier: Apache-2.0 */
/* Foreign keys in descriptors: both ends, bytes, rules, and the steps from version to version. */
#include "catalog/catalog_impl.h"
#include "support/tables.h"

#include <stdio.h>

static struct catalog_table *parent;

static int find(void *arg, const char *name, const struct catalog_table **table_out,
                struct base_err *err)
{
    (void)arg;
    *table_out = parent;
    return strcmp(name, "p") == 0 ? 0 : base_err_set(err, INSTAR_EUNKNOWN, "no table %s", name);
}

static void describe(void *arg, const struct catalog_referrer *referrer, char *text, size_t size)
{
    (void)arg;
    snprintf(text, size, "key %u of table %u", referrer->fkey, (unsigned)referrer->child);
}

static const struct catalog_kin kin = {.find = find, .describe = describe};

static int define(struct catalog_table *t, const char *name, const char *column, const char *theirs,
                  enum catalog_check_state state)
{
    const instar_fkey_def def = {.name = name,
                                 .columns = &column,
                                 .column_count = 1,
                                 .parent = "p",
                                 .parent_columns = &theirs,
                                 .parent_column_count = 1};

    return catalog_fkey_define(t, &def, state, &test_err);
}

/* p(a, b), unique on b, and c(a, x, y) that refers to both in every state. */
static struct catalog_table *both(void)
{
    parent = tables_make("p", "a int8, b int4", "a");
    parent->id = 7;
    struct catalog_index *index = tables_add_index(parent, "p_b", "b", true);
    index->stage = INSTAR_STAGE_PUBLIC;
    index->enforcing = true;
    struct catalog_table *c = tables_make("c", "a int8, x int2, y int8", "a");
    c->id = 8;
    c->kin = &kin;
    tables_add_index(c, "c_x", "x, y", false)->stage = INSTAR_STAGE_PUBLIC;
    tables_add_index(c, "c_y", "y", false)->stage = INSTAR_STAGE_PUBLIC;
    must(define(c, NULL, "x", "a", CATALOG_CHECK_VALID));
    must(define(c, NULL, "x", "b", CATALOG_CHECK_NOT_VALID));
    must(define(c, "k", "y", "b", CATALOG_CHECK_VALIDATING));
    must(define(c, "new", "a", "a", CATALOG_CHECK_ENFORCING));
    return c;
}

static void drop_both(struct catalog_table *c)
{
    catalog_table_free(c);
    catalog_table_free(parent);
}

/* All that both ends have comes back, and a copy has the same bytes. */
Test(catalog_fkey, bytes)
{
    struct catalog_table *c = both();
    struct catalog_table *tables[2] = {c, parent};
    bool changed;

    must(catalog_referrers_follow(parent, c->id, c, &changed, &test_err));
    expect(changed && parent->referrer_count == 4);
    must(catalog_referrers_follow(parent, c->id, c, &changed, &test_err));
    expect(!changed);
    c->fkeys[0].restrict_delete = true;
    for (size_t i = 0; i < 2; i++) {
        struct catalog_table *back;
        struct catalog_table *copy;
        struct base_buf bytes = {0};
        struct base_buf again = {0};
        tables_encode(tables[i], &bytes);
        must(catalog_table_decode(base_buf_slice(&bytes), &back, &test_err));
        must(catalog_table_copy(back, &copy, &test_err));
        catalog_table_free(back);
        tables_encode(copy, &again);
        expect(base_slice_eq(base_buf_slice(&bytes), base_buf_slice(&again)));
        if (i == 0) {
            expect(copy->fkey_count == 4 && copy->next_fkey_id == 5);
            cr_assert_str_eq(copy->fkeys[1].name, "c_x_fkey1");
            expect(copy->fkeys[0].restrict_delete && !copy->fkeys[0].restrict_update);
            expect(copy->fkeys[2].parent == 7 && copy->fkeys[2].parent_index == 1);
            expect(copy->fkeys[2].columns[0] == 2 && copy->fkeys[2].column_ids[0] == 3);
            expect(catalog_table_fkey(copy, "new") == NULL);
        } else {
            expect(copy->referrer_count == 4 && copy->referrers[2].index == 1);
            expect(copy->referrers[3].child == 8 && copy->referrers[3].fkey == 4);
        }
        base_buf_free(&bytes);
        base_buf_free(&again);
        catalog_table_free(copy);
    }
    must(catalog_referrers_follow(parent, c->id, NULL, &changed, &test_err));
    expect(changed && parent->referrer_count == 0);
    drop_both(c);
}

/* Each byte that is changed is refused, or gives a table that is encoded to these very bytes. */
Test(catalog_fkey, changed_bytes_are_refused_or_mean_something)
{
    struct catalog_table *c = both();
    bool changed;

    must(catalog_referrers_follow(c, 9, parent, &changed, &test_err));
    tables_change_each_byte(c);
    drop_both(c);
}

/* What breaks a rule is not written, in either table. */
Test(catalog_fkey, broken_rules_are_not_written)
{
    for (int rule = 0; rule < 8; rule++) {
        struct catalog_table *c = both();
        struct catalog_table *t = rule < 6 ? c : parent;
        struct base_buf bytes = {0};
        bool changed;
        must(catalog_referrers_follow(parent, c->id, c, &changed, &test_err));
        switch (rule) {
        case 0:
            snprintf(c->fkeys[0].name, sizeof(c->fkeys[0].name), "k");
            break;
        case 1:
            c->fkeys[0].id = 2;
            break;
        case 2:
            c->fkeys[0].id = c->next_fkey_id;
            break;
        case 3:
            c->fkeys[0].column_ids[0] = 9;
            break;
        case 4:
            catalog_index_remove(c, "c_y"); /* of c_x it is no front */
            break;
        case 5:
            c->indexes[1].stage = INSTAR_STAGE_WRITE_ONLY;
            break;
        case 6:
            catalog_index_remove(parent, "p_b");
            break;
        default:
            parent->indexes[0].stage = INSTAR_STAGE_WRITE_ONLY;
            break;
        }
        cr_assert_eq(catalog_table_encode(t, &bytes, &test_err), INSTAR_EINVALID, "rule %d", rule);
        base_buf_free(&bytes);
        drop_both(c);
    }
}

/* What foreign keys need is kept, and the refusal says by whom it is needed. */
Test(catalog_fkey, keys_are_kept)
{
    struct catalog_table *c = both();
    struct catalog_table *to;
    bool changed;

    must(catalog_referrers_follow(parent, c->id, c, &changed, &test_err));
    parent->kin = &kin;
    must(catalog_table_copy(parent, &to, &test_err));
    must(catalog_keys_kept(parent, to, &test_err));
    catalog_index_remove(to, "p_b");
    must_fail(catalog_keys_kept(parent, to, &test_err), INSTAR_ESTATE);
    expect(strstr(test_err.text, "key 2 of table 8 refers to its key \"p_b\"") != NULL);
    catalog_table_free(to);
    must(catalog_table_copy(parent, &to, &test_err));
    to->columns[0].type = INSTAR_INT4; /* of the same keys */
    must(catalog_keys_kept(parent, to, &test_err));
    to->columns[0].type = INSTAR_TEXT;
    must_fail(catalog_keys_kept(parent, to, &test_err), INSTAR_ESTATE);
    expect(strstr(test_err.text, "key 1 of table 8 refers to its primary key") != NULL);
    catalog_table_free(to);
    must(catalog_table_copy(c, &to, &test_err));
    catalog_index_remove(to, "c_x");
    must_fail(catalog_keys_kept(c, to, &test_err), INSTAR_ESTATE);
    expect(strstr(test_err.text, "foreign key \"c_x_fkey\" needs an index") != NULL);
    catalog_table_free(to);
    drop_both(c);
}

/* A version may bring one that is enforcing or not valid, never a valid one, and never another one
 * under the same id. */
Test(catalog_fkey, steps_of_tables)
{
    struct catalog_table *v2 = both();
    struct catalog_table *v1;
    struct catalog_table *v3;

    v2->fkey_count = 0;
    v2->next_fkey_id = 1;
    must(catalog_table_copy(v2, &v1, &test_err));
    must(define(v2, "k", "x", "a", CATALOG_CHECK_VALID));
    v2->version = 2;
    expect(!catalog_table_step_allowed(v1, v2));
    v2->fkeys[0].state = CATALOG_CHECK_NOT_VALID;
    expect(catalog_table_step_allowed(v1, v2));
    v2->fkeys[0].state = CATALOG_CHECK_ENFORCING;
    expect(catalog_table_step_allowed(v1, v2));
    must(catalog_table_copy(v2, &v3, &test_err));
    v3->version = 3;
    v3->fkeys[0].state = CATALOG_CHECK_VALID;
    expect(catalog_table_step_allowed(v2, v3));
    v3->fkeys[0].parent_index = 1;
    expect(!catalog_table_step_allowed(v2, v3));
    v3->fkeys[0].parent_index = 0;
    v2->fkeys[0].state = CATALOG_CHECK_NOT_VALID;
    expect(!catalog_table_step_allowed(v2, v3));
    v3->fkey_count = 0;
    expect(catalog_table_step_allowed(v2, v3));
    catalog_table_free(v1);
    catalog_table_free(v3);
    drop_both(v2);
}

/* Also one of many columns with long names gets a name that fits, and no table has too many. */
Test(catalog_fkey, names_and_limits)
{
    struct catalog_table *c = both();

    for (int i = 4; i < CATALOG_FKEYS_MAX; i++) {
        must(define(c, NULL, "y", "a", CATALOG_CHECK_NOT_VALID));
    }
    cr_assert_str_eq(c->fkeys[4].name, "c_y_fkey");
    cr_assert_str_eq(c->fkeys[63].name, "c_y_fkey59");
    must_fail(define(c, NULL, "y", "a", CATALOG_CHECK_NOT_VALID), INSTAR_ELIMIT);
    must_fail(define(c, "k", "y", "a", CATALOG_CHECK_NOT_VALID), INSTAR_EEXISTS);
    must_fail(define(c, NULL, "z", "a", CATALOG_CHECK_NOT_VALID), INSTAR_EUNKNOWN);
    drop_both(c);
}
