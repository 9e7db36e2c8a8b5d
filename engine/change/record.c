/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a change record, little-endian:
 *
 *     u8 format (5) | u8 kind | u8 state | u8 flags: cancel 1, unique 2, validates 4, retires 8,
 *     builds 16, drops 32, keeps 64, waits 128 | fixed numbers | parts: u8 as below, name |
 *     descriptor | names | statement | reason | u64 undo window, s | u64 until when, us |
 *     u64 taken by | u64 takes | u32 latency target, ms | v count, other tables: v id, name
 *     | samples of a failure | u8 more flags: foresees 1, rekeys 2, numbers 4 | u64 bytes per
 * second | who asked: u32 node, u32 pid, u32 uid, program | u64 retries | trouble | u64 XXH3 of all
 * before it, seeded with the id
 *
 * The trees below the log carry no checksum of their own, and a record read under a wrong key must
 * not be believed: hence the hash, and the id in it. A record with a good hash may still hold
 * nonsense; every number is checked before it is used.
 */
#include "change/record.h"

#include <string.h>

#define FORMAT 5               /* says who asked; primary keys change beside other things */
#define FORMAT_NO_ASKER 4      /* neither */
#define FORMAT_NO_MORE_FLAGS 3 /* nor has changes of several tables, and more flags */
#define FORMAT_NO_OTHERS 2     /* nor anything kept */
#define FLAG_CANCEL 1u
#define FLAG_UNIQUE 2u
#define FLAG_VALIDATES 4u
#define FLAG_RETIRES 8u
#define FLAG_BUILDS 16u
#define FLAG_DROPS 32u
#define FLAG_KEEPS 64u
#define FLAG_WAITS 128u /* the last bit of the byte */
#define MORE_FORESEES 1u
#define MORE_REKEYS 2u
#define MORE_NUMBERS 4u
#define HASH_SIZE 8

/* ---- states ------------------------------------------------------------------------------- */

#define MAY(state) (1u << (state))
static const struct base_sm_state states[] = {
    {"none", MAY(INSTAR_CHANGE_RUNNING)},
    [INSTAR_CHANGE_RUNNING] = {"running", MAY(INSTAR_CHANGE_REVERTING) | MAY(INSTAR_CHANGE_DONE)},
    [INSTAR_CHANGE_REVERTING] = {"reverting",
                                 MAY(INSTAR_CHANGE_FAILED) | MAY(INSTAR_CHANGE_CANCELLED)},
    [INSTAR_CHANGE_DONE] = {"done", 0},
    [INSTAR_CHANGE_FAILED] = {"failed", 0},
    [INSTAR_CHANGE_CANCELLED] = {"cancelled", 0},
};

void record_move(struct change_record *r, enum instar_change_state to, uint32_t step)
{
    struct base_sm sm;

    base_sm_init(&sm, states, BASE_ARRAY_LEN(states), (int)r->state);
    base_sm_move(&sm, (int)to);
    r->state = to;
    r->step = step;
}

void record_free(struct change_record *r)
{
    base_buf_free(&r->descriptor);
    base_buf_free(&r->failure);
    r->descriptor = r->failure = (struct base_buf){0};
}

int record_copy(const struct change_record *from, struct change_record *to, struct base_err *err)
{
    struct base_buf descriptor = {0};
    struct base_buf failure = {0};

    if (!base_buf_add(&descriptor, from->descriptor.data, from->descriptor.size) ||
        !base_buf_add(&failure, from->failure.data, from->failure.size)) {
        base_buf_free(&descriptor);
        return base_err_set(err, INSTAR_ENOMEM, "copying change %llu: out of memory",
                            (unsigned long long)from->id);
    }
    record_free(to);
    *to = *from;
    to->descriptor = descriptor;
    to->failure = failure;
    return 0;
}

void record_cut(struct base_slice words, char *text, size_t size)
{
    const uint8_t *bytes = words.data;
    size_t shown = words.size < size ? words.size : size - 1;

    while (shown > 0 && shown < words.size && (bytes[shown] & 0xc0) == 0x80) {
        shown--;
    }
    if (shown != 0) {
        memcpy(text, bytes, shown);
    }
    text[shown] = 0;
}

