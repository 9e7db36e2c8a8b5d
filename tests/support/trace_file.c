/* SPDX-License-Identifier: Apache-2.0 */
/* Traces as things: in words, kept in a file, put together, freed. */
#define _GNU_SOURCE
#include "support/trace_impl.h"

#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void trace_free(struct trace *t)
{
    for (size_t i = 0; i < t->event_count; i++) {
        free(t->events[i].name);
        free(t->events[i].name2);
        free(t->events[i].data);
    }
    for (size_t i = 0; i < t->object_count; i++) {
        free(t->objects[i].data);
    }
    for (size_t i = 0; i < t->entry_count; i++) {
        free(t->entries[i].name);
    }
    for (size_t i = 0; i < t->first_count; i++) {
        free(t->first_entries[i].name);
    }
    free(t->events);
    free(t->objects);
    free(t->entries);
    free(t->first_entries);
    free(t);
}

static const char *name_of(const struct trace *t, uint32_t object)
{
    if (object == 0) {
        return "/";
    }
    for (size_t i = 0; i < t->event_count; i++) {
        const struct trace_event *e = &t->events[i];
        if (e->kind == TRACE_LINK && e->object == object) {
            return e->name;
        }
    }
    for (size_t i = 0; i < t->first_count; i++) {
        if (t->first_entries[i].object == object) {
            return t->first_entries[i].name;
        }
    }
    return "?";
}

void trace_describe(const struct trace *t, const struct trace_event *e, char *text, size_t size)
{
    static const char *const kinds[] = {"write", "zero",   "grow", "truncate", "link",
                                        "move",  "unlink", "sync", "sync-dir", "mark"};
    const char *kind = kinds[e->kind];
    switch (e->kind) {
    case TRACE_MARK:
        snprintf(text, size, "mark %llu %llu", (unsigned long long)e->mark,
                 (unsigned long long)e->value);
        break;
    case TRACE_LINK:
    case TRACE_MOVE:
    case TRACE_UNLINK:
        snprintf(text, size, "%s %s in %s%s%s", kind, e->name, name_of(t, e->dir),
                 e->name2 != NULL ? " to " : "", e->name2 != NULL ? e->name2 : "");
        break;
    default:
        snprintf(text, size, "%s %s at %llu size %llu%s%s", kind, name_of(t, e->object),
                 (unsigned long long)e->offset, (unsigned long long)e->size,
                 e->synchronous ? " (synchronous)" : "", e->failed ? " (failed)" : "");
        break;
    }
}

/* ---- saved and loaded --------------------------------------------------------------------- */

static void put_bytes(FILE *f, const void *data, size_t size)
{
    uint64_t length = size;
    fwrite(&length, sizeof(length), 1, f);
    if (size != 0) {
        fwrite(data, 1, size, f);
    }
}

static void put_text(FILE *f, const char *text)
{
    put_bytes(f, text != NULL ? text : "", text != NULL ? strlen(text) + 1 : 0);
}

static void put_entries(FILE *f, const struct trace_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fwrite(&entries[i], sizeof(entries[i]), 1, f);
        put_text(f, entries[i].name);
    }
}

void trace_save(const struct trace *t, int fd)
{
    FILE *f = fdopen(fd, "w");
    expect(f != NULL);
    fwrite(t, sizeof(*t), 1, f);
    for (size_t i = 0; i < t->object_count; i++) {
        fwrite(&t->objects[i].is_dir, sizeof(bool), 1, f);
        put_bytes(f, t->objects[i].data, t->objects[i].size);
    }
    put_entries(f, t->entries, t->entry_count);
    put_entries(f, t->first_entries, t->first_count);
    for (size_t i = 0; i < t->event_count; i++) {
        const struct trace_event *e = &t->events[i];
        fwrite(e, sizeof(*e), 1, f);
        put_text(f, e->name);
        put_text(f, e->name2);
        put_bytes(f, e->data, e->data != NULL ? e->size : 0);
    }
    fflush(f);
}

