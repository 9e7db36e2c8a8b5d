/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of schema changes, and what they hold: any bytes are refused, or are a change that can be
 * told, whose request is written again as it stands, and of which each version of a table can be
 * made or is refused. As nearly no random bytes have a good checksum, the input may ask for one to
 * be put in.
 *
 * Input: u8 flags (1: repair the checksum) | u8 what: 0 a record, else the request of that kind
 * (enum change_kind), 16 the rest of an index's definition, 17 a checkpoint | the bytes.
 */
#include "change/build_impl.h"
#include "change/compound_impl.h"
#include "change/rekey_impl.h"
#include "change/several_impl.h"
#include "change/undo_impl.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REPAIR 1
#define ID 1000
#define BYTES_MAX ((size_t)64 << 10)
#define WHAT_INDEX 16
#define WHAT_CHECKPOINT 17

/* The table that requests are about: u has what their names in the corpus mean. */
static const struct catalog_table *table_u(void)
{
    static struct catalog_table *table;
    static const instar_column_def columns[] = {{.name = "a", .type = INSTAR_INT8},
                                                {.name = "b", .type = INSTAR_INT4},
                                                {.name = "c", .type = INSTAR_TEXT},
                                                {.name = "d", .type = INSTAR_TEXT}};
    static const instar_key_column key[] = {{.name = "a"}}, by_b[] = {{.name = "b"}};
    const instar_table_def def = {
        .name = "u", .columns = columns, .column_count = 4, .key = key, .key_count = 1};
    instar_index_def index_def = {.name = "i", .table = "u", .columns = by_b, .column_count = 1};
    struct catalog_index *index;
    if (table == NULL) {
        int rc = catalog_table_from_def(&def, &table, NULL);
        base_assert(rc == 0);
        table->id = 21;
        table->tree = 16;
        table->version = 3;
        rc = catalog_index_from_def(table, &index_def, &index, NULL);
        base_assert(rc == 0);
        index->stage = INSTAR_STAGE_PUBLIC;
        index->tree = 17;
        rc = catalog_table_finish(table, NULL);
        base_assert(rc == 0);
    }
    return table;
}

/* What was written of a request reads as the same request: the bytes of one that was read may be
 * another form of it. */
typedef int (*recode_fn)(struct base_slice bytes, struct base_buf *out);
static void expect_same(recode_fn recode, struct base_slice bytes)
{
    struct base_buf once = {0}, twice = {0};
    if (recode(bytes, &once) == 0) {
        int rc = recode(base_buf_slice(&once), &twice);
        base_assert(rc == 0);
        base_assert(base_slice_eq(base_buf_slice(&once), base_buf_slice(&twice)));
    }
    base_buf_free(&once);
    base_buf_free(&twice);
}

static int recode_alter(struct base_slice bytes, struct base_buf *out)
{
    struct alter_request request;
    int rc = alter_decode(bytes, &request, NULL);
    if (rc == 0) {
        rc = alter_encode(request.steps, request.step_count, request.names, request.name_count, out,
                          NULL);
        base_assert(rc == 0);
    }
    base_arena_free(&request.arena);
    return rc;
}

static int recode_compound(struct base_slice bytes, struct base_buf *out)
{
    struct compound_request request;
    int rc = compound_decode(bytes, &request, NULL);
    if (rc == 0) {
        rc = compound_encode(request.statements, request.count, request.renames.names,
                             request.renames.name_count, out, NULL);
        base_assert(rc == 0);
    }
    compound_free(&request);
    return rc;
}

static int recode_several(struct base_slice bytes, struct base_buf *out)
{
    struct several_request request;
    int rc = several_decode(bytes, &request, NULL);
    if (rc == 0) {
        rc = several_encode(&request, out, NULL);
        base_assert(rc == 0);
    }
    several_free(&request);
    return rc;
}

static int recode_rekey(struct base_slice bytes, struct base_buf *out)
{
    static struct rekey_request request;
    int rc = rekey_decode(bytes, &request, NULL);
    if (rc == 0) {
        rc = rekey_encode(&request, out, NULL);
        base_assert(rc == 0);
    }
    return rc;
}

static int recode_undo(struct base_slice bytes, struct base_buf *out)
{
    struct undo_columns columns;
    int rc = undo_columns_decode(bytes, &columns, NULL);
    if (rc == 0) {
        rc = undo_columns_encode(&columns, out, NULL);
        base_assert(rc == 0);
    }
    undo_columns_free(&columns);
    return rc;
}

