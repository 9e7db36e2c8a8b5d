/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The request of a change of the primary key as bytes in its record:
 *
 *   u8 format (1) | v count, columns of the new key: name | u8 as record.h has it
 *   v count, trees to be dropped: u64
 *
 * No columns: the table is to go by row ids. The trees are known from the version on that names
 * them no more.
 */
#include "change/rekey_impl.h"

#include <string.h>

#define FORMAT 1

int rekey_encode(const struct rekey_request *request, struct base_buf *out, struct base_err *err)
{
    bool ok = base_buf_add_u8(out, FORMAT) && base_buf_add_varint(out, request->key_count);

    for (size_t i = 0; ok && i < request->key_count; i++) {
        const instar_key_column *c = &request->key[i];
        ok = base_buf_add_blob(out, c->name, strlen(c->name)) &&
             base_buf_add_u8(out, record_order_byte(c->descending, c->nulls));
    }
    ok = ok && base_buf_add_varint(out, request->tree_count);
    for (size_t i = 0; ok && i < request->tree_count; i++) {
        ok = base_buf_add_u64(out, request->trees[i]);
    }
    return ok ? 0
              : base_err_set(err, INSTAR_ENOMEM,
                             "recording a change of a primary key: out of memory");
}

static void get_column(struct base_reader *r, struct rekey_request *out, size_t at)
{
    struct base_slice name = base_read_blob(r);
    instar_key_column *c = &out->key[at];

    r->bad = r->bad || name.size == 0 || name.size > INSTAR_NAME_BYTES_MAX ||
             memchr(name.data, 0, name.size) != NULL || !base_utf8_valid(name.data, name.size);
    if (r->bad) {
        return;
    }
    memcpy(out->names[at], name.data, name.size);
    c->name = out->names[at];
    r->bad = !record_order_from_byte(base_read_u8(r), &c->descending, &c->nulls) || r->bad;
}

int rekey_decode(struct base_slice bytes, struct rekey_request *out, struct base_err *err)
{
    struct base_reader r = base_reader(bytes);

    *out = (struct rekey_request){.key_count = 0};
    r.bad = base_read_u8(&r) != FORMAT || r.bad;
    uint64_t count = base_read_varint(&r);
    r.bad = r.bad || count > INSTAR_INDEX_COLUMNS_MAX;
    for (size_t i = 0; !r.bad && i < count; i++) {
        get_column(&r, out, i);
        out->key_count = i + 1;
    }
    uint64_t trees = base_read_varint(&r);
    r.bad = r.bad || trees > BASE_ARRAY_LEN(out->trees);
    for (size_t i = 0; !r.bad && i < trees; i++) {
        out->trees[i] = base_read_u64(&r);
        out->tree_count = i + 1;
    }
    return !r.bad && base_reader_left(&r) == 0
               ? 0
               : base_err_set(err, INSTAR_ECORRUPT,
                              "the change of a primary key in the record is malformed");
}
