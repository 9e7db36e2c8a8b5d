/* SPDX-License-Identifier: Apache-2.0 */
/* Segments: names, pins, and what goes when. */
#include "store/control.h"
#include "store/log.h"
#include "support/stores.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define TREE 1

static struct store *make_small(void)
{
    instar_options o = stores_options();
    o.segment_bytes = (uint64_t)64 << 10;
    o.segments_retained = 1;
    return stores_make(&o);
}

static void fill(struct store *s, int segments)
{
    static char value[4000];
    memset(value, 'v', sizeof(value) - 1);
    for (int i = 0; i < segments * 16; i++) {
        stores_write(s, TREE, "key", value);
    }
}

static bool exists(const struct store *s, uint64_t start, const char *ending)
{
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, start, ending);
    return faccessat(strcmp(ending, "mem") == 0 ? s->runtime_fd : s->log_fd, name, F_OK, 0) == 0;
}

/* Names lead back to positions, and nothing else does. */
Test(store_segment, names)
{
    static const char *const wrong[] = {"",
                                        "0.seg",
                                        "0000000000010000.se",
                                        "0000000000010000.segs",
                                        "000000000001000G.seg",
                                        "000000000001000A.seg",
                                        " 00000000001000a.seg",
                                        "0000000000010000.mem",
                                        "00000000000010000.seg"};
    char name[SEGMENT_NAME_SIZE];
    uint64_t start;
    segment_name(name, UINT64_C(0xfedcba9876540000), "seg");
    expect(segment_name_parse(name, "seg", &start));
    expect_u64(start, UINT64_C(0xfedcba9876540000));
    for (size_t i = 0; i < BASE_ARRAY_LEN(wrong); i++) {
        expect(!segment_name_parse(wrong[i], "seg", &start));
    }
}

/* A pinned range stays readable after its files are gone; who comes later is told that it is too
 * late, and does not take a retired file for a lost one. */
Test(store_segment, pins_outlive_files)
{
    struct store *s = make_small();
    struct segment_pins pins;
    struct segment *seg;
    stores_tree_op(s, STORE_TREE_CREATE, TREE);
    fill(s, 1);
    uint64_t from = store_tail(s) / 2;
    must(segment_pin_range(s, from, store_tail(s), &pins, &test_err));
    uint64_t hash = base_hash64(pins.seg[0]->bytes, 60000, 0);
    while (control_load(&s->ctl->floor) < s->segment_bytes) {
        fill(s, 1);
        stores_fold(s);
    }
    expect(!exists(s, 0, "seg") && !exists(s, 0, "mem"));
    segment_trim(s);
    expect_u64(base_hash64(pins.seg[0]->bytes, 60000, 0), hash);
    expect(memtable_used(pins.seg[0]) > 0);
    segment_unpin(s, &pins);
    segment_trim(s);
    must_fail(segment_pin(s, 0, false, &seg, &test_err), INSTAR_ENOTFOUND);
    must_fail(segment_pin(s, 0, true, &seg, &test_err), INSTAR_ENOTFOUND);
    stores_close(s);
}

/* Whoever misses a file can tell that it was retired: the word that says so came before. */
static void was_announced(void *arg, const struct os_call *call)
{
    const struct store *s = arg;
    uint64_t start;
    if (call->op != OS_OP_UNLINK) {
        return;
    }
    if (segment_name_parse(call->name, "seg", &start)) {
        expect(start + s->segment_bytes <= control_load(&s->ctl->floor));
    } else if (segment_name_parse(call->name, "mem", &start)) {
        expect(start + s->segment_bytes <= control_load(&s->ctl->lo));
    }
}

/* The files that are there, once those that are not needed are gone. */
static void await_what_stat_says(struct store *s)
{
    instar_stats stats = {0};
    size_t count;
    do {
        char **names;
        uint64_t start;
        size_t listed;
        count = 0;
        expect(os_list_dir(s->log_fd, &names, &listed) == 0);
        for (size_t i = 0; i < listed; i++) {
            count += segment_name_parse(names[i], "seg", &start);
        }
        file_free_names(names, listed);
        store_stat(s, &stats);
    } while (count != stats.log_segments);
    expect(count > s->options.segments_retained);
}

/* A write transaction keeps the log since its snapshot, but no more than segments_retained; readers
 * keep none. */
