/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors as bytes: round trips of random ones, and bytes that break any rule. */
#include "support/tables.h"
#include "support/values.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static enum instar_stage random_stage(struct test_random *r, struct catalog_index *index)
{
    index->stage = (enum instar_stage)test_random_below(r, 4);
    index->enforcing =
        index->unique && (index->stage == INSTAR_STAGE_PUBLIC ||
                          (index->stage == INSTAR_STAGE_WRITE_ONLY && test_random_chance(r, 50)));
    return index->stage;
}

/* No column in another order than the usual: so it may be a constraint. */
static bool is_plain(const instar_index_def *def)
{
    bool plain = true;
    for (size_t i = 0; i < def->column_count; i++) {
        plain = plain && !def->columns[i].descending && def->columns[i].nulls == 0 &&
                def->columns[i].expression == NULL;
    }
    return plain;
}

static instar_column_def random_column(struct test_random *r, const char *name,
                                       struct base_arena *arena)
{
    instar_column_def column = {
        .name = name, .type = test_random_type(r), .not_null = test_random_chance(r, 30)};
    instar_value *v = NULL;
    if (test_random_chance(r, 40)) {
        v = base_arena_alloc(arena, sizeof(*v));
        *v = test_random_value(r, column.type, 50, arena);
        column.default_value = v;
    }
    if (column.type == INSTAR_NUMERIC) {
        column.length_max = INSTAR_DIGITS(INSTAR_DIGITS_MAX, v != NULL ? v->scale : 2);
    }
    return column;
}

static void comment_on_some(struct test_random *r, struct catalog_table *t)
{
    for (uint32_t i = 0; i < t->column_count; i++) {
        char name[24];
        snprintf(name, sizeof(name), "c%" PRIu32, i);
        instar_alteration step = {
            .kind = INSTAR_ALTER_COMMENT_COLUMN, .name = name, .comment = "what\n\xc3\xa4"};
        bool changed;
        if (test_random_chance(r, 20)) {
            must(catalog_alter(t, &step, &changed, &test_err));
        }
    }
}

/* Random columns with defaults, a random key, random indexes in random states. */
static struct catalog_table *random_table(struct test_random *r, struct base_arena *arena)
{
    instar_column_def columns[12] = {0};
    instar_key_column key[12] = {0};
    instar_key_column part[12] = {0};
    char names[12][24];
    size_t count = 1 + test_random_below(r, BASE_ARRAY_LEN(columns));
    for (size_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof(names[i]), "c%zu", i);
        columns[i] = random_column(r, names[i], arena);
        key[i] = (instar_key_column){.name = names[i], .descending = test_random_chance(r, 50)};
        part[i] = key[i];
        part[i].nulls = (enum instar_nulls)test_random_below(r, 3);
    }
    instar_table_def def = {.name = "t",
                            .columns = columns,
                            .column_count = count,
                            .key = key,
                            .key_count = 1 + test_random_below(r, count)};
    struct catalog_table *t;
    must(catalog_table_from_def(&def, &t, &test_err));
    size_t indexes = test_random_below(r, 4);
    for (size_t i = 0; i < indexes; i++) {
        char name[24];
        struct catalog_index *x;
        snprintf(name, sizeof(name), "i%zu", i);
        instar_index_def index = {.name = name,
                                  .columns = part,
                                  .column_count = 1 + test_random_below(r, count),
                                  .unique = test_random_chance(r, 50)};
        instar_key_column own[12];
        memcpy(own, part, sizeof(own));
        if (test_random_chance(r, 30)) {
            size_t at = test_random_below(r, index.column_count);
            own[at].name = NULL;
            own[at].expression = "c0 IS NULL";
        }
        index.columns = own;
        const char *last = names[count - 1];
        index.predicate = test_random_chance(r, 30) ? "c0 IS NOT NULL" : NULL;
        index.constraint = index.unique && index.predicate == NULL && is_plain(&index);
        if (index.column_count < count && test_random_chance(r, 40)) {
            index.include = &last;
            index.include_count = 1;
        }
        must(catalog_index_from_def(t, &index, &x, &test_err));
        random_stage(r, x);
        x->tree = test_random_next(r);
        x->change = test_random_below(r, 3);
    }
    comment_on_some(r, t);
    t->id = test_random_next(r) >> test_random_below(r, 64);
    t->tree = test_random_next(r);
    t->version = 1 + (uint32_t)test_random_below(r, 1000);
    return t;
}

