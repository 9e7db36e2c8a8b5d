/* SPDX-License-Identifier: Apache-2.0 */
/* For the target change: a record of each kind, and each request by itself; for spill: a run. */
#define _GNU_SOURCE
#include "make.h"

#include "change/build_impl.h"
#include "change/compound_impl.h"
#include "change/rekey_impl.h"
#include "change/several_impl.h"
#include "change/undo_impl.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define ID 1000
#define WHAT_INDEX 16
#define WHAT_CHECKPOINT 17

/* A request of its kind by itself, and in a record that is at its first step. */
static void write_request(enum change_kind kind, const char *name, struct base_buf *request)
{
    static struct change_record r;
    struct base_buf b = {0}, alone = {0};
    char full[64];
    r = (struct change_record){.id = ID,
                               .kind = kind,
                               .state = INSTAR_CHANGE_RUNNING,
                               .table = 21,
                               .tree = 18,
                               .version = 3,
                               .owner = {.node = 1, .pid = 4711, .nonce = 99, .claim = 1},
                               .asker = {.node = 1, .pid = 815, .uid = 1000, .program = "app"},
                               .table_name = "u",
                               .object = "j",
                               .statement = "a statement",
                               .estimated_ms = 12};
    if (kind == CHANGE_CREATE_INDEX) {
        r.part_count = 2;
        snprintf(r.parts[0].name, sizeof(r.parts[0].name), "b");
        snprintf(r.parts[1].name, sizeof(r.parts[1].name), "c");
    }
    r.takes = kind == CHANGE_UNDO || kind == CHANGE_PURGE ? 5 : 0;
    r.descriptor = *request;
    r.step = plan_at_or_after(&r, 0);
    base_buf_add_u8(&b, 1);
    base_buf_add_u8(&b, 0);
    must(record_encode(&r, &b, NULL));
    snprintf(full, sizeof(full), "record-%s", name);
    write_input("change", full, &b);
    r.state = INSTAR_CHANGE_FAILED;
    r.error = INSTAR_EUNIQUE;
    failure_add(&r.failure, INSTAR_FAILURE_CHECK, "k", NULL, request);
    base_buf_add_u8(&b, 1);
    base_buf_add_u8(&b, 0);
    must(record_encode(&r, &b, NULL));
    snprintf(full, sizeof(full), "failed-%s", name);
    write_input("change", full, &b);
    base_buf_add_u8(&alone, 0);
    base_buf_add_u8(&alone, (uint8_t)kind);
    base_buf_add(&alone, request->data, request->size);
    write_input("change", name, &alone);
    base_buf_free(&r.failure);
}

static const instar_value five = {.type = INSTAR_INT8, .i = 5};
static const instar_column_def added = {"added", INSTAR_INT8, true, &five, 0};
static const instar_column_def wider = {.type = INSTAR_NUMERIC, .length_max = INSTAR_DIGITS(8, 2)};
static const instar_check_def check = {.name = "k", .expression = "b > 0 OR c IS NULL"};
static const instar_key_column by_c[] = {{.name = "c", .descending = true}, {.name = "b"}};
static const instar_key_column by_lower[] = {{.expression = "lower(c)"}};
static const char *const include[] = {"d"};
static const instar_alteration steps[] = {
    {.kind = INSTAR_ALTER_RENAME_TABLE, .new_name = "w"},
    {.kind = INSTAR_ALTER_RENAME_INDEX, .name = "i", .new_name = "other"},
    {.kind = INSTAR_ALTER_RENAME_COLUMN, .name = "d", .new_name = "last"},
    {.kind = INSTAR_ALTER_ADD_COLUMN, .column = &added},
    {.kind = INSTAR_ALTER_ADD_CHECK, .check = &check},
    {.kind = INSTAR_ALTER_SET_TYPE, .flags = INSTAR_ALTER_EXPLICIT, .name = "b", .column = &wider}};
static const struct alter_name names[] = {{.index = 0, .old = "u", .new = "w"},
                                          {.index = 1, .old = "i", .new = "other"}};

static void make_alters(void)
{
    struct base_buf b = {0};
    must(alter_encode(steps, BASE_ARRAY_LEN(steps), names, BASE_ARRAY_LEN(names), &b, NULL));
    write_request(CHANGE_ALTER_TABLE, "alter", &b);
    base_buf_clear(&b);
    for (size_t i = 0; i < BASE_ARRAY_LEN(steps); i++) {
        char name[32];
        must(alter_encode(&steps[i], 1, NULL, 0, &b, NULL));
        snprintf(name, sizeof(name), "alter-%zu", i);
        write_request(CHANGE_ALTER_TABLE, name, &b);
        base_buf_clear(&b);
    }
    base_buf_free(&b);
}

static void encode_compound(struct base_buf *out)
{
    const struct compound_statement statements[] = {
        {.kind = COMPOUND_CREATE_INDEX,
         .tree = 30,
         .def = {.name = "j",
                 .columns = by_c,
                 .column_count = 2,
                 .unique = true,
                 .include = include,
                 .include_count = 1,
                 .predicate = "b > 3"}},
        {.kind = COMPOUND_CREATE_INDEX,
         .tree = 31,
         .def = {.name = "k", .columns = by_lower, .column_count = 1}},
        {.kind = COMPOUND_DROP_INDEX, .tree = 17, .name = "i"},
        {.kind = COMPOUND_ALTER_TABLE,
         .alter = {.steps = (instar_alteration *)&steps[3], .step_count = 2}}};
    must(compound_encode(statements, BASE_ARRAY_LEN(statements), names, 1, out, NULL));
}

