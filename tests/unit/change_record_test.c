/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a change's record, its states, and the plans. */
#include "support/test.h"

#include <string.h>

#include "change/record.h"

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

/* ---- plans -------------------------------------------------------------------------------- */

static void expect_plan(enum change_kind kind, unsigned variant, enum instar_change_state state,
                        const char *wanted)
{
    struct base_buf text = {0};

    expect(plan_print(kind, variant, state, &text));
    expect(base_buf_add(&text, "", 1));
    cr_assert_str_eq((const char *)text.data, wanted);
    base_buf_free(&text);
}

/* The plans in words: whoever changes one sees here what it means. */
Test(change_plan, create_index)
{
    expect_plan(CHANGE_CREATE_INDEX, false, INSTAR_CHANGE_RUNNING,
                "0 absent       publish delete-only; back by way of absent\n"
                "1 delete-only  publish write-only; back by way of delete-only\n"
                "2 write-only   wait for older leases, make the cut; back by way of write-only\n"
                "3 build        wait for the applier, scan, load, fold; back by way of write-only\n"
                "4 fold         wait for the applier, publish public; back by way of write-only\n");
    expect_plan(CHANGE_CREATE_INDEX, true, INSTAR_CHANGE_RUNNING,
                "0 absent       publish delete-only; back by way of absent\n"
                "1 delete-only  publish write-only; back by way of delete-only\n"
                "2 write-only   wait for older leases, make the cut; back by way of write-only\n"
                "3 build        wait for the applier, scan, load, fold; back by way of write-only\n"
                "4 fold         wait for the applier, publish write-only, enforcing; back by way "
                "of write-only\n"
                "5 enforcing    wait for older leases; back by way of write-only\n"
                "6 validate     look for duplicates; back by way of write-only\n"
                "7 validated    publish public, enforcing; back by way of write-only\n");
    expect_plan(CHANGE_CREATE_INDEX, true, INSTAR_CHANGE_REVERTING,
                "0 write-only   publish delete-only\n"
                "1 delete-only  publish absent\n"
                "2 purge        wait for older leases, drop the trees\n"
                "3 absent       give the verdict\n");
}

Test(change_plan, drop_index)
{
    expect_plan(CHANGE_DROP_INDEX, false, INSTAR_CHANGE_RUNNING,
                "0 public       publish write-only; back by way of public\n"
                "1 write-only   publish delete-only; back by way of write-only\n"
                "2 delete-only  publish absent\n"
                "3 purge        wait for older leases, drop the trees\n");
    expect_plan(CHANGE_DROP_INDEX, true, INSTAR_CHANGE_RUNNING,
                "0 public       publish write-only, enforcing; back by way of public\n"
                "1 write-only   publish delete-only; back by way of write-only\n"
                "2 delete-only  publish absent\n"
                "3 purge        wait for older leases, drop the trees\n");
    expect_plan(CHANGE_DROP_INDEX, true, INSTAR_CHANGE_REVERTING,
                "0 write-only   publish public, enforcing\n"
                "1 public       give the verdict\n");
}

Test(change_plan, tables)
{
    expect_plan(CHANGE_CREATE_TABLE, false, INSTAR_CHANGE_RUNNING,
                "0 absent       publish the table, create its tree; back by way of absent\n");
    expect_plan(CHANGE_CREATE_TABLE, true, INSTAR_CHANGE_RUNNING,
                "0 absent       publish the table, create its tree; back by way of absent\n"
                "1 hidden       wait for older leases of its kin, publish its name\n");
    expect_plan(CHANGE_DROP_TABLE, false, INSTAR_CHANGE_RUNNING,
                "0 public       publish a version without the table; back by way of absent\n"
                "1 purge        wait for older leases, drop the trees\n");
}

