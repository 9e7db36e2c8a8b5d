/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an undo of columns holds in its record:
 *
 *     new name, or nothing | varint count | for each: varint id, name as it was
 *
 * That of a table is the table's descriptor, with the names and the version that it comes back
 * with.
 */
#include "change/undo_impl.h"

#include "change/compound_impl.h"

#include <stdio.h>
#include <string.h>

static int no_memory(struct base_err *err)
{
    return base_err_set(err, INSTAR_ENOMEM, "undoing a drop: out of memory");
}

int undo_columns_find(const struct catalog_table *table, uint64_t drop, struct undo_columns *out,
                      struct base_err *err)
{
    *out = (struct undo_columns){.count = 0};
    out->names = base_alloc_zero(catalog_kept_by(table, drop) + 1u, sizeof(*out->names));
    if (out->names == NULL) {
        return no_memory(err);
    }
    for (uint32_t i = 0; i < table->kept_count; i++) {
        const struct catalog_kept *kept = &table->kept[i];
        if (kept->change == drop) {
            struct catalog_kept_name *name = &out->names[out->count++];
            name->id = kept->column.id;
            snprintf(name->name, sizeof(name->name), "%s", kept->column.name);
        }
    }
    return 0;
}

int undo_columns_encode(const struct undo_columns *columns, struct base_buf *out,
                        struct base_err *err)
{
    bool ok = base_buf_add_blob(out, columns->new_name, strlen(columns->new_name)) &&
              base_buf_add_varint(out, columns->count);

    for (size_t i = 0; ok && i < columns->count; i++) {
        const struct catalog_kept_name *name = &columns->names[i];
        ok = base_buf_add_varint(out, name->id) &&
             base_buf_add_blob(out, name->name, strlen(name->name));
    }
    return ok ? 0 : no_memory(err);
}

static void read_name(struct base_reader *r, char name[INSTAR_NAME_BYTES_MAX + 1])
{
    struct base_slice s = base_read_blob(r);

    r->bad = r->bad || s.size > INSTAR_NAME_BYTES_MAX ||
             (s.size != 0 && memchr(s.data, 0, s.size) != NULL);
    if (!r->bad && s.size != 0) {
        memcpy(name, s.data, s.size);
    }
}

int undo_columns_decode(struct base_slice bytes, struct undo_columns *out, struct base_err *err)
{
    struct base_reader r = base_reader(bytes);

    *out = (struct undo_columns){.count = 0};
    read_name(&r, out->new_name);
    uint64_t count = base_read_varint(&r);
    if (r.bad || count == 0 || count > base_reader_left(&r) / 2) {
        return base_err_set(err, INSTAR_ECORRUPT, "the request of an undo is malformed");
    }
    out->names = base_alloc_zero((size_t)count, sizeof(*out->names));
    if (out->names == NULL) {
        return no_memory(err);
    }
    for (; !r.bad && out->count < count; out->count++) {
        uint64_t id = base_read_varint(&r);
        r.bad = r.bad || id == 0 || id > UINT32_MAX;
        out->names[out->count].id = (uint32_t)id;
        read_name(&r, out->names[out->count].name);
    }
    if (r.bad || base_reader_left(&r) != 0) {
        return base_err_set(err, INSTAR_ECORRUPT, "the request of an undo is malformed");
    }
    return 0;
}

void undo_columns_free(struct undo_columns *columns)
{
    base_free(columns->names);
    *columns = (struct undo_columns){.count = 0};
}

/* ---- what does not come back -------------------------------------------------------------- */

static void tell(struct base_buf *out, const char *what, const char *name)
{
    base_buf_add(out, ", ", out->size != 0 ? 2 : 0);
    base_buf_add(out, what, strlen(what));
    catalog_name_add(out, name);
}

static void tell_steps(struct base_buf *out, const struct alter_request *request)
{
    for (size_t i = 0; i < request->step_count; i++) {
        if (request->steps[i].kind == INSTAR_ALTER_DROP_CONSTRAINT) {
            tell(out, "constraint ", request->steps[i].name);
        }
    }
}

static int tell_parts(const struct change_record *drop, struct base_buf *out, struct base_err *err)
{
    struct compound_request request;
    int rc = compound_decode(base_buf_slice(&drop->descriptor), &request, err);

    for (size_t i = 0; rc == 0 && i < request.count; i++) {
        const struct compound_statement *s = &request.statements[i];
        if (s->kind == COMPOUND_DROP_INDEX) {
            tell(out, "index ", s->name);
        } else if (s->kind == COMPOUND_ALTER_TABLE) {
            tell_steps(out, &s->alter);
        }
    }
    compound_free(&request);
    return rc;
}

int undo_tell_lost(const struct change_record *drop, struct base_buf *out, struct base_err *err)
{
    struct alter_request request;
    int rc = 0;

    if (drop->kind == CHANGE_COMPOUND) {
        return tell_parts(drop, out, err);
    }
    if (drop->kind == CHANGE_ALTER_TABLE) {
        rc = alter_decode(base_buf_slice(&drop->descriptor), &request, err);
        if (rc == 0) {
            tell_steps(out, &request);
        }
        base_arena_free(&request.arena);
    }
    return rc;
}
