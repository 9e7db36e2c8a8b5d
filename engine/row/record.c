/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of a row.
 *
 *   at   bytes  field
 *   0    1      flags: high half the format (1), bit 0 the body is compressed, the rest zero
 *   1    1..5   schema version of the writer, varint: the tag
 *   …    4      XXH3-32 of the body, seeded with the XXH3-64 of the primary key, itself seeded with
 *               flags and version: so a bit, a tag or a place that is wrong is found
 *   …           body
 *
 *   body, plain:       null bitmap, one bit a column, the first in bit 0, spare bits zero;
 *                      then the payload of each column that is not null, in the layout's order
 *   body, compressed:  varint size of the plain body | one zstd frame of it
 *
 * Bodies above 1 KiB are compressed where that saves an eighth or more; both bounds are the
 * writer's, and a reader takes what it finds. The checksum is over the bytes as stored: nothing is
 * decompressed or interpreted before it holds. It guards against accidents; every length is checked
 * all the same, for it is no defence against intent.
 */
#include "row/row_impl.h"

#define FORMAT ROW_PLAIN
#define FLAG_COMPRESSED 0x01
#define HEADER_MAX 10
#define COMPRESS_ABOVE 1024
#define NO_VALUE "no value of its type"
/* Far above the largest row_bytes_max, and far below what could overflow. */
#define BODY_MAX ((size_t)1 << 30)

_Static_assert(INSTAR_COLUMNS_MAX <= 1000, "the null bitmap was sized with this in mind");

static size_t bitmap_size(const struct row_layout *layout)
{
    return ((size_t)layout->column_count + 7) / 8;
}

static uint32_t checksum_of(uint8_t flags, uint32_t version, struct base_slice key,
                            const void *body, size_t size)
{
    uint64_t seed = base_hash64(key.data, key.size, (uint64_t)version << 8 | flags);
    return base_hash32(body, size, seed);
}

/* ---- writing ------------------------------------------------------------------------------ */

size_t row_size(const struct row_layout *layout, const instar_value *values)
{
    size_t size = bitmap_size(layout);
    for (uint32_t i = 0; i < layout->column_count; i++) {
        size_t more = row_payload_size(&values[i]);
        size = more > BODY_MAX ? BODY_MAX + 1 : size + more;
        if (size > BODY_MAX) {
            return BODY_MAX + 1;
        }
    }
    return size;
}

static int check_values(const struct row_layout *layout, const instar_value *values,
                        struct base_err *err)
{
    for (uint32_t i = 0; i < layout->column_count; i++) {
        int rc = row_value_fits(layout->columns[i].type, &values[i], err);
        if (rc != 0) {
            base_err_prefix(err, "column %u of the layout", i + 1);
            return rc;
        }
    }
    return 0;
}

/* Write the plain body; there is room for it. */
static void put_body(const struct row_layout *layout, const instar_value *values, uint8_t *body)
{
    uint8_t *at = body + bitmap_size(layout);
    memset(body, 0, bitmap_size(layout));
    for (uint32_t i = 0; i < layout->column_count; i++) {
        if (values[i].type == INSTAR_NULL) {
            body[i / 8] = (uint8_t)(body[i / 8] | 1u << (i % 8));
        } else {
            at = row_payload_put(at, &values[i]);
        }
    }
}

/* Put the compressed form in the place of the plain one if it pays. The result is the size of the
 * body; the bytes behind the plain body, up to the buffer's capacity, are free for the attempt. */
static size_t try_compress(uint8_t *body, size_t size, size_t room, uint8_t *flags)
{
    uint8_t *frame = body + size;
    size_t prefix = row_varint_size(size);
    size_t n = row_compress(frame, room - size, body, size);
    if (n == 0 || prefix + n > size - size / 8) {
        return size;
    }
    uint8_t *at = row_varint_put(body, size);
    memmove(at, frame, n);
    *flags |= FLAG_COMPRESSED;
    return prefix + n;
}

int row_encode(const struct row_layout *layout, uint32_t version, struct base_slice key,
               const instar_value *values, struct base_buf *out, struct base_err *err)
{
    int rc = check_values(layout, values, err);
    if (rc != 0) {
        return rc;
    }
    size_t size = row_size(layout, values);
    if (size > BODY_MAX) {
        return base_err_set(err, INSTAR_ELIMIT, "row over %zu bytes", BODY_MAX);
    }
    size_t room = size + (size > COMPRESS_ABOVE ? row_compress_bound(size) : 0);
    if (!base_buf_reserve(out, HEADER_MAX + room)) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory for a row of %zu bytes", size);
    }
    uint8_t *begin = out->data + out->size;
    uint8_t *sum = row_varint_put(begin + 1, version);
    uint8_t *body = sum + 4;
    uint8_t flags = FORMAT;
    put_body(layout, values, body);
    if (size > COMPRESS_ABOVE) {
        size = try_compress(body, size, room, &flags);
    }
    *begin = flags;
    uint32_t checksum = checksum_of(flags, version, key, body, size);
    memcpy(sum, &checksum, 4);
    out->size = (size_t)(body + size - out->data);
    return 0;
}

