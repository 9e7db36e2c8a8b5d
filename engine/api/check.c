/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checker: one snapshot, every table, both directions.
 *
 *   pages             all of data.mdb's fit together; before anything is read through them. What
 *                     each tree holds adds up to its digest
 *   rows -> entries   each row decodes by the layout of its tag, obeys NOT NULL and the checks and
 *                     foreign keys that are valid, and has its entry in every public index, if its
 *                     predicate is true
 *   entries -> rows   each entry's checksum holds, its row exists, belongs into the index, and has
 *                     those values, the included ones too; in a unique index no two neighbours have
 *                     equal values (nulls apart)
 *   trees             every tree belongs to a table or an index, and none is missing
 *   log               every record not yet in the trees verifies
 *
 * Tables that were dropped and are kept for an undo are looked at as all others.
 *
 * An index that a change is at work on is left out: it may lack entries by design, and its tree
 * may be filled past the log. It changes nothing, and holds no lease: it is a reader.
 */
#include "api/check_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define UNLIKE "its entries do not add up to its digest: some are not those written last"

/* ---- findings ----------------------------------------------------------------------------- */

int check_report(struct check *c, enum instar_problem problem, const struct place *where,
                 const char *what)
{
    char text[BASE_ERR_TEXT_MAX + 512];
    const char *key = c->key_text.size > 0 ? (const char *)c->key_text.data : "";
    const char *index = where->index != NULL ? where->index->name : NULL;
    instar_finding finding = {.problem = problem,
                              .written_by = where->written_by,
                              .table = c->table != NULL ? c->table->name : "",
                              .index = index,
                              .key = key,
                              .text = text};
    int at = 0;

    c->sum.findings++;
    if (c->fn == NULL) {
        return INSTAR_OK;
    }
    if (c->table != NULL) {
        at = snprintf(text, sizeof(text), "table %s%s%s: %s%s", c->table->name,
                      index != NULL ? ", index " : "", index != NULL ? index : "", key,
                      key[0] != '\0' ? ": " : "");
    }
    at = at < 0 || (size_t)at >= sizeof(text) ? 0 : at;
    if (where->written_by != 0) {
        (void)snprintf(text + at, sizeof(text) - (size_t)at,
                       "%s (written by schema version %" PRIu32 ")", what, where->written_by);
    } else {
        (void)snprintf(text + at, sizeof(text) - (size_t)at, "%s", what);
    }
    return c->fn(c->arg, &finding);
}

int check_digest(struct check *c, uint64_t tree, const struct catalog_index *index)
{
    struct place where = {index, 0};
    uint8_t *list = c->unlike.data;

    for (size_t at = 0; at < c->unlike.size; at += sizeof(tree)) {
        if (base_get_u64(list + at) == tree) {
            base_put_u64(list + at, 0);
            base_buf_clear(&c->key_text);
            return check_report(c, INSTAR_PROBLEM_DIGEST, &where, "data.mdb: " UNLIKE);
        }
    }
    return INSTAR_OK;
}

/* Of a tree that no table has claimed. What is dropped may hold what it likes. */
static int check_digest_left(void *arg, uint64_t tree, bool dead)
{
    struct check *c = arg;
    const uint8_t *list = c->unlike.data;
    struct place nowhere = {NULL, 0};
    char what[160];
    bool left = false;

    for (size_t at = 0; at < c->unlike.size; at += sizeof(tree)) {
        left = left || base_get_u64(list + at) == tree;
    }
    if (dead || !left) {
        return INSTAR_OK;
    }
    (void)snprintf(what, sizeof(what), "data.mdb: tree %" PRIu64 ": " UNLIKE, tree);
    base_buf_clear(&c->key_text);
    return check_report(c, INSTAR_PROBLEM_DIGEST, &nowhere, what);
}

/* A drop that has been logged must have reached the trees. */
static int wait_for_drops(const struct check *c)
{
    struct store *s = c->db->env.store;
    uint64_t limit_ns = (uint64_t)store_options(s)->lock_timeout_ms * 1000000u;

    return store_wait_applied(s, store_durable(s), STORE_URGE_SOON, os_now_ns() + limit_ns,
                              api_err());
}

static int check_digests_left(struct check *c)
{
    int rc = c->unlike.size > 0 ? wait_for_drops(c) : INSTAR_OK;

    return rc == INSTAR_OK && c->unlike.size > 0
               ? store_tree_list(c->db->env.store, check_digest_left, c, api_err())
               : rc;
}

/* ---- trees and log ------------------------------------------------------------------------ */

static bool table_owns(const struct catalog_table *table, uint64_t tree)
{
    bool owns = table->tree == tree;

    for (uint32_t k = 0; k < table->index_count; k++) {
        owns = owns || table->indexes[k].tree == tree;
    }
    return owns;
}

struct ownership {
    uint64_t tree;
    bool owned;
};

static int owned_by_kept(void *arg, const struct catalog_table *table)
{
    struct ownership *o = arg;

    o->owned = o->owned || table_owns(table, o->tree);
    return INSTAR_OK;
}

static int tree_is_owned(const struct check *c, uint64_t tree, bool *owned_out)
{
    struct ownership o = {tree, tree == CATALOG_TREE || tree == CATALOG_CHANGE_TREE};

    for (uint32_t i = 0; !o.owned && i < c->view->table_count; i++) {
        o.owned = table_owns(c->view->tables[i], tree);
    }
    int rc = o.owned ? INSTAR_OK : change_list_kept(c->txn, owned_by_kept, &o, api_err());
    *owned_out = o.owned;
    return rc;
}

