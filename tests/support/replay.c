/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image of a disk is kept in memory: objects with their bytes, and entries. What is durable and
 * has nothing undecided before it is folded into the base image once and for all; for each state
 * the undecided rest is put on top of a copy in which only the objects that change are copied.
 */
#define _GNU_SOURCE
#include "support/replay.h"

#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEVER UINT64_MAX
#define BLOCK 4096u

struct content {
    uint8_t *data;
    size_t size;
    size_t room;
    bool owned; /* by this image; else it is the base's */
};

struct image {
    struct content *objects;
    struct trace_entry *entries; /* names are the trace's */
    size_t entry_count;
};

struct undecided {
    const struct trace_event *event;
    bool durable;
};

struct replay {
    const struct trace *trace;
    uint64_t *durable_at; /* for each event: the step from which it is on the disk */
    size_t next;          /* first event that has not begun */
    struct undecided *rest;
    size_t rest_count;
    const struct trace_event **pending;
    size_t pending_count;
    size_t entry_room;
    struct image base;
    struct image state;
};

/* ---- which sync covers what --------------------------------------------------------------- */

static bool is_content(const struct trace_event *e)
{
    return e->kind <= TRACE_TRUNCATE;
}

static bool is_entry(const struct trace_event *e)
{
    return e->kind >= TRACE_LINK && e->kind <= TRACE_UNLINK;
}

static bool covers(const struct trace_event *sync, const struct trace_event *e)
{
    if (sync->failed || sync->end == 0 || e->end == 0 || sync->begin < e->end) {
        return false;
    }
    if (is_content(e)) {
        return sync->kind == TRACE_SYNC && sync->object == e->object;
    }
    return sync->kind == TRACE_SYNC_DIR &&
           (sync->object == e->dir || (e->kind == TRACE_MOVE && sync->object == e->dir2));
}

static uint64_t durable_step(const struct trace *t, const struct trace_event *e)
{
    uint64_t step = NEVER;
    if (e->synchronous && e->end != 0) {
        step = e->end;
    }
    for (size_t i = 0; i < t->event_count; i++) {
        if (covers(&t->events[i], e) && t->events[i].end < step) {
            step = t->events[i].end;
        }
    }
    return step;
}

/* ---- images ------------------------------------------------------------------------------- */

static void reserve(struct content *c, size_t size)
{
    if (size <= c->room) {
        return;
    }
    size_t room = c->room * 2 > size ? c->room * 2 : size;
    c->data = realloc(c->data, room);
    expect(c->data != NULL);
    memset(c->data + c->room, 0, room - c->room);
    c->room = room;
}

/* Make the object's bytes this image's own before they change. */
static struct content *own(struct image *image, uint32_t object)
{
    struct content *c = &image->objects[object];
    if (!c->owned) {
        struct content copy = {.size = c->size, .owned = true};
        reserve(&copy, c->size);
        if (c->size != 0) {
            memcpy(copy.data, c->data, c->size);
        }
        *c = copy;
    }
    return c;
}

static void set_size(struct content *c, size_t size)
{
    if (size < c->size) {
        memset(c->data + size, 0, c->size - size);
    } else {
        reserve(c, size);
    }
    c->size = size;
}

static void put(struct content *c, const struct trace_event *e, size_t from, size_t size)
{
    size_t at = (size_t)e->offset + from;
    if (at + size > c->size) {
        set_size(c, at + size);
    }
    if (e->kind == TRACE_WRITE) {
        memcpy(c->data + at, e->data + from, size);
    } else {
        memset(c->data + at, 0, size);
    }
}

/* Units are cut where the file's offset is a multiple, as sectors are. */
static void put_torn(struct content *c, const struct trace_event *e,
                     const struct replay_choice *choice)
{
    struct test_random random = {.state = choice->seed};
    size_t unit = choice->unit;
    size_t units = (size_t)((e->offset % unit + e->size + unit - 1) / unit);
    size_t prefix = (size_t)test_random_below(&random, units);
    size_t from = 0;
    for (size_t i = 0; i < units; i++) {
        size_t until = (i + 1) * unit - (size_t)(e->offset % unit);
        until = until < e->size ? until : (size_t)e->size;
        bool survives =
            choice->fate == REPLAY_PREFIX ? i < prefix : (test_random_next(&random) & 1) != 0;
        if (survives) {
            put(c, e, from, until - from);
        }
        from = until;
    }
}

static void drop_entry(struct image *image, uint32_t dir, const char *name)
{
    for (size_t i = 0; i < image->entry_count; i++) {
        if (image->entries[i].dir == dir && strcmp(image->entries[i].name, name) == 0) {
            image->entries[i] = image->entries[--image->entry_count];
            return;
        }
    }
}

