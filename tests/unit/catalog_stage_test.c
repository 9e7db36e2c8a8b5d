/* SPDX-License-Identifier: Apache-2.0 */
/* Stages: what each allows, and the steps that one version may make. */
#include "catalog/catalog_impl.h"
#include "support/tables.h"

/* The stage table of the design, line by line: deletes, writes, reads. */
Test(catalog_stage, capabilities)
{
    static const bool wanted[4][3] = {
        [INSTAR_STAGE_ABSENT] = {false, false, false},
        [INSTAR_STAGE_DELETE_ONLY] = {true, false, false},
        [INSTAR_STAGE_WRITE_ONLY] = {true, true, false},
        [INSTAR_STAGE_PUBLIC] = {true, true, true},
    };
    for (int stage = 0; stage < 4; stage++) {
        struct catalog_index index = {.stage = (enum instar_stage)stage};
        cr_assert_eq(catalog_may_delete(&index), wanted[stage][0]);
        cr_assert_eq(catalog_may_write(&index), wanted[stage][1]);
        cr_assert_eq(catalog_may_read(&index), wanted[stage][2]);
    }
    cr_assert_str_eq(catalog_stage_name(INSTAR_STAGE_ABSENT), "absent");
    cr_assert_str_eq(catalog_stage_name(INSTAR_STAGE_DELETE_ONLY), "delete-only");
    cr_assert_str_eq(catalog_stage_name(INSTAR_STAGE_WRITE_ONLY), "write-only");
    cr_assert_str_eq(catalog_stage_name(INSTAR_STAGE_PUBLIC), "public");
    cr_assert_str_eq(catalog_stage_name((enum instar_stage)4), "unknown");
    cr_assert_str_eq(catalog_stage_name((enum instar_stage)9), "unknown");
}

/* A unique index is probed from enforcing on, while its entries are written. */
Test(catalog_stage, probes)
{
    for (int stage = 0; stage < 4; stage++) {
        for (int bits = 0; bits < 4; bits++) {
            struct catalog_index index = {.stage = (enum instar_stage)stage,
                                          .unique = (bits & 1) != 0,
                                          .enforcing = (bits & 2) != 0};
            cr_assert_eq(catalog_must_probe(&index),
                         bits == 3 && stage >= (int)INSTAR_STAGE_WRITE_ONLY);
        }
    }
}

enum { ABSENT, DELETE_ONLY, WRITE_ONLY, ENFORCING, PUBLIC, STATES };

static struct catalog_index in_state(int state, bool unique)
{
    static const enum instar_stage stages[STATES] = {INSTAR_STAGE_ABSENT, INSTAR_STAGE_DELETE_ONLY,
                                                     INSTAR_STAGE_WRITE_ONLY,
                                                     INSTAR_STAGE_WRITE_ONLY, INSTAR_STAGE_PUBLIC};
    return (struct catalog_index){.id = 1,
                                  .unique = unique,
                                  .stage = stages[state],
                                  .enforcing = state == ENFORCING || (unique && state == PUBLIC)};
}

/* All pairs of states, plain and unique: exactly these steps are allowed. The steps that are not
 * are the ones that the model and the property tests know as errors. */
Test(catalog_stage, steps)
{
    static const char plain[STATES][STATES + 1] = {
        [ABSENT] = "11000",      /* absent -> write-only and public are refused */
        [DELETE_ONLY] = "11100", /* delete-only -> public is */
        [WRITE_ONLY] = "01101",  [ENFORCING] = "00000", /* no such state of a plain index */
        [PUBLIC] = "00101",                             /* public -> absent and delete-only are */
    };
    static const char unique[STATES][STATES + 1] = {
        [ABSENT] = "11000",     [DELETE_ONLY] = "11100",
        [WRITE_ONLY] = "01110", /* public without enforcing is refused */
        [ENFORCING] = "01111",  [PUBLIC] = "00011",
    };
    for (int from = 0; from < STATES; from++) {
        for (int to = 0; to < STATES; to++) {
            for (int u = 0; u < 2; u++) {
                struct catalog_index a = in_state(from, u != 0);
                struct catalog_index b = in_state(to, u != 0);
                bool wanted = (u != 0 ? unique : plain)[from][to] == '1';
                cr_assert_eq(catalog_step_allowed(&a, &b), wanted, "unique %d: %d to %d", u, from,
                             to);
            }
        }
    }
}

