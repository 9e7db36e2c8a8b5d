/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stop after an I/O failure (I-6). A word in `control` tells all processes at once; a marker
 * file keeps the store closed for later openers of this boot, because the page cache may still show
 * what the disk does not have. After a reboot the page cache is gone and the disk is the truth, so
 * the marker is void then: recovery decides.
 *
 * Damage, a record of the log or a memtable that is not what was written, stops the store for those
 * who have it open, and leaves no marker: whoever opens it next reads the log and makes memtables
 * anew, so recovery names what is wrong on the disk, and what helps.
 *
 * The marker: 16 bytes boot id, then words for a human. One without, as a full disk leaves it, is
 * of any boot: then only the check helps.
 */
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define REMEDY "close it everywhere, then check it after an I/O error or reboot, and open it again"

void stopped_mark(struct store *s, const char *why)
{
    uint8_t bytes[16 + 240] = {0};
    int fd;
    if (os_boot_id(bytes) != 0) {
        return;
    }
    size_t length = strnlen(why, sizeof(bytes) - 17);
    memcpy(bytes + 16, why, length);
    /* Any of this may fail as the disk just did; control still says it. */
    if (file_open(s->dirfd, STOPPED_NAME, O_RDWR | O_CREAT, &fd, NULL) != 0) {
        return;
    }
    if (os_pwrite(fd, bytes, 16 + length, 0) == 0 && os_fdatasync(fd) == 0) {
        (void)os_fsync_dir(s->dirfd);
    }
    os_close(fd);
}

int stopped_check(struct store *s, struct base_err *err)
{
    uint8_t bytes[16 + 240] = {0};
    uint8_t boot_id[16];
    size_t size;
    int fd;
    int rc = file_open(s->dirfd, STOPPED_NAME, O_RDONLY, &fd, err);
    if (rc == INSTAR_ENOTFOUND) {
        base_err_clear(err);
        return 0;
    }
    if (rc != 0) {
        return rc;
    }
    rc = os_pread(fd, bytes, sizeof(bytes) - 1, 0, &size);
    os_close(fd);
    if (rc == 0) {
        rc = os_boot_id(boot_id);
    }
    if (rc != 0) {
        return base_err_errno(err, -rc, STOPPED_NAME ": cannot be read");
    }
    if (size >= 16 && memcmp(bytes, boot_id, 16) != 0) {
        rc = file_remove(s->dirfd, STOPPED_NAME, err);
        return rc;
    }
    if (size < 16) {
        return base_err_set(err, INSTAR_ESTOPPED,
                            "the store has stopped after an I/O failure, and could not note in "
                            "which boot; close it everywhere, then check it after an I/O error, "
                            "and open it again");
    }
    return base_err_set(err, INSTAR_ESTOPPED,
                        "the store has stopped after an I/O failure (%s); " REMEDY,
                        size > 16 ? (const char *)bytes + 16 : "unknown");
}

int stopped_past(const struct control_past *past, struct base_err *err)
{
    if (!past->poisoned) {
        return 0;
    }
    return base_err_set(err, INSTAR_ESTOPPED,
                        "the store has stopped after an I/O failure (%s); check it after an I/O "
                        "error or reboot, and open it again",
                        past->poison_text);
}

int stopped_forget(struct store *s, struct base_err *err)
{
    runtime_forget(s);
    int rc = file_remove(s->dirfd, STOPPED_NAME, err);
    if (rc == 0) {
        rc = os_fsync_dir(s->dirfd);
        rc = rc == 0 ? 0 : base_err_errno(err, -rc, "the directory cannot be synced");
    }
    return rc;
}

static void stop(struct store *s, enum control_stop how, const char *why)
{
    struct store_control *ctl = s->ctl;
    uint32_t none = 0;
    if (atomic_exchange(&ctl->poisoning, 1) == 0) {
        snprintf(ctl->poison_text, sizeof(ctl->poison_text), "%s", why);
    }
    if (how == CONTROL_FAILED) {
        atomic_store_explicit(&ctl->poisoned, how, memory_order_release);
    } else {
        atomic_compare_exchange_strong(&ctl->poisoned, &none, how);
    }
    os_point("stop.poisoned");
    control_wake(&ctl->flushed);
    control_wake(&ctl->applied);
    control_wake(&ctl->turn);
    for (int i = 0; i < STORE_EVENT_COUNT; i++) {
        control_wake(&ctl->event[i]);
    }
}

static uint32_t stopped_by(const struct store *s)
{
    return atomic_load_explicit(&s->ctl->poisoned, memory_order_acquire);
}

void store_poison(struct store *s, const char *why)
{
    if (s->ctl != NULL && stopped_by(s) != CONTROL_FAILED) {
        stop(s, CONTROL_FAILED, why);
        stopped_mark(s, why);
    }
}

void store_poison_damaged(struct store *s, const char *why)
{
    if (stopped_by(s) == 0) {
        stop(s, CONTROL_DAMAGED, why);
    }
}

int store_poisoned(const struct store *s, struct base_err *err)
{
    uint32_t how = stopped_by(s);
    if (__builtin_expect(how == 0, 1)) {
        return 0;
    }
    char text[sizeof(s->ctl->poison_text)];
    memcpy(text, s->ctl->poison_text, sizeof(text));
    text[sizeof(text) - 1] = '\0';
    if (how == CONTROL_DAMAGED) {
        return base_err_set(err, INSTAR_ESTOPPED,
                            "the store has stopped writing because something is damaged (%s); "
                            "close it everywhere and open it again, which names what helps",
                            text);
    }
    return base_err_set(err, INSTAR_ESTOPPED,
                        "the store has stopped writing after an I/O failure (%s); " REMEDY, text);
}
