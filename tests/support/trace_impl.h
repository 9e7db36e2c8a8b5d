/* SPDX-License-Identifier: Apache-2.0 */
/* The trace, inside: objects, entries and paths. */
#ifndef INSTAR_TEST_TRACE_IMPL_H
#define INSTAR_TEST_TRACE_IMPL_H

#include "support/trace.h"

#include <limits.h>

#define TRACE_NOTHING UINT32_MAX

void *trace_grown(void *array, size_t count, size_t *room, size_t size);
uint32_t trace_add_object(struct trace *t, bool is_dir);
struct trace_entry *trace_find_entry(struct trace *t, uint32_t dir, const char *name);
void trace_add_entry(struct trace *t, uint32_t dir, const char *name, uint32_t object);
void trace_drop_entry(struct trace *t, uint32_t dir, const char *name);
/* A new event that begins now. */
struct trace_event *trace_add_event(struct trace *t, enum trace_kind kind);

/* Write all of it to a file. */
void trace_save(const struct trace *t, int fd);

/* The absolute path of a name in a directory. False when there is none. */
bool trace_whole_path(int dirfd, const char *name, char path[PATH_MAX]);
/* Walk to the directory that holds the path's last name, which is NULL for the root itself; false
 * when it is not below the root. Changes path; the name points into it. */
bool trace_locate(struct trace *t, char path[PATH_MAX], uint32_t *dir_out, const char **name_out);

#endif
