/* SPDX-License-Identifier: Apache-2.0 */
/* Recording for the power-cut campaigns, and the look at each state. */
#define _GNU_SOURCE
#include "support/powerlook.h"

#include "support/test.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_SIZE 400
/* How far to go on after a recovery that is cut too: sometimes into the next segment. */
#define GO_ON_LEAST 4
#define GO_ON_MORE 14

instar_options powerlook_options(void)
{
    instar_options o;
    instar_options_init(&o);
    o.segment_bytes = (uint64_t)64 << 10;
    o.map_bytes = (uint64_t)32 << 20;
    o.txn_bytes_max = o.segment_bytes / 4;
    o.row_bytes_max = o.txn_bytes_max / 2;
    o.segments_retained = 1;
    o.trees_max = 16;
    o.nodes_max = 2;
    o.lease_slots = 64;
    o.readers_max = 64;
    return o;
}

/* ---- recording a workload ----------------------------------------------------------------- */

static void mark_issued(void *arg, uint64_t number)
{
    trace_mark(arg, POWERCUT_ISSUED, number);
}

static void mark_durable(void *arg, uint64_t number)
{
    trace_mark(arg, POWERCUT_DURABLE, number);
}

const char *powerlook_root(void)
{
    static char path[300];
    snprintf(path, sizeof(path), "%s/root", test_fast_dir());
    return path;
}

/* The store below a root. */
static void store_below(char path[PATH_SIZE], const char *root)
{
    snprintf(path, PATH_SIZE, "%s/store", root);
}

const char *powerlook_store(void)
{
    static char path[PATH_SIZE];
    store_below(path, powerlook_root());
    return path;
}

const char *powerlook_state(void)
{
    static char path[300];
    snprintf(path, sizeof(path), "%s/state", test_fast_dir());
    return path;
}

struct trace *powerlook_record(const struct oracle *o, bool with_create)
{
    instar_options options = powerlook_options();
    struct store *s = NULL;
    struct trace *t = NULL;
    const char *path = powerlook_store();
    test_remove(powerlook_root());
    expect(mkdir(powerlook_root(), 0700) == 0);
    if (with_create) {
        t = trace_start(powerlook_root());
    }
    must(store_create(path, &options, &test_err));
    if (!with_create) {
        t = trace_start(powerlook_root());
    }
    trace_mark(t, POWERCUT_CREATED, 1);
    must(store_open(path, &options, &s, &test_err));
    struct oracle_watch watch = {.issued = mark_issued, .durable = mark_durable, .arg = t};
    must(oracle_run(o, 0, path, &options, &s, &watch, &test_err));
    must(store_close(s, &test_err));
    trace_stop();
    test_remove(powerlook_root());
    return t;
}

/* ---- looking at a state ------------------------------------------------------------------- */

static int note_finding(void *arg, uint64_t lsn, const char *text)
{
    char *room = arg;
    if (room[0] == '\0') {
        snprintf(room, 300, "log at %llu: %s", (unsigned long long)lsn, text);
    }
    return 0;
}

struct look {
    const struct powerlook *l;
    const char *path; /* of the store */
    struct store *store;
    char *text;
    size_t text_size;
};

static bool wrong(struct look *k, const char *what, int rc, const struct base_err *err)
{
    snprintf(k->text, k->text_size, "%s: %s: %s", what, base_error_name(rc), err->text);
    if (k->store != NULL) {
        store_close(k->store, NULL);
        k->store = NULL;
    }
    return false;
}

static bool out_of_bounds(struct look *k, uint64_t number, uint64_t least, uint64_t most)
{
    snprintf(k->text, k->text_size, "%llu commits, expected %llu to %llu",
             (unsigned long long)number, (unsigned long long)least, (unsigned long long)most);
    store_close(k->store, NULL);
    k->store = NULL;
    return false;
}

