/* SPDX-License-Identifier: Apache-2.0 */
/* The recorder and the replay of power cuts: the campaign in tests/crash/ is as good as these. */
#define _GNU_SOURCE
#include "support/replay.h"
#include "support/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <lmdb.h>

static const struct replay_choice lost = {.fate = REPLAY_LOST};
static const struct replay_choice whole = {.fate = REPLAY_WHOLE};

static int open_root(void)
{
    int dir;
    cr_assert_eq(os_open_dir(test_dir(), &dir), 0);
    cr_assert_eq(os_mkdirat(dir, "root"), 0);
    os_close(dir);
    cr_assert_eq(os_open_dir(test_path("root"), &dir), 0);
    return dir;
}

/* The text of a file in the state made with these choices; NULL when it is not there. */
static const char *text_of(struct replay *p, const struct replay_choice *choices, const char *name)
{
    static char text[8192];
    replay_choose(p, choices);
    test_remove(test_path("state"));
    replay_write(p, test_path("state"));
    const char *path = test_path("state/%s", name);
    if (access(path, F_OK) != 0) {
        return NULL;
    }
    size_t size;
    uint8_t *data = test_read_file(path, &size);
    cr_assert_lt(size, sizeof(text));
    memcpy(text, data, size);
    text[size] = '\0';
    base_free(data);
    return text;
}

static void put_text(int dir, const char *name, const char *text, bool sync, bool sync_dir)
{
    int fd;
    cr_assert_eq(os_openat(dir, name, O_RDWR | O_CREAT, &fd), 0);
    cr_assert_eq(os_pwrite(fd, text, strlen(text), 0), 0);
    if (sync) {
        cr_assert_eq(os_fdatasync(fd), 0);
    }
    if (sync_dir) {
        cr_assert_eq(os_fsync_dir(dir), 0);
    }
    os_close(fd);
}

/* A file whose content and name were synced is there whatever is lost. */
Test(base_trace, synced_file_survives)
{
    int dir = open_root();
    struct trace *t = trace_start(test_path("root"));
    put_text(dir, "file", "content", true, true);
    trace_stop();
    struct replay *p = replay_new(t);
    replay_cut(p, t->step);
    cr_expect_eq(replay_pending(p), 0);
    cr_expect_str_eq(text_of(p, NULL, "file"), "content");
    replay_free(p);
    trace_free(t);
    os_close(dir);
}

/* A synced content without a synced name may be lost; a synced name without content is empty. */
Test(base_trace, name_and_content_are_synced_apart)
{
    int dir = open_root();
    struct trace *t = trace_start(test_path("root"));
    put_text(dir, "a", "content", true, false);
    put_text(dir, "b", "content", false, true);
    trace_stop();
    struct replay *p = replay_new(t);
    replay_cut(p, t->step);
    /* b's sync of the directory has covered a's name too. */
    cr_expect_eq(replay_pending(p), 1);
    cr_expect_str_eq(text_of(p, &lost, "a"), "content");
    cr_expect_str_eq(text_of(p, &lost, "b"), "");
    cr_expect_str_eq(text_of(p, &whole, "b"), "content");
    replay_free(p);
    p = replay_new(t);
    /* Right after a's sync, before b: the name may be missing. */
    uint64_t step = 0;
    for (size_t i = 0; i < t->event_count && step == 0; i++) {
        step = t->events[i].kind == TRACE_SYNC ? t->events[i].end : 0;
    }
    replay_cut(p, step);
    cr_expect_eq(replay_pending(p), 1);
    cr_expect_null(text_of(p, &lost, "a"));
    cr_expect_str_eq(text_of(p, &whole, "a"), "content");
    replay_free(p);
    trace_free(t);
    os_close(dir);
}

/* Of two writes without a sync between them, the later may survive without the earlier. */
Test(base_trace, later_write_may_survive_alone)
{
    int dir = open_root();
    put_text(dir, "file", "..........", true, true);
    struct trace *t = trace_start(test_path("root"));
    int fd;
    cr_assert_eq(os_openat(dir, "file", O_RDWR, &fd), 0);
    cr_assert_eq(os_pwrite(fd, "one", 3, 0), 0);
    cr_assert_eq(os_pwrite(fd, "two", 3, 3), 0);
    os_close(fd);
    trace_stop();
    struct replay *p = replay_new(t);
    replay_cut(p, t->step);
    cr_assert_eq(replay_pending(p), 2);
    struct replay_choice choices[2] = {lost, whole};
    cr_expect_str_eq(text_of(p, choices, "file"), "...two....");
    uint64_t hash = replay_state_hash(p);
    choices[0] = whole;
    cr_expect_str_eq(text_of(p, choices, "file"), "onetwo....");
    cr_expect_neq(replay_state_hash(p), hash);
    choices[0] = lost;
    text_of(p, choices, "file");
    cr_expect_eq(replay_state_hash(p), hash);
    replay_free(p);
    trace_free(t);
    os_close(dir);
}

