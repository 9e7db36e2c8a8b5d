/* SPDX-License-Identifier: Apache-2.0 */
/* Editing descriptors into their next versions: limits, positions, ids. */
#include "support/tables.h"

#include <stdio.h>
#include <string.h>

/* One step, and the version with it; both may be refused. Frees `from` when it worked. */
static int next(struct catalog_table **table, instar_alteration step)
{
    struct catalog_table *to;
    bool changed;
    must(catalog_table_copy(*table, &to, &test_err));
    int rc = catalog_alter(to, &step, &changed, &test_err);
    if (rc == 0) {
        rc = catalog_alter_finish(*table, to, &test_err);
    }
    if (rc == 0) {
        expect(catalog_table_step_allowed(*table, to));
        catalog_table_free(*table);
        *table = to;
    } else {
        catalog_table_free(to);
    }
    return rc;
}

static int add(struct catalog_table **table, const char *name)
{
    instar_column_def def = {name, INSTAR_INT8, false, NULL, 0};
    return next(table, (instar_alteration){.kind = INSTAR_ALTER_ADD_COLUMN, .column = &def});
}

static int drop(struct catalog_table **table, const char *name)
{
    int rc = next(table, (instar_alteration){.kind = INSTAR_ALTER_DROP_COLUMN, .name = name});
    return rc == 0 ? catalog_alter_retire(*table, &test_err) : rc;
}

/* Ids are never used twice, however often a column comes and goes; each time makes a layout, and
 * their number has a limit that is named. What has come last may still go, or a change that adds a
 * column could not turn back. Every version still leads to its own. */
Test(catalog_alter, a_column_that_comes_and_goes)
{
    struct catalog_table *t = tables_make("t", "a int8, b int8", "a");
    uint32_t last = 0;
    int rc = 0;
    while ((rc = add(&t, "x")) == 0) {
        expect(t->columns[2].id > last);
        last = t->columns[2].id;
        must(drop(&t, "x"));
    }
    expect(rc == INSTAR_ELIMIT && strstr(test_err.text, "1025") != NULL);
    expect_u64(t->layout_count, CATALOG_LAYOUTS_MAX + 1);
    for (uint32_t i = 0; i < t->layout_map_count; i++) {
        expect(catalog_table_layout(t, t->layout_map[i].first_version) == &t->layouts[i]);
    }
    struct base_buf bytes = {0};
    must(catalog_table_encode(t, &bytes, &test_err));
    expect(bytes.size < 64 * 1024);
    base_buf_free(&bytes);
    catalog_table_free(t);
}

/* A table has at most so many columns, those that are being dropped included. */
Test(catalog_alter, as_many_columns_as_there_may_be)
{
    struct catalog_table *t = tables_make("t", "a int8", "a");
    struct catalog_table *to;
    bool changed;
    char names[INSTAR_COLUMNS_MAX][16];
    must(catalog_table_copy(t, &to, &test_err));
    for (int i = 1; i < INSTAR_COLUMNS_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "c%d", i);
        instar_column_def def = {names[i], INSTAR_INT8, false, NULL, 0};
        instar_alteration step = {.kind = INSTAR_ALTER_ADD_COLUMN, .column = &def};
        must(catalog_alter(to, &step, &changed, &test_err));
    }
    must(catalog_alter_finish(t, to, &test_err));
    must_fail(add(&to, "more"), INSTAR_ELIMIT);
    expect(strstr(test_err.text, "1000 columns") != NULL);
    /* The one that goes is hidden still. */
    must(next(&to, (instar_alteration){.kind = INSTAR_ALTER_DROP_COLUMN, .name = "c7"}));
    must_fail(add(&to, "more"), INSTAR_ELIMIT);
    must(catalog_alter_retire(to, &test_err));
    must(catalog_table_finish(to, &test_err));
    must(add(&to, "more"));
    catalog_table_free(t);
    catalog_table_free(to);
}

/* Keys and indexes go on meaning their columns when one in front of them goes. */
Test(catalog_alter, positions_move_up)
{
    struct catalog_table *t = tables_make("t", "x int8, b int8, y text, a int8", "a desc, b");
    tables_add_index(t, "i", "b desc, a", true);
    must(drop(&t, "x"));
    must(catalog_table_finish(t, &test_err));
    must(drop(&t, "y"));
    must(catalog_table_finish(t, &test_err));
    expect(t->key[0].column == 1 && t->key[0].descending && t->key[1].column == 0);
    expect(t->indexes[0].parts[0].column == 0 && t->indexes[0].parts[0].descending);
    expect(t->indexes[0].parts[1].column == 1 && t->indexes[0].key_columns[2] == 1);
    must_fail(drop(&t, "b"), INSTAR_ESTATE);
    catalog_index_remove(t, "i");
    must_fail(drop(&t, "b"), INSTAR_ESTATE);
    expect(strstr(test_err.text, "primary key") != NULL);
    catalog_table_free(t);
}

