/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The request of a compound change as bytes in its record. As that of an alteration it is what was
 * asked for, not what came of it; only trees are given to indexes when it is submitted.
 *
 *   u8 format (3) | v count, statements | blob: what is renamed, as alter_record.c has it
 *   statement:     u8 kind | what follows
 *   create index:  u64 tree | name | u8 flags (1 unique, 2 there is more) | v count, columns: name
 * | u8 as record.h has it | if there is more: blob as index_record.c has it drop index:    u64 tree
 * | name alter table:   blob: the steps, as alter_record.c has them remake index:  u64 tree | u64
 * old tree | name drop key:     nothing rekey:        u64 tree | u64 old tree | u64 witness | v
 * count, columns: as of an index
 */
#include "change/compound_impl.h"

#include <string.h>

#define FORMAT 3
#define STATEMENT_BYTES_MIN 1
#define FLAG_UNIQUE 1u
#define FLAG_MORE 2u

/* ---- bytes -------------------------------------------------------------------------------- */

static bool put_name(struct base_buf *out, const char *name)
{
    return base_buf_add_blob(out, name, strlen(name));
}

static bool put_columns(struct base_buf *out, const instar_index_def *def)
{
    bool ok = base_buf_add_varint(out, def->column_count);

    for (size_t i = 0; ok && i < def->column_count; i++) {
        const instar_key_column *c = &def->columns[i];
        ok = put_name(out, c->name != NULL ? c->name : "") &&
             base_buf_add_u8(out, record_order_byte(c->descending, c->nulls));
    }
    return ok;
}

static bool put_index(struct base_buf *out, const instar_index_def *def)
{
    struct base_buf more = {0};
    bool ok = record_index_more_put(&more, def);
    uint8_t flags = (uint8_t)((def->unique ? FLAG_UNIQUE : 0) | (more.size != 0 ? FLAG_MORE : 0));

    ok = ok && put_name(out, def->name) && base_buf_add_u8(out, flags) && put_columns(out, def);
    ok = ok && (more.size == 0 || base_buf_add_blob(out, more.data, more.size));
    base_buf_free(&more);
    return ok;
}

/* An alteration is written for itself first: its size goes before it. */
static bool put_alter(struct base_buf *out, const struct alter_request *alter)
{
    struct base_buf bytes = {0};
    bool ok = alter_encode(alter->steps, alter->step_count, alter->names, alter->name_count, &bytes,
                           NULL) == 0 &&
              base_buf_add_blob(out, bytes.data, bytes.size);

    base_buf_free(&bytes);
    return ok;
}

static bool put_statement(struct base_buf *out, const struct compound_statement *s)
{
    bool ok = base_buf_add_u8(out, (uint8_t)s->kind);

    switch (s->kind) {
    case COMPOUND_CREATE_INDEX:
        return ok && base_buf_add_u64(out, s->tree) && put_index(out, &s->def);
    case COMPOUND_DROP_INDEX:
        return ok && base_buf_add_u64(out, s->tree) && put_name(out, s->name);
    case COMPOUND_REMAKE_INDEX:
        return ok && base_buf_add_u64(out, s->tree) && base_buf_add_u64(out, s->old_tree) &&
               put_name(out, s->name);
    case COMPOUND_DROP_KEY:
        return ok;
    case COMPOUND_REKEY:
        return ok && base_buf_add_u64(out, s->tree) && base_buf_add_u64(out, s->old_tree) &&
               base_buf_add_u64(out, s->witness) && put_columns(out, &s->def);
    case COMPOUND_ALTER_TABLE:
        break;
    }
    return ok && put_alter(out, &s->alter);
}

int compound_encode(const struct compound_statement *statements, size_t count,
                    const struct alter_name *names, size_t name_count, struct base_buf *out,
                    struct base_err *err)
{
    struct alter_request renames = {.names = (struct alter_name *)names, .name_count = name_count};
    bool ok = base_buf_add_u8(out, FORMAT) && base_buf_add_varint(out, count);

    for (size_t i = 0; ok && i < count; i++) {
        ok = put_statement(out, &statements[i]);
    }
    ok = ok && put_alter(out, &renames);
    return ok ? 0 : base_err_set(err, INSTAR_ENOMEM, "recording a compound change: out of memory");
}

/* ---- and back ----------------------------------------------------------------------------- */

/* That of a key column is empty when an expression follows. */
static const char *get_part_name(struct record_input *in)
{
    struct base_slice s = base_read_blob(&in->r);

    if (in->r.bad || s.size > INSTAR_NAME_BYTES_MAX || memchr(s.data, 0, s.size) != NULL ||
        !base_utf8_valid(s.data, s.size)) {
        in->r.bad = true;
        return "";
    }
    char *name = record_room(in, s.size, 1);
    return name != NULL ? memcpy(name, s.data, s.size) : "";
}

static const char *get_name(struct record_input *in)
{
    const char *name = get_part_name(in);

    in->r.bad = in->r.bad || name[0] == 0;
    return name;
}

/* What else there is of an index. */
static void get_more(struct record_input *in, instar_key_column *columns, instar_index_def *def)
{
    struct base_slice bytes = base_read_blob(&in->r);
    int rc = in->r.bad || bytes.size == 0
                 ? INSTAR_ECORRUPT
                 : record_index_more_get(bytes, in->arena, columns, def, NULL);

    in->no_memory = in->no_memory || rc == INSTAR_ENOMEM;
    in->r.bad = in->r.bad || rc != 0;
}