/* Give the table a second layout from version v on: without the column at `gone`, with a new one.
 */
static void add_layout(struct catalog_table *t, uint32_t version, enum instar_type type,
                       const instar_value *missing)
{
    const struct row_layout *last = &t->layouts[t->layout_count - 1];
    uint32_t count = last->column_count + 1;
    struct row_column *c = base_arena_alloc(&t->arena, count * sizeof(*c));
    struct row_layout *layouts =
        base_arena_alloc(&t->arena, (t->layout_count + 1) * sizeof(*layouts));
    struct catalog_layout_map *map =
        base_arena_alloc(&t->arena, (t->layout_map_count + 1) * sizeof(*map));
    memcpy(c, last->columns, last->column_count * sizeof(*c));
    memcpy(layouts, t->layouts, t->layout_count * sizeof(*layouts));
    memcpy(map, t->layout_map, t->layout_map_count * sizeof(*map));
    c[count - 1] =
        (struct row_column){.id = t->next_column_id++, .type = type, .missing = *missing};
    c[count - 1].scale = type == INSTAR_NUMERIC ? missing->scale : 0;
    layouts[t->layout_count] = (struct row_layout){last->number + 1, count, c};
    map[t->layout_map_count] = (struct catalog_layout_map){version, t->layout_count};
    t->layouts = layouts;
    t->layout_map = map;
    t->layout_count++;
    t->layout_map_count++;
}

static void same(const struct catalog_table *a, const struct catalog_table *b)
{
    char difference[200];
    cr_assert(catalog_table_same(a, b, difference, sizeof(difference)), "%s", difference);
    expect_u64(a->id, b->id);
    expect_u64(a->version, b->version);
    expect_u64(a->tree, b->tree);
    expect_u64(a->index_count, b->index_count);
    for (uint32_t i = 0; i < a->index_count; i++) {
        const struct catalog_index *x = &a->indexes[i];
        const struct catalog_index *y = &b->indexes[i];
        cr_assert(catalog_index_same(a, x, y, difference, sizeof(difference)), "%s", difference);
        cr_assert_str_eq(x->name, y->name);
        expect_u64(x->id, y->id);
        expect_u64(x->tree, y->tree);
        expect_u64(x->change, y->change);
        cr_assert_eq(x->stage, y->stage);
        cr_assert_eq(x->enforcing, y->enforcing);
        expect_u64(x->key_part_count, y->key_part_count);
        cr_assert_eq(
            memcmp(x->key_columns, y->key_columns, x->key_part_count * sizeof(*x->key_columns)), 0);
    }
}

/* Any descriptor comes back as it was, also through a copy, and encodes to the same bytes again. No
 * cut of it decodes. */
Test(catalog_descriptor, round_trip)
{
    struct test_random r = test_random(1);
    struct base_arena arena = {0};
    struct base_buf b = {0};
    struct base_buf again = {0};
    for (int round = 0; round < 400; round++) {
        struct catalog_table *t = random_table(&r, &arena);
        struct catalog_table *copy;
        struct catalog_table *back;
        if (t->version > 1 && test_random_chance(&r, 50)) {
            enum instar_type type = test_random_type(&r);
            instar_value missing = test_random_value(&r, type, 50, &arena);
            add_layout(t, t->version, type, &missing);
        }
        tables_encode(t, &b);
        must(catalog_table_copy(t, &copy, &test_err));
        same(t, copy);
        catalog_table_free(t);
        tables_encode(copy, &again);
        expect(base_slice_eq(base_buf_slice(&b), base_buf_slice(&again)));
        must(catalog_table_decode(base_buf_slice(&b), &back, &test_err));
        same(copy, back);
        tables_encode(back, &again);
        expect(base_slice_eq(base_buf_slice(&b), base_buf_slice(&again)));
        for (size_t size = 0; size < b.size; size += 1 + test_random_below(&r, 5)) {
            struct catalog_table *none;
            must_fail(catalog_table_decode(base_slice(b.data, size), &none, &test_err),
                      INSTAR_ECORRUPT);
            cr_assert_null(none);
        }
        catalog_table_free(copy);
        catalog_table_free(back);
        base_arena_reset(&arena);
    }
    base_buf_free(&b);
    base_buf_free(&again);
    base_arena_free(&arena);
}

