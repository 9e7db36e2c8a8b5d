/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes the first inputs of the fuzz targets; the rest of their corpora, and those of record,
 * pages and sql, is what fuzzing found. `make fuzz-corpus` runs it. Here: key, row, expr and
 * descriptor.
 */
#include "make.h"

#include "catalog/catalog.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *root;

void must(int rc)
{
    if (rc != 0) {
        fprintf(stderr, "%s\n", base_error_name(rc));
        exit(1);
    }
}

void write_input(const char *target, const char *name, struct base_buf *b)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s/%s/%s", root, target, name);
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(b->data, 1, b->size, f) != b->size || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
    base_buf_free(b);
}

void write_text(const char *target, const char *name, const char *text)
{
    struct base_buf b = {0};
    must(base_buf_add(&b, text, strlen(text)) ? 0 : INSTAR_ENOMEM);
    write_input(target, name, &b);
}

static instar_value bytes(enum instar_type type, const char *data, size_t size)
{
    instar_value v = {.type = (uint8_t)type};
    v.bytes.data = data;
    v.bytes.size = size;
    return v;
}

/* A few values of each type, the ends of its range among them. */
static size_t samples(enum instar_type type, instar_value out[6])
{
    static const int64_t integers[][6] = {
        [INSTAR_INT2] = {INT16_MIN, -97, 0, 95, 96, INT16_MAX},
        [INSTAR_INT4] = {INT32_MIN, -257, -1, 255, 65536, INT32_MAX},
        [INSTAR_INT8] = {INT64_MIN, -96, 1, 256, INT64_C(1) << 40, INT64_MAX},
        [INSTAR_TIMESTAMPTZ] = {INT64_C(-210866803200000000), -1, 0, 1, 1800000000000000,
                                INT64_MAX},
        [INSTAR_DATE] = {-2440588, -1, 0, 1, 20000, 106762939},
        [INSTAR_TIME] = {0, 1, 95, 96, INT64_C(43200000000), INT64_C(86400000000)},
    };
    static const double doubles[6] = {-(double)INFINITY, -1.5,       0, 1e-310,
                                      (double)INFINITY,  (double)NAN};
    static const char *const numerics[6] = {
        "-99999999999999999999999999999999999999", "-12.50", "0", "0.07", "1e37",
        "0.12345678901234567890123456789012345678"};
    size_t count = type == INSTAR_BOOL ? 2 : 6;
    for (size_t i = 0; i < count; i++) {
        out[i] = (instar_value){.type = (uint8_t)type};
        switch (type) {
        case INSTAR_BOOL:
            out[i].b = i == 1;
            break;
        case INSTAR_FLOAT8:
            out[i].f = doubles[i];
            break;
        case INSTAR_TEXT:
        case INSTAR_BYTEA:
            out[i] = bytes(type, "a\0b\0\0c", i);
            break;
        case INSTAR_NUMERIC:
            must(row_value_parse(type, base_slice(numerics[i], strlen(numerics[i])), NULL, 0,
                                 &out[i], NULL));
            break;
        case INSTAR_UUID:
            memset(out[i].uuid, (int)(i * 51), sizeof(out[i].uuid));
            break;
        default:
            out[i].i = integers[type][i];
            break;
        }
    }
    return count;
}

/* For each type and order: all its samples in one tuple after the other, and null. */
static void make_keys(void)
{
    for (unsigned type = 1; type < INSTAR_TYPE_COUNT; type++) {
        for (unsigned order = 0; order < 4; order++) {
            bool descending = order % 2 != 0;
            bool swapped = order > 1;
            struct row_key_part part = {
                .type = (enum instar_type)type, .descending = descending, .nulls_swapped = swapped};
            struct row_key_part pair[2] = {part, {.type = INSTAR_TEXT, .descending = !descending}};
            instar_value v[6];
            size_t count = samples(part.type, v);
            char name[64];
            for (size_t i = 0; i + 1 < count; i += 2) {
                struct base_buf b = {0};
                instar_value first[2] = {v[i], bytes(INSTAR_TEXT, "xy", 2)};
                instar_value second[2] = {v[i + 1], {0}};
                base_buf_add_u8(&b, 1);
                base_buf_add_u8(
                    &b, (uint8_t)((type - 1) | (unsigned)descending << 7 | (unsigned)swapped << 6));
                base_buf_add_u8(&b, (uint8_t)((INSTAR_TEXT - 1) | (unsigned)!descending << 7));
                must(row_key_encode(pair, first, 2, &b, NULL));
                must(row_key_encode(pair, second, 2, &b, NULL));
                snprintf(name, sizeof(name), "%s%s%s-%zu", row_type_name(part.type),
                         descending ? "-desc" : "", swapped ? "-swapped" : "", i / 2);
                write_input("key", name, &b);
            }
        }
    }
}

