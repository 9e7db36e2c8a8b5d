/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables on standard output. On a terminal the first rows are held back to find the widths of the
 * columns; later rows use those. In a pipe and as JSON nothing is held back.
 */
#include "cli.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HELD_MAX 500 /* rows held back for their widths */
#define WIDTH_MAX 60 /* a wider cell pushes the rest of its line */

struct out {
    const struct cli *cli;
    const struct out_column *columns;
    size_t count;
    bool aligned;
    bool settled; /* widths are known, the header is out */
    uint64_t rows;
    size_t *widths;
    char **held; /* HELD_MAX * count cells, printable; NULL is null */
    size_t held_rows;
};

/* ---- text --------------------------------------------------------------------------------- */

/* How many bytes the character takes that stands there: 0 when it is no UTF-8, which only echoed
 * arguments can hold. */
static size_t utf8_size(const char *text, size_t size)
{
    const unsigned char *c = (const unsigned char *)text;
    size_t want = c[0] < 0x80   ? 1
                  : c[0] < 0xc2 ? 0
                  : c[0] < 0xe0 ? 2
                  : c[0] < 0xf0 ? 3
                  : c[0] < 0xf5 ? 4
                                : 0;

    if (want > size) {
        return 0;
    }
    for (size_t i = 1; i < want; i++) {
        if ((c[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    /* Overlong forms, surrogates, beyond U+10FFFF. */
    if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) ||
        (c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] > 0x8f)) {
        return 0;
    }
    return want;
}

/* Those of two bytes, U+0080 to U+009F, steer some terminals too. */
static bool is_control(const char *text, size_t size)
{
    unsigned char c = (unsigned char)text[0];

    return c < 0x20 || c == 0x7f || (c == 0xc2 && size > 1 && (unsigned char)text[1] < 0xa0);
}

void out_json_string(FILE *file, const char *text, size_t size)
{
    size_t width;

    fputc('"', file);
    for (size_t i = 0; i < size; i += width) {
        unsigned char c = (unsigned char)text[i];

        width = utf8_size(text + i, size - i);
        if (width == 0) {
            fputs("\\ufffd", file);
            width = 1;
        } else if (c == '"' || c == '\\') {
            fprintf(file, "\\%c", c);
        } else if (is_control(text + i, width)) {
            fprintf(file, "\\u%04x", (unsigned char)text[i + width - 1]);
        } else {
            fwrite(text + i, 1, width, file);
        }
    }
    fputc('"', file);
}

/* The next character; control characters and what is no UTF-8 as hexadecimal numbers. Its size. */
static size_t put_harmless(FILE *file, const char *text, size_t size)
{
    size_t width = utf8_size(text, size);

    if (width > 0 && !is_control(text, width)) {
        fwrite(text, 1, width, file);
        return width;
    }
    width = width > 0 ? width : 1;
    for (size_t i = 0; i < width; i++) {
        fprintf(file, "\\x%02x", (unsigned char)text[i]);
    }
    return width;
}

void out_printable(FILE *file, const char *text, size_t size)
{
    for (size_t i = 0; i < size;) {
        i += put_harmless(file, text + i, size - i);
    }
}

static void print_escaped(const char *text, size_t size)
{
    for (size_t i = 0; i < size;) {
        char c = text[i];

        if (c == '\t') {
            fputs("\\t", stdout);
        } else if (c == '\n') {
            fputs("\\n", stdout);
        } else if (c == '\r') {
            fputs("\\r", stdout);
        } else if (c == '\\') {
            fputs("\\\\", stdout);
        } else {
            i += put_harmless(stdout, text + i, size - i);
            continue;
        }
        i++;
    }
}

int cli_written(const struct cli *cli, const char *what)
{
    if (cli->json) {
        printf("{\"%s\": 1}\n", what);
    }
    return CLI_OK;
}

struct out_cell out_text(const char *text)
{
    return (struct out_cell){text, text != NULL ? strlen(text) : 0};
}

struct out_cell out_u64(uint64_t value, char buffer[OUT_NUMBER_SIZE])
{
    (void)snprintf(buffer, OUT_NUMBER_SIZE, "%" PRIu64, value);
    return out_text(buffer);
}

struct out_cell out_bool(bool value)
{
    return out_text(value ? "true" : "false");
}

/* ---- aligned ------------------------------------------------------------------------------ */

/* Characters, not bytes: continuation bytes of UTF-8 do not count. */
static size_t display_width(const char *text)
{
    size_t width = 0;

    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80 ? 1 : 0;
    }
    return width;
}

