/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile surroundings: something else stands in the place of each file of a store or of a backup,
 * and each call that touches it by path must refuse, say which file it is, and touch nothing; or do
 * what it was asked all the same. It never waits (for the other end of a pipe), never follows a
 * link, and when the place is as it was the store is too.
 */
#define _GNU_SOURCE
#include "support/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define HANG_S 60
#define STRANGER 12345

static char store[300], backup[300], made[300], away[300];
static uint64_t cases;

static void make_all(void)
{
    (void)snprintf(store, sizeof(store), "%s", dbs_path());
    (void)snprintf(backup, sizeof(backup), "%s/backup", test_fast_dir());
    (void)snprintf(made, sizeof(made), "%s/made", test_fast_dir());
    (void)snprintf(away, sizeof(away), "%s/away", test_fast_dir());
    instar *db = dbs_open(0);
    dbs_make_table(db, "t");
    for (int64_t i = 1; i < 20; i++) {
        ok(dbs_insert(db, "t", i, i + 10));
    }
    ok(dbs_index(db, "t_b", "t", "b", false, NULL));
    ok(instar_backup(db, backup, NULL, NULL));
    ok(instar_close(db));
}

static void expect_whole(void)
{
    instar *db = NULL;
    ok(instar_open(store, NULL, &db));
    dbs_check_clean(db);
    expect(strstr(dbs_dump(db, "t", "t_b"), "19:29 ") != NULL);
    ok(instar_close(db));
}

/* ---- something else in the place of a file ------------------------------------------------ */

static void put_link(const char *path)
{
    expect(symlink(away, path) == 0);
}

static void put_dangling_link(const char *path)
{
    expect(symlink("/nothing/there", path) == 0);
}

static void put_fifo(const char *path)
{
    expect(mkfifo(path, 0600) == 0);
}

static void put_directory(const char *path)
{
    expect(mkdir(path, 0700) == 0);
}

static void put_device(const char *path)
{
    expect(mknod(path, S_IFCHR | 0600, makedev(1, 5)) == 0); /* zeros without end */
}

static void put_second_name(const char *path)
{
    expect(link(away, path) == 0);
}

static void put_nothing(const char *path)
{
    (void)path;
}

static void put_empty(const char *path)
{
    test_write_file(path, "", 0);
}

static void put_garbage(const char *path)
{
    char garbage[5000];
    struct test_random r = test_random(1);
    test_random_fill(&r, garbage, sizeof(garbage));
    test_write_file(path, garbage, sizeof(garbage));
}

static void copy_back(const char *path)
{
    size_t size;
    uint8_t *bytes = test_read_file(away, &size);
    test_write_file(path, bytes, size);
    base_free(bytes);
}

static void put_strangers(const char *path)
{
    copy_back(path);
    expect(chown(path, STRANGER, STRANGER) == 0);
}

static void put_open_to_all(const char *path)
{
    copy_back(path);
    expect(chmod(path, 0622) == 0);
}

static const struct hostility {
    const char *name;
    void (*put)(const char *path); /* the file itself is `away` */
    bool content;                  /* a plain file of ours, only with other bytes */
    bool root;                     /* only root can make it */
} hostilities[] = {{"a link to it", put_link, false, false},
                   {"a link to nothing", put_dangling_link, false, false},
                   {"a pipe", put_fifo, false, false},
                   {"a directory", put_directory, false, false},
                   {"a device", put_device, false, true},
                   {"a second name of it", put_second_name, false, false},
                   {"nothing", put_nothing, true, false},
                   {"an empty file", put_empty, true, false},
                   {"garbage", put_garbage, true, false},
                   {"a stranger's file", put_strangers, false, true},
                   {"a file that all may write", put_open_to_all, false, false}};

/* ---- the calls ---------------------------------------------------------------------------- */

static int call_open(void)
{
    instar *db = NULL;
    int rc = instar_open(store, NULL, &db);
    return rc != INSTAR_OK ? rc : instar_close(db);
}

static char found[1024]; /* by the check */

static int keep_finding(void *arg, const instar_finding *finding)
{
    (void)arg;
    (void)snprintf(found, sizeof(found), "%s", finding->text);
    return 0;
}

static int call_check(void)
{
    instar_check_summary sum;
    found[0] = '\0';
    return instar_check_files(store, keep_finding, NULL, &sum);
}

static int call_repair(void)
{
    return instar_repair(store, NULL, NULL);
}

static int call_cut_log(void)
{
    instar_log_cut cut;
    int rc = instar_cut_log(store, &cut);
    expect(rc != INSTAR_OK || cut.to_lsn == 0);
    return rc;
}