/* NULL when there were none. */
static void *get_bytes(FILE *f, size_t *size_out)
{
    uint64_t size;
    expect(fread(&size, sizeof(size), 1, f) == 1);
    uint8_t *data = size != 0 ? malloc(size) : NULL;
    expect(size == 0 || (data != NULL && fread(data, 1, size, f) == size));
    if (size_out != NULL) {
        *size_out = size;
    }
    return data;
}

static struct trace_entry *get_entries(FILE *f, size_t count)
{
    struct trace_entry *entries = calloc(count + 1, sizeof(*entries));
    expect(entries != NULL);
    for (size_t i = 0; i < count; i++) {
        expect(fread(&entries[i], sizeof(entries[i]), 1, f) == 1);
        entries[i].name = get_bytes(f, NULL);
    }
    return entries;
}

static struct trace *get_trace(FILE *f)
{
    struct trace *t = calloc(1, sizeof(*t));
    expect(t != NULL);
    if (fread(t, sizeof(*t), 1, f) != 1) {
        free(t);
        return NULL;
    }
    t->object_room = t->object_count;
    t->entry_room = t->entry_count;
    t->event_room = t->event_count;
    t->objects = calloc(t->object_count + 1, sizeof(*t->objects));
    for (size_t i = 0; i < t->object_count; i++) {
        expect(fread(&t->objects[i].is_dir, sizeof(bool), 1, f) == 1);
        t->objects[i].data = get_bytes(f, &t->objects[i].size);
    }
    t->entries = get_entries(f, t->entry_count);
    t->first_entries = get_entries(f, t->first_count);
    t->events = calloc(t->event_count + 1, sizeof(*t->events));
    for (size_t i = 0; i < t->event_count; i++) {
        struct trace_event *e = &t->events[i];
        expect(fread(e, sizeof(*e), 1, f) == 1);
        e->name = get_bytes(f, NULL);
        e->name2 = get_bytes(f, NULL);
        e->data = get_bytes(f, NULL);
    }
    return t;
}

struct trace *trace_load(int fd)
{
    FILE *f = fdopen(dup(fd), "r");
    expect(f != NULL);
    rewind(f);
    struct trace *t = get_trace(f);
    fclose(f);
    if (t == NULL) {
        return NULL;
    }
    size_t unfinished = 0;
    for (size_t i = 0; i < t->event_count; i++) {
        unfinished += t->events[i].end == 0;
    }
    expect(t->event_count > 0);
    t->events[t->event_count - 1].failed = true; /* before it the process was killed */
    if (unfinished > 1) {
        trace_free(t);
        return NULL;
    }
    return t;
}

/* ---- joined ------------------------------------------------------------------------------- */

/* The object of `before` that object number i of `after` was at its beginning. One that is not
 * known would have been made without a finished operation: there is none. */
static uint32_t same_object(const struct trace *after, uint32_t object, struct trace *before)
{
    if (object == 0) {
        return 0;
    }
    for (size_t i = 0; i < after->first_count; i++) {
        const struct trace_entry *e = &after->first_entries[i];
        if (e->object == object) {
            uint32_t dir = same_object(after, e->dir, before);
            struct trace_entry *there = trace_find_entry(before, dir, e->name);
            expect(there != NULL);
            return there->object;
        }
    }
    return trace_add_object(before, after->objects[object].is_dir);
}

struct trace *trace_join(struct trace *before, struct trace *after)
{
    uint32_t *objects = calloc(after->object_count + 1, sizeof(*objects));
    expect(objects != NULL);
    for (uint32_t i = 0; i < after->object_count; i++) {
        objects[i] = same_object(after, i, before);
    }
    uint64_t step = before->step;
    for (size_t i = 0; i < after->event_count; i++) {
        struct trace_event *from = &after->events[i];
        struct trace_event *e = trace_add_event(before, from->kind);
        *e = *from;
        e->object = from->object < after->object_count ? objects[from->object] : from->object;
        e->dir = objects[from->dir];
        e->dir2 = objects[from->dir2];
        e->begin += step;
        e->end += from->end != 0 ? step : 0;
        *from = (struct trace_event){.kind = TRACE_MARK}; /* what it owned has moved */
    }
    before->step = step + after->step;
    free(objects);
    trace_free(after);
    return before;
}