Test(change_plan, undo_and_vacuum)
{
    expect_plan(CHANGE_DROP_TABLE, PLAN_KEEPS, INSTAR_CHANGE_RUNNING,
                "0 public       publish a version without the table; back by way of absent\n");
    expect_plan(CHANGE_UNDO, PLAN_TABLE, INSTAR_CHANGE_RUNNING,
                "0 kept         publish it as it was; back by way of kept\n");
    expect_plan(CHANGE_UNDO, PLAN_VALIDATES, INSTAR_CHANGE_RUNNING,
                "0 kept         publish it as it was; back by way of kept\n"
                "1 enforcing    wait for older leases; back by way of enforcing\n"
                "2 validate     look for rows that break it; back by way of enforcing\n"
                "3 validated    publish it as NOT NULL; back by way of enforcing\n");
    expect_plan(CHANGE_UNDO, 0, INSTAR_CHANGE_REVERTING,
                "0 enforcing    publish the table without it\n"
                "1 kept         give the verdict\n");
    expect_plan(CHANGE_PURGE, PLAN_TABLE, INSTAR_CHANGE_RUNNING,
                "0 purge        wait for older leases, drop the trees\n");
    expect_plan(CHANGE_PURGE, 0, INSTAR_CHANGE_RUNNING,
                "0 purge        publish the table without it\n");
    expect_plan(CHANGE_VACUUM, 0, INSTAR_CHANGE_RUNNING,
                "0 drain        wait for older leases; back by way of absent\n"
                "1 rewrite      rewrite rows of older layouts; back by way of absent\n"
                "2 rewritten    publish the table without older layouts; back by way of absent\n");
}

Test(change_plan, alter_table)
{
    const enum change_kind alter = CHANGE_ALTER_TABLE;

    expect_plan(alter, 0, INSTAR_CHANGE_RUNNING,
                "0 unaltered    publish the altered table; back by way of unaltered\n");
    expect_plan(alter, PLAN_RETIRES, INSTAR_CHANGE_RUNNING,
                "0 unaltered    publish the altered table; back by way of unaltered\n"
                "1 altered      publish it without old names and hidden columns\n");
    expect_plan(alter, PLAN_VALIDATES, INSTAR_CHANGE_RUNNING,
                "0 unaltered    publish what is new as enforced; back by way of unaltered\n"
                "1 enforcing    wait for older leases; back by way of enforcing\n"
                "2 validate     look for rows that break it; back by way of enforcing\n"
                "3 validated    publish the altered table; back by way of enforcing\n");
    expect_plan(alter, PLAN_VALIDATES | PLAN_RETIRES, INSTAR_CHANGE_RUNNING,
                "0 unaltered    publish what is new as enforced; back by way of unaltered\n"
                "1 enforcing    wait for older leases; back by way of enforcing\n"
                "2 validate     look for rows that break it; back by way of enforcing\n"
                "3 validated    publish the altered table; back by way of enforcing\n"
                "4 altered      publish it without old names and hidden columns\n");
    expect_plan(alter, 0, INSTAR_CHANGE_REVERTING,
                "0 enforcing    publish that it is enforced no more\n"
                "1 unaltered    give the verdict\n");
}

Test(change_plan, compound)
{
    const enum change_kind compound = CHANGE_COMPOUND;

    expect_plan(
        compound, PLAN_BUILDS, INSTAR_CHANGE_RUNNING,
        "16 absent       publish the new indexes delete-only; back by way of unchanged\n"
        "17 delete-only  publish them write-only; back by way of delete-only\n"
        "19 write-only   wait for older leases, make the cut; back by way of write-only\n"
        "20 build        wait for the applier, scan, load, fold; back by way of write-only\n"
        "26 fold         wait for the applier, publish all of it; back by way of "
        "write-only\n");
    expect_plan(
        compound, PLAN_BUILDS | PLAN_VALIDATES | PLAN_DROPS | PLAN_RETIRES, INSTAR_CHANGE_RUNNING,
        "16 absent       publish the new indexes delete-only; back by way of unchanged\n"
        "17 delete-only  publish them write-only; back by way of delete-only\n"
        "19 write-only   wait for older leases, make the cut; back by way of write-only\n"
        "20 build        wait for the applier, scan, load, fold; back by way of write-only\n"
        "21 fold         wait for the applier, publish what is new as enforced; back by way "
        "of write-only\n"
        "23 enforcing    wait for older leases; back by way of write-only\n"
        "24 validate     look for duplicates and for rows that break it; back by way of "
        "write-only\n"
        "25 validated    publish all of it; back by way of write-only\n"
        "28 public       publish what is dropped delete-only\n"
        "29 delete-only  publish the table without what has gone\n"
        "31 purge        wait for older leases, drop the trees\n");
    expect_plan(compound, PLAN_VALIDATES | PLAN_RETIRES, INSTAR_CHANGE_RUNNING,
                "22 unaltered    publish what is new as enforced; back by way of unchanged\n"
                "23 enforcing    wait for older leases; back by way of write-only\n"
                "24 validate     look for duplicates and for rows that break it; back by way of "
                "write-only\n"
                "25 validated    publish all of it; back by way of write-only\n"
                "30 altered      publish it without old names and hidden columns\n");
    expect_plan(compound, PLAN_DROPS, INSTAR_CHANGE_RUNNING,
                "27 unaltered    publish all of it; back by way of unchanged\n"
                "28 public       publish what is dropped delete-only\n"
                "29 delete-only  publish the table without what has gone\n"
                "31 purge        wait for older leases, drop the trees\n");
    expect_plan(compound, PLAN_BUILDS | PLAN_RETIRES, INSTAR_CHANGE_REVERTING,
                "0 write-only   publish what was new delete-only\n"
                "1 delete-only  publish the table without it\n"
                "2 hidden       publish it without old names and hidden columns\n"
                "3 purge        wait for older leases, drop the trees\n"
                "4 unchanged    give the verdict\n");
}

