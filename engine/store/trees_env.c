/* SPDX-License-Identifier: Apache-2.0 */
/* The LMDB environment: made, opened, closed; the mark of the log; LMDB's errors in our words. */
#define _GNU_SOURCE
#include "store/log.h"
#include "store/trees_lmdb.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPEN_TRIES 50
#define TREES_FILE_LEAST 8192 /* two meta pages */

void trees_name(char name[TREES_NAME_MAX], uint64_t tree)
{
    snprintf(name, TREES_NAME_MAX, "%c%016llx", tree & 1 ? 'd' : 't',
             (unsigned long long)(tree >> 1));
}

/* The store's code for one of LMDB's. */
int trees_failed(struct base_err *err, int rc, const char *what)
{
    switch (rc) {
    case MDB_NOTFOUND:
        return base_err_set(err, INSTAR_ENOTFOUND, "%s: not found", what);
    case MDB_MAP_FULL:
        return base_err_set(err, INSTAR_EMAPFULL, "%s: data.mdb has reached map_bytes", what);
    case MDB_READERS_FULL:
        return base_err_set(err, INSTAR_ESLOTS, "%s: readers_max snapshots are open", what);
    case MDB_DBS_FULL:
        return base_err_set(err, INSTAR_ESLOTS, "%s: trees_max trees are open", what);
    case MDB_BAD_VALSIZE:
        return base_err_set(err, INSTAR_EINVALID, "%s: key of impossible size", what);
    case MDB_VERSION_MISMATCH:
        return base_err_set(err, INSTAR_EVERSION, "%s: data.mdb has another LMDB format", what);
    case MDB_PANIC:
        return base_err_set(err, INSTAR_ESTOPPED, "%s: an earlier write of data.mdb failed", what);
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
        return base_err_set(err, INSTAR_ECORRUPT, "%s: data.mdb: %s", what, mdb_strerror(rc));
    default:
        break;
    }
    if (rc > 0) {
        return base_err_errno(err, rc, "%s: data.mdb", what);
    }
    return base_err_set(err, INSTAR_ECORRUPT, "%s: data.mdb: %s (%d)", what, mdb_strerror(rc), rc);
}

static void assert_failed(MDB_env *env, const char *text)
{
    (void)env;
    base_assert_fail(text, "data.mdb", 0);
}

/* What LMDB will open must be a plain file of ours: it follows links, and overwrites one that is
 * empty. */
static int check_file(int dirfd, bool create, struct base_err *err)
{
    struct stat dir, st;
    int rc = os_fstat(dirfd, &dir);
    rc = rc == 0 ? os_fstatat(dirfd, TREES_FILE, &st) : rc;
    if (rc == -ENOENT) {
        return create ? 0 : base_err_set(err, INSTAR_ECORRUPT, TREES_FILE " is missing");
    }
    if (rc != 0) {
        return base_err_errno(err, -rc, TREES_FILE);
    }
    if (create) {
        return base_err_set(err, INSTAR_EEXISTS, TREES_FILE " exists already");
    }
    if (!S_ISREG(st.st_mode) || st.st_nlink != 1 || st.st_uid != dir.st_uid) {
        return base_err_set(err, INSTAR_EFOREIGN,
                            TREES_FILE " is not a plain file of the store's owner with one name");
    }
    if ((st.st_mode & 022) != 0) {
        return base_err_set(err, INSTAR_EFOREIGN,
                            TREES_FILE ": others may write to this file (mode %03o); chmod it to "
                                       "600",
                            (unsigned)(st.st_mode & 0777));
    }
    if (st.st_size < TREES_FILE_LEAST) {
        return base_err_set(err, INSTAR_ECORRUPT, "%s: has %lld bytes, expected at least %d",
                            TREES_FILE, (long long)st.st_size, TREES_FILE_LEAST);
    }
    return 0;
}

static size_t map_size(const instar_options *o)
{
    return (o->map_bytes + 4095) & ~UINT64_C(4095);
}

