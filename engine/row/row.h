/* SPDX-License-Identifier: Apache-2.0 */
/*
 * row: values, their order-preserving key code, the tagged, checksummed record code of rows and
 * index entries, and expressions over a row. Knows no disk, no transaction and no stage.
 */
#ifndef INSTAR_ROW_H
#define INSTAR_ROW_H

#include "base/base.h"

/* ---- values ------------------------------------------------------------------------------- */

/* Is the value null or of this type, and inside the type's range (int2, int4; UTF-8 text; dates
 * between 4713 BC and 294276 AD, timestamps from there to the end of int64)? ETYPE, ERANGE,
 * EENCODING, EINVALID (bytes at NULL); the text speaks of the value, the caller prefixes the
 * column's name. */
int row_value_check(enum instar_type type, const instar_value *value, struct base_err *err);
/* Order of two values of one type, as keys have it; null sorts last. */
int row_value_cmp(const instar_value *a, const instar_value *b);
/* As instar_value_parse and instar_value_format. */
int row_value_parse(enum instar_type type, struct base_slice text, char *scratch,
                    size_t scratch_size, instar_value *value_out, struct base_err *err);
size_t row_value_format(const instar_value *value, char *text_out, size_t size);
const char *row_type_name(enum instar_type type);
/* As instar_type_format. */
size_t row_type_format(enum instar_type type, uint32_t length_max, char *text_out, size_t size);
enum instar_type row_type_from_name(const char *name);
/* Digits behind the point of a column's values: of a numeric with its digits, else 0. */
static inline unsigned row_type_scale(enum instar_type type, uint32_t length_max)
{
    return type == INSTAR_NUMERIC ? INSTAR_DIGITS_SCALE(length_max) : 0;
}
/* A numeric with so many digits behind the point, at most INSTAR_DIGITS_MAX: rounded half away from
 * zero. ERANGE: too many digits in all. */
int row_numeric_round(instar_value *value, unsigned scale, struct base_err *err);
/* A numeric as a column numeric(p,s) holds it: rounded to its scale. ERANGE where it then has more
 * than p digits. Any other value is left as it is. */
int row_numeric_fit(instar_value *value, uint32_t digits, struct base_err *err);
/* A copy whose bytes lie in the arena. False: no memory. */
bool row_value_copy(struct base_arena *arena, const instar_value *from, instar_value *to);
/* For descriptors: one value with its type, self-describing. What get returns points into the
 * reader's bytes and has passed row_value_check; anything else is ECORRUPT. */
bool row_value_put(struct base_buf *out, const instar_value *value);
/* The same bytes: 1.5 is not 1.50, and 0 not -0. */
bool row_value_same(const instar_value *a, const instar_value *b);
int row_value_get(struct base_reader *r, instar_value *value_out, struct base_err *err);

/* ---- casts --------------------------------------------------------------------------------- */

/* How a column's type may change: not at all, when USING asks for it, or by itself. */
enum row_cast { ROW_CAST_NONE, ROW_CAST_EXPLICIT, ROW_CAST_ASSIGNMENT };
enum row_cast row_cast_kind(enum instar_type from, enum instar_type to);
/* Is there a value that cannot be cast? Only for casts that exist. */
bool row_cast_may_fail(enum instar_type from, enum instar_type to);
/* Is the key code of each value that of its cast value, so that no index has to be built anew? */
bool row_cast_keeps_keys(enum instar_type from, enum instar_type to);
/* Null becomes null. Bytes lie in the arena or are the value's; value_out may be the value. ERANGE,
 * ETYPE (also: there is no such cast), ENOMEM. */
int row_cast(const instar_value *value, enum instar_type to, struct base_arena *arena,
             instar_value *value_out, struct base_err *err);
/* Has a text at most so many characters? True of any other value. */
bool row_text_within(const instar_value *value, uint32_t characters);

/* The same by an expression over at most one column, whose value it is; null may become something
 * else. ETYPE: it gives another type. */
struct row_expr;
int row_cast_by(const struct row_expr *expr, const instar_value *value, enum instar_type to,
                struct base_arena *arena, instar_value *value_out, struct base_err *err);

/* ---- keys --------------------------------------------------------------------------------- */

/* memcmp order of encoded keys is the order of the values: null last when ascending, first when
 * descending, unless it is swapped; int2, int4 and int8 encode alike; a shorter tuple is a prefix
 * of the longer ones. */
struct row_key_part {
    enum instar_type type;
    bool descending;
    bool nulls_swapped; /* null is at the other end */
    uint8_t scale; /* of a numeric: digits behind the point that a decoded value has at least */
};
/* Append the code of `count` values. ETYPE, ERANGE when a value is not of its part's type. The
 * length is not limited here: INSTAR_KEY_BYTES_MAX is checked by who knows the index's name. */
int row_key_encode(const struct row_key_part *parts, const instar_value *values, size_t count,
                   struct base_buf *out, struct base_err *err);
/* Decode `count` values from the front of `*rest` and move it behind them; text and bytes go to the
 * arena. ECORRUPT for anything that encode does not produce; then `*rest` stays where it is. */
