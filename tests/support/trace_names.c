/* SPDX-License-Identifier: Apache-2.0 */
/* Objects and entries of a trace, and the way from a path to them. */
#define _GNU_SOURCE
#include "support/trace_impl.h"

#include "support/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *trace_grown(void *array, size_t count, size_t *room, size_t size)
{
    if (count < *room) {
        return array;
    }
    *room = *room != 0 ? *room * 2 : 64;
    array = realloc(array, *room * size);
    expect(array != NULL);
    return array;
}

uint32_t trace_add_object(struct trace *t, bool is_dir)
{
    t->objects = trace_grown(t->objects, t->object_count, &t->object_room, sizeof(*t->objects));
    t->objects[t->object_count] = (struct trace_object){.is_dir = is_dir};
    return (uint32_t)t->object_count++;
}

struct trace_entry *trace_find_entry(struct trace *t, uint32_t dir, const char *name)
{
    for (size_t i = 0; i < t->entry_count; i++) {
        if (t->entries[i].dir == dir && strcmp(t->entries[i].name, name) == 0) {
            return &t->entries[i];
        }
    }
    return NULL;
}

void trace_drop_entry(struct trace *t, uint32_t dir, const char *name)
{
    struct trace_entry *e = trace_find_entry(t, dir, name);
    if (e != NULL) {
        free(e->name);
        *e = t->entries[--t->entry_count];
    }
}

void trace_add_entry(struct trace *t, uint32_t dir, const char *name, uint32_t object)
{
    trace_drop_entry(t, dir, name);
    t->entries = trace_grown(t->entries, t->entry_count, &t->entry_room, sizeof(*t->entries));
    t->entries[t->entry_count++] =
        (struct trace_entry){.dir = dir, .object = object, .name = strdup(name)};
}

struct trace_event *trace_add_event(struct trace *t, enum trace_kind kind)
{
    t->events = trace_grown(t->events, t->event_count, &t->event_room, sizeof(*t->events));
    struct trace_event *e = &t->events[t->event_count++];
    *e = (struct trace_event){.kind = kind, .begin = ++t->step};
    return e;
}

bool trace_whole_path(int dirfd, const char *name, char path[PATH_MAX])
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

/* LMDB is told its place as /proc/self/fd/N/NAME: put the directory's own path there. False: the
 * path is no such one. */
static bool resolve_fd(char path[PATH_MAX])
{
    int fd;
    int used = 0;
    if (sscanf(path, "/proc/self/fd/%d%n", &fd, &used) != 1 || used == 0) {
        return false;
    }
    char rest[PATH_MAX];
    snprintf(rest, sizeof(rest), "%s", path + used);
    char dir[PATH_MAX];
    if (trace_whole_path(fd, NULL, dir) && strlen(dir) + strlen(rest) < PATH_MAX) {
        memcpy(path, dir, strlen(dir));
        memcpy(path + strlen(dir), rest, strlen(rest) + 1);
    }
    return true;
}

/* What NAME leads to may be such a path again. */
static void resolve_proc(char path[PATH_MAX])
{
    char to[PATH_MAX];
    ssize_t size = resolve_fd(path) ? readlink(path, to, sizeof(to) - 1) : 0;
    if (size > 0) {
        to[size] = '\0';
        memcpy(path, to, (size_t)size + 1);
        (void)resolve_fd(path);
    }
}

bool trace_locate(struct trace *t, char path[PATH_MAX], uint32_t *dir_out, const char **name_out)
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
            struct trace_entry *e = trace_find_entry(t, dir, name);
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
