/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a change's record, its states, and the plans. */
#include "support/test.h"

#include <string.h>

#include "change/undo_impl.h"

static struct change_record full_record(void)
{
    struct change_record r = {.id = 7,
                              .kind = CHANGE_CREATE_INDEX,
                              .state = INSTAR_CHANGE_RUNNING,
                              .step = 3,
                              .table = 21,
                              .tree = 22,
                              .after = 5,
                              .index = 2,
                              .version = 9,
                              .owner = {.node = 3, .pid = 4711, .nonce = 99, .claim = 4},
                              .cancel = true,
                              .cancelled_by = 8,
                              .error = INSTAR_EUNIQUE,
                              .duplicate_count = 12,
                              .rows = 1000,
                              .submitted_us = -5,
                              .finished_us = 6,
                              .estimated_ms = 1234,
                              .flags = 1,
                              .fence_after_ms = 30000,
                              .workers = 2,
                              .rows_per_second_max = 77,
                              .bytes_per_second_max = 7700,
                              .sort_memory_bytes = 1 << 20,
                              .undo_window_s = 3600,
                              .latency_target_ms = 5,
                              .keeps = true,
                              .unique = true,
                              .validates = true,
                              .retires = true,
                              .builds = true,
                              .drops = true,
                              .waits = true,
                              .other_count = 2,
                              .others = {{.table = 31, .name = "größe"}, {.table = 32}},
                              .part_count = 2,
                              .parts = {{.name = "path"}, {.name = "größe", .descending = true}},
                              .table_name = "files",
                              .object = "files_path",
                              .statement = "CREATE UNIQUE INDEX files_path ON files (path)",
                              .reason = "because",
                              .asker = {.node = 2, .pid = 815, .uid = 1000, .program = "app"},
                              .retries = 5,
                              .trouble = "no memory"};
    expect(base_buf_add(&r.descriptor, "bytes", 5));
    failure_add(&r.failure, INSTAR_FAILURE_CHECK, "k", NULL, &r.descriptor);
    return r;
}

static void expect_same(const struct change_record *a, const struct change_record *b)
{
    struct change_record x = *a;
    struct change_record y = *b;

    expect(base_slice_eq(base_buf_slice(&a->descriptor), base_buf_slice(&b->descriptor)));
    memset(&x.descriptor, 0, sizeof(x.descriptor));
    memset(&y.descriptor, 0, sizeof(y.descriptor));
    expect(x.id == y.id && x.kind == y.kind && x.state == y.state && x.step == y.step);
    expect(x.table == y.table && x.tree == y.tree && x.after == y.after && x.index == y.index);
    expect(x.version == y.version && x.owner.node == y.owner.node && x.owner.pid == y.owner.pid);
    expect(x.owner.nonce == y.owner.nonce && x.owner.claim == y.owner.claim);
    expect(x.cancel == y.cancel && x.cancelled_by == y.cancelled_by && x.error == y.error);
    expect(x.duplicate_count == y.duplicate_count && x.rows == y.rows);
    expect(x.submitted_us == y.submitted_us && x.finished_us == y.finished_us);
    expect(x.flags == y.flags && x.fence_after_ms == y.fence_after_ms && x.workers == y.workers);
    expect(x.rows_per_second_max == y.rows_per_second_max);
    expect(x.sort_memory_bytes == y.sort_memory_bytes && x.unique == y.unique);
    expect(x.undo_window_s == y.undo_window_s && x.undo_until_us == y.undo_until_us);
    expect(x.latency_target_ms == y.latency_target_ms);
    expect(x.bytes_per_second_max == y.bytes_per_second_max && x.retries == y.retries);
    expect(x.asker.node == y.asker.node && x.asker.pid == y.asker.pid);
    expect(x.asker.uid == y.asker.uid && strcmp(x.asker.program, y.asker.program) == 0);
    expect(strcmp(x.trouble, y.trouble) == 0);
    expect(x.taken_by == y.taken_by && x.takes == y.takes && x.keeps == y.keeps);
    expect(x.validates == y.validates && x.retires == y.retires);
    expect(x.builds == y.builds && x.drops == y.drops && x.waits == y.waits);
    expect(x.other_count == y.other_count && memcmp(x.others, y.others, sizeof(x.others)) == 0);
    expect(x.part_count == y.part_count && memcmp(x.parts, y.parts, sizeof(x.parts)) == 0);
    expect(strcmp(x.table_name, y.table_name) == 0 && strcmp(x.object, y.object) == 0);
    expect(strcmp(x.statement, y.statement) == 0 && strcmp(x.reason, y.reason) == 0);
    expect(base_slice_eq(base_buf_slice(&x.failure), base_buf_slice(&y.failure)));
}

