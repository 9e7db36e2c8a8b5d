/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: round trips, evidence of every kind of damage, compression, layouts of other versions. */
#include "support/values.h"

#include <string.h>

#define BYTES_MAX (1 << 20)

static const struct base_slice a_key = {"key", 3};

static instar_value text(const char *data, size_t size)
{
    instar_value v = {.type = INSTAR_TEXT};
    v.bytes.data = data;
    v.bytes.size = size;
    return v;
}

/* The argument of row_decode; valid until the next call. */
static const struct row_found *found(struct base_slice key, struct base_slice record,
                                     size_t bytes_max, struct base_arena *arena)
{
    static struct row_found row;
    row = (struct row_found){key, record, bytes_max, arena, {0}};
    return &row;
}

static bool no_null(const struct row_layout *layout, struct base_slice record,
                    const uint32_t *positions, size_t count)
{
    struct row_header header;
    struct row_bound bounds[20] = {0};
    for (size_t i = 0; i < count; i++) {
        bounds[i].position = positions[i];
    }
    return row_header(record, &header, NULL) == 0 &&
           row_within(layout, &header, a_key, record, bounds, count);
}

/* A layout of one text column. */
static const struct row_column text_column = {.id = 1, .type = INSTAR_TEXT};
static const struct row_layout text_layout = {1, 1, &text_column};

static bool rows_same(const struct row_layout *layout, const instar_value *a, const instar_value *b)
{
    for (uint32_t i = 0; i < layout->column_count; i++) {
        if (!test_value_same(&a[i], &b[i])) {
            return false;
        }
    }
    return true;
}

/* The record is a disk format: these bytes may never change. */
Test(row_record, code_is_frozen)
{
    static const struct row_column columns[] = {
        {.id = 1, .type = INSTAR_BOOL},   {.id = 2, .type = INSTAR_INT2},
        {.id = 3, .type = INSTAR_INT4},   {.id = 4, .type = INSTAR_INT8},
        {.id = 5, .type = INSTAR_FLOAT8}, {.id = 6, .type = INSTAR_TEXT},
        {.id = 7, .type = INSTAR_DATE},   {.id = 8, .type = INSTAR_UUID},
        {.id = 9, .type = INSTAR_INT8},
    };
    static const struct row_layout layout = {1, 9, columns};
    instar_value values[] = {
        {.type = INSTAR_BOOL, .b = true},
        {.type = INSTAR_INT2, .i = -2},
        {.type = INSTAR_INT4, .i = 3},
        {.type = INSTAR_INT8, .i = 4},
        {.type = INSTAR_FLOAT8, .f = 1.0},
        text("hi", 2),
        {.type = INSTAR_DATE, .i = 256},
        {.type = INSTAR_UUID, .uuid = {1, [15] = 2}},
        {.type = INSTAR_NULL},
    };
    static const uint8_t wanted[] = {
        0x10, 0xac, 0x02,                               /* format, version 300 */
        0x00, 0x00, 0x00, 0x00,                         /* checksum, below */
        0x00, 0x01,                                     /* nulls: the ninth */
        0x01,                                           /* true */
        0xfe, 0xff,                                     /* -2 */
        0x03, 0x00, 0x00, 0x00,                         /* 3 */
        0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* 4 */
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf0, 0x3f, /* 1.0 */
        0x02, 'h',  'i',                                /* "hi" */
        0x00, 0x01, 0x00, 0x00,                         /* day 256 */
        0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* uuid */
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02,
    };
    struct base_buf b = {0};
    must(row_encode(&layout, 300, a_key, values, &b, &test_err));
    expect_u64(b.size, sizeof(wanted));
    cr_assert_eq(memcmp(b.data, wanted, 3), 0);
    cr_assert_eq(memcmp(b.data + 7, wanted + 7, sizeof(wanted) - 7), 0);
    expect_u64(row_size(&layout, values), sizeof(wanted) - 7);
    struct row_header header;
    must(row_header(base_buf_slice(&b), &header, &test_err));
    expect_u64(header.version, 300);
    uint64_t seed = base_hash64("key", 3, 300 << 8 | 0x10);
    expect_u64(header.checksum, base_hash32(wanted + 7, sizeof(wanted) - 7, seed));
    expect(!header.compressed);
    base_buf_free(&b);
}