/* Changed bytes give an error, or a descriptor that obeys every rule: it encodes again to these
 * very bytes. */
Test(catalog_descriptor, changed_bytes_are_refused_or_mean_something)
{
    struct test_random r = test_random(2);
    struct base_arena arena = {0};
    struct base_buf b = {0};
    struct base_buf again = {0};
    unsigned accepted = 0;
    for (int round = 0; round < 150; round++) {
        struct catalog_table *t = random_table(&r, &arena);
        tables_encode(t, &b);
        for (int i = 0; i < 100; i++) {
            size_t at = test_random_below(&r, b.size);
            uint8_t was = b.data[at];
            b.data[at] = (uint8_t)test_random_next(&r);
            struct catalog_table *back;
            int rc = catalog_table_decode(base_buf_slice(&b), &back, &test_err);
            bool newer = at == 0 && b.data[0] > was;
            cr_assert(newer ? rc == INSTAR_EVERSION : rc == 0 || rc == INSTAR_ECORRUPT, "%s",
                      base_error_name(rc));
            if (rc == 0 && at == 0) { /* an older format says the same here */
                catalog_table_free(back);
            } else if (rc == 0) {
                accepted++;
                tables_encode(back, &again);
                expect(base_slice_eq(base_buf_slice(&b), base_buf_slice(&again)));
                catalog_table_free(back);
            }
            b.data[at] = was;
        }
        catalog_table_free(t);
        base_arena_reset(&arena);
    }
    expect(accepted > 50);
    base_buf_free(&b);
    base_buf_free(&again);
    base_arena_free(&arena);
}

/* A few bytes that promise very much get no memory for it. */
Test(catalog_descriptor, counts_are_believed_only_as_far_as_bytes_are_left)
{
    struct base_buf b = {0};
    struct catalog_table *t = tables_make("t", "a int8", "a");
    tables_encode(t, &b);
    /* In front of the layouts: format, id, version, name, tree, change, counters, column, key. */
    size_t layouts = b.size - (1 + 2 + 3 + 1 + 2);
    b.size = layouts;
    expect(base_buf_add_varint(&b, UINT32_MAX));
    expect(base_buf_add(&b, "\1\1\1\4\0", 5));
    struct catalog_table *none;
    must_fail(catalog_table_decode(base_buf_slice(&b), &none, &test_err), INSTAR_ECORRUPT);
    b.size = layouts;
    expect(base_buf_add(&b, "\1\1", 2));
    expect(base_buf_add_varint(&b, 1000));
    must_fail(catalog_table_decode(base_buf_slice(&b), &none, &test_err), INSTAR_ECORRUPT);
    catalog_table_free(t);
    base_buf_free(&b);
}

/* Break one rule of the table and its columns: 1 to 12. */
static void break_columns(struct catalog_table *t, int rule)
{
    struct catalog_column *c = &t->columns[2];
    switch (rule) {
    case 1:
        t->version = 0;
        break;
    case 2:
        t->name[0] = 0;
        break;
    case 3:
        memcpy(c->name, "a", 2);
        break;
    case 4:
        c->id = 1;
        break;
    case 5:
        c->id = 9;
        break;
    case 6:
        c->type = (enum instar_type)77;
        break;
    case 7:
        c->default_value = (instar_value){.type = INSTAR_BOOL};
        break;
    case 8:
        c->has_default = true;
        break;
    case 9:
        t->key[1].column = 8;
        break;
    case 10:
        t->key[1].column = 0;
        break;
    case 11:
        t->columns[1].not_null = false;
        break;
    case 12:
        t->column_count = 0;
        break;
    default:
        break;
    }
}