/* ---- the order of a key column ------------------------------------------------------------ */

#define ORDER_DESCENDING 1u
#define ORDER_NULLS 2u /* times enum instar_nulls */

uint8_t record_order_byte(bool descending, enum instar_nulls nulls)
{
    return (uint8_t)((descending ? ORDER_DESCENDING : 0) + ORDER_NULLS * (unsigned)nulls);
}

bool record_order_from_byte(uint8_t byte, bool *descending_out, enum instar_nulls *nulls_out)
{
    *descending_out = (byte & ORDER_DESCENDING) != 0;
    *nulls_out = (enum instar_nulls)(byte / ORDER_NULLS);
    return byte / ORDER_NULLS <= INSTAR_NULLS_LAST;
}

/* ---- writing ------------------------------------------------------------------------------ */

static bool add_text(struct base_buf *out, const char *text)
{
    return base_buf_add_blob(out, text, strlen(text));
}

static bool add_numbers(struct base_buf *out, const struct change_record *r)
{
    return base_buf_add_u32(out, r->step) && base_buf_add_u64(out, r->table) &&
           base_buf_add_u64(out, r->tree) && base_buf_add_u64(out, r->after) &&
           base_buf_add_u32(out, r->index) && base_buf_add_u32(out, r->version) &&
           base_buf_add_u32(out, r->owner.node) && base_buf_add_u32(out, r->owner.pid) &&
           base_buf_add_u64(out, r->owner.nonce) && base_buf_add_u64(out, r->owner.claim) &&
           base_buf_add_u64(out, r->cancelled_by) && base_buf_add_u32(out, (uint32_t)r->error) &&
           base_buf_add_u64(out, r->duplicate_count) && base_buf_add_u64(out, r->rows) &&
           base_buf_add_u64(out, (uint64_t)r->submitted_us) &&
           base_buf_add_u64(out, (uint64_t)r->finished_us) &&
           base_buf_add_u64(out, r->estimated_ms) && base_buf_add_u32(out, r->flags) &&
           base_buf_add_u32(out, r->fence_after_ms) && base_buf_add_u32(out, r->workers) &&
           base_buf_add_u64(out, r->rows_per_second_max) &&
           base_buf_add_u64(out, r->sort_memory_bytes);
}

static bool add_parts(struct base_buf *out, const struct change_record *r)
{
    bool ok = base_buf_add_u8(out, (uint8_t)r->part_count);

    for (uint32_t i = 0; ok && i < r->part_count; i++) {
        ok = base_buf_add_u8(out, record_order_byte(r->parts[i].descending, r->parts[i].nulls)) &&
             add_text(out, r->parts[i].name);
    }
    return ok;
}

static bool add_others(struct base_buf *out, const struct change_record *r)
{
    bool ok = base_buf_add_varint(out, r->other_count);

    for (uint32_t i = 0; ok && i < r->other_count; i++) {
        ok = base_buf_add_varint(out, r->others[i].table) && add_text(out, r->others[i].name);
    }
    return ok;
}

static bool add_asker(struct base_buf *out, const struct change_asker *a)
{
    return base_buf_add_u32(out, a->node) && base_buf_add_u32(out, a->pid) &&
           base_buf_add_u32(out, a->uid) && add_text(out, a->program);
}