/* ---- reading ------------------------------------------------------------------------------ */

int row_header_of_any(struct base_slice record, struct row_header *header_out, struct base_err *err)
{
    struct base_reader r = base_reader(record);
    uint8_t flags = base_read_u8(&r);
    uint64_t version = base_read_varint(&r);
    *header_out = (struct row_header){
        .version = (uint32_t)version,
        .checksum = base_read_u32(&r),
        .compressed = (flags & FLAG_COMPRESSED) != 0,
    };
    header_out->size = (uint32_t)(record.size - base_reader_left(&r));
    if (!r.bad && (flags & ~FLAG_COMPRESSED) == FORMAT && version <= UINT32_MAX) {
        return 0;
    }
    *header_out = (struct row_header){0};
    if (!r.bad && version <= UINT32_MAX) {
        return base_err_set(err, INSTAR_ECORRUPT,
                            "row: flags %02x found, format 1 (10 or 11) expected", flags);
    }
    return base_err_set(err, INSTAR_ECORRUPT, "row: no whole header in %zu bytes", record.size);
}

BASE_SELDOM static int bad_sum(const struct row_header *h, uint32_t found, size_t size,
                               struct base_err *err)
{
    return base_err_set(err, INSTAR_ECORRUPT,
                        "row: checksum %08x expected by the record, %08x found (tag %u, %zu bytes "
                        "of body)",
                        h->checksum, found, h->version, size);
}

/* Replace the reader's compressed body by a plain one in the arena. */
static int open_compressed(struct base_reader *r, size_t bytes_max, struct base_arena *arena,
                           struct base_err *err)
{
    uint64_t size = base_read_varint(r);
    size_t left = base_reader_left(r);
    if (r->bad || !row_compressed_size_is(r->at, left, (size_t)size)) {
        return base_err_set(err, INSTAR_ECORRUPT, "row: size of the compressed body is wrong");
    }
    if (size > bytes_max || size > BODY_MAX) {
        return base_err_set(err, INSTAR_ECORRUPT,
                            "row: %zu bytes when decompressed, more than the %zu allowed",
                            (size_t)size, bytes_max);
    }
    uint8_t *plain = base_arena_alloc(arena, (size_t)size);
    if (plain == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory for a row of %zu bytes", (size_t)size);
    }
    int rc = row_decompress(plain, (size_t)size, r->at, left, err);
    *r = base_reader(base_slice(plain, (size_t)size));
    return rc;
}

static int bad_body(const struct row_layout *layout, uint32_t column, const char *what,
                    struct base_err *err)
{
    return base_err_set(err, INSTAR_ECORRUPT, "row: column %u of %u in layout %u: %s", column + 1,
                        layout->column_count, layout->number, what);
}

static bool is_null(const uint8_t *bitmap, uint32_t column)
{
    return (bitmap[column / 8] >> (column % 8) & 1) != 0;
}

/* The types of most columns without a call. Where the value ends; NULL: whatever is unusual goes
 * the long way. */
static inline const uint8_t *get_usual(const uint8_t *at, const uint8_t *end, unsigned type,
                                       instar_value *v)
{
    size_t left = (size_t)(end - at);
    if (type == INSTAR_INT8 && left >= 8) {
        *v = (instar_value){.type = INSTAR_INT8};
        memcpy(&v->i, at, 8);
        return at + 8;
    }
    if ((type == INSTAR_TEXT || type == INSTAR_BYTEA) && left > 0 && *at < 0x80 && left > *at) {
        *v = (instar_value){.type = (uint8_t)type, .bytes = {at + 1, *at}};
        return at + 1 + v->bytes.size;
    }
    if (type == INSTAR_INT4 && left >= 4) {
        *v = (instar_value){.type = INSTAR_INT4, .i = (int32_t)base_get_u32(at)};
        return at + 4;
    }
    return NULL;
}

BASE_APART static const uint8_t *get_unusual(const uint8_t *at, const uint8_t *end, unsigned type,
                                             instar_value *v)
{
    struct base_reader r = base_reader(base_slice(at, (size_t)(end - at)));
    return row_payload_get(&r, type, v) ? r.at : NULL;
}