/* Open, compare, verify; the store stays open. */
static bool recover(struct look *k, uint64_t least, uint64_t most, uint64_t *number_out)
{
    struct base_err err = {0};
    char finding[300] = "";
    int rc = store_open(k->path, &k->l->options, &k->store, &err);
    if (rc != 0) {
        return wrong(k, "open", rc, &err);
    }
    if (!oracle_check(k->l->oracle, k->store, number_out, k->text, k->text_size)) {
        store_close(k->store, NULL);
        k->store = NULL;
        return false;
    }
    if (*number_out < least || *number_out > most) {
        return out_of_bounds(k, *number_out, least, most);
    }
    rc = store_verify(k->store, note_finding, finding, &err);
    if (rc != 0 || finding[0] != '\0') {
        base_err_prefix(&err, "%s", finding);
        return wrong(k, "verify", rc, &err);
    }
    return true;
}

static bool leave(struct look *k)
{
    struct base_err err = {0};
    int rc = store_close(k->store, &err);
    k->store = NULL;
    return rc == 0 || wrong(k, "close", rc, &err);
}

static bool finish(struct look *k, uint64_t number)
{
    struct base_err err = {0};
    uint64_t last;
    const struct oracle *o = k->l->oracle;
    int rc = oracle_run(o, number, k->path, &k->l->options, &k->store, NULL, &err);
    if (rc != 0) {
        return wrong(k, "going on", rc, &err);
    }
    if (!oracle_check(o, k->store, &last, k->text, k->text_size)) {
        store_close(k->store, NULL);
        k->store = NULL;
        return false;
    }
    return last == o->commits || out_of_bounds(k, last, o->commits, o->commits);
}

/* The store was not promised, and is not there: then it can be made. */
static bool make_again(struct look *k)
{
    struct base_err err = {0};
    int rc = store_create(k->path, &k->l->options, &err);
    return rc == 0 || wrong(k, "create again", rc, &err);
}

static bool cut_recovery(const struct powerlook *l, const struct powercut_state *state, char *text,
                         size_t text_size);

bool powerlook_look(void *arg, const struct powercut_state *state, char *text, size_t text_size)
{
    const struct powerlook *l = arg;
    char path[PATH_SIZE];
    store_below(path, state->path);
    struct look k = {.l = l, .path = path, .text = text, .text_size = text_size};
    uint64_t number = 0;
    uint64_t again = 0;
    if (l->nest) {
        return cut_recovery(l, state, text, text_size);
    }
    test_boot_set(2 * state->number);
    if (!state->created) {
        int rc = store_open(path, &l->options, &k.store, NULL);
        if (rc == INSTAR_ENOSTORE) {
            return make_again(&k);
        }
        if (rc == 0 && !leave(&k)) {
            return false;
        }
    }
    if (!recover(&k, state->durable, state->issued, &number) || !leave(&k)) {
        return false;
    }
    test_boot_set(2 * state->number + 1);
    if (!recover(&k, number, number, &again)) {
        return false;
    }
    if (l->finish_every != 0 && state->number % l->finish_every == 0 && !finish(&k, number)) {
        return false;
    }
    return leave(&k);
}

void powerlook_add(struct powercut_result *sum, const struct powercut_result *one)
{
    sum->states += one->states;
    sum->same += one->same;
    sum->cuts += one->cuts;
    if (one->bad != 0) {
        sum->bad = one->bad;
        memcpy(sum->text, one->text, sizeof(sum->text));
    }
}

/* ---- cuts during and after recovery ------------------------------------------------------- */

/* What the store showed after recovery must stay; before that it may still be anything between the
 * promise and it. Then the workload goes on with the very commits that were lost, so that new
 * records are like the dead ones byte for byte. */