/* What is not there counts as absent; and an index cannot become unique on the way. */
Test(catalog_stage, nothing_counts_as_absent)
{
    struct catalog_index a = in_state(DELETE_ONLY, false);
    struct catalog_index b = in_state(WRITE_ONLY, false);
    struct catalog_index u = in_state(WRITE_ONLY, true);
    expect(catalog_step_allowed(NULL, &a));
    expect(catalog_step_allowed(&a, NULL));
    expect(!catalog_step_allowed(NULL, &b));
    expect(!catalog_step_allowed(&b, NULL));
    expect(catalog_step_allowed(NULL, NULL));
    expect(!catalog_step_allowed(&a, &u));
}

/* public without enforcing, and enforcing where nothing is written, are no states of a unique
 * index: no step leads to them, not even staying. */
Test(catalog_stage, what_is_no_state_is_never_reached)
{
    struct catalog_index bad[] = {
        {.unique = true, .stage = INSTAR_STAGE_PUBLIC},
        {.unique = true, .enforcing = true, .stage = INSTAR_STAGE_DELETE_ONLY},
        {.unique = true, .enforcing = true, .stage = INSTAR_STAGE_ABSENT},
        {.enforcing = true, .stage = INSTAR_STAGE_PUBLIC},
        {.stage = (enum instar_stage)7},
    };
    for (size_t i = 0; i < BASE_ARRAY_LEN(bad); i++) {
        expect(!catalog_step_allowed(&bad[i], &bad[i]));
        for (int state = 0; state < STATES; state++) {
            struct catalog_index from = in_state(state, bad[i].unique);
            expect(!catalog_step_allowed(&from, &bad[i]));
        }
    }
}

static struct catalog_table *next_version(const struct catalog_table *table)
{
    struct catalog_table *next = NULL;
    must(catalog_table_copy(table, &next, &test_err));
    next->version++;
    return next;
}

/* A table's next version: one version more, every index at most one step on, new ones from the next
 * id on. */
Test(catalog_stage, table_steps)
{
    struct catalog_table *v1 = tables_make("t", "a int8, b text", "a");
    struct catalog_table *v2 = next_version(v1);
    expect(catalog_table_step_allowed(v1, v2));
    tables_add_index(v2, "i", "b", false)->stage = INSTAR_STAGE_DELETE_ONLY;
    expect(catalog_table_step_allowed(v1, v2));
    expect(!catalog_table_step_allowed(v2, v1));
    v2->indexes[0].stage = INSTAR_STAGE_WRITE_ONLY;
    expect(!catalog_table_step_allowed(v1, v2));
    v2->indexes[0].stage = INSTAR_STAGE_PUBLIC;
    expect(!catalog_table_step_allowed(v1, v2));
    struct catalog_table *v3 = next_version(v2);
    catalog_index_remove(v3, "i");
    expect(!catalog_table_step_allowed(v2, v3));
    v2->indexes[0].stage = INSTAR_STAGE_DELETE_ONLY;
    expect(catalog_table_step_allowed(v2, v3));
    v3->version++;
    expect(!catalog_table_step_allowed(v2, v3));
    catalog_table_free(v1);
    catalog_table_free(v2);
    catalog_table_free(v3);
}

/* Nor may what an index is made of: order of nulls, included columns, predicate, and whether it is
 * a constraint. */