static inline const uint8_t *get_value(const uint8_t *at, const uint8_t *end, unsigned type,
                                       instar_value *v)
{
    const uint8_t *behind = get_usual(at, end, type, v);
    return behind != NULL ? behind : get_unusual(at, end, type, v);
}

/* The size of a value's payload, by its type or by its first byte; 0: that is not to be told so
 * quickly. */
static inline size_t usual_size(const uint8_t *at, const uint8_t *end, unsigned type)
{
    size_t size = row_fixed_size[type];
    if (size == 0 && at < end && *at < 0x80 && row_type_is_bytes(type)) {
        size = (size_t)1 + *at;
    }
    return size;
}

/* All values of a row without nulls. */
static inline bool read_all(const struct row_column *column, const uint8_t *at, const uint8_t *end,
                            const struct row_wanted *want)
{
    const instar_value *behind = want->values + want->count;
    for (instar_value *v = want->values; v < behind; column++, v++) {
        at = get_value(at, end, column->type, v);
        if (at == NULL) {
            return false;
        }
    }
    return at == end || want->positions != NULL;
}

/* Some of them. */
static inline bool read_wanted(const struct row_column *columns, const uint8_t *at,
                               const uint8_t *end, const struct row_wanted *want)
{
    uint32_t column = 0;
    for (size_t i = 0; i < want->count; i++, column++) {
        for (; column < want->positions[i]; column++) {
            size_t size = usual_size(at, end, columns[column].type);
            if (size == 0 || size > (size_t)(end - at)) {
                return false;
            }
            at += size;
        }
        at = get_value(at, end, columns[column].type, &want->values[i]);
        if (at == NULL) {
            return false;
        }
    }
    return true;
}

/* A plain row of few columns, none of them null, as most are. False: it is not such a one, or
 * something is wrong with it. */
static inline bool read_usual(const struct row_layout *layout, struct base_slice body,
                              const struct row_wanted *want)
{
    const uint8_t *at = body.data;
    const uint8_t *end = at + body.size;
    if (layout->column_count > 8 || at == end || *at != 0) {
        return false;
    }
    return want->count == layout->column_count ? read_all(layout->columns, at + 1, end, want)
                                               : read_wanted(layout->columns, at + 1, end, want);
}

static int read_some(const struct row_layout *layout, const uint8_t *nulls, struct base_reader *r,
                     const struct row_wanted *want, struct base_err *err)
{
    size_t done = 0;
    for (uint32_t i = 0; i < layout->column_count && done < want->count; i++) {
        instar_value ignored;
        bool take = want->positions == NULL || want->positions[done] == i;
        instar_value *v = take ? &want->values[done++] : &ignored;
        if (is_null(nulls, i)) {
            *v = (instar_value){0};
        } else {
            const uint8_t *behind = get_value(r->at, r->end, layout->columns[i].type, v);
            if (behind == NULL) {
                return bad_body(layout, i, NO_VALUE, err);
            }
            r->at = behind;
        }
    }
    base_assert(done == want->count);
    return 0;
}

static int read_body(const struct row_layout *layout, struct base_reader *r,
                     const struct row_wanted *want, struct base_err *err)
{
    uint32_t columns = layout->column_count;
    const uint8_t *nulls = base_read_take(r, bitmap_size(layout));
    if (nulls == NULL) {
        return bad_body(layout, 0, "no whole null bitmap", err);
    }
    if (columns % 8 != 0 && nulls[columns / 8] >> (columns % 8) != 0) {
        return bad_body(layout, columns - 1, "null bit of a column behind it", err);
    }
    int rc = read_some(layout, nulls, r, want, err);
    if (rc == 0 && want->positions == NULL && base_reader_left(r) != 0) {
        return bad_body(layout, columns - 1, "bytes left behind it", err);
    }
    return rc;
}

/* Whatever the quick look could not deal with; the checksum holds. */
BASE_APART static int read_any(const struct row_layout *layout, const struct row_found *row,
                               struct base_slice body, const struct row_wanted *want,
                               struct base_err *err)
{
    struct base_reader r = base_reader(body);
    int rc = 0;
    if (row->header.compressed) {
        rc = open_compressed(&r, row->bytes_max, row->arena, err);
    }
    return rc == 0 ? read_body(layout, &r, want, err) : rc;
}

