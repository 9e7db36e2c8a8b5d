/* SPDX-License-Identifier: Apache-2.0 */
/* Rows between bytes and values: old layouts, hidden columns, tags. */
#include "support/txns.h"
#include "txn/txn_impl.h"

#include <string.h>

/* A table at version 5, t(a int8, b int8). Versions 1-3 had layout 1 (a, b); from 4 on layout 2 has
 * a column between them that this version hides, and which older rows have as 'm'. */
static struct catalog_table *table;
static struct row_column old_columns[2];
static struct row_column new_columns[3];
static struct row_layout layouts[2];
static struct catalog_layout_map map[2];
static struct base_arena arena;
static struct txn_codec *codec;

static struct txn_codec codec_memory;

static void setup(void)
{
    table = tables_make("t", "a int8, b int8", "a");
    table->version = 5;
    uint32_t a = table->columns[0].id;
    uint32_t b = table->columns[1].id = a + 2; /* ids ascend in every layout */
    old_columns[0] = (struct row_column){.id = a, .type = INSTAR_INT8};
    old_columns[1] = (struct row_column){.id = b, .type = INSTAR_INT8};
    new_columns[0] = old_columns[0];
    new_columns[1] =
        (struct row_column){.id = a + 1,
                            .type = INSTAR_TEXT,
                            .missing = {.type = INSTAR_TEXT, .bytes = {.data = "m", .size = 1}}};
    new_columns[2] = old_columns[1];
    layouts[0] = (struct row_layout){.number = 1, .column_count = 2, .columns = old_columns};
    layouts[1] = (struct row_layout){.number = 2, .column_count = 3, .columns = new_columns};
    map[0] = (struct catalog_layout_map){.first_version = 1, .layout = 0};
    map[1] = (struct catalog_layout_map){.first_version = 4, .layout = 1};
    table->layouts = layouts;
    table->layout_count = 2;
    table->layout_map = map;
    table->layout_map_count = 2;
    codec = &codec_memory;
    must(txn_codec_init(codec, table, NULL, 10000, &arena, &test_err));
}

static void teardown(void)
{
    catalog_table_free(table);
    base_arena_free(&arena);
}

TestSuite(txn_codec, .init = setup, .fini = teardown);

static const struct base_slice key = {"key", 3};

/* A record of (1, 2), by a layout under a version's tag. */
static struct base_buf record_of(const struct row_layout *layout, uint32_t version)
{
    instar_value values[3] = {{.type = INSTAR_INT8, .i = 1},
                              {.type = INSTAR_INT8, .i = 2},
                              {.type = INSTAR_INT8, .i = 2}};
    struct base_buf out = {0};
    if (layout->column_count == 3) {
        values[1] = (instar_value){.type = INSTAR_TEXT, .bytes = {"x", 1}};
    }
    must(row_encode(layout, version, key, values, &out, &test_err));
    return out;
}

/* A row of an older layout is read through it, and what it does not have is filled. */
Test(txn_codec, an_older_layout_is_filled)
{
    instar_value image[3];
    uint32_t version = 0;
    struct base_buf record = record_of(&layouts[0], 3);
    must(txn_codec_decode(codec, key, base_buf_slice(&record), &arena, image, &version, &test_err));
    cr_assert_eq(version, 3);
    cr_assert_eq(image[0].i, 1);
    cr_assert(memcmp(image[1].bytes.data, "m", 1) == 0);
    cr_assert_eq(image[2].i, 2);
    base_buf_free(&record);
}

/* Only some columns, of both layouts, by positions of the own one. */
Test(txn_codec, some_columns_of_any_layout)
{
    static const uint32_t positions[2] = {1, 2};
    for (uint32_t version = 3; version <= 4; version++) {
        instar_value values[2];
        struct base_buf record = record_of(&layouts[version - 3], version);
        struct row_found row = {.key = key, .record = base_buf_slice(&record), .arena = &arena};
        must(txn_codec_decode_some(codec, &row, &(struct row_wanted){positions, 2, values},
                                   &test_err));
        cr_assert(memcmp(values[0].bytes.data, version == 3 ? "m" : "x", 1) == 0);
        cr_assert_eq(values[1].i, 2);
        base_buf_free(&record);
    }
}