/* With another primary key, for which there is a witness; and with row ids. */
Test(change_plan, compound_that_rekeys)
{
    expect_plan(
        CHANGE_COMPOUND, PLAN_BUILDS | PLAN_DROPS | PLAN_REKEYS | PLAN_WITNESS,
        INSTAR_CHANGE_RUNNING,
        "4 unaltered    publish a unique index on the new key delete-only; back by way of "
        "unchanged\n"
        "5 key delete-only publish them write-only; back by way of write-only\n"
        "6 key write-only wait for older leases, make the cut; back by way of write-only\n"
        "7 key build    wait for the applier, scan, load, fold; back by way of write-only\n"
        "10 key fold     wait for the applier, publish what is new as enforced; back by way of "
        "write-only\n"
        "12 key enforcing wait for older leases; back by way of write-only\n"
        "13 key validate look for duplicates and for rows that break it; back by way of "
        "write-only\n"
        "14 key validated publish the new indexes delete-only; back by way of write-only\n"
        "18 delete-only  publish them write-only; back by way of write-only\n"
        "19 write-only   wait for older leases, make the cut; back by way of write-only\n"
        "20 build        wait for the applier, scan, load, fold; back by way of write-only\n"
        "26 fold         wait for the applier, publish all of it; back by way of write-only\n"
        "28 public       publish what is dropped delete-only\n"
        "29 delete-only  publish the table without what has gone\n"
        "31 purge        wait for older leases, drop the trees\n");
}

Test(change_plan, compound_that_numbers)
{
    expect_plan(
        CHANGE_COMPOUND, PLAN_BUILDS | PLAN_DROPS | PLAN_REKEYS | PLAN_NUMBERS,
        INSTAR_CHANGE_RUNNING,
        "4 unaltered    publish a unique index on the new key delete-only; back by way of "
        "unchanged\n"
        "8 row ids      wait for older leases; back by way of write-only\n"
        "9 numbering    give row ids to rows without one; back by way of write-only\n"
        "11 numbered     publish what is new as enforced; back by way of write-only\n"
        "12 key enforcing wait for older leases; back by way of write-only\n"
        "13 key validate look for duplicates and for rows that break it; back by way of "
        "write-only\n"
        "14 key validated publish the new indexes delete-only; back by way of write-only\n"
        "18 delete-only  publish them write-only; back by way of write-only\n"
        "19 write-only   wait for older leases, make the cut; back by way of write-only\n"
        "20 build        wait for the applier, scan, load, fold; back by way of write-only\n"
        "26 fold         wait for the applier, publish all of it; back by way of write-only\n"
        "28 public       publish what is dropped delete-only\n"
        "29 delete-only  publish the table without what has gone\n"
        "31 purge        wait for older leases, drop the trees\n");
}