static int check_tree(void *arg, uint64_t tree, bool dead)
{
    struct check *c = arg;
    struct place nowhere = {NULL, 0};
    char what[96];
    bool owned = dead;
    int rc = dead ? INSTAR_OK : tree_is_owned(c, tree, &owned);

    if (rc != INSTAR_OK || owned) {
        return rc;
    }
    (void)snprintf(what, sizeof(what), "tree %" PRIu64 " belongs to no table and no index", tree);
    base_buf_clear(&c->key_text);
    return check_report(c, INSTAR_PROBLEM_TREE, &nowhere, what);
}

static int count_running(void *arg, const instar_change_info *info)
{
    uint32_t *running = arg;

    if (info->state == INSTAR_CHANGE_RUNNING || info->state == INSTAR_CHANGE_REVERTING) {
        (*running)++;
    }
    return INSTAR_OK;
}

/* A running change owns trees that no descriptor names yet, or no longer: then nothing can be said
 * of stray trees. */
static int check_trees(struct check *c)
{
    uint32_t running = 0;
    int rc = change_list(c->db->changes, count_running, &running, api_err());

    if (rc != INSTAR_OK || running > 0 ||
        store_schema_lsn(c->db->env.store) > store_txn_lsn(c->txn)) {
        return rc;
    }
    rc = wait_for_drops(c);
    return rc != INSTAR_OK ? rc : store_tree_list(c->db->env.store, check_tree, c, api_err());
}

static int check_log(void *arg, uint64_t lsn, const char *text)
{
    struct check *c = arg;
    struct place nowhere = {NULL, 0};
    char what[512];

    (void)snprintf(what, sizeof(what), "log at %" PRIu64 ": %s", lsn, text);
    base_buf_clear(&c->key_text);
    return check_report(c, INSTAR_PROBLEM_LOG, &nowhere, what);
}

/* ---- the whole ---------------------------------------------------------------------------- */

static int check_page(void *arg, uint64_t page, const char *text)
{
    struct check *c = arg;
    struct place nowhere = {NULL, 0};
    char key[40];

    (void)snprintf(key, sizeof(key), "page %" PRIu64, page);
    base_buf_clear(&c->key_text);
    (void)base_buf_add(&c->key_text, key, strlen(key) + 1);
    return check_report(c, INSTAR_PROBLEM_FILE, &nowhere, text);
}

/* Kept until it is known whose tree it is. */
static int note_unlike(void *arg, uint64_t tree, const char *text)
{
    struct check *c = arg;

    (void)text;
    return base_buf_add_u64(&c->unlike, tree)
               ? INSTAR_OK
               : base_err_set(api_err(), INSTAR_ENOMEM, "no memory for what the check has found");
}

/* LMDB would follow a damaged page anywhere: what lies behind it is not read. */
static int check_pages(struct check *c)
{
    struct store_page_findings to = {.page = check_page, .tree = note_unlike, .arg = c};
    int rc = store_check_pages(c->db->env.store, &to, &c->sum.pages, api_err());

    if (rc == INSTAR_OK && (c->fast || c->sum.findings > 0)) {
        rc = check_digests_left(c);
        rc = rc == INSTAR_OK ? store_verify(c->db->env.store, check_log, c, api_err()) : rc;
    }
    return rc;
}

static int check_kept(void *arg, const struct catalog_table *table)
{
    return check_table(arg, table);
}

static int check_all(struct check *c)
{
    int rc = catalog_view_get(c->db->env.catalog, c->txn, &c->view, api_err());

    if (rc != INSTAR_OK) {
        return rc;
    }
    for (uint32_t i = 0; rc == INSTAR_OK && i < c->view->table_count; i++) {
        rc = check_table(c, c->view->tables[i]);
    }
    if (rc == INSTAR_OK) {
        rc = change_list_kept(c->txn, check_kept, c, api_err());
    }
    if (rc == INSTAR_OK) {
        rc = check_digests_left(c);
    }
    if (rc == INSTAR_OK) {
        rc = check_trees(c);
    }
    if (rc == INSTAR_OK) {
        rc = store_verify(c->db->env.store, check_log, c, api_err());
    }
    catalog_view_release(c->db->env.catalog, c->view);
    return rc;
}

int api_judge_check(int rc, uint64_t findings)
{
    return rc == INSTAR_OK && findings > 0
               ? base_err_set(api_err(), INSTAR_ECORRUPT, "the check has %" PRIu64 " findings",
                              findings)
               : rc;
}

static int check_rows(struct check *c)
{
    int rc = store_txn_begin(c->db->env.store, STORE_TXN_READONLY, &c->txn, api_err());

    if (rc == INSTAR_OK) {
        rc = check_all(c);
        store_txn_abort(c->txn);
    }
    return rc;
}

static int run(struct check *c, instar_check_summary *summary_out)
{
    int rc = api_enter(c->db, API_MAGIC_DB, "store");

    if (rc != INSTAR_OK) {
        return rc;
    }
    rc = check_pages(c);
    if (rc == INSTAR_OK && !c->fast && c->sum.findings == 0) {
        rc = check_rows(c);
    }
    base_buf_free(&c->unlike);
    base_buf_free(&c->key_text);
    base_buf_free(&c->entry);
    base_buf_free(&c->include);
    base_arena_free(&c->scratch);
    if (summary_out != NULL) {
        *summary_out = c->sum;
    }
    return api_judge_check(rc, c->sum.findings);
}

int instar_check(instar *db, int (*fn)(void *arg, const instar_finding *finding), void *arg,
                 instar_check_summary *summary_out)
{
    struct check c = {.db = db, .fn = fn, .arg = arg};

    return run(&c, summary_out);
}

int instar_check_fast(instar *db, int (*fn)(void *arg, const instar_finding *finding), void *arg,
                      instar_check_summary *summary_out)
{
    struct check c = {.db = db, .fn = fn, .arg = arg, .fast = true};

    return run(&c, summary_out);
}