Test(catalog_stage, an_index_stays_what_it_is)
{
    struct catalog_table *v1 = tables_make("t", "a int8, b text, c int4", "a");
    struct catalog_index *index;
    const char *include = "c";
    const instar_key_column key = {.name = "b"};
    const instar_index_def def = {.name = "i",
                                  .columns = &key,
                                  .column_count = 1,
                                  .predicate = "c > 1",
                                  .include = &include,
                                  .include_count = 1};
    must(catalog_index_from_def(v1, &def, &index, &test_err));
    index->stage = INSTAR_STAGE_PUBLIC;
    index->tree = 20;
    for (int edit = 0; edit < 6; edit++) {
        struct catalog_table *v2 = next_version(v1);
        struct catalog_index *x = &v2->indexes[0];
        x->parts[0].nulls_swapped = edit == 1;
        x->include_count -= edit == 2;
        x->includes[0] -= edit == 3;
        x->predicate = edit == 4 ? NULL : x->predicate;
        x->constraint = edit == 5;
        cr_assert_eq(catalog_table_step_allowed(v1, v2), edit == 0, "edit %d", edit);
        catalog_table_free(v2);
    }
    catalog_table_free(v1);
}

/* What is for ever may not differ: ids, trees, types, layouts; nor may counters fall, or an id be
 * used again for another index. */
Test(catalog_stage, table_steps_keep_what_is_for_ever)
{
    struct catalog_table *v1 = tables_make("t", "a int8, b text, c int4", "a");
    tables_add_index(v1, "i", "b", false)->stage = INSTAR_STAGE_PUBLIC;
    v1->indexes[0].tree = 20;
    for (int edit = 0; edit < 13; edit++) {
        struct catalog_table *v2 = next_version(v1);
        switch (edit) {
        case 1:
            v2->id = 9;
            break;
        case 2:
            v2->tree = 99;
            break;
        case 3:
            v2->next_index_id--;
            break;
        case 4:
            v2->next_column_id--;
            break;
        case 5:
            v2->indexes[0].tree = 21;
            break;
        case 6:
            v2->indexes[0].parts[0].column = 2;
            break;
        case 7:
            v2->indexes[0].parts[0].descending = true;
            break;
        case 8:
            v2->indexes[0].id = 7;
            break;
        case 9:
            v2->columns[1].type = INSTAR_BYTEA;
            break;
        case 10:
            v2->layout_map[0].first_version = 2;
            break;
        case 11:
            v2->key[0].descending = true;
            break;
        case 12:
            v2->columns[2].id = 9;
            break;
        default:
            break;
        }
        cr_assert_eq(catalog_table_step_allowed(v1, v2), edit == 0, "edit %d", edit);
        catalog_table_free(v2);
    }
    struct catalog_table *v2 = next_version(v1);
    v1->indexes[0].stage = INSTAR_STAGE_DELETE_ONLY;
    catalog_index_remove(v2, "i");
    struct catalog_index *again = tables_add_index(v2, "i", "b", false);
    again->stage = INSTAR_STAGE_DELETE_ONLY;
    expect(catalog_table_step_allowed(v1, v2));
    again->id = 1;
    again->tree = 33;
    expect(!catalog_table_step_allowed(v1, v2));
    catalog_table_free(v1);
    catalog_table_free(v2);
}

/* Do one alteration to a copy, and make it the next version. */
static struct catalog_table *altered(const struct catalog_table *from, instar_alteration step)
{
    struct catalog_table *to;
    bool changed;
    must(catalog_table_copy(from, &to, &test_err));
    must(catalog_alter(to, &step, &changed, &test_err));
    expect(changed);
    to->version = from->version; /* catalog_alter leaves it alone */
    struct catalog_table *enforced;
    must(catalog_table_copy(from, &enforced, &test_err));
    bool any;
    must(catalog_alter_enforce(enforced, to, &any, &test_err));
    enforced->version -= any;
    must(catalog_alter_finish(enforced, to, &test_err));
    catalog_table_free(enforced);
    return to;
}

/* A column that is dropped stays in the layout of the version that drops it; only the next version
 * may have a layout without it. */