int record_encode(const struct change_record *r, struct base_buf *out, struct base_err *err)
{
    size_t start = out->size;
    unsigned flags = (r->cancel ? FLAG_CANCEL : 0) | (r->unique ? FLAG_UNIQUE : 0) |
                     (r->validates ? FLAG_VALIDATES : 0) | (r->retires ? FLAG_RETIRES : 0) |
                     (r->builds ? FLAG_BUILDS : 0) | (r->drops ? FLAG_DROPS : 0) |
                     (r->keeps ? FLAG_KEEPS : 0) | (r->waits ? FLAG_WAITS : 0);

    unsigned more = (r->foresees ? MORE_FORESEES : 0) | (r->rekeys ? MORE_REKEYS : 0) |
                    (r->numbers ? MORE_NUMBERS : 0);

    base_assert(r->part_count <= INSTAR_INDEX_COLUMNS_MAX);
    bool ok =
        base_buf_add_u8(out, FORMAT) && base_buf_add_u8(out, (uint8_t)r->kind) &&
        base_buf_add_u8(out, (uint8_t)r->state) && base_buf_add_u8(out, (uint8_t)flags) &&
        add_numbers(out, r) && add_parts(out, r) &&
        base_buf_add_blob(out, r->descriptor.data, r->descriptor.size) &&
        add_text(out, r->table_name) && add_text(out, r->object) && add_text(out, r->statement) &&
        add_text(out, r->reason) && base_buf_add_u64(out, r->undo_window_s) &&
        base_buf_add_u64(out, (uint64_t)r->undo_until_us) && base_buf_add_u64(out, r->taken_by) &&
        base_buf_add_u64(out, r->takes) && base_buf_add_u32(out, r->latency_target_ms) &&
        add_others(out, r) && base_buf_add_blob(out, r->failure.data, r->failure.size) &&
        base_buf_add_u8(out, (uint8_t)more) && base_buf_add_u64(out, r->bytes_per_second_max) &&
        add_asker(out, &r->asker) && base_buf_add_u64(out, r->retries) &&
        add_text(out, r->trouble) &&
        base_buf_add_u64(out, base_hash64(out->data + start, out->size - start, r->id));
    if (!ok) {
        return base_err_set(err, INSTAR_ENOMEM, "writing the record of change %llu: out of memory",
                            (unsigned long long)r->id);
    }
    return 0;
}

/* ---- reading ------------------------------------------------------------------------------ */

/* size is that of the array, with the final zero. */
static bool read_text(struct base_reader *r, char *text, size_t size)
{
    struct base_slice s = base_read_blob(r);

    if (r->bad || s.size >= size || (s.size != 0 && memchr(s.data, 0, s.size) != NULL) ||
        !base_utf8_valid(s.data, s.size)) {
        r->bad = true;
        return false;
    }
    if (s.size != 0) {
        memcpy(text, s.data, s.size);
    }
    text[s.size] = 0;
    return true;
}

static void read_flags(struct base_reader *r, struct change_record *out)
{
    uint8_t flags = base_read_u8(r);

    out->cancel = (flags & FLAG_CANCEL) != 0;
    out->unique = (flags & FLAG_UNIQUE) != 0;
    out->validates = (flags & FLAG_VALIDATES) != 0;
    out->retires = (flags & FLAG_RETIRES) != 0;
    out->builds = (flags & FLAG_BUILDS) != 0;
    out->drops = (flags & FLAG_DROPS) != 0;
    out->keeps = (flags & FLAG_KEEPS) != 0;
    out->waits = (flags & FLAG_WAITS) != 0;
}

static void read_more_flags(struct base_reader *r, struct change_record *out)
{
    uint8_t more = base_read_u8(r);

    out->foresees = (more & MORE_FORESEES) != 0;
    out->rekeys = (more & MORE_REKEYS) != 0;
    out->numbers = (more & MORE_NUMBERS) != 0;
    r->bad = r->bad || (more & ~(MORE_FORESEES | MORE_REKEYS | MORE_NUMBERS)) != 0;
}

