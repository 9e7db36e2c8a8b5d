/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expressions: any bytes, and any text, are refused or give an expression that encodes to bytes
 * which give it again, evaluates within its bounds for any row, and prints.
 *
 * Input: u8 't' and a text, or any other byte and an encoded expression.
 */
#include "row/row.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUTS_MAX 1000

/* Columns a to j are of the types in their order. */
static bool find(void *arg, const char *name, struct row_expr_column *column_out,
                 struct base_err *err)
{
    (void)arg;
    (void)err;
    if (name[0] < 'a' || name[0] > 'l' || name[1] != 0) {
        return false;
    }
    *column_out = (struct row_expr_column){(uint32_t)(name[0] - 'a' + 1),
                                           (enum instar_type)(name[0] - 'a' + 1)};
    return true;
}

static const char *name_of(void *arg, uint32_t id)
{
    (void)arg;
    return id % 2 == 0 ? "a column" : "c";
}

static instar_value input(enum instar_type type, unsigned round)
{
    static const char *const texts[] = {"", "%a_\\", "12", "Z\xc3\xbcrich"};
    instar_value v = {.type = (uint8_t)type};
    if (round == 0) {
        return (instar_value){.type = INSTAR_NULL};
    }
    switch (type) {
    case INSTAR_TEXT:
    case INSTAR_BYTEA:
        v.bytes.data = texts[round % 4];
        v.bytes.size = strlen(texts[round % 4]);
        break;
    case INSTAR_BOOL:
        v.b = round % 2 == 0;
        break;
    case INSTAR_FLOAT8:
        v.f = round == 1 ? -1.5 : 1e300;
        break;
    case INSTAR_UUID:
        break;
    case INSTAR_NUMERIC:
        v.scale = (uint8_t)(round * 12 % 39);
        v.numeric.low = round == 1 ? 125 : UINT64_MAX;
        v.numeric.high = round == 1 ? 0 : INT64_MAX >> 8;
        break;
    default:
        v.i = round == 1 && type != INSTAR_TIME ? -1 : 32767;
        break;
    }
    return v;
}

static void evaluate(const struct row_expr *expr)
{
    static instar_value inputs[INPUTS_MAX];
    const struct row_expr_column *columns;
    size_t count = row_expr_columns(expr, &columns);
    base_assert(count <= INPUTS_MAX);
    for (unsigned round = 0; round < 3; round++) {
        struct base_arena arena = {0};
        instar_value value;
        for (size_t i = 0; i < count; i++) {
            inputs[i] = input(columns[i].type, round);
        }
        int rc = row_expr_eval(expr, inputs, &arena, &value, NULL);
        base_assert(rc == 0 || value.type == INSTAR_NULL);
        base_assert(value.type == INSTAR_NULL || value.type == (uint8_t)row_expr_type(expr));
        base_assert(rc != 0 || row_value_check(row_expr_type(expr), &value, NULL) == 0 ||
                    value.type == INSTAR_TEXT); /* parts of the input's own bad UTF-8 */
        base_arena_free(&arena);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct row_expr_scope scope = {.find = find};
    struct base_arena arena = {0};
    struct row_expr *expr;
    struct row_expr *again;
    struct base_buf bytes = {0};
    struct base_buf words = {0};
    if (size == 0) {
        return 0;
    }
    bool is_text = data[0] == 't';
    struct base_slice in = base_slice(data + 1, size - 1);
    int rc = is_text ? row_expr_compile(in, &scope, &arena, &expr, NULL, NULL)
                     : row_expr_decode(in, &arena, &expr, NULL);
    base_assert(rc == 0 || is_text || rc == INSTAR_ECORRUPT);
    if (rc == 0) {
        bool ok = row_expr_encode(expr, &bytes) && row_expr_print(expr, name_of, NULL, &words);
        base_assert(ok);
        base_assert(is_text || base_slice_eq(base_buf_slice(&bytes), in));
        rc = row_expr_decode(base_buf_slice(&bytes), &arena, &again, NULL);
        base_assert(rc == 0);
        evaluate(again);
    }
    base_buf_free(&bytes);
    base_buf_free(&words);
    base_arena_free(&arena);
    return 0;
}
