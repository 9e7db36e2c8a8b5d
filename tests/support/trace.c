/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The recorder. Names become objects when something is opened or named: the path is taken from the
 * kernel (/proc/self/fd), cut at the root and walked through the entries as they are now.
 *
 * An event is put down in `before`, where its place in the order is, and finished in `after` by the
 * same thread, which remembers its number in between.
 */
#define _GNU_SOURCE
#include "support/trace_impl.h"

#include "support/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FDS_MAX 4096
#define NO_EVENT SIZE_MAX
#define LMDB_META_MAX 512 /* its metas are written alone, and are smaller than this */

static struct {
    pthread_mutex_t mutex;
    struct trace *now;
    uint32_t object_of[FDS_MAX]; /* + 1; 0: not known */
    uint64_t kill_left;          /* operations until the kill; 0: never */
    int kill_fd;
} tracer = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local size_t in_progress = NO_EVENT;

/* The object a descriptor leads to, TRACE_NOTHING when it is not below the root. */
static uint32_t object_of(struct trace *t, int fd)
{
    if (fd >= 0 && fd < FDS_MAX && tracer.object_of[fd] != 0) {
        return tracer.object_of[fd] - 1;
    }
    char path[PATH_MAX];
    uint32_t dir;
    const char *name;
    if (!trace_whole_path(fd, NULL, path) || !trace_locate(t, path, &dir, &name)) {
        return TRACE_NOTHING;
    }
    if (name == NULL) {
        return 0;
    }
    struct trace_entry *e = trace_find_entry(t, dir, name);
    return e != NULL ? e->object : TRACE_NOTHING;
}

static uint8_t *copy_bytes(const void *data, size_t size)
{
    uint8_t *copy = malloc(size + 1);
    expect(copy != NULL);
    if (size != 0) {
        memcpy(copy, data, size);
    }
    return copy;
}

static bool is_lmdb_meta(struct trace *t, const struct trace_event *e)
{
    if (!e->synchronous || e->size > LMDB_META_MAX) {
        return false;
    }
    for (size_t i = 0; i < t->entry_count; i++) {
        if (t->entries[i].object == e->object) {
            return strcmp(t->entries[i].name, "data.mdb") == 0;
        }
    }
    return false;
}

static void content_event(struct trace *t, const struct os_call *call, enum trace_kind kind)
{
    uint32_t object = object_of(t, call->fd);
    if (object == TRACE_NOTHING) {
        return;
    }
    struct trace_event *e = trace_add_event(t, kind);
    e->object = object;
    e->offset = (uint64_t)call->offset;
    e->size = call->size;
    if (kind == TRACE_WRITE) {
        e->data = copy_bytes(call->data, call->size);
        e->synchronous = (fcntl(call->fd, F_GETFL) & O_DSYNC) != 0;
        e->lmdb_meta = is_lmdb_meta(t, e);
    }
    in_progress = t->event_count - 1;
}

static void sync_event(struct trace *t, const struct os_call *call)
{
    uint32_t object = object_of(t, call->fd);
    if (object != TRACE_NOTHING) {
        bool is_dir = t->objects[object].is_dir;
        trace_add_event(t, is_dir ? TRACE_SYNC_DIR : TRACE_SYNC)->object = object;
        in_progress = t->event_count - 1;
    }
}

static void entry_event(struct trace *t, const struct os_call *call, enum trace_kind kind)
{
    char path[PATH_MAX];
    uint32_t dir;
    const char *name;
    if (!trace_whole_path(call->dirfd, call->name, path) || !trace_locate(t, path, &dir, &name) ||
        name == NULL) {
        return;
    }
    struct trace_entry *entry = trace_find_entry(t, dir, name);
    if (kind != TRACE_LINK && entry == NULL) {
        return; /* it will fail */
    }
    struct trace_event *e = trace_add_event(t, kind);
    e->dir = dir;
    e->name = strdup(name);
    e->object = entry != NULL ? entry->object : TRACE_NOTHING;
    if (kind == TRACE_MOVE) {
        char path2[PATH_MAX];
        const char *name2;
        expect(trace_whole_path(call->dirfd2, call->name2, path2));
        expect(trace_locate(t, path2, &e->dir2, &name2)); /* moves stay below the root */
        e->name2 = strdup(name2);
    }
    in_progress = t->event_count - 1;
}

static void before(void *arg, const struct os_call *call)
{
    (void)arg;
    pthread_mutex_lock(&tracer.mutex);
    struct trace *t = tracer.now;
    in_progress = NO_EVENT;
    if (t == NULL) {
        pthread_mutex_unlock(&tracer.mutex);
        return;
    }
    switch (call->op) {
    case OS_OP_WRITE:
        content_event(t, call, TRACE_WRITE);
        break;
    case OS_OP_ZERO_RANGE:
        content_event(t, call, TRACE_ZERO);
        break;
    case OS_OP_ALLOCATE:
        content_event(t, call, TRACE_GROW);
        break;
    case OS_OP_TRUNCATE:
        content_event(t, call, TRACE_TRUNCATE);
        break;
    case OS_OP_SYNC:
    case OS_OP_SYNC_DIR:
        sync_event(t, call);
        break;
    case OS_OP_OPEN:
        if ((call->flags & O_CREAT) != 0) {
            entry_event(t, call, TRACE_LINK);
        }
        break;
    case OS_OP_MKDIR:
        entry_event(t, call, TRACE_LINK);
        break;
    case OS_OP_RENAME:
        entry_event(t, call, TRACE_MOVE);
        break;
    case OS_OP_UNLINK:
        entry_event(t, call, TRACE_UNLINK);
        break;
    case OS_OP_CLOSE:
        /* Before the kernel gives the number to somebody else. */
        if (call->fd >= 0 && call->fd < FDS_MAX) {
            tracer.object_of[call->fd] = 0;
        }
        break;
    default:
        break;
    }
    if (in_progress != NO_EVENT && tracer.kill_left != 0 && --tracer.kill_left == 0) {
        trace_save(t, tracer.kill_fd);
        test_keep_counts();
        kill(getpid(), SIGKILL);
    }
    pthread_mutex_unlock(&tracer.mutex);
}