static void read_numbers(struct base_reader *r, struct change_record *out)
{
    out->step = base_read_u32(r);
    out->table = base_read_u64(r);
    out->tree = base_read_u64(r);
    out->after = base_read_u64(r);
    out->index = base_read_u32(r);
    out->version = base_read_u32(r);
    out->owner.node = base_read_u32(r);
    out->owner.pid = base_read_u32(r);
    out->owner.nonce = base_read_u64(r);
    out->owner.claim = base_read_u64(r);
    out->cancelled_by = base_read_u64(r);
    out->error = (int)base_read_u32(r);
    out->duplicate_count = base_read_u64(r);
    out->rows = base_read_u64(r);
    out->submitted_us = (int64_t)base_read_u64(r);
    out->finished_us = (int64_t)base_read_u64(r);
    out->estimated_ms = base_read_u64(r);
    out->flags = base_read_u32(r);
    out->fence_after_ms = base_read_u32(r);
    out->workers = base_read_u32(r);
    out->rows_per_second_max = base_read_u64(r);
    out->sort_memory_bytes = base_read_u64(r);
}

static void read_parts(struct base_reader *r, struct change_record *out)
{
    uint32_t count = base_read_u8(r);

    if (count > INSTAR_INDEX_COLUMNS_MAX) {
        r->bad = true;
        return;
    }
    out->part_count = count;
    for (uint32_t i = 0; i < count && !r->bad; i++) {
        uint8_t order = base_read_u8(r);
        if (!record_order_from_byte(order, &out->parts[i].descending, &out->parts[i].nulls) ||
            !read_text(r, out->parts[i].name, sizeof(out->parts[i].name))) {
            r->bad = true;
        }
    }
}

static void read_others(struct base_reader *r, struct change_record *out)
{
    uint64_t count = base_read_varint(r);

    r->bad = r->bad || count > RECORD_OTHERS_MAX;
    out->other_count = r->bad ? 0 : (uint32_t)count;
    for (uint32_t i = 0; !r->bad && i < out->other_count; i++) {
        out->others[i].table = base_read_varint(r);
        (void)read_text(r, out->others[i].name, sizeof(out->others[i].name));
        r->bad = r->bad || out->others[i].table == 0;
    }
}

static void read_asker(struct base_reader *r, struct change_asker *out)
{
    out->node = base_read_u32(r);
    out->pid = base_read_u32(r);
    out->uid = base_read_u32(r);
    (void)read_text(r, out->program, sizeof(out->program));
}

/* Is each table that the change is about named once? */
static bool others_differ(const struct change_record *r)
{
    for (uint32_t i = 0; i < r->other_count; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (r->others[k].table == r->others[i].table) {
                return false;
            }
        }
        if (r->others[i].table == r->table) {
            return false;
        }
    }
    return true;
}

/* Do the numbers make sense together? */
static bool sensible(const struct change_record *r)
{
    if (r->kind < CHANGE_CREATE_TABLE || r->kind >= (enum change_kind)CHANGE_KIND_COUNT) {
        return false;
    }
    if (r->state < INSTAR_CHANGE_RUNNING || r->state > INSTAR_CHANGE_CANCELLED) {
        return false;
    }
    if (r->after >= r->id || r->table == 0 || r->object[0] == 0 || r->table_name[0] == 0) {
        return false;
    }
    const struct plan *plan = plan_of(r);
    if (plan != NULL && (r->step >= plan->count || plan_at_or_after(r, r->step) != r->step)) {
        return false;
    }
    if (r->kind == CHANGE_CREATE_INDEX && r->part_count == 0) {
        return false;
    }
    bool takes = r->kind == CHANGE_UNDO || r->kind == CHANGE_PURGE;
    if (takes ? r->takes == 0 || r->takes >= r->id : r->takes != 0) {
        return false;
    }
    if (r->undo_until_us != 0 && (r->state != INSTAR_CHANGE_DONE || !r->keeps)) {
        return false;
    }
    bool described = r->kind == CHANGE_CREATE_TABLE || r->kind == CHANGE_ALTER_TABLE ||
                     r->kind == CHANGE_COMPOUND || r->kind == CHANGE_UNDO ||
                     r->kind == CHANGE_REKEY || r->kind == CHANGE_SEVERAL;
    return (!described || r->descriptor.size != 0) && others_differ(r);
}

/* Its step counts within a plan that was another one then. */
static bool is_of_another_plan(const struct change_record *r, uint8_t format)
{
    return format <= FORMAT_NO_ASKER &&
           (r->kind == CHANGE_COMPOUND || r->kind == CHANGE_SEVERAL || r->kind == CHANGE_REKEY);
}