static void make_compounds(void)
{
    static const instar_key_column key[] = {{.name = "b"}};
    const struct compound_statement rekey[] = {
        {.kind = COMPOUND_REKEY,
         .tree = 40,
         .old_tree = 16,
         .witness = 41,
         .def = {.name = "", .columns = key, .column_count = 1}},
        {.kind = COMPOUND_REMAKE_INDEX, .tree = 42, .old_tree = 17, .name = "i"}};
    struct base_buf b = {0};
    encode_compound(&b);
    write_request(CHANGE_COMPOUND, "compound", &b);
    base_buf_clear(&b);
    must(compound_encode(rekey, BASE_ARRAY_LEN(rekey), NULL, 0, &b, NULL));
    write_request(CHANGE_COMPOUND, "compound-rekey", &b);
    base_buf_free(&b);
}

static void make_several(void)
{
    struct several_member members[] = {{.kind = SEVERAL_ALTER, .table = 21, .name = "u"},
                                       {.kind = SEVERAL_PARENT, .table = 22, .name = "parent"}};
    struct several_request request = {members, BASE_ARRAY_LEN(members)};
    struct base_buf b = {0};
    encode_compound(&members[0].bytes);
    must(several_encode(&request, &b, NULL));
    write_request(CHANGE_SEVERAL, "several", &b);
    base_buf_free(&members[0].bytes);
    base_buf_free(&b);
}

static void make_rekeys(void)
{
    static struct rekey_request request = {
        .names = {"b"}, .key_count = 1, .trees = {50, 51}, .tree_count = 2};
    struct base_buf b = {0};
    request.key[0] = (instar_key_column){.name = request.names[0], .descending = true};
    must(rekey_encode(&request, &b, NULL));
    write_request(CHANGE_REKEY, "rekey", &b);
    base_buf_free(&b);
}

static void make_indexes(void)
{
    const instar_index_def def = {.name = "j",
                                  .table = "u",
                                  .columns = by_c,
                                  .column_count = 2,
                                  .include = include,
                                  .include_count = 1,
                                  .predicate = "b IS NOT NULL"};
    struct base_buf b = {0}, alone = {0};
    bool ok = record_index_more_put(&b, &def);
    must(ok ? 0 : INSTAR_ENOMEM);
    base_buf_add_u8(&alone, 0);
    base_buf_add_u8(&alone, WHAT_INDEX);
    base_buf_add(&alone, b.data, b.size);
    write_input("change", "index", &alone);
    write_request(CHANGE_CREATE_INDEX, "create-index", &b);
    base_buf_free(&b);
}

static void make_undo(void)
{
    struct catalog_kept_name name = {.name = "gone"};
    struct undo_columns columns = {.new_name = "back", .count = 1, .names = &name};
    struct base_buf b = {0};
    must(undo_columns_encode(&columns, &b, NULL));
    write_request(CHANGE_UNDO, "undo", &b);
    base_buf_free(&b);
}

static void make_checkpoint(void)
{
    static struct checkpoint c = {.token = 9, .next_run = 2, .rows_done = 5, .gap_count = 2};
    struct base_buf b = {0};
    gap_key_set(&c.last, base_slice("last", 4));
    gap_key_set(&c.gaps[0].lower, base_slice("a", 1));
    gap_key_set(&c.gaps[0].upper, base_slice("b", 1));
    gap_key_set(&c.gaps[1].lower, base_slice("c", 1));
    c.gaps[1].endless = c.gaps[1].after = true;
    c.run_count = 1;
    c.runs[0] = (struct checkpoint_run){
        .run = {.id = 5, .bytes = 100, .entries = 3, .level = 1}, .token = 9, .number = 1};
    base_buf_add_u8(&b, 1);
    base_buf_add_u8(&b, WHAT_CHECKPOINT);
    must(checkpoint_encode(&c, &b, NULL));
    write_input("change", "checkpoint", &b);
}

/* Runs of so many entries, in blocks of several sizes. */
static void make_runs(void)
{
    static const size_t blocks[] = {1, 64, 4096};
    for (size_t i = 0; i < BASE_ARRAY_LEN(blocks); i++) {
        struct run_writer w;
        struct run run;
        struct base_buf b = {0};
        char key[32];
        int fd = memfd_create("run", MFD_CLOEXEC);
        must(fd >= 0 ? 0 : INSTAR_EIO);
        must(run_write_begin(&w, fd, 77, blocks[i], NULL));
        for (unsigned n = 0; n < 8; n++) {
            snprintf(key, sizeof(key), "key %u", n * n);
            must(run_write_add(&w, base_slice(key, n * 3 % 7 + 1), base_slice("\0value!!", 8),
                               NULL));
        }
        must(run_write_end(&w, &run, NULL));
        base_buf_add_u8(&b, 1);
        base_buf_add_u8(&b, (uint8_t)run.entries);
        bool ok = base_buf_reserve(&b, run.bytes);
        size_t got = 0;
        must(ok ? os_pread(fd, b.data + b.size, run.bytes, 0, &got) : INSTAR_ENOMEM);
        b.size += got;
        (void)close(fd);
        snprintf(key, sizeof(key), "run-%zu", blocks[i]);
        write_input("spill", key, &b);
    }
}

void make_changes(void)
{
    make_alters();
    make_compounds();
    make_several();
    make_rekeys();
    make_indexes();
    make_undo();
    make_checkpoint();
    make_runs();
}
