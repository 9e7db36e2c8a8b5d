/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the log where its bytes may not be trusted: after a crash, after a failed flush, in a
 * check. By pread into private memory, so that an unreadable page is an error and no signal, and so
 * that what was verified is what is used: through the map, a page could be verified, evicted, and
 * come back from disk as something else.
 */
#define _GNU_SOURCE
#include "store/log.h"

#include <fcntl.h>
#include <string.h>

#define WINDOW ((size_t)1 << 20)
#define ALIGN ((size_t)4096)

void scan_init(struct scan *c, struct store *s, uint64_t from, uint64_t chain, bool chained)
{
    *c = (struct scan){.s = s, .at = from, .chain = chain, .chained = chained, .direct_fd = -1};
}

static void close_direct(struct scan *c)
{
    if (c->direct_fd >= 0) {
        os_close(c->direct_fd);
        c->direct_fd = -1;
    }
}

static int open_direct(struct scan *c, struct base_err *err)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, c->seg->start, "seg");
    close_direct(c);
    int rc = os_openat(c->s->log_fd, name, O_RDONLY | O_DIRECT, &c->direct_fd);
    return rc == 0 ? 0
                   : base_err_errno(err, -rc, "log/%s: cannot be read past the page cache", name);
}

static int stand_on(struct scan *c, uint64_t at, struct base_err *err)
{
    uint64_t start = segment_base(at, c->s->segment_bytes);
    if (c->seg != NULL && c->seg->start == start) {
        return 0;
    }
    if (c->seg != NULL) {
        segment_unpin_one(c->s, c->seg);
        c->seg = NULL;
    }
    c->buffer_size = 0;
    int rc = segment_pin(c->s, start, false, &c->seg, err);
    return rc == 0 && c->direct ? open_direct(c, err) : rc;
}

static int grow(struct scan *c, size_t size, struct base_err *err)
{
    if (size <= c->capacity) {
        return 0;
    }
    base_free(c->memory);
    c->buffer_size = 0;
    c->capacity = 0;
    c->memory = base_alloc(size + ALIGN);
    if (c->memory == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory for %zu bytes of log", size);
    }
    c->buffer = (uint8_t *)(((uintptr_t)c->memory + ALIGN - 1) & ~(uintptr_t)(ALIGN - 1));
    c->capacity = size;
    return 0;
}

/* Have [at, at + size) of the present segment in the buffer. */
static int fetch(struct scan *c, uint64_t at, size_t size, const uint8_t **out,
                 struct base_err *err)
{
    if (at >= c->buffer_at && at + size <= c->buffer_at + c->buffer_size) {
        *out = c->buffer + (at - c->buffer_at);
        return 0;
    }
    uint64_t from = at & ~(uint64_t)(ALIGN - 1);
    uint64_t left = (c->fetch_end != 0 ? c->fetch_end : c->seg->start + c->s->segment_bytes) - from;
    size_t want = (size_t)(at - from) + size;
    want = (want + ALIGN - 1) & ~(ALIGN - 1);
    want = want < WINDOW ? WINDOW : want;
    want = want > left ? (size_t)left : want;
    size_t got;
    int rc = grow(c, want, err);
    if (rc != 0) {
        return rc;
    }
    c->buffer_size = 0;
    rc = os_pread(c->direct ? c->direct_fd : c->seg->fd, c->buffer, want,
                  (off_t)(from - c->seg->start), &got);
    if (rc != 0) {
        return base_err_errno(err, -rc, "log position %llu: cannot be read",
                              (unsigned long long)at);
    }
    c->buffer_at = from;
    c->buffer_size = got;
    if (at + size > from + got) {
        return base_err_set(err, INSTAR_ECORRUPT, "log position %llu: the file ends before it",
                            (unsigned long long)(from + got));
    }
    *out = c->buffer + (at - from);
    return 0;
}