/* A sync that failed, or that had not ended, covers nothing. */
Test(base_trace, only_finished_syncs_cover)
{
    int dir = open_root();
    put_text(dir, "file", "old", true, true);
    struct trace *t = trace_start(test_path("root"));
    put_text(dir, "file", "new", true, false);
    trace_stop();
    struct trace_event *sync = NULL;
    for (size_t i = 0; i < t->event_count; i++) {
        sync = t->events[i].kind == TRACE_SYNC ? &t->events[i] : sync;
    }
    cr_assert_not_null(sync);
    struct replay *p = replay_new(t);
    replay_cut(p, sync->end - 1);
    cr_expect_eq(replay_pending(p), 1);
    cr_expect_str_eq(text_of(p, &lost, "file"), "old");
    replay_cut(p, sync->end);
    cr_expect_eq(replay_pending(p), 0);
    replay_free(p);
    sync->failed = true;
    p = replay_new(t);
    replay_cut(p, t->step);
    cr_expect_eq(replay_pending(p), 1);
    replay_free(p);
    trace_free(t);
    os_close(dir);
}

/* A torn write shows new bytes in whole units only, at multiples of the unit in the file. */
Test(base_trace, torn_write_is_torn_at_units)
{
    int dir = open_root();
    uint8_t old[3000];
    memset(old, 'o', sizeof(old));
    int fd;
    cr_assert_eq(os_openat(dir, "file", O_RDWR | O_CREAT, &fd), 0);
    cr_assert_eq(os_pwrite(fd, old, sizeof(old), 0), 0);
    struct trace *t = trace_start(test_path("root"));
    memset(old, 'n', sizeof(old));
    cr_assert_eq(os_pwrite(fd, old, 2900, 100), 0);
    trace_stop();
    struct replay *p = replay_new(t);
    replay_cut(p, t->step);
    bool seen_torn = false;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct replay_choice torn = {
            .fate = seed % 2 != 0 ? REPLAY_PIECES : REPLAY_PREFIX, .unit = 512, .seed = seed};
        const char *text = text_of(p, &torn, "file");
        cr_assert_eq(strspn(text, "o") >= 100, true);
        int changes = 0;
        for (size_t i = 101; i < 3000; i++) {
            if (text[i] != text[i - 1]) {
                cr_assert_eq(i % 512, 0, "changes at %zu", i);
                changes++;
            }
        }
        seen_torn = seen_torn || changes > 0;
        if (torn.fate == REPLAY_PREFIX) {
            cr_expect_leq(changes, 1);
            cr_expect_eq(text[2999], 'o', "a prefix is never the whole");
        }
    }
    cr_expect(seen_torn);
    replay_free(p);
    trace_free(t);
    os_close(fd);
    os_close(dir);
}

/* A rename that was not synced leaves the old state or gives the new one, nothing between. */
Test(base_trace, rename_is_whole_or_lost)
{
    int dir = open_root();
    put_text(dir, "file", "old", true, true);
    struct trace *t = trace_start(test_path("root"));
    put_text(dir, "file.new", "new", true, true);
    cr_assert_eq(os_renameat(dir, "file.new", dir, "file"), 0);
    trace_stop();
    struct replay *p = replay_new(t);
    replay_cut(p, t->step);
    cr_assert_eq(replay_pending(p), 1);
    cr_expect_str_eq(text_of(p, &lost, "file"), "old");
    cr_expect_str_eq(text_of(p, &lost, "file.new"), "new");
    cr_expect_str_eq(text_of(p, &whole, "file"), "new");
    cr_expect_null(text_of(p, &whole, "file.new"));
    replay_free(p);
    trace_free(t);
    os_close(dir);
}

