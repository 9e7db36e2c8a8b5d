/* SPDX-License-Identifier: Apache-2.0 */
/* A process's part in schema changes: opened with the store, closed before it. */
#include "change/runner_impl.h"

int change_open(struct txn_env *env, bool run, struct changes **changes_out, struct base_err *err)
{
    struct changes *c = base_alloc_zero(1, sizeof(*c));

    *changes_out = NULL;
    if (c == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "opening the store's changes: out of memory");
    }
    c->env = env;
    c->store = env->store;
    c->runs = run;
    c->sort_memory_left = store_options(env->store)->sort_memory_bytes;
    os_plain_init(&c->lock);
    int rc = run ? runner_start(c, err) : 0;
    if (rc != 0) {
        os_plain_destroy(&c->lock);
        base_free(c);
        return rc;
    }
    *changes_out = c;
    return 0;
}

void change_close(struct changes *c)
{
    if (c == NULL) {
        return;
    }
    atomic_store(&c->stop, true);
    if (c->runs) {
        /* Jobs wait for either; who is woken in other processes looks and goes on waiting. */
        store_event_bump(c->store, STORE_EVENT_CHANGE);
        store_event_bump(c->store, STORE_EVENT_LEASE);
        runner_stop(c);
        store_event_bump(c->store, STORE_EVENT_CHANGE);
    }
    os_plain_destroy(&c->lock);
    base_free(c);
}