static int recode_checkpoint(struct base_slice bytes, struct base_buf *out)
{
    static struct checkpoint c;
    int rc = checkpoint_decode(bytes, &c, NULL);
    base_assert(rc == 0 || rc == INSTAR_ECORRUPT);
    if (rc == 0) {
        rc = checkpoint_encode(&c, out, NULL);
        base_assert(rc == 0);
    }
    return rc;
}

static void use_alter(struct base_slice bytes)
{
    struct alter_request request;
    struct catalog_table *target;
    char text[512];
    expect_same(recode_alter, bytes);
    if (alter_decode(bytes, &request, NULL) == 0) {
        alter_describe("u", request.steps, request.step_count, text, sizeof(text));
        if (alter_target(table_u(), request.steps, request.step_count, &target, NULL) == 0 &&
            target != NULL) {
            (void)catalog_alter_finish(table_u(), target, NULL);
            catalog_table_free(target);
        }
    }
    base_arena_free(&request.arena);
}

static int take_version(struct catalog_table **now, int rc, struct catalog_table **next)
{
    if (rc == 0 && *next != NULL) {
        catalog_table_free(*now);
        *now = *next;
    }
    *next = NULL;
    return rc;
}

/* The versions on the way there, in the order of the plan, each made of the one before. */
static void walk_compound(const struct compound_request *request)
{
    typedef int (*make)(const struct catalog_table *now, const struct compound_request *request,
                        struct catalog_table **next_out, struct base_err *err);
    static const make of_key[] = {compound_key_raise, compound_key_enforce};
    static const make of_all[] = {compound_raise, compound_enforce};
    static struct change_record r;
    struct catalog_table *now = NULL, *next = NULL;
    bool rekeys = compound_rekey(request) != NULL;
    r = (struct change_record){.id = ID};
    int rc = catalog_table_copy(table_u(), &now, NULL);
    base_assert(rc == 0);
    rc = take_version(&now, compound_foresee(now, request, &next, NULL), &next);
    if (rc == 0 && rekeys) {
        rc = take_version(&now, compound_key_add(now, request, ID, &next, NULL), &next);
    }
    for (size_t i = 0; rc == 0 && rekeys && i < BASE_ARRAY_LEN(of_key); i++) {
        rc = take_version(&now, of_key[i](now, request, &next, NULL), &next);
    }
    if (rc == 0) {
        rc = take_version(&now, compound_add(now, request, ID, &next, NULL), &next);
    }
    for (size_t i = 0; rc == 0 && i < BASE_ARRAY_LEN(of_all); i++) {
        rc = take_version(&now, of_all[i](now, request, &next, NULL), &next);
    }
    if (rc == 0) {
        rc = take_version(&now, compound_flip(now, request, &r, &next, NULL), &next);
    }
    if (rc == 0) {
        (void)take_version(&now, compound_lower(now, request, &next, NULL), &next);
        (void)take_version(&now, compound_remove(now, request, &next, NULL), &next);
    }
    catalog_table_free(now);
}

static void use_compound(struct base_slice bytes)
{
    struct compound_request request;
    struct catalog_table *target;
    expect_same(recode_compound, bytes);
    if (compound_decode(bytes, &request, NULL) == 0 &&
        compound_target(table_u(), &request, &target, NULL) == 0 && target != NULL) {
        catalog_table_free(target);
        walk_compound(&request);
    }
    compound_free(&request);
}

static void use_several(struct base_slice bytes)
{
    struct several_request request;
    expect_same(recode_several, bytes);
    if (several_decode(bytes, &request, NULL) == 0) {
        for (size_t i = 0; i < request.count; i++) {
            if (request.list[i].kind == SEVERAL_ALTER) {
                use_compound(base_buf_slice(&request.list[i].bytes));
            }
        }
    }
    several_free(&request);
}

static void use_rekey(struct base_slice bytes)
{
    static struct rekey_request request;
    struct catalog_table *next;
    expect_same(recode_rekey, bytes);
    struct rekey_edit edit = {.now = table_u(), .request = &request, .change = ID};
    if (rekey_decode(bytes, &request, NULL) == 0 && request.key_count != 0 &&
        rekey_add_witness(&edit, &next, NULL) == 0) {
        catalog_table_free(next);
    }
}

