/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hooks: what tests attach to the seam of base/os. Several things may be attached at once; they are
 * attached before threads are started, and go on working in a fork.
 */
#ifndef INSTAR_TEST_HOOKS_H
#define INSTAR_TEST_HOOKS_H

#include "base/os.h"

/* ---- faults ------------------------------------------------------------------------------- */

#define TEST_ANY_OP (-1)

/* Fail the nth operation that matches. Fields that are not given match all. */
struct test_fault {
    int op;             /* enum os_op, or TEST_ANY_OP */
    const char *path;   /* part of the file's path, or NULL */
    const char *name;   /* the very name that the call was given, or NULL */
    uint64_t nth;       /* 1 is the first; 0 never, only count */
    int error;          /* errno, positive */
    size_t short_bytes; /* in place of an error: reads and writes move at most so many bytes */
    bool sticky;        /* and all after it */
};
/* One fault at a time; setting it starts the count again. NULL: none. Copied. */
void test_fault_set(const struct test_fault *fault);
uint64_t test_fault_seen(void);  /* operations that matched */
uint64_t test_fault_fired(void); /* of them, those that were made to fail */
/* "write", "sync" … */
const char *test_op_name(int op);

/* ---- memory ------------------------------------------------------------------------------- */

/* Bytes of the allocator that LMDB keeps as pages for transactions that write; it is as much as the
 * largest of them needed. */
uint64_t test_lmdb_kept(void);

/* As base_alloc_hook, of the requests of LMDB and zstd. */
extern bool (*_Atomic test_libs_alloc_hook)(size_t size);

/* Refuse the nth request for memory. */
struct test_shortage {
    uint64_t nth;       /* 1 is the first; 0 never, only count */
    bool sticky;        /* and all after it */
    bool mine;          /* of the thread that sets it alone */
    const char *thread; /* of threads of this name alone, or NULL */
    bool all;           /* those of LMDB, zstd, libinstar-sql and its libpg_query as well */
};
/* As with faults; also while threads run. */
void test_shortage_set(const struct test_shortage *shortage);
uint64_t test_shortage_seen(void);
uint64_t test_shortage_fired(void);

/* ---- points ------------------------------------------------------------------------------- */

/* End this process with SIGKILL at the nth hit of a point, as if by another process. NULL: never.
 */
void test_kill_at_point(const char *name, uint64_t nth);
/* The same before the nth file operation of any kind. 0: never. */
void test_kill_at_op(uint64_t nth);

/* Hold a thread at the nth hit of a point until it is released. Made before forking, it works
 * between processes too. */
struct test_hold {
    const char *name;
    _Atomic uint64_t left; /* hits until it holds */
    int reached[2];
    int released[2];
};
void test_hold_set(struct test_hold *h, const char *name, uint64_t nth);
void test_hold_await(struct test_hold *h); /* until a thread is held there */
void test_hold_release(struct test_hold *h);
void test_hold_end(struct test_hold *h);

/* The names of all points that were hit since counting began, and how often. In this process. */
void test_points_count(bool on);
size_t test_points_seen(void);
const char *test_point_name(size_t i);
uint64_t test_point_hits(const char *name);

/* ---- time and boots ----------------------------------------------------------------------- */

/* From now on time stands still but for test_clock_advance, in this process and those it forks. */
void test_clock_start(uint64_t boottime_ns);
void test_clock_advance(uint64_t ns);
void test_clock_stop(void);
/* Pretend the machine was started again; 0: its real boot id. */
void test_boot_set(uint64_t boot);

/* ---- threads ------------------------------------------------------------------------------ */

/* No thread can be started by this process, for want of room for its stack. */
void test_threads_refuse(bool refuse);

/* ---- listeners ---------------------------------------------------------------------------- */

/* Sees every operation, after the faults: one that was refused is not seen by after. */
struct test_listener {
    void (*before)(void *arg, const struct os_call *call);
    void (*after)(void *arg, const struct os_call *call, int result);
    void (*point)(void *arg, const char *name);
    void *arg;
};
void test_listener_set(const struct test_listener *listener); /* NULL: none. Copied. */

/* Take everything off. */
void test_hooks_clear(void);

/* For those who end without exit(): in the build that counts what tests reach, keep the counts. */
#ifdef INSTAR_COVERAGE
void __gcov_dump(void);
#define test_keep_counts() __gcov_dump()
#else
#define test_keep_counts() ((void)0)
#endif

#endif
