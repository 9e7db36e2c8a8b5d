/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime directory: control, memtables and LMDB's lock file, in shared memory, because on a
 * disk file system write-back stalls single stores into a shared mapping for many milliseconds, and
 * a store for which there is no room is a SIGBUS. It is
 *
 *   /dev/shm/instar-<user>-<hash of log id, instance id, device, inode>
 *              where that is a tmpfs with room enough, else
 *   run/       in the store
 *
 * So a copy of a store never meets the original's, and nobody but its user can have made
 * it (mode and owner are checked). Which of the two, and the nonce of its builder, stand in the
 * lock file, written by the opener that holds the store alone:
 *
 *    0  u64 magic | 8  u32 kind | 12  u32 zero | 16  u64 builder | 24  u64 XXH3 of bytes 0 … 23
 *
 * It is never synced: after a reboot it means nothing.
 */
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SHM_PATH "/dev/shm"
#define NOTE_MAGIC UINT64_C(0x65746f6e6b636f6c)
#define NOTE_SIZE 32u
#define MEMTABLES_LEAST 3u /* of room, for a place to be chosen */

enum kind { KIND_SHM = 1, KIND_STORE = 2 };

static void shm_name(const struct store *s, char name[RUNTIME_NAME_SIZE])
{
    uint8_t id[48];
    memcpy(id, s->log_id, 16);
    memcpy(id + 16, s->instance_id, 16);
    base_put_u64(id + 32, s->device);
    base_put_u64(id + 40, s->inode);
    runtime_shm_name(id, name);
}

void runtime_shm_name(const uint8_t id[48], char name[RUNTIME_NAME_SIZE])
{
    snprintf(name, RUNTIME_NAME_SIZE, "instar-%u-%016llx", (unsigned)geteuid(),
             (unsigned long long)base_hash64(id, 48, 0));
}

/* Open one of the two places. */
static int open_place(struct store *s, enum kind kind, bool create, int *fd_out,
                      struct base_err *err)
{
    char name[RUNTIME_NAME_SIZE];
    *fd_out = -1;
    if (kind == KIND_STORE) {
        return file_open_dir(s->dirfd, RUNTIME_DIR, create, fd_out, err);
    }
    int shm;
    int rc = os_open_dir(SHM_PATH, &shm);
    if (rc != 0) {
        return rc == -ENOENT ? base_err_set(err, INSTAR_ENOTFOUND, SHM_PATH ": is not there")
                             : base_err_errno(err, -rc, SHM_PATH ": cannot be opened");
    }
    shm_name(s, name);
    rc = file_open_dir(shm, name, create, fd_out, err);
    os_close(shm);
    return rc;
}

static void set_path(struct store *s, enum kind kind)
{
    char name[RUNTIME_NAME_SIZE];
    if (kind == KIND_STORE) {
        snprintf(s->runtime_path, sizeof(s->runtime_path), "%s", RUNTIME_DIR);
    } else {
        shm_name(s, name);
        snprintf(s->runtime_path, sizeof(s->runtime_path), SHM_PATH "/%s", name);
    }
}

static bool shm_has_room(struct store *s)
{
    int fd;
    bool tmpfs = false;
    uint64_t room = 0;
    uint64_t need = control_bytes(s) + trees_lock_bytes(&s->options) +
                    MEMTABLES_LEAST * memtable_size(s->segment_bytes);
    if (os_open_dir(SHM_PATH, &fd) != 0) {
        return false;
    }
    bool ok = os_fs_is_tmpfs(fd, &tmpfs) == 0 && tmpfs && os_fs_free_bytes(fd, &room) == 0 &&
              room >= need;
    os_close(fd);
    return ok;
}

/* Everything in there, but not `control`, which is evidence until a new one takes its place. */
static int sweep(int dirfd, bool control_too, struct base_err *err)
{
    char **names;
    size_t count;
    int rc = os_list_dir(dirfd, &names, &count);
    if (rc != 0) {
        return base_err_errno(err, -rc, "the directory in shared memory cannot be listed");
    }
    for (size_t i = 0; i < count; i++) {
        if (control_too || strcmp(names[i], "control") != 0) {
            int removed = file_remove(dirfd, names[i], rc == 0 ? err : NULL);
            rc = rc == 0 ? removed : rc;
        }
    }
    file_free_names(names, count);
    return rc;
}

struct note {
    enum kind kind; /* 0: there is none */
    uint64_t builder;
};

static int read_note(const struct store *s, struct note *out, struct base_err *err)
{
    uint8_t note[NOTE_SIZE];
    size_t size;
    *out = (struct note){0};
    int rc = os_pread(s->lock_fd, note, sizeof(note), 0, &size);
    if (rc != 0) {
        return base_err_errno(err, -rc, "lock: cannot be read");
    }
    if (size == sizeof(note) && base_get_u64(note) == NOTE_MAGIC &&
        base_get_u64(note + 24) == base_hash64(note, 24, 0)) {
        *out = (struct note){.kind = (enum kind)base_get_u32(note + 8),
                             .builder = base_get_u64(note + 16)};
    }
    return 0;
}

