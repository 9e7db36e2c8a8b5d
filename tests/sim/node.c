/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nodes do: threads that run the transactions of a history, and one that changes the schema
 * under them. At each point of the engine the two-version rule is looked at.
 */
#include "sim/sim.h"
#include "support/grants.h"
#include "support/sqls.h"

#include "api/api_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SEGMENT_BYTES (UINT64_C(64) << 10)
#define MAP_BYTES (UINT64_C(64) << 20)
#define LOCK_TIMEOUT_MS 60000 /* a holder may stand still for several leases */
#define BUILDS 6
#define TRIES_MAX 8 /* statements that are refused, one after the other */

/* Of this process. */
static instar *db;
static struct sim_job *job;

/* ---- the two-version rule ------------------------------------------------------------------ */

/* LEASE-7: who holds the mutex and sees that a grant is over will never see it go on. And once it
 * is wanted its last use ends it: it is never idle again. */
static void follow_grant(const struct lease_slot *s, struct sim_grants *seen, bool locked)
{
    uint64_t word = lease_word_load(s);
    /* Numbers begin anew with each first opener, nonces do not come again. */
    uint64_t grant = (word >> LEASE_NUMBER_SHIFT) + atomic_load(&s->nonce);
    bool over = atomic_load(&s->expiry_ns) <= sim->now_ns;
    bool wanted = (word & LEASE_WANTED) != 0;

    if (!over && seen->expired == grant) {
        sim_fail("LEASE-7: grant %" PRIu64 " of table %" PRIu64 " was renewed when it was over",
                 word >> LEASE_NUMBER_SHIFT, (uint64_t)atomic_load(&s->table));
    }
    if (wanted && lease_word_uses(word) == 0 && seen->wanted == grant) {
        sim_fail("grant %" PRIu64 " of table %" PRIu64 " is wanted, and outlives its last use",
                 word >> LEASE_NUMBER_SHIFT, (uint64_t)atomic_load(&s->table));
    }
    if (over && locked) {
        seen->expired = grant;
    }
    if (wanted && lease_word_uses(word) > 0) {
        seen->wanted = grant;
    }
}

/* Those that count, each since the last look. */
static void follow_grants(bool locked)
{
    const struct leases *l = db->env.leases;
    uint32_t high = lease_high(l);

    for (uint32_t at = 1; at <= high; at++) {
        const struct lease_slot *s = &l->slots[at];
        if (lease_word_live(lease_word_load(s)) &&
            store_node_alive(l->store, atomic_load(&s->node), atomic_load(&s->nonce))) {
            expect(at < SIM_GRANTS);
            follow_grant(s, &job->grants[at], locked);
        }
    }
}

/* At a point nobody else runs. */
static void look_at_leases(bool locked)
{
    struct grants_apart apart = grants_look(db->env.leases);

    if (apart.table != 0) {
        sim_fail("LEASE-2: valid grants on versions %" PRIu32 " and %" PRIu32 " of table %" PRIu64,
                 apart.low, apart.high, apart.table);
    }
    if (job != NULL) {
        follow_grants(locked);
    }
}

/* ---- the seam ------------------------------------------------------------------------------ */

static void at_operation(void *arg, const struct os_call *call)
{
    (void)arg;
    sim_step(test_op_name((int)call->op), call->size ^ (uint64_t)call->offset << 20);
}

static void at_point(void *arg, const char *name)
{
    (void)arg;
    if (!sim_is_scheduled()) {
        return;
    }
    history_at_point(name);
    if (db != NULL) {
        look_at_leases(strcmp(name, "commit.mark_set") == 0);
    }
    sim_step(name, 0);
}

static void enter(void)
{
    test_listener_set(&(struct test_listener){.before = at_operation, .point = at_point});
}

static instar *open_store(uint32_t flags)
{
    instar_options o = dbs_options();
    instar *opened = NULL;

    o.flags |= flags;
    o.segment_bytes = SEGMENT_BYTES;
    o.map_bytes = MAP_BYTES;
    o.trees_max = 64;
    o.nodes_max = 8;
    o.readers_max = 64;
    o.lock_timeout_ms = LOCK_TIMEOUT_MS;
    if (job != NULL) {
        o.lease_ms = job->lease_ms;
        o.build_workers = job->build_workers;
    } else {
        o.build_workers = 1;
    }
    ok(instar_open(sim_path(), &o, &opened));
    return opened;
}

