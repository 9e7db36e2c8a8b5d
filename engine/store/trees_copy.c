/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying data.mdb while it is in use: LMDB writes a snapshot of it into a pipe, and this thread
 * takes it from there. So the bytes can be hashed and counted on their way, and the copy can be
 * given up at any moment: LMDB then meets a pipe without a reader. LMDB takes its own write lock
 * while it copies the two meta pages, and would wait for it for ever; so the gate is passed first,
 * which names whoever holds it up, and left when the first bytes are here.
 *
 * Of the two meta pages only the newer one is good in the copy: what the older one points to may be
 * overwritten while the rest is copied. LMDB takes the newer one, and its next commit replaces the
 * older.
 */
#define _GNU_SOURCE
#include "store/backup.h"
#include "store/trees_lmdb.h"

#include <stdio.h>

#define CHUNK ((size_t)256 << 10)

struct copier {
    MDB_env *env;
    int fd;
    int rc;
};

static void *copy(void *arg)
{
    struct copier *c = arg;
    /* Signals are blocked in this thread: a pipe without a reader is an error here. */
    c->rc = mdb_env_copyfd2(c->env, c->fd, 0);
    os_close(c->fd);
    return NULL;
}

struct taker {
    struct store *s;
    int fd;
    bool gated; /* until LMDB has the meta pages */
    uint8_t *chunk;
};

static void leave_gate(struct taker *t)
{
    if (t->gated) {
        gate_leave(t->s);
        t->gated = false;
    }
}

static int take_all(struct taker *t,
                    int (*sink)(void *arg, struct base_slice bytes, struct base_err *err),
                    void *arg, struct base_err *err)
{
    for (;;) {
        size_t got;
        int rc = os_read_pipe(t->fd, t->chunk, CHUNK, &got);
        leave_gate(t);
        if (rc != 0) {
            return base_err_errno(err, -rc, "data.mdb: cannot be copied");
        }
        if (got == 0) {
            return 0;
        }
        rc = sink(arg, base_slice(t->chunk, got), err);
        if (rc != 0) {
            return rc;
        }
    }
}

int trees_copy(struct store *s,
               int (*sink)(void *arg, struct base_slice bytes, struct base_err *err), void *arg,
               struct base_err *err)
{
    struct copier copier = {.env = s->trees->env};
    struct os_thread thread;
    int ends[2];
    uint8_t *chunk = base_alloc(CHUNK);
    if (chunk == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory to copy data.mdb");
    }
    int rc = os_pipe(ends);
    if (rc != 0) {
        base_free(chunk);
        return base_err_errno(err, -rc, "data.mdb: cannot be copied");
    }
    copier.fd = ends[1];
    rc = gate_enter(s, "copy the meta pages", trees_deadline(s), err);
    if (rc != 0) {
        os_close(ends[0]);
        os_close(ends[1]);
        base_free(chunk);
        return rc;
    }
    struct taker taker = {.s = s, .fd = ends[0], .gated = true, .chunk = chunk};
    handles_enter(&s->trees->handles); /* LMDB begins a read transaction of its own */
    rc = os_thread_start(&thread, "instar-copy", copy, &copier);
    bool started = rc == 0;
    if (started) {
        rc = take_all(&taker, sink, arg, err);
    } else {
        rc = base_err_errno(err, -rc, "start of the copying thread");
        os_close(ends[1]);
    }
    leave_gate(&taker);
    os_close(ends[0]);
    if (started) {
        os_thread_join(&thread);
    }
    handles_leave(&s->trees->handles);
    base_free(chunk);
    return rc == 0 && copier.rc != 0 ? trees_failed(err, copier.rc, "copy") : rc;
}

uint64_t trees_bytes(struct store *s)
{
    struct trees_usage usage;
    trees_usage_get(s->trees, &usage);
    return usage.used_bytes;
}

static int note_building(void *arg, uint64_t tree, const struct trees_state *st)
{
    (void)tree;
    *(bool *)arg = *(bool *)arg || st->stage == TREES_BUILDING;
    return 0;
}

/* A copy that nobody else knows of needs no locks. */
int trees_look_at(int dirfd, const instar_options *o, struct trees_mark *mark_out,
                  bool *building_out, struct base_err *err)
{
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    MDB_dbi main = 0;
    char path[64];
    *building_out = false;
    snprintf(path, sizeof path, "/proc/self/fd/%d/" BACKUP_TREES, dirfd);
    int rc = mdb_env_create(&env);
    if (rc != 0) {
        return trees_failed(err, rc, "copy");
    }
    rc = mdb_env_set_mapsize(env, (o->map_bytes + 4095) & ~UINT64_C(4095));
    rc = rc == 0 ? mdb_env_open(env, path, MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK, 0600) : rc;
    rc = rc == 0 ? mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) : rc;
    rc = rc == 0 ? mdb_dbi_open(txn, NULL, 0, &main) : rc;
    if (rc != 0) {
        rc = trees_failed(err, rc, "copy");
    } else {
        rc = trees_mark_get(txn, main, mark_out, err);
        rc = rc == 0 ? trees_each_state(txn, main, note_building, building_out, err) : rc;
    }
    mdb_txn_abort(txn); /* NULL is allowed */
    mdb_env_close(env);
    return rc;
}
