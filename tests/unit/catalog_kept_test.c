/* SPDX-License-Identifier: Apache-2.0 */
/* Dropped columns that are kept, and old layouts that go: descriptors, their bytes and their steps.
 */
#include "support/tables.h"

#include "catalog/catalog_impl.h"

#include <string.h>

#define DROP 77 /* the change that dropped */

/* The next version, with the column dropped and kept. Frees `t`. */
static struct catalog_table *drop(struct catalog_table *t, const char *name)
{
    instar_alteration step = {.kind = INSTAR_ALTER_DROP_COLUMN, .name = name};
    struct catalog_table *to;
    bool any;

    must(catalog_table_copy(t, &to, &test_err));
    must(catalog_alter(to, &step, &any, &test_err));
    must(catalog_keep_dropped(t, to, DROP, &any, &test_err));
    expect(any);
    must(catalog_alter_finish(t, to, &test_err));
    expect(catalog_table_step_allowed(t, to));
    expect(!catalog_alter_leaves(to));
    catalog_table_free(t);
    return to;
}

/* By way of its bytes. Frees `t`. */
static struct catalog_table *round_trip(struct catalog_table *t)
{
    struct base_buf bytes = {0}, again = {0};
    struct catalog_table *back;

    must(catalog_table_encode(t, &bytes, &test_err));
    must(catalog_table_decode(base_buf_slice(&bytes), &back, &test_err));
    must(catalog_table_encode(back, &again, &test_err));
    expect(base_slice_eq(base_buf_slice(&bytes), base_buf_slice(&again)));
    base_buf_free(&bytes);
    base_buf_free(&again);
    catalog_table_free(t);
    return back;
}

static struct catalog_table *copy_of(const struct catalog_table *t)
{
    struct catalog_table *copy;

    must(catalog_table_copy(t, &copy, &test_err));
    return copy;
}

static struct catalog_table *make(void)
{
    struct catalog_table *t =
        tables_make("t", "x int8, a int8, b text not null, c int4, d int8", "a, d desc");
    tables_add_index(t, "i", "d, c include x", false);
    t->columns[2].default_value = (instar_value){.type = INSTAR_TEXT, .bytes = {"word", 4}};
    t->columns[2].has_default = true;
    return t;
}

/* Bytes keep it; it comes back to its place with all that it had, and keys and indexes go on
 * meaning their columns. NOT NULL is enforcing, then it holds. */
Test(catalog_kept, kept_and_restored)
{
    struct catalog_table *t = round_trip(drop(make(), "b"));
    const uint32_t id = 3;

    expect(t->kept_count == 1 && t->kept[0].change == DROP && t->kept[0].column.not_null);
    expect(catalog_table_kept(t, id) == &t->kept[0] && catalog_kept_by(t, DROP) == 1);
    expect(catalog_table_column(t, "b") < 0);
    expect_u64(catalog_table_layout(t, t->version)->column_count, 5);
    struct catalog_table *back = copy_of(t);
    must(catalog_restore_kept(back, DROP, NULL, true, &test_err));
    expect(catalog_table_step_allowed(t, back));
    back = round_trip(back);
    expect(back->kept_count == 0 && catalog_table_column(back, "b") == 2);
    expect(back->columns[2].enforcing && !back->columns[2].not_null);
    expect(back->columns[2].default_value.bytes.size == 4);
    expect(back->key[0].column == 1 && back->key[1].column == 4);
    expect(back->indexes[0].parts[0].column == 4 && back->indexes[0].parts[1].column == 3 &&
           back->indexes[0].includes[0] == 0);
    struct catalog_table *settled = copy_of(back);
    must(catalog_settle_restored(settled, &id, 1, &test_err));
    expect(catalog_table_step_allowed(back, settled));
    expect(settled->columns[2].not_null && !settled->columns[2].enforcing);
    expect(!catalog_table_step_allowed(t, settled)); /* not at once */
    catalog_table_free(t);
    catalog_table_free(back);
    catalog_table_free(settled);
}

