/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of an index build: intervals that workers share, the rate limit, checkpoints, threads. */
#include "support/test.h"

#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "change/build_impl.h"

static struct base_slice text(const char *s)
{
    return base_slice(s, strlen(s));
}

/* ---- intervals ---------------------------------------------------------------------------- */

/* The middle lies strictly between, whatever the keys look like; or there is none. */
Test(change_gaps, middle_lies_between)
{
    struct test_random r = test_random(3);
    struct gap_key m;
    size_t found = 0;

    for (int i = 0; i < 20000; i++) {
        uint8_t a[40];
        uint8_t b[40];
        size_t a_size = test_random_below(&r, sizeof(a));
        size_t b_size = test_random_below(&r, sizeof(b));
        size_t same = test_random_below(&r, 20);
        test_random_fill(&r, a, sizeof(a));
        test_random_fill(&r, b, sizeof(b));
        memcpy(b, a, same);
        struct base_slice x = base_slice(a, a_size);
        struct base_slice y = base_slice(b, b_size);
        if (gap_middle(x, y, &m)) {
            cr_assert(base_slice_cmp(x, gap_key_slice(&m)) < 0);
            cr_assert(base_slice_cmp(gap_key_slice(&m), y) < 0);
            found++;
        } else if (base_slice_cmp(x, y) < 0) {
            /* Only when they are equal up to zeros within eight bytes of where they part. */
            cr_assert(base_slice_common_prefix(x, y) == x.size, "near: %d", i);
        }
    }
    cr_assert(found > 5000);
    cr_assert(!gap_middle(text("b"), text("a"), &m));
    cr_assert(!gap_middle(text("a"), text("a"), &m));
    cr_assert(gap_middle(text("a"), text("b"), &m));
    cr_assert(gap_middle(text(""), text("\x01"), &m));
}

/* Halving again and again ends: the pieces of a stretch become too small to divide. */
Test(change_gaps, halving_ends)
{
    struct gap_key upper;
    struct gap_key m;
    int steps = 0;

    gap_key_set(&upper, text("zz"));
    while (gap_middle(text("aa"), gap_key_slice(&upper), &m)) {
        upper = m;
        cr_assert(++steps < 200);
    }
}

struct team {
    struct gaps gaps;
    _Atomic uint8_t *seen; /* how often each number was read */
    uint32_t count;
    _Atomic unsigned with_work;
    bool pause_at_half;
    _Atomic uint32_t read;
};

static struct base_slice number_key(uint32_t n, uint8_t key[8])
{
    base_put_be64(key, n);
    return base_slice(key, 8);
}

/* Read an interval of numbers as a scan would read rows: in batches, sharing after each. */
static bool read_numbers(struct team *t, unsigned worker, struct gap *g)
{
    uint32_t at = g->lower.size == 0 ? 0 : (uint32_t)base_get_be64(g->lower.bytes);

    at += g->lower.size != 0 && g->after;
    for (;;) {
        uint64_t end = g->endless ? t->count : base_get_be64(g->upper.bytes);
        uint8_t key[8];
        struct gap_key middle;
        for (int i = 0; i < 16; i++) {
            if (at >= end) {
                return true;
            }
            atomic_fetch_add(&t->seen[at++], 1);
            atomic_fetch_add(&t->read, 1);
        }
        gap_key_set(&g->lower, number_key(at - 1, key));
        g->after = true;
        if (t->pause_at_half && atomic_load(&t->read) >= t->count / 2) {
            gaps_stop(&t->gaps);
            return false;
        }
        struct base_slice upper =
            g->endless ? gap_key_slice(&t->gaps.hint) : gap_key_slice(&g->upper);
        if (gaps_wanted(&t->gaps) && gap_middle(gap_key_slice(&g->lower), upper, &middle)) {
            /* Numbers only: keep eight bytes, rounded up. */
            middle.size = 8;
            if (base_get_be64(middle.bytes) >= at) {
                gaps_split(&t->gaps, worker, &middle);
            }
        }
    }
}

static int team_work(void *arg, unsigned worker, struct base_err *err)
{
    struct team *t = arg;
    struct gap *g;
    bool any = false;

    (void)err;
    while ((g = gaps_take(&t->gaps, worker)) != NULL) {
        any = true;
        bool done = read_numbers(t, worker, g);
        gaps_release(&t->gaps, worker, done);
    }
    atomic_fetch_add(&t->with_work, any);
    return 0;
}

static void team_halt(void *arg)
{
    gaps_stop(&((struct team *)arg)->gaps);
}

static int team_poll(void *arg, struct base_err *err)
{
    (void)arg;
    (void)err;
    return 0;
}

/* Four workers on one interval read each key once; a pause in the middle, and all the rest later.
 */
