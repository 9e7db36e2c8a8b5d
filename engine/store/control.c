/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file `control`: built by the first opener, joined by the others, and its locks. What its
 * words mean stands in control.h.
 *
 *   building --(recovery done, then renamed)--> ready --(a later opener is alone)--> superseded
 *
 * A builder works under another name, so a file named `control` was ready once. Nobody joins one
 * that is superseded, but its durable position and its poison stay readable: they are evidence of
 * this boot. That it belongs to this store, this boot, this pid namespace and this build of the
 * library is checked before any lock in it is touched; a lock of another C library is garbage.
 */
#include "store/log.h"

#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <stdio.h>
#include <string.h>

#define CONTROL_NAME "control"
#define CONTROL_FRESH "control.new"
#define CHANGE_AREA_BYTES ((uint64_t)64 << 10)
#define LEASE_SLOT_BYTES 128u
#define PAGE 4096u

uint32_t control_signature(void)
{
    const uint64_t sizes[] = {sizeof(struct store_control),
                              sizeof(struct control_lock),
                              sizeof(struct control_node),
                              sizeof(struct control_mark),
                              sizeof(struct os_mutex),
                              offsetof(struct store_control, tail),
                              offsetof(struct store_control, mark),
                              offsetof(struct store_control, writer),
                              offsetof(struct store_control, event),
                              offsetof(struct store_control, nodes),
                              STORE_AREA_COUNT,
                              STORE_EVENT_COUNT,
                              CONTROL_LAYOUT};
    return base_hash32(sizes, sizeof(sizes), 0);
}

static uint32_t libc_signature(void)
{
    const char *version = gnu_get_libc_version();
    return base_hash32(version, strlen(version), 0);
}

static uint64_t round_up(uint64_t size, uint64_t unit)
{
    return (size + unit - 1) / unit * unit;
}

static uint64_t control_size(uint32_t nodes_max, uint32_t lease_slots)
{
    uint64_t areas = sizeof(struct store_control) + nodes_max * sizeof(struct control_node);
    return round_up(areas, PAGE) + round_up((uint64_t)lease_slots * LEASE_SLOT_BYTES, PAGE) +
           CHANGE_AREA_BYTES + round_up((uint64_t)nodes_max * STORE_NAMED_BYTES, PAGE);
}

uint64_t control_bytes(const struct store *s)
{
    return control_size(s->options.nodes_max, s->options.lease_slots);
}

/* ---- building ----------------------------------------------------------------------------- */

static int fill_identity(struct store *s, struct store_control *ctl, uint64_t builder)
{
    ctl->magic = CONTROL_MAGIC;
    ctl->layout = CONTROL_LAYOUT;
    ctl->signature = control_signature();
    memcpy(ctl->log_id, s->log_id, 16);
    memcpy(ctl->instance_id, s->instance_id, 16);
    ctl->device = s->device;
    ctl->inode = s->inode;
    ctl->builder = builder;
    ctl->size = control_bytes(s);
    ctl->segment_bytes = s->segment_bytes;
    ctl->mem_bytes = memtable_size(s->segment_bytes);
    ctl->libc_signature = libc_signature();
    ctl->pointer_bits = sizeof(void *) * 8;
    ctl->nodes_max = s->options.nodes_max;
    ctl->lease_slots = s->options.lease_slots;
    uint64_t at = round_up(sizeof(*ctl) + ctl->nodes_max * sizeof(struct control_node), PAGE);
    ctl->area_at[STORE_AREA_LEASE] = at;
    ctl->area_size[STORE_AREA_LEASE] = (uint64_t)ctl->lease_slots * LEASE_SLOT_BYTES;
    ctl->area_at[STORE_AREA_CHANGE] = at + round_up(ctl->area_size[STORE_AREA_LEASE], PAGE);
    ctl->area_size[STORE_AREA_CHANGE] = CHANGE_AREA_BYTES;
    ctl->area_at[STORE_AREA_NAMED] = ctl->area_at[STORE_AREA_CHANGE] + CHANGE_AREA_BYTES;
    ctl->area_size[STORE_AREA_NAMED] = (uint64_t)ctl->nodes_max * STORE_NAMED_BYTES;
    int rc = os_boot_id(ctl->boot_id);
    return rc != 0 ? rc : os_pid_namespace(&ctl->pid_namespace);
}