static int call_overwrite(void)
{
    return instar_overwrite(store, NULL);
}

static int call_after_io_error(void)
{
    return instar_check_after_io_error(store);
}

static int call_look(void)
{
    instar_backup_info info;
    return instar_backup_look(backup, &info);
}

static int call_restore(void)
{
    int rc = instar_restore(backup, made, NULL);
    expect((access(made, F_OK) == 0) == (rc == INSTAR_OK));
    test_remove(made);
    return rc;
}

static const struct call {
    const char *name;
    int (*call)(void);
    bool of_backup;
} calls[] = {{"open", call_open, false},
             {"check", call_check, false},
             {"repair", call_repair, false},
             {"cut the log", call_cut_log, false},
             {"overwrite", call_overwrite, false},
             {"check after an I/O error", call_after_io_error, false},
             {"look at a backup", call_look, true},
             {"restore", call_restore, true}};

/* `vital`: without it there is no store. The others are made anew. */
static const struct file {
    const char *name;
    bool of_backup, vital;
} files[] = {{"format", false, true},  {"data.mdb", false, true}, {"lock", false, false},
             {"manifest", true, true}, {"data.mdb", true, true},  {"log", true, true}};

static bool refuses(int code)
{
    return code == INSTAR_EFOREIGN || code == INSTAR_ECORRUPT || code == INSTAR_ENOSTORE ||
           code == INSTAR_EACCESS || code == INSTAR_EVERSION || code == INSTAR_EIO ||
           code == INSTAR_ESTOPPED;
}

/* What it must be: what is no plain file of ours is refused by every call that opens it; and what
 * is refused is named. */
static void judge(const struct call *c, const struct file *f, const struct hostility *h, int rc)
{
    const char *words = c->call == call_check && found[0] != '\0' ? found : instar_error_text();
    if (getenv("INSTAR_TRIAL_WORDS") != NULL) {
        fprintf(stderr, "%s | %s in place of %s | %s | %s\n", c->name, h->name, f->name,
                instar_error_name(rc), rc == INSTAR_OK ? "" : words);
    }
    if (rc != INSTAR_OK && (!refuses(rc) || words[0] == '\0')) {
        test_fail(__FILE__, __LINE__, "%s with %s in place of %s: %s: %s", c->name, h->name,
                  f->name, instar_error_name(rc), words);
    }
    if (rc == INSTAR_OK && !h->content && (c->call == call_open || c->call == call_restore)) {
        test_fail(__FILE__, __LINE__, "%s does not mind %s in place of %s", c->name, h->name,
                  f->name);
    }
    if (rc != INSTAR_OK && rc != INSTAR_ENOSTORE && strstr(words, f->name) == NULL) {
        test_fail(__FILE__, __LINE__, "%s with %s in place of %s does not name it: %s", c->name,
                  h->name, f->name, words);
    }
}

static void try_one(const struct call *c, const struct file *f, const struct hostility *h)
{
    char path[400];
    struct stat was, is;
    size_t size, after_size;
    (void)snprintf(path, sizeof(path), "%s/%s", f->of_backup ? backup : store, f->name);
    expect(rename(path, away) == 0 && stat(away, &was) == 0);
    uint8_t *before = test_read_file(away, &size);
    h->put(path);
    int rc = c->call();
    judge(c, f, h, rc);
    uint8_t *after = test_read_file(away, &after_size);
    expect(stat(away, &is) == 0 && is.st_uid == was.st_uid && is.st_mode == was.st_mode);
    expect(size == after_size && memcmp(before, after, size) == 0);
    base_free(before);
    base_free(after);
    test_remove(path);
    expect(rename(away, path) == 0);
    cases++;
}

static void try_all(bool of_root)
{
    alarm(HANG_S);
    make_all();
    for (size_t f = 0; f < BASE_ARRAY_LEN(files); f++) {
        for (size_t h = 0; h < BASE_ARRAY_LEN(hostilities); h++) {
            for (size_t c = 0; c < BASE_ARRAY_LEN(calls); c++) {
                if (calls[c].of_backup == files[f].of_backup && hostilities[h].root == of_root) {
                    try_one(&calls[c], &files[f], &hostilities[h]);
                }
            }
        }
        expect_whole();
    }
    printf("%llu hostile surroundings\n", (unsigned long long)cases);
}

/* Whatever stands in the place of a file: refused by name, and nothing is touched. */
Test(hostile, in_place_of_a_file)
{
    try_all(false);
}

/* The same of what only root can put there. */
Test(hostile, of_root_in_place_of_a_file)
{
    test_needs_root("devices, and files of strangers");
    try_all(true);
}