Test(change_plan, compound_that_foresees)
{
    expect_plan(
        CHANGE_COMPOUND, PLAN_BUILDS | PLAN_DROPS | PLAN_FORESEES, INSTAR_CHANGE_RUNNING,
        "0 unaltered    publish types that may lose values as on their way; back by way of "
        "unchanged\n"
        "1 foreseen     wait for older leases; back by way of write-only\n"
        "2 cast         look for duplicates and for rows that break it; back by way of "
        "write-only\n"
        "15 absent       publish the new indexes delete-only; back by way of write-only\n"
        "17 delete-only  publish them write-only; back by way of delete-only\n"
        "19 write-only   wait for older leases, make the cut; back by way of write-only\n"
        "20 build        wait for the applier, scan, load, fold; back by way of write-only\n"
        "26 fold         wait for the applier, publish all of it; back by way of "
        "write-only\n"
        "28 public       publish what is dropped delete-only\n"
        "29 delete-only  publish the table without what has gone\n"
        "31 purge        wait for older leases, drop the trees\n");
    expect_plan(
        CHANGE_SEVERAL, PLAN_BUILDS | PLAN_DROPS | PLAN_FORESEES, INSTAR_CHANGE_RUNNING,
        "0 unaltered    publish types that may lose values as on their way; back by way of "
        "unchanged\n"
        "1 foreseen     wait for older leases; back by way of write-only\n"
        "2 cast         look for duplicates and for rows that break it; back by way of "
        "write-only\n"
        "15 absent       publish the new indexes delete-only; back by way of write-only\n"
        "18 delete-only  publish them write-only; back by way of delete-only\n"
        "20 write-only   wait for older leases, make the cut; back by way of write-only\n"
        "21 build        wait for the applier, scan, load, fold; back by way of write-only\n"
        "28 fold         wait for the applier, publish all of it; back by way of "
        "write-only\n"
        "31 public       publish what is dropped delete-only\n"
        "32 delete-only  publish the table without what has gone\n"
        "34 purge        wait for older leases, drop the trees\n");
}

Test(change_plan, several)
{
    const enum change_kind several = CHANGE_SEVERAL;

    expect_plan(several, 0, INSTAR_CHANGE_RUNNING,
                "30 unaltered    publish all of it; back by way of unchanged\n");
    expect_plan(several, PLAN_HIDES, INSTAR_CHANGE_RUNNING,
                "17 absent       publish the new indexes delete-only; back by way of unchanged\n"
                "29 hidden       publish all of it; back by way of hidden\n");
    expect_plan(several, PLAN_HIDES | PLAN_VALIDATES | PLAN_RETIRES, INSTAR_CHANGE_RUNNING,
                "17 absent       publish the new indexes delete-only; back by way of unchanged\n"
                "23 hidden       publish what is new as enforced; back by way of hidden\n"
                "25 enforcing    wait for older leases; back by way of write-only\n"
                "26 validate     look for duplicates and for rows that break it; back by way of "
                "write-only\n"
                "27 validated    publish all of it; back by way of write-only\n"
                "33 altered      publish it without old names and hidden columns\n");
    expect_plan(
        several, PLAN_HIDES | PLAN_BUILDS | PLAN_VALIDATES | PLAN_DROPS, INSTAR_CHANGE_RUNNING,
        "16 absent       publish the new indexes delete-only; back by way of unchanged\n"
        "18 delete-only  publish them write-only; back by way of delete-only\n"
        "20 write-only   wait for older leases, make the cut; back by way of write-only\n"
        "21 build        wait for the applier, scan, load, fold; back by way of write-only\n"
        "22 fold         wait for the applier, publish what is new as enforced; back by way of "
        "write-only\n"
        "25 enforcing    wait for older leases; back by way of write-only\n"
        "26 validate     look for duplicates and for rows that break it; back by way of "
        "write-only\n"
        "27 validated    publish all of it; back by way of write-only\n"
        "31 public       publish what is dropped delete-only\n"
        "32 delete-only  publish the table without what has gone\n"
        "34 purge        wait for older leases, drop the trees\n");
    expect_plan(several, PLAN_HIDES, INSTAR_CHANGE_REVERTING,
                "0 write-only   publish what was new delete-only\n"
                "2 hidden       publish the table without it\n"
                "5 purge        wait for older leases, drop the trees\n"
                "6 unchanged    give the verdict\n");
}

