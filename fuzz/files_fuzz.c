/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The small files of a store and of a backup: whatever stands in `format`, `manifest`, `control` or
 * in a position or state of data.mdb is refused with words, or is what it says; nothing is
 * allocated by a number that is only claimed.
 *
 * Input: u8 flags (1: repair checksum and identity) | u8 which: 0 format, 1 manifest, 2 control,
 * 3 a position, 4 the state of a tree | the bytes.
 */
#define _GNU_SOURCE
#include "store/backup.h"
#include "store/log.h"
#include "store/trees.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REPAIR 1
#define BYTES_MAX ((size_t)64 << 10)
#define TREE 17
#define NODES 2
#define SLOTS 64

enum which { FORMAT_FILE, MANIFEST_FILE, CONTROL_FILE, POSITION, STATE, WHICH_COUNT };
static const char *const names[] = {"format", "manifest", "control"};

static char dir[] = "/dev/shm/instar-fuzz-XXXXXX";

static void remove_dir(void)
{
    char path[64];
    for (size_t i = 0; i < BASE_ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(dir);
}

static int open_dir_once(void)
{
    static int fd = -1;
    if (fd < 0) {
        base_assert(mkdtemp(dir) != NULL);
        (void)atexit(remove_dir);
        int rc = os_open_dir(dir, &fd);
        base_assert(rc == 0);
    }
    return fd;
}

static void put_file(int dirfd, const char *name, const uint8_t *bytes, size_t size, size_t whole)
{
    int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    base_assert(fd >= 0);
    int rc = os_pwrite(fd, bytes, size, 0);
    base_assert(rc == 0);
    if (whole != 0) {
        rc = os_ftruncate(fd, (off_t)whole);
        base_assert(rc == 0);
    }
    (void)close(fd);
}

static void try_format(int dirfd)
{
    struct format f;
    struct base_err err = {0};
    int rc = format_read(dirfd, "a store", FORMAT_NAME, &f, &err);
    base_assert(rc == 0 || err.text[0] != '\0');
    base_assert(rc != 0 || format_check(&f, NULL) == 0);
}

static void try_manifest(int dirfd, const uint8_t *bytes, size_t size)
{
    struct backup_manifest m;
    struct base_err err = {0};
    instar_backup_info info;
    int rc = manifest_read(dirfd, "a backup", &m, &err);
    base_assert(rc == 0 || err.text[0] != '\0');
    if (rc == 0) {
        base_assert(m.lo <= m.first && m.first <= m.end);
        manifest_info(&m, &info);
        size_t moments = manifest_moments(&m);
        base_assert(moments * 16 <= size);
        for (size_t i = 0; i < moments; i++) {
            (void)manifest_moment(&m, i);
        }
        (void)bytes;
    }
    manifest_free(&m);
}

static struct store shell_of(int dirfd)
{
    struct store s = {.runtime_fd = dirfd,
                      .dirfd = dirfd,
                      .device = 5,
                      .inode = 6,
                      .segment_bytes = 64 << 10,
                      .options = {.nodes_max = NODES, .lease_slots = SLOTS}};
    memset(s.log_id, 'l', sizeof(s.log_id));
    memset(s.instance_id, 'i', sizeof(s.instance_id));
    return s;
}

/* Whose it is, of which boot and build: as this process would have built it. */
static void repair_control(int dirfd, uint8_t *bytes, size_t size)
{
    struct store s = shell_of(dirfd);
    if (size < offsetof(struct store_control, identity_pad)) {
        return;
    }
    int rc = control_build(&s, 9, NULL);
    base_assert(rc == 0);
    memcpy(bytes, s.ctl, offsetof(struct store_control, identity_pad));
    os_unmap(s.ctl, s.ctl_size);
}

static void try_control(int dirfd)
{
    struct store s = shell_of(dirfd);
    struct control_past past = {0};
    struct base_err err = {0};
    int rc = control_join(&s, 9, &err);
    base_assert(rc == 0 || err.text[0] != '\0');
    if (rc == 0) {
        base_assert(s.ctl_size == control_bytes(&s));
        os_unmap(s.ctl, s.ctl_size);
    }
    rc = control_peek(&s, dirfd, &past, NULL);
    base_assert(rc == 0);
    base_assert(memchr(past.poison_text, 0, sizeof(past.poison_text)) != NULL);
}

static void try_entry(enum which which, struct base_slice bytes)
{
    struct trees_mark mark;
    struct trees_state state;
    struct base_buf again = {0};
    uint8_t coded[TREES_STATE_BYTES];
    if (which == POSITION && trees_mark_decode(bytes, &mark, NULL) == 0) {
        trees_mark_encode(&mark, &again);
        base_assert(base_slice_eq(base_buf_slice(&again), bytes));
        base_buf_free(&again);
    }
    if (which == STATE && trees_state_decode(bytes, TREE, &state, NULL) == 0) {
        trees_state_encode(&state, TREE, coded);
        base_assert(base_slice_eq(base_slice(coded, sizeof(coded)), bytes));
    }
}

static void repair(enum which which, int dirfd, uint8_t *bytes, size_t size)
{
    if (which == CONTROL_FILE) {
        repair_control(dirfd, bytes, size);
    } else if (size > 8) {
        uint64_t seed = which == STATE ? TREE : 0;
        base_put_u64(bytes + size - 8, base_hash64(bytes, size - 8, seed));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > BYTES_MAX || data[1] >= WHICH_COUNT) {
        return 0;
    }
    enum which which = (enum which)data[1];
    int dirfd = open_dir_once();
    size_t left = size - 2;
    uint8_t *bytes = malloc(left + (left == 0));
    if (bytes == NULL) {
        return 0;
    }
    memcpy(bytes, data + 2, left);
    if ((data[0] & REPAIR) != 0) {
        repair(which, dirfd, bytes, left);
    }
    if (which < BASE_ARRAY_LEN(names)) {
        struct store s = shell_of(dirfd);
        size_t whole = which == CONTROL_FILE && (data[0] & REPAIR) != 0 ? control_bytes(&s) : 0;
        put_file(dirfd, names[which], bytes, left, whole);
    }
    switch (which) {
    case FORMAT_FILE:
        try_format(dirfd);
        break;
    case MANIFEST_FILE:
        try_manifest(dirfd, bytes, left);
        break;
    case CONTROL_FILE:
        try_control(dirfd);
        break;
    default:
        try_entry(which, base_slice(bytes, left));
        break;
    }
    free(bytes);
    return 0;
}