/* Another name, without NOT NULL; and back to what it was, under the old name. */
Test(catalog_kept, renamed_and_kept_again)
{
    struct catalog_table *t = drop(make(), "b");
    struct catalog_table *back = copy_of(t);
    struct catalog_kept_name name = {.id = 3, .name = "b"};

    must(catalog_restore_kept(back, DROP, "bb", true, &test_err));
    expect(catalog_table_column(back, "bb") == 2);
    struct catalog_table *again = copy_of(back);
    must(catalog_keep_again(back, again, &name, 1, DROP, &test_err));
    expect(catalog_table_step_allowed(back, again));
    again = round_trip(again);
    expect(again->kept_count == 1 && strcmp(again->kept[0].column.name, "b") == 0);
    expect(again->kept[0].column.not_null && again->key[1].column == 3);
    must_fail(catalog_restore_kept(again, DROP, "c", true, &test_err), INSTAR_EEXISTS);
    catalog_table_free(t);
    catalog_table_free(back);
    catalog_table_free(again);
}

/* Forgotten, it leaves the layout, for good. What was never dropped cannot be kept, nor what is a
 * column still. */
Test(catalog_kept, rules)
{
    char problem[CATALOG_PROBLEM_MAX];
    struct catalog_table *t = drop(make(), "b");
    struct catalog_table *to = copy_of(t);

    expect(!catalog_forget_kept(to, DROP + 1));
    expect(catalog_forget_kept(to, DROP));
    expect(catalog_alter_leaves(to));
    must(catalog_alter_retire(to, &test_err));
    must(catalog_table_finish(to, &test_err));
    expect(catalog_table_step_allowed(t, to));
    expect_u64(catalog_table_layout(to, to->version)->column_count, 4);
    /* It never comes back from there. */
    struct catalog_table *bad = copy_of(to);
    bad->kept = t->kept;
    bad->kept_count = 1;
    expect(!catalog_table_valid(bad, problem) && strstr(problem, "newest layout") != NULL);
    catalog_table_free(bad);
    /* A column is not kept as well, and a kept one has a change. */
    bad = copy_of(t);
    bad->kept[0].column.id = 1;
    bad->kept[0].column.type = INSTAR_INT8;
    expect(!catalog_table_valid(bad, problem) && strstr(problem, "a column too") != NULL);
    bad->kept[0] = t->kept[0];
    bad->kept[0].change = 0;
    expect(!catalog_table_valid(bad, problem));
    catalog_table_free(bad);
    /* What was not there cannot be kept from one version to the next. */
    bad = copy_of(to);
    bad->version++;
    struct catalog_table *from = copy_of(to);
    expect(catalog_table_step_allowed(from, bad));
    bad->kept = t->kept;
    bad->kept_count = 1;
    expect(!catalog_table_step_allowed(from, bad));
    catalog_table_free(from);
    catalog_table_free(bad);
    catalog_table_free(t);
    catalog_table_free(to);
}

/* The newest layout alone is left; tags from its version on lead to it, older ones nowhere. It is
 * one step, and not one to anything else. */
Test(catalog_kept, pruned)
{
    struct catalog_table *t = drop(make(), "b");
    instar_column_def def = {"e", INSTAR_INT8, false, NULL, 0};
    instar_alteration add = {.kind = INSTAR_ALTER_ADD_COLUMN, .column = &def};
    struct catalog_table *to = copy_of(t);
    bool changed;

    expect(!catalog_has_old_layouts(t));
    must(catalog_alter(to, &add, &changed, &test_err));
    must(catalog_alter_finish(t, to, &test_err));
    expect(catalog_has_old_layouts(to));
    expect_u64(catalog_newest_since(to), 3);
    struct catalog_table *pruned = copy_of(to);
    must(catalog_prune_layouts(pruned, &test_err));
    expect(catalog_table_step_allowed(to, pruned));
    pruned = round_trip(pruned);
    expect(!catalog_has_old_layouts(pruned) && pruned->kept_count == 1);
    expect(catalog_table_layout(pruned, 2) == NULL);
    expect_u64(catalog_table_layout(pruned, 3)->column_count, 6);
    expect_u64(catalog_table_layout(pruned, pruned->version)->number,
               catalog_table_layout(to, to->version)->number);
    /* With another first version rows would be decoded by the wrong layout. */
    pruned->layout_map[0].first_version = 2;
    expect(!catalog_table_step_allowed(to, pruned));
    pruned->layout_map[0].first_version = 0;
    char problem[CATALOG_PROBLEM_MAX];
    expect(!catalog_table_valid(pruned, problem));
    catalog_table_free(t);
    catalog_table_free(to);
    catalog_table_free(pruned);
}
