/* SPDX-License-Identifier: Apache-2.0 */
/* Other processes that do row work, told what to do word by word. */
#include "support/nodes.h"

#include "lease/lease_impl.h"

#include <stdio.h>

enum verb {
    LEAVE,
    OPEN,
    CLOSE,
    BEGIN,
    INSERT,
    UPDATE,
    DELETE,
    GET,
    COUNT,
    COMMIT,
    ABORT,
    PUBLISH,
    PREPARE,
    PUBLISH_COMMIT,
    VERSION,
    CLOCK_START,
    CLOCK_ADVANCE,
    RENEW
};

/* ---- in the node ------------------------------------------------------------------------------
 */

struct work {
    const instar_options *options;
    struct txn_env *env;
    struct txn_projection *projection;
    struct txn *txn;
    uint64_t result;
    /* of a publication that waits */
    struct store_txn *publication;
    struct catalog_table *next;
};

static uint64_t table_id(struct work *w)
{
    struct catalog_name name;
    struct store_txn *t = stores_begin(w->env->store, STORE_TXN_READONLY);
    must(catalog_name_get(t, "t", &name, &test_err));
    store_txn_abort(t);
    return name.table;
}

static void leave_open(struct work *w)
{
    w->env = txns_open(w->options);
    w->projection = txns_projection(w->env, "t", NULL);
}

static void leave_closed(struct work *w)
{
    txn_projection_free(w->projection);
    txns_close(w->env);
    w->env = NULL;
}

static int change_row(struct work *w, enum verb verb, int64_t a, int64_t b)
{
    instar_value values[3] = {{.type = INSTAR_INT8, .i = a},
                              {.type = INSTAR_INT8, .i = b},
                              {.type = INSTAR_INT8, .i = 0}};
    switch (verb) {
    case INSERT:
        return txn_insert(w->txn, w->projection, values, &test_err);
    case UPDATE:
        return txn_update(w->txn, w->projection, values, values, &test_err);
    default:
        return txn_delete(w->txn, w->projection, values, &test_err);
    }
}

static int read_row(struct work *w, int64_t a)
{
    instar_value values[3] = {{.type = INSTAR_INT8, .i = a}};
    int rc = txn_get(w->txn, w->projection, values, values, &test_err);
    w->result = (uint64_t)values[1].i;
    return rc;
}

static int count_rows(struct work *w)
{
    instar_value values[3];
    struct txn_cursor *c;
    int rc = txn_scan(w->txn, w->projection, NULL, &c, &test_err);
    w->result = 0;
    while (rc == INSTAR_OK) {
        rc = txn_cursor_next(c, values, &test_err);
        w->result += rc == INSTAR_OK ? 1 : 0;
    }
    txn_cursor_close(c);
    return rc == INSTAR_END ? INSTAR_OK : rc;
}

/* The next version; `number` not 0: with an index of that number, delete-only. */
static int prepare(struct work *w, uint64_t number)
{
    char name[32];
    must(store_txn_begin(w->env->store, STORE_TXN_SYNC, &w->publication, &test_err));
    must(catalog_get_table(w->publication, table_id(w), &w->next, &test_err));
    w->next->version++;
    if (number != 0) {
        snprintf(name, sizeof(name), "i%u", (unsigned)number);
        struct catalog_index *index = tables_add_index(w->next, name, "b", false);
        index->tree = 40 + number;
        txns_set_state(index, "delete-only");
        must(catalog_table_finish(w->next, &test_err));
        must(store_txn_tree_op(w->publication, STORE_TREE_CREATE, index->tree, &test_err));
    }
    return INSTAR_OK;
}

static int publish(struct work *w, bool fence)
{
    struct lease_publication what = {.table = w->next->id,
                                     .descriptor = w->next,
                                     .drained_below = w->next->version - 1,
                                     .fence = fence};
    int rc = lease_publish(w->env->leases, w->publication, &what, NULL, NULL, &test_err);
    catalog_table_free(w->next);
    return rc;
}

static int version(struct work *w)
{
    struct catalog_table *now = txns_current(w->env, table_id(w));
    w->result = now->version;
    catalog_table_free(now);
    return INSTAR_OK;
}

static int end_txn(struct work *w, bool commit)
{
    struct txn *t = w->txn;
    w->txn = NULL;
    if (commit) {
        return txn_commit(t, &test_err);
    }
    txn_abort(t);
    return INSTAR_OK;
}

/* A machine that was started lately has no clock far behind its own. */
static void start_clock(int64_t offset_ns)
{
    int64_t now_ns = (int64_t)os_now_ns();
    test_clock_start((uint64_t)(offset_ns + now_ns > 0 ? offset_ns + now_ns : now_ns / 2));
}