int scan_next(struct scan *c, uint64_t limit, struct record *out, struct base_err *err)
{
    const uint8_t *at;
    struct record_sums sums;
    struct record_place place = record_place(c->s, c->at);
    *out = (struct record){0};
    if (c->at >= limit) {
        return INSTAR_END;
    }
    int rc = stand_on(c, c->at, err);
    if (rc == 0) {
        rc = fetch(c, c->at, RECORD_HEADER, &at, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (!record_header_read(at, &place, out, &sums)) {
        return base_err_set(err, INSTAR_ECORRUPT, "log position %llu: no record header there",
                            (unsigned long long)c->at);
    }
    if (out->end > limit) {
        return INSTAR_END;
    }
    size_t size = (size_t)(out->end - out->start);
    rc = fetch(c, c->at, size, &at, err);
    if (rc == 0) {
        rc = record_read(base_slice(at, size), &place, c->chained ? c->chain : sums.before, out,
                         err);
    }
    if (rc == 0) {
        c->at = out->end;
        c->chain = out->chain;
        c->chained = true;
    }
    return rc;
}

int scan_write_back(struct scan *c, const struct record *r, struct base_err *err)
{
    base_assert(c->seg->start <= r->start && r->start >= c->buffer_at);
    base_assert(r->end <= c->buffer_at + c->buffer_size);
    int rc = os_pwrite(c->seg->fd, c->buffer + (r->start - c->buffer_at),
                       (size_t)(r->end - r->start), (off_t)(r->start - c->seg->start));
    return rc == 0 ? 0
                   : base_err_errno(err, -rc, "log position %llu: cannot be written back",
                                    (unsigned long long)r->start);
}

static void note_header(const struct record *r, struct scan_traces *traces)
{
    traces->durable =
        r->durable_when_written > traces->durable ? r->durable_when_written : traces->durable;
    traces->end = r->end > traces->end ? r->end : traces->end;
    traces->commits += r->kind != RECORD_PAD && r->kind != RECORD_VOID;
    traces->publications += r->publication && r->kind != RECORD_VOID;
}

/* All headers that can be read in the buffer from `at` on; returns the place to go on from. */
static uint64_t look_through_buffer(const struct scan *c, uint64_t at, struct scan_traces *traces)
{
    struct record r;
    struct record_sums sums;
    uint64_t until = c->buffer_at + c->buffer_size;
    const uint8_t *bytes = c->buffer + (at - c->buffer_at);
    for (; at + RECORD_HEADER <= until; at += RECORD_ALIGN, bytes += RECORD_ALIGN) {
        /* The position first: nearly always it says no. */
        struct record_place place = record_place(c->s, at);
        if (base_get_u64(bytes + 8) == at && record_header_read(bytes, &place, &r, &sums)) {
            note_header(&r, traces);
        }
    }
    return at;
}

int scan_evidence(struct scan *c, uint64_t from, struct scan_traces *traces, struct base_err *err)
{
    int rc = stand_on(c, from, err);
    uint64_t start = segment_base(from, c->s->segment_bytes);
    off_t end = (off_t)c->s->segment_bytes;
    uint64_t at = from;
    while (rc == 0) {
        const uint8_t *bytes;
        off_t data;
        off_t data_end;
        /* Most of a segment was never written: that is passed over without being read. A header has
         * no zeros at either end, so none begins or ends in there. */
        rc = os_seek_data(c->seg->fd, (off_t)(at - start), end, &data, &data_end);
        if (rc != 0) {
            rc = base_err_errno(err, -rc, "log position %llu: cannot be looked at",
                                (unsigned long long)at);
        }
        if (rc != 0 || data == end) {
            break;
        }
        at = start + (((uint64_t)data + RECORD_ALIGN - 1) & ~(uint64_t)(RECORD_ALIGN - 1));
        c->fetch_end = start + (uint64_t)data_end;
        c->buffer_size = 0;
        while (rc == 0 && at + RECORD_HEADER <= c->fetch_end) {
            rc = fetch(c, at, RECORD_HEADER, &bytes, err);
            at = rc == 0 ? look_through_buffer(c, at, traces) : at;
        }
        at = c->fetch_end;
    }
    c->fetch_end = 0;
    c->buffer_size = 0;
    return rc;
}

void scan_done(struct scan *c)
{
    if (c->seg != NULL) {
        segment_unpin_one(c->s, c->seg);
    }
    close_direct(c);
    base_free(c->memory);
    c->memory = NULL;
    c->seg = NULL;
    c->capacity = 0;
}