Test(change_gaps, each_key_is_read_once)
{
    for (int pause = 0; pause < 2; pause++) {
        struct team *t = calloc(1, sizeof(*t));
        uint8_t key[8];
        t->count = 200000;
        t->seen = calloc(t->count, 1);
        t->pause_at_half = pause != 0;
        gaps_init(&t->gaps);
        gap_key_set(&t->gaps.hint, number_key(t->count - 1, key));
        gaps_add(&t->gaps, &(struct gap){.endless = true});
        struct crew crew = {.workers = 4,
                            .name = "test",
                            .work = team_work,
                            .halt = team_halt,
                            .poll = team_poll,
                            .arg = t};
        must(crew_run(&crew, &test_err));
        if (pause != 0) {
            cr_assert(t->gaps.waiting_count > 0);
            cr_assert(atomic_load(&t->read) < t->count);
            t->pause_at_half = false;
            gaps_resume(&t->gaps);
            must(crew_run(&crew, &test_err));
        }
        cr_assert_eq(t->gaps.waiting_count, 0);
        for (uint32_t i = 0; i < t->count; i++) {
            cr_assert_eq(t->seen[i], 1, "number %u: %u times", i, t->seen[i]);
        }
        gaps_destroy(&t->gaps);
        free((void *)t->seen);
        free(t);
    }
}

/* ---- threads ------------------------------------------------------------------------------ */

struct failing {
    sem_t halted;
    int poll_code;
};

static int fail_work(void *arg, unsigned worker, struct base_err *err)
{
    struct failing *f = arg;

    if (worker == 1 && f->poll_code == 0) {
        return base_err_set(err, INSTAR_ENOSPACE, "worker %u", worker);
    }
    (void)sem_wait(&f->halted);
    (void)sem_post(&f->halted); /* for the next worker */
    return 0;
}

static void fail_halt(void *arg)
{
    (void)sem_post(&((struct failing *)arg)->halted);
}

static int fail_poll(void *arg, struct base_err *err)
{
    (void)err;
    return ((struct failing *)arg)->poll_code;
}

/* The first failure ends all and is returned with its words; so does the one who watches. */
Test(change_crew, first_failure_ends_all)
{
    struct failing f = {0};
    struct crew crew = {.workers = 3,
                        .name = "test",
                        .work = fail_work,
                        .halt = fail_halt,
                        .poll = fail_poll,
                        .arg = &f};

    cr_assert_eq(sem_init(&f.halted, 0, 0), 0);
    must_fail(crew_run(&crew, &test_err), INSTAR_ENOSPACE);
    cr_assert_str_eq(test_err.text, "worker 1");
    cr_assert_eq(sem_init(&f.halted, 0, 0), 0);
    f.poll_code = JOB_CANCEL;
    cr_assert_eq(crew_run(&crew, NULL), JOB_CANCEL);
}

/* ---- the rate limit ----------------------------------------------------------------------- */

/* Over ten seconds of virtual time the rate is kept within a percent, whatever the batch. */
Test(change_limit, rate_is_kept)
{
    static const uint64_t rates[] = {1, 10, 999, 25000, 3000000};

    for (size_t i = 0; i < BASE_ARRAY_LEN(rates); i++) {
        struct limit l;
        uint64_t now = 5000000000u;
        uint64_t end = now + 10000000000u;
        uint64_t rows = 0;
        limit_init(&l, rates[i]);
        uint32_t batch = limit_batch(&l);
        cr_assert(batch >= 1 && batch <= 1024);
        while (now < end) {
            now += limit_take(&l, now, batch);
            rows += batch;
        }
        double wanted = (double)rates[i] * 10;
        cr_assert((double)rows >= wanted * 0.99 && (double)rows <= wanted * 1.01 + 2 * batch,
                  "rate %llu: %llu rows", (unsigned long long)rates[i], (unsigned long long)rows);
        limit_destroy(&l);
    }
}

/* A pause is not saved up: after it the rate is the same as before. */
Test(change_limit, pauses_are_not_saved_up)
{
    struct limit l;
    uint64_t now = 1000000000u;

    limit_init(&l, 1000);
    limit_take(&l, now, 25);
    now += 60000000000u;
    uint64_t waited = 0;
    for (int i = 0; i < 40; i++) {
        waited += limit_take(&l, now + waited, 25);
    }
    cr_assert(waited > 900000000u);
    limit_destroy(&l);
    limit_init(&l, 0);
    cr_assert_eq(limit_take(&l, now, 1000000), 0);
    limit_destroy(&l);
}

/* Of a rate in rows and one in bytes the lower one counts. */
Test(change_limit, the_lower_rate_counts)
{
    static const struct {
        uint64_t rows, bytes, row_bytes, wanted;
    } cases[] = {{10, 1000, 10, 10}, {1000, 1000, 10, 100}, {0, 1000, 10, 100}, {10, 1000, 0, 10},
                 {10, 0, 10, 10},    {0, 5, 10, 1},         {1000, 5, 10, 1}};

    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        struct job j = {.c = NULL};
        atomic_store(&j.rows_per_second_max, cases[i].rows);
        atomic_store(&j.bytes_per_second_max, cases[i].bytes);
        atomic_store(&j.row_bytes, cases[i].row_bytes);
        expect_u64(job_rate(&j), cases[i].wanted);
    }
}

/* ---- checkpoints -------------------------------------------------------------------------- */

static struct checkpoint *full_checkpoint(void)
{
    struct checkpoint *c = calloc(1, sizeof(*c));

