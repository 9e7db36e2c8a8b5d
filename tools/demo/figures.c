/* SPDX-License-Identifier: Apache-2.0 */
/* Figures of the writers: counters and latency histograms in a shared map. */
#include "demo.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct stage *stage_map(const char *path, bool create)
{
    int fd = open(path, create ? O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC : O_RDWR | O_CLOEXEC, 0600);
    void *map = MAP_FAILED;

    if (fd >= 0 && (!create || ftruncate(fd, (off_t)sizeof(struct stage)) == 0)) {
        map = mmap(NULL, sizeof(struct stage), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    if (map == MAP_FAILED) {
        perror(path);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return map == MAP_FAILED ? NULL : map;
}

static unsigned bucket_of(uint64_t ns)
{
    unsigned power;

    if (ns < FIGURES_STEPS) {
        return (unsigned)ns;
    }
    power = 63u - (unsigned)__builtin_clzll(ns);
    return (power - 3u) * FIGURES_STEPS + (unsigned)((ns >> (power - 4u)) & (FIGURES_STEPS - 1u));
}

/* The upper end of a bucket. */
static uint64_t bucket_ns(unsigned bucket)
{
    unsigned power;

    if (bucket < FIGURES_STEPS) {
        return bucket;
    }
    power = bucket / FIGURES_STEPS + 3u;
    return ((uint64_t)(FIGURES_STEPS + bucket % FIGURES_STEPS) + 1u) << (power - 4u);
}

static void bump(_Atomic uint64_t *counter)
{
    /* One writer: no read-modify-write is needed. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

void figures_add(struct figures *figures, uint64_t ns)
{
    bump(&figures->commits);
    bump(&figures->buckets[bucket_of(ns)]);
    if (ns > atomic_load_explicit(&figures->longest_ns, memory_order_relaxed)) {
        atomic_store_explicit(&figures->longest_ns, ns, memory_order_relaxed);
    }
}

void sample_take(struct stage *stage, struct sample *sample)
{
    *sample = (struct sample){.ns = now_ns()};
    for (int w = 0; w < DEMO_WRITERS; w++) {
        struct figures *f = &stage->writers[w];

        sample->commits += atomic_load_explicit(&f->commits, memory_order_relaxed);
        for (unsigned i = 0; i < FIGURES_BUCKETS; i++) {
            sample->buckets[i] += atomic_load_explicit(&f->buckets[i], memory_order_relaxed);
        }
    }
}

double sample_rate(const struct sample *from, const struct sample *to)
{
    double seconds = (double)(to->ns - from->ns) / 1e9;

    return seconds > 0 ? (double)(to->commits - from->commits) / seconds : 0;
}

double sample_percentile_ms(const struct sample *from, const struct sample *to, double percent)
{
    uint64_t total = 0, seen = 0;

    for (unsigned i = 0; i < FIGURES_BUCKETS; i++) {
        total += to->buckets[i] - from->buckets[i];
    }
    for (unsigned i = 0; i < FIGURES_BUCKETS; i++) {
        seen += to->buckets[i] - from->buckets[i];
        if (total > 0 && (double)seen >= (double)total * percent / 100.0) {
            return (double)bucket_ns(i) / 1e6;
        }
    }
    return 0;
}

uint64_t stage_longest_ns(struct stage *stage)
{
    uint64_t longest = 0;

    for (int w = 0; w < DEMO_WRITERS; w++) {
        uint64_t ns = atomic_exchange(&stage->writers[w].longest_ns, 0);

        longest = ns > longest ? ns : longest;
    }
    return longest;
}
