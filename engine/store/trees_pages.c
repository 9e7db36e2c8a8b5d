/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at data.mdb's pages: of the snapshot of a reader, while others write; and before LMDB
 * maps the file. */
#include "store/log.h"
#include "store/pages.h"
#include "store/trees_lmdb.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#define META_TRIES 100

/* The meta page that belongs to a read transaction. It is overwritten by the second commit after
 * it; then the transaction was too old, and another one is begun. */
static int find_meta(struct trees_read *r, struct pages *p, bool *found_out, struct base_err *err)
{
    MDB_envinfo info;
    MDB_stat st;
    uint8_t bytes[PAGES_META_BYTES];
    const char *what;
    size_t got;
    uint64_t txn = mdb_txn_id(r->txn);
    MDB_env *env = mdb_txn_env(r->txn);
    *found_out = false;
    int rc = mdb_env_info(env, &info);
    rc = rc == 0 ? mdb_env_stat(env, &st) : rc;
    /* LMDB's own descriptor: closing another one of the file would drop its locks (H-4). */
    rc = rc == 0 ? mdb_env_get_fd(env, &p->fd) : rc;
    if (rc != 0) {
        return trees_failed(err, rc, "check");
    }
    rc = os_pread(p->fd, bytes, sizeof(bytes), (off_t)((txn & 1) * st.ms_psize), &got);
    if (rc != 0 || got != sizeof(bytes)) {
        return base_err_errno(err, rc != 0 ? -rc : EIO, "data.mdb: a meta page cannot be read");
    }
    *found_out = pages_meta_read(bytes, txn & 1, &p->meta, &what) && p->meta.txn == txn;
    return 0;
}

static int begin(struct store *s, struct pages *p, struct trees_read **read_out,
                 struct base_err *err)
{
    bool found = false;
    for (int tries = 0; tries < META_TRIES; tries++) {
        int rc = trees_read_begin(s->trees, read_out, err);
        if (rc != 0) {
            return rc;
        }
        rc = find_meta(*read_out, p, &found, err);
        if (rc == 0 && found) {
            return 0;
        }
        trees_read_end(s->trees, *read_out);
        if (rc != 0) {
            return rc;
        }
    }
    return base_err_set(err, INSTAR_ECORRUPT,
                        "data.mdb: the meta page of a snapshot is not what LMDB has mapped");
}

static int pass_page(void *arg, uint64_t page, const char *text)
{
    const struct store_page_findings *to = arg;
    return to->page(to->arg, page, text);
}

/* A tree's name is a letter and its id. */
static int pass_tree(void *arg, const char *name, const char *text)
{
    const struct store_page_findings *to = arg;
    return to->tree(to->arg, strtoull(name + 1, NULL, 16), text);
}

int store_check_pages(struct store *s, const struct store_page_findings *to, uint64_t *pages_out,
                      struct base_err *err)
{
    struct store_page_findings both = *to;
    struct pages p = {.fn = pass_page, .unlike = pass_tree, .arg = &both};
    struct trees_read *read;
    struct stat st;
    *pages_out = 0;
    int rc = begin(s, &p, &read, err);
    if (rc != 0) {
        return rc;
    }
    rc = os_fstat(p.fd, &st);
    if (rc != 0) {
        rc = base_err_errno(err, -rc, "data.mdb: cannot be looked at");
    } else {
        p.file_pages = (uint64_t)st.st_size / p.meta.page_bytes;
        rc = pages_walk(&p, err);
    }
    *pages_out = p.seen_pages;
    trees_read_end(s->trees, read);
    return rc;
}

/* ---- before it is opened ------------------------------------------------------------------ */

struct first_look {
    char text[400];
};

static int keep_first(void *arg, uint64_t page, const char *text)
{
    struct first_look *look = arg;
    (void)page;
    (void)snprintf(look->text, sizeof(look->text), "%s", text);
    return INSTAR_ECORRUPT;
}

int trees_look_before(int dirfd, struct base_err *err)
{
    struct first_look look = {""};
    struct pages p = {.shallow = true, .fn = keep_first, .arg = &look};
    int rc = file_open(dirfd, "data.mdb", O_RDONLY, &p.fd, err);
    if (rc != 0) {
        return rc;
    }
    rc = pages_metas(&p, err);
    rc = rc == 0 ? pages_walk(&p, err) : rc;
    os_close(p.fd);
    return look.text[0] != '\0' ? base_err_set(err, INSTAR_ECORRUPT, "%s", look.text) : rc;
}
