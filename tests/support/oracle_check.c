/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing a store with the model. */
#include "support/oracle_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int read_number(struct store_txn *t, uint64_t *number_out, struct base_err *err)
{
    struct base_slice value;
    *number_out = 0;
    int rc =
        store_txn_get(t, ORACLE_BASE_TREE, base_slice("seq", 3), STORE_READ_UNTRACKED, &value, err);
    if (rc == 0 && value.size == 8) {
        *number_out = base_get_u64(value.data);
    }
    return rc == INSTAR_ENOTFOUND ? 0 : rc;
}

int oracle_number(struct store *s, uint64_t *number_out, struct base_err *err)
{
    struct store_txn *t;
    *number_out = 0;
    int rc = store_txn_begin(s, STORE_TXN_READONLY, &t, err);
    if (rc == 0) {
        rc = read_number(t, number_out, err);
        store_txn_abort(t);
    }
    return rc;
}

typedef int (*row_fn)(void *arg, struct base_slice key, struct base_slice value);

static int scan(struct store_txn *t, uint64_t tree, row_fn fn, void *arg, struct base_err *err)
{
    struct store_cursor *c;
    struct base_slice key;
    struct base_slice value;
    struct store_range all = {.reverse = false};
    int rc = store_cursor_open(t, tree, &all, STORE_READ_UNTRACKED, &c, err);
    if (rc != 0) {
        return rc;
    }
    while ((rc = store_cursor_next(c, &key, &value, err)) == 0) {
        rc = fn(arg, key, value);
        if (rc != 0) {
            break;
        }
    }
    store_cursor_close(c);
    return rc == INSTAR_END ? 0 : rc;
}

struct digesting {
    uint64_t tree;
    uint64_t digest;
};

static int add_to_digest(void *arg, struct base_slice key, struct base_slice value)
{
    struct digesting *d = arg;
    d->digest = oracle_mix(d->digest, d->tree, key, base_hash64(value.data, value.size, 0));
    return 0;
}

struct comparing {
    const struct model *model;
    uint64_t tree;
    size_t at; /* next row of the model */
    char *text;
    size_t text_size;
};

static int compare_next(void *arg, struct base_slice key, struct base_slice value)
{
    struct comparing *c = arg;
    while (c->at < c->model->count && c->model->rows[c->at].tree != c->tree) {
        c->at++;
    }
    const struct model_row *r = c->at < c->model->count ? &c->model->rows[c->at] : NULL;
    if (r == NULL || r->tree != c->tree ||
        !base_slice_eq(key, base_slice(r->key, strlen(r->key))) ||
        base_hash64(value.data, value.size, 0) != r->hash) {
        snprintf(c->text, c->text_size, "tree %llu: has %.*s (%zu bytes), the model has %s",
                 (unsigned long long)c->tree, (int)key.size, (const char *)key.data, value.size,
                 r == NULL ? "nothing more" : r->key);
        return 1;
    }
    c->at++;
    return 0;
}

/* Find the first difference, for the report. */
static void explain(const struct oracle *o, struct store_txn *t, uint64_t number, char *text,
                    size_t text_size)
{
    struct model m = oracle_model(o, number);
    struct base_err err = {0};
    snprintf(text, text_size, "the model has more rows");
    for (size_t i = 0; i < BASE_ARRAY_LEN(m.point.trees) && m.point.trees[i] != 0; i++) {
        struct comparing c = {
            .model = &m, .tree = m.point.trees[i], .text = text, .text_size = text_size};
        if (scan(t, c.tree, compare_next, &c, &err) != 0) {
            break;
        }
        while (c.at < m.count && m.rows[c.at].tree != c.tree) {
            c.at++;
        }
        if (c.at < m.count) {
            snprintf(text, text_size, "tree %llu: %s is missing", (unsigned long long)c.tree,
                     m.rows[c.at].key);
            break;
        }
    }
    free(m.rows);
}

bool oracle_check(const struct oracle *o, struct store *s, uint64_t *number_out, char *text,
                  size_t text_size)
{
    struct base_err err = {0};
    struct store_txn *t;
    *number_out = 0;
    int rc = store_txn_begin(s, STORE_TXN_READONLY, &t, &err);
    if (rc != 0) {
        snprintf(text, text_size, "begin: %s", err.text);
        return false;
    }
    rc = read_number(t, number_out, &err);
    bool same = rc == 0 && *number_out <= o->commits;
    if (!same) {
        snprintf(text, text_size, "number of commits: %llu, %s", (unsigned long long)*number_out,
                 err.text);
    }
    const struct oracle_point *p = same ? &o->points[*number_out] : NULL;
    struct digesting d = {0};
    for (size_t i = 0; same && i < BASE_ARRAY_LEN(p->trees) && p->trees[i] != 0; i++) {
        d.tree = p->trees[i];
        rc = scan(t, d.tree, add_to_digest, &d, &err);
        same = rc == 0;
        if (!same) {
            snprintf(text, text_size, "scan of tree %llu: %s", (unsigned long long)d.tree,
                     err.text);
        }
    }
    if (same && d.digest != p->digest) {
        char what[300];
        explain(o, t, *number_out, what, sizeof(what));
        snprintf(text, text_size, "after %llu commits: %s", (unsigned long long)*number_out, what);
        same = false;
    }
    store_txn_abort(t);
    return same;
}
