/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check of a store's files without opening it: nothing is changed, LMDB is not asked, and every
 * byte is read by pread into private memory. So it may be run on a store that nobody trusts; what
 * it cannot know is what rows mean.
 *
 *   format    reads, and its sizes are possible
 *   data.mdb  both meta pages hold, all pages fit together (pages.c), the position is there
 *   log       from that position on it would be taken by a recovery as it is
 */
#include "store/log.h"
#include "store/pages.h"
#include "store/trees.h"

#include <errno.h>
#include <fcntl.h>

struct files {
    struct store shell; /* what is needed of a store to read its log */
    const char *path;
    int (*fn)(void *arg, enum instar_problem problem, const char *file, const char *text);
    void *arg;
    struct store_files *sum;
    struct trees_mark mark;
    bool has_mark;
    bool building; /* a tree is */
    int stopped;   /* what fn returned */
};

static int found_problem(struct files *f, enum instar_problem problem, const char *file,
                         const char *text)
{
    f->sum->findings++;
    f->stopped = f->fn != NULL ? f->fn(f->arg, problem, file, text) : 0;
    return f->stopped;
}

static int found(struct files *f, const char *file, const char *text)
{
    return found_problem(f, INSTAR_PROBLEM_FILE, file, text);
}

static int found_page(void *arg, uint64_t page, const char *text)
{
    (void)page;
    return found(arg, "data.mdb", text);
}

static int found_digest(void *arg, const char *tree, const char *text)
{
    (void)tree;
    return found_problem(arg, INSTAR_PROBLEM_DIGEST, "data.mdb", text);
}

static int keep_mark(void *arg, struct base_slice key, struct base_slice value)
{
    struct files *f = arg;
    struct base_err err = {0};
    struct trees_state st;
    uint64_t tree;
    if (base_slice_eq(key, base_slice("!position", 9))) {
        f->has_mark = trees_mark_decode(value, &f->mark, &err) == 0;
        return f->has_mark ? 0 : found(f, "data.mdb", err.text);
    }
    if (!trees_state_id(key, &tree)) {
        return 0;
    }
    if (trees_state_decode(value, tree, &st, &err) != 0) {
        return found(f, "data.mdb", err.text);
    }
    f->building = f->building || st.stage == TREES_BUILDING;
    return 0;
}

static int check_trees(struct files *f, struct base_err *err)
{
    struct pages p = {.fn = found_page, .unlike = found_digest, .entry = keep_mark, .arg = f};
    int rc = file_open(f->shell.dirfd, "data.mdb", O_RDONLY, &p.fd, err);
    if (rc != 0) {
        return rc;
    }
    rc = pages_metas(&p, err);
    rc = rc == 0 ? pages_walk(&p, err) : rc;
    os_close(p.fd);
    f->sum->pages = p.seen_pages;
    f->sum->entries = p.entries;
    if (rc == 0 && p.findings == 0 && !f->has_mark) {
        rc = found(f, "data.mdb", "data.mdb: it has no position");
    }
    return rc;
}

static int check_log(struct files *f, struct base_err *err)
{
    static const struct control_past none = {0};
    struct store *s = &f->shell;
    uint64_t stop;
    struct trees_position position = {f->mark.lo, f->mark.hi, f->mark.chain};
    if (!f->has_mark) {
        return 0; /* where it would begin is not known */
    }
    if (memcmp(f->mark.log_id, s->log_id, sizeof(s->log_id)) != 0) {
        return found(f, "data.mdb", "data.mdb and the log are of different stores");
    }
    int rc = file_open_dir(s->dirfd, LOG_DIR, false, &s->log_fd, err);
    if (rc == 0) {
        rc = recovery_look(s, &position, &none, &stop, err);
        segment_close_all(s);
        os_close(s->log_fd);
    }
    return rc;
}

/* A tree with another digest can still be written to. */
static int refuse(void *arg, enum instar_problem problem, const char *file, const char *text)
{
    (void)file;
    return problem == INSTAR_PROBLEM_DIGEST ? 0 : base_err_set(arg, INSTAR_ECORRUPT, "%s", text);
}