struct trace *powerlook_record_recovery(const struct powerlook *l, const char *root, uint64_t least,
                                        uint64_t most, char *text, size_t text_size)
{
    struct base_err err = {0};
    uint64_t number;
    char path[PATH_SIZE];
    store_below(path, root);
    struct look k = {.l = l, .path = path, .text = text, .text_size = text_size};
    struct test_random random = test_random(least * 1000 + most);
    struct trace *t = trace_start(root);
    struct oracle_watch watch = {.issued = mark_issued,
                                 .durable = mark_durable,
                                 .arg = t,
                                 .steps_max = GO_ON_LEAST + test_random_below(&random, GO_ON_MORE)};
    trace_mark(t, POWERCUT_CREATED, 1);
    trace_mark(t, POWERCUT_DURABLE, least);
    trace_mark(t, POWERCUT_MOST, most);
    size_t place = t->event_count - 1;
    bool good = recover(&k, least, most, &number);
    if (good) {
        t->events[place].value = number;
        trace_mark(t, POWERCUT_DURABLE, number);
        int rc = oracle_run(l->oracle, number, path, &l->options, &k.store, &watch, &err);
        good = rc == 0 ? leave(&k) : wrong(&k, "going on", rc, &err);
    }
    trace_stop();
    if (!good) {
        trace_free(t);
        return NULL;
    }
    return t;
}

static bool cut_recovery(const struct powerlook *l, const struct powercut_state *state, char *text,
                         size_t text_size)
{
    struct powercut_result result;
    struct powerlook inner = *l;
    char path[PATH_SIZE];
    test_boot_set(2 * state->number);
    struct trace *t =
        powerlook_record_recovery(l, state->path, state->durable, state->issued, text, text_size);
    if (t == NULL) {
        return false;
    }
    snprintf(path, sizeof(path), "%s.2", state->path);
    inner.nest = false;
    struct powercut job = {.trace = t,
                           .path = path,
                           .wanted = l->nest_states,
                           .stream = state->number,
                           .look = powerlook_look,
                           .arg = &inner};
    powercut_run(&job, &result);
    powerlook_add(l->nested, &result);
    trace_free(t);
    snprintf(text, text_size, "second cut: %.900s", result.text);
    return result.bad == 0;
}

/* ---- a kill ------------------------------------------------------------------------------- */

struct killed {
    const struct oracle *oracle;
    uint64_t kill_at;
    int fd;
};

static void run_until_killed(struct test_child *self, void *arg)
{
    const struct killed *k = arg;
    struct base_err err = {0};
    instar_options options = powerlook_options();
    struct store *s = NULL;
    const char *path = powerlook_store();
    (void)self;
    struct trace *t = trace_start(powerlook_root());
    struct oracle_watch watch = {.issued = mark_issued, .durable = mark_durable, .arg = t};
    trace_kill_at(t, k->kill_at, k->fd);
    trace_mark(t, POWERCUT_CREATED, 1);
    int rc = store_open(path, &options, &s, &err);
    if (rc == 0) {
        rc = oracle_run(k->oracle, 0, path, &options, &s, &watch, &err);
    }
    if (rc != 0) { /* it came to the end alive, then all is well */
        test_fail(__FILE__, __LINE__, "%s: %s", base_error_name(rc), err.text);
    }
    store_close(s, &err);
    trace_stop();
    trace_free(t);
}

uint64_t powerlook_last_mark(const struct trace *t, uint64_t mark)
{
    uint64_t value = 0;
    for (size_t i = 0; i < t->event_count; i++) {
        if (t->events[i].kind == TRACE_MARK && t->events[i].mark == mark) {
            value = t->events[i].value;
        }
    }
    return value;
}

struct trace *powerlook_record_kill(const struct oracle *o, uint64_t nth)
{
    instar_options options = powerlook_options();
    struct test_child child;
    struct killed k = {.oracle = o, .kill_at = nth, .fd = memfd_create("trace", 0)};
    expect(k.fd >= 0);
    test_remove(powerlook_root());
    expect(mkdir(powerlook_root(), 0700) == 0);
    must(store_create(powerlook_store(), &options, &test_err));
    test_fork(&child, run_until_killed, &k);
    int status = test_wait(&child);
    expect(status == 0 || status == -SIGKILL);
    struct trace *t = status != 0 ? trace_load(k.fd) : NULL;
    close(k.fd);
    return t;
}