static void make_row(const char *name, const struct row_layout *layout, const instar_value *values,
                     uint32_t version, uint8_t flags)
{
    struct base_buf b = {0};
    base_buf_add_u8(&b, flags);
    base_buf_add_u8(&b, (uint8_t)(layout->column_count - 1));
    for (uint32_t i = 0; i < layout->column_count; i++) {
        base_buf_add_u8(&b, (uint8_t)(layout->columns[i].type - 1));
    }
    must(row_encode(layout, version, base_slice("key", 3), values, &b, NULL));
    write_input("row", name, &b);
}

/* One row of each type, rows of all types, and large ones that are compressed. */
static void make_rows(void)
{
    struct row_column columns[INSTAR_TYPE_COUNT] = {0};
    static char large[9000];
    char name[64];
    for (size_t i = 0; i < sizeof(large); i++) {
        large[i] = "instar "[i % 7];
    }
    for (unsigned round = 0; round < 4; round++) {
        instar_value values[INSTAR_TYPE_COUNT];
        for (unsigned type = 1; type < INSTAR_TYPE_COUNT; type++) {
            instar_value v[6];
            size_t count = samples((enum instar_type)type, v);
            columns[type - 1] = (struct row_column){.id = type, .type = (enum instar_type)type};
            values[type - 1] = round == 3 ? (instar_value){0} : v[round * 2 % count];
        }
        struct row_layout all = {1, INSTAR_TYPE_COUNT - 1, columns};
        snprintf(name, sizeof(name), "all-%u", round);
        make_row(name, &all, values, 1u << (round * 9), round % 2 == 0);
        for (unsigned i = 0; round < 2 && i < all.column_count; i++) {
            struct row_layout one = {1, 1, &columns[i]};
            snprintf(name, sizeof(name), "%s-%u", row_type_name(columns[i].type), round);
            make_row(name, &one, &values[i], 7, 1);
        }
    }
    for (unsigned i = 0; i < 3; i++) {
        struct row_column column = {.id = 1, .type = INSTAR_BYTEA};
        struct row_layout one = {1, 1, &column};
        instar_value v = bytes(INSTAR_BYTEA, large, 1020 + i * 3000);
        snprintf(name, sizeof(name), "large-%u", i);
        make_row(name, &one, &v, 300, 1);
    }
}

static void write_table(const struct catalog_table *table, const char *what, size_t number)
{
    struct base_buf b = {0};
    char name[32];
    must(catalog_table_encode(table, &b, NULL));
    snprintf(name, sizeof(name), "%s-%zu", what, number);
    write_input("descriptor", name, &b);
}

/* The same table with aliases, a hidden column, and two layouts. */
static void write_altered(const struct catalog_table *table, size_t number)
{
    instar_value value = {.type = INSTAR_INT8, .i = 5};
    instar_column_def def = {"added", INSTAR_INT8, true, &value, 0};
    const struct catalog_column *last = &table->columns[table->column_count - 1];
    const instar_alteration steps[] = {
        {.kind = INSTAR_ALTER_RENAME_TABLE, .new_name = "renamed"},
        {.kind = INSTAR_ALTER_RENAME_INDEX, .name = "index_0", .new_name = "other"},
        {.kind = INSTAR_ALTER_RENAME_COLUMN, .name = "column_0", .new_name = "first"},
        {.kind = INSTAR_ALTER_DROP_COLUMN, .name = last->name},
        {.kind = INSTAR_ALTER_ADD_COLUMN, .column = &def}};
    struct catalog_table *next;
    bool changed;
    must(catalog_table_copy(table, &next, NULL));
    for (size_t i = 0; i < BASE_ARRAY_LEN(steps); i++) {
        (void)catalog_alter(next, &steps[i], &changed, NULL); /* not all are possible */
    }
    must(catalog_alter_finish(table, next, NULL));
    write_table(next, "altered", number);
    must(catalog_alter_retire(next, NULL));
    must(catalog_table_finish(next, NULL));
    write_table(next, "retired", number);
    catalog_table_free(next);
}