/* Any row of any layout comes back as it was, with the tag of its writer; so do some of its
 * columns. */
Test(row_record, rows_round_trip)
{
    struct test_random r = test_random(1);
    struct base_arena arena = {0};
    struct base_buf b = {0};
    for (int round = 0; round < 5000; round++) {
        uint32_t columns = 1 + (uint32_t)test_random_below(&r, 20);
        struct row_layout layout = test_random_layout(&r, columns, &arena);
        instar_value *values = test_random_row(&r, &layout, 20, 400, &arena);
        instar_value back[20];
        instar_value some[20];
        uint32_t positions[20];
        size_t count = 0;
        uint32_t version = (uint32_t)(test_random_next(&r) >> test_random_below(&r, 64));
        struct row_header header;
        base_buf_clear(&b);
        must(row_encode(&layout, version, a_key, values, &b, &test_err));
        must(row_header(base_buf_slice(&b), &header, &test_err));
        expect_u64(header.version, version);
        must(row_decode(&layout, found(a_key, base_buf_slice(&b), BYTES_MAX, &arena), back,
                        &test_err));
        expect(rows_same(&layout, values, back));
        for (uint32_t i = 0; i < columns; i++) {
            if (test_random_chance(&r, 30)) {
                positions[count++] = i;
            }
        }
        must(row_decode_some(&layout, found(a_key, base_buf_slice(&b), BYTES_MAX, &arena),
                             &(struct row_wanted){positions, count, some}, &test_err));
        bool null = false;
        for (size_t i = 0; i < count; i++) {
            expect(test_value_same(&some[i], &values[positions[i]]));
            null = null || values[positions[i]].type == INSTAR_NULL;
        }
        expect(no_null(&layout, base_buf_slice(&b), positions, count) == !null);
        base_arena_reset(&arena);
    }
    base_buf_free(&b);
    base_arena_free(&arena);
}

