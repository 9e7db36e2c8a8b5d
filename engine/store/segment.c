/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments: files of one size at multiples of it, and this process's maps of them. A map is shared
 * by all who pin it; it goes when nobody does and nobody will. The descriptor lives as long as the
 * map: the kernel reports a failed write-back only to descriptors that were open at the time.
 *
 * Making a file: allocated and synced under another name, renamed, the directory synced. So a file
 * that has a segment's name is whole. Only the holder of the prepare lock, or the only opener,
 * makes one. Removing (rotate.c, segment_retire) comes after the word that says so: floor for a
 * segment, lo for a memtable; so whoever misses a file can tell "retired" from "lost".
 */
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

void segment_name(char out[SEGMENT_NAME_SIZE], uint64_t start, const char *ending)
{
    snprintf(out, SEGMENT_NAME_SIZE, "%016llx.%s", (unsigned long long)start, ending);
}

bool segment_name_parse(const char *name, const char *ending, uint64_t *start_out)
{
    unsigned long long start;
    int used = 0;
    *start_out = 0;
    if (sscanf(name, "%16llx.%n", &start, &used) != 1 || used != 17 ||
        strcmp(name + used, ending) != 0) {
        return false;
    }
    char again[SEGMENT_NAME_SIZE];
    segment_name(again, start, ending);
    *start_out = start;
    return strcmp(again, name) == 0;
}

/* ---- making ------------------------------------------------------------------------------- */

static bool has_size(int dirfd, const char *name, uint64_t size)
{
    struct stat st;
    return os_fstatat(dirfd, name, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
}

int segment_make_file(struct store *s, uint64_t start, struct base_err *err)
{
    char name[SEGMENT_NAME_SIZE];
    char fresh[SEGMENT_NAME_SIZE];
    segment_name(name, start, "seg");
    segment_name(fresh, start, "new");
    if (!has_size(s->log_fd, name, s->segment_bytes)) {
        int fd;
        int rc = file_make_allocated(s->log_fd, fresh, s->segment_bytes, &fd, err);
        if (rc != 0) {
            return rc;
        }
        rc = os_fdatasync(fd);
        os_close(fd);
        if (rc == 0) {
            rc = os_renameat(s->log_fd, fresh, s->log_fd, name);
        }
        if (rc != 0) {
            os_unlinkat(s->log_fd, fresh, 0);
            return base_err_errno(err, -rc, "log/%s: cannot be made", name);
        }
    }
    os_point("segment.made");
    int rc = os_fsync_dir(s->log_fd);
    return rc == 0 ? 0 : base_err_errno(err, -rc, "log: directory cannot be synced");
}

int segment_make_mem(struct store *s, uint64_t start, uint64_t nonce, struct base_err *err)
{
    char name[SEGMENT_NAME_SIZE];
    char fresh[SEGMENT_NAME_SIZE];
    size_t size = memtable_size(s->segment_bytes);
    int fd;
    void *mem = NULL;
    segment_name(name, start, "mem");
    segment_name(fresh, start, "tmp");
    if (has_size(s->runtime_fd, name, size)) {
        return 0;
    }
    int rc = file_make_allocated(s->runtime_fd, fresh, size, &fd, err);
    if (rc != 0) {
        base_err_prefix(err, "memtable in %s", s->runtime_path);
        return rc;
    }
    rc = os_map(fd, MEMTABLE_HEADER, true, false, &mem);
    if (rc == 0) {
        memtable_format(mem, size, start, nonce); /* all else is zeros */
        rc = os_unmap(mem, MEMTABLE_HEADER);
    }
    if (rc == 0) {
        rc = os_renameat(s->runtime_fd, fresh, s->runtime_fd, name);
    }
    os_close(fd);
    if (rc != 0) {
        os_unlinkat(s->runtime_fd, fresh, 0);
        return base_err_errno(err, -rc, "memtable %s in %s: cannot be made", name, s->runtime_path);
    }
    return 0;
}

/* ---- mapping ------------------------------------------------------------------------------ */

/* Through a descriptor that cannot write: before the kernel writes a page out, it walks the page
 * tables of all processes that may write to it through a map. With 32 of them that is a seventh of
 * what a commit costs. */
static int map_bytes(struct store *s, const char *name, const uint8_t **bytes_out,
                     struct base_err *err)
{
    struct stat st;
    void *bytes = NULL;
    int fd;
    int rc = file_open(s->log_fd, name, O_RDONLY, &fd, err);
    if (rc != 0) {
        return rc;
    }
    rc = os_fstat(fd, &st);
    bool whole = rc == 0 && (uint64_t)st.st_size == s->segment_bytes;
    if (whole) {
        rc = os_map(fd, s->segment_bytes, false, false, &bytes);
    }
    os_close(fd);
    if (rc != 0) {
        return base_err_errno(err, -rc, "log/%s: cannot be mapped", name);
    }
    *bytes_out = bytes;
    return whole
               ? 0
               : base_err_set(err, INSTAR_ECORRUPT, "log/%s: has %llu bytes, expected %llu", name,
                              (unsigned long long)st.st_size, (unsigned long long)s->segment_bytes);
}

static int map_file(struct store *s, struct segment *seg, struct base_err *err)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, seg->start, "seg");
    int rc = file_open(s->log_fd, name, O_RDWR, &seg->fd, err);
    if (rc == INSTAR_ENOTFOUND && s->ctl != NULL &&
        seg->start + s->segment_bytes > control_load(&s->ctl->floor) &&
        seg->start <= control_load(&s->ctl->prepared)) {
        return base_err_set(err, INSTAR_ECORRUPT, "log/%s: is missing", name);
    }
    if (rc != 0) {
        return rc;
    }
    rc = map_bytes(s, name, &seg->bytes, err);
    if (rc != 0) {
        os_close(seg->fd);
        return rc;
    }
    os_advise_random(seg->fd);
    seg->size = s->segment_bytes;
    return 0;
}