static char *printable_copy(const struct out_cell *cell)
{
    char *copy = NULL;
    size_t size = 0;
    FILE *memory;

    if (cell->text == NULL) {
        return NULL;
    }
    memory = open_memstream(&copy, &size);
    if (memory == NULL) {
        return NULL;
    }
    out_printable(memory, cell->text, cell->size);
    (void)fclose(memory);
    return copy;
}

static bool is_detail(const struct out_column *column)
{
    return column->kind == OUT_TEXT_DETAIL || column->kind == OUT_NUMBER_DETAIL;
}

/* The column after this one that a terminal shows, or the count. */
static size_t next_shown(const struct out *out, size_t i)
{
    do {
        i++;
    } while (i < out->count && is_detail(&out->columns[i]));
    return i;
}

static void print_aligned(const struct out *out, char *const *cells)
{
    for (size_t i = 0, next; i < out->count; i = next) {
        const char *text = cells[i] != NULL ? cells[i] : "";
        size_t width = display_width(text);
        size_t pad = width < out->widths[i] ? out->widths[i] - width : 0;
        bool right = out->columns[i].kind == OUT_NUMBER;

        next = next_shown(out, i);
        if (right) {
            printf("%*s", (int)pad, "");
        }
        fputs(text, stdout);
        if (!right && next < out->count) {
            printf("%*s", (int)pad, "");
        }
        fputs(next == out->count ? "\n" : "  ", stdout);
    }
}

static void settle(struct out *out)
{
    if (out->settled) {
        return;
    }
    out->settled = true;
    if (out->cli->header) {
        char **names = calloc(out->count, sizeof(*names));

        for (size_t i = 0; names != NULL && i < out->count; i++) {
            names[i] = (char *)(uintptr_t)out->columns[i].name;
        }
        if (names != NULL) {
            print_aligned(out, names);
        }
        free(names);
    }
    for (size_t r = 0; r < out->held_rows; r++) {
        print_aligned(out, out->held + r * out->count);
    }
    for (size_t i = 0; i < out->held_rows * out->count; i++) {
        free(out->held[i]);
    }
    out->held_rows = 0;
}

static void row_aligned(struct out *out, const struct out_cell *cells)
{
    char **row = out->held + out->held_rows * out->count;

    for (size_t i = 0; i < out->count; i++) {
        size_t width;

        row[i] = printable_copy(&cells[i]);
        width = row[i] != NULL ? display_width(row[i]) : 0;
        if (!out->settled && width > out->widths[i]) {
            out->widths[i] = width < WIDTH_MAX ? width : WIDTH_MAX;
        }
    }
    if (out->settled) {
        print_aligned(out, row);
        for (size_t i = 0; i < out->count; i++) {
            free(row[i]);
        }
        return;
    }
    out->held_rows++;
    if (out->held_rows == HELD_MAX) {
        settle(out);
    }
}

/* ---- pipes and JSON ----------------------------------------------------------------------- */

static void row_json(struct out *out, const struct out_cell *cells)
{
    fputs(out->rows == 0 ? "[\n " : ",\n ", stdout);
    for (size_t i = 0; i < out->count; i++) {
        fputs(i == 0 ? "{" : ", ", stdout);
        out_json_string(stdout, out->columns[i].name, strlen(out->columns[i].name));
        fputs(": ", stdout);
        if (cells[i].text == NULL) {
            fputs("null", stdout);
        } else if (out->columns[i].kind == OUT_TEXT || out->columns[i].kind == OUT_TEXT_DETAIL) {
            out_json_string(stdout, cells[i].text, cells[i].size);
        } else {
            fwrite(cells[i].text, 1, cells[i].size, stdout);
        }
    }
    fputs("}", stdout);
}

