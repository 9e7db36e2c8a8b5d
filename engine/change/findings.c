/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a validation of rows has found: how much in all, and the first pieces by their rows' keys,
 * whichever worker came by them when.
 */
#include "change/findings_impl.h"

#include <stdio.h>
#include <string.h>

/* In the order of enum instar_failure_kind. */
static const char *const kind_words[] = {"", "index", "column", "column", "check", "foreign key"};

void findings_init(struct findings *f)
{
    *f = (struct findings){0};
    os_plain_init(&f->lock);
}

static void forget(struct finding *x)
{
    base_buf_free(&x->values);
    base_buf_free(&x->why);
}

void findings_free(struct findings *f)
{
    for (size_t i = 0; i < f->count; i++) {
        forget(&f->first[i]);
    }
    os_plain_destroy(&f->lock);
}

/* Where a piece of this row goes: behind the others of the same row. */
static size_t place_of(const struct findings *f, struct base_slice row)
{
    size_t at = f->count;

    while (at > 0 && base_slice_cmp(row, gap_key_slice(&f->first[at - 1].row)) < 0) {
        at--;
    }
    return at;
}

static void keep(struct findings *f, size_t at, const struct finding_told *told)
{
    if (f->count == FINDINGS_MAX) {
        forget(&f->first[--f->count]);
    }
    memmove(&f->first[at + 1], &f->first[at], (f->count - at) * sizeof(f->first[0]));
    struct finding *x = &f->first[at];
    *x = (struct finding){.kind = told->kind, .name = told->name};
    gap_key_set(&x->row, told->row);
    if (told->values != NULL) {
        base_buf_add(&x->values, told->values->data, told->values->size);
    }
    if (told->why != NULL) {
        base_buf_add(&x->why, told->why, strlen(told->why));
    }
    f->count++;
}

void findings_add(struct findings *f, const struct finding_told *told)
{
    os_plain_lock(&f->lock);
    f->broken++;
    f->of_kind[told->kind]++;
    size_t at = place_of(f, told->row);
    if (at < FINDINGS_MAX) {
        keep(f, at, told);
    }
    os_plain_unlock(&f->lock);
}

/* ---- in words ----------------------------------------------------------------------------- */

static void add(struct base_buf *out, const char *text)
{
    base_buf_add(out, text, strlen(text));
}

static void describe(const struct finding *x, const struct base_buf *row, bool name_it,
                     struct base_buf *out)
{
    if (name_it) {
        add(out, kind_words[x->kind]);
        add(out, " ");
        add(out, x->name);
        add(out, " of ");
    }
    add(out, "row ");
    base_buf_add(out, row->data, row->size);
    if (x->values.size != 0) {
        add(out, " refers to ");
        base_buf_add(out, x->values.data, x->values.size);
    }
    if (x->why.size != 0) {
        add(out, " (");
        base_buf_add(out, x->why.data, x->why.size);
        add(out, ")");
    }
}

void findings_describe(const struct findings *f, const struct catalog_table *table, bool name_them,
                       struct base_buf *out, struct base_buf *samples_out)
{
    for (size_t i = 0; i < f->count; i++) {
        const struct finding *x = &f->first[i];
        struct base_buf row = {0};

        txn_describe_key(table, gap_key_slice(&x->row), &row);
        failure_add(samples_out, x->kind, x->name, x->values.size != 0 ? &x->values : NULL, &row);
        add(out, i == 0 ? "" : "; ");
        describe(x, &row, name_them, out);
        base_buf_free(&row);
    }
    add(out, f->broken > f->count ? "; …" : "");
}
