/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sorted runs of a build in the store's spill folder. A run holds what was gathered since the one
 * before it; once it is synced, a checkpoint names it together with the gaps that are left to be
 * read (BUILD-1). Names hold the tree, the token of the runner and a number, so that a runner that
 * has lost its claim never touches the files of the next one.
 *
 * When sixteen runs of one level exist they are merged into one of the next: so the number of files
 * grows with the logarithm of a build's length.
 */
#include "change/build_impl.h"

#include <stdio.h>
#include <string.h>

#define NAME_SIZE 64
#define MERGE_RUNS 16
#define BLOCK_BYTES_MIN ((size_t)8 << 10)
#define BLOCK_BYTES_MAX ((size_t)512 << 10)
/* Synced after so much: all that others wait behind when they commit; more when nobody does. */
#define PIECE_SHARED ((size_t)1 << 20)
#define PIECE_ALONE ((size_t)16 << 20)

static void run_name(uint64_t tree, uint64_t token, uint32_t number, char name[NAME_SIZE])
{
    snprintf(name, NAME_SIZE, "run-%llx-%llx-%x", (unsigned long long)tree,
             (unsigned long long)token, number);
}

static size_t block_bytes(const struct built *x)
{
    size_t size = x->build->budget_bytes / 256;

    return size < BLOCK_BYTES_MIN   ? BLOCK_BYTES_MIN
           : size > BLOCK_BYTES_MAX ? BLOCK_BYTES_MAX
                                    : size;
}

/* ---- writing one run ---------------------------------------------------------------------- */

struct writing {
    struct built *x;
    struct run_writer w;
};

/* Somebody commits meanwhile: smaller pieces, and a pause as long as the sync took, for their
 * flushes. */
static void pace(void *arg, size_t bytes, uint64_t took_ns)
{
    struct writing *wr = arg;
    uint64_t tail = store_tail(wr->x->build->store);
    (void)bytes;

    if (tail != wr->x->build->tail_seen) {
        wr->x->build->tail_seen = tail;
        wr->w.piece_bytes = PIECE_SHARED;
        os_sleep_ns(took_ns);
    } else {
        wr->w.piece_bytes = PIECE_ALONE;
    }
}

static int begin_run(struct writing *wr, int *fd_out, struct base_err *err)
{
    struct built *x = wr->x;
    char name[NAME_SIZE];

    *fd_out = -1;
    if (x->ck->run_count == CHECKPOINT_RUNS_MAX) {
        return base_err_set(err, INSTAR_ELIMIT, "the index build has %d sorted runs: the limit",
                            CHECKPOINT_RUNS_MAX);
    }
    run_name(x->tree, x->ck->token, x->ck->next_run, name);
    int rc = store_spill_create(x->build->store, name, fd_out, err);
    if (rc != 0) {
        *fd_out = -1;
        return rc;
    }
    rc = run_write_begin(&wr->w, *fd_out, base_hash64(name, strlen(name), x->tree), block_bytes(x),
                         err);
    wr->w.pace = pace;
    wr->w.pace_arg = wr;
    wr->w.piece_bytes = PIECE_SHARED;
    return rc;
}

/* Finish the run and put it into the checkpoint, or give it up. */
static int end_run(struct writing *wr, int fd, int rc, uint32_t level, struct base_err *err)
{
    struct built *x = wr->x;
    struct run run;

    if (rc == 0) {
        rc = run_write_end(&wr->w, &run, err);
    } else {
        run_write_abort(&wr->w);
    }
    if (fd >= 0) {
        os_close(fd);
    }
    if (rc == 0) {
        run.level = level;
        x->ck->runs[x->ck->run_count++] =
            (struct checkpoint_run){.run = run, .token = x->ck->token, .number = x->ck->next_run};
        x->ck->next_run++;
    } else if (fd >= 0) {
        char name[NAME_SIZE];
        run_name(x->tree, x->ck->token, x->ck->next_run, name);
        store_spill_remove(x->build->store, name, NULL);
    }
    return rc;
}

/* ---- from memory -------------------------------------------------------------------------- */

static int write_block(void *arg, const struct sort_block *block, struct base_err *err)
{
    struct writing *wr = arg;
    int rc = run_write_sorted(&wr->w, block, err);

    rc = rc == 0 ? job_poll(wr->x->build->job, err) : rc;
    return rc == 0 ? job_stand_still(wr->x->build->job, err) : rc;
}

static void take_gaps(struct built *x)
{
    x->ck->gap_count = x->build->gaps->waiting_count;
    memcpy(x->ck->gaps, x->build->gaps->waiting, x->ck->gap_count * sizeof(x->ck->gaps[0]));
    x->ck->rows_done = atomic_load(&x->build->rows);
}

/* ---- merging runs ------------------------------------------------------------------------- */

static int open_run(struct built *x, const struct checkpoint_run *cr, struct run_reader *reader,
                    struct base_err *err)
{
    char name[NAME_SIZE];
    int fd;

    *reader = (struct run_reader){.fd = -1};
    run_name(x->tree, cr->token, cr->number, name);
    int rc = store_spill_open(x->build->store, name, &fd, err);
    if (rc == 0) {
        rc = run_read_begin(reader, fd, &cr->run, err);
    }
    return rc;
}

void spill_close(struct run_reader *readers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (readers[i].fd >= 0) {
            os_close(readers[i].fd);
        }
        run_read_end(&readers[i]);
    }
}

