/* SPDX-License-Identifier: Apache-2.0 */
/* Making, opening and closing a store: the layers brought up in order and taken down in reverse. */
#include "api/api_impl.h"

static int check_path(const char *path)
{
    if (path == NULL || path[0] == '\0') {
        return base_err_set(api_err(), INSTAR_EMISUSE, "the path of the store is missing");
    }
    return INSTAR_OK;
}

/* A store is complete once its catalog has its own trees. */
static int create_complete(const char *path, const instar_options *options)
{
    return store_create_filled(path, options, catalog_bootstrap, api_err());
}

int instar_create(const char *path, const instar_options *options)
{
    instar_options complete;
    int rc = check_path(path);

    if (rc == INSTAR_OK) {
        rc = api_options_complete(options, &complete);
    }
    if (rc == INSTAR_OK) {
        rc = create_complete(path, &complete);
    }
    return rc;
}

static int bring_up(const char *path, const instar_options *options, instar *db)
{
    bool run = (options->flags & (INSTAR_OPEN_NO_RUNNER | INSTAR_OPEN_SALVAGE)) == 0;
    int rc = store_open(path, options, &db->env.store, api_err());

    if (rc != INSTAR_OK) {
        return rc;
    }
    rc = catalog_bootstrap(db->env.store, api_err());
    if (rc != INSTAR_OK) {
        goto close_store;
    }
    rc = catalog_open(db->env.store, &db->env.catalog, api_err());
    if (rc != INSTAR_OK) {
        goto close_store;
    }
    rc = lease_open(db->env.store, &db->env.leases, api_err());
    if (rc != INSTAR_OK) {
        goto close_catalog;
    }
    rc = txn_named_open(db->env.store, &db->env.named, api_err());
    if (rc != INSTAR_OK) {
        goto close_leases;
    }
    rc = change_open(&db->env, run, &db->changes, api_err());
    if (rc != INSTAR_OK) {
        goto close_named;
    }
    return INSTAR_OK;

close_named:
    txn_env_end(&db->env);
    txn_named_close(db->env.named);
    db->env.named = NULL;
close_leases:
    lease_close(db->env.leases);
close_catalog:
    catalog_close(db->env.catalog);
close_store:
    (void)store_close(db->env.store, NULL);
    return rc;
}

int instar_open(const char *path, const instar_options *options, instar **db_out)
{
    instar_options complete;
    instar *db;
    int rc = api_need(db_out, "db_out");

    if (rc != INSTAR_OK) {
        return rc;
    }
    *db_out = NULL;
    rc = check_path(path);
    if (rc == INSTAR_OK) {
        rc = api_options_complete(options, &complete);
    }
    if (rc != INSTAR_OK) {
        return rc;
    }
    db = api_shell_new(API_MAGIC_DB, sizeof(*db), NULL);
    if (db == NULL) {
        return base_err_set(api_err(), INSTAR_ENOMEM, "opening %s: out of memory", path);
    }
    db->durability = complete.durability;
    rc = bring_up(path, &complete, db);
    if (rc == INSTAR_ENOSTORE && (complete.flags & INSTAR_OPEN_CREATE) != 0) {
        rc = create_complete(path, &complete);
        /* Another process may have been first: then its store is ours too. */
        if (rc == INSTAR_OK || rc == INSTAR_EEXISTS) {
            rc = bring_up(path, &complete, db);
        }
    }
    if (rc != INSTAR_OK) {
        api_shell_end(&db->shell, API_MAGIC_DB);
        return rc;
    }
    *db_out = db;
    return INSTAR_OK;
}

/* Is the caller inside instar_run()? Its transaction is not ours to end. */
static bool runs(const struct api_shell *shell)
{
    return atomic_load(&shell->magic) == (uint32_t)API_MAGIC_TXN &&
           ((const instar_txn *)(const void *)shell)->borrowed;
}

static void end_child(struct api_shell *child)
{
    if (atomic_load(&child->magic) == (uint32_t)API_MAGIC_TXN) {
        instar_abort((instar_txn *)child);
    } else {
        instar_projection_free((instar_projection *)child);
    }
}

int instar_close(instar *db)
{
    struct api_shell *child;
    int rc;

    if (db == NULL) {
        return INSTAR_OK;
    }
    rc = api_enter_alone(db, API_MAGIC_DB, "store");
    if (rc != INSTAR_OK) {
        return rc;
    }
    if (api_shell_any(&db->shell, runs)) {
        api_leave(db);
        return base_err_set(api_err(), INSTAR_EMISUSE,
                            "instar_run() is at work on this store: close it after that");
    }
    change_close(db->changes);
    while ((child = api_shell_child(&db->shell)) != NULL) {
        end_child(child);
    }
    txn_env_end(&db->env);
    txn_named_close(db->env.named);
    lease_close(db->env.leases);
    catalog_close(db->env.catalog);
    rc = store_close(db->env.store, api_err());
    api_shell_end(&db->shell, API_MAGIC_DB);
    return rc;
}

int instar_flush(instar *db)
{
    const instar_options *options;
    uint64_t deadline;
    int rc = api_enter(db, API_MAGIC_DB, "store");

    if (rc != INSTAR_OK) {
        return rc;
    }
    options = store_options(db->env.store);
    deadline = os_now_ns() + (uint64_t)options->lock_timeout_ms * 1000000u;
    return store_flush(db->env.store, store_tail(db->env.store), deadline, api_err());
}