/* What this version hides is carried through decoding and encoding, and the tag becomes our own. */
Test(txn_codec, hidden_values_are_carried)
{
    instar_value image[3];
    struct row_header header;
    struct base_buf record = record_of(&layouts[1], 4);
    struct base_buf again = {0};
    must(txn_codec_decode(codec, key, base_buf_slice(&record), &arena, image, NULL, &test_err));
    image[2].i = 3;
    must(txn_codec_encode(codec, key, image, &again, &test_err));
    must(row_header(base_buf_slice(&again), &header, &test_err));
    cr_assert_eq(header.version, 5);
    must(txn_codec_decode(codec, key, base_buf_slice(&again), &arena, image, NULL, &test_err));
    cr_assert(memcmp(image[1].bytes.data, "x", 1) == 0);
    cr_assert_eq(image[2].i, 3);
    base_buf_free(&record);
    base_buf_free(&again);
}

/* A tag above the own version is corruption, unless the version is forced. */
Test(txn_codec, a_later_tag_is_corruption_unless_forced)
{
    instar_value image[3];
    struct base_buf record = record_of(&layouts[1], 6);
    must_fail(txn_codec_decode(codec, key, base_buf_slice(&record), &arena, image, NULL, &test_err),
              INSTAR_ECORRUPT);
    cr_assert(strstr(test_err.text, "written by schema version 6") != NULL, "%s", test_err.text);
    must(txn_codec_init(codec, table, table, 10000, &arena, &test_err));
    must(txn_codec_decode(codec, key, base_buf_slice(&record), &arena, image, NULL, &test_err));
    cr_assert_eq(image[2].i, 2);
    base_buf_free(&record);
}

/* A row that strayed to another key is found, and named by the key where it lies. */
Test(txn_codec, a_stray_row_is_corruption)
{
    instar_value image[3];
    struct base_buf record = record_of(&layouts[1], 5);
    struct base_buf other = {0};
    instar_value seven = {.type = INSTAR_INT8, .i = 7};
    must(row_key_encode(table->key_parts, &seven, 1, &other, &test_err));
    must_fail(txn_codec_decode(codec, base_buf_slice(&other), base_buf_slice(&record), &arena,
                               image, NULL, &test_err),
              INSTAR_ECORRUPT);
    cr_assert(strstr(test_err.text, "table t, row (a=7)") != NULL, "%s", test_err.text);
    base_buf_free(&other);
    base_buf_free(&record);
}

/* A descriptor that does not know the layout of its own version, or of a column, is refused. */
Test(txn_codec, a_descriptor_without_its_layout_is_refused)
{
    map[0].first_version = 6;
    table->layout_map_count = 1;
    must_fail(txn_codec_init(codec, table, NULL, 10000, &arena, &test_err), INSTAR_ECORRUPT);
    map[0].first_version = 1;
    table->columns[1].id = 77;
    must_fail(txn_codec_init(codec, table, NULL, 10000, &arena, &test_err), INSTAR_ECORRUPT);
    cr_assert(strstr(test_err.text, "column b") != NULL, "%s", test_err.text);
}

/* A row over its limit is refused before it is written. */
Test(txn_codec, a_row_over_the_limit_is_refused)
{
    static char text[20001];
    struct base_buf out = {0};
    memset(text, 'x', sizeof(text));
    instar_value image[3] = {{.type = INSTAR_INT8, .i = 1},
                             {.type = INSTAR_TEXT, .bytes = {text, 20000}},
                             {.type = INSTAR_NULL}};
    must_fail(txn_codec_encode(codec, key, image, &out, &test_err), INSTAR_ELIMIT);
    cr_assert_eq(out.size, 0);
    base_buf_free(&out);
}

/* ---- the same through transactions --------------------------------------------------------- */

/* M4: a writer of a version that does not know column c updates b: c is still there; and what it
 * inserts has c's missing value. */
Test(txn_codec_store, a_writer_that_does_not_know_a_column_keeps_it)
{
    uint64_t id;
    struct txn_env *env = txns_open_t(NULL, "a int8, b int8, c text", &id);
    struct txn_projection *all = txns_projection(env, "t", NULL);
    struct txn_projection *ab = txns_columns(env, "t", "a, b", NULL);
    struct catalog_table *narrow = txns_current(env, id);
    narrow->column_count = 2; /* c is in the layout only */
    txns_put_row(env, all, "1,10,kept");
    struct txn *t = txns_begin(env, INSTAR_TXN_ASYNC);
    txn_force_version(t, narrow);
    must(txns_update(t, ab, "1", "1,11"));
    must(txns_insert(t, ab, "2,20"));
    must(txn_commit(t, &test_err));
    cr_assert_str_eq(txns_dump(env, all), "1,11,kept 2,20,null ");
    t = txns_begin(env, INSTAR_TXN_ASYNC);
    txn_force_version(t, narrow);
    must_fail(txns_insert(t, all, "3,3,x"), INSTAR_EUNKNOWN);
    txn_abort(t);
    txn_projection_free(all);
    txn_projection_free(ab);
    catalog_table_free(narrow);
    txns_close(env);
}
