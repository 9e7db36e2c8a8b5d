/* SPDX-License-Identifier: Apache-2.0 */
/* Clock, reports, row contents, memory in use. */
#include "bench.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

uint64_t bench_now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void bench_report(const char *name, double value, const char *unit)
{
    printf("%s %.6g %s\n", name, value, unit);
    (void)fflush(stdout);
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

uint64_t bench_private_bytes(uint64_t pid)
{
    char path[64], line[256];
    unsigned long long kib = 0;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%llu/status", (unsigned long long)pid);
    file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "RssAnon: %llu kB", &kib) == 1) {
            break;
        }
    }
    (void)fclose(file);
    return (uint64_t)kib * 1024;
}

static pthread_t peak_thread;
static _Atomic bool peak_stop;
static uint64_t peak_bytes;

static void *watch_peak(void *arg)
{
    (void)arg;
    while (!atomic_load(&peak_stop)) {
        uint64_t now = bench_private_bytes((uint64_t)getpid());

        peak_bytes = now > peak_bytes ? now : peak_bytes;
        (void)poll(NULL, 0, 5);
    }
    return NULL;
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

struct bench_shared *bench_shared_new(void)
{
    void *map = mmap(NULL, sizeof(struct bench_shared), PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (map == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return map;
}

uint64_t bench_shared_commits(struct bench_shared *shared)
{
    uint64_t sum = 0;

    for (int i = 0; i < BENCH_PROCESSES_MAX; i++) {
        sum += atomic_load_explicit(&shared->worker[i].commits, memory_order_relaxed);
    }
    return sum;
}

void bench_wait_ms(uint64_t ms)
{
    (void)poll(NULL, 0, (int)ms);
}