/* What an older record does not say. */
static void forget_asker(struct change_record *r)
{
    r->bytes_per_second_max = r->retries = 0;
    r->asker = (struct change_asker){.node = 0};
    r->trouble[0] = '\0';
}
/* As bytes: five numbers, and two empty texts; and the hash. */
#define ASKER_BYTES (8 + 3 * 4 + 1 + 8 + 1)

/* A record of format 4 does not say who asked. */
Test(change_record, format_from_before_askers_is_read)
{
    struct change_record r = full_record();
    struct change_record back;
    struct base_buf bytes = {0};

    forget_asker(&r);
    must(record_encode(&r, &bytes, &test_err));
    bytes.data[0] = 4;
    bytes.size -= ASKER_BYTES + 8;
    expect(base_buf_add_u64(&bytes, base_hash64(bytes.data, bytes.size, r.id)));
    must(record_decode(r.id, base_buf_slice(&bytes), &back, &test_err));
    expect_same(&r, &back);
    record_free(&back);
    bytes.data[1] = CHANGE_COMPOUND; /* the steps of its plan were others */
    bytes.size -= 8;
    expect(base_buf_add_u64(&bytes, base_hash64(bytes.data, bytes.size, r.id)));
    cr_assert_eq(record_decode(r.id, base_buf_slice(&bytes), &back, &test_err), INSTAR_EVERSION);
    record_free(&back);
    record_free(&r);
    base_buf_free(&bytes);
}

/* A record of format 2, as stores from before there were foreign keys and undo have it: it is read.
 */
Test(change_record, format_from_before_other_tables_is_read)
{
    struct change_record r = full_record();
    struct change_record back;
    struct base_buf bytes = {0};

    r.waits = false;
    r.other_count = 0;
    memset(r.others, 0, sizeof(r.others));
    r.keeps = false;
    r.undo_window_s = r.taken_by = r.takes = 0;
    r.undo_until_us = 0;
    r.latency_target_ms = 0;
    base_buf_clear(&r.failure);
    forget_asker(&r);
    must(record_encode(&r, &bytes, &test_err));
    bytes.data[0] = 2;
    bytes.size -=
        ASKER_BYTES +
        47; /* what an undo needs, the target, no other tables, no samples, more flags, the hash */
    expect(base_buf_add_u64(&bytes, base_hash64(bytes.data, bytes.size, r.id)));
    must(record_decode(r.id, base_buf_slice(&bytes), &back, &test_err));
    expect_same(&r, &back);
    record_free(&back);
    record_free(&r);
    base_buf_free(&bytes);
}

/* What a CREATE INDEX is to make comes back as it was given; one with nothing but a key has no
 * bytes for the rest; bytes that are cut or changed are refused or harmless. */
