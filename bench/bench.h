/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The benchmark's workers: each measures one thing and prints `name value unit` lines, which
 * bench/run gathers, repeats, and sets against its rivals.
 *
 * Rows are those of all systems: an 8-byte key, an 8-byte integer in no order, 92 bytes.
 */
#ifndef INSTAR_BENCH_H
#define INSTAR_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#define BENCH_PAD 92
#define BENCH_PROCESSES_MAX 64

/* measure.c */
uint64_t bench_now_ns(void);
void bench_report(const char *name, double value, const char *unit);
/* The integer of a row: all different, in no order. */
int64_t bench_value(uint64_t key);
void bench_pad(uint64_t key, char pad[BENCH_PAD]);
/* Private memory of this process (resident, not file- or shm-backed), bytes; and a thread that
 * keeps the peak. */
uint64_t bench_private_bytes(uint64_t pid);
void bench_peak_start(void);
uint64_t bench_peak_stop(void);

/* Counters of forked workers, in memory they share. */
struct bench_shared {
    _Atomic uint32_t ready;
    _Atomic bool go, stop;
    _Atomic uint32_t failed;
    struct {
        _Atomic uint64_t commits;
        char pad[56];
    } worker[BENCH_PROCESSES_MAX];
};
struct bench_shared *bench_shared_new(void);
uint64_t bench_shared_commits(struct bench_shared *shared);
void bench_wait_ms(uint64_t ms);

/* instar.c; each returns the program's exit code. */
int bench_load(const char *store, uint64_t rows);
int bench_index(const char *store, const char *name, bool unique);
int bench_drop(const char *store, const char *name);
int bench_commits(const char *store, int processes, uint64_t seconds, bool sync);
int bench_foreground(const char *store, int processes, uint64_t seconds, bool sync);
int bench_read(const char *store, uint64_t rows, uint64_t seconds);
int bench_open(const char *store);
int bench_killed_open(const char *store, uint64_t seconds);

/* lmdb.c: the floor */
int bench_lmdb(const char *directory, uint64_t rows, uint64_t seconds);

/* raw.c: what the device does: append and fdatasync to a preallocated file */
int bench_raw(const char *directory, uint64_t seconds);

#endif
