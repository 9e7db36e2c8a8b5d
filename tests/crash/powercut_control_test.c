/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proof that the power-cut campaign can fail. Each of these takes one rule out of the record, as if
 * the store had not kept it. A campaign that still finds nothing would be worthless.
 */
#define _GNU_SOURCE
#include "support/powerlook.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

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

static void must_find(const char *what, oracle_script script, bool with_create,
                      void (*spoil)(struct trace *t))
{
    struct oracle o = {.value_bytes_max = 4000};
    struct powercut_result result;
    script(&o);
    oracle_ready(&o);
    struct powerlook l = {.oracle = &o, .options = powerlook_options()};
    struct trace *t = powerlook_record(&o, with_create);
    spoil(t);
    struct powercut job = {.trace = t,
                           .path = powerlook_state(),
                           .wanted = 4000,
                           .look = powerlook_look,
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
    must_find("the sync of the log", oracle_script_commits, false, forget_log_sync);
}

/* A segment whose name is not on the disk is missed. */
Test(powercut, finds_a_missing_directory_sync)
{
    must_find("the sync of the log's directory", oracle_script_commits, false,
              forget_log_directory_sync);
}

/* Trees that are not synced before their meta, or before the log is retired, are missed. */
Test(powercut, finds_a_missing_tree_sync)
{
    must_find("the sync of the trees", oracle_script_apply, false, forget_trees_sync);
}

/* A promise that is given before the flush is found out. */
Test(powercut, finds_an_early_promise)
{
    must_find("the wait for the flush", oracle_script_commits, false, promise_early);
}

/* A store whose format file is empty after the cut is found out. */
Test(powercut, finds_a_missing_format_sync)
{
    must_find("the sync of the format file", oracle_script_create, true, forget_format_sync);
}
