/* SPDX-License-Identifier: Apache-2.0 */
/* Clock, reports, row contents, memory in use. */
#include "bench.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define NS_PER_S UINT64_C(1000000000)

uint64_t bench_now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

double bench_seconds_since(uint64_t ns)
{
    return (double)(bench_now_ns() - ns) / 1e9;
}

void bench_sleep_until(uint64_t ns)
{
    struct timespec at = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {
    }
}

void bench_result(const char *metric, double value, const char *unit)
{
    printf("result %s %.9g %s\n", metric, value, unit);
    (void)fflush(stdout);
}

void bench_setting(const char *name, const char *value)
{
    printf("setting %s %s\n", name, value);
}

static uint64_t clock_ns;

void bench_clock_start(uint64_t ns)
{
    clock_ns = ns;
}

bool bench_marking(void)
{
    return clock_ns != 0;
}

void bench_mark(const char *words)
{
    if (clock_ns != 0) {
        printf("mark %.1f %s\n", (double)(bench_now_ns() - clock_ns) / 1e6, words);
    }
}

int64_t bench_value(uint64_t key)
{
    /* An odd factor permutes the 2^62 numbers: no value occurs twice. */
    return (int64_t)((key * 0x9e3779b97f4a7c15u) >> 2);
}

int64_t bench_changed(int64_t v)
{
    const uint64_t low = (UINT64_C(1) << BENCH_LOW_BITS) - 1;

    return (int64_t)(((uint64_t)v & ~low) | (((uint64_t)v + 1) & low));
}

int bench_check_v(const char *system, uint64_t key, int64_t v)
{
    if (v >> BENCH_LOW_BITS == bench_value(key) >> BENCH_LOW_BITS) {
        return 0;
    }
    fprintf(stderr, "bench: %s: row %llu is another one\n", system, (unsigned long long)key);
    return 1;
}

void bench_pad(uint64_t key, char pad[BENCH_PAD])
{
    for (int i = 0; i < BENCH_PAD; i++) {
        pad[i] = (char)('a' + (key + (uint64_t)i * 7) % 26);
    }
}

void bench_name(uint64_t key, char name[BENCH_NAME])
{
    uint64_t left = (uint64_t)bench_value(key);

    for (int i = 0; i < BENCH_NAME; i++) {
        name[i] = (char)('a' + (key + (uint64_t)i * 7) % 26);
    }
    for (int i = 0; i < 14; i++, left /= 26) {
        name[i] = (char)('a' + left % 26);
    }
}

int32_t bench_few(uint64_t key)
{
    return (int32_t)((uint64_t)bench_value(key) % 100);
}

int bench_in_batches(uint64_t rows, int (*fn)(void *arg, uint64_t from, uint64_t to), void *arg)
{
    int rc = 0;

    for (uint64_t from = 1, to; rc == 0 && from <= rows; from = to) {
        to = from + BENCH_BATCH <= rows + 1 ? from + BENCH_BATCH : rows + 1;
        rc = fn(arg, from, to);
    }
    return rc;
}

void bench_use(int64_t value)
{
    static _Atomic int64_t used;

    atomic_store_explicit(&used, value, memory_order_relaxed);
}

uint64_t bench_random_key(uint64_t *state, uint64_t rows)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return 1 + (*state >> 16) % rows;
}

/* ---- memory ------------------------------------------------------------------------------- */

uint64_t bench_private_bytes(void)
{
    char line[256];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/self/status", "re");

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "RssAnon: %llu kB", &kib) == 1) {
            break;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return (uint64_t)kib * 1024;
}

static pthread_t peak_thread;
static _Atomic bool peak_stop;
static uint64_t peak_bytes;

static void *watch_peak(void *arg)
{
    while (!atomic_load(&peak_stop)) {
        uint64_t now = bench_private_bytes();

        peak_bytes = now > peak_bytes ? now : peak_bytes;
        (void)poll(NULL, 0, 5); /* memory announces itself nowhere */
    }
    return arg;
}

void bench_peak_start(void)
{
    peak_bytes = 0;
    atomic_store(&peak_stop, false);
    if (pthread_create(&peak_thread, NULL, watch_peak, NULL) != 0) {
        abort();
    }
}

uint64_t bench_peak_stop(void)
{
    atomic_store(&peak_stop, true);
    (void)pthread_join(peak_thread, NULL);
    return peak_bytes;
}

uint64_t bench_thread_ns(void)
{
    struct timespec used;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * NS_PER_S + (uint64_t)used.tv_nsec;
}

/* ---- disk --------------------------------------------------------------------------------- */

/* What is allocated: a file may have holes. */
uint64_t bench_file_bytes(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_blocks * 512 : 0;
}

static bool begins(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

static bool ends(const char *name, const char *suffix)
{
    size_t all = strlen(name), part = strlen(suffix);

    return all >= part && strcmp(name + all - part, suffix) == 0;
}

static uint64_t sum_of(const char *directory, bool (*which)(const char *name, const char *part),
                       const char *part)
{
    uint64_t sum = 0;
    DIR *dir = opendir(directory);
    const struct dirent *entry;
    char path[1024];

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (which(entry->d_name, part)) {
            (void)snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
            sum += bench_file_bytes(path);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return sum;
}

uint64_t bench_files_bytes(const char *directory, const char *prefix)
{
    return sum_of(directory, begins, prefix);
}

uint64_t bench_files_ending(const char *directory, const char *suffix)
{
    return sum_of(directory, ends, suffix);
}

int bench_last_file(const char *directory, const char *prefix, char *path_out, size_t size)
{
    char last[256] = "";
    DIR *dir = opendir(directory);
    const struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (begins(entry->d_name, prefix) && strcmp(entry->d_name, last) > 0) {
            (void)snprintf(last, sizeof(last), "%s", entry->d_name);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    (void)snprintf(path_out, size, "%s/%s", directory, last);
    return last[0] == '\0';
}