/* Directories, allocation, truncation, zeroing and unlinking are followed. */
Test(base_trace, all_operations_are_followed)
{
    int dir = open_root();
    struct trace *t = trace_start(test_path("root"));
    cr_assert_eq(os_mkdirat(dir, "sub"), 0);
    int sub;
    cr_assert_eq(os_openat(dir, "sub", O_RDONLY | O_DIRECTORY, &sub), 0);
    int fd;
    cr_assert_eq(os_openat(sub, "file", O_RDWR | O_CREAT | O_EXCL, &fd), 0);
    cr_assert_eq(os_fallocate(fd, 0, 4096), 0);
    cr_assert_eq(os_pwrite(fd, "abcdefgh", 8, 0), 0);
    cr_assert_eq(os_zero_range(fd, 2, 2), 0);
    cr_assert_eq(os_ftruncate(fd, 6), 0);
    put_text(sub, "gone", "x", true, true);
    cr_assert_eq(os_unlinkat(sub, "gone", 0), 0);
    cr_assert_eq(os_fdatasync(fd), 0);
    cr_assert_eq(os_fsync_dir(sub), 0);
    cr_assert_eq(os_fsync_dir(dir), 0);
    trace_stop();
    struct replay *p = replay_new(t);
    replay_cut(p, t->step);
    cr_assert_eq(replay_pending(p), 0);
    cr_expect_null(text_of(p, NULL, "sub/gone"));
    replay_choose(p, NULL);
    test_remove(test_path("state"));
    replay_write(p, test_path("state"));
    size_t size;
    uint8_t *data = test_read_file(test_path("state/sub/file"), &size);
    cr_expect_eq(size, 6);
    cr_expect_eq(memcmp(data, "ab\0\0ef", 6), 0);
    base_free(data);
    replay_free(p);
    trace_free(t);
    os_close(fd);
    os_close(sub);
    os_close(dir);
}

static MDB_env *open_env(const char *path)
{
    MDB_env *env;
    cr_assert_eq(mdb_env_create(&env), 0);
    cr_assert_eq(mdb_env_open(env, path, 0, 0600), 0);
    return env;
}

static int get_number(MDB_env *env)
{
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val k = {.mv_size = 1, .mv_data = "k"};
    MDB_val v;
    cr_assert_eq(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
    cr_assert_eq(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    int rc = mdb_get(txn, dbi, &k, &v);
    int number = 0;
    if (rc == 0) {
        memcpy(&number, v.mv_data, sizeof(number));
    }
    mdb_txn_abort(txn);
    return number;
}

static void put_number(MDB_env *env, int number)
{
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val k = {.mv_size = 1, .mv_data = "k"};
    MDB_val v = {.mv_size = sizeof(number), .mv_data = &number};
    cr_assert_eq(mdb_txn_begin(env, NULL, 0, &txn), 0);
    cr_assert_eq(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    cr_assert_eq(mdb_put(txn, dbi, &k, &v, 0), 0);
    cr_assert_eq(mdb_txn_commit(txn), 0);
}

/* LMDB keeps its own promise under the cuts: after a commit has returned its value is there, and
 * before that the value or the one before it. Its metas are known as such. */
Test(base_trace, lmdb_survives_its_power_cuts)
{
    int dir = open_root();
    MDB_env *env = open_env(test_path("root"));
    struct trace *t = trace_start(test_path("root"));
    for (int i = 1; i <= 5; i++) {
        put_number(env, i);
        trace_mark(t, 1, (uint64_t)i);
    }
    trace_stop();
    mdb_env_close(env);
    struct replay *p = replay_new(t);
    struct test_random random = test_random(1);
    int acknowledged = 0;
    int metas = 0;
    for (size_t i = 0; i < t->event_count; i++) {
        metas += t->events[i].lmdb_meta;
        acknowledged = t->events[i].kind == TRACE_MARK ? (int)t->events[i].value : acknowledged;
        replay_cut(p, t->events[i].begin);
        for (int n = 0; n < 8; n++) {
            struct replay_choice choices[64];
            cr_assert_lt(replay_pending(p), 64);
            for (size_t k = 0; k < replay_pending(p); k++) {
                do {
                    choices[k] = (struct replay_choice){
                        .fate = (enum replay_fate)test_random_below(&random, 4),
                        .unit = 8,
                        .seed = test_random_next(&random)};
                } while (!replay_can_tear(replay_pending_event(p, k), choices[k].fate));
            }
            replay_choose(p, choices);
            test_remove(test_path("state"));
            replay_write(p, test_path("state"));
            env = open_env(test_path("state"));
            int number = get_number(env);
            cr_assert(number == acknowledged || number == acknowledged + 1, "%d after %d", number,
                      acknowledged);
            mdb_env_close(env);
        }
    }
    cr_expect_eq(metas, 5);
    replay_free(p);
    trace_free(t);
    os_close(dir);
}