static int env_open_once(const char *path, const instar_options *o, unsigned flags,
                         MDB_env **env_out)
{
    MDB_env *env = NULL;
    int rc = mdb_env_create(&env);
    if (rc != 0) {
        return rc;
    }
    /* Each tree may have a delta. */
    rc = mdb_env_set_maxdbs(env, o->trees_max * 2 + 16);
    if (rc == 0) {
        rc = mdb_env_set_maxreaders(env, o->readers_max);
    }
    if (rc == 0) {
        rc = mdb_env_set_mapsize(env, map_size(o));
    }
    if (rc == 0) {
        rc = mdb_env_set_assert(env, assert_failed);
    }
    if (rc == 0) {
        rc = mdb_env_open(env, path, MDB_NOTLS | flags, 0600);
    }
    if (rc != 0) {
        mdb_env_close(env);
        return rc;
    }
    *env_out = env;
    return 0;
}

static int env_failed(struct base_err *err, int rc, const instar_options *o)
{
    if (rc != ENOMEM) {
        return trees_failed(err, rc, "open");
    }
    return base_err_set(err, INSTAR_ENOMEM,
                        "data.mdb: cannot be mapped: %llu MiB of address space are needed "
                        "(map_bytes); raise the limit of the process (ulimit -v), or make the "
                        "store with less",
                        (unsigned long long)(o->map_bytes >> 20));
}

/* Opening may fail for a moment while another process opens or closes. */
static int env_open(const char *path, const instar_options *o, bool alone, MDB_env **env_out,
                    struct base_err *err)
{
    int rc = EAGAIN;
    for (int tries = 0; tries < OPEN_TRIES; tries++) {
        rc = env_open_once(path, o, MDB_NOSUBDIR, env_out);
        bool may_pass = rc == EAGAIN || rc == EBUSY || rc == MDB_INVALID || rc == EOWNERDEAD ||
                        rc == MDB_VERSION_MISMATCH;
        if (rc == 0 || alone || !may_pass) {
            break;
        }
        os_sleep_ns(1000000 + (os_now_ns() % 1000) * 2000);
    }
    return rc == 0 ? 0 : env_failed(err, rc, o);
}

int trees_mark_put(MDB_txn *txn, MDB_dbi main, const struct trees_mark *m)
{
    struct base_buf buf = {0};
    trees_mark_encode(m, &buf);
    if (buf.size == 0) {
        base_buf_free(&buf); /* it may have grown for a part of it */
        return ENOMEM;
    }
    MDB_val key = trees_val(base_slice(TREES_POSITION_NAME, strlen(TREES_POSITION_NAME)));
    MDB_val value = trees_val(base_buf_slice(&buf));
    int rc = mdb_put(txn, main, &key, &value, 0);
    base_buf_free(&buf);
    return rc;
}

int trees_mark_get(MDB_txn *txn, MDB_dbi main, struct trees_mark *out, struct base_err *err)
{
    MDB_val value;
    int rc = trees_get_named(txn, main, TREES_POSITION_NAME, &value);
    if (rc == MDB_NOTFOUND) {
        return base_err_set(err, INSTAR_ECORRUPT, "data.mdb has no position");
    }
    return rc == 0 ? trees_mark_decode(trees_slice(&value), out, err)
                   : trees_failed(err, rc, "position");
}

int trees_create(int dirfd, const instar_options *o, const uint8_t log_id[16], struct base_err *err)
{
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    MDB_dbi main = 0;
    struct trees_mark mark = {.epoch = 1};
    memcpy(mark.log_id, log_id, sizeof mark.log_id);
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", dirfd);
    int rc = check_file(dirfd, true, err);
    if (rc != 0) {
        return rc;
    }
    /* Nobody else knows of it. Not by its own name, which LMDB would note down in the file. */
    rc = env_open_once(path, o, MDB_NOLOCK, &env);
    if (rc != 0) {
        return env_failed(err, rc, o);
    }
    rc = mdb_txn_begin(env, NULL, 0, &txn);
    if (rc == 0) {
        rc = mdb_dbi_open(txn, NULL, 0, &main);
        if (rc == 0) {
            rc = trees_mark_put(txn, main, &mark);
        }
        if (rc == 0) {
            rc = mdb_txn_commit(txn);
        } else {
            mdb_txn_abort(txn);
        }
    }
    mdb_env_close(env);
    if (rc != 0) {
        return trees_failed(err, rc, "create");
    }
    rc = os_fsync_dir(dirfd); /* LMDB never does */
    return rc == 0 ? 0 : base_err_errno(err, -rc, "sync of the store's directory");
}