static void use_table(struct base_slice bytes)
{
    struct catalog_table *table;
    if (catalog_table_decode(bytes, &table, NULL) == 0) {
        catalog_table_free(table);
    }
}

static void use_request(unsigned kind, struct base_slice bytes)
{
    switch (kind) {
    case CHANGE_CREATE_TABLE:
    case CHANGE_DROP_TABLE:
    case CHANGE_PURGE:
        use_table(bytes);
        break;
    case CHANGE_ALTER_TABLE:
        use_alter(bytes);
        break;
    case CHANGE_COMPOUND:
        use_compound(bytes);
        break;
    case CHANGE_SEVERAL:
        use_several(bytes);
        break;
    case CHANGE_REKEY:
        use_rekey(bytes);
        break;
    case CHANGE_UNDO:
        expect_same(recode_undo, bytes);
        break;
    default:
        break;
    }
}

static void use_index(struct base_slice bytes)
{
    static struct change_record r;
    struct record_index made;
    struct catalog_table *table;
    struct catalog_index *index;
    r = (struct change_record){.kind = CHANGE_CREATE_INDEX, .object = "j", .table_name = "u"};
    r.part_count = 2;
    r.parts[1].name[0] = 'b';
    bool ok = base_buf_add(&r.descriptor, bytes.data, bytes.size);
    base_assert(ok);
    if (record_index_get(&r, &made, NULL) == 0) {
        int rc = catalog_table_copy(table_u(), &table, NULL);
        base_assert(rc == 0);
        if (catalog_index_from_def(table, &made.def, &index, NULL) == 0) {
            (void)catalog_table_finish(table, NULL);
        }
        catalog_table_free(table);
    }
    record_index_free(&made);
    record_free(&r);
}

static void tell(const struct change_record *r)
{
    struct base_arena arena = {0};
    instar_change_failure failure;
    uint32_t steps;
    base_assert(plan_kind_name(r->kind)[0] != '?' && plan_stage_name(r) != NULL);
    if (!record_ended(r)) {
        base_assert(plan_doing(r) != NULL && plan_rank(r, &steps) <= steps);
        (void)plan_may_revert(r);
        (void)plan_is_brink(r);
    }
    int rc = failure_get(r, &arena, &failure, NULL);
    base_assert(rc == 0 || rc == INSTAR_ECORRUPT);
    base_arena_free(&arena);
}

static void use_record(struct base_slice bytes)
{
    static struct change_record r;
    struct base_buf again = {0};
    int rc = record_decode(ID, bytes, &r, NULL);
    base_assert(rc == 0 || rc == INSTAR_ECORRUPT || rc == INSTAR_EVERSION);
    if (rc == 0) {
        tell(&r);
        rc = record_encode(&r, &again, NULL);
        base_assert(rc == 0);
        base_assert(again.data[0] != *(const uint8_t *)bytes.data ||
                    base_slice_eq(base_buf_slice(&again), bytes));
        base_buf_free(&again);
        use_request(r.kind, base_buf_slice(&r.descriptor));
    }
    record_free(&r);
}

static void repair(unsigned what, uint8_t *bytes, size_t size)
{
    if (size > 8 && what == 0) {
        base_put_u64(bytes + size - 8, base_hash64(bytes, size - 8, ID));
    } else if (size > 8 && what == WHAT_CHECKPOINT) {
        base_put_u64(bytes + size - 8, base_hash64(bytes, size - 8, 1)); /* its format */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > BYTES_MAX) {
        return 0;
    }
    uint8_t *bytes = malloc(size - 2 + (size == 2)); /* of its own size */
    if (bytes == NULL) {
        return 0;
    }
    memcpy(bytes, data + 2, size - 2);
    if ((data[0] & REPAIR) != 0) {
        repair(data[1], bytes, size - 2);
    }
    struct base_slice in = base_slice(bytes, size - 2);
    if (data[1] == 0) {
        use_record(in);
    } else if (data[1] == WHAT_INDEX) {
        use_index(in);
    } else if (data[1] == WHAT_CHECKPOINT) {
        expect_same(recode_checkpoint, in);
    } else {
        use_request(data[1], in);
    }
    free(bytes);
    return 0;
}