Test(change_record, an_index_to_be_made)
{
    const char *const include[] = {"x", "größe"};
    const instar_key_column key[] = {{.name = "b", .nulls = INSTAR_NULLS_FIRST},
                                     {.name = "c", .descending = true}};
    const instar_key_column computed[] = {{.expression = "lower('Ü')", .descending = true},
                                          {.name = "c"}};
    instar_index_def def = {.name = "i", .columns = key, .column_count = 2, .unique = true};
    struct change_record r = {.object = "i", .table_name = "t"};
    struct test_random chance = test_random(1);
    struct record_index made;

    must(record_index_set(&r, &def, &test_err));
    expect_u64(r.descriptor.size, 0);
    must(record_index_get(&r, &made, &test_err));
    expect(made.def.unique && made.def.predicate == NULL && made.def.include_count == 0);
    record_index_free(&made);
    def.columns = computed;
    must(record_index_set(&r, &def, &test_err));
    must(record_index_get(&r, &made, &test_err));
    cr_assert_str_eq(made.def.columns[0].expression, "lower('Ü')");
    expect(made.def.columns[0].name == NULL && made.def.columns[0].descending);
    expect(strcmp(made.def.columns[1].name, "c") == 0 && made.def.columns[1].expression == NULL);
    record_index_free(&made);
    base_buf_clear(&r.descriptor);
    must_fail(record_index_get(&r, &made, &test_err), INSTAR_ECORRUPT);
    record_index_free(&made);
    def.columns = key;
    def.predicate = "b > 'ü'";
    def.include = include;
    def.include_count = 2;
    def.constraint = true;
    must(record_index_set(&r, &def, &test_err));
    must(record_index_get(&r, &made, &test_err));
    expect(strcmp(made.def.name, "i") == 0 && strcmp(made.def.table, "t") == 0);
    expect(made.def.column_count == 2 && made.def.columns[0].nulls == INSTAR_NULLS_FIRST);
    expect(made.def.columns[1].descending && made.def.constraint && made.def.include_count == 2);
    cr_assert_str_eq(made.def.predicate, "b > 'ü'");
    cr_assert_str_eq(made.def.include[1], "größe");
    record_index_free(&made);
    for (int i = 0; i < 5000; i++) {
        size_t at = test_random_below(&chance, r.descriptor.size);
        size_t size = r.descriptor.size;
        uint8_t before = r.descriptor.data[at];
        r.descriptor.data[at] = (uint8_t)test_random_next(&chance);
        r.descriptor.size = i % 4 == 0 && at > 0 ? at : size;
        int rc = record_index_get(&r, &made, &test_err);
        expect(rc == 0 ? made.def.include_count <= INSTAR_INDEX_COLUMNS_MAX
                       : rc == INSTAR_ECORRUPT);
        record_index_free(&made);
        r.descriptor.size = size;
        r.descriptor.data[at] = before;
    }
    record_free(&r);
}

/* Each request that reading it makes may be refused. */
Test(change_record, an_index_to_be_made_without_memory)
{
    const char *const include[] = {"x", "y"};
    const instar_key_column key[] = {{.expression = "b + 1"}, {.name = "c"}};
    instar_index_def def = {.name = "i",
                            .columns = key,
                            .column_count = 2,
                            .predicate = "b > 1",
                            .include = include,
                            .include_count = 2};
    struct change_record r = {.object = "i", .table_name = "t"};
    struct record_index made;
    uint64_t refused = 0;
    int rc = INSTAR_ENOMEM;

    must(record_index_set(&r, &def, &test_err));
    while (rc == INSTAR_ENOMEM) {
        test_shortage_set(&(struct test_shortage){.nth = ++refused});
        rc = record_index_get(&r, &made, &test_err);
        test_shortage_set(NULL);
        record_index_free(&made);
    }
    must(rc);
    expect(refused > 4);
    record_free(&r);
}

/* Every field comes back as it was written; a copy is equal and independent. */
Test(change_record, round_trip)
{
    struct change_record r = full_record();
    struct change_record back = {0};
    struct change_record copy = {0};
    struct base_buf bytes = {0};

    must(record_encode(&r, &bytes, &test_err));
    must(record_decode(7, base_buf_slice(&bytes), &back, &test_err));
    expect_same(&r, &back);
    must(record_copy(&r, &copy, &test_err));
    r.descriptor.data[0] ^= 1;
    expect_same(&back, &copy);
    base_buf_free(&bytes);
    record_free(&r);
    record_free(&back);
    record_free(&copy);
}

/* A copy for which there is no memory leaves what it was to replace. */
Test(change_record, no_memory_for_a_copy)
{
    struct change_record r = full_record();
    struct change_record copy = {.id = 3};

    for (uint64_t nth = 1; nth <= 2; nth++) { /* the description; samples */
        test_shortage_set(&(struct test_shortage){.nth = nth});
        cr_expect_eq(record_copy(&r, &copy, &test_err), INSTAR_ENOMEM);
        test_shortage_set(NULL);
        expect_u64(copy.id, 3);
    }
    must(record_copy(&r, &copy, &test_err));
    expect_same(&r, &copy);
    record_free(&r);
    record_free(&copy);
}

/* Words that are too long are cut between two characters. */
Test(change_record, words_are_cut_between_characters)
{
    struct base_buf words = {0};
    char text[8];

    expect(base_buf_add(&words, "a\xe2\x82\xac\xe2\x82\xac", 7)); /* a and two of three bytes */
    record_cut(base_buf_slice(&words), text, 8);
    cr_expect_str_eq(text, "a\xe2\x82\xac\xe2\x82\xac");
    for (size_t size = 5; size < 8; size++) {
        record_cut(base_buf_slice(&words), text, size);
        cr_expect_str_eq(text, "a\xe2\x82\xac", "%zu", size);
    }
    for (size_t size = 2; size < 5; size++) {
        record_cut(base_buf_slice(&words), text, size);
        cr_expect_str_eq(text, "a", "%zu", size);
    }
    base_buf_free(&words);
}