/* The columns a to j of the target expr, which are of the types in their order. */
static bool find_letter(void *arg, const char *name, struct row_expr_column *column_out,
                        struct base_err *err)
{
    (void)arg;
    (void)err;
    *column_out = (struct row_expr_column){(uint32_t)(name[0] - 'a' + 1),
                                           (enum instar_type)(name[0] - 'a' + 1)};
    return true;
}

/* Each as text and as bytes. */
static void make_expressions(void)
{
    static const char *const texts[] = {
        "b > 0 AND (c IS NULL OR length(f) < 4) OR NOT a",
        "CASE WHEN b IN (1, 2, NULL) THEN substr(f, b, 2) || E'x\\n' ELSE coalesce(f, e::text) END",
        "CASE d WHEN 1 THEN -d WHEN 2 THEN abs(d % 7) END BETWEEN -5 AND 9223372036854775807",
        "upper(f) LIKE '%_\\%' AND lower(f) NOT LIKE 'z%'",
        "e * 1.5 / CAST(d AS float8) IS DISTINCT FROM greatest(e, b, least(c, d))",
        "i > '2026-01-31' AND i - 1 < i AND h <> '2026-01-01 00:00:00+00'",
        "j = '00000000-0000-0000-0000-000000000001' OR nullif(g, '\\x00ff') || g = g",
        "(a IS NOT TRUE) IS UNKNOWN AND f::int4 NOT IN (1) AND f::bool AND c::bool::text = 'x'",
        "l * 1.50 - b / 3.0 > l % 7 AND l IN (1, 2.5, e) OR abs(-l)::numeric(5,2) <> 99.995",
        "CAST(l / 7 AS numeric(20,10))::text || f = (e::numeric + d)::int4::text",
    };
    static const struct row_expr_scope scope = {.find = find_letter};
    for (size_t i = 0; i < BASE_ARRAY_LEN(texts); i++) {
        struct base_arena arena = {0};
        struct base_buf b = {0};
        struct row_expr *expr;
        char name[32];
        size_t size = strlen(texts[i]);
        base_buf_add_u8(&b, 't');
        base_buf_add(&b, texts[i], size);
        snprintf(name, sizeof(name), "text-%zu", i);
        write_input("expr", name, &b);
        must(row_expr_compile(base_slice(texts[i], size), &scope, &arena, &expr, NULL, NULL));
        base_buf_clear(&b);
        base_buf_add_u8(&b, 'b');
        row_expr_encode(expr, &b);
        snprintf(name, sizeof(name), "bytes-%zu", i);
        write_input("expr", name, &b);
        base_arena_free(&arena);
    }
}

/* The i-th index of a table: some are partial, some include the last column. */
static struct catalog_index *make_index(struct catalog_table *table, const instar_key_column *keys,
                                        size_t key_count, size_t i)
{
    char name[24];
    struct catalog_index *index;
    instar_key_column columns[INSTAR_TYPE_COUNT];
    const char *last = keys[key_count - 1].name;
    snprintf(name, sizeof(name), "index_%zu", i);
    memcpy(columns, keys, key_count * sizeof(*columns));
    columns[0].nulls = (enum instar_nulls)(i % 3);
    instar_index_def def = {.name = name,
                            .table = "table",
                            .columns = columns,
                            .column_count = 1 + i % key_count,
                            .predicate = i % 2 == 1 ? "column_0 IS NOT NULL" : NULL};
    if (i % 3 == 1 && def.column_count < key_count) {
        def.include = &last;
        def.include_count = 1;
    }
    must(catalog_index_from_def(table, &def, &index, NULL));
    return index;
}

/* Tables of one to many columns, with indexes in every state. Beside them lie some of formats 1 and
 * 2. */
