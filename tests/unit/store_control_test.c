/* SPDX-License-Identifier: Apache-2.0 */
/* The shared file: who may join it, and its locks. */
#include "store/control.h"
#include "store/log.h"
#include "support/stores.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A process that opens the store each time it is told to: forked while this one has no other
 * threads, sanitizers need that. */
static struct test_child opener;

static void open_often(struct test_child *self, void *arg)
{
    instar_options o = stores_options();
    (void)arg;
    o.lock_timeout_ms = 100;
    while (test_receive(self) != 0) {
        struct store *s;
        base_err_clear(&test_err);
        int rc = store_open(stores_path(), &o, &s, &test_err);
        test_send(self, (uint64_t)-rc);
        test_send(self, strstr(test_err.text, "differs in its") != NULL);
        if (rc == 0) {
            stores_close(s);
        }
    }
}

static struct store *make_with_opener(void)
{
    stores_path();
    test_fork(&opener, open_often, NULL);
    return stores_make(NULL);
}

static void close_with_opener(struct store *s)
{
    test_send(&opener, 0);
    test_wait_ok(&opener);
    stores_close(s);
}

static int code_of_another_open(bool *differs_out)
{
    test_send(&opener, 1);
    int rc = -(int)test_receive(&opener);
    *differs_out = test_receive(&opener) != 0;
    return rc;
}

/* Another build of the library, another C library, another word size, another pid namespace:
 * refused before any lock is touched, and said why. */
Test(store_control, the_foreign_are_refused)
{
    struct store *s = make_with_opener();
    struct store_control *ctl = s->ctl;
    bool differs;
    must(code_of_another_open(&differs));
    ctl->signature++;
    expect(code_of_another_open(&differs) == INSTAR_EFOREIGN && differs);
    ctl->signature--;
    ctl->libc_signature++;
    expect(code_of_another_open(&differs) == INSTAR_EFOREIGN && differs);
    ctl->libc_signature--;
    ctl->pointer_bits = 32;
    expect(code_of_another_open(&differs) == INSTAR_EFOREIGN && differs);
    ctl->pointer_bits = sizeof(void *) * 8;
    ctl->pid_namespace++;
    expect(code_of_another_open(&differs) == INSTAR_EFOREIGN && differs);
    ctl->pid_namespace--;
    ctl->boot_id[0]++; /* its locks are garbage, and soon somebody will make another */
    expect(code_of_another_open(&differs) == INSTAR_EBUSY && !differs);
    ctl->boot_id[0]--;
    must(code_of_another_open(&differs));
    close_with_opener(s);
}

/* Nobody joins a control that is superseded, of another opener, or not ready. */
Test(store_control, the_unready_are_not_joined)
{
    struct store *s = make_with_opener();
    struct store_control *ctl = s->ctl;
    bool differs;
    atomic_store(&ctl->superseded, 1);
    expect(code_of_another_open(&differs) == INSTAR_EBUSY);
    atomic_store(&ctl->superseded, 0);
    atomic_store(&ctl->state, CONTROL_BUILDING);
    expect(code_of_another_open(&differs) == INSTAR_EBUSY);
    atomic_store(&ctl->state, CONTROL_READY);
    ctl->builder++;
    expect(code_of_another_open(&differs) == INSTAR_EBUSY);
    ctl->builder--;
    must(code_of_another_open(&differs));
    close_with_opener(s);
}

/* A missing runtime directory is refused as long as somebody has the store open there. */
Test(store_control, a_missing_runtime_directory)
{
    struct store *s = make_with_opener();
    char away[300];
    bool differs;
    snprintf(away, sizeof(away), "%s.away", s->runtime_path);
    expect(rename(s->runtime_path, away) == 0);
    expect(code_of_another_open(&differs) != 0);
    expect(rename(away, s->runtime_path) == 0);
    must(code_of_another_open(&differs));
    close_with_opener(s);
}

/* LMDB's lock file is made by whoever is alone, never by one who joins: with two of them two would
 * write at once. */
Test(store_control, a_missing_lock_file)
{
    struct store *s = make_with_opener();
    char there[300], away[310];
    bool differs;
    snprintf(there, sizeof(there), "%s/lock.mdb", s->runtime_path);
    snprintf(away, sizeof(away), "%s.away", there);
    expect(rename(there, away) == 0);
    expect(code_of_another_open(&differs) == INSTAR_EBUSY);
    expect(access(there, F_OK) != 0);
    expect(rename(away, there) == 0);
    must(code_of_another_open(&differs));
    close_with_opener(s);
}

/* So is one that others may write to: what it holds could be changed under us. */
Test(store_control, an_open_runtime_directory)
{
    struct store *s = make_with_opener();
    bool differs;
    expect(strcmp(s->runtime_path, "run") != 0);
    expect(chmod(s->runtime_path, 0770) == 0);
    expect(code_of_another_open(&differs) == INSTAR_EFOREIGN);
    expect(chmod(s->runtime_path, 0702) == 0);
    expect(code_of_another_open(&differs) == INSTAR_EFOREIGN);
    expect(chmod(s->runtime_path, 0700) == 0);
    must(code_of_another_open(&differs));
    close_with_opener(s);
}

/* Who cannot reach the shared memory in which another process has the store open waits where there
 * is none, as that one may just be making it; and is refused where it may not go there. */