/* The page that holds the position says where the file is mapped. */
static int find_map(struct trees *t, MDB_txn *txn, struct base_err *err)
{
    MDB_val value;
    int rc = trees_get_named(txn, t->main, TREES_POSITION_NAME, &value);
    if (rc != 0) {
        return trees_failed(err, rc, "position");
    }
    const uint8_t *page = trees_page_of(value.mv_data, t->page_bytes);
    uint64_t number = base_get_u64(page);
    if (number < 2 || number > (t->s->options.map_bytes / t->page_bytes)) {
        return base_err_set(err, INSTAR_ECORRUPT,
                            "data.mdb: the page with the position says that it is page %llu",
                            (unsigned long long)number);
    }
    t->map = page - number * t->page_bytes;
    return 0;
}

static int open_main(struct trees *t, struct base_err *err)
{
    MDB_txn *txn = NULL;
    MDB_stat st;
    struct trees_mark mark;
    int rc = mdb_txn_begin(t->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0) {
        return trees_failed(err, rc, "open");
    }
    rc = mdb_dbi_open(txn, NULL, 0, &t->main);
    if (rc == 0) {
        rc = mdb_stat(txn, t->main, &st);
    }
    if (rc != 0) {
        rc = trees_failed(err, rc, "open");
    } else {
        t->page_bytes = st.ms_psize;
        rc = trees_mark_get(txn, t->main, &mark, err);
        rc = rc == 0 ? find_map(t, txn, err) : rc;
    }
    if (rc == 0 && memcmp(mark.log_id, t->s->log_id, sizeof mark.log_id) != 0) {
        rc = base_err_set(err, INSTAR_EFOREIGN, "data.mdb and the log are of different stores");
    }
    mdb_txn_abort(txn);
    return rc;
}

/* LMDB maps the file through a descriptor that can write. Before the kernel writes a page out it
 * walks the page tables of all who have it mapped so: of each process, for each page that a fold
 * has written. Through one that cannot write there is nothing to look for (H-28). */
static int map_unwritable(struct trees *t, struct base_err *err)
{
    int rc = file_open(t->s->dirfd, TREES_FILE, O_RDONLY, &t->map_fd, err);
    if (rc != 0) {
        t->map_fd = -1;
        return rc;
    }
    rc = os_map_instead(t->map_fd, t->map, map_size(&t->s->options));
    return rc == 0 ? 0 : base_err_errno(err, -rc, TREES_FILE ": cannot be mapped");
}

int trees_open(struct store *s, bool exclusive, struct base_err *err)
{
    int rc = check_file(s->dirfd, false, err);
    if (rc == 0 && exclusive) {
        rc = trees_look_before(s->dirfd, err);
    }
    if (rc != 0) {
        return rc;
    }
    struct trees *t = base_alloc_zero(1, sizeof *t);
    if (t == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory to open the trees");
    }
    t->s = s;
    t->map_fd = -1;
    rc = handles_init(&t->handles, (size_t)s->options.trees_max * 2 + 16, err);
    if (rc != 0) {
        goto free_trees;
    }
    rc = trees_place_take(s, exclusive, &t->place, err);
    if (rc != 0) {
        goto free_handles;
    }
    rc = env_open(t->place.path, &s->options, exclusive, &t->env, err);
    trees_place_forget(s);
    if (rc != 0) {
        goto leave_place;
    }
    os_plain_init(&t->pool_lock);
    s->trees = t;
    mdb_reader_check(t->env, NULL);
    rc = txn_pool_open(s, err);
    if (rc == 0 && exclusive) {
        rc = trees_tail_check(t, err);
    }
    if (rc == 0) {
        rc = open_main(t, err);
    }
    if (rc == 0) {
        rc = map_unwritable(t, err);
    }
    if (rc == 0 && exclusive) {
        bool left = true;
        while (rc == 0 && left) {
            rc = trees_names_remove(s, TREES_CREATED_MAX, 0, &left, err);
        }
    }
    if (rc == 0) {
        rc = trees_refresh(t, err);
    }
    if (rc != 0) {
        trees_close(s);
    }
    return rc;

leave_place:
    trees_place_leave(&t->place);
free_handles:
    handles_free(&t->handles);
free_trees:
    base_free(t);
    return rc;
}

