/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The members of a change of several tables as bytes in its record:
 *
 *   u8 format (1) | v count, members: u8 kind | v table | name | v gone | varint size and bytes, as
 *   several_impl.h has them
 */
#include "change/several_impl.h"

#include <string.h>

#define FORMAT 1
#define MEMBER_BYTES_MIN 5
#define MEMBERS_MAX (SEVERAL_TABLES_MAX + RECORD_OTHERS_MAX)

int several_encode(const struct several_request *request, struct base_buf *out,
                   struct base_err *err)
{
    bool ok = base_buf_add_u8(out, FORMAT) && base_buf_add_varint(out, request->count);

    for (size_t i = 0; ok && i < request->count; i++) {
        const struct several_member *m = &request->list[i];
        ok = base_buf_add_u8(out, (uint8_t)m->kind) && base_buf_add_varint(out, m->table) &&
             base_buf_add_blob(out, m->name, strlen(m->name)) &&
             base_buf_add_varint(out, m->gone) &&
             base_buf_add_blob(out, m->bytes.data, m->bytes.size);
    }
    return ok ? 0
              : base_err_set(err, INSTAR_ENOMEM,
                             "recording a change of several tables: out of memory");
}

/* Each table is a member once. */
static bool is_member(const struct several_request *request, size_t before, uint64_t table)
{
    for (size_t i = 0; i < before; i++) {
        if (request->list[i].table == table) {
            return true;
        }
    }
    return false;
}

static void get_member(struct base_reader *r, struct several_member *m, bool *no_memory)
{
    uint8_t kind = base_read_u8(r);
    m->table = base_read_varint(r);
    struct base_slice name = base_read_blob(r);
    uint64_t gone = base_read_varint(r);
    struct base_slice bytes = base_read_blob(r);
    bool described = kind == SEVERAL_ALTER || kind == SEVERAL_CREATE;

    r->bad = r->bad || kind < SEVERAL_ALTER || kind > SEVERAL_PARENT || m->table == 0 ||
             name.size == 0 || name.size > INSTAR_NAME_BYTES_MAX ||
             memchr(name.data, 0, name.size) != NULL || !base_utf8_valid(name.data, name.size) ||
             gone > UINT32_MAX || (described && bytes.size == 0);
    if (r->bad) {
        return;
    }
    m->kind = (enum several_kind)kind;
    m->gone = (uint32_t)gone;
    memcpy(m->name, name.data, name.size);
    *no_memory = !base_buf_add(&m->bytes, bytes.data, bytes.size);
    r->bad = *no_memory;
}

int several_decode(struct base_slice bytes, struct several_request *out, struct base_err *err)
{
    struct base_reader r = base_reader(bytes);
    bool no_memory = false;

    *out = (struct several_request){.list = NULL};
    r.bad = base_read_u8(&r) != FORMAT || r.bad;
    uint64_t count = base_read_varint(&r);
    r.bad = r.bad || count == 0 || count > MEMBERS_MAX ||
            count > base_reader_left(&r) / MEMBER_BYTES_MIN;
    if (!r.bad) {
        out->list = base_alloc_zero((size_t)count, sizeof(*out->list));
        no_memory = out->list == NULL;
    }
    for (size_t i = 0; !r.bad && !no_memory && i < count; i++) {
        out->count = i + 1;
        get_member(&r, &out->list[i], &no_memory);
        r.bad = r.bad || is_member(out, i, out->list[i].table);
    }
    if (no_memory) {
        return base_err_set(err, INSTAR_ENOMEM,
                            "reading a change of several tables: out of memory");
    }
    return !r.bad && base_reader_left(&r) == 0
               ? 0
               : base_err_set(err, INSTAR_ECORRUPT,
                              "the change of several tables in the record is malformed");
}

void several_free(struct several_request *request)
{
    for (size_t i = 0; i < request->count; i++) {
        base_buf_free(&request->list[i].bytes);
    }
    base_free(request->list);
    *request = (struct several_request){.list = NULL};
}