static void row_tabbed(const struct out *out, const struct out_cell *cells)
{
    for (size_t i = 0; i < out->count; i++) {
        if (cells[i].text == NULL) {
            fputs("\\N", stdout);
        } else {
            print_escaped(cells[i].text, cells[i].size);
        }
        fputc(i + 1 == out->count ? '\n' : '\t', stdout);
    }
}

/* RFC 4180. Nothing is null, a quoted nothing the empty text; a field that holds a quote, a comma
 * or a line's end is quoted. */
static void print_csv(const struct out_cell *cell, bool last)
{
    bool quoted = cell->text != NULL && (cell->size == 0 || cell->text[0] == '\xef');

    for (size_t i = 0; !quoted && i < cell->size; i++) {
        quoted = strchr(",\"\r\n", cell->text[i]) != NULL && cell->text[i] != '\0';
    }
    if (!quoted) {
        fwrite(cell->text != NULL ? cell->text : "", 1, cell->size, stdout);
    } else {
        fputc('"', stdout);
        for (size_t i = 0; i < cell->size; i++) {
            if (cell->text[i] == '"') {
                fputc('"', stdout);
            }
            fputc(cell->text[i], stdout);
        }
        fputc('"', stdout);
    }
    fputc(last ? '\n' : ',', stdout);
}

static void row_csv(const struct out *out, const struct out_cell *cells)
{
    for (size_t i = 0; i < out->count; i++) {
        print_csv(&cells[i], i + 1 == out->count);
    }
}

static void header_line(const struct out *out)
{
    for (size_t i = 0; i < out->count; i++) {
        struct out_cell name = out_text(out->columns[i].name);

        if (out->cli->csv) {
            print_csv(&name, i + 1 == out->count);
        } else {
            print_escaped(name.text, name.size);
            fputc(i + 1 == out->count ? '\n' : '\t', stdout);
        }
    }
}

/* ---- the table ---------------------------------------------------------------------------- */

struct out *out_begin(const struct cli *cli, const struct out_column *columns, size_t count)
{
    struct out *out = calloc(1, sizeof(*out));

    if (out == NULL) {
        return NULL;
    }
    out->cli = cli;
    out->columns = columns;
    out->count = count;
    out->aligned = !cli->json && !cli->csv && isatty(STDOUT_FILENO) == 1;
    out->widths = calloc(count, sizeof(*out->widths));
    out->held = out->aligned ? calloc((HELD_MAX + 1) * count, sizeof(*out->held)) : NULL;
    if (out->widths == NULL || (out->aligned && out->held == NULL)) {
        free(out->widths);
        free(out->held);
        free(out);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        out->widths[i] = display_width(columns[i].name);
    }
    if (!out->aligned && cli->header && (cli->csv || !cli->json)) {
        header_line(out);
    }
    return out;
}

void out_row(struct out *out, const struct out_cell *cells)
{
    if (out == NULL) {
        return;
    }
    if (out->cli->csv) {
        row_csv(out, cells);
    } else if (out->cli->json) {
        row_json(out, cells);
    } else if (out->aligned) {
        row_aligned(out, cells);
    } else {
        row_tabbed(out, cells);
    }
    out->rows++;
}

int out_end(struct out *out)
{
    if (out == NULL) {
        fprintf(stderr, "instar: out of memory\n");
        return CLI_FAILED;
    }
    if (out->cli->json && !out->cli->csv) {
        fputs(out->rows == 0 ? "[]\n" : "\n]\n", stdout);
    } else if (out->aligned) {
        settle(out);
    }
    free(out->widths);
    free(out->held);
    free(out);
    return fflush(stdout) == 0 && ferror(stdout) == 0 ? CLI_OK : CLI_FAILED; /* main says why */
}