void trees_close(struct store *s)
{
    struct trees *t = s->trees;
    if (t == NULL) {
        return;
    }
    txn_pool_close(s);
    base_assert(atomic_load(&t->handles.live) == 0);
    while (t->pool != NULL) {
        struct trees_read *r = t->pool;
        t->pool = r->next;
        trees_read_free(r);
    }
    mdb_env_close(t->env);
    if (t->map_fd >= 0) {
        os_close(t->map_fd);
    }
    trees_place_leave(&t->place);
    os_plain_destroy(&t->pool_lock);
    handles_free(&t->handles);
    base_free(t);
    s->trees = NULL;
}

void trees_reap_readers(struct store *s)
{
    int dead = 0;
    mdb_reader_check(s->trees->env, &dead);
}

void trees_usage_get(struct trees *t, struct trees_usage *out)
{
    MDB_envinfo info;
    *out = (struct trees_usage){0};
    if (mdb_env_info(t->env, &info) == 0) {
        out->map_bytes = info.me_mapsize;
        out->used_bytes = (info.me_last_pgno + 1) * t->page_bytes;
        out->page_bytes = (uint32_t)t->page_bytes;
        out->reader_slots = info.me_numreaders;
    }
}

struct readers {
    uint32_t open;
    size_t oldest; /* transaction number */
};

/* One line of LMDB's list of readers: process, thread, transaction number or '-'. */
static int note_reader(const char *line, void *arg)
{
    struct readers *r = arg;
    const char *word = strrchr(line, ' ');
    char *end;
    if (word == NULL || word[1] < '0' || word[1] > '9') {
        return 0; /* the head of the list, or a reader between two reads */
    }
    size_t number = (size_t)strtoull(word + 1, &end, 10);
    if (*end == '\n') {
        r->open++;
        r->oldest = number < r->oldest ? number : r->oldest;
    }
    return 0;
}

static struct readers list_readers(struct trees *t)
{
    struct readers r = {.oldest = SIZE_MAX};
    (void)mdb_reader_list(t->env, note_reader, &r);
    return r;
}

uint32_t trees_readers_open(struct trees *t)
{
    return list_readers(t).open;
}

/* LMDB's own tree 0: transaction number -> count, page numbers. A writer may take the pages that
 * were freed before the oldest reader began: what it keeps is no room. */
static int sum_free(MDB_txn *txn, size_t oldest, uint64_t *pages_out, struct base_err *err)
{

    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    int rc = mdb_cursor_open(txn, 0, &cursor);
    if (rc != 0) {
        return trees_failed(err, rc, "free list");
    }
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        size_t number, count;
        memcpy(&number, key.mv_data, sizeof number);
        memcpy(&count, value.mv_data, sizeof count);
        if (number >= oldest) {
            break; /* they stand in order */
        }
        *pages_out += count;
    }
    mdb_cursor_close(cursor);
    return rc == 0 || rc == MDB_NOTFOUND ? 0 : trees_failed(err, rc, "free list");
}

int trees_free_bytes(struct trees *t, uint64_t *bytes_out, struct base_err *err)
{
    struct trees_read *read;
    uint64_t pages = 0;
    *bytes_out = 0;
    size_t oldest = list_readers(t).oldest; /* before we are one */
    int rc = trees_read_begin(t, &read, err);
    if (rc == 0) {
        rc = sum_free(read->txn, oldest, &pages, err);
        trees_read_end(t, read);
        *bytes_out = pages * t->page_bytes;
    }
    return rc;
}