/* What is known in an older layout keeps its missing value in the newer ones; a default that
 * changes does not touch it. */
Test(catalog_alter, missing_values_never_change)
{
    instar_value five = {.type = INSTAR_INT8, .i = 5};
    instar_value six = {.type = INSTAR_INT8, .i = 6};
    instar_column_def def = {"d", INSTAR_INT8, true, &five, 0};
    struct catalog_table *t = tables_make("t", "a int8, b int8", "a");
    must(next(&t, (instar_alteration){.kind = INSTAR_ALTER_ADD_COLUMN, .column = &def}));
    must(next(&t,
              (instar_alteration){.kind = INSTAR_ALTER_SET_DEFAULT, .name = "d", .value = &six}));
    must(add(&t, "e"));
    must(drop(&t, "b"));
    must(catalog_table_finish(t, &test_err));
    const struct row_layout *newest = catalog_table_layout(t, t->version);
    expect_u64(newest->column_count, 3);
    expect(newest->columns[1].missing.i == 5 && t->columns[1].default_value.i == 6);
    expect(catalog_table_layout(t, 1)->column_count == 2);
    expect_u64(catalog_table_layout_since(t), t->version);
    must(next(&t, (instar_alteration){.kind = INSTAR_ALTER_DROP_DEFAULT, .name = "d"}));
    must(catalog_table_finish(t, &test_err));
    expect_u64(catalog_table_layout_since(t), t->version - 1);
    expect(catalog_table_layout(t, t->version - 1) == catalog_table_layout(t, t->version));
    expect(catalog_table_layout(t, t->version - 2) != catalog_table_layout(t, t->version));
    catalog_table_free(t);
}

static int set_type(struct catalog_table **table, const char *name, enum instar_type type)
{
    instar_column_def def = {.type = type};
    return next(table, (instar_alteration){.kind = INSTAR_ALTER_SET_TYPE,
                                           .flags = INSTAR_ALTER_EXPLICIT,
                                           .name = name,
                                           .column = &def});
}

/* A type that goes to and fro makes a layout each time, until there are as many as there may be; a
 * value of the first goes through all of them, and the descriptor can be read again. */
Test(catalog_alter, a_type_that_goes_to_and_fro)
{
    struct catalog_table *t = tables_make("t", "a int8, b int4", "a");
    struct base_arena arena = {0};
    struct base_buf bytes = {0};
    struct catalog_table *back;
    bool is_int = true;
    int rc = 0;
    while ((rc = set_type(&t, "b", is_int ? INSTAR_BOOL : INSTAR_INT4)) == 0) {
        is_int = !is_int;
    }
    expect(rc == INSTAR_ELIMIT && strstr(test_err.text, "1024") != NULL);
    expect_u64(t->layout_count, CATALOG_LAYOUTS_MAX);
    must(catalog_table_encode(t, &bytes, &test_err));
    must(catalog_table_decode(base_buf_slice(&bytes), &back, &test_err));
    instar_value from[2] = {{.type = INSTAR_INT8, .i = 1}, {.type = INSTAR_INT4, .i = 7}};
    instar_value to[2];
    must(row_convert(catalog_table_layout(back, 1), from, catalog_table_layout(back, back->version),
                     &arena, to, &test_err));
    expect(!is_int && to[1].type == INSTAR_BOOL && to[1].b);
    must(row_convert(catalog_table_layout(back, 1), from,
                     catalog_table_layout(back, back->version - 1), &arena, to, &test_err));
    expect(to[1].type == INSTAR_INT4 && to[1].i == 1);
    base_arena_free(&arena);
    base_buf_free(&bytes);
    catalog_table_free(back);
    catalog_table_free(t);
}

/* The missing value goes along, in each layout in its type. */
Test(catalog_alter, missing_value_is_cast)
{
    instar_value five = {.type = INSTAR_INT8, .i = 5};
    instar_column_def def = {"d", INSTAR_INT8, true, &five, 0};
    struct catalog_table *t = tables_make("t", "a int8", "a");
    must(next(&t, (instar_alteration){.kind = INSTAR_ALTER_ADD_COLUMN, .column = &def}));
    must(set_type(&t, "d", INSTAR_FLOAT8));
    must(set_type(&t, "d", INSTAR_TEXT));
    expect(t->layouts[1].columns[1].missing.i == 5);
    expect(t->layouts[2].columns[1].missing.f == 5);
    expect(t->layouts[3].columns[1].missing.bytes.size == 1);
    expect(t->columns[1].default_value.type == INSTAR_TEXT);
    catalog_table_free(t);
}

/* Whatever may be lost is enforced and validated before; what has other keys keeps its indexes from
 * following. */