static int map_mem(struct store *s, struct segment *seg, struct base_err *err)
{
    char name[SEGMENT_NAME_SIZE];
    struct stat st;
    int fd;
    void *mem = NULL;
    size_t size = memtable_size(s->segment_bytes);
    segment_name(name, seg->start, "mem");
    int rc = file_open(s->runtime_fd, name, O_RDWR, &fd, err);
    if (rc == INSTAR_ENOTFOUND && seg->start + s->segment_bytes > control_load(&s->ctl->lo) &&
        seg->start <= control_load(&s->ctl->prepared)) {
        return base_err_set(
            err, INSTAR_EIO,
            "memtable %s is missing from %s: it was deleted while in use; close the "
            "store in all processes and open it again",
            name, s->runtime_path);
    }
    if (rc != 0) {
        return rc;
    }
    rc = os_fstat(fd, &st);
    if (rc == 0 && (uint64_t)st.st_size != size) {
        rc = -EINVAL;
    }
    if (rc == 0) {
        rc = os_map(fd, size, true, false, &mem);
    }
    os_close(fd);
    if (rc == 0 && !memtable_valid(mem, size, seg->start, s->ctl->builder)) {
        os_unmap(mem, size);
        rc = -EINVAL;
    }
    if (rc != 0) {
        return base_err_errno(err, -rc, "memtable %s in %s: cannot be used", name, s->runtime_path);
    }
    seg->mem = mem;
    seg->mem_size = size;
    return 0;
}

/* What is not in the list any more. */
static void free_segment(struct segment *seg)
{
    if (seg->mem != NULL) {
        os_unmap(seg->mem, seg->mem_size);
    }
    if (seg->bytes != NULL) {
        os_unmap((void *)(uintptr_t)seg->bytes, seg->size);
        os_close(seg->fd);
    }
    base_free(seg);
}

/* Under segments_lock: the map of a segment, made when there is none. Newest first. */
static int find_or_map(struct store *s, uint64_t start, struct segment **out, struct base_err *err)
{
    struct segment **at = &s->segments;
    while (*at != NULL && (*at)->start > start) {
        at = &(*at)->next;
    }
    *out = *at;
    if (*at != NULL && (*at)->start == start) {
        return 0;
    }
    struct segment *seg = base_alloc_zero(1, sizeof(*seg));
    *out = NULL;
    if (seg == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory to map a segment");
    }
    seg->start = start;
    int rc = map_file(s, seg, err);
    if (rc != 0) {
        base_free(seg);
        return rc;
    }
    seg->next = *at;
    *at = seg;
    *out = seg;
    return 0;
}