static void leave(void)
{
    instar *opened = db;

    db = NULL;
    ok(instar_close(opened));
    test_listener_set(NULL);
}

/* ---- clients ------------------------------------------------------------------------------- */

struct client {
    struct os_thread thread;
    uint32_t worker;
    struct test_random random;
};

static bool is_changing(void)
{
    bool any = atomic_load(&job->changes_left) != 0;

    for (uint32_t i = 0; i < SIM_NODES; i++) {
        any |= atomic_load(&job->changing[i]);
    }
    return any;
}

static void *client_main(void *arg)
{
    struct client *c = arg;
    struct history_worker *w = history_worker_open(db, job->history, c->worker, c->random);

    /* While the schema changes, and a little longer. */
    while (history_worker_next(w) && (is_changing() || test_random_chance(&c->random, 70))) {
        os_sleep_ns(test_random_below(&c->random, job->pause_ns));
    }
    history_worker_close(w);
    return NULL;
}

/* ---- changes ------------------------------------------------------------------------------- */

static const struct statement {
    const char *text;
    bool may_fail; /* its rows may stand in its way */
} statements[] = {
    /* The first BUILDS of them: indexes. */
    {"CREATE INDEX t_w ON t (b)", false},
    {"DROP INDEX t_w", false},
    {"CREATE UNIQUE INDEX t_q ON t (u, a)", false},
    {"DROP INDEX t_q", false},
    {"CREATE UNIQUE INDEX t_r ON t (g)", true},
    {"DROP INDEX t_r", false},
    {"CREATE INDEX t_x ON t (x)", false},
    {"DROP INDEX t_x", false},
    {"ALTER TABLE t ADD COLUMN x int8 DEFAULT 7", false},
    {"ALTER TABLE t DROP COLUMN x", false},
    {"ALTER TABLE t ALTER COLUMN x TYPE int4", false},
    {"ALTER TABLE t ALTER COLUMN x TYPE text", false},
    {"ALTER TABLE t ALTER COLUMN x SET NOT NULL", true},
    {"ALTER TABLE t ALTER COLUMN x DROP NOT NULL", false},
    {"ALTER TABLE t RENAME COLUMN x TO y", false},
    {"ALTER TABLE t RENAME COLUMN y TO x", false},
    {"ALTER TABLE t ADD CONSTRAINT t_c CHECK (b >= 0)", false},
    {"ALTER TABLE t DROP CONSTRAINT t_c", false},
    {"VACUUM t", false},
    {"BEGIN; CREATE INDEX t_w ON t (b); DROP INDEX t_q; ALTER TABLE t ADD COLUMN x int8 DEFAULT 7; "
     "COMMIT",
     false},
    {"BEGIN; CREATE INDEX t_x ON t (x); CREATE UNIQUE INDEX t_r ON t (g); COMMIT", true},
    {"CREATE TABLE s (a int8 PRIMARY KEY, b int8)", false},
    {"ALTER TABLE s ADD CONSTRAINT s_f FOREIGN KEY (b) REFERENCES t (a)", false},
    {"ALTER TABLE s DROP CONSTRAINT s_f", false},
    {"BEGIN; DROP TABLE s; ALTER TABLE t ADD COLUMN x int8 DEFAULT 7; COMMIT", false},
    {"DROP TABLE s", false},
};

/* A reason to fail that is another change's, which was quicker. */
static bool was_overtaken(void)
{
    return sqls_say("already") || sqls_say("no column") || sqls_say("no index") ||
           sqls_say("no constraint") || sqls_say("by itself") || sqls_say("drop that first") ||
           sqls_say("since this change was submitted");
}