/* Not even the file's own page may be written to where a quota is full. The note of an earlier time
 * does as well when it says the same place: what was built by it was superseded before. */
static int write_note(struct store *s, enum kind kind, uint64_t *builder, struct base_err *err)
{
    uint8_t bytes[NOTE_SIZE] = {0};
    struct note old;
    base_put_u64(bytes, NOTE_MAGIC);
    base_put_u32(bytes + 8, (uint32_t)kind);
    base_put_u64(bytes + 16, *builder);
    base_put_u64(bytes + 24, base_hash64(bytes, 24, 0));
    int rc = os_pwrite(s->lock_fd, bytes, sizeof(bytes), 0);
    if ((rc == -EDQUOT || rc == -ENOSPC) && read_note(s, &old, NULL) == 0 && old.kind == kind) {
        *builder = old.builder;
        return 0;
    }
    return rc == 0 ? 0 : base_err_errno(err, -rc, "lock: cannot be written");
}

int runtime_make(struct store *s, struct base_err *err)
{
    enum kind kind = KIND_STORE;
    if (shm_has_room(s) && open_place(s, KIND_SHM, true, &s->runtime_fd, NULL) == 0) {
        kind = KIND_SHM;
    }
    int rc = kind == KIND_SHM ? 0 : open_place(s, kind, true, &s->runtime_fd, err);
    if (rc != 0) {
        return rc;
    }
    set_path(s, kind);
    /* A memtable from before would be taken for one of this time. */
    return sweep(s->runtime_fd, false, err);
}

static bool is_in_store(const struct store *s)
{
    return strcmp(s->runtime_path, RUNTIME_DIR) == 0;
}

int runtime_note(struct store *s, uint64_t *builder, struct base_err *err)
{
    return write_note(s, is_in_store(s) ? KIND_STORE : KIND_SHM, builder, err);
}

void runtime_settle(struct store *s)
{
    /* The new control has its name: what the other place still holds is no evidence any more. */
    enum kind other = is_in_store(s) ? KIND_SHM : KIND_STORE;
    int fd;
    if (open_place(s, other, false, &fd, NULL) == 0) {
        (void)sweep(fd, true, NULL);
        os_close(fd);
    }
}

int runtime_join(struct store *s, uint64_t *builder_out, struct base_err *err)
{
    struct note note;
    *builder_out = 0;
    int rc = read_note(s, &note, err);
    if (rc != 0) {
        return rc;
    }
    if (note.kind != KIND_SHM && note.kind != KIND_STORE) {
        return base_err_set(err, INSTAR_EBUSY, "the first opener has not got ready yet");
    }
    set_path(s, note.kind);
    rc = open_place(s, note.kind, false, &s->runtime_fd, err);
    if (rc != 0) {
        return base_err_set(err, rc == INSTAR_ENOTFOUND ? INSTAR_EBUSY : INSTAR_EFOREIGN,
                            "%s: cannot be reached, but another process has the store open there",
                            s->runtime_path);
    }
    *builder_out = note.builder;
    return 0;
}

int runtime_past(struct store *s, struct control_past *past_out, struct base_err *err)
{
    static const enum kind kinds[] = {KIND_SHM, KIND_STORE};
    *past_out = (struct control_past){0};
    for (size_t i = 0; i < BASE_ARRAY_LEN(kinds); i++) {
        int fd;
        if (open_place(s, kinds[i], false, &fd, NULL) != 0) {
            continue;
        }
        int rc = control_peek(s, fd, past_out, err);
        os_close(fd);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

void runtime_forget(struct store *s)
{
    static const enum kind kinds[] = {KIND_SHM, KIND_STORE};
    for (size_t i = 0; i < BASE_ARRAY_LEN(kinds); i++) {
        int fd;
        if (open_place(s, kinds[i], false, &fd, NULL) == 0) {
            (void)sweep(fd, true, NULL);
            os_close(fd);
        }
    }
}

/* The directory itself, when it is empty. */
static void remove_place(struct store *s)
{
    char name[RUNTIME_NAME_SIZE];
    int shm;
    if (is_in_store(s)) {
        (void)os_unlinkat(s->dirfd, RUNTIME_DIR, AT_REMOVEDIR);
        return;
    }
    shm_name(s, name);
    if (os_open_dir(SHM_PATH, &shm) == 0) {
        (void)os_unlinkat(shm, name, AT_REMOVEDIR);
        os_close(shm);
    }
}

void runtime_remove(struct store *s)
{
    (void)sweep(s->runtime_fd, true, NULL);
    remove_place(s);
}

void runtime_give_up(struct store *s)
{
    (void)sweep(s->runtime_fd, false, NULL);
    remove_place(s);
}

void runtime_discard(struct store *s)
{
    static const enum kind kinds[] = {KIND_SHM, KIND_STORE};
    for (size_t i = 0; i < BASE_ARRAY_LEN(kinds); i++) {
        if (open_place(s, kinds[i], false, &s->runtime_fd, NULL) == 0) {
            set_path(s, kinds[i]);
            runtime_remove(s);
            os_close(s->runtime_fd);
        }
    }
    s->runtime_fd = -1;
}