static int refuse_all(void *arg, enum instar_problem problem, const char *file, const char *text)
{
    (void)problem;
    (void)file;
    return base_err_set(arg, INSTAR_ECORRUPT, "%s", text);
}

int files_position(int dirfd, bool digests, struct trees_mark *mark_out, bool *building_out,
                   struct base_err *err)
{
    struct base_err first = {0};
    struct store_files sum = {0};
    struct files f = {
        .shell.dirfd = dirfd, .fn = digests ? refuse_all : refuse, .arg = &first, .sum = &sum};
    int rc = check_trees(&f, err);
    if (first.code != 0) {
        return base_err_set(err, INSTAR_ECORRUPT, "%s", first.text);
    }
    if (rc == INSTAR_ENOTFOUND) {
        return base_err_set(err, INSTAR_ECORRUPT, "data.mdb is missing");
    }
    *mark_out = f.mark;
    *building_out = f.building;
    return rc;
}

/* Where not even the lock can be had, nobody can write. */
int files_keep_out(int dirfd, const char *path, int *lock_out, struct base_err *err)
{
    int rc = file_open(dirfd, LOCK_NAME, O_RDWR, lock_out, err);
    if (rc == 0) {
        rc = os_lock_exclusive(*lock_out);
        if (rc == -EAGAIN) {
            return base_err_set(err, INSTAR_EBUSY, "%s: a process has the store open", path);
        }
        rc = rc == 0 ? 0 : base_err_errno(err, -rc, LOCK_NAME ": cannot be locked");
    }
    return rc == INSTAR_ENOTFOUND || rc == INSTAR_EACCESS ? 0 : rc;
}

/* What a part could not read is a finding as well. */
static int note(struct files *f, int rc, const char *file, struct base_err *err)
{
    char text[BASE_ERR_TEXT_MAX];
    bool ours = rc == INSTAR_ECORRUPT || rc == INSTAR_EFOREIGN || rc == INSTAR_ENOTFOUND ||
                rc == INSTAR_EVERSION;
    if (rc == 0 || f->stopped != 0 || !ours) {
        return rc;
    }
    memcpy(text, err->text, sizeof(text));
    base_err_clear(err);
    return found(f, file, text);
}

static int check_all(struct files *f, struct base_err *err)
{
    struct store *s = &f->shell;
    struct format format;
    int rc = note(f, format_read(s->dirfd, f->path, FORMAT_NAME, &format, err), FORMAT_NAME, err);
    if (rc != 0 || format.segment_bytes == 0) {
        return rc;
    }
    s->segment_bytes = format.segment_bytes;
    memcpy(s->log_id, format.log_id, sizeof(s->log_id));
    rc = note(f, check_trees(f, err), "data.mdb", err);
    return rc == 0 ? note(f, check_log(f, err), LOG_DIR, err) : rc;
}

int store_check_files(const char *path, const instar_options *options,
                      int (*fn)(void *arg, enum instar_problem problem, const char *file,
                                const char *text),
                      void *arg, struct store_files *sum_out, struct base_err *err)
{
    struct base_err own = {0};
    struct files f = {.path = path, .fn = fn, .arg = arg, .sum = sum_out};
    int lock = -1;
    *sum_out = (struct store_files){0};
    err = err != NULL ? err : &own;
    int rc = open_directory(path, options, &f.shell.dirfd, err);
    if (rc != 0) {
        return rc;
    }
    os_plain_init(&f.shell.segments_lock);
    rc = files_keep_out(f.shell.dirfd, path, &lock, err);
    rc = rc == 0 ? check_all(&f, err) : rc;
    if (lock >= 0) {
        (void)os_unlock(lock);
        os_close(lock);
    }
    os_plain_destroy(&f.shell.segments_lock);
    os_close(f.shell.dirfd);
    return rc;
}