    c->token = 12345;
    c->next_run = 3;
    c->rows_done = 777;
    c->entries_loaded = 55;
    gap_key_set(&c->last, text("last"));
    c->gap_count = 2;
    gap_key_set(&c->gaps[0].lower, text("m"));
    c->gaps[0].after = true;
    c->gaps[0].endless = true;
    gap_key_set(&c->gaps[1].lower, text("a"));
    gap_key_set(&c->gaps[1].upper, text("c"));
    c->run_count = 2;
    for (uint32_t i = 0; i < 2; i++) {
        c->runs[i] = (struct checkpoint_run){
            .run = {.id = 9 + i, .bytes = 100, .entries = 4, .level = i}, .token = 5, .number = i};
    }
    return c;
}

/* All of it comes back, gaps in the order of their keys. */
Test(change_checkpoint, round_trip)
{
    struct checkpoint *c = full_checkpoint();
    struct checkpoint *back = calloc(1, sizeof(*back));
    struct base_buf bytes = {0};

    must(checkpoint_encode(c, &bytes, &test_err));
    must(checkpoint_decode(base_buf_slice(&bytes), back, &test_err));
    cr_assert(back->token == c->token && back->next_run == 3 && !back->loaded);
    cr_assert(back->rows_done == 777 && back->entries_loaded == 55);
    cr_assert(base_slice_eq(gap_key_slice(&back->last), text("last")));
    cr_assert_eq(back->gap_count, 2);
    cr_assert(base_slice_eq(gap_key_slice(&back->gaps[0].lower), text("a")));
    cr_assert(base_slice_eq(gap_key_slice(&back->gaps[0].upper), text("c")));
    cr_assert(!back->gaps[0].after && !back->gaps[0].endless);
    cr_assert(back->gaps[1].after && back->gaps[1].endless);
    cr_assert_eq(back->run_count, 2);
    cr_assert(memcmp(&back->runs[1].run, &c->runs[1].run, sizeof(struct run)) == 0);
    cr_assert(back->runs[1].token == 5 && back->runs[1].number == 1);
    base_buf_free(&bytes);
    free(c);
    free(back);
}

/* The largest possible one fits what the store takes; then some gaps become one, which reaches at
 * least as far. */
Test(change_checkpoint, largest_fits)
{
    struct checkpoint *c = full_checkpoint();
    struct checkpoint *back = calloc(1, sizeof(*back));
    struct base_buf bytes = {0};

    c->gap_count = BASE_ARRAY_LEN(c->gaps);
    for (size_t i = 0; i < c->gap_count; i++) {
        memset(&c->gaps[i], 0, sizeof(c->gaps[i]));
        c->gaps[i].lower.size = c->gaps[i].upper.size = STORE_KEY_MAX;
        c->gaps[i].lower.bytes[0] = c->gaps[i].upper.bytes[0] = (uint8_t)(c->gap_count - i);
        c->gaps[i].upper.bytes[1] = 1;
    }
    c->run_count = CHECKPOINT_RUNS_MAX;
    must(checkpoint_encode(c, &bytes, &test_err));
    cr_assert(bytes.size <= CHECKPOINT_BYTES_MAX);
    must(checkpoint_decode(base_buf_slice(&bytes), back, &test_err));
    cr_assert(back->gap_count > 40 && back->gap_count < c->gap_count);
    cr_assert(back->gaps[back->gap_count - 1].endless);
    cr_assert_eq(back->run_count, CHECKPOINT_RUNS_MAX);
    base_buf_free(&bytes);
    free(c);
    free(back);
}

/* Damage is found, and nonsense with a good checksum is refused or harmless. */
Test(change_checkpoint, damage_is_found)
{
    struct checkpoint *c = full_checkpoint();
    struct checkpoint *back = calloc(1, sizeof(*back));
    struct base_buf bytes = {0};
    struct test_random r = test_random(9);

    must(checkpoint_encode(c, &bytes, &test_err));
    for (size_t i = 0; i < bytes.size; i++) {
        bytes.data[i] ^= 0x40;
        cr_assert_eq(checkpoint_decode(base_buf_slice(&bytes), back, NULL), INSTAR_ECORRUPT);
        bytes.data[i] ^= 0x40;
        cr_assert_eq(checkpoint_decode(base_slice(bytes.data, i), back, NULL), INSTAR_ECORRUPT);
    }
    for (int i = 0; i < 5000; i++) {
        size_t at = test_random_below(&r, bytes.size - 8);
        uint8_t before = bytes.data[at];
        bytes.data[at] = (uint8_t)test_random_next(&r);
        base_put_u64(bytes.data + bytes.size - 8, base_hash64(bytes.data, bytes.size - 8, 1));
        if (checkpoint_decode(base_buf_slice(&bytes), back, NULL) == 0) {
            cr_assert(back->gap_count <= BASE_ARRAY_LEN(back->gaps));
            cr_assert(back->run_count <= CHECKPOINT_RUNS_MAX);
            cr_assert(back->last.size <= STORE_KEY_MAX);
        }
        bytes.data[at] = before;
    }
    base_buf_free(&bytes);
    free(c);
    free(back);
}
