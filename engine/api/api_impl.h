/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api, inside: handle shells and the error of a thread.
 *
 * What a program holds is a shell: a magic number, the process that made it, and a pointer to the
 * real thing. Shells are never given back to the system, but kept on a free list with another magic
 * number (API-1): so a handle that is used after its end is recognised instead of read from freed
 * memory. A shell that has been reused since cannot be told from a live one; that is the limit.
 */
#ifndef INSTAR_API_IMPL_H
#define INSTAR_API_IMPL_H

#include "api/api.h"
#include "change/change.h"

enum api_magic {
    API_MAGIC_FREE = 0x0ff1ce00,
    API_MAGIC_DB = 0x1a57a201,
    API_MAGIC_TXN = 0x1a57a202,
    API_MAGIC_CURSOR = 0x1a57a203,
    API_MAGIC_PROJECTION = 0x1a57a204
};

/* The front of every shell. `busy` catches two threads in one transaction at once. */
struct api_shell {
    _Atomic uint32_t magic;
    int pid;
    _Atomic bool busy;
    struct api_shell *owner;       /* db of a txn, txn of a cursor … */
    struct api_shell *children;    /* live shells that depend on this one, under the shells' lock */
    struct api_shell *prev, *next; /* among the owner's children; next: on the free list */
    const void *inner;             /* struct txn, txn_cursor, txn_projection */
};

struct instar {
    struct api_shell shell;
    struct txn_env env;
    struct changes *changes;
    uint32_t durability;
};
struct instar_txn {
    struct api_shell shell;
    bool borrowed; /* instar_run ends it, not the caller */
};
struct instar_cursor {
    struct api_shell shell;
};
struct instar_projection {
    struct api_shell shell;
};

/* This thread's error. */
struct base_err *api_err(void);

/* A fresh shell of `size` bytes under its owner (may be NULL); NULL when out of memory. */
void *api_shell_new(enum api_magic magic, size_t size, struct api_shell *owner);
/* Marks it as ended and keeps it for reuse. Its children must be gone. */
void api_shell_end(struct api_shell *shell, enum api_magic magic);
/* The first live child, or NULL: for ending them one by one. */
struct api_shell *api_shell_child(struct api_shell *shell);
/* Is there a live child of which is_one says so? It is asked under the shells' lock. */
bool api_shell_any(struct api_shell *shell, bool (*is_one)(const struct api_shell *child));

/* Is this a live handle of this kind? */
static inline bool api_is(const struct api_shell *shell, enum api_magic magic)
{
    return shell != NULL &&
           atomic_load_explicit(&shell->magic, memory_order_relaxed) == (uint32_t)magic;
}
/* And of this process? */
static inline bool api_is_live(const struct api_shell *shell, enum api_magic magic)
{
    return api_is(shell, magic) && shell->pid == os_pid();
}
/* Take it for this thread alone; false: another one has it. */
static inline bool api_take(struct api_shell *shell)
{
    return !atomic_exchange_explicit(&shell->busy, true, memory_order_acquire);
}
static inline void api_leave(void *handle)
{
    atomic_store_explicit(&((struct api_shell *)handle)->busy, false, memory_order_release);
}
/* The same, and else EMISUSE or EFORKED, with words. */
int api_enter(const void *handle, enum api_magic magic, const char *what);
/* The same for handles that one thread may use at a time; leave with api_leave. */
int api_enter_alone(void *handle, enum api_magic magic, const char *what);

/* EMISUSE when a pointer that must be given is NULL. */
int api_need(const void *pointer, const char *what);

/* The result of a check that came to its end (check.c). */
int api_judge_check(int rc, uint64_t findings);

/* Complete options: defaults for what the caller's older structure lacks, limits checked. */
int api_options_complete(const instar_options *from, instar_options *out);
int api_change_steering_check(const instar_change_steering *steering);
int api_change_options_complete(const instar_change_options *from, instar_change_options *out);

#endif
