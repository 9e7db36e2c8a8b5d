/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The power-cut campaign: workloads are recorded, the power is cut in all places of the record, and
 * each disk that may be left is recovered and compared with the model. INSTAR_POWERCUT_STATES sets
 * how many states are looked at, in all; 500000 is a long run.
 *
 * Of each state: the store opens; every promised commit is there, no part of another, and no
 * commit without those before it; every tree equals the model; the log verifies; a second recovery
 * finds the same; and, for some, the rest of the workload runs and ends as the model does.
 */
#define _GNU_SOURCE
#include "support/oracle.h"
#include "support/powercut.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define STATES 2400
#else
#define STATES 24000
#endif

#define GO_ON_STEPS 6 /* after a recovery that is cut too */

/* The smallest store there can be: segments fill after a few commits. */
static instar_options small_options(void)
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

static uint64_t states_wanted(unsigned percent)
{
    return test_env_u64("INSTAR_POWERCUT_STATES", STATES) * percent / 100;
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

static const char *root_path(void)
{
    static char path[300];
    snprintf(path, sizeof(path), "%s/root", test_fast_dir());
    return path;
}

static const char *store_path(const char *root)
{
    static char path[400];
    snprintf(path, sizeof(path), "%s/store", root);
    return path;
}

/* A store is created and used below `root`; what happens there goes into the trace. When creating
 * is not of interest, recording begins after it. */
static struct trace *record_workload(const struct oracle *o, bool with_create)
{
    instar_options options = small_options();
    struct store *s = NULL;
    struct trace *t = NULL;
    char path[400];
    test_remove(root_path());
    cr_assert_eq(mkdir(root_path(), 0700), 0);
    snprintf(path, sizeof(path), "%s", store_path(root_path()));
    if (with_create) {
        t = trace_start(root_path());
    }
    must(store_create(path, &options, &test_err));
    if (!with_create) {
        t = trace_start(root_path());
    }
    trace_mark(t, POWERCUT_CREATED, 1);
    must(store_open(path, &options, &s, &test_err));
    struct oracle_watch watch = {.issued = mark_issued, .durable = mark_durable, .arg = t};
    must(oracle_run(o, 0, path, &options, &s, &watch, &test_err));
    must(store_close(s, &test_err));
    trace_stop();
    test_remove(root_path());
    return t;
}

/* ---- looking at a state ------------------------------------------------------------------- */

struct looking {
    const struct oracle *oracle;
    instar_options options;
    unsigned finish_every; /* in each so many-th state the workload is finished; 0: never */
    unsigned nest_every;   /* in each so many-th one its recovery is cut too */
    uint64_t nest_states;
    struct powercut_result *nested; /* their sum, shared with children */
};

static int note_finding(void *arg, uint64_t lsn, const char *text)
{
    char *room = arg;
    if (room[0] == '\0') {
        snprintf(room, 300, "log at %llu: %s", (unsigned long long)lsn, text);
    }
    return 0;
}

struct look {
    const struct looking *l;
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

static bool cut_recovery(struct look *k, const struct powercut_state *state);

static bool look_at(void *arg, const struct powercut_state *state, char *text, size_t text_size)
{
    const struct looking *l = arg;
    char path[400];
    snprintf(path, sizeof(path), "%s", store_path(state->path));
    struct look k = {.l = l, .path = path, .text = text, .text_size = text_size};
    uint64_t number = 0;
    uint64_t again = 0;
    if (l->nest_every != 0 && state->number % l->nest_every == 0) {
        return cut_recovery(&k, state);
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

static void add_result(struct powercut_result *sum, const struct powercut_result *one)
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
static struct trace *record_recovery(struct look *k, const struct powercut_state *state)
{
    struct base_err err = {0};
    uint64_t number;
    struct trace *t = trace_start(state->path);
    struct oracle_watch watch = {
        .issued = mark_issued, .durable = mark_durable, .arg = t, .steps_max = GO_ON_STEPS};
    trace_mark(t, POWERCUT_CREATED, 1);
    trace_mark(t, POWERCUT_DURABLE, state->durable);
    trace_mark(t, POWERCUT_ISSUED, state->issued);
    size_t place = t->event_count - 1;
    bool good = recover(k, state->durable, state->issued, &number);
    if (good) {
        t->events[place].value = number;
        trace_mark(t, POWERCUT_DURABLE, number);
        int rc = oracle_run(k->l->oracle, number, k->path, &k->l->options, &k->store, &watch, &err);
        good = rc == 0 ? leave(k) : wrong(k, "going on", rc, &err);
    }
    trace_stop();
    if (!good) {
        trace_free(t);
        return NULL;
    }
    return t;
}

static bool cut_recovery(struct look *k, const struct powercut_state *state)
{
    struct powercut_result result;
    struct looking inner = *k->l;
    char path[400];
    test_boot_set(2 * state->number);
    struct trace *t = record_recovery(k, state);
    if (t == NULL) {
        return false;
    }
    snprintf(path, sizeof(path), "%s.2", state->path);
    inner.nest_every = 0;
    struct powercut job = {.trace = t,
                           .path = path,
                           .wanted = k->l->nest_states,
                           .stream = state->number,
                           .look = look_at,
                           .arg = &inner};
    powercut_run(&job, &result);
    add_result(k->l->nested, &result);
    trace_free(t);
    snprintf(k->text, k->text_size, "second cut: %.900s", result.text);
    return result.bad == 0;
}

/* ---- campaigns ---------------------------------------------------------------------------- */

static const char *state_path(void)
{
    static char path[300];
    snprintf(path, sizeof(path), "%s/state", test_fast_dir());
    return path;
}

typedef void (*script_fn)(struct oracle *o);

struct campaign {
    const char *name;
    script_fn script;
    bool with_create;
    unsigned percent; /* of all states */
    uint64_t each;    /* at most so many states of one script */
};

/* A script of the shape for each round, other in each, until enough states have been seen. */
static void run(const struct campaign *c, struct looking *l)
{
    struct powercut_result sum = {0};
    uint64_t wanted = states_wanted(c->percent);
    for (uint64_t round = 0; sum.bad == 0 && sum.states < wanted; round++) {
        struct oracle o = {.stream = round, .value_bytes_max = 500 + 1500 * (round % 5)};
        struct powercut_result one;
        uint64_t left = wanted - sum.states;
        c->script(&o);
        oracle_ready(&o);
        l->oracle = &o;
        l->options = small_options();
        struct trace *t = record_workload(&o, c->with_create);
        struct powercut job = {.trace = t,
                               .path = state_path(),
                               .wanted = left < c->each ? left : c->each,
                               .stream = round,
                               .look = look_at,
                               .arg = l};
        powercut_run(&job, &one);
        add_result(&sum, &one);
        trace_free(t);
        oracle_free(&o);
        cr_assert_gt(one.cuts, 0);
    }
    powercut_print(c->name, &sum);
    cr_assert_eq(sum.bad, 0, "%s", sum.text);
}

static void begin(struct oracle *o)
{
    oracle_add(o, ORACLE_CREATE, 1, true);
    oracle_add(o, ORACLE_CREATE, 2, o->stream % 2 != 0);
}

static void script_create(struct oracle *o)
{
    begin(o);
    oracle_add_writes(o, 4, 30);
}

/* Making a store and opening it first: there is none, or a whole one. */
Test(powercut, create)
{
    run(&(struct campaign){.name = "create",
                           .script = script_create,
                           .with_create = true,
                           .percent = 10,
                           .each = 400},
        &(struct looking){.finish_every = 7});
}

static void script_commits(struct oracle *o)
{
    begin(o);
    oracle_add_writes(o, 20, 20);
    oracle_add(o, ORACLE_FLUSH, 0, false);
    oracle_add_writes(o, 60, (unsigned)(30 * (o->stream % 4)));
}

/* Commits, sync and async, over many segments, while the applier follows. */
Test(powercut, commits_and_segments)
{
    run(
        &(struct campaign){
            .name = "commits and segments", .script = script_commits, .percent = 30, .each = 1000},
        &(struct looking){.finish_every = 19});
}

static void script_apply(struct oracle *o)
{
    begin(o);
    for (int i = 0; i < 8; i++) {
        oracle_add_writes(o, 4, 40);
        oracle_add(o, ORACLE_APPLY, 0, false);
    }
    oracle_add(o, ORACLE_REOPEN, 0, false);
    oracle_add_writes(o, 6, 40);
}

/* The applier urged on after every few commits: LMDB's part of the order. */
Test(powercut, apply)
{
    run(&(struct campaign){.name = "apply", .script = script_apply, .percent = 15, .each = 1000},
        &(struct looking){.finish_every = 19});
}

static void script_any(struct oracle *o)
{
    begin(o);
    oracle_add_writes(o, 10, 30);
    oracle_add_any(o, 25);
}

/* Trees made, built online, folded, dropped, and the store closed and opened, in any order. */
Test(powercut, trees)
{
    run(&(struct campaign){.name = "trees", .script = script_any, .percent = 25, .each = 1000},
        &(struct looking){.finish_every = 5});
}

/* A second power cut, during the recovery from the first. */
Test(powercut, recovery)
{
    struct looking l = {.nest_every = 1, .nest_states = 40};
    l.nested =
        mmap(NULL, sizeof(*l.nested), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(l.nested, MAP_FAILED);
    run(
        &(struct campaign){
            .name = "recovery, first cut", .script = script_any, .percent = 1, .each = 40},
        &l);
    powercut_print("recovery, second cut", l.nested);
    cr_assert_gt(l.nested->states, states_wanted(1));
}

/* ---- proof that the campaign can fail ----------------------------------------------------- */

/* Each of these takes one rule out of the record, as if the store had not kept it. A campaign that
 * still finds nothing would be worthless. */

static bool ends_with(const struct trace *t, uint32_t object, const char *ending)
{
    for (size_t i = 0; i < t->event_count; i++) {
        const struct trace_event *e = &t->events[i];
        const char *name = e->kind == TRACE_LINK   ? e->name
                           : e->kind == TRACE_MOVE ? e->name2
                                                   : NULL;
        if (name != NULL && e->object == object && strlen(name) >= strlen(ending) &&
            strcmp(name + strlen(name) - strlen(ending), ending) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < t->first_count; i++) {
        if (t->first_entries[i].object == object &&
            strstr(t->first_entries[i].name, ending) != NULL) {
            return true;
        }
    }
    return false;
}

static void forget_syncs(struct trace *t, enum trace_kind kind, const char *ending)
{
    for (size_t i = 0; i < t->event_count; i++) {
        struct trace_event *e = &t->events[i];
        if (e->kind == kind && ends_with(t, e->object, ending)) {
            e->failed = true;
        }
    }
}

static bool moved_before(const struct trace *t, const struct trace_event *e)
{
    for (size_t i = 0; i < t->event_count && t->events[i].begin < e->begin; i++) {
        if (t->events[i].kind == TRACE_MOVE && t->events[i].object == e->object) {
            return true;
        }
    }
    return false;
}

/* The syncs of records, not that of the fresh file. */
static void forget_log_sync(struct trace *t)
{
    for (size_t i = 0; i < t->event_count; i++) {
        struct trace_event *e = &t->events[i];
        if (e->kind == TRACE_SYNC && ends_with(t, e->object, ".seg") && moved_before(t, e)) {
            e->failed = true;
        }
    }
}

static void forget_log_directory_sync(struct trace *t)
{
    forget_syncs(t, TRACE_SYNC_DIR, "log");
}

static void forget_trees_sync(struct trace *t)
{
    forget_syncs(t, TRACE_SYNC, "data.mdb");
}

/* The promise is given when the commit begins. */
static void promise_early(struct trace *t)
{
    for (size_t i = 0; i < t->event_count; i++) {
        struct trace_event *e = &t->events[i];
        if (e->kind == TRACE_MARK && e->mark == POWERCUT_ISSUED) {
            e->mark = POWERCUT_DURABLE;
        }
    }
}

/* The format file has its name before its bytes are on the disk. */
static void forget_format_sync(struct trace *t)
{
    forget_syncs(t, TRACE_SYNC, "format");
}

static void must_find(const char *what, script_fn script, bool with_create,
                      void (*spoil)(struct trace *t))
{
    struct oracle o = {.value_bytes_max = 4000};
    struct powercut_result result;
    script(&o);
    oracle_ready(&o);
    struct looking l = {.oracle = &o, .options = small_options()};
    struct trace *t = record_workload(&o, with_create);
    spoil(t);
    struct powercut job = {.trace = t,
                           .path = state_path(),
                           .wanted = 4000,
                           .look = look_at,
                           .arg = &l,
                           .quiet = true};
    powercut_run(&job, &result);
    printf("without %s: found after %llu states: %s\n", what, (unsigned long long)result.states,
           result.text);
    trace_free(t);
    oracle_free(&o);
    cr_assert_eq(result.bad, 1, "without %s nothing was found", what);
}

/* Records that are promised without a sync of the log are missed. */
Test(powercut, finds_a_missing_log_sync)
{
    must_find("the sync of the log", script_commits, false, forget_log_sync);
}

/* A segment whose name is not on the disk is missed. */
Test(powercut, finds_a_missing_directory_sync)
{
    must_find("the sync of the log's directory", script_commits, false, forget_log_directory_sync);
}

/* Trees that are not synced before their meta, or before the log is retired, are missed. */
Test(powercut, finds_a_missing_tree_sync)
{
    must_find("the sync of the trees", script_apply, false, forget_trees_sync);
}

/* A promise that is given before the flush is found out. */
Test(powercut, finds_an_early_promise)
{
    must_find("the wait for the flush", script_commits, false, promise_early);
}

/* A store whose format file is empty after the cut is found out. */
Test(powercut, finds_a_missing_format_sync)
{
    must_find("the sync of the format file", script_create, true, forget_format_sync);
}