static void learn_fd(struct trace *t, const struct os_call *call, int fd)
{
    if (fd >= FDS_MAX) {
        return;
    }
    tracer.object_of[fd] = 0;
    uint32_t object = object_of(t, fd);
    tracer.object_of[fd] = object != TRACE_NOTHING ? object + 1 : 0;
    if (object != TRACE_NOTHING && (call->flags & O_TRUNC) != 0) {
        struct trace_event *e = trace_add_event(t, TRACE_TRUNCATE);
        e->object = object;
        e->end = ++t->step;
    }
}

/* The entries as they are now follow what succeeded. */
static void follow(struct trace *t, struct trace_event *e, bool is_dir)
{
    switch (e->kind) {
    case TRACE_LINK:
        e->object = trace_add_object(t, is_dir);
        trace_add_entry(t, e->dir, e->name, e->object);
        break;
    case TRACE_MOVE:
        trace_drop_entry(t, e->dir, e->name);
        trace_add_entry(t, e->dir2, e->name2, e->object);
        break;
    case TRACE_UNLINK:
        trace_drop_entry(t, e->dir, e->name);
        break;
    default:
        break;
    }
}

static void after(void *arg, const struct os_call *call, int result)
{
    (void)arg;
    pthread_mutex_lock(&tracer.mutex);
    struct trace *t = tracer.now;
    if (t != NULL && in_progress != NO_EVENT && in_progress < t->event_count) {
        struct trace_event *e = &t->events[in_progress];
        e->end = ++t->step;
        if (result < 0) {
            e->failed = true;
        } else {
            follow(t, e, call->op == OS_OP_MKDIR);
            if (e->kind == TRACE_WRITE && (uint64_t)result < e->size) {
                e->size = (uint64_t)result;
            }
        }
    }
    in_progress = NO_EVENT;
    if (t != NULL && call->op == OS_OP_OPEN && result >= 0) {
        learn_fd(t, call, result);
    }
    pthread_mutex_unlock(&tracer.mutex);
}

/* ---- beginning and end -------------------------------------------------------------------- */

static void load_dir(struct trace *t, const char *path, uint32_t dir)
{
    DIR *d = opendir(path);
    expect(d != NULL);
    struct dirent *entry;
    while ((entry = readdir(d)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        char below[PATH_MAX];
        struct stat st;
        expect(snprintf(below, sizeof(below), "%s/%s", path, entry->d_name) < PATH_MAX);
        expect(lstat(below, &st) == 0);
        uint32_t object = trace_add_object(t, S_ISDIR(st.st_mode));
        trace_add_entry(t, dir, entry->d_name, object);
        if (S_ISDIR(st.st_mode)) {
            load_dir(t, below, object);
        } else {
            size_t size;
            uint8_t *data = test_read_file(below, &size);
            t->objects[object].data = data;
            t->objects[object].size = size;
        }
    }
    closedir(d);
}

struct trace *trace_start(const char *root)
{
    struct trace *t = calloc(1, sizeof(*t));
    expect(t != NULL);
    char *real = realpath(root, NULL); /* as the kernel names it in /proc/self/fd */
    expect(real != NULL);
    expect(strlen(real) < sizeof(t->root));
    snprintf(t->root, sizeof(t->root), "%s", real);
    free(real);
    trace_add_object(t, true);
    load_dir(t, t->root, 0);
    t->first_count = t->entry_count;
    t->first_entries = calloc(t->first_count + 1, sizeof(*t->first_entries));
    for (size_t i = 0; i < t->first_count; i++) {
        t->first_entries[i] = t->entries[i];
        t->first_entries[i].name = strdup(t->entries[i].name);
    }
    pthread_mutex_lock(&tracer.mutex);
    memset(tracer.object_of, 0, sizeof(tracer.object_of));
    tracer.now = t;
    pthread_mutex_unlock(&tracer.mutex);
    test_listener_set(&(struct test_listener){.before = before, .after = after});
    return t;
}

void trace_mark(struct trace *t, uint64_t mark, uint64_t value)
{
    pthread_mutex_lock(&tracer.mutex);
    struct trace_event *e = trace_add_event(t, TRACE_MARK);
    e->mark = mark;
    e->value = value;
    e->end = e->begin;
    pthread_mutex_unlock(&tracer.mutex);
}

void trace_kill_at(struct trace *t, uint64_t nth, int fd)
{
    pthread_mutex_lock(&tracer.mutex);
    expect(tracer.now == t);
    tracer.kill_left = nth;
    tracer.kill_fd = fd;
    pthread_mutex_unlock(&tracer.mutex);
}

void trace_stop(void)
{
    test_listener_set(NULL);
    pthread_mutex_lock(&tracer.mutex);
    tracer.now = NULL;
    tracer.kill_left = 0;
    pthread_mutex_unlock(&tracer.mutex);
}
