/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check after an I/O error. After a failed write-back the page cache may show bytes that the
 * disk does not have, and nothing will ever write them. So what was promised is looked for on the
 * disk itself, past the page cache:
 *
 *   data.mdb   every block equals what the page cache shows
 *   log        every record from lo up to the durable position of this boot's control verifies
 *
 * What lies beyond durable was promised to nobody; recovery writes it back or cuts it off. When a
 * file system refuses reads past its cache, nothing can be said, and only a reboot helps.
 */
#define _GNU_SOURCE
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define CHUNK ((size_t)1 << 20)
#define ALIGN ((size_t)4096)

static int not_told(struct base_err *err, const char *what)
{
    char words[BASE_ERR_TEXT_MAX];
    words[0] = '\0';
    if (err != NULL) {
        memcpy(words, err->text, sizeof(words));
    }
    return base_err_set(err, INSTAR_ESTOPPED, "%s (%.300s): only a reboot helps", what, words);
}

/* Chunk by chunk through both ways. *at_out: where they differ first. */
static int compare_files(int cached, int direct, off_t size, uint8_t *memory, off_t *at_out,
                         struct base_err *err)
{
    uint8_t *a = (uint8_t *)(((uintptr_t)memory + ALIGN - 1) & ~(uintptr_t)(ALIGN - 1));
    uint8_t *b = a + CHUNK;
    for (*at_out = 0; *at_out < size; *at_out += (off_t)CHUNK) {
        size_t got_a;
        size_t got_b;
        int rc = os_pread(cached, a, CHUNK, *at_out, &got_a);
        rc = rc == 0 ? os_pread(direct, b, CHUNK, *at_out, &got_b) : rc;
        if (rc != 0) {
            return base_err_errno(err, -rc, "data.mdb: cannot be read at %lld", (long long)*at_out);
        }
        if (got_a != got_b || memcmp(a, b, got_a) != 0) {
            return base_err_set(err, INSTAR_ESTOPPED,
                                "data.mdb: the disk differs from what is cached near %lld",
                                (long long)*at_out);
        }
    }
    return 0;
}

/* Before LMDB is opened here: closing a descriptor of its files would drop its locks. */
static int check_trees(struct store *s, struct base_err *err)
{
    int cached;
    int direct = -1;
    struct stat st;
    off_t at;
    uint8_t *memory = base_alloc(2 * CHUNK + ALIGN);
    if (memory == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory to check");
    }
    int rc = file_open(s->dirfd, "data.mdb", O_RDONLY, &cached, err);
    if (rc == 0) {
        rc = os_openat(s->dirfd, "data.mdb", O_RDONLY | O_DIRECT, &direct);
        rc = rc == 0 ? os_fstat(cached, &st) : rc;
        if (rc != 0) {
            rc = base_err_errno(err, -rc, "data.mdb: cannot be read past the page cache");
        } else {
            rc = compare_files(cached, direct, st.st_size, memory, &at, err);
        }
        os_close(cached);
    }
    if (direct >= 0) {
        os_close(direct);
    }
    base_free(memory);
    return rc;
}

static int check_log(struct store *s, const struct control_past *past, struct base_err *err)
{
    struct trees_position pos;
    struct scan c;
    struct record r;
    int rc = trees_position_get(s, &pos, err);
    if (rc != 0) {
        return rc;
    }
    uint64_t limit = past->found ? past->durable : UINT64_MAX;
    scan_init(&c, s, pos.lo, pos.chain, true);
    c.direct = true;
    do {
        rc = scan_next(&c, limit, &r, err);
    } while (rc == 0);
    uint64_t at = c.at;
    scan_done(&c);
    if (rc == INSTAR_END && (at >= limit || pos.lo >= limit)) {
        return 0;
    }
    if (!past->found && at >= pos.hi && (rc == INSTAR_ECORRUPT || rc == INSTAR_ENOTFOUND)) {
        return 0; /* no control says how far it was durable: recovery's evidence must do */
    }
    return rc == INSTAR_END
               ? base_err_set(err, INSTAR_ECORRUPT, "the log ends at %llu", (unsigned long long)at)
               : rc;
}

/* As LMDB opens it. */
static int check_opened(struct store *s, const struct control_past *past, struct base_err *err)
{
    int rc = runtime_make(s, err);
    if (rc != 0) {
        return rc;
    }
    rc = trees_open(s, true, err);
    if (rc == 0) {
        rc = check_log(s, past, err);
        trees_close(s);
    }
    runtime_give_up(s);
    return rc;
}

static int check_alone(struct store *s, struct base_err *err)
{
    struct control_past past;
    int rc = runtime_past(s, &past, err);
    if (rc == 0) {
        rc = check_trees(s, err);
    }
    if (rc == 0) {
        rc = check_opened(s, &past, err);
    }
    bool of_disk = rc == INSTAR_EIO || rc == INSTAR_ECORRUPT || rc == INSTAR_ESTOPPED;
    if (rc == INSTAR_ENOTFOUND) {
        return base_err_set(err, INSTAR_ECORRUPT, "data.mdb is missing");
    }
    if (rc != 0 && !of_disk) {
        return rc; /* it says nothing of the disk: another attempt may */
    }
    if (rc != 0) {
        return not_told(err, "not all that was promised is known to be on the disk");
    }
    return stopped_forget(s, err);
}

int store_check_after_io_error(const char *path, const instar_options *options,
                               struct base_err *err)
{
    struct store *s;
    int rc = open_store_files(path, options, &s, err);
    if (rc != 0) {
        return rc;
    }
    rc = os_lock_exclusive(s->lock_fd);
    if (rc != 0) {
        rc = base_err_set(err, INSTAR_EBUSY, "%s: a process still has the store open", path);
    } else {
        rc = check_alone(s, err);
    }
    open_free(s);
    return rc;
}