static int init_locks(struct store_control *ctl)
{
    struct control_lock *locks[] = {&ctl->writer, &ctl->flush, &ctl->prepare, &ctl->applier,
                                    &ctl->gate};
    for (size_t i = 0; i < BASE_ARRAY_LEN(locks); i++) {
        int rc = os_mutex_init_shared(&locks[i]->mutex);
        if (rc != 0) {
            return rc;
        }
    }
    for (uint32_t i = 0; i < ctl->nodes_max; i++) {
        int rc = os_mutex_init_shared(&ctl->nodes[i].lock);
        if (rc != 0) {
            return rc;
        }
        atomic_store_explicit(&ctl->nodes[i].write_snapshot, UINT64_MAX, memory_order_relaxed);
        atomic_store_explicit(&ctl->nodes[i].log_pin, UINT64_MAX, memory_order_relaxed);
    }
    return 0;
}

int control_build(struct store *s, uint64_t builder, struct base_err *err)
{
    int fd;
    void *map = NULL;
    size_t size = control_bytes(s);
    int rc = file_remove(s->runtime_fd, CONTROL_FRESH, err);
    if (rc == 0) {
        rc = file_open(s->runtime_fd, CONTROL_FRESH, O_RDWR | O_CREAT | O_EXCL, &fd, err);
    }
    if (rc != 0) {
        return rc;
    }
    os_overwrite_in_place(fd);
    rc = os_fallocate(fd, 0, (off_t)size);
    if (rc == 0) {
        rc = os_map(fd, size, true, true, &map);
    }
    os_close(fd);
    if (rc == 0) {
        rc = fill_identity(s, map, builder);
    }
    if (rc == 0) {
        rc = init_locks(map);
    }
    if (rc != 0) {
        if (map != NULL) {
            os_unmap(map, size);
        }
        return base_err_errno(err, -rc, "control in %s: cannot be built", s->runtime_path);
    }
    s->ctl = map;
    s->ctl_size = size;
    return 0;
}

int control_publish(struct store *s, struct base_err *err)
{
    os_point("control.built");
    atomic_store_explicit(&s->ctl->state, CONTROL_READY, memory_order_release);
    int rc = os_renameat(s->runtime_fd, CONTROL_FRESH, s->runtime_fd, CONTROL_NAME);
    if (rc != 0) {
        return base_err_errno(err, -rc, "control in %s: cannot get its name", s->runtime_path);
    }
    os_point("control.ready");
    return 0;
}

/* ---- joining ------------------------------------------------------------------------------ */

/* Map whatever file has the name. The size is at least that of the fixed part. */
static int map_existing(int dirfd, struct store_control **ctl_out, size_t *size_out,
                        struct base_err *err)
{
    struct stat st;
    int fd;
    void *map;
    *ctl_out = NULL;
    *size_out = 0;
    int rc = file_open(dirfd, CONTROL_NAME, O_RDWR, &fd, err);
    if (rc != 0) {
        return rc;
    }
    rc = os_fstat(fd, &st);
    if (rc == 0 && (uint64_t)st.st_size < sizeof(struct store_control)) {
        rc = -EINVAL;
    }
    if (rc == 0) {
        rc = os_map(fd, (size_t)st.st_size, true, true, &map);
    }
    os_close(fd);
    if (rc != 0) {
        return base_err_errno(err, -rc, "control: cannot be mapped");
    }
    *ctl_out = map;
    *size_out = (size_t)st.st_size;
    return 0;
}

static bool same_store(const struct store *s, const struct store_control *ctl)
{
    return ctl->magic == CONTROL_MAGIC && memcmp(ctl->log_id, s->log_id, 16) == 0 &&
           memcmp(ctl->instance_id, s->instance_id, 16) == 0 && ctl->device == s->device &&
           ctl->inode == s->inode;
}

static int foreign(struct base_err *err, const char *what, uint64_t expected, uint64_t found)
{
    return base_err_set(err, INSTAR_EFOREIGN,
                        "the store is open in another process that differs in its %s (here %llx, "
                        "there %llx); run both alike, or close the other first",
                        what, (unsigned long long)expected, (unsigned long long)found);
}

