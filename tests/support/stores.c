/* SPDX-License-Identifier: Apache-2.0 */
/* A small store for tests. */
#include "support/stores.h"
#include "store/log.h"
#include "store/trees.h"

#include <stdio.h>
#include <string.h>

instar_options stores_options(void)
{
    instar_options o;
    instar_options_init(&o);
    o.segment_bytes = (uint64_t)1 << 20;
    o.map_bytes = (uint64_t)1 << 30;
    o.txn_bytes_max = o.segment_bytes / 4;
    o.row_bytes_max = o.txn_bytes_max / 2;
    o.trees_max = 64;
    o.nodes_max = 16;
    o.lease_slots = 64;
    o.readers_max = 256;
    return o;
}

const char *stores_path(void)
{
    static char path[300];
    snprintf(path, sizeof path, "%s/store", test_fast_dir());
    return path;
}

struct store *stores_make(const instar_options *options)
{
    instar_options o = options != NULL ? *options : stores_options();
    must(store_create(stores_path(), &o, &test_err));
    return stores_open(&o);
}

struct store *stores_make_tree(const instar_options *options, uint64_t tree)
{
    struct store *s = stores_make(options);
    stores_tree_op(s, STORE_TREE_CREATE, tree);
    return s;
}

struct store *stores_open(const instar_options *options)
{
    instar_options o = options != NULL ? *options : stores_options();
    struct store *s = NULL;
    must(store_open(stores_path(), &o, &s, &test_err));
    return s;
}

void stores_close(struct store *s)
{
    must(store_close(s, &test_err));
}

struct store_txn *stores_begin(struct store *s, unsigned flags)
{
    struct store_txn *t = NULL;
    must(store_txn_begin(s, flags, &t, &test_err));
    return t;
}

uint64_t stores_commit(struct store_txn *t)
{
    uint64_t lsn = 0;
    must(store_txn_commit(t, NULL, &lsn, &test_err));
    return lsn;
}

void stores_put(struct store_txn *t, uint64_t tree, const char *key, const char *value)
{
    must(store_txn_put(t, tree, stores_text(key), stores_text(value), &test_err));
}

int stores_append(struct store_bulk *b, struct base_slice key, struct base_slice value,
                  struct base_err *err)
{
    return store_bulk_append(b, key, value, store_entry_hash(key, value), err);
}

void stores_delete(struct store_txn *t, uint64_t tree, const char *key)
{
    must(store_txn_delete(t, tree, stores_text(key), &test_err));
}

const char *stores_get(struct store_txn *t, uint64_t tree, const char *key)
{
    static _Thread_local char text[4096];
    struct base_slice value;
    int rc = store_txn_get(t, tree, stores_text(key), STORE_READ_NORMAL, &value, &test_err);
    if (rc == INSTAR_ENOTFOUND) {
        return NULL;
    }
    must(rc);
    snprintf(text, sizeof text, "%.*s", (int)value.size, (const char *)value.data);
    return text;
}

void stores_expect(struct store_txn *t, uint64_t tree, const char *key, const char *value)
{
    const char *got = stores_get(t, tree, key);
    if ((got == NULL) != (value == NULL) || (got != NULL && strcmp(got, value) != 0)) {
        test_fail(__FILE__, __LINE__, "tree %llu key %s: %s, not %s", (unsigned long long)tree, key,
                  got != NULL ? got : "(none)", value != NULL ? value : "(none)");
    }
}

uint64_t stores_write(struct store *s, uint64_t tree, const char *key, const char *value)
{
    struct store_txn *t = stores_begin(s, 0);
    if (value != NULL) {
        stores_put(t, tree, key, value);
    } else {
        stores_delete(t, tree, key);
    }
    return stores_commit(t);
}

static uint64_t tree_op(struct store *s, unsigned flags, enum store_tree_op op, uint64_t tree)
{
    struct store_txn *t = stores_begin(s, flags);
    must(store_txn_tree_op(t, op, tree, &test_err));
    return stores_commit(t);
}

uint64_t stores_tree_op(struct store *s, enum store_tree_op op, uint64_t tree)
{
    return tree_op(s, 0, op, tree);
}

uint64_t stores_tree_op_synced(struct store *s, enum store_tree_op op, uint64_t tree)
{
    return tree_op(s, STORE_TXN_SYNC, op, tree);
}

int stores_ahead(struct store *s, enum store_tree_op op, uint64_t tree, uint64_t lsn)
{
    struct store_txn *t = stores_begin(s, 0);
    must(store_txn_tree_op(t, op, tree, &test_err));
    int rc = store_txn_execute_ahead(t, lsn, false, &test_err);
    store_txn_abort(t);
    return rc;
}

void stores_read(struct store *s, uint64_t tree, const char *key, const char *value)
{
    struct store_txn *t = stores_begin(s, STORE_TXN_READONLY);
    stores_expect(t, tree, key, value);
    store_txn_abort(t);
}

void stores_fold(struct store *s)
{
    uint64_t lsn = store_tail(s);
    uint64_t deadline = os_now_ns() + (uint64_t)30 * 1000000000;
    must(store_flush(s, lsn, deadline, &test_err));
    must(store_wait_applied(s, lsn, STORE_URGE_SOON, deadline, &test_err));
}

void stores_churn(struct store *s, uint64_t tree, int times)
{
    static const char value[3000];
    for (int i = 0; i < times; i++) {
        struct store_txn *t = stores_begin(s, 0);
        must(
            store_txn_put(t, tree, stores_text("big"), base_slice(value, sizeof value), &test_err));
        stores_commit(t);
        stores_fold(s);
    }
}

void stores_await_folding(struct store *s, uint64_t lsn)
{
    uint64_t deadline = os_now_ns() + (uint64_t)60 * 1000000000;
    for (;;) {
        uint32_t seen = atomic_load(&s->ctl->applied.seen);
        if (store_applied(s) >= lsn) {
            return;
        }
        expect(control_left_ns(deadline) > 0);
        control_sleep(&s->ctl->applied, seen, deadline, UINT64_MAX);
    }
}

uint64_t stores_used_bytes(struct store *s)
{
    struct trees_usage usage;
    trees_usage_get(s->trees, &usage);
    return usage.used_bytes;
}

const char *stores_scan(struct store_txn *t, uint64_t tree, bool reverse)
{
    static _Thread_local char text[1 << 16];
    struct store_range all = {.reverse = reverse};
    struct store_cursor *c;
    struct base_slice key;
    struct base_slice value;
    size_t used = 0;
    int rc;
    text[0] = '\0';
    must(store_cursor_open(t, tree, &all, STORE_READ_NORMAL, &c, &test_err));
    while ((rc = store_cursor_next(c, &key, &value, &test_err)) == 0) {
        int n = snprintf(text + used, sizeof text - used, "%.*s=%.*s ", (int)key.size,
                         (const char *)key.data, (int)value.size, (const char *)value.data);
        used += (size_t)n;
        expect(used < sizeof text);
    }
    store_cursor_close(c);
    expect(rc == INSTAR_END);
    return text;
}

const char *stores_dump(struct store *s, uint64_t tree)
{
    struct store_txn *t = stores_begin(s, STORE_TXN_READONLY);
    const char *text = stores_scan(t, tree, false);
    store_txn_abort(t);
    return text;
}
