/* SPDX-License-Identifier: Apache-2.0 */
/* Checks in descriptors: names, bytes, rules, and the steps from version to version. */
#include "catalog/catalog_impl.h"
#include "support/tables.h"

#include <stdio.h>

static void add_check(struct catalog_table *t, const char *name, const char *expression,
                      enum catalog_check_state state)
{
    must(catalog_check_define(t, &(instar_check_def){.name = name, .expression = expression}, state,
                              &test_err));
}

/* t(a, b), with a check in every state. */
static struct catalog_table *with_checks(void)
{
    struct catalog_table *t = tables_make("t", "a int8, b text", "a");

    add_check(t, NULL, "a > 0", CATALOG_CHECK_VALID);
    add_check(t, NULL, "length(b) < 10", CATALOG_CHECK_NOT_VALID);
    add_check(t, "both", "a > 1 OR b = 'x'", CATALOG_CHECK_VALIDATING);
    add_check(t, "new", "b LIKE 'a%'", CATALOG_CHECK_ENFORCING);
    return t;
}

/* All that a check has comes back, and a copy has the same bytes. */
Test(catalog_check, bytes)
{
    struct catalog_table *t = with_checks();
    struct catalog_table *back;
    struct catalog_table *copy;
    struct base_buf bytes = {0};
    struct base_buf again = {0};

    tables_encode(t, &bytes);
    must(catalog_table_decode(base_buf_slice(&bytes), &back, &test_err));
    expect_u64(back->check_count, 4);
    expect_u64(back->next_check_id, 5);
    cr_assert_str_eq(back->checks[1].name, "t_b_check");
    expect(back->checks[2].state == CATALOG_CHECK_VALIDATING && back->checks[2].id == 3);
    expect(back->checks[2].input_count == 2 && back->checks[2].inputs[1] == 1);
    must(catalog_table_copy(back, &copy, &test_err));
    catalog_table_free(back);
    tables_encode(copy, &again);
    expect(base_slice_eq(base_buf_slice(&bytes), base_buf_slice(&again)));
    expect(catalog_table_check(copy, "new") == NULL && catalog_table_check(copy, "both") != NULL);
    base_buf_free(&bytes);
    base_buf_free(&again);
    catalog_table_free(copy);
    catalog_table_free(t);
}

/* Each byte that is changed is refused, or gives a table that is encoded to these very bytes. */
Test(catalog_check, changed_bytes_are_refused_or_mean_something)
{
    struct catalog_table *t = with_checks();

    tables_change_each_byte(t);
    catalog_table_free(t);
}

/* A descriptor of format 2, as stores from before there were checks have it: it is read. */
Test(catalog_check, format_from_before_checks_is_read)
{
    struct catalog_table *t = tables_make("t", "a int8, b text", "a");
    struct catalog_table *got;
    struct base_buf bytes = {0};

    tables_encode(t, &bytes);
    bytes.data[0] = 2;
    bytes.size -= 11; /* three ids and eight counts */
    must(catalog_table_decode(base_buf_slice(&bytes), &got, &test_err));
    expect(got->check_count == 0 && got->next_check_id == 1);
    add_check(got, NULL, "a > 0", CATALOG_CHECK_VALID);
    tables_encode(got, &bytes);
    base_buf_free(&bytes);
    catalog_table_free(got);
    catalog_table_free(t);
}

/* What breaks a rule is not written. */
Test(catalog_check, broken_rules_are_not_written)
{
    for (int rule = 0; rule < 6; rule++) {
        struct catalog_table *t = with_checks();
        struct base_buf bytes = {0};
        switch (rule) {
        case 0:
            snprintf(t->checks[0].name, sizeof(t->checks[0].name), "both");
            break;
        case 1:
            t->checks[0].id = 2;
            break;
        case 2:
            t->checks[0].id = t->next_check_id;
            break;
        case 3:
            t->checks[0].name[0] = 0;
            break;
        case 4:
            t->columns[1].id = t->next_column_id++; /* what the checks are about is gone */
            break;
        default:
            t->checks[3].state = CATALOG_CHECK_NOT_VALID;
            snprintf(t->checks[3].name, sizeof(t->checks[3].name), "both");
            break;
        }
        must_fail(catalog_table_encode(t, &bytes, &test_err), INSTAR_EINVALID);
        base_buf_free(&bytes);
        catalog_table_free(t);
    }
}

/* One that is enforcing may have the name of one that stands; two that are may not. */
Test(catalog_check, name_of_one_that_goes)
{
    struct catalog_table *t = with_checks();
    struct base_buf bytes = {0};

    snprintf(t->checks[3].name, sizeof(t->checks[3].name), "both");
    tables_encode(t, &bytes);
    t->checks[2].state = CATALOG_CHECK_ENFORCING;
    must_fail(catalog_table_encode(t, &bytes, &test_err), INSTAR_EINVALID);
    base_buf_free(&bytes);
    catalog_table_free(t);
}