/* What becomes of it as bytes. */
static int decoded(const struct change_record *r)
{
    struct change_record back = {0};
    struct base_buf bytes = {0};
    must(record_encode(r, &bytes, &test_err));
    int rc = record_decode(r->id, base_buf_slice(&bytes), &back, &test_err);
    record_free(&back);
    base_buf_free(&bytes);
    return rc;
}

/* A record whose kind needs a description is refused without one; others have none. */
Test(change_record, what_needs_a_description)
{
    static const struct {
        enum change_kind kind;
        bool needed;
    } kinds[] = {{CHANGE_CREATE_TABLE, true}, {CHANGE_ALTER_TABLE, true}, {CHANGE_COMPOUND, true},
                 {CHANGE_REKEY, true},        {CHANGE_SEVERAL, true},     {CHANGE_UNDO, true},
                 {CHANGE_DROP_TABLE, false},  {CHANGE_DROP_INDEX, false}};

    for (size_t i = 0; i < BASE_ARRAY_LEN(kinds); i++) {
        struct change_record r = {.id = 9,
                                  .kind = kinds[i].kind,
                                  .state = INSTAR_CHANGE_RUNNING,
                                  .table = 3,
                                  .takes = kinds[i].kind == CHANGE_UNDO ? 7 : 0,
                                  .table_name = "t",
                                  .object = "t"};
        struct base_buf described = {0};
        expect(base_buf_add(&described, "bytes", 5));
        r.descriptor = described;
        while (decoded(&r) != INSTAR_OK) {
            cr_assert_lt(++r.step, 64, "kind %d", kinds[i].kind); /* not each plan has the first */
        }
        r.descriptor = (struct base_buf){0};
        cr_assert_eq(decoded(&r), kinds[i].needed ? INSTAR_ECORRUPT : INSTAR_OK, "kind %d",
                     kinds[i].kind);
        base_buf_free(&described);
    }
}

/* Each table that a change is about is named once: it is published once. */
Test(change_record, tables_that_are_named_twice)
{
    struct change_record r = {.id = 9,
                              .kind = CHANGE_DROP_TABLE,
                              .state = INSTAR_CHANGE_RUNNING,
                              .table = 3,
                              .table_name = "t",
                              .object = "t",
                              .other_count = 2,
                              .others = {{.table = 4, .name = "u"}, {.table = 5, .name = "v"}}};

    cr_assert_eq(decoded(&r), INSTAR_OK);
    r.others[1].table = 4;
    cr_assert_eq(decoded(&r), INSTAR_ECORRUPT);
    r.others[1].table = 3;
    cr_assert_eq(decoded(&r), INSTAR_ECORRUPT);
}

/* A drop that can be undone, and the one that undoes it; a record that says what cannot be is
 * refused. */
Test(change_record, undo)
{
    struct change_record drop = {.id = 7,
                                 .kind = CHANGE_DROP_TABLE,
                                 .state = INSTAR_CHANGE_DONE,
                                 .table = 3,
                                 .keeps = true,
                                 .undo_window_s = 60,
                                 .undo_until_us = INT64_MAX,
                                 .taken_by = 9,
                                 .table_name = "t",
                                 .object = "t"};
    struct change_record undo = {.id = 9,
                                 .kind = CHANGE_UNDO,
                                 .state = INSTAR_CHANGE_RUNNING,
                                 .table = 3,
                                 .takes = 7,
                                 .table_name = "t",
                                 .object = "t"};
    struct change_record back = {0};
    struct base_buf bytes = {0};

    must(record_encode(&drop, &bytes, &test_err));
    must(record_decode(7, base_buf_slice(&bytes), &back, &test_err));
    expect_same(&drop, &back);
    expect(!record_is_kept(&back));
    record_free(&back);
    drop.state = INSTAR_CHANGE_FAILED;
    base_buf_clear(&bytes);
    must(record_encode(&drop, &bytes, &test_err));
    must_fail(record_decode(7, base_buf_slice(&bytes), &back, &test_err), INSTAR_ECORRUPT);
    record_free(&back);
    expect(base_buf_add(&undo.descriptor, "bytes", 5));
    base_buf_clear(&bytes);
    must(record_encode(&undo, &bytes, &test_err));
    must(record_decode(9, base_buf_slice(&bytes), &back, &test_err));
    expect_same(&undo, &back);
    record_free(&back);
    undo.takes = 9;
    base_buf_clear(&bytes);
    must(record_encode(&undo, &bytes, &test_err));
    must_fail(record_decode(9, base_buf_slice(&bytes), &back, &test_err), INSTAR_ECORRUPT);
    record_free(&back);
    record_free(&undo);
    base_buf_free(&bytes);
}