/* Break one rule of its indexes and layouts: 13 to 23. */
static void break_indexes(struct catalog_table *t, int rule)
{
    struct row_column *layout = (struct row_column *)t->layouts[0].columns;
    switch (rule) {
    case 13:
        t->indexes[0].stage = INSTAR_STAGE_PUBLIC;
        break;
    case 14:
        t->indexes[1].enforcing = true;
        break;
    case 15:
        memcpy(t->indexes[1].name, "i", 2);
        break;
    case 16:
        t->indexes[1].id = 1;
        break;
    case 17:
        t->layout_map[0].first_version = 0;
        break;
    case 18:
        t->layout_map[0].layout = 1;
        break;
    case 19:
        add_layout(t, 9, INSTAR_BOOL, &(instar_value){0});
        break;
    case 20:
        layout[1].type = INSTAR_BYTEA;
        break;
    case 21:
        layout[0].id = 2;
        layout[1].id = 1;
        break;
    case 22:
        layout[0].missing = (instar_value){.type = INSTAR_BOOL};
        break;
    case 23:
        t->indexes[0].part_count = 0;
        break;
    default:
        break;
    }
}

/* Each rule of validate.c, broken alone: it is not written, and the words say what is wrong. */
Test(catalog_descriptor, broken_rules_are_not_written)
{
    static const char *const words[] = {
        "",
        "version 0",
        "no proper name",
        "column \"a\" occurs twice",
        "column id 1 occurs twice",
        "has id 9, the next is 4",
        "has type 77",
        "default that does not fit",
        "default that does not fit",
        "names column 9 of 3",
        "names a column twice",
        "may be null",
        "0 columns",
        "is no state",
        "is no state",
        "index \"i\" occurs twice",
        "index id 1 occurs twice",
        "no version has a layout",
        "leads to layout 2 of 1",
        "version 9 leads to layout",
        "not in the newest layout",
        "column id 1 behind 2",
        "missing value that does not fit",
        "of 0 columns",
    };
    for (int rule = 0; rule < (int)BASE_ARRAY_LEN(words); rule++) {
        struct catalog_table *t = tables_make("t", "a int8, b text, c int4", "a, b");
        struct base_buf b = {0};
        tables_add_index(t, "i", "b", true);
        tables_add_index(t, "j", "c", false);
        t->version = 5;
        break_columns(t, rule);
        break_indexes(t, rule);
        int rc = catalog_table_encode(t, &b, &test_err);
        cr_assert_eq(rc, rule == 0 ? 0 : INSTAR_EINVALID, "rule %d: %d", rule, rc);
        if (rule != 0) {
            cr_assert_not_null(strstr(test_err.text, words[rule]), "rule %d: %s", rule,
                               test_err.text);
            expect_u64(b.size, 0);
        }
        base_buf_free(&b);
        catalog_table_free(t);
    }
}

/* A column that has gone from the layouts never comes back, nor does an id get a type to which
 * there is no cast. */
Test(catalog_descriptor, layouts_never_take_a_column_back)
{
    struct catalog_table *t = tables_make("t", "a int8, b text", "a");
    struct base_buf b = {0};
    instar_value null = {0};
    t->version = 9;
    add_layout(t, 3, INSTAR_INT4, &null); /* a, b, id 3 */
    add_layout(t, 5, INSTAR_INT4, &null); /* a, b, id 3, id 4 */
    tables_encode(t, &b);
    struct row_layout *middle = &t->layouts[1];
    middle->column_count = 2; /* id 3 was not there yet, but is above all before: it may come */
    tables_encode(t, &b);
    middle->column_count = 1; /* b had gone, and is back */
    must_fail(catalog_table_encode(t, &b, &test_err), INSTAR_EINVALID);
    cr_assert_not_null(strstr(test_err.text, "layout 3 does not follow layout 2"));
    middle->column_count = 3;
    ((struct row_column *)middle->columns)[1].type = INSTAR_BYTEA;
    must_fail(catalog_table_encode(t, &b, &test_err), INSTAR_EINVALID);
    base_buf_free(&b);
    catalog_table_free(t);
}

