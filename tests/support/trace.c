/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The recorder. Names become objects when something is opened or named: the path is taken from the
 * kernel (/proc/self/fd), cut at the root and walked through the entries as they are now.
 *
 * An event is put down in `before`, where its place in the order is, and finished in `after` by the
 * same thread, which remembers its number in between.
 */
#define _GNU_SOURCE
#include "support/trace.h"

#include "support/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FDS_MAX 4096
#define NOTHING UINT32_MAX
#define NO_EVENT SIZE_MAX
#define LMDB_META_MAX 512 /* its metas are written alone, and are smaller than this */

static struct {
    pthread_mutex_t mutex;
    struct trace *now;
    uint32_t object_of[FDS_MAX]; /* + 1; 0: not known */
} tracer = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local size_t in_progress = NO_EVENT;

/* ---- objects and entries ------------------------------------------------------------------ */

static void *grown(void *array, size_t count, size_t *room, size_t size)
{
    if (count < *room) {
        return array;
    }
    *room = *room != 0 ? *room * 2 : 64;
    array = realloc(array, *room * size);
    expect(array != NULL);
    return array;
}

static uint32_t add_object(struct trace *t, bool is_dir)
{
    t->objects = grown(t->objects, t->object_count, &t->object_room, sizeof(*t->objects));
    t->objects[t->object_count] = (struct trace_object){.is_dir = is_dir};
    return (uint32_t)t->object_count++;
}

static struct trace_entry *find_entry(struct trace *t, uint32_t dir, const char *name)
{
    for (size_t i = 0; i < t->entry_count; i++) {
        if (t->entries[i].dir == dir && strcmp(t->entries[i].name, name) == 0) {
            return &t->entries[i];
        }
    }
    return NULL;
}

static void drop_entry(struct trace *t, uint32_t dir, const char *name)
{
    struct trace_entry *e = find_entry(t, dir, name);
    if (e != NULL) {
        free(e->name);
        *e = t->entries[--t->entry_count];
    }
}

static void add_entry(struct trace *t, uint32_t dir, const char *name, uint32_t object)
{
    drop_entry(t, dir, name);
    t->entries = grown(t->entries, t->entry_count, &t->entry_room, sizeof(*t->entries));
    t->entries[t->entry_count++] =
        (struct trace_entry){.dir = dir, .object = object, .name = strdup(name)};
}

/* ---- paths -------------------------------------------------------------------------------- */

/* The absolute path of a name in a directory. False when there is none. */
static bool whole_path(int dirfd, const char *name, char path[PATH_MAX])
{
    if (name != NULL && name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
        return true;
    }
    char link[64];
    if (dirfd == AT_FDCWD) {
        snprintf(link, sizeof(link), "/proc/self/cwd");
    } else {
        snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
    }
    ssize_t size = readlink(link, path, PATH_MAX - 1);
    if (size < 0) {
        return false;
    }
    path[size] = '\0';
    if (name != NULL) {
        size_t room = PATH_MAX - (size_t)size;
        return snprintf(path + size, room, "/%s", name) < (int)room;
    }
    return true;
}

/* LMDB may be told its place as /proc/self/fd/N/data.mdb: put the directory's own path there. */
static void resolve_proc(char path[PATH_MAX])
{
    int fd;
    int used = 0;
    if (sscanf(path, "/proc/self/fd/%d%n", &fd, &used) != 1 || used == 0) {
        return;
    }
    char rest[PATH_MAX];
    snprintf(rest, sizeof(rest), "%s", path + used);
    char dir[PATH_MAX];
    if (whole_path(fd, NULL, dir) && strlen(dir) + strlen(rest) < PATH_MAX) {
        snprintf(path, PATH_MAX, "%s", dir);
        strcat(path, rest);
    }
}

/* Walk to the directory that holds the path's last name; false when it is not below the root. */
static bool locate(struct trace *t, char path[PATH_MAX], uint32_t *dir_out, const char **name_out)
{
    resolve_proc(path);
    size_t root = strlen(t->root);
    if (strncmp(path, t->root, root) != 0 || (path[root] != '/' && path[root] != '\0')) {
        return false;
    }
    char *at = path + root;
    uint32_t dir = 0;
    const char *name = NULL;
    char *save = NULL;
    for (char *part = strtok_r(at, "/", &save); part != NULL; part = strtok_r(NULL, "/", &save)) {
        if (strcmp(part, ".") == 0) {
            continue;
        }
        if (name != NULL) {
            struct trace_entry *e = find_entry(t, dir, name);
            if (e == NULL) {
                return false;
            }
            dir = e->object;
        }
        name = part;
    }
    *dir_out = dir;
    *name_out = name;
    return true;
}