static void make_descriptors(void)
{
    static const struct {
        enum instar_stage stage;
        bool unique, enforcing;
    } states[] = {
        {INSTAR_STAGE_ABSENT, false, false},     {INSTAR_STAGE_DELETE_ONLY, true, false},
        {INSTAR_STAGE_WRITE_ONLY, true, true},   {INSTAR_STAGE_PUBLIC, true, true},
        {INSTAR_STAGE_WRITE_ONLY, false, false}, {INSTAR_STAGE_PUBLIC, false, false},
    };
    for (size_t round = 0; round < 12; round++) {
        instar_column_def columns[INSTAR_TYPE_COUNT] = {0};
        instar_key_column keys[INSTAR_TYPE_COUNT] = {0};
        instar_value defaults[INSTAR_TYPE_COUNT][6];
        char names[INSTAR_TYPE_COUNT][32];
        size_t count = 1 + round % (INSTAR_TYPE_COUNT - 1);
        for (size_t i = 0; i < count; i++) {
            snprintf(names[i], sizeof(names[i]), "column_%zu", i);
            enum instar_type type = (enum instar_type)(1 + (i + round) % (INSTAR_TYPE_COUNT - 1));
            samples(type, defaults[i]);
            bool valid = type != INSTAR_TEXT;
            columns[i] = (instar_column_def){names[i], type, i % 2 == 0,
                                             valid && (i + round) % 3 == 0 ? &defaults[i][1] : NULL,
                                             type == INSTAR_NUMERIC ? INSTAR_DIGITS(10, 2) : 0};
            keys[i] = (instar_key_column){.name = names[i], .descending = i % 2 == 1};
        }
        instar_table_def def = {.name = "table",
                                .columns = columns,
                                .column_count = count,
                                .key = keys,
                                .key_count = 1 + round % count};
        instar_check_def checks[] = {
            {.expression = "column_0 IS NOT NULL OR coalesce(column_0, NULL) IS NULL"},
            {.name = "a check", .expression = "length('abc') > 2"}};
        def.checks = checks;
        def.check_count = round % 3;
        struct catalog_table *table;
        must(catalog_table_from_def(&def, &table, NULL));
        table->id = round;
        table->tree = 16 + round * 1000;
        table->version = 1 + (uint32_t)round;
        for (size_t i = 0; i < round % 7 && i < BASE_ARRAY_LEN(states); i++) {
            struct catalog_index *index = make_index(table, keys, count, i);
            index->unique = states[i].unique;
            index->stage = states[i].stage;
            index->enforcing = states[i].enforcing;
            index->tree = 17 + i;
            index->change = i;
        }
        write_table(table, "table", round);
        if (round % 4 == 3) {
            write_altered(table, round);
        }
        catalog_table_free(table);
    }
}

/* Tables without primary key, as they are and with a tree of whole rows and the indexes by its key.
 */
static void make_rekeyed(void)
{
    static const instar_column_def columns[] = {{.name = "a", .type = INSTAR_INT8},
                                                {.name = "b", .type = INSTAR_TEXT}};
    static const instar_key_column key[] = {{.name = "b", .descending = true}};
    for (size_t round = 0; round < 4; round++) {
        instar_table_def def = {.name = "table", .columns = columns, .column_count = 2, .key = key};
        def.key_count = round % 2;
        struct catalog_table *table;
        struct catalog_index *index;
        must(catalog_table_from_def(&def, &table, NULL));
        table->id = round + 1;
        table->tree = 16;
        instar_index_def by_a = {.name = "i", .table = "table", .columns = key, .column_count = 1};
        must(catalog_index_from_def(table, &by_a, &index, NULL));
        index->stage = INSTAR_STAGE_PUBLIC;
        if (round >= 2) {
            must(catalog_index_add(table, "rows", &index, NULL));
            index->rows = true;
            index->change = 7;
            index->part_count = 1;
            uint32_t rows = index->id;
            must(catalog_index_add(table, "i", &index, NULL));
            index->part_count = 1;
            index->parts[0].column = 1;
            index->change = 7;
            index->keyed_by = rows;
            index->replaces = 1;
            must(catalog_table_finish(table, NULL));
        }
        write_table(table, "rekey", round);
        catalog_table_free(table);
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s fuzz/corpus\n", argv[0]);
        return 2;
    }
    root = argv[1];
    make_keys();
    make_rows();
    make_expressions();
    make_descriptors();
    make_rekeyed();
    make_changes();
    make_files();
    make_texts();
    return 0;
}