static void set_entry(struct image *image, uint32_t dir, char *name, uint32_t object)
{
    drop_entry(image, dir, name);
    image->entries[image->entry_count++] =
        (struct trace_entry){.dir = dir, .object = object, .name = name};
}

static void apply(struct image *image, const struct trace_event *e,
                  const struct replay_choice *choice)
{
    bool torn = choice->fate == REPLAY_PREFIX || choice->fate == REPLAY_PIECES;
    if (choice->fate == REPLAY_LOST) {
        return;
    }
    switch (e->kind) {
    case TRACE_WRITE:
    case TRACE_ZERO:
        if (torn) {
            put_torn(own(image, e->object), e, choice);
        } else {
            put(own(image, e->object), e, 0, (size_t)e->size);
        }
        break;
    case TRACE_GROW: {
        struct content *c = own(image, e->object);
        if (e->offset + e->size > c->size) {
            set_size(c, (size_t)(e->offset + e->size));
        }
        break;
    }
    case TRACE_TRUNCATE:
        set_size(own(image, e->object), (size_t)e->offset);
        break;
    case TRACE_LINK:
        set_entry(image, e->dir, e->name, e->object);
        break;
    case TRACE_MOVE:
        drop_entry(image, e->dir, e->name);
        set_entry(image, e->dir2, e->name2, e->object);
        break;
    case TRACE_UNLINK:
        drop_entry(image, e->dir, e->name);
        break;
    default:
        break;
    }
}

static void forget_state(struct replay *p)
{
    for (size_t i = 0; i < p->trace->object_count; i++) {
        if (p->state.objects[i].owned) {
            free(p->state.objects[i].data);
        }
        p->state.objects[i] = (struct content){0};
    }
}

/* ---- cuts --------------------------------------------------------------------------------- */

struct replay *replay_new(const struct trace *t)
{
    struct replay *p = calloc(1, sizeof(*p));
    expect(p != NULL);
    p->trace = t;
    p->durable_at = calloc(t->event_count + 1, sizeof(*p->durable_at));
    p->rest = calloc(t->event_count + 1, sizeof(*p->rest));
    p->pending = calloc(t->event_count + 1, sizeof(*p->pending));
    p->entry_room = t->first_count + t->event_count + 1;
    p->base.objects = calloc(t->object_count + 1, sizeof(*p->base.objects));
    p->state.objects = calloc(t->object_count + 1, sizeof(*p->state.objects));
    p->base.entries = calloc(p->entry_room, sizeof(*p->base.entries));
    p->state.entries = calloc(p->entry_room, sizeof(*p->state.entries));
    for (size_t i = 0; i < t->event_count; i++) {
        p->durable_at[i] = durable_step(t, &t->events[i]);
    }
    for (size_t i = 0; i < t->first_count; i++) {
        p->base.entries[p->base.entry_count++] = t->first_entries[i];
    }
    for (size_t i = 0; i < t->object_count; i++) {
        struct content *c = &p->base.objects[i];
        c->owned = true;
        reserve(c, t->objects[i].size);
        if (t->objects[i].size != 0) {
            memcpy(c->data, t->objects[i].data, t->objects[i].size);
        }
        c->size = t->objects[i].size;
    }
    return p;
}

void replay_free(struct replay *p)
{
    forget_state(p);
    for (size_t i = 0; i < p->trace->object_count; i++) {
        free(p->base.objects[i].data);
    }
    free(p->base.objects);
    free(p->base.entries);
    free(p->state.objects);
    free(p->state.entries);
    free(p->durable_at);
    free(p->rest);
    free(p->pending);
    free(p);
}

/* Would the order of these two show? */
static bool touches(const struct trace_event *a, const struct trace_event *b)
{
    if (is_content(a) != is_content(b)) {
        return false;
    }
    return is_entry(a) || a->object == b->object;
}

static bool may_fold(const struct replay *p, size_t i)
{
    for (size_t j = 0; j < i; j++) {
        if (touches(p->rest[j].event, p->rest[i].event)) {
            return false;
        }
    }
    return p->rest[i].durable;
}