static int corrupt(uint64_t id, const char *what, struct base_err *err)
{
    return base_err_set(err, INSTAR_ECORRUPT, "record of change %llu: %s", (unsigned long long)id,
                        what);
}

static int no_memory(uint64_t id, struct base_err *err)
{
    return base_err_set(err, INSTAR_ENOMEM, "reading change %llu: out of memory",
                        (unsigned long long)id);
}

int record_decode(uint64_t id, struct base_slice bytes, struct change_record *record_out,
                  struct base_err *err)
{
    *record_out = (struct change_record){.id = id};
    if (bytes.size < HASH_SIZE + 1) {
        return corrupt(id, "too short", err);
    }
    size_t size = bytes.size - HASH_SIZE;
    if (base_get_u64((const uint8_t *)bytes.data + size) != base_hash64(bytes.data, size, id)) {
        return corrupt(id, "checksum does not match", err);
    }
    struct base_reader r = base_reader(base_slice(bytes.data, size));
    uint8_t format = base_read_u8(&r);
    if (format < FORMAT_NO_OTHERS || format > FORMAT) {
        return base_err_set(err, INSTAR_EVERSION,
                            "record of change %llu: format %u, known are %u and %u",
                            (unsigned long long)id, format, FORMAT_NO_OTHERS, FORMAT);
    }
    record_out->kind = (enum change_kind)base_read_u8(&r);
    record_out->state = (enum instar_change_state)base_read_u8(&r);
    read_flags(&r, record_out);
    read_numbers(&r, record_out);
    read_parts(&r, record_out);
    struct base_slice descriptor = base_read_blob(&r);
    if (!r.bad && !base_buf_add(&record_out->descriptor, descriptor.data, descriptor.size)) {
        return no_memory(id, err);
    }
    read_text(&r, record_out->table_name, sizeof(record_out->table_name));
    read_text(&r, record_out->object, sizeof(record_out->object));
    read_text(&r, record_out->statement, sizeof(record_out->statement));
    read_text(&r, record_out->reason, sizeof(record_out->reason));
    if (format > FORMAT_NO_OTHERS) {
        record_out->undo_window_s = base_read_u64(&r);
        record_out->undo_until_us = (int64_t)base_read_u64(&r);
        record_out->taken_by = base_read_u64(&r);
        record_out->takes = base_read_u64(&r);
        record_out->latency_target_ms = base_read_u32(&r);
        read_others(&r, record_out);
        struct base_slice failure = base_read_blob(&r);
        if (!r.bad && !base_buf_add(&record_out->failure, failure.data, failure.size)) {
            return no_memory(id, err);
        }
    }
    if (format > FORMAT_NO_MORE_FLAGS) {
        read_more_flags(&r, record_out);
    }
    if (format > FORMAT_NO_ASKER) {
        record_out->bytes_per_second_max = base_read_u64(&r);
        read_asker(&r, &record_out->asker);
        record_out->retries = base_read_u64(&r);
        read_text(&r, record_out->trouble, sizeof(record_out->trouble));
    }
    if (r.bad || base_reader_left(&r) != 0) {
        return corrupt(id, "malformed", err);
    }
    if (!record_ended(record_out) && is_of_another_plan(record_out, format)) {
        return base_err_set(err, INSTAR_EVERSION,
                            "change %llu was begun by an older version, which has to end it",
                            (unsigned long long)id);
    }
    if (!sensible(record_out)) {
        return corrupt(id, "holds impossible values", err);
    }
    return 0;
}

/* ---- requests ----------------------------------------------------------------------------- */

void *record_room(struct record_input *in, size_t count, size_t size)
{
    void *room = base_arena_alloc(in->arena, (count + 1) * size);

    if (room == NULL) {
        in->no_memory = true;
        in->r.bad = true;
        return NULL;
    }
    return memset(room, 0, (count + 1) * size);
}