/* Which state may follow which, absence first. */
Test(catalog_check, steps)
{
    /* absent, not valid, enforcing, validating, valid */
    static const bool allowed[5][5] = {{true, true, true, false, false},
                                       {true, true, false, true, false},
                                       {true, false, true, false, true},
                                       {true, true, false, true, true},
                                       {true, false, false, false, true}};

    for (unsigned from = 0; from < 5; from++) {
        for (unsigned to = 0; to < 5; to++) {
            struct catalog_check a = {.id = 1, .state = (enum catalog_check_state)from};
            struct catalog_check b = {.id = 1, .state = (enum catalog_check_state)to};
            const struct catalog_check *old = from != 0 ? &a : NULL;
            const struct catalog_check *new = to != 0 ? &b : NULL;
            bool fresh = from == 0 && to == CATALOG_CHECK_VALID;
            cr_assert_eq(catalog_check_step_allowed(old, new, false), allowed[from][to],
                         "from %u to %u", from, to);
            expect(catalog_check_step_allowed(old, new, true) == (allowed[from][to] || fresh));
        }
    }
}

/* A version may bring a valid check only with the columns that it is about, and never another
 * condition under the same id. */
Test(catalog_check, steps_of_tables)
{
    instar_column_def def = {"d", INSTAR_INT8, false, NULL, 0};
    instar_alteration add = {.kind = INSTAR_ALTER_ADD_COLUMN, .column = &def};
    struct catalog_table *v1 = tables_make("t", "a int8, b text", "a");
    struct catalog_table *v2;
    struct catalog_table *v3;
    bool changed;

    must(catalog_table_copy(v1, &v2, &test_err));
    add_check(v2, "c", "a > 0", CATALOG_CHECK_VALID);
    v2->version = 2;
    expect(!catalog_table_step_allowed(v1, v2));
    v2->checks[0].state = CATALOG_CHECK_ENFORCING;
    expect(catalog_table_step_allowed(v1, v2));
    must(catalog_table_copy(v2, &v3, &test_err));
    v3->version = 3;
    v3->checks[0].state = CATALOG_CHECK_VALID;
    expect(catalog_table_step_allowed(v2, v3));
    v3->check_count = 0;
    v3->next_check_id = 1;
    add_check(v3, "c", "a > 1", CATALOG_CHECK_VALID);
    expect(!catalog_table_step_allowed(v2, v3));
    catalog_table_free(v2);
    catalog_table_free(v3);

    must(catalog_table_copy(v1, &v2, &test_err));
    must(catalog_alter(v2, &add, &changed, &test_err));
    add_check(v2, "c", "d > 0", CATALOG_CHECK_VALID);
    must(catalog_alter_finish(v1, v2, &test_err));
    expect(catalog_table_step_allowed(v1, v2));
    add_check(v2, "e", "d > 0 AND a > 0", CATALOG_CHECK_VALID);
    expect(!catalog_table_step_allowed(v1, v2));
    catalog_table_free(v2);
    catalog_table_free(v1);
}

/* A name that is made fits, whatever the names it is made of, and is cut between characters. */
Test(catalog_check, names_that_are_made)
{
    struct catalog_table *t = tables_make(
        "a_table_with_a_name_of_sixty_bytes_and_some_more_of_them_here",
        "a int8, another_column_of_a_name_that_is_quite_long_as_well_\xc3\xbc\xc3\xbc int8", "a");

    add_check(t, NULL, "a > 0", CATALOG_CHECK_VALID);
    add_check(t, NULL, "a > 1", CATALOG_CHECK_VALID);
    add_check(t, NULL,
              "\"another_column_of_a_name_that_is_quite_long_as_well_\xc3\xbc\xc3\xbc\" > 0",
              CATALOG_CHECK_VALID);
    cr_assert_str_eq(t->checks[0].name,
                     "a_table_with_a_name_of_sixty_bytes_and_some_more_of_the_a_check");
    cr_assert_str_eq(t->checks[1].name,
                     "a_table_with_a_name_of_sixty_bytes_and_some_more_of_th_a_check1");
    cr_assert_str_eq(t->checks[2].name,
                     "a_table_with_a_name_of_sixty_another_column_of_a_name_tha_check");
    for (int i = 0; i < CATALOG_CHECKS_MAX - 3; i++) {
        add_check(t, NULL, "a > 0", CATALOG_CHECK_VALID);
    }
    must_fail(catalog_check_define(t, &(instar_check_def){.expression = "a > 0"},
                                   CATALOG_CHECK_VALID, &test_err),
              INSTAR_ELIMIT);
    catalog_table_free(t);
}