static inline int decode(const struct row_layout *layout, const struct row_found *row,
                         const struct row_wanted *want, struct base_err *err)
{
    const struct row_header *h = &row->header;
    uint8_t flags = (uint8_t)(FORMAT | (h->compressed ? FLAG_COMPRESSED : 0));
    struct base_slice body =
        base_slice((const uint8_t *)row->record.data + h->size, row->record.size - h->size);
    uint32_t found = checksum_of(flags, h->version, row->key, body.data, body.size);
    if (found != h->checksum) {
        return bad_sum(h, found, body.size, err);
    }
    if (!h->compressed && read_usual(layout, body, want)) {
        return 0;
    }
    return read_any(layout, row, body, want, err);
}

BASE_SELDOM static int none_of(const struct row_wanted *want, int rc)
{
    memset(want->values, 0, want->count * sizeof(*want->values));
    return rc;
}

/* A row of which not even the header has been read. */
BASE_APART static int decode_unread(const struct row_layout *layout, const struct row_found *row,
                                    const struct row_wanted *want, struct base_err *err)
{
    struct row_found opened = *row;
    int rc = row_header(row->record, &opened.header, err);
    return rc == 0 ? row_decode_some(layout, &opened, want, err) : none_of(want, rc);
}

int row_decode_some(const struct row_layout *layout, const struct row_found *row,
                    const struct row_wanted *want, struct base_err *err)
{
    if (row->header.size == 0) {
        return decode_unread(layout, row, want, err);
    }
    int rc = decode(layout, row, want, err);
    return rc == 0 ? 0 : none_of(want, rc);
}

int row_decode(const struct row_layout *layout, const struct row_found *row,
               instar_value *values_out, struct base_err *err)
{
    struct row_wanted want = {.count = layout->column_count, .values = values_out};
    return row_decode_some(layout, row, &want, err);
}

/* Where a column begins in a body, from where an earlier one does. Past the end, or SIZE_MAX: that
 * is not to be told so quickly. */
static inline size_t skip(const struct row_layout *layout, struct base_slice body, size_t at,
                          uint32_t from, uint32_t to)
{
    const uint8_t *data = body.data;
    const struct row_column *column = &layout->columns[from];
    bool nulls = to >= 8 || data[0] != 0; /* perhaps */
    for (uint32_t i = from; i < to; i++, column++) {
        if (nulls && is_null(data, i)) {
            continue;
        }
        if (at > body.size) {
            return at;
        }
        size_t size = usual_size(data + at, data + body.size, column->type);
        if (size == 0) {
            return SIZE_MAX;
        }
        at += size;
    }
    return at;
}

bool row_within(const struct row_layout *layout, const struct row_header *h, struct base_slice key,
                struct base_slice record, const struct row_bound *bounds, size_t count)
{
    const uint8_t *data = (const uint8_t *)record.data + h->size;
    struct base_slice body = base_slice(data, record.size - h->size);
    size_t at = bitmap_size(layout);
    uint32_t column = 0; /* that begins there */
    if (h->compressed || body.size < at ||
        checksum_of(FORMAT, h->version, key, data, body.size) != h->checksum) {
        return false;
    }
    for (const struct row_bound *b = bounds; b < bounds + count; b++) {
        if (is_null(data, b->position)) {
            return false;
        }
        if (!b->ranged) {
            continue;
        }
        at = skip(layout, body, at, column, b->position);
        column = b->position;
        size_t size = row_fixed_size[layout->columns[column].type];
        if (at >= body.size || body.size - at < size) {
            return false;
        }
        int64_t value = row_integer_at(data + at, size);
        if (value < b->low || value > b->high) {
            return false;
        }
    }
    return true;
}

/* Ids ascend in every layout as long as columns are only appended, so the search nearly always ends
 * where it begins. */
int row_convert(const struct row_layout *from, const instar_value *values,
                const struct row_layout *to, struct base_arena *arena, instar_value *values_out,
                struct base_err *err)
{
    uint32_t at = 0;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < to->column_count; i++) {
        const struct row_column *column = &to->columns[i];
        uint32_t tried = 0;
        while (tried < from->column_count && from->columns[at].id != column->id) {
            at = at + 1 < from->column_count ? at + 1 : 0;
            tried++;
        }
        if (tried == from->column_count) {
            values_out[i] = column->missing;
            continue;
        }
        if (from->columns[at].form == column->form) {
            base_assert(from->columns[at].type == column->type &&
                        from->columns[at].scale == column->scale);
            values_out[i] = values[at];
        } else {
            rc = row_column_cast(&from->columns[at], column, &values[at], arena, &values_out[i],
                                 err);
        }
        at = at + 1 < from->column_count ? at + 1 : 0;
    }
    return rc;
}