/* more: those without a name get one, or an expression, of what follows. */
static instar_key_column *get_columns(struct record_input *in, bool more, instar_index_def *def)
{
    uint64_t count = base_read_varint(&in->r);

    in->r.bad = in->r.bad || count > INSTAR_INDEX_COLUMNS_MAX;
    instar_key_column *columns =
        in->r.bad ? NULL : record_room(in, (size_t)count, sizeof(*columns));
    for (size_t i = 0; !in->r.bad && i < count; i++) {
        columns[i].name = get_part_name(in);
        in->r.bad = in->r.bad || (columns[i].name[0] == 0 && !more);
        in->r.bad = !record_order_from_byte(base_read_u8(&in->r), &columns[i].descending,
                                            &columns[i].nulls) ||
                    in->r.bad;
    }
    def->columns = columns;
    def->column_count = in->r.bad ? 0 : (size_t)count;
    return columns;
}

static void get_index(struct record_input *in, instar_index_def *def)
{
    def->name = get_name(in);
    uint8_t flags = base_read_u8(&in->r);
    instar_key_column *columns = get_columns(in, (flags & FLAG_MORE) != 0, def);
    def->unique = (flags & FLAG_UNIQUE) != 0;
    if (in->r.bad || def->column_count == 0 || (flags & ~(FLAG_UNIQUE | FLAG_MORE)) != 0) {
        in->r.bad = true;
        return;
    }
    if ((flags & FLAG_MORE) != 0) {
        get_more(in, columns, def);
    }
}

static void get_alter(struct record_input *in, struct alter_request *out)
{
    struct base_slice bytes = base_read_blob(&in->r);
    int rc = in->r.bad ? 0 : alter_decode(bytes, out, NULL);

    in->no_memory = in->no_memory || rc == INSTAR_ENOMEM;
    in->r.bad = in->r.bad || rc != 0;
}

static void get_statement(struct record_input *in, struct compound_statement *s)
{
    s->kind = (enum compound_kind)base_read_u8(&in->r);
    switch (s->kind) {
    case COMPOUND_CREATE_INDEX:
        s->tree = base_read_u64(&in->r);
        get_index(in, &s->def);
        return;
    case COMPOUND_DROP_INDEX:
        s->tree = base_read_u64(&in->r);
        s->name = get_name(in);
        return;
    case COMPOUND_REMAKE_INDEX:
        s->tree = base_read_u64(&in->r);
        s->old_tree = base_read_u64(&in->r);
        s->name = get_name(in);
        return;
    case COMPOUND_DROP_KEY:
        return;
    case COMPOUND_REKEY:
        s->tree = base_read_u64(&in->r);
        s->old_tree = base_read_u64(&in->r);
        s->witness = base_read_u64(&in->r);
        get_columns(in, false, &s->def);
        in->r.bad = in->r.bad || (s->witness == 0) != (s->def.column_count == 0);
        return;
    case COMPOUND_ALTER_TABLE:
        get_alter(in, &s->alter);
        return;
    }
    in->r.bad = true;
}

int compound_decode(struct base_slice bytes, struct compound_request *out, struct base_err *err)
{
    *out = (struct compound_request){0};
    struct record_input in = {.r = base_reader(bytes), .arena = &out->arena};

    in.r.bad = base_read_u8(&in.r) != FORMAT;
    uint64_t count = base_read_varint(&in.r);
    in.r.bad = in.r.bad || count > COMPOUND_STATEMENTS_MAX ||
               count > base_reader_left(&in.r) / STATEMENT_BYTES_MIN;
    out->statements = in.r.bad ? NULL : record_room(&in, (size_t)count, sizeof(*out->statements));
    while (!in.r.bad && out->count < count) {
        get_statement(&in, &out->statements[out->count++]);
    }
    if (!in.r.bad) {
        get_alter(&in, &out->renames);
    }
    in.r.bad = in.r.bad || base_reader_left(&in.r) != 0;
    if (in.no_memory) {
        return base_err_set(err, INSTAR_ENOMEM, "reading a compound change: out of memory");
    }
    return in.r.bad ? base_err_set(err, INSTAR_ECORRUPT,
                                   "the statements in the record are "
                                   "malformed")
                    : 0;
}

void compound_free(struct compound_request *request)
{
    for (size_t i = 0; i < request->count; i++) {
        base_arena_free(&request->statements[i].alter.arena);
    }
    base_arena_free(&request->renames.arena);
    base_arena_free(&request->arena);
    *request = (struct compound_request){0};
}

uint64_t compound_coming(const struct compound_statement *s)
{
    return s->kind == COMPOUND_CREATE_INDEX || s->kind == COMPOUND_REMAKE_INDEX ||
                   s->kind == COMPOUND_REKEY
               ? s->tree
               : 0;
}

uint64_t compound_going(const struct compound_statement *s)
{
    return s->kind == COMPOUND_DROP_INDEX                                  ? s->tree
           : s->kind == COMPOUND_REMAKE_INDEX || s->kind == COMPOUND_REKEY ? s->old_tree
                                                                           : 0;
}

const struct compound_statement *compound_created(const struct compound_request *request,
                                                  const char *name)
{
    for (size_t i = 0; i < request->count; i++) {
        const struct compound_statement *s = &request->statements[i];
        if (s->kind == COMPOUND_CREATE_INDEX && strcmp(s->def.name, name) == 0) {
            return s;
        }
    }
    return NULL;
}