Test(catalog_alter, types_go_only_where_they_may)
{
    struct catalog_table *t = tables_make("t", "a int4, b int8, c int4, d text", "a");
    struct catalog_table *target;
    struct catalog_table *enforced;
    instar_column_def narrow = {.type = INSTAR_INT2};
    instar_alteration step = {.kind = INSTAR_ALTER_SET_TYPE, .name = "b", .column = &narrow};
    bool changed;
    bool any;
    tables_add_index(t, "i", "c", false);
    t->indexes[0].stage = INSTAR_STAGE_PUBLIC;
    must_fail(set_type(&t, "b", INSTAR_INT2), INSTAR_ESTATE); /* nobody enforced it */
    must_fail(set_type(&t, "c", INSTAR_TEXT), INSTAR_ESTATE);
    must_fail(set_type(&t, "a", INSTAR_TEXT), INSTAR_ESTATE);
    must(set_type(&t, "c", INSTAR_INT8));
    must(set_type(&t, "a", INSTAR_INT8));
    must(catalog_table_copy(t, &target, &test_err));
    must(catalog_alter(target, &step, &changed, &test_err));
    must(catalog_table_copy(t, &enforced, &test_err));
    must(catalog_alter_enforce(enforced, target, &any, &test_err));
    expect(any && enforced->columns[1].type_coming == INSTAR_INT2);
    expect(catalog_table_step_allowed(t, enforced));
    must(catalog_alter_finish(enforced, target, &test_err));
    expect(catalog_table_step_allowed(enforced, target));
    /* Past the enforcing version, by another type than it enforced, or under an index. */
    target->version = t->version + 1;
    expect(!catalog_table_step_allowed(t, target));
    target->version = enforced->version + 1;
    enforced->columns[1].type_coming = INSTAR_INT4;
    expect(!catalog_table_step_allowed(enforced, target));
    enforced->columns[1].type_coming = INSTAR_INT2;
    target->columns[2].type = INSTAR_TEXT;
    enforced->columns[2].type_coming = INSTAR_TEXT;
    expect(!catalog_table_step_allowed(enforced, target));
    /* And back. */
    catalog_alter_relax(enforced);
    expect(enforced->columns[1].type_coming == INSTAR_NULL);
    catalog_table_free(target);
    catalog_table_free(enforced);
    catalog_table_free(t);
}

/* A form that an expression makes is kept with its layout, on its way and when it is there; bytes
 * of such a descriptor that are changed are corrupt, or are another descriptor. */
Test(catalog_alter, made_forms_are_kept)
{
    struct catalog_table *t = tables_make("t", "a int8, b text", "a");
    struct catalog_table *target;
    struct catalog_table *enforced;
    struct catalog_table *back;
    struct base_buf bytes = {0};
    instar_column_def def = {.type = INSTAR_INT4};
    instar_alteration step = {
        .kind = INSTAR_ALTER_SET_TYPE, .name = "b", .column = &def, .expression = "length(b) + 1"};
    bool changed;
    bool any;
    must(catalog_table_copy(t, &target, &test_err));
    must(catalog_alter(target, &step, &changed, &test_err));
    must(catalog_table_copy(t, &enforced, &test_err));
    must(catalog_alter_enforce(enforced, target, &any, &test_err));
    expect(catalog_table_step_allowed(t, enforced));
    must(catalog_table_encode(enforced, &bytes, &test_err));
    must(catalog_table_decode(base_buf_slice(&bytes), &back, &test_err));
    expect(back->columns[1].type_coming == INSTAR_INT4 && back->columns[1].made_by != NULL);
    must(catalog_alter_finish(back, target, &test_err));
    expect(catalog_table_step_allowed(back, target));
    /* Not without the enforcement, nor by another expression than it had. */
    expect(!catalog_table_step_allowed(t, target));
    back->columns[1].made_by = NULL;
    expect(!catalog_table_step_allowed(back, target));
    base_buf_clear(&bytes);
    must(catalog_table_encode(target, &bytes, &test_err));
    for (size_t i = 0; i < bytes.size; i++) {
        struct catalog_table *other;
        uint8_t was = bytes.data[i];
        bytes.data[i] = (uint8_t)(was + 1);
        int rc = catalog_table_decode(base_buf_slice(&bytes), &other, &test_err);
        cr_assert(rc == 0 || rc == INSTAR_ECORRUPT || (i == 0 && rc == INSTAR_EVERSION));
        if (rc == 0) {
            catalog_table_free(other);
        }
        bytes.data[i] = was;
        must_fail(catalog_table_decode(base_slice(bytes.data, i), &other, &test_err),
                  INSTAR_ECORRUPT);
    }
    base_buf_free(&bytes);
    catalog_table_free(back);
    catalog_table_free(enforced);
    catalog_table_free(target);
    catalog_table_free(t);
}
