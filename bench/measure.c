/* SPDX-License-Identifier: Apache-2.0 */
/* Clock, reports, row contents, memory in use. */
#include "bench.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NS_PER_S UINT64_C(1000000000)

uint64_t bench_now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
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
