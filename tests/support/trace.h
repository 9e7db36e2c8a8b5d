/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trace: every operation that changes the files below one directory, in order, with the bytes
 * that were written: ours and LMDB's. replay.h makes from it what a disk may hold after a power
 * cut.
 *
 * Files and directories are objects with numbers of their own; a name is an entry of a directory
 * object that leads to an object. So a rename moves an entry, and the content stays where it is.
 *
 * Threads write at the same time, so an operation has a begin and an end, which are steps of one
 * counter. A sync covers what ended before it began.
 */
#ifndef INSTAR_TEST_TRACE_H
#define INSTAR_TEST_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum trace_kind {
    TRACE_WRITE,
    TRACE_ZERO,     /* a range becomes zeros */
    TRACE_GROW,     /* allocated: the size is at least offset + size */
    TRACE_TRUNCATE, /* the size is offset */
    TRACE_LINK,     /* entry (dir, name) leads to object: create, mkdir */
    TRACE_MOVE,     /* entry (dir, name) goes to (dir2, name2) */
    TRACE_UNLINK,   /* entry (dir, name) is gone */
    TRACE_SYNC,     /* the object's content */
    TRACE_SYNC_DIR, /* the object's entries */
    TRACE_MARK      /* a word of the test's own */
};

struct trace_event {
    enum trace_kind kind;
    bool failed;      /* the call failed: nothing happened */
    bool synchronous; /* a write through O_DSYNC: on disk when it ends */
    bool lmdb_meta;  /* a write of LMDB's meta: smaller than any sector, torn as a prefix at most */
    uint32_t object; /* what is written, synced, linked or moved; 0 is the root directory */
    uint32_t dir, dir2;
    char *name, *name2;
    uint8_t *data;
    uint64_t offset, size;
    uint64_t begin, end; /* steps; end 0: not yet */
    uint64_t mark, value;
};

struct trace_object {
    bool is_dir;
    uint8_t *data; /* of a file: what was in it when tracing began */
    size_t size;
};

/* An entry as it is now; a directory's entries are few, so all stand in one list. */
struct trace_entry {
    uint32_t dir;
    uint32_t object;
    char *name;
};

struct trace {
    char root[512];
    struct trace_event *events; /* by begin */
    size_t event_count, event_room;
    struct trace_object *objects;
    size_t object_count, object_room;
    struct trace_entry *entries; /* live ones */
    size_t entry_count, entry_room;
    struct trace_entry *first_entries; /* those of the beginning */
    size_t first_count;
    uint64_t step;
};

/* Begin. What is there already counts as being on the disk. One at a time; attaches a listener. */
struct trace *trace_start(const char *root);
void trace_mark(struct trace *t, uint64_t mark, uint64_t value);
void trace_stop(void);
void trace_free(struct trace *t);
/* From now on: before the nth operation the trace is written to fd, and this process is killed. */
void trace_kill_at(struct trace *t, uint64_t nth, int fd);
/* The trace of a process that was killed so. NULL: it was not, or another thread was in the middle
 * of an operation, so that it cannot be known what the trace lacks. */
struct trace *trace_load(int fd);
/* What came before a kill, and what the next process did, as one trace: what was not synced before
 * the kill is not synced after it either. Frees both. */
struct trace *trace_join(struct trace *before, struct trace *after);
/* An event in words. */
void trace_describe(const struct trace *t, const struct trace_event *e, char *text, size_t size);

#endif
