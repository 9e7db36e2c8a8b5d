/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups, inside the store: what is in one, and how its files are written and read.
 *
 *   data.mdb   the trees, as LMDB copied them
 *   log        the records from the copy's lo on, as they stand in the log, without a gap
 *   manifest   what they belong to, how long they are, and a checksum for each 1 MiB of them
 *
 * The manifest is written last, by rename: a backup without one was not finished.
 */
#ifndef INSTAR_STORE_BACKUP_H
#define INSTAR_STORE_BACKUP_H

#include "store/log.h"
#include "store/trees.h"

#define BACKUP_TREES "data.mdb"
#define BACKUP_LOG "log"
#define BACKUP_CHUNK ((size_t)1 << 20)

enum backup_file_id { BACKUP_FILE_TREES, BACKUP_FILE_LOG, BACKUP_FILES };

struct backup_file {
    uint64_t size;
    struct base_buf sums; /* u64 each, of one chunk after the other */
};
/* At this time everything before that position was durable, and little behind it. */
struct backup_moment {
    int64_t us;
    uint64_t lsn;
};
struct backup_manifest {
    struct format format;
    uint64_t lo; /* where the log begins */
    /* What can be restored: any commit from `first` to `end`. Before it the trees hold what was
     * not yet committed then. */
    uint64_t first;
    uint64_t end;
    struct backup_file files[BACKUP_FILES];
    struct base_buf moments; /* struct backup_moment, ascending */
};
void manifest_free(struct backup_manifest *m);
size_t manifest_moments(const struct backup_manifest *m);
struct backup_moment manifest_moment(const struct backup_manifest *m, size_t at);
int manifest_write(int dirfd, const struct backup_manifest *m, struct base_err *err);
/* ENOSTORE: no backup, or one that was not finished. EFOREIGN, EVERSION, ECORRUPT. */
int manifest_read(int dirfd, const char *path, struct backup_manifest *m_out, struct base_err *err);

/* A file of a backup that is being written, front to back. */
struct backup_out {
    const char *name;
    int fd;
    uint8_t *chunk;
    size_t filled;
    struct backup_file *file;
};
int backup_out_begin(struct backup_out *o, int dirfd, const char *name, struct backup_file *file,
                     struct base_err *err);
int backup_out_add(struct backup_out *o, struct base_slice bytes, struct base_err *err);
/* Written whole and synced, or only closed. */
int backup_out_end(struct backup_out *o, bool whole, struct base_err *err);

/* Read a file of a backup, verify it, and hand it on chunk by chunk. */
struct backup_in {
    int dirfd;
    const char *name;
    const struct backup_file *file;
    int (*sink)(void *arg, uint64_t at, struct base_slice bytes, struct base_err *err);
    void *arg;
};
int backup_in_read(const struct backup_in *in, struct base_err *err);

void manifest_info(const struct backup_manifest *m, instar_backup_info *out);

/* ---- what the trees add (trees_copy.c) ------------------------------------------------------ */

/* Hand a copy of data.mdb to sink, front to back. When sink is called first, LMDB's snapshot has
 * been taken. What it returns other than 0 ends the copy, and is returned. */
int trees_copy(struct store *s,
               int (*sink)(void *arg, struct base_slice bytes, struct base_err *err), void *arg,
               struct base_err *err);
/* The size it will have, about. */
uint64_t trees_bytes(struct store *s);
/* The mark of a copy in this directory, and whether a tree is being built in it. */
int trees_look_at(int dirfd, const instar_options *o, struct trees_mark *mark_out,
                  bool *building_out, struct base_err *err);

/* ---- restore -------------------------------------------------------------------------------- */

/* What a new store is made of (create.c asks for it in place of making its files empty). */
struct restore {
    const char *path; /* of the backup, for texts */
    int dirfd;
    struct backup_manifest manifest;
    uint64_t end; /* the log up to there */
    const instar_backup_options *options;
    uint64_t done;
};
/* Fill the directory of a new store: data.mdb and the log. */
int restore_files(struct restore *r, int dirfd, const struct format *f, struct base_err *err);
int store_create_from(const char *path, const instar_options *options, struct restore *from,
                      struct base_err *err);

#endif
