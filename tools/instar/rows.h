/* SPDX-License-Identifier: Apache-2.0 */
/* Rows on the command line: values from arguments, rows to standard output. */
#ifndef INSTAR_ROWS_H
#define INSTAR_ROWS_H

#include "cli.h"

/* A growing text for one formatted value. */
struct cell_text {
    char *text;
    size_t size;
};

/* Print rows of a table: the columns of its projection. */
struct row_printer {
    struct out *out;
    struct out_column *columns;
    struct out_cell *cells;
    struct cell_text *texts;
    size_t count;
};
bool printer_open(const struct cli *cli, const struct cli_table *table, struct row_printer *p);
void printer_row(struct row_printer *p, const instar_value *values);
void printer_close(struct row_printer *p);

/* Values parsed from arguments, with the memory they point into. */
struct parsed {
    instar_value values[INSTAR_INDEX_COLUMNS_MAX * 2];
    char *owned[INSTAR_INDEX_COLUMNS_MAX * 2];
    size_t count;
};
void parsed_free(struct parsed *parsed);

#endif