/* The version in a row's tag leads to the layout in force then; tags above the table's version, and
 * 0, lead nowhere. */
Test(catalog_descriptor, tag_leads_to_layout)
{
    struct catalog_table *t = tables_make("t", "a int8", "a");
    instar_value missing = {.type = INSTAR_INT4, .i = 42};
    t->version = 30;
    add_layout(t, 10, INSTAR_INT4, &missing);
    add_layout(t, 20, INSTAR_TEXT, &(instar_value){0});
    for (uint32_t version = 1; version <= 30; version++) {
        const struct row_layout *layout = catalog_table_layout(t, version);
        cr_assert_eq(layout, &t->layouts[version < 10 ? 0 : version < 20 ? 1 : 2]);
    }
    cr_assert_null(catalog_table_layout(t, 31));
    cr_assert_null(catalog_table_layout(t, UINT32_MAX));
    cr_assert_null(catalog_table_layout(t, 0));
    instar_value old = {.type = INSTAR_INT8, .i = 7};
    instar_value now[3];
    must(row_convert(catalog_table_layout(t, 1), &old, catalog_table_layout(t, 30), NULL, now,
                     &test_err));
    cr_assert_eq(now[0].i, 7);
    cr_assert_eq(now[1].i, 42);
    cr_assert_eq(now[2].type, INSTAR_NULL);
    catalog_table_free(t);
}

/* finish refuses positions that are not there, so nothing derived points outside. */
Test(catalog_descriptor, finish_checks_positions)
{
    struct catalog_table *t = tables_make("t", "a int8, b text", "a");
    tables_add_index(t, "i", "b", false)->parts[0].column = 2;
    must_fail(catalog_table_finish(t, &test_err), INSTAR_EINVALID);
    t->indexes[0].parts[0].column = 1;
    must(catalog_table_finish(t, &test_err));
    t->key[0].column = 2;
    must_fail(catalog_table_finish(t, &test_err), INSTAR_EINVALID);
    catalog_table_free(t);
}

/* Aliases, NOT NULL on its way and several layouts come back as they were. */
Test(catalog_descriptor, altered_tables_come_back)
{
    instar_value value = {.type = INSTAR_TEXT, .bytes = {"dd", 2}};
    instar_column_def def = {"d", INSTAR_TEXT, true, &value, 0};
    const instar_alteration steps[] = {
        {.kind = INSTAR_ALTER_RENAME_TABLE, .new_name = "u"},
        {.kind = INSTAR_ALTER_RENAME_COLUMN, .name = "b", .new_name = "bb"},
        {.kind = INSTAR_ALTER_RENAME_INDEX, .name = "i", .new_name = "j"},
        {.kind = INSTAR_ALTER_ADD_COLUMN, .column = &def},
        {.kind = INSTAR_ALTER_DROP_COLUMN, .name = "c"},
        {.kind = INSTAR_ALTER_DROP_DEFAULT, .name = "d"}};
    struct catalog_table *t = tables_make("t", "a int8, b text, c int4", "a");
    struct catalog_table *u;
    struct catalog_table *back;
    struct base_buf bytes = {0};
    tables_add_index(t, "i", "b", false)->stage = INSTAR_STAGE_PUBLIC;
    must(catalog_table_copy(t, &u, &test_err));
    for (size_t i = 0; i < BASE_ARRAY_LEN(steps); i++) {
        bool changed;
        must(catalog_alter(u, &steps[i], &changed, &test_err));
    }
    must(catalog_alter_finish(t, u, &test_err));
    u->columns[1].enforcing = true;
    must(catalog_table_encode(u, &bytes, &test_err));
    must(catalog_table_decode(base_buf_slice(&bytes), &back, &test_err));
    cr_assert_str_eq(back->alias, "t");
    cr_assert_str_eq(back->columns[1].alias, "b");
    cr_assert_str_eq(back->columns[2].name, "d");
    cr_assert_str_eq(back->indexes[0].alias, "i");
    expect(back->columns[1].enforcing && !back->columns[1].not_null);
    expect(!back->columns[2].has_default);
    expect_u64(back->layout_count, 2);
    expect_u64(back->layouts[1].column_count, 4); /* the dropped one is hidden */
    expect(row_value_cmp(&back->layouts[1].columns[3].missing, &value) == 0);
    expect_u64((uint64_t)catalog_table_find_column(back, "b"), 1);
    expect_u64((uint64_t)catalog_table_find_column(back, "bb"), 1);
    expect(catalog_table_column(back, "b") < 0 && catalog_table_find_column(back, "") < 0);
    expect(catalog_table_find_index(back, "i") == &back->indexes[0]);
    base_buf_free(&bytes);
    catalog_table_free(t);
    catalog_table_free(u);
    catalog_table_free(back);
}

