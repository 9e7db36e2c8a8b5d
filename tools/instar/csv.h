/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CSV by RFC 4180: fields separated by commas, lines ended by LF or CR LF, fields in double quotes
 * may hold commas, line ends and doubled quotes. One record at a time, in bounded memory.
 */
#ifndef INSTAR_CSV_H
#define INSTAR_CSV_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CSV_RECORD_MAX ((size_t)64 << 20)

struct csv_field {
    const char *text; /* not terminated */
    size_t size;
    bool quoted; /* tells "" from nothing */
};

struct csv {
    FILE *file;
    uint64_t line;        /* where the next record begins, from 1 */
    uint64_t record_line; /* where the last one began */
    char *text;
    size_t size, capacity;
    struct csv_field *fields;
    size_t count, field_capacity;
    const char *problem; /* of the last record, or NULL */
    bool begun;          /* the first bytes are read */
};

void csv_open(struct csv *csv, FILE *file);
void csv_close(struct csv *csv);
enum csv_result {
    CSV_RECORD, /* fields are filled, valid until the next call */
    CSV_END,
    CSV_BAD,   /* `problem` says what is wrong; the reader stands at the next line */
    CSV_FAILED /* reading failed, or out of memory */
};
enum csv_result csv_next(struct csv *csv);

#endif