Test(store_segment, retention)
{
    struct store *s = make_small();
    struct test_listener listener = {.before = was_announced, .arg = s};
    test_listener_set(&listener);
    stores_tree_op(s, STORE_TREE_CREATE, TREE);
    fill(s, 3);
    stores_fold(s);
    struct store_txn *reader = stores_begin(s, STORE_TXN_READONLY);
    stores_read(s, TREE, "none", NULL);
    struct store_txn *writer = stores_begin(s, 0);
    uint64_t needed = segment_base(store_txn_lsn(writer), s->segment_bytes);
    while (segment_base(store_tail(s), s->segment_bytes) <= needed) {
        stores_write(s, TREE, "key", "a value of some length, to fill a segment");
    }
    for (int i = 0; i < 3; i++) { /* so that nothing but the writer needs it */
        stores_write(s, TREE, "key", "value");
        stores_fold(s);
    }
    expect(control_load(&s->ctl->floor) <= needed);
    for (int i = 0; i < 20 && control_load(&s->ctl->floor) <= needed; i++) {
        fill(s, 1);
        stores_fold(s);
    }
    expect(control_load(&s->ctl->floor) > needed);
    await_what_stat_says(s);
    test_listener_set(NULL);
    store_txn_abort(writer);
    store_txn_abort(reader);
    stores_close(s);
}

/* Many small operations fill a memtable long before its segment: the log goes on in the next one,
 * and nothing is lost. */
Test(store_segment, memtable_is_full_first)
{
    struct store *s = make_small();
    uint64_t bytes = 0;
    stores_tree_op(s, STORE_TREE_CREATE, TREE);
    for (int i = 0; i < 3000;) {
        struct store_txn *t = stores_begin(s, 0);
        for (int k = 0; k < 20; k++, i++) {
            char key[16];
            (void)snprintf(key, sizeof(key), "%d", i);
            stores_put(t, TREE, key, "");
            bytes += strlen(key);
        }
        stores_commit(t);
    }
    expect(bytes < s->segment_bytes);
    expect(segment_base(store_tail(s), s->segment_bytes) >= 2 * s->segment_bytes);
    for (int i = 0; i < 3000; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "%d", i);
        stores_read(s, TREE, key, "");
    }
    stores_close(s);
}

/* A memtable that was deleted from outside while it is needed is an error that says so. */
Test(store_segment, deleted_memtable)
{
    struct store *s = make_small();
    struct segment *seg;
    stores_tree_op(s, STORE_TREE_CREATE, TREE);
    must(gate_enter(s, "test", STORE_FOREVER, &test_err)); /* nothing is folded meanwhile */
    fill(s, 1);
    uint64_t start = control_load(&s->ctl->prepared);
    while (control_load(&s->ctl->prepared) == start) {
        must(rotate_prepare(s, start + s->segment_bytes, STORE_FOREVER, &test_err));
    }
    start += s->segment_bytes;
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, start, "mem");
    expect(unlinkat(s->runtime_fd, name, 0) == 0);
    int rc = segment_pin(s, start, true, &seg, &test_err);
    if (rc == 0) { /* the background thread had mapped it before: then nothing is lost */
        segment_unpin_one(s, seg);
    } else {
        expect(rc == INSTAR_EIO);
        expect(strstr(test_err.text, "was deleted while in use") != NULL);
    }
    gate_leave(s);
    must(segment_make_mem(s, start, s->ctl->builder, &test_err));
    stores_close(s);
}

/* The files are really allocated, and private. */
Test(store_segment, files)
{
    struct store *s = make_small();
    struct stat st;
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, 0, "seg");
    must(os_fstatat(s->log_fd, name, &st));
    expect_u64((uint64_t)st.st_size, s->segment_bytes);
    expect_u64((uint64_t)st.st_blocks * 512, s->segment_bytes);
    expect_u64(st.st_mode & 07777, 0600);
    segment_name(name, 0, "mem");
    must(os_fstatat(s->runtime_fd, name, &st));
    expect_u64((uint64_t)st.st_size, memtable_size(s->segment_bytes));
    expect((uint64_t)st.st_blocks * 512 >= memtable_size(s->segment_bytes));
    expect_u64(st.st_mode & 07777, 0600);
    stores_close(s);
}