int row_key_decode(const struct row_key_part *parts, size_t count, struct base_slice *rest,
                   struct base_arena *arena, instar_value *values_out, struct base_err *err);
/* Length of the code of the first `count` values: where the primary key begins in an index key. */
int row_key_skip(const struct row_key_part *parts, size_t count, struct base_slice key,
                 size_t *used_out, struct base_err *err);
/* Does the code of the first `count` values contain a null? The key must be well formed. */
bool row_key_has_null(const struct row_key_part *parts, size_t count, struct base_slice key);
/* Turn a key into the smallest one that is greater than all keys it is a prefix of. False: there is
 * none (it was all 0xff); then the range has no end. */
bool row_key_successor(struct base_buf *key);

/* ---- rows --------------------------------------------------------------------------------- */

/* A layout: the physical columns of a table, by never-reused column id, in storage order. It
 * changes only when the physical form does. */
struct row_column {
    uint32_t id;
    enum instar_type type;
    uint8_t scale;        /* of a numeric: its values have so many digits behind the point */
    instar_value missing; /* fills rows from before the column was */
    /* How often the column's type or scale had changed before this layout, and the column as it was
     * in the last layout before the last of these changes. */
    uint32_t form;
    const struct row_column *before;
    /* What made the values of this form, of those of the form before: an expression over the column
     * alone; NULL: the cast. */
    const struct row_expr *made_by;
    bool is_made; /* by that, in this layout: so the form is new, even if the type is not */
};
struct row_layout {
    uint32_t number; /* of this layout within its table, from 1 */
    uint32_t column_count;
    const struct row_column *columns;
};

/* The front of a row record, before a layout is known. */
struct row_header {
    uint32_t version; /* schema version of the writer: the tag */
    uint32_t checksum;
    uint32_t size; /* of this front */
    bool compressed;
};

/* Bytes of the row before compression: this is what row_bytes_max limits, and what row_decode
 * compares with its bytes_max. Check it before row_encode, or the row cannot be read again. */
size_t row_size(const struct row_layout *layout, const instar_value *values);
/* Append the record of one row. `key` is the encoded primary key: the checksum covers it, so a row
 * that strays to another key is found. Rows above 1 KiB are compressed where that saves an eighth
 * or more. The values stand in the layout's order. ETYPE and ERANGE name the column's position. */
int row_encode(const struct row_layout *layout, uint32_t version, struct base_slice key,
               const instar_value *values, struct base_buf *out, struct base_err *err);
#define ROW_PLAIN 0x10 /* the first byte of a record that is not compressed */
int row_header_of_any(struct base_slice record, struct row_header *header_out,
                      struct base_err *err);
/* Read the tag, so that the caller can find the layout. ECORRUPT. Inline: nearly all rows are
 * plain, and of a version that takes one byte or, behind the 127th, two. */
static inline int row_header(struct base_slice record, struct row_header *header_out,
                             struct base_err *err)
{
    const uint8_t *at = record.data;
    if (record.size < 7 || at[0] != ROW_PLAIN) {
        return row_header_of_any(record, header_out, err);
    }
    if (at[1] < 0x80) {
        *header_out =
            (struct row_header){.version = at[1], .checksum = base_get_u32(at + 2), .size = 6};
        return 0;
    }
    if (at[2] == 0 || at[2] >= 0x80) {
        return row_header_of_any(record, header_out, err);
    }
    *header_out = (struct row_header){.version = (at[1] & 0x7fu) | (uint32_t)at[2] << 7,
                                      .checksum = base_get_u32(at + 3),
                                      .size = 7};
    return 0;
}
/* A row as it was found. */
struct row_found {
    struct base_slice key; /* the encoded primary key under which it stands */
    struct base_slice record;
    size_t bytes_max;         /* what it may take when decompressed: row_bytes_max */
    struct base_arena *arena; /* for the bytes of a compressed row */
    struct row_header header; /* as row_header() read it; of size 0: it has not been read */
};
/* What the caller wants of a row. */
struct row_wanted {
    const uint32_t *positions; /* ascending, of the layout's columns; NULL: all */
    size_t count;
    instar_value *values; /* so many */
};
/* Verify the checksum and decode by the layout of the record's own tag. Bytes of values point into
 * the record, or into the arena when it was compressed. ECORRUPT names what was expected and
 * found. */
int row_decode(const struct row_layout *layout, const struct row_found *row,
               instar_value *values_out, struct base_err *err);
/* The same, but only what is wanted. */
int row_decode_some(const struct row_layout *layout, const struct row_found *row,
                    const struct row_wanted *want, struct base_err *err);
/* What may be expected of the value at a position: it is not null; and if it is ranged, and so of a
 * type whose value is .i, it lies between two. */
struct row_bound {
    uint32_t position;
    bool ranged;
    int64_t low, high;
};
/* Whether the checksum holds and the row is within these bounds, whose positions ascend, by a look
 * at the bitmap and these columns alone. False says nothing, a compressed record is not looked
 * into: decode it. */
bool row_within(const struct row_layout *layout, const struct row_header *header,
                struct base_slice key, struct base_slice record, const struct row_bound *bounds,
                size_t count);