Test(catalog_stage, dropped_column_is_hidden_first)
{
    struct catalog_table *v1 = tables_make("t", "a int8, b text, c int4", "a");
    struct catalog_table *v2 =
        altered(v1, (instar_alteration){.kind = INSTAR_ALTER_DROP_COLUMN, .name = "b"});
    struct catalog_table *v3;
    expect(catalog_table_step_allowed(v1, v2));
    expect(catalog_alter_leaves(v2) && v2->column_count == 2 && v2->layout_count == 1);
    must(catalog_table_copy(v2, &v3, &test_err));
    must(catalog_alter_retire(v3, &test_err));
    expect(catalog_table_step_allowed(v2, v3));
    expect(!catalog_alter_leaves(v3) && v3->layout_count == 2);
    expect_u64(catalog_table_layout(v3, 2)->column_count, 3);
    expect_u64(catalog_table_layout(v3, 3)->column_count, 2);
    v3->version = 2;
    v3->layout_map[1].first_version = 2;
    expect(!catalog_table_step_allowed(v1, v3));
    catalog_table_free(v1);
    catalog_table_free(v2);
    catalog_table_free(v3);
}

/* NOT NULL passes through enforcing; without it the step is refused. Back it is one step. */
Test(catalog_stage, not_null_is_enforced_first)
{
    struct catalog_table *v1 = tables_make("t", "a int8, b text", "a");
    struct catalog_table *wanted =
        altered(v1, (instar_alteration){.kind = INSTAR_ALTER_SET_NOT_NULL, .name = "b"});
    struct catalog_table *v2;
    expect(!catalog_table_step_allowed(v1, wanted));
    must(catalog_table_copy(v1, &v2, &test_err));
    bool any;
    must(catalog_alter_enforce(v2, wanted, &any, &test_err));
    expect(any);
    expect(v2->columns[1].enforcing && !v2->columns[1].not_null);
    expect(catalog_must_refuse_null(&v2->columns[1]));
    expect(catalog_table_step_allowed(v1, v2));
    wanted->version = 3;
    expect(catalog_table_step_allowed(v2, wanted));
    struct catalog_table *back;
    must(catalog_table_copy(v2, &back, &test_err));
    catalog_alter_relax(back);
    expect(catalog_table_step_allowed(v2, back));
    expect(!catalog_must_refuse_null(&back->columns[1]));
    struct catalog_table *v4 =
        altered(wanted, (instar_alteration){.kind = INSTAR_ALTER_DROP_NOT_NULL, .name = "b"});
    expect(catalog_table_step_allowed(wanted, v4));
    catalog_table_free(v1);
    catalog_table_free(v2);
    catalog_table_free(back);
    catalog_table_free(wanted);
    catalog_table_free(v4);
}

/* A column that is added has an id of its own, and is NOT NULL only with a value for old rows. */
Test(catalog_stage, added_column)
{
    instar_value five = {.type = INSTAR_INT8, .i = 5};
    instar_column_def def = {"d", INSTAR_INT8, true, &five, 0};
    struct catalog_table *v1 = tables_make("t", "a int8, b text", "a");
    struct catalog_table *v2 =
        altered(v1, (instar_alteration){.kind = INSTAR_ALTER_ADD_COLUMN, .column = &def});
    expect(catalog_table_step_allowed(v1, v2));
    expect_u64(v2->columns[2].id, 3);
    struct row_layout *newest = &v2->layouts[1];
    expect(newest->columns[2].missing.i == 5 && !catalog_alter_leaves(v2));
    ((struct row_column *)(uintptr_t)newest->columns)[2].missing.type = INSTAR_NULL;
    expect(!catalog_table_step_allowed(v1, v2));
    ((struct row_column *)(uintptr_t)newest->columns)[2].missing.type = INSTAR_INT8;
    v1->next_column_id = 4; /* as if the id had been given before */
    v2->next_column_id = 4;
    expect(!catalog_table_step_allowed(v1, v2));
    catalog_table_free(v1);
    catalog_table_free(v2);
}

