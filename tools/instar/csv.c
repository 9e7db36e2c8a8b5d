/* SPDX-License-Identifier: Apache-2.0 */
/* CSV by RFC 4180: a state machine over bytes. */
#include "csv.h"

#include <stdlib.h>
#include <string.h>

void csv_open(struct csv *csv, FILE *file)
{
    memset(csv, 0, sizeof(*csv));
    csv->file = file;
    csv->line = 1;
}

void csv_close(struct csv *csv)
{
    free(csv->text);
    free(csv->fields);
}

/* Text is kept as one run of bytes; while a record grows, fields hold offsets in place of pointers,
 * because the run may move. */
static bool add_byte(struct csv *csv, char c)
{
    if (csv->size == csv->capacity) {
        size_t capacity = csv->capacity == 0 ? 4096 : csv->capacity * 2;
        char *text = realloc(csv->text, capacity);

        if (text == NULL) {
            return false;
        }
        csv->text = text;
        csv->capacity = capacity;
    }
    csv->text[csv->size++] = c;
    return true;
}

static bool end_field(struct csv *csv, size_t start, bool quoted)
{
    if (csv->count == csv->field_capacity) {
        size_t capacity = csv->field_capacity == 0 ? 64 : csv->field_capacity * 2;
        struct csv_field *fields = realloc(csv->fields, capacity * sizeof(*fields));

        if (fields == NULL) {
            return false;
        }
        csv->fields = fields;
        csv->field_capacity = capacity;
    }
    csv->fields[csv->count++] = (struct csv_field){NULL, csv->size - start, quoted};
    return true;
}

static void settle_fields(struct csv *csv)
{
    size_t at = 0;

    for (size_t i = 0; i < csv->count; i++) {
        csv->fields[i].text = csv->text != NULL ? csv->text + at : "";
        at += csv->fields[i].size;
    }
}

enum state { FIELD_START, PLAIN, QUOTED, QUOTE_IN_QUOTED, BAD };

struct machine {
    enum state state;
    size_t start; /* of the field in hand */
    bool quoted;
    bool cr; /* the last byte was CR outside quotes */
    bool failed;
    bool done; /* the record has ended */
};

static void bad(struct csv *csv, struct machine *m, const char *problem)
{
    if (csv->problem == NULL) {
        csv->problem = problem;
    }
    m->state = BAD;
}

static void separator(struct csv *csv, struct machine *m, bool last)
{
    m->failed = !end_field(csv, m->start, m->quoted);
    m->start = csv->size;
    m->quoted = false;
    m->state = FIELD_START;
    m->done = last;
}

static void step_quoted(struct csv *csv, struct machine *m, char c)
{
    if (m->state == QUOTED) {
        if (c == '"') {
            m->state = QUOTE_IN_QUOTED;
        } else {
            csv->line += c == '\n' ? 1 : 0;
            m->failed = !add_byte(csv, c);
        }
        return;
    }
    if (c == '"') {
        m->failed = !add_byte(csv, '"');
        m->state = QUOTED;
    } else if (c == ',') {
        separator(csv, m, false);
    } else if (c == '\n') {
        csv->line++;
        separator(csv, m, true);
    } else if (c == '\r') {
        m->cr = true;
    } else {
        bad(csv, m, "text after the closing quote of a field");
    }
}

static void step_plain(struct csv *csv, struct machine *m, char c)
{
    if (c == '\n') {
        csv->line++;
        if (m->state == BAD) {
            m->done = true;
        } else {
            separator(csv, m, true);
        }
    } else if (m->state == BAD) {
        return;
    } else if (c == ',') {
        separator(csv, m, false);
    } else if (c == '\r') {
        m->cr = true;
    } else if (c == '"' && m->state == FIELD_START) {
        m->quoted = true;
        m->state = QUOTED;
    } else if (c == '"') {
        bad(csv, m, "a quote inside a field that does not begin with one");
    } else {
        m->state = PLAIN;
        m->failed = !add_byte(csv, c);
    }
}

static void step(struct csv *csv, struct machine *m, char c)
{
    if (m->cr) {
        m->cr = false;
        if (c != '\n' && m->state != BAD) {
            bad(csv, m, "a carriage return that ends no line");
        }
    }
    if (csv->size >= CSV_RECORD_MAX && m->state != BAD) {
        bad(csv, m, "a record of more than 64 MiB");
    }
    if (m->state == QUOTED || m->state == QUOTE_IN_QUOTED) {
        step_quoted(csv, m, c);
    } else {
        step_plain(csv, m, c);
    }
}

/* The input ended inside a record. */
static void finish(struct csv *csv, struct machine *m)
{
    if (m->state == QUOTED) {
        csv->problem = "the input ends inside a quoted field";
    } else if (m->state != BAD) {
        separator(csv, m, true);
    }
}

/* The first bytes of the input: a byte order mark in UTF-8, as spreadsheets write it, belongs to no
 * field. False when there was nothing. */
static bool begin(struct csv *csv, struct machine *m)
{
    static const unsigned char mark[] = {0xef, 0xbb, 0xbf};
    size_t same = 0;
    int c = EOF;

    csv->begun = true;
    while (same < sizeof(mark) && (c = getc_unlocked(csv->file)) == mark[same]) {
        same++;
    }
    if (same == sizeof(mark)) {
        return true;
    }
    for (size_t i = 0; i < same; i++) {
        step(csv, m, (char)mark[i]);
    }
    if (c != EOF) {
        step(csv, m, (char)c);
    }
    return c != EOF || same > 0;
}

enum csv_result csv_next(struct csv *csv)
{
    struct machine m = {.state = FIELD_START};
    bool any, more;
    int c = 0;

    csv->size = 0;
    csv->count = 0;
    csv->problem = NULL;
    csv->record_line = csv->line;
    any = !csv->begun && begin(csv, &m);
    more = feof(csv->file) == 0 && ferror(csv->file) == 0; /* an interrupt is not read past */
    while (more && !m.done && !m.failed && (c = getc_unlocked(csv->file)) != EOF) {
        any = true;
        step(csv, &m, (char)c);
    }
    if (m.failed || ferror(csv->file) != 0) {
        return CSV_FAILED;
    }
    if (!any) {
        return CSV_END;
    }
    if (!m.done) {
        finish(csv, &m);
    }
    if (csv->problem != NULL) {
        return CSV_BAD;
    }
    settle_fields(csv);
    return m.failed ? CSV_FAILED : CSV_RECORD;
}