static int act(struct work *w, enum verb verb, uint64_t a, uint64_t b)
{
    switch (verb) {
    case OPEN:
        leave_open(w);
        return INSTAR_OK;
    case CLOSE:
        leave_closed(w);
        return INSTAR_OK;
    case BEGIN:
        return txn_begin(w->env, INSTAR_TXN_ASYNC | (unsigned)a, &w->txn, &test_err);
    case INSERT:
    case UPDATE:
    case DELETE:
        return change_row(w, verb, (int64_t)a, (int64_t)b);
    case GET:
        return read_row(w, (int64_t)a);
    case COUNT:
        return count_rows(w);
    case COMMIT:
    case ABORT:
        return end_txn(w, verb == COMMIT);
    case PUBLISH:
        prepare(w, 0);
        return publish(w, a != 0);
    case PREPARE:
        return prepare(w, a);
    case PUBLISH_COMMIT:
        return publish(w, false);
    case VERSION:
        return version(w);
    case CLOCK_START:
        start_clock((int64_t)a);
        return INSTAR_OK;
    case CLOCK_ADVANCE:
        test_clock_advance(a);
        return INSTAR_OK;
    case RENEW:
        return lease_renew(w->env->leases, &test_err);
    default:
        expect(false);
        return INSTAR_EMISUSE;
    }
}

static void serve(struct test_child *self, void *arg)
{
    struct work w = {.options = arg};
    for (;;) {
        enum verb verb = (enum verb)test_receive(self);
        if (verb == LEAVE) {
            return;
        }
        uint64_t a = test_receive(self);
        uint64_t b = test_receive(self);
        w.result = 0;
        int rc = act(&w, verb, a, b);
        test_send(self, (uint64_t)(int64_t)rc);
        test_send(self, w.result);
    }
}

/* ---- in the test ------------------------------------------------------------------------------
 */

void nodes_start(struct node *n, const instar_options *options)
{
    (void)stores_path(); /* the same directory for all */
    test_fork(&n->child, serve, (void *)(uintptr_t)options);
}

void nodes_end(struct node *n)
{
    test_send(&n->child, LEAVE);
    test_wait_ok(&n->child);
}

static void tell(struct node *n, enum verb verb, uint64_t a, uint64_t b)
{
    test_send(&n->child, verb);
    test_send(&n->child, a);
    test_send(&n->child, b);
}

static int answer(struct node *n, uint64_t *result_out)
{
    int rc = (int)(int64_t)test_receive(&n->child);
    uint64_t result = test_receive(&n->child);
    if (result_out != NULL) {
        *result_out = result;
    }
    return rc;
}

static int ask(struct node *n, enum verb verb, uint64_t a, uint64_t b)
{
    tell(n, verb, a, b);
    return answer(n, NULL);
}

void nodes_open(struct node *n)
{
    must(ask(n, OPEN, 0, 0));
}

void nodes_close(struct node *n)
{
    must(ask(n, CLOSE, 0, 0));
}

int nodes_begin(struct node *n, unsigned flags)
{
    return ask(n, BEGIN, flags, 0);
}

int nodes_insert(struct node *n, int64_t a, int64_t b)
{
    return ask(n, INSERT, (uint64_t)a, (uint64_t)b);
}

int nodes_update(struct node *n, int64_t a, int64_t b)
{
    return ask(n, UPDATE, (uint64_t)a, (uint64_t)b);
}

int nodes_delete(struct node *n, int64_t a)
{
    return ask(n, DELETE, (uint64_t)a, 0);
}

int nodes_get(struct node *n, int64_t a, int64_t *b_out)
{
    tell(n, GET, (uint64_t)a, 0);
    return answer(n, (uint64_t *)b_out);
}

int nodes_count(struct node *n, uint64_t *rows_out)
{
    tell(n, COUNT, 0, 0);
    return answer(n, rows_out);
}

int nodes_commit(struct node *n)
{
    return ask(n, COMMIT, 0, 0);
}

void nodes_abort(struct node *n)
{
    must(ask(n, ABORT, 0, 0));
}

int nodes_publish(struct node *n, bool fence)
{
    return ask(n, PUBLISH, fence, 0);
}

int nodes_publish_prepare(struct node *n, uint32_t index)
{
    return ask(n, PREPARE, index, 0);
}

int nodes_publish_commit(struct node *n)
{
    return ask(n, PUBLISH_COMMIT, 0, 0);
}

uint32_t nodes_version(struct node *n)
{
    uint64_t version;
    tell(n, VERSION, 0, 0);
    must(answer(n, &version));
    return (uint32_t)version;
}

void nodes_clock_start(struct node *n, int64_t offset_ns)
{
    must(ask(n, CLOCK_START, (uint64_t)offset_ns, 0));
}

void nodes_clock_advance(struct node *n, uint64_t ns)
{
    must(ask(n, CLOCK_ADVANCE, ns, 0));
}

int nodes_renew(struct node *n)
{
    return ask(n, RENEW, 0, 0);
}

void nodes_commit_start(struct node *n)
{
    tell(n, COMMIT, 0, 0);
}

int nodes_answer(struct node *n)
{
    return answer(n, NULL);
}