/* It was done, or refused because of what is there, or failed for its rows. */
static bool is_allowed(const struct statement *s, int rc)
{
    switch (rc) {
    case INSTAR_OK:
    case INSTAR_EEXISTS:
    case INSTAR_ENOTFOUND:
    case INSTAR_EUNKNOWN:
    case INSTAR_EDEFINITION:
    case INSTAR_ESTATE:
    case INSTAR_ETYPE:
    case INSTAR_EINVALID:
    case INSTAR_ECANCELLED: /* by the change that drops what this one makes */
        return true;
    case INSTAR_EFAILED:
        return s->may_fail || was_overtaken();
    default:
        return false;
    }
}

static bool take_one(_Atomic uint32_t *left)
{
    uint32_t now = atomic_load(left);

    if (now == 0) {
        return false;
    }
    atomic_store(left, now - 1);
    return true;
}

/* One of them, its code: not OK when what is there forbids it. */
static int change_once(struct test_random *r)
{
    size_t count = job->builds_only ? BUILDS : BASE_ARRAY_LEN(statements);
    const struct statement *s = &statements[test_random_below(r, count)];

    sim_step(s->text, 0);
    int rc = sqls_run(db, s->text);
    if (!is_allowed(s, rc)) {
        sim_fail("%s: %s: %s", s->text, instar_error_name(rc), sqls_words());
    }
    atomic_fetch_add(&job->changes, rc == INSTAR_OK || rc == INSTAR_EFAILED);
    return rc;
}

static void change_schema(uint32_t node, struct test_random *r)
{
    sqls_patience(job->change_limit_ms);
    sqls_fence(job->fence_ms);
    atomic_store(&job->changing[node], true);
    while (take_one(&job->changes_left)) {
        for (int tries = 0; tries < TRIES_MAX && change_once(r) != INSTAR_OK; tries++) {
        }
        os_sleep_ns(test_random_below(r, job->pause_ns));
    }
    atomic_store(&job->changing[node], false);
}

/* ---- lives --------------------------------------------------------------------------------- */

void sim_node_main(struct sim_job *given, uint32_t node)
{
    struct client clients[HISTORY_WORKERS];
    struct test_random r = {.state = test_random_next(&sim->choice)};
    uint32_t count = 0;

    job = given;
    enter();
    db = open_store(0);
    for (uint32_t w = node; w < HISTORY_WORKERS; w += SIM_NODES) {
        clients[count] = (struct client){.worker = w, .random = {.state = test_random_next(&r)}};
        if (os_thread_start(&clients[count].thread, "client", client_main, &clients[count]) != 0) {
            sim_fail("no thread for a client");
        }
        count++;
    }
    change_schema(node, &r);
    for (uint32_t i = 0; i < count; i++) {
        os_thread_join(&clients[i].thread);
    }
    leave();
}

void sim_node_make(void)
{
    job = NULL;
    enter();
    db = open_store(INSTAR_OPEN_CREATE);
    history_make_t(db);
    leave();
}

struct pending {
    uint64_t ids[256];
    size_t count;
};

static int note_pending(void *arg, const instar_change_info *info)
{
    struct pending *p = arg;

    if (info->state == INSTAR_CHANGE_RUNNING || info->state == INSTAR_CHANGE_REVERTING) {
        expect(p->count < BASE_ARRAY_LEN(p->ids));
        p->ids[p->count++] = info->id;
    }
    return 0;
}

static void end_changes(void)
{
    struct pending p = {.count = 0};

    ok(instar_change_list(db, note_pending, &p));
    for (size_t i = 0; i < p.count; i++) {
        int rc = instar_change_wait(db, p.ids[i], job->change_limit_ms, NULL);
        if (rc != INSTAR_OK && rc != INSTAR_EFAILED && rc != INSTAR_ECANCELLED) {
            sim_fail("change %" PRIu64 " does not end: %s: %s", p.ids[i], instar_error_name(rc),
                     instar_error_text());
        }
    }
}

void sim_node_check(struct sim_job *given)
{
    job = given;
    enter();
    db = open_store(0);
    for (uint32_t i = 0; i < HISTORY_WORKERS; i++) {
        history_settle(db, job->history, i);
    }
    end_changes();
    dbs_check_clean(db);
    leave();
}