/* May this process use the locks in there? */
static int check_surroundings(const struct store *s, const struct store_control *ctl, size_t size,
                              struct base_err *err)
{
    uint8_t boot_id[16];
    uint64_t pid_namespace;
    int rc = os_boot_id(boot_id);
    if (rc == 0) {
        rc = os_pid_namespace(&pid_namespace);
    }
    if (rc != 0) {
        return base_err_errno(err, -rc, "boot id and pid namespace cannot be read");
    }
    if (ctl->pointer_bits != sizeof(void *) * 8) {
        return foreign(err, "word size", sizeof(void *) * 8, ctl->pointer_bits);
    }
    if (ctl->layout != CONTROL_LAYOUT) {
        return foreign(err, "layout of shared memory", CONTROL_LAYOUT, ctl->layout);
    }
    if (ctl->signature != control_signature() || ctl->size != size ||
        ctl->size != control_bytes(s)) {
        return foreign(err, "build of the library", control_signature(), ctl->signature);
    }
    if (ctl->libc_signature != libc_signature()) {
        return foreign(err, "C library", libc_signature(), ctl->libc_signature);
    }
    if (ctl->pid_namespace != pid_namespace) {
        return foreign(err, "pid namespace", pid_namespace, ctl->pid_namespace);
    }
    if (memcmp(ctl->boot_id, boot_id, 16) != 0) {
        return base_err_set(err, INSTAR_EBUSY, "control is of an earlier boot");
    }
    return 0;
}

static bool is_ready(const struct store_control *ctl, uint64_t builder)
{
    return ctl->builder == builder &&
           atomic_load_explicit(&ctl->state, memory_order_acquire) == CONTROL_READY &&
           atomic_load_explicit(&ctl->superseded, memory_order_acquire) == 0;
}

int control_join(struct store *s, uint64_t builder, struct base_err *err)
{
    struct store_control *ctl;
    size_t size;
    int rc = map_existing(s->runtime_fd, &ctl, &size, err);
    if (rc != 0) {
        return rc == INSTAR_ENOTFOUND ? base_err_set(err, INSTAR_EBUSY, "control is not there yet")
                                      : rc;
    }
    rc = same_store(s, ctl) ? check_surroundings(s, ctl, size, err)
                            : base_err_set(err, INSTAR_EBUSY, "control is of another store");
    if (rc == 0 && !is_ready(ctl, builder)) {
        rc = base_err_set(err, INSTAR_EBUSY, "control is not ready");
    }
    if (rc != 0) {
        os_unmap(ctl, size);
        return rc;
    }
    s->ctl = ctl;
    s->ctl_size = size;
    return 0;
}

int control_peek(struct store *s, int dirfd, struct control_past *past, struct base_err *err)
{
    struct store_control *ctl;
    size_t size;
    uint8_t boot_id[16];
    int rc = map_existing(dirfd, &ctl, &size, NULL);
    if (rc != 0) {
        return 0; /* none, or nothing that could be one: no evidence */
    }
    rc = os_boot_id(boot_id);
    if (rc == 0 && same_store(s, ctl) && ctl->layout == CONTROL_LAYOUT &&
        ctl->signature == control_signature() && memcmp(ctl->boot_id, boot_id, 16) == 0) {
        uint64_t durable = control_load(&ctl->durable);
        uint64_t lo = control_load(&ctl->lo);
        past->found = true;
        past->durable = durable > past->durable ? durable : past->durable;
        past->lo = lo > past->lo ? lo : past->lo;
        if (atomic_load_explicit(&ctl->poisoned, memory_order_acquire) == CONTROL_FAILED) {
            past->poisoned = true;
            memcpy(past->poison_text, ctl->poison_text, sizeof(past->poison_text));
            past->poison_text[sizeof(past->poison_text) - 1] = '\0';
        }
        atomic_store_explicit(&ctl->superseded, 1, memory_order_release);
    }
    os_unmap(ctl, size);
    return rc == 0 ? 0 : base_err_errno(err, -rc, "boot id cannot be read");
}

void control_close(struct store *s)
{
    if (s->ctl != NULL) {
        /* A robust mutex may be written to late: what is mapped here next must not be ours. */
        os_map_retire(s->ctl, s->ctl_size);
        s->ctl = NULL;
    }
}

/* ---- locks and wake-ups ------------------------------------------------------------------- */

uint64_t control_left_ns(uint64_t deadline_ns)
{
    if (deadline_ns == STORE_FOREVER) {
        return UINT64_MAX;
    }
    uint64_t now = os_now_ns();
    return deadline_ns > now ? deadline_ns - now : 0;
}