Test(change_plan, rekey)
{
    const enum change_kind rekey = CHANGE_REKEY;
#define BACK "; back by way of write-only\n"
#define THE_SAME                                                                 \
    "9 enforcing    wait for older leases" BACK                                  \
    "10 validate     look for duplicates and for rows that break it" BACK        \
    "11 validated    publish rows and indexes by the new key delete-only" BACK   \
    "12 rows delete-only publish them write-only" BACK                           \
    "13 rows write-only wait for older leases, make the cut" BACK                \
    "14 rows build   wait for the applier, scan, load, fold" BACK                \
    "15 rows fold    wait for the applier, publish what is new as enforced" BACK \
    "16 complete     publish the new primary key" BACK                           \
    "17 swapped      publish what is to go delete-only\n"                        \
    "18 lowered      publish the table without what has gone\n"                  \
    "19 purge        wait for older leases, drop the trees\n"

    expect_plan(
        rekey, PLAN_BUILDS, INSTAR_CHANGE_RUNNING,
        "0 absent       publish a unique index on the new key delete-only; back by way of "
        "unchanged\n"
        "1 delete-only  publish them write-only" BACK
        "2 write-only   wait for older leases, make the cut" BACK
        "3 build        wait for the applier, scan, load, fold" BACK
        "4 fold         wait for the applier, publish what is new as enforced" BACK THE_SAME);
    expect_plan(rekey, 0, INSTAR_CHANGE_RUNNING,
                "5 unaltered    publish the column of row ids; back by way of unchanged\n"
                "6 row ids      wait for older leases" BACK
                "7 numbering    give row ids to rows without one" BACK
                "8 numbered     publish what is new as enforced" BACK THE_SAME);
    expect_plan(rekey, PLAN_BUILDS, INSTAR_CHANGE_REVERTING,
                "0 write-only   publish what is to go delete-only\n"
                "1 delete-only  publish the table without what has gone\n"
                "2 purge        wait for older leases, drop the trees\n"
                "3 unchanged    give the verdict\n");
#undef BACK
#undef THE_SAME
}

static bool publishes(const struct plan_step *s)
{
    return s->work == WORK_ADD_INDEX || s->work == WORK_STAGE || s->work == WORK_FINISH_INDEX ||
           s->work == WORK_REMOVE_INDEX;
}

/* Each step that publishes a stage is one that stage.def's rules allow after the one before it, on
 * the way there and from wherever the way back begins. */
Test(change_plan, steps_are_allowed_ones)
{
    for (int kind = CHANGE_CREATE_INDEX; kind <= CHANGE_DROP_INDEX; kind++) {
        for (int unique = 0; unique < 2; unique++) {
            const struct plan *plan =
                plan_for((enum change_kind)kind, unique != 0, INSTAR_CHANGE_RUNNING);
            const struct plan *back =
                plan_for((enum change_kind)kind, unique != 0, INSTAR_CHANGE_REVERTING);
            bool drop = kind == CHANGE_DROP_INDEX;
            struct catalog_index at = {.unique = unique != 0,
                                       .stage = drop ? INSTAR_STAGE_PUBLIC : INSTAR_STAGE_ABSENT,
                                       .enforcing = drop && unique != 0};
            for (uint32_t i = 0; i < plan->count; i++) {
                struct catalog_index undone = at;
                for (uint32_t k = plan->steps[i].revert; k < back->count; k++) {
                    if (publishes(&back->steps[k])) {
                        struct catalog_index next = undone;
                        next.stage = back->steps[k].stage;
                        next.enforcing = back->steps[k].enforcing;
                        cr_assert(catalog_step_allowed(&undone, &next), "%d %d back %u", kind,
                                  unique, k);
                        cr_assert(undone.stage != next.stage, "a step back does something");
                        undone = next;
                    }
                    if (back->steps[k].ends) {
                        break;
                    }
                }
                if (plan->steps[i].revert != PLAN_NO_RETURN) {
                    cr_assert_eq(undone.stage, drop ? INSTAR_STAGE_PUBLIC : INSTAR_STAGE_ABSENT);
                }
                if (publishes(&plan->steps[i])) {
                    struct catalog_index next = at;
                    next.stage = plan->steps[i].stage;
                    next.enforcing = plan->steps[i].enforcing;
                    cr_assert(catalog_step_allowed(&at, &next), "%d %d step %u", kind, unique, i);
                    at = next;
                }
            }
            cr_assert_eq(at.stage, drop ? INSTAR_STAGE_ABSENT : INSTAR_STAGE_PUBLIC);
            cr_assert_eq(at.enforcing, !drop && unique != 0);
        }
    }
}