static void open_without_shm(struct test_child *self, void *arg)
{
    static const struct {
        int error, code;
    } cases[] = {{ENOENT, INSTAR_EBUSY}, {EACCES, INSTAR_EFOREIGN}, {ENOENT, INSTAR_EBUSY}};
    instar_options o = stores_options();
    struct store *s;
    (void)arg;
    o.lock_timeout_ms = 100;
    test_receive(self);
    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        test_fault_set(&(struct test_fault){.op = OS_OP_OPEN,
                                            .name = "/dev/shm",
                                            .nth = 1,
                                            .error = cases[i].error,
                                            .sticky = true});
        must_fail(store_open(stores_path(), &o, &s, &test_err), cases[i].code);
        expect(test_fault_fired() > 0);
    }
    test_fault_set(NULL);
    stores_close(stores_open(&o));
}

Test(store_control, shared_memory_out_of_reach)
{
    struct test_child child;
    stores_path();
    test_fork(&child, open_without_shm, NULL);
    struct store *s = stores_make(NULL);
    expect(strcmp(s->runtime_path, "run") != 0);
    test_send(&child, 1);
    test_wait_ok(&child);
    stores_close(s);
}

/* A copy of the directory has a runtime directory of its own. */
Test(store_control, copies_do_not_meet)
{
    struct store *s = stores_make(NULL);
    char command[800];
    char copy[400];
    instar_options o = stores_options();
    struct store *other;
    stores_tree_op(s, STORE_TREE_CREATE, 1);
    stores_write(s, 1, "key", "original");
    stores_fold(s);
    snprintf(copy, sizeof(copy), "%s/copy", test_fast_dir());
    snprintf(command, sizeof(command), "cp -a %s %s", stores_path(), copy);
    expect(system(command) == 0);
    must(store_open(copy, &o, &other, &test_err));
    expect(strcmp(s->runtime_path, other->runtime_path) != 0);
    stores_write(other, 1, "key", "copy");
    stores_read(s, 1, "key", "original");
    stores_read(other, 1, "key", "copy");
    must(store_close(other, &test_err));
    stores_close(s);
}

/* The last one to close leaves nothing behind in shared memory. */
Test(store_control, nothing_is_left)
{
    struct store *s = stores_make(NULL);
    char path[300];
    snprintf(path, sizeof(path), "%s", s->runtime_path);
    expect(access(path, F_OK) == 0);
    stores_close(s);
    expect(access(path, F_OK) != 0 && errno == ENOENT);
}

/* Without shared memory the store itself serves. */
Test(store_control, fallback_into_the_store)
{
    instar_options o = stores_options();
    struct test_fault fault = {
        .op = OS_OP_OPEN, .path = "/dev/shm", .nth = 1, .error = ENOENT, .sticky = true};
    struct store *s;
    char path[300];
    snprintf(path, sizeof(path), "%s/store", test_dir());
    must(store_create(path, &o, &test_err));
    test_fault_set(&fault);
    must(store_open(path, &o, &s, &test_err));
    expect(test_fault_fired() > 0);
    test_fault_set(NULL);
    expect(strcmp(s->runtime_path, "run") == 0);
    stores_tree_op(s, STORE_TREE_CREATE, 1);
    stores_write(s, 1, "key", "value");
    stores_read(s, 1, "key", "value");
    must(store_close(s, &test_err));
}

/* A lock that is held names its holder, what it does, and since when. */
Test(store_control, busy_text)
{
    struct store *s = stores_make(NULL);
    char pid[32];
    expect(control_lock_take(s, &s->ctl->prepare, "something slow", 0) == 0);
    must_fail(control_lock_busy(&s->ctl->prepare, "some lock", &test_err), INSTAR_EBUSY);
    snprintf(pid, sizeof(pid), "process %d ", (int)os_pid());
    expect(strstr(test_err.text, "some lock") != NULL);
    expect(strstr(test_err.text, pid) != NULL);
    expect(strstr(test_err.text, "something slow") != NULL);
    control_lock_leave(&s->ctl->prepare);
    stores_close(s);
}

/* Who waits for the gate in vain is told for whom. */
static void hold_gate(struct test_child *self, void *arg)
{
    (void)arg;
    struct store *s = stores_open(NULL);
    must(gate_enter(s, "hold it", STORE_FOREVER, &test_err));
    test_send(self, 1);
    test_receive(self);
}

Test(store_control, the_gate_names_its_holder)
{
    struct test_child child;
    instar_options o = stores_options();
    char pid[32];
    must(store_create(stores_path(), &o, &test_err));
    test_fork(&child, hold_gate, NULL);
    test_await(&child, 1);
    struct store *s = stores_open(NULL);
    must_fail(gate_enter(s, "test", os_now_ns() + 50000000, &test_err), INSTAR_EBUSY);
    snprintf(pid, sizeof pid, "%d", (int)child.pid);
    expect(strstr(test_err.text, pid) != NULL);
    expect(strstr(test_err.text, "hold it") != NULL);
    test_kill(&child, SIGKILL);
    must(gate_enter(s, "test", os_now_ns() + (uint64_t)5 * 1000000000, &test_err));
    gate_leave(s);
    stores_close(s);
}