/* The object a descriptor leads to, NOTHING when it is not below the root. */
static uint32_t object_of(struct trace *t, int fd)
{
    if (fd >= 0 && fd < FDS_MAX && tracer.object_of[fd] != 0) {
        return tracer.object_of[fd] - 1;
    }
    char path[PATH_MAX];
    uint32_t dir;
    const char *name;
    if (!whole_path(fd, NULL, path) || !locate(t, path, &dir, &name)) {
        return NOTHING;
    }
    if (name == NULL) {
        return 0;
    }
    struct trace_entry *e = find_entry(t, dir, name);
    return e != NULL ? e->object : NOTHING;
}

/* ---- events ------------------------------------------------------------------------------- */

static struct trace_event *add_event(struct trace *t, enum trace_kind kind)
{
    t->events = grown(t->events, t->event_count, &t->event_room, sizeof(*t->events));
    struct trace_event *e = &t->events[t->event_count++];
    *e = (struct trace_event){.kind = kind, .begin = ++t->step};
    return e;
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
    if (object == NOTHING) {
        return;
    }
    struct trace_event *e = add_event(t, kind);
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
    if (object != NOTHING) {
        bool is_dir = t->objects[object].is_dir;
        add_event(t, is_dir ? TRACE_SYNC_DIR : TRACE_SYNC)->object = object;
        in_progress = t->event_count - 1;
    }
}

static void entry_event(struct trace *t, const struct os_call *call, enum trace_kind kind)
{
    char path[PATH_MAX];
    uint32_t dir;
    const char *name;
    if (!whole_path(call->dirfd, call->name, path) || !locate(t, path, &dir, &name) ||
        name == NULL) {
        return;
    }
    struct trace_entry *entry = find_entry(t, dir, name);
    if (kind != TRACE_LINK && entry == NULL) {
        return; /* it will fail */
    }
    struct trace_event *e = add_event(t, kind);
    e->dir = dir;
    e->name = strdup(name);
    e->object = entry != NULL ? entry->object : NOTHING;
    if (kind == TRACE_MOVE) {
        char path2[PATH_MAX];
        const char *name2;
        expect(whole_path(call->dirfd2, call->name2, path2));
        expect(locate(t, path2, &e->dir2, &name2)); /* moves stay below the root */
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
    pthread_mutex_unlock(&tracer.mutex);
}

static void learn_fd(struct trace *t, const struct os_call *call, int fd)
{
    if (fd >= FDS_MAX) {
        return;
    }
    tracer.object_of[fd] = 0;
    uint32_t object = object_of(t, fd);
    tracer.object_of[fd] = object != NOTHING ? object + 1 : 0;
    if (object != NOTHING && (call->flags & O_TRUNC) != 0) {
        struct trace_event *e = add_event(t, TRACE_TRUNCATE);
        e->object = object;
        e->end = ++t->step;
    }
}

/* The entries as they are now follow what succeeded. */
static void follow(struct trace *t, struct trace_event *e, bool is_dir)
{
    switch (e->kind) {
    case TRACE_LINK:
        e->object = add_object(t, is_dir);
        add_entry(t, e->dir, e->name, e->object);
        break;
    case TRACE_MOVE:
        drop_entry(t, e->dir, e->name);
        add_entry(t, e->dir2, e->name2, e->object);
        break;
    case TRACE_UNLINK:
        drop_entry(t, e->dir, e->name);
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
        uint32_t object = add_object(t, S_ISDIR(st.st_mode));
        add_entry(t, dir, entry->d_name, object);
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
    strcpy(t->root, real);
    free(real);
    add_object(t, true);
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
    struct trace_event *e = add_event(t, TRACE_MARK);
    e->mark = mark;
    e->value = value;
    e->end = e->begin;
    pthread_mutex_unlock(&tracer.mutex);
}

void trace_stop(void)
{
    test_listener_set(NULL);
    pthread_mutex_lock(&tracer.mutex);
    tracer.now = NULL;
    pthread_mutex_unlock(&tracer.mutex);
}

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

/* ---- words -------------------------------------------------------------------------------- */

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