void replay_cut(struct replay *p, uint64_t step)
{
    const struct trace *t = p->trace;
    forget_state(p);
    for (; p->next < t->event_count && t->events[p->next].begin <= step; p->next++) {
        const struct trace_event *e = &t->events[p->next];
        if (!e->failed && (is_content(e) || is_entry(e))) {
            p->rest[p->rest_count++] = (struct undecided){.event = e};
        }
    }
    for (size_t i = 0; i < p->rest_count; i++) {
        size_t number = (size_t)(p->rest[i].event - t->events);
        p->rest[i].durable = p->durable_at[number] <= step;
    }
    static const struct replay_choice whole = {.fate = REPLAY_WHOLE};
    for (size_t i = 0; i < p->rest_count;) {
        if (may_fold(p, i)) {
            apply(&p->base, p->rest[i].event, &whole);
            memmove(&p->rest[i], &p->rest[i + 1], (p->rest_count - i - 1) * sizeof(p->rest[0]));
            p->rest_count--;
        } else {
            i++;
        }
    }
    p->pending_count = 0;
    for (size_t i = 0; i < p->rest_count; i++) {
        if (!p->rest[i].durable) {
            p->pending[p->pending_count++] = p->rest[i].event;
        }
    }
}

size_t replay_pending(const struct replay *p)
{
    return p->pending_count;
}

const struct trace_event *replay_pending_event(const struct replay *p, size_t i)
{
    return p->pending[i];
}

bool replay_can_tear(const struct trace_event *e, enum replay_fate fate)
{
    if (e->kind != TRACE_WRITE && e->kind != TRACE_ZERO) {
        return fate == REPLAY_LOST || fate == REPLAY_WHOLE;
    }
    return fate != REPLAY_PIECES || !e->lmdb_meta;
}

void replay_choose(struct replay *p, const struct replay_choice *choices)
{
    static const struct replay_choice whole = {.fate = REPLAY_WHOLE};
    forget_state(p);
    for (size_t i = 0; i < p->trace->object_count; i++) {
        p->state.objects[i] = p->base.objects[i];
        p->state.objects[i].owned = false;
    }
    p->state.entry_count = p->base.entry_count;
    memcpy(p->state.entries, p->base.entries, p->base.entry_count * sizeof(p->base.entries[0]));
    size_t pending = 0;
    for (size_t i = 0; i < p->rest_count; i++) {
        const struct replay_choice *choice = p->rest[i].durable ? &whole : &choices[pending++];
        expect(replay_can_tear(p->rest[i].event, choice->fate));
        apply(&p->state, p->rest[i].event, choice);
    }
}

/* ---- states ------------------------------------------------------------------------------- */

/* Only what can be reached from the root counts; the sum does not depend on the order of entries.
 */
static uint64_t hash_dir(const struct replay *p, uint32_t dir)
{
    const struct image *image = &p->state;
    uint64_t sum = 0;
    for (size_t i = 0; i < image->entry_count; i++) {
        const struct trace_entry *e = &image->entries[i];
        if (e->dir != dir) {
            continue;
        }
        const struct content *c = &image->objects[e->object];
        uint64_t below = p->trace->objects[e->object].is_dir
                             ? hash_dir(p, e->object)
                             : base_hash64(c->data, c->size, c->size + 1);
        sum += base_hash64(e->name, strlen(e->name), below);
    }
    return sum * 0x9e3779b97f4a7c15u + 1;
}

uint64_t replay_state_hash(const struct replay *p)
{
    return hash_dir(p, 0);
}

static bool all_zero(const uint8_t *at, size_t size)
{
    return size == 0 || (at[0] == 0 && memcmp(at, at + 1, size - 1) == 0);
}

static void write_file(int dirfd, const char *name, const struct content *c)
{
    int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    expect(fd >= 0);
    expect(ftruncate(fd, (off_t)c->size) == 0);
    /* Runs of blocks that are not zero; the rest stays a hole. */
    for (size_t at = 0; at < c->size;) {
        size_t end = at;
        while (end < c->size) {
            size_t step = c->size - end < BLOCK ? c->size - end : BLOCK;
            if (all_zero(c->data + end, step)) {
                break;
            }
            end += step;
        }
        if (end > at) {
            expect(pwrite(fd, c->data + at, end - at, (off_t)at) == (ssize_t)(end - at));
            at = end;
        } else {
            at += BLOCK;
        }
    }
    close(fd);
}

static void write_dir(const struct replay *p, uint32_t dir, int dirfd)
{
    const struct image *image = &p->state;
    for (size_t i = 0; i < image->entry_count; i++) {
        const struct trace_entry *e = &image->entries[i];
        if (e->dir != dir) {
            continue;
        }
        if (!p->trace->objects[e->object].is_dir) {
            write_file(dirfd, e->name, &image->objects[e->object]);
            continue;
        }
        expect(mkdirat(dirfd, e->name, 0700) == 0);
        int below = openat(dirfd, e->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        expect(below >= 0);
        write_dir(p, e->object, below);
        close(below);
    }
}

void replay_write(const struct replay *p, const char *path)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        test_fail(__FILE__, __LINE__, "mkdir %s: %s", path, strerror(errno));
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    expect(fd >= 0);
    write_dir(p, 0, fd);
    close(fd);
}