int segment_pin(struct store *s, uint64_t start, bool with_mem, struct segment **out,
                struct base_err *err)
{
    base_assert(start == segment_base(start, s->segment_bytes));
    os_plain_lock(&s->segments_lock);
    int rc = find_or_map(s, start, out, err);
    if (rc == 0 && with_mem && (*out)->mem == NULL) {
        rc = map_mem(s, *out, err);
    }
    if (rc == 0) {
        (*out)->pins++;
    } else {
        *out = NULL;
    }
    os_plain_unlock(&s->segments_lock);
    return rc;
}

int segment_pin_ahead(struct store *s, uint64_t start)
{
    struct segment *seg;
    int rc = segment_pin(s, start, true, &seg, NULL);
    if (rc == 0) {
        /* Outside segments_lock: it takes some milliseconds, and others want to pin meanwhile. */
        os_map_touch(seg->mem, seg->mem_size);
        segment_unpin_one(s, seg);
    }
    return rc;
}

void segment_unpin_one(struct store *s, struct segment *seg)
{
    os_plain_lock(&s->segments_lock);
    base_assert(seg->pins > 0);
    seg->pins--;
    os_plain_unlock(&s->segments_lock);
}

static int pin_range(struct store *s, uint64_t from, uint64_t to, bool with_mem,
                     struct segment_pins *pins, struct base_err *err)
{
    pins->count = 0;
    if (to <= from) {
        return 0;
    }
    uint64_t last = segment_base(to - 1, s->segment_bytes);
    for (uint64_t start = segment_base(from, s->segment_bytes); start <= last;
         start += s->segment_bytes) {
        int rc = INSTAR_ELIMIT;
        if (pins->count < SEGMENT_PINS_MAX) {
            rc = segment_pin(s, start, with_mem, &pins->seg[pins->count], err);
        }
        if (rc != 0) {
            segment_unpin(s, pins);
            return rc;
        }
        pins->count++;
    }
    return 0;
}

int segment_pin_range(struct store *s, uint64_t from, uint64_t to, struct segment_pins *pins_out,
                      struct base_err *err)
{
    return pin_range(s, from, to, true, pins_out, err);
}

int segment_pin_log(struct store *s, uint64_t from, uint64_t to, struct segment_pins *pins_out,
                    struct base_err *err)
{
    return pin_range(s, from, to, false, pins_out, err);
}

void segment_unpin(struct store *s, struct segment_pins *pins)
{
    os_plain_lock(&s->segments_lock);
    for (size_t i = 0; i < pins->count; i++) {
        base_assert(pins->seg[i]->pins > 0);
        pins->seg[i]->pins--;
    }
    os_plain_unlock(&s->segments_lock);
    pins->count = 0;
}

/* Take out of the list what can go, one at a time: NULL when there is nothing more. A memtable that
 * goes alone is carried by a struct of its own. */
static struct segment *take_unneeded(struct store *s)
{
    uint64_t floor = control_load(&s->ctl->floor);
    uint64_t lo = control_load(&s->ctl->lo);
    for (struct segment **at = &s->segments; *at != NULL; at = &(*at)->next) {
        struct segment *seg = *at;
        uint64_t end = seg->start + s->segment_bytes;
        if (seg->pins != 0) {
            continue;
        }
        if (end <= floor) {
            *at = seg->next;
            return seg;
        }
        struct segment *carrier = NULL;
        if (end <= lo && seg->mem != NULL) {
            carrier = base_alloc_zero(1, sizeof(*carrier));
        }
        if (carrier != NULL) {
            carrier->mem = seg->mem;
            carrier->mem_size = seg->mem_size;
            seg->mem = NULL;
            return carrier;
        }
    }
    return NULL;
}

void segment_trim(struct store *s)
{
    struct segment *seg;
    do {
        os_plain_lock(&s->segments_lock);
        seg = take_unneeded(s);
        os_plain_unlock(&s->segments_lock);
        if (seg != NULL) {
            free_segment(seg); /* unmapping takes milliseconds */
        }
    } while (seg != NULL);
}

void segment_close_all(struct store *s)
{
    while (s->segments != NULL) {
        struct segment *seg = s->segments;
        s->segments = seg->next;
        free_segment(seg);
    }
}
