/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The definition of a new index in the records of changes. A CREATE INDEX has its key columns among
 * the fields of its record, one of several statements among its own bytes; what else there may be
 * is the same for both:
 *
 *   u8 flags (1 constraint, 2 expressions) | varint size and bytes of the predicate, as text; size
 *   0: none | v count, included columns: name | if there are expressions, for each key column:
 *   varint size and bytes of its text; size 0: it is a column, whose name is not empty
 */
#include "change/record.h"

#include <stdio.h>
#include <string.h>

#define FLAG_CONSTRAINT 1u
#define FLAG_EXPRESSIONS 2u

static bool has_expressions(const instar_index_def *def)
{
    for (size_t i = 0; i < def->column_count; i++) {
        if (def->columns[i].expression != NULL) {
            return true;
        }
    }
    return false;
}

static bool put_expressions(struct base_buf *out, const instar_index_def *def)
{
    bool ok = true;

    for (size_t i = 0; ok && i < def->column_count; i++) {
        const char *text = def->columns[i].expression != NULL ? def->columns[i].expression : "";
        ok = base_buf_add_blob(out, text, strlen(text));
    }
    return ok;
}

bool record_index_more_put(struct base_buf *out, const instar_index_def *def)
{
    const char *predicate = def->predicate != NULL ? def->predicate : "";

    bool computed = has_expressions(def);

    if (!def->constraint && def->predicate == NULL && def->include_count == 0 && !computed) {
        return true;
    }
    bool ok = base_buf_add_u8(out, (uint8_t)((def->constraint ? FLAG_CONSTRAINT : 0) |
                                             (computed ? FLAG_EXPRESSIONS : 0))) &&
              base_buf_add_blob(out, predicate, strlen(predicate)) &&
              base_buf_add_varint(out, def->include_count);
    for (size_t i = 0; ok && i < def->include_count; i++) {
        ok = base_buf_add_blob(out, def->include[i], strlen(def->include[i]));
    }
    return ok && (!computed || put_expressions(out, def));
}

/* A copy with a final zero; NULL when it is too long, holds a zero, or there is no memory. */
static const char *get_text(struct base_reader *r, size_t most, struct base_arena *arena,
                            bool *no_memory)
{
    struct base_slice s = base_read_blob(r);

    r->bad = r->bad || s.size > most || (s.size != 0 && memchr(s.data, 0, s.size) != NULL) ||
             !base_utf8_valid(s.data, s.size);
    char *text = r->bad ? NULL : base_arena_alloc(arena, s.size + 1);
    *no_memory = *no_memory || (!r->bad && text == NULL);
    r->bad = text == NULL;
    if (text != NULL) {
        memcpy(text, s.size != 0 ? s.data : "", s.size);
        text[s.size] = 0;
    }
    return text;
}

/* Of each key column its name, or its expression: one of them is there. */
static void get_expressions(struct base_reader *r, struct base_arena *arena,
                            instar_key_column *columns, size_t count, bool *no_memory)
{
    for (size_t i = 0; !r->bad && i < count; i++) {
        const char *text = get_text(r, ROW_EXPR_TEXT_MAX, arena, no_memory);
        bool plain = text == NULL || text[0] == 0;
        r->bad = r->bad || plain == (columns[i].name[0] == 0);
        columns[i].expression = plain ? NULL : text;
        columns[i].name = plain ? columns[i].name : NULL;
    }
}

static bool has_nameless(const instar_key_column *columns, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (columns[i].name != NULL && columns[i].name[0] == 0) {
            return true;
        }
    }
    return false;
}

int record_index_more_get(struct base_slice bytes, struct base_arena *arena,
                          instar_key_column *columns, instar_index_def *def, struct base_err *err)
{
    struct base_reader r = base_reader(bytes);
    bool no_memory = false;

    if (bytes.size == 0) {
        return !has_nameless(columns, def->column_count)
                   ? 0
                   : base_err_set(err, INSTAR_ECORRUPT, "the index in the record is malformed");
    }
    uint8_t flags = base_read_u8(&r);
    const char *predicate = get_text(&r, ROW_EXPR_TEXT_MAX, arena, &no_memory);
    uint64_t count = r.bad ? 0 : base_read_varint(&r);
    r.bad = r.bad || count > INSTAR_INDEX_COLUMNS_MAX ||
            (flags & ~(FLAG_CONSTRAINT | FLAG_EXPRESSIONS)) != 0;
    const char **include =
        r.bad ? NULL : base_arena_alloc(arena, ((size_t)count + 1) * sizeof(*include));
    no_memory = no_memory || (!r.bad && include == NULL);
    for (size_t i = 0; include != NULL && !r.bad && i < count; i++) {
        include[i] = get_text(&r, INSTAR_NAME_BYTES_MAX, arena, &no_memory);
    }
    if ((flags & FLAG_EXPRESSIONS) != 0) {
        get_expressions(&r, arena, columns, def->column_count, &no_memory);
    }
    if (no_memory) {
        return base_err_set(err, INSTAR_ENOMEM, "reading a change: out of memory");
    }
    if (r.bad || base_reader_left(&r) != 0 || has_nameless(columns, def->column_count)) {
        return base_err_set(err, INSTAR_ECORRUPT, "the index in the record is malformed");
    }
    def->constraint = (flags & FLAG_CONSTRAINT) != 0;
    def->predicate = predicate[0] != 0 ? predicate : NULL;
    def->include = include;
    def->include_count = (size_t)count;
    return 0;
}

int record_index_get(const struct change_record *r, struct record_index *out, struct base_err *err)
{
    *out = (struct record_index){.def = {.name = r->object,
                                         .table = r->table_name,
                                         .columns = out->columns,
                                         .column_count = r->part_count,
                                         .unique = r->unique}};
    for (uint32_t i = 0; i < r->part_count; i++) {
        out->columns[i] = (instar_key_column){.name = r->parts[i].name,
                                              .descending = r->parts[i].descending,
                                              .nulls = r->parts[i].nulls};
    }
    return record_index_more_get(base_buf_slice(&r->descriptor), &out->arena, out->columns,
                                 &out->def, err);
}

void record_index_free(struct record_index *index)
{
    base_arena_free(&index->arena);
}

int record_index_set(struct change_record *r, const instar_index_def *def, struct base_err *err)
{
    r->unique = def->unique;
    r->part_count = (uint32_t)def->column_count;
    for (uint32_t i = 0; i < r->part_count; i++) {
        const char *name = def->columns[i].name;
        snprintf(r->parts[i].name, sizeof(r->parts[i].name), "%s", name != NULL ? name : "");
        r->parts[i].descending = def->columns[i].descending;
        r->parts[i].nulls = def->columns[i].nulls;
    }
    return record_index_more_put(&r->descriptor, def)
               ? 0
               : base_err_set(err, INSTAR_ENOMEM, "recording an index: out of memory");
}