int control_lock_take(struct store *s, struct control_lock *l, const char *what,
                      uint64_t timeout_ns)
{
    int rc = os_mutex_lock(&l->mutex, timeout_ns);
    if (rc != 0 && rc != -EOWNERDEAD) {
        return rc;
    }
    atomic_store_explicit(&l->holder_node, s->node, memory_order_relaxed);
    atomic_store_explicit(&l->since_ns, os_now_ns(), memory_order_relaxed);
    uint64_t words[BASE_ARRAY_LEN(l->what)] = {0};
    memcpy(words, what, strnlen(what, sizeof(words) - 1));
    for (size_t i = 0; i < BASE_ARRAY_LEN(words); i++) {
        atomic_store_explicit(&l->what[i], words[i], memory_order_relaxed);
    }
    atomic_store_explicit(&l->holder_pid, (uint32_t)s->pid, memory_order_release);
    return rc;
}

void control_lock_leave(struct control_lock *l)
{
    atomic_store_explicit(&l->holder_pid, 0, memory_order_release);
    os_mutex_unlock(&l->mutex);
}

int control_lock_busy(const struct control_lock *l, const char *name, struct base_err *err)
{
    uint64_t words[BASE_ARRAY_LEN(l->what)];
    uint32_t pid = atomic_load_explicit(&l->holder_pid, memory_order_acquire);
    uint64_t since = atomic_load_explicit(&l->since_ns, memory_order_relaxed);
    for (size_t i = 0; i < BASE_ARRAY_LEN(words); i++) {
        words[i] = atomic_load_explicit(&l->what[i], memory_order_relaxed);
    }
    char *what = (char *)words;
    what[sizeof(words) - 1] = '\0';
    uint64_t now = os_now_ns();
    return base_err_set(err, INSTAR_EBUSY,
                        "%s: held by process %u (%s) for %llu ms; if it is stopped, continue or "
                        "kill it",
                        name, pid, what,
                        (unsigned long long)(now > since ? (now - since) / 1000000 : 0));
}

static int enter(struct store *s, const char *what, uint64_t deadline_ns, bool appends,
                 struct base_err *err)
{
    struct control_lock *l = &s->ctl->writer;
    /* The clock is looked at only when the lock is not free. */
    int rc = control_lock_take(s, l, what, 0);
    if (rc == -ETIMEDOUT) {
        rc = control_lock_take(s, l, what, control_left_ns(deadline_ns));
    }
    if (rc == -ETIMEDOUT) {
        return control_lock_busy(l, "writer lock", err);
    }
    if (rc == -EOWNERDEAD) {
        os_point("control.owner_dead");
        os_mutex_consistent(&l->mutex);
    } else if (rc != 0) {
        return base_err_errno(err, -rc, "writer lock");
    }
    rc = store_poisoned(s, err);
    if (rc == 0 && atomic_load_explicit(&s->ctl->mark.valid, memory_order_acquire) != 0) {
        /* The mark, not the lock, says that something is left to do: so whoever fails or dies in
         * here leaves it to the next. */
        rc = append_settle(s, err);
        if (rc == INSTAR_ECORRUPT) {
            store_poison_damaged(s, "the end of the log does not verify after a process died");
        }
        if (rc == INSTAR_ENOSPACE && !appends) {
            base_err_clear(err);
            rc = 0;
        }
    }
    if (rc != 0) {
        control_lock_leave(l);
    }
    return rc;
}

int control_writer_enter(struct store *s, const char *what, uint64_t deadline_ns,
                         struct base_err *err)
{
    return enter(s, what, deadline_ns, true, err);
}

int control_memory_enter(struct store *s, const char *what, uint64_t deadline_ns,
                         struct base_err *err)
{
    return enter(s, what, deadline_ns, false, err);
}

void control_writer_leave(struct store *s)
{
    control_lock_leave(&s->ctl->writer);
}

void control_wake(struct control_wake *w)
{
    atomic_fetch_add_explicit(&w->seen, 1, memory_order_seq_cst);
    os_futex_wake_all(&w->seen);
}

void control_sleep(struct control_wake *w, uint32_t seen, uint64_t deadline_ns, uint64_t limit_ns)
{
    uint64_t left = control_left_ns(deadline_ns);
    os_futex_wait(&w->seen, seen, left < limit_ns ? left : limit_ns);
}
