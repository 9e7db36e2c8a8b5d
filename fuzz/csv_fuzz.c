/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CSV as `instar import` reads it: any bytes are records or refused line by line, in memory that
 * the input bounds; a record that is written again, with all its fields in quotes, reads the same.
 *
 * Input: the file.
 */
#define _GNU_SOURCE /* fmemopen */
#include "../tools/instar/csv.h"
#include "base/base.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BYTES_MAX ((size_t)64 << 10)

static bool write_record(const struct csv *csv, struct base_buf *out)
{
    bool ok = true;
    for (size_t i = 0; ok && i < csv->count; i++) {
        ok = (i == 0 || base_buf_add_u8(out, ',')) && base_buf_add_u8(out, '"');
        for (size_t j = 0; ok && j < csv->fields[i].size; j++) {
            char c = csv->fields[i].text[j];
            ok = (c != '"' || base_buf_add_u8(out, '"')) && base_buf_add_u8(out, (uint8_t)c);
        }
        ok = ok && base_buf_add_u8(out, '"');
    }
    return ok && base_buf_add_u8(out, '\n');
}

/* What was written is this one record. */
static void read_again(const struct csv *first, const struct base_buf *written)
{
    struct csv csv;
    FILE *file = fmemopen(written->data, written->size, "r");
    base_assert(file != NULL);
    csv_open(&csv, file);
    enum csv_result result = csv_next(&csv);
    base_assert(result == CSV_RECORD && csv.count == first->count);
    for (size_t i = 0; i < csv.count; i++) {
        base_assert(csv.fields[i].quoted);
        base_assert(csv.fields[i].size == first->fields[i].size);
        base_assert(csv.fields[i].size == 0 ||
                    memcmp(csv.fields[i].text, first->fields[i].text, csv.fields[i].size) == 0);
    }
    result = csv_next(&csv);
    base_assert(result == CSV_END);
    csv_close(&csv);
    (void)fclose(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct csv csv;
    enum csv_result result;
    size_t bytes = 0;
    if (size == 0 || size > BYTES_MAX) {
        return 0;
    }
    char *copy = malloc(size);
    base_assert(copy != NULL);
    memcpy(copy, data, size);
    FILE *file = fmemopen(copy, size, "r");
    base_assert(file != NULL);
    csv_open(&csv, file);
    while ((result = csv_next(&csv)) == CSV_RECORD || result == CSV_BAD) {
        struct base_buf written = {0};
        base_assert(csv.line >= csv.record_line && csv.line <= size + 1);
        base_assert((result == CSV_BAD) == (csv.problem != NULL));
        if (result == CSV_RECORD) {
            base_assert(csv.count > 0);
            for (size_t i = 0; i < csv.count; i++) {
                bytes += csv.fields[i].size;
            }
            base_assert(bytes <= size);
            bool ok = write_record(&csv, &written);
            base_assert(ok);
            read_again(&csv, &written);
        }
        base_buf_free(&written);
    }
    base_assert(result == CSV_END);
    csv_close(&csv);
    (void)fclose(file);
    free(copy);
    return 0;
}