/* Entries end in the primary key, column by column in the form that it has in them. */
Test(catalog_stage, entries_keep_their_end)
{
    struct catalog_table *v1 = tables_make("t", "a int8, b text, c int4, d int8", "a, c");
    tables_add_index(v1, "i", "b", false)->stage = INSTAR_STAGE_PUBLIC;
    v1->indexes[0].tree = 20;
    for (int edit = 0; edit < 7; edit++) {
        struct catalog_table *v2 = next_version(v1);
        struct catalog_index *x = &v2->indexes[0];
        x->key_columns[1] = edit == 1 ? 3 : x->key_columns[1];
        x->key_columns[2] = edit == 2 ? 3 : x->key_columns[2];
        x->key_parts[1].descending = edit == 3;
        x->key_parts[1].type = edit == 4 ? INSTAR_TEXT : x->key_parts[1].type;
        x->key_parts[1].scale = edit == 5;
        x->key_part_count -= edit == 6;
        cr_assert_eq(catalog_table_step_allowed(v1, v2), edit == 0, "edit %d", edit);
        catalog_table_free(v2);
    }
    catalog_table_free(v1);
}

/* A column has another type at once where no value is lost, no key is another one, and nothing else
 * is on its way. */
Test(catalog_stage, types)
{
    struct catalog_table *v1 = tables_make("t", "a int8, b int4, c int4", "a, c");
    struct catalog_table *v2 = next_version(v1);
    v2->columns[1].type = INSTAR_INT8;
    expect(catalog_table_step_allowed(v1, v2));
    v2->columns[1].type_coming = INSTAR_TEXT;
    expect(!catalog_table_step_allowed(v1, v2));
    v2->columns[1].type_coming = INSTAR_NULL;
    v2->columns[1].type = INSTAR_INT2;
    expect(!catalog_table_step_allowed(v1, v2));
    v2->columns[1].type = INSTAR_TEXT;
    expect(catalog_table_step_allowed(v1, v2));
    v2->columns[0].type = INSTAR_TEXT; /* of the key, whose order would be another one */
    expect(!catalog_table_step_allowed(v1, v2));
    catalog_table_free(v1);
    catalog_table_free(v2);
}

/* A check holds at once for a column that was hidden until now: nobody has written one. */
Test(catalog_stage, check_of_a_column_that_was_hidden)
{
    struct catalog_table *v1 = tables_make("t", "a int8, b int8", "b");
    struct catalog_table *v2 = next_version(v1);
    must(catalog_check_define(v2, &(instar_check_def){.expression = "a > 0"}, CATALOG_CHECK_VALID,
                              &test_err));
    expect(!catalog_table_step_allowed(v1, v2));
    v1->columns[0].hidden = true;
    expect(catalog_table_step_allowed(v1, v2));
    catalog_table_free(v1);
    catalog_table_free(v2);
}

/* What a version leads to stays, and so does each layout. */
Test(catalog_stage, layouts_stay)
{
    struct catalog_table *v1 = tables_make("t", "a int8, b text, c int4", "a");
    struct catalog_table *v2 =
        altered(v1, (instar_alteration){.kind = INSTAR_ALTER_DROP_COLUMN, .name = "b"});
    struct catalog_table *v3 = next_version(v2);
    must(catalog_alter_retire(v3, &test_err));
    v3->version = v2->version + 1;
    for (int edit = 0; edit < 5; edit++) {
        struct catalog_table *v4 = next_version(v3);
        v4->layout_map_count -= edit == 1;
        v4->layout_count -= edit == 2;
        v4->layout_map[1].first_version -= edit == 3;
        v4->layout_map[1].layout -= edit == 4;
        cr_assert_eq(catalog_table_step_allowed(v3, v4), edit == 0, "edit %d", edit);
        catalog_table_free(v4);
    }
    catalog_table_free(v1);
    catalog_table_free(v2);
    catalog_table_free(v3);
}