/* Bring values of an older layout into a newer one: missing values filled, columns skipped, and
 * those whose type has changed since cast, once for each change, in order: so float8 2.5, int4,
 * float8 is 2. Bytes lie in the arena or are the values'. ECORRUPT (a value that cannot be cast:
 * all that can be read were validated), ENOMEM. */
int row_convert(const struct row_layout *from, const instar_value *values,
                const struct row_layout *to, struct base_arena *arena, instar_value *values_out,
                struct base_err *err);
/* The same for one value; not needed where both have the same form. */
int row_column_cast(const struct row_column *from, const struct row_column *to,
                    const instar_value *value, struct base_arena *arena, instar_value *value_out,
                    struct base_err *err);

/* ---- expressions -------------------------------------------------------------------------- */

/* A pure function of a row's columns, as CHECK constraints have it: expr.def lists what it may be
 * made of. Immutable; lives in the arena that it was made in. It knows columns by their ids. */
struct row_expr;
#define ROW_EXPR_NODES_MAX 1000
#define ROW_EXPR_DEPTH_MAX 100
#define ROW_EXPR_TEXT_MAX ((size_t)64 << 10)
#define ROW_EXPR_BYTES_MAX ((size_t)16 << 10)       /* encoded */
#define ROW_EXPR_STEPS_MAX UINT64_C(4000000)        /* of one evaluation; some 20 ms */
#define ROW_EXPR_VALUE_BYTES_MAX ((size_t)16 << 20) /* of a text on the way */

struct row_expr_column {
    uint32_t id;
    enum instar_type type;
};
/* The columns that a text may name. find returns false, and words where it has better ones than
 * "no such column"; NULL: there are none. */
struct row_expr_scope {
    enum instar_type
        wanted; /* what the text must give; numbers are cast to each other. NULL: any */
    bool (*find)(void *arg, const char *name, struct row_expr_column *column_out,
                 struct base_err *err);
    void *arg;
};
/* EINVALID (syntax), ETYPE, ERANGE (a constant), EUNKNOWN (a column or function), ELIMIT; at_out
 * (may be NULL): the byte of the text where it went wrong. */
int row_expr_compile(struct base_slice text, const struct row_expr_scope *scope,
                     struct base_arena *arena, struct row_expr **expr_out, size_t *at_out,
                     struct base_err *err);
enum instar_type row_expr_type(const struct row_expr *expr);
/* The same operations on the same columns? For their bytes are alike then. */
bool row_expr_same(const struct row_expr *a, const struct row_expr *b);
/* Is it a column and nothing else? */
bool row_expr_is_column(const struct row_expr *expr);
/* Its columns, each once: inputs of an evaluation stand in this order. */
size_t row_expr_columns(const struct row_expr *expr, const struct row_expr_column **columns_out);
/* Bounds of its columns, whose places in that order are the positions, within which it is true: of
 * comparisons of columns with constants, IS NOT NULL, BETWEEN, and AND of these. False: it is not
 * made of these alone, or takes more than `max`. One column may have several. */
bool row_expr_bounds(const struct row_expr *expr, struct row_bound *bounds_out, size_t max,
                     size_t *count_out);
/* inputs: a value, or null, for each of its columns. Bytes of the value lie in the arena, or are
 * the inputs' or the expression's. ERANGE (overflow, division by zero, a cast), ETYPE (a cast of a
 * text), ELIMIT (too much work), ENOMEM. */
int row_expr_eval(const struct row_expr *expr, const instar_value *inputs, struct base_arena *arena,
                  instar_value *value_out, struct base_err *err);
/* Bytes, for descriptors; decoding trusts nothing (ECORRUPT). Encoding fails without memory only.
 */
bool row_expr_encode(const struct row_expr *expr, struct base_buf *out);
int row_expr_decode(struct base_slice bytes, struct base_arena *arena, struct row_expr **expr_out,
                    struct base_err *err);
/* As a text that compiles to the same. name: of a column by its id. False: no memory. */
bool row_expr_print(const struct row_expr *expr, const char *(*name)(void *arg, uint32_t id),
                    void *arg, struct base_buf *out);
/* The functions that one may call, by number from 0 on; NULL behind the last. */
const char *row_expr_function(size_t at);

/* ---- index entries ------------------------------------------------------------------------ */

/* Value of an index entry: schema version | xxh3-32 over key and value | what it includes. This is
 * the front; what follows is the caller's bytes, the key code of the included columns. */
#define ROW_ENTRY_SIZE 8
void row_entry_encode(uint32_t version, struct base_slice key, struct base_slice include,
                      uint8_t out[ROW_ENTRY_SIZE]);
/* What is included is all behind the front; the checksum vouches for it. ECORRUPT. */
int row_entry_decode(struct base_slice key, struct base_slice record, uint32_t *version_out,
                     struct base_err *err);
static inline struct base_slice row_entry_include(struct base_slice record)
{
    return base_slice((const uint8_t *)record.data + ROW_ENTRY_SIZE, record.size - ROW_ENTRY_SIZE);
}

#endif