/* Aliases that mean two things are not written, nor is NOT NULL that holds and is on its way. */
Test(catalog_descriptor, ambiguous_aliases_are_not_written)
{
    for (int edit = 0; edit < 7; edit++) {
        struct catalog_table *t = tables_make("t", "a int8, b text", "a");
        struct base_buf bytes = {0};
        tables_add_index(t, "i", "b", false);
        tables_add_index(t, "j", "b", false);
        snprintf(t->columns[1].alias, sizeof(t->columns[1].alias), "%s",
                 edit == 1   ? "a"
                 : edit == 2 ? "b"
                             : "old");
        snprintf(t->columns[0].alias, sizeof(t->columns[0].alias), "%s", edit == 3 ? "old" : "");
        snprintf(t->indexes[1].alias, sizeof(t->indexes[1].alias), "%s", edit == 4 ? "i" : "k");
        snprintf(t->alias, sizeof(t->alias), "%s", edit == 5 ? "t" : "s");
        t->columns[0].enforcing = edit == 6;
        cr_assert_eq(catalog_table_encode(t, &bytes, NULL), edit == 0 ? 0 : INSTAR_EINVALID,
                     "edit %d", edit);
        base_buf_free(&bytes);
        catalog_table_free(t);
    }
}

/* A descriptor of format 1, as stores from before tables could be altered have it: it is read. */
Test(catalog_descriptor, format_from_before_aliases_is_read)
{
    /* t(a int8 not null default 5, b text), version 3, primary key a, a unique public index on b.
     */
    static const uint8_t bytes[] = {1, 7, 3,   1,   't', 20, 0, 3, 2, /* to the next index id */
                                    2, 1, 1,   'a', 4,   1,  4, 5, 0, 0, 0,
                                    0, 0, 0,   0,                           /* columns */
                                    2, 1, 'b', 6,   0,   0,                 /* */
                                    1, 0, 0,                                /* primary key */
                                    1, 1, 21,  1,   'i', 3,  3, 0, 1, 1, 0, /* index */
                                    1, 1, 2,   1,   4,   0,  2, 6, 0,       /* layout */
                                    1, 1, 0};                               /* map */
    struct catalog_table *t;
    must(catalog_table_decode(base_slice(bytes, sizeof(bytes)), &t, &test_err));

    expect(t->id == 7 && t->version == 3 && t->alias[0] == 0);
    expect(t->columns[0].not_null && t->columns[0].default_value.i == 5);
    expect(t->indexes[0].unique && t->indexes[0].stage == INSTAR_STAGE_PUBLIC);
    expect(t->columns[1].alias[0] == 0 && t->indexes[0].alias[0] == 0);
    catalog_table_free(t);
}
