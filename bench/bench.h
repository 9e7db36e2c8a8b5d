/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The benchmark's program measures one workload on one system per call and prints lines that
 * bench/run gathers:
 *
 *   result METRIC VALUE UNIT       a figure
 *   slice T_MS COUNT P50 P99 P999 MAX    a tenth of a second of the foreground, microseconds
 *   mark T_MS WORDS                what began then
 *   setting NAME VALUE             how the system is set
 *
 * Rows are those of all systems: an 8-byte key, an 8-byte integer in no order, 92 bytes.
 */
#ifndef INSTAR_BENCH_H
#define INSTAR_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_PAD 92
#define BENCH_BATCH 1000 /* rows of one transaction of a load */

/* ---- measure.c ---------------------------------------------------------------------------- */

uint64_t bench_now_ns(void);
double bench_seconds_since(uint64_t ns);
void bench_sleep_until(uint64_t ns);
void bench_result(const char *metric, double value, const char *unit);
void bench_setting(const char *name, const char *value);
/* A mark at the present moment, on the clock of the foreground that runs, if one does. */
void bench_clock_start(uint64_t ns);
void bench_mark(const char *words);
bool bench_marking(void); /* does anybody look at marks? */
/* The integer of a row: all different, in no order. Updates change its low bits alone, so that
 * whoever reads a row can tell whether it is the right one. */
#define BENCH_LOW_BITS 8
int64_t bench_value(uint64_t key);
/* What a client makes of a value that it has read. */
int64_t bench_changed(int64_t v);
/* Is v that of the row with this key? If not, it is said. */
int bench_check_v(const char *system, uint64_t key, int64_t v);
void bench_pad(uint64_t key, char pad[BENCH_PAD]);
/* Of table u: a text in no order, all different, and one of 100 values. */
#define BENCH_NAME 60
void bench_name(uint64_t key, char name[BENCH_NAME]);
int32_t bench_few(uint64_t key);
#define BENCH_OTHER "(k int8 primary key, few int4 not null, name text not null, opt int8)"
/* Calls fn for the rows 1 … rows, BENCH_BATCH at a time: those from … to - 1. Ends with the first
 * that is not 0. */
int bench_in_batches(uint64_t rows, int (*fn)(void *arg, uint64_t from, uint64_t to), void *arg);
/* So that no compiler leaves out what made it. */
void bench_use(int64_t value);
/* Keys in no order: the next one of 1 … rows. */
uint64_t bench_random_key(uint64_t *state, uint64_t rows);
/* This process's private memory: resident, behind no file; and a thread that keeps its peak. */
uint64_t bench_private_bytes(void);
void bench_peak_start(void);
uint64_t bench_peak_stop(void);
uint64_t bench_thread_ns(void); /* processor time of the calling thread */
/* Bytes of a file, or of all files in a directory whose names begin so; 0: none. */
uint64_t bench_file_bytes(const char *path);
uint64_t bench_files_bytes(const char *directory, const char *prefix);
uint64_t bench_files_ending(const char *directory, const char *suffix);
/* The last one by name of those; 1 when there is none. */
int bench_last_file(const char *directory, const char *prefix, char *path_out, size_t size);

/* ---- drivers ------------------------------------------------------------------------------ */

/* Table t has the rows 1 … N, table w takes what commits insert. */
enum bench_table { BENCH_T, BENCH_W };

/* What an update makes of a row of t. */
enum bench_edit {
    BENCH_SET_V,   /* v, which indexes are on: the one that is given */
    BENCH_SET_PAD, /* the pad, which no index is on: that of the next key */
    BENCH_CHANGE_V /* v: bench_changed() of what was read in the same transaction */
};

/*
 * A system. A session belongs to one process, or to one thread where the store does. Functions
 * return 0, or print what failed and return 1. One that may be NULL is something that not every
 * system has.
 */
struct driver {
    const char *name;
    /* Its store can be open in one process alone: clients are threads, each with a session. */
    bool one_process;
    /* get and read_range want a snapshot; in other systems each is a transaction by itself. */
    bool reads_in_snapshot;
    int (*open)(const char *place, bool sync, void **session_out);
    void (*close)(void *session);
    /* Makes t and w, and commits t's rows BENCH_BATCH at a time without waiting for the disk, but
     * for all of them at its end. */
    int (*load)(void *session, uint64_t rows);
    /* Each is a commit: the rows from … to - 1; a row of t. */
    int (*insert)(void *session, enum bench_table table, uint64_t from, uint64_t to);
    int (*update)(void *session, uint64_t key, enum bench_edit edit, int64_t v);
    /* Between these two, reads see one snapshot. */
    int (*read_begin)(void *session);
    void (*read_end)(void *session);
    int (*get)(void *session, uint64_t key, int64_t *v_out); /* t's v */
    /* Up to `count` rows of t in order, from key on. */
    int (*read_range)(void *session, uint64_t key, unsigned count);
    /* How many rows, and the exclusive or of all v without their low bits. */
    int (*scan)(void *session, uint64_t *rows_out, int64_t *xor_out);
    /* On t's v; online: writers may go on. What counts is the driver's to say, in seconds. */
    int (*create_index)(void *session, bool unique, bool online, double *seconds_out);
    int (*drop_index)(void *session, double *seconds_out);
    /* Or NULL: a schema change, done when it returns; and rows 1 … N into a new table of columns k,
     * few, name, opt. */
    int (*sql)(void *session, const char *statement);
    int (*load_other)(void *session, const char *table, uint64_t rows);
    /* Or NULL: how the next index is built: beside commits without giving way to them; with so much
     * memory for sorting, 0: the default. */
    void (*build_options)(void *session, bool hurry, uint64_t sort_bytes);
    /* Or NULL: which version of the table is the latest. */
    int (*version)(void *session, const char *table, uint32_t *version_out);
    /* What t and its indexes, and what the log take on the disk, once what is dropped is free. */
    int (*disk)(void *session, uint64_t *tables_out, uint64_t *log_out);
    int (*settings)(void *session);
};

extern const struct driver instar_driver;
extern const struct driver lmdb_driver;
extern const struct driver sqlite_driver;
extern const struct driver postgres_driver;
extern const struct driver rocksdb_driver;
extern const struct driver wiredtiger_driver;

/* What the device does (device.c): records appended, fdatasync after each. */
int bench_device(const char *directory, uint64_t ms);

#endif