/* Every changed bit and every lost tail of a record is found by its checksum or its form. */
Test(row_record, every_changed_bit_is_found)
{
    const uint32_t first = 0;
    struct test_random r = test_random(2);
    struct base_arena arena = {0};
    struct base_buf b = {0};
    for (int round = 0; round < 60; round++) {
        struct row_layout layout = test_random_layout(&r, 6, &arena);
        instar_value *values = test_random_row(&r, &layout, 20, 3000, &arena);
        instar_value back[6];
        base_buf_clear(&b);
        must(row_encode(&layout, 7, a_key, values, &b, &test_err));
        for (size_t bit = 0; bit < b.size * 8; bit++) {
            b.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            must_fail(row_decode(&layout, found(a_key, base_buf_slice(&b), BYTES_MAX, &arena), back,
                                 &test_err),
                      INSTAR_ECORRUPT);
            cr_assert_eq(back[0].type, INSTAR_NULL);
            expect(!no_null(&layout, base_buf_slice(&b), &first, 1));
            b.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
        for (size_t size = 0; size < b.size; size++) {
            uint8_t *cut = base_alloc(size + (size == 0));
            memcpy(cut, b.data, size);
            must_fail(row_decode(&layout, found(a_key, base_slice(cut, size), BYTES_MAX, &arena),
                                 back, &test_err),
                      INSTAR_ECORRUPT);
            expect(!no_null(&layout, base_slice(cut, size), &first, 1));
            base_free(cut);
        }
        base_arena_reset(&arena);
    }
    base_buf_free(&b);
    base_arena_free(&arena);
}

/* A row that stands under another primary key is not taken for that one's. */
Test(row_record, row_under_another_key_is_found)
{
    struct base_buf b = {0};
    struct base_arena arena = {0};
    instar_value value = text("hello", 5);
    instar_value back;
    must(row_encode(&text_layout, 1, a_key, &value, &b, &test_err));
    must_fail(row_decode(&text_layout,
                         found(base_slice("kex", 3), base_buf_slice(&b), BYTES_MAX, &arena), &back,
                         &test_err),
              INSTAR_ECORRUPT);
    cr_assert_not_null(strstr(test_err.text, "checksum"));
    cr_assert_not_null(strstr(test_err.text, "tag 1"));
    base_buf_free(&b);
}

/* Put a good checksum on a changed record, as somebody with intent would. */
static void repair(struct base_buf *b, uint32_t version)
{
    size_t at = 2;
    for (uint32_t v = version; v >= 0x80; v >>= 7) {
        at++;
    }
    uint64_t seed = base_hash64("key", 3, (uint64_t)version << 8 | b->data[0]);
    base_put_u32(b->data + at, base_hash32(b->data + at + 4, b->size - at - 4, seed));
}

/* With good checksums, changed bodies are decoded or refused, and never read past their end. */
Test(row_record, good_checksum_over_bad_body_is_no_harm)
{
    struct test_random r = test_random(3);
    struct base_arena arena = {0};
    struct base_buf b = {0};
    unsigned accepted = 0;
    unsigned refused = 0;
    for (int round = 0; round < 20000; round++) {
        struct row_layout layout = test_random_layout(&r, 9, &arena);
        instar_value *values =
            test_random_row(&r, &layout, 30, test_random_chance(&r, 10) ? 3000 : 20, &arena);
        instar_value back[9];
        base_buf_clear(&b);
        must(row_encode(&layout, 200, a_key, values, &b, &test_err));
        for (int i = 0; i < 2; i++) {
            size_t at = 7 + test_random_below(&r, b.size - 7);
            b.data[at] = (uint8_t)test_random_next(&r);
        }
        b.size -= test_random_chance(&r, 30) ? test_random_below(&r, b.size - 7) : 0;
        repair(&b, 200);
        uint8_t *exact = base_alloc(b.size); /* so that a sanitizer sees the byte behind it */
        memcpy(exact, b.data, b.size);
        int rc = row_decode(&layout, found(a_key, base_slice(exact, b.size), BYTES_MAX, &arena),
                            back, &test_err);
        cr_assert(rc == 0 || rc == INSTAR_ECORRUPT);
        accepted += rc == 0;
        refused += rc != 0;
        base_free(exact);
        base_arena_reset(&arena);
    }
    expect(accepted > 100);
    expect(refused > 100);
    base_buf_free(&b);
    base_arena_free(&arena);
}

/* Spare bits of the null bitmap, bytes behind the last column, and a bool of 2 are refused although
 * the checksum is good. */
Test(row_record, forms_that_are_never_written_are_refused)
{
    static const struct row_column column = {.id = 1, .type = INSTAR_BOOL};
    static const struct row_layout layout = {1, 1, &column};
    instar_value value = {.type = INSTAR_BOOL, .b = true};
    instar_value back;
    struct base_arena arena = {0};
    struct base_buf b = {0};
    for (int form = 0; form < 4; form++) {
        base_buf_clear(&b);
        must(row_encode(&layout, 1, a_key, &value, &b, &test_err));
        b.data[6] = form == 0 ? 0x02 : 0;
        b.data[7] = form == 1 ? 2 : 1;
        expect(form != 2 || base_buf_add_u8(&b, 0));
        repair(&b, 1);
        int rc = row_decode(&layout, found(a_key, base_buf_slice(&b), BYTES_MAX, &arena), &back,
                            &test_err);
        cr_assert_eq(rc, form == 3 ? 0 : INSTAR_ECORRUPT, "form %d", form);
    }
    base_buf_free(&b);
}

static bool encode_text(const char *data, size_t size, struct base_buf *b)
{
    instar_value value = text(data, size);
    struct row_header header;
    base_buf_clear(b);
    must(row_encode(&text_layout, 1, a_key, &value, b, &test_err));
    must(row_header(base_buf_slice(b), &header, &test_err));
    instar_value back;
    struct base_arena arena = {0};
    must(row_decode(&text_layout, found(a_key, base_buf_slice(b), BYTES_MAX, &arena), &back,
                    &test_err));
    expect(test_value_same(&value, &back));
    base_arena_free(&arena);
    return header.compressed;
}

/* Above 1 KiB a row is compressed when that saves an eighth or more; at 1 KiB, or when the bytes
 * are random, it is not. */
Test(row_record, large_rows_are_compressed_when_it_pays)
{
    static char zeros[5000];
    static uint8_t noise[5000];
    struct test_random r = test_random(4);
    struct base_buf b = {0};
    test_random_fill(&r, noise, sizeof(noise));
    for (size_t i = 0; i < sizeof(noise); i++) {
        noise[i] &= 0x7f;
    }
    /* The body is the text, two bytes of length and one of nulls. */
    expect(!encode_text(zeros, 1024 - 3, &b));
    expect(encode_text(zeros, 1025 - 3, &b));
    expect(b.size < 100);
    expect(encode_text(zeros, sizeof(zeros), &b));
    expect(b.size < 100);
    /* Seven random bits in a byte: an eighth could be saved at best, and framing takes some. */
    expect(!encode_text((char *)noise, sizeof(noise), &b));
    expect_u64(b.size, sizeof(noise) + 3 + 6);
    for (size_t i = 0; i < sizeof(noise); i++) {
        noise[i] &= 0x3f;
    }
    expect(encode_text((char *)noise, sizeof(noise), &b));
    expect(b.size < sizeof(noise) - sizeof(noise) / 8 + 6);
    base_buf_free(&b);
}

/* A body larger than allowed when decompressed is refused before any memory is taken for it. */
Test(row_record, decompression_is_bounded)
{
    static char zeros[50000];
    struct base_buf b = {0};
    struct base_arena arena = {0};
    instar_value value = text(zeros, sizeof(zeros));
    instar_value back;
    must(row_encode(&text_layout, 1, a_key, &value, &b, &test_err));
    size_t size = row_size(&text_layout, &value);
    must_fail(row_decode(&text_layout, found(a_key, base_buf_slice(&b), size - 1, &arena), &back,
                         &test_err),
              INSTAR_ECORRUPT);
    expect_u64(arena.used_bytes, 0);
    must(
        row_decode(&text_layout, found(a_key, base_buf_slice(&b), size, &arena), &back, &test_err));
    base_arena_free(&arena);
    base_buf_free(&b);
}

/* A compressed body whose stated size is not that of its frame is refused, also an absurd one. */
Test(row_record, stated_size_must_be_the_frames)
{
    static char zeros[50000];
    struct base_buf b = {0};
    struct base_buf bad = {0};
    struct base_arena arena = {0};
    instar_value value = text(zeros, sizeof(zeros));
    instar_value back;
    uint64_t sizes[] = {0, 1, 50003, 50005, UINT64_C(1) << 40, UINT64_MAX, UINT64_MAX - 1};
    must(row_encode(&text_layout, 1, a_key, &value, &b, &test_err));
    for (size_t i = 0; i < BASE_ARRAY_LEN(sizes); i++) {
        base_buf_clear(&bad);
        expect(base_buf_add(&bad, b.data, 6));
        expect(base_buf_add_varint(&bad, sizes[i]));
        expect(base_buf_add(&bad, b.data + 9, b.size - 9)); /* 50004 takes three bytes */
        repair(&bad, 1);
        must_fail(row_decode(&text_layout, found(a_key, base_buf_slice(&bad), SIZE_MAX, &arena),
                             &back, &test_err),
                  INSTAR_ECORRUPT);
        expect_u64(arena.used_bytes, 0);
    }
    base_buf_free(&b);
    base_buf_free(&bad);
}

/* A value of another type is refused by the position of its column; nothing is appended. */
Test(row_record, wrong_type_is_refused)
{
    instar_value value = {.type = INSTAR_INT4, .i = 1};
    struct base_buf b = {0};
    must_fail(row_encode(&text_layout, 1, a_key, &value, &b, &test_err), INSTAR_ETYPE);
    cr_assert_not_null(strstr(test_err.text, "column 1"));
    expect_u64(b.size, 0);
}

/* Out of memory is an error in both directions, and the buffer stays as it was. */
Test(row_record, no_memory_is_an_error)
{
    static char zeros[5000];
    instar_value value = text(zeros, sizeof(zeros));
    instar_value back;
    struct base_buf b = {0};
    struct base_buf empty = {0};
    struct base_arena arena = {0};
    must(row_encode(&text_layout, 1, a_key, &value, &b, &test_err));
    test_shortage_set(&(struct test_shortage){.nth = 1, .sticky = true});
    int encoded = row_encode(&text_layout, 1, a_key, &value, &empty, &test_err);
    int decoded = row_decode(&text_layout, found(a_key, base_buf_slice(&b), BYTES_MAX, &arena),
                             &back, &test_err);
    test_shortage_set(NULL);
    cr_assert_eq(encoded, INSTAR_ENOMEM);
    cr_assert_eq(decoded, INSTAR_ENOMEM);
    expect_u64(empty.size, 0);
    base_buf_free(&b);
}

/* Where zstd gets no memory a row is stored as it is. */
Test(row_record, no_memory_to_compress)
{
    static char zeros[5000];
    instar_value value = text(zeros, sizeof(zeros));
    uint64_t plain = 0;
    for (uint64_t nth = 1, fired = 1; fired > 0; nth++) {
        struct base_buf b = {0};
        struct base_arena arena = {0};
        instar_value back;
        test_shortage_set(&(struct test_shortage){.nth = nth, .all = true});
        int rc = row_encode(&text_layout, 1, a_key, &value, &b, &test_err);
        fired = test_shortage_fired();
        test_shortage_set(NULL);
        if (rc != 0) {
            expect_u64(nth, 1); /* the buffer */
            cr_assert_eq(rc, INSTAR_ENOMEM);
            continue;
        }
        cr_assert_eq(b.size > sizeof(zeros), fired > 0);
        plain += fired;
        must(row_decode(&text_layout, found(a_key, base_buf_slice(&b), BYTES_MAX, &arena), &back,
                        &test_err));
        expect(test_value_same(&value, &back));
        base_arena_free(&arena);
        base_buf_free(&b);
    }
    expect_u64(plain, 2); /* a context, and what it works in */
}

/* Where zstd gets no memory to decompress a row, that is no corruption. */
Test(row_record, no_memory_to_decompress)
{
    static char zeros[5000];
    instar_value value = text(zeros, sizeof(zeros));
    struct base_buf b = {0};
    uint64_t nth = 0, of_zstd = 0;
    int rc;
    must(row_encode(&text_layout, 1, a_key, &value, &b, &test_err));
    cr_assert_lt(b.size, 1000);
    do {
        struct base_arena arena = {0};
        instar_value back;
        test_shortage_set(&(struct test_shortage){.nth = ++nth, .all = true});
        rc = row_decode(&text_layout, found(a_key, base_buf_slice(&b), BYTES_MAX, &arena), &back,
                        &test_err);
        test_shortage_set(NULL);
        expect(rc == 0 || rc == INSTAR_ENOMEM);
        of_zstd += rc != 0 && strstr(test_err.text, "no memory to decompress") != NULL;
        base_arena_free(&arena);
    } while (rc != 0);
    expect_u64(of_zstd, 1); /* a context */
    base_buf_free(&b);
}

/* Values move between layouts by column id: what is gone is skipped, what is new gets its missing
 * value, and an id that was dropped and a new one of the same type are never mixed up. */
Test(row_record, convert_goes_by_column_id)
{
    static const struct row_column old[] = {{.id = 1, .type = INSTAR_INT4},
                                            {.id = 2, .type = INSTAR_INT4},
                                            {.id = 4, .type = INSTAR_INT4}};
    static const struct row_column new[] = {
        {.id = 4, .type = INSTAR_INT4},
        {.id = 1, .type = INSTAR_INT4},
        {.id = 5, .type = INSTAR_INT4, .missing = {.type = INSTAR_INT4, .i = 55}},
        {.id = 6, .type = INSTAR_TEXT}};
    static const struct row_layout from = {1, 3, old};
    static const struct row_layout to = {2, 4, new};
    static const struct row_layout none = {3, 0, NULL};
    instar_value values[] = {
        {.type = INSTAR_INT4, .i = 10}, {.type = INSTAR_INT4, .i = 20}, {.type = INSTAR_NULL}};
    instar_value out[4];
    must(row_convert(&from, values, &to, NULL, out, &test_err));
    cr_assert_eq(out[0].type, INSTAR_NULL);
    cr_assert_eq(out[1].i, 10);
    cr_assert_eq(out[2].i, 55);
    cr_assert_eq(out[3].type, INSTAR_NULL);
    must(row_convert(&none, values, &to, NULL, out, &test_err));
    cr_assert_eq(out[1].type, INSTAR_NULL);
    cr_assert_eq(out[2].i, 55);
    must(row_convert(&from, values, &from, NULL, out, &test_err));
    expect(rows_same(&from, values, out));
}
