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
        record_cut(words, text, sizeof(text));
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

/* NULL: it is malformed, or there is no memory. */
static const char *get_text(struct base_reader *r, struct base_arena *arena)
{
    struct base_slice s = base_read_blob(r);
    char *text = r->bad || s.size >= TEXT_MAX ? NULL : base_arena_alloc(arena, s.size + 1);

    if (text == NULL || !base_utf8_valid(s.data, s.size) ||
        (s.size != 0 && memchr(s.data, 0, s.size) != NULL)) {
        return NULL;
    }
    memcpy(text, s.size != 0 ? s.data : "", s.size);
    text[s.size] = 0;
    return text;
}

static bool get_sample(struct base_reader *r, struct base_arena *arena, instar_failure_sample *out)
{
    uint8_t kind = base_read_u8(r);

    out->kind = (enum instar_failure_kind)kind;
    out->name = get_text(r, arena);
    out->key = out->name != NULL ? get_text(r, arena) : NULL;
    out->row = out->key != NULL ? get_text(r, arena) : NULL;
    return !r->bad && kind >= INSTAR_FAILURE_UNIQUE && kind <= INSTAR_FAILURE_FOREIGN_KEY &&
           out->row != NULL;
}

int failure_get(const struct change_record *r, struct base_arena *arena, instar_change_failure *out,
                struct base_err *err)
{
    struct base_reader in = base_reader(base_buf_slice(&r->failure));
    /* A sample takes four bytes at least. */
    instar_failure_sample *samples =
        base_arena_alloc(arena, (r->failure.size / 4 + 1) * sizeof(*samples));

    *out = (instar_change_failure){
        .code = r->error, .count = r->duplicate_count, .samples = samples, .reason = r->reason};
    while (samples != NULL && base_reader_left(&in) != 0) {
        if (!get_sample(&in, arena, &samples[out->sample_count])) {
            return base_err_set(err, INSTAR_ECORRUPT, "record of change %llu: its samples",
                                (unsigned long long)r->id);
        }
        out->sample_count++;
    }
    return samples != NULL ? 0
                           : base_err_set(err, INSTAR_ENOMEM, "reading change %llu: out of memory",
                                          (unsigned long long)r->id);
}