int spill_open(struct built *x, struct run_reader *readers, bool *ok_out, struct base_err *err)
{
    size_t opened = 0;
    int rc = 0;

    *ok_out = true;
    while (rc == 0 && opened < x->ck->run_count) {
        rc = open_run(x, &x->ck->runs[opened], &readers[opened], err);
        opened++;
    }
    if (rc != 0) {
        spill_close(readers, opened);
        *ok_out = false;
        rc = rc == INSTAR_ECORRUPT || rc == INSTAR_ENOTFOUND ? 0 : rc;
    }
    return rc;
}

static int copy_merged(struct writing *wr, struct run_reader *readers, size_t count,
                       struct base_err *err)
{
    struct merge *m;
    struct base_slice key;
    struct base_slice value;
    uint64_t done = 0;
    int rc = merge_begin(readers, count, &m, err);

    if (rc != 0) {
        return rc;
    }
    while (rc == 0 && (rc = merge_next(m, &key, &value, err)) == 0) {
        rc = run_write_add(&wr->w, key, value, err);
        if (rc == 0 && ++done % 4096 == 0) {
            rc = job_poll(wr->x->build->job, err);
            rc = rc == 0 ? job_stand_still(wr->x->build->job, err) : rc;
        }
    }
    merge_end(m);
    return rc == INSTAR_END ? 0 : rc;
}

/* Merge the first MERGE_RUNS runs of a level. The old ones stay in the checkpoint until the new one
 * is durable, and their files until the checkpoint without them is. */
static int merge_level(struct built *x, uint32_t level, struct base_err *err)
{
    struct writing wr = {.x = x};
    struct run_reader readers[MERGE_RUNS];
    struct checkpoint_run old[MERGE_RUNS];
    size_t count = 0;
    int fd = -1;
    int rc = 0;

    for (size_t i = 0; count < MERGE_RUNS; i++) {
        base_assert(i < x->ck->run_count); /* the level is full */
        if (x->ck->runs[i].run.level == level) {
            old[count++] = x->ck->runs[i];
        }
    }
    size_t opened = 0;
    while (rc == 0 && opened < count) {
        rc = open_run(x, &old[opened], &readers[opened], err);
        opened++;
    }
    if (rc == 0) {
        rc = begin_run(&wr, &fd, err);
    }
    if (rc == 0) {
        rc = copy_merged(&wr, readers, count, err);
    }
    spill_close(readers, opened);
    rc = end_run(&wr, fd, rc, level + 1, err);
    if (rc != 0) {
        return rc;
    }
    size_t kept = 0;
    for (size_t i = 0, gone = 0; i < x->ck->run_count; i++) {
        if (gone < count && x->ck->runs[i].run.level == level) {
            gone++;
        } else {
            x->ck->runs[kept++] = x->ck->runs[i];
        }
    }
    x->ck->run_count = kept;
    rc = load_checkpoint(x, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        char name[NAME_SIZE];
        run_name(x->tree, old[i].token, old[i].number, name);
        store_spill_remove(x->build->store, name, NULL);
    }
    return rc;
}

/* The lowest level that is full, or -1. */
static int full_level(const struct built *x)
{
    unsigned counts[32] = {0};

    for (size_t i = 0; i < x->ck->run_count; i++) {
        uint32_t level = x->ck->runs[i].run.level;
        if (level < BASE_ARRAY_LEN(counts)) {
            counts[level]++;
        }
    }
    for (unsigned i = 0; i < BASE_ARRAY_LEN(counts); i++) {
        if (counts[i] >= MERGE_RUNS) {
            return (int)i;
        }
    }
    return -1;
}

/* ---- all of it ---------------------------------------------------------------------------- */

/* One index: its run, and the checkpoint that names it. */
static int spill_index(struct built *x, struct base_err *err)
{
    struct build *b = x->build;
    struct writing wr = {.x = x};
    int fd = -1;
    int rc = 0;

    if (built_gathered(x) != 0) {
        struct drain d = {.pool = &b->pool,
                          .streams = x->streams,
                          .stream_count = b->workers,
                          .workers = b->workers,
                          .budget_bytes = b->budget_bytes,
                          .value = load_entry_value,
                          .value_arg = x,
                          .consume = write_block,
                          .consume_arg = &wr,
                          .poll = job_poll,
                          .poll_arg = b->job,
                          .breathe = build_breathe,
                          .breathe_arg = b};
        rc = begin_run(&wr, &fd, err);
        if (rc == 0) {
            rc = drain_run(&d, err);
        }
        rc = end_run(&wr, fd, rc, 0, err);
    }
    if (rc == 0) {
        take_gaps(x);
        rc = load_checkpoint(x, err);
    }
    for (int level = full_level(x); rc == 0 && level >= 0; level = full_level(x)) {
        rc = merge_level(x, (uint32_t)level, err);
    }
    return rc;
}

int spill_write(struct build *b, struct base_err *err)
{
    int rc = 0;

    b->tail_seen = store_tail(b->store);
    for (size_t i = 0; rc == 0 && i < b->count; i++) {
        if (!b->all[i].ck->loaded) {
            rc = spill_index(&b->all[i], err);
        }
    }
    if (rc == 0) {
        b->rows_saved = atomic_load(&b->rows);
        os_point("build.spilled");
    }
    b->spilled_ns = os_now_ns();
    return rc;
}

void spill_remove(struct store *s, uint64_t tree, const struct checkpoint *ck)
{
    char name[NAME_SIZE];

    for (size_t i = 0; i < ck->run_count; i++) {
        run_name(tree, ck->runs[i].token, ck->runs[i].number, name);
        store_spill_remove(s, name, NULL);
    }
    run_name(tree, ck->token, ck->next_run, name);
    store_spill_remove(s, name, NULL);
}