/* The columns that an undo brings back: an end that is missing or goes on, and ids that are none,
 * are refused. */
Test(change_record, columns_of_an_undo)
{
    static const struct {
        uint8_t bytes[8];
        size_t size;
        bool good;
    } cases[] = {
        {{0, 1, 1, 0}, 4, true},        {{0, 1, 1, 0, 9}, 5, false},
        {{0, 1, 0, 0}, 4, false},       {{0, 1, 1, 5}, 4, false},
        {{0, 1, 0x80, 0x80}, 4, false}, {{0, 1, 0xff, 0xff, 0xff, 0xff, 0x7f, 0}, 8, false}};
    struct undo_columns columns;

    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        int rc = undo_columns_decode(base_slice(cases[i].bytes, cases[i].size), &columns, NULL);
        cr_assert_eq(rc, cases[i].good ? 0 : INSTAR_ECORRUPT, "case %zu", i);
        expect(!cases[i].good || (columns.count == 1 && columns.names[0].id == 1));
        undo_columns_free(&columns);
    }
}

/* A flipped bit anywhere, a missing end, another id: refused. */
Test(change_record, damage_is_found)
{
    struct change_record r = full_record();
    struct change_record back = {0};
    struct base_buf bytes = {0};

    must(record_encode(&r, &bytes, &test_err));
    for (size_t i = 0; i < bytes.size * 8; i++) {
        bytes.data[i / 8] ^= (uint8_t)(1u << (i % 8));
        cr_assert_eq(record_decode(7, base_buf_slice(&bytes), &back, NULL), INSTAR_ECORRUPT);
        record_free(&back);
        bytes.data[i / 8] ^= (uint8_t)(1u << (i % 8));
    }
    for (size_t size = 0; size < bytes.size; size++) {
        cr_assert_eq(record_decode(7, base_slice(bytes.data, size), &back, NULL), INSTAR_ECORRUPT);
        record_free(&back);
    }
    cr_assert_eq(record_decode(8, base_buf_slice(&bytes), &back, NULL), INSTAR_ECORRUPT);
    record_free(&back);
    base_buf_free(&bytes);
    record_free(&r);
}

/* Bytes with a right checksum may still be nonsense; any byte may be anything. */
Test(change_record, nonsense_with_a_good_checksum_is_refused_or_harmless)
{
    struct change_record r = full_record();
    struct change_record back = {0};
    struct base_buf bytes = {0};
    struct test_random chance = test_random(1);

    must(record_encode(&r, &bytes, &test_err));
    for (int i = 0; i < 20000; i++) {
        size_t at = test_random_below(&chance, bytes.size - 8);
        uint8_t before = bytes.data[at];
        bytes.data[at] = (uint8_t)test_random_next(&chance);
        base_put_u64(bytes.data + bytes.size - 8, base_hash64(bytes.data, bytes.size - 8, 7));
        if (record_decode(7, base_buf_slice(&bytes), &back, NULL) == 0) {
            /* What is accepted can be used: it has a plan, a step in it, and ended strings. */
            expect(plan_kind_name(back.kind) != NULL);
            expect(plan_stage_name(&back) != NULL);
            expect(memchr(back.reason, 0, sizeof(back.reason)) != NULL);
            expect(back.part_count <= INSTAR_INDEX_COLUMNS_MAX);
        }
        record_free(&back);
        bytes.data[at] = before;
    }
    bytes.data[0]++; /* a newer format */
    base_put_u64(bytes.data + bytes.size - 8, base_hash64(bytes.data, bytes.size - 8, 7));
    cr_assert_eq(record_decode(7, base_buf_slice(&bytes), &back, NULL), INSTAR_EVERSION);
    record_free(&back);
    base_buf_free(&bytes);
    record_free(&r);
}
