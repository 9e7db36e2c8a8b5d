/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a validation has found, piece by piece, for programs: the sentence in `reason` is for
 * people. In the record of a change stand the first samples, one behind the other:
 *
 *   u8 kind | name of the constraint, or the column | its key in words, "" where there is none
 *   | the row's primary key in words
 *
 * Texts are varint size and bytes, cut between characters.
 */
#include "change/record.h"

#include <string.h>

#define TEXT_MAX 256 /* of one, with the final zero */

static bool add_cut(struct base_buf *out, const struct base_buf *words)
{
    char text[TEXT_MAX] = "";

    if (words != NULL) {
        record_cut(base_buf_slice(words), text, sizeof(text));
    }
    return base_buf_add_blob(out, text, strlen(text));
}

void failure_add(struct base_buf *out, enum instar_failure_kind kind, const char *name,
                 const struct base_buf *key, const struct base_buf *row)
{
    size_t before = out->size;

    if (!base_buf_add_u8(out, (uint8_t)kind) || !base_buf_add_blob(out, name, strlen(name)) ||
        !add_cut(out, key) || !add_cut(out, row)) {
        out->size = before; /* one sample less, for want of memory */
    }
}

struct input {
    struct base_reader r;
    struct base_arena *arena;
    bool no_memory;
};

/* NULL: it is malformed, or there is no memory. */
static const char *get_text(struct input *in)
{
    struct base_slice s = base_read_blob(&in->r);

    if (in->r.bad || s.size >= TEXT_MAX || !base_utf8_valid(s.data, s.size) ||
        (s.size != 0 && memchr(s.data, 0, s.size) != NULL)) {
        return NULL;
    }
    char *text = base_arena_alloc(in->arena, s.size + 1);
    if (text == NULL) {
        in->no_memory = true;
        return NULL;
    }
    memcpy(text, s.size != 0 ? s.data : "", s.size);
    text[s.size] = 0;
    return text;
}

static bool get_sample(struct input *in, instar_failure_sample *out)
{
    uint8_t kind = base_read_u8(&in->r);

    out->kind = (enum instar_failure_kind)kind;
    out->name = get_text(in);
    out->key = out->name != NULL ? get_text(in) : NULL;
    out->row = out->key != NULL ? get_text(in) : NULL;
    return kind >= INSTAR_FAILURE_UNIQUE && kind <= INSTAR_FAILURE_FOREIGN_KEY && out->row != NULL;
}

int failure_get(const struct change_record *r, struct base_arena *arena, instar_change_failure *out,
                struct base_err *err)
{
    struct input in = {.r = base_reader(base_buf_slice(&r->failure)), .arena = arena};
    /* A sample takes four bytes at least. */
    instar_failure_sample *samples =
        base_arena_alloc(arena, (r->failure.size / 4 + 1) * sizeof(*samples));

    *out = (instar_change_failure){
        .code = r->error, .count = r->duplicate_count, .samples = samples, .reason = r->reason};
    bool whole = true;
    in.no_memory = samples == NULL;
    while (whole && !in.no_memory && base_reader_left(&in.r) != 0) {
        whole = get_sample(&in, &samples[out->sample_count]);
        out->sample_count += whole;
    }
    if (in.no_memory) {
        return base_err_set(err, INSTAR_ENOMEM, "reading change %llu: out of memory",
                            (unsigned long long)r->id);
    }
    return whole ? 0
                 : base_err_set(err, INSTAR_ECORRUPT, "record of change %llu: its samples",
                                (unsigned long long)r->id);
}
