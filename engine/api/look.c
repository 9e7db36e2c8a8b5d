/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at a store: tables, nodes, figures. */
#include "api/api_impl.h"

#include <string.h>

/* Two transactions of a read-only look: the store's, and the view that it sees. */
struct look {
    struct store_txn *txn;
    const struct catalog_view *view;
};

static int look_begin(instar *db, struct look *look)
{
    int rc = store_txn_begin(db->env.store, STORE_TXN_READONLY, &look->txn, api_err());

    if (rc != INSTAR_OK) {
        return rc;
    }
    rc = catalog_view_get(db->env.catalog, look->txn, &look->view, api_err());
    if (rc != INSTAR_OK) {
        store_txn_abort(look->txn);
    }
    return rc;
}

static void look_end(instar *db, struct look *look)
{
    catalog_view_release(db->env.catalog, look->view);
    store_txn_abort(look->txn);
}

/* ---- tables ------------------------------------------------------------------------------- */

static const char *expression_of(struct base_arena *arena, const struct catalog_table *table,
                                 const struct catalog_key_part *part)
{
    struct base_buf text = {0};
    /* Without the parentheses around it. */
    bool ok = catalog_index_print_part(table, part, &text) && base_buf_add_u8(&text, 0);
    char *copy = ok ? base_arena_copy(arena, text.data + 1, text.size - 2) : NULL;

    if (copy != NULL) {
        copy[text.size - 3] = '\0';
    }
    base_buf_free(&text);
    return copy;
}

static bool fill_key(struct base_arena *arena, const struct catalog_table *table,
                     const struct catalog_key_part *parts, uint32_t count,
                     const instar_key_column **out)
{
    instar_key_column *key = base_arena_alloc(arena, (count + 1) * sizeof(*key));

    if (key == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        bool plain = parts[i].expr == NULL;

        key[i].name = plain ? table->columns[parts[i].column].name : NULL;
        key[i].expression = plain ? NULL : expression_of(arena, table, &parts[i]);
        if (!plain && key[i].expression == NULL) {
            return false;
        }
        key[i].type = plain ? table->columns[parts[i].column].type : row_expr_type(parts[i].expr);
        key[i].descending = parts[i].descending;
        key[i].nulls = !parts[i].nulls_swapped ? INSTAR_NULLS_DEFAULT
                       : parts[i].descending   ? INSTAR_NULLS_LAST
                                               : INSTAR_NULLS_FIRST;
    }
    *out = key;
    return true;
}

static bool fill_columns(struct base_arena *arena, const struct catalog_table *table,
                         instar_table_info *info)
{
    instar_column_info *columns =
        base_arena_alloc(arena, (table->column_count + 1) * sizeof(*columns));

    if (columns == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < table->column_count; i++) {
        const struct catalog_column *from = &table->columns[i];

        columns[i] = (instar_column_info){
            .name = from->name,
            .type = from->type,
            .not_null = from->not_null,
            .has_default = from->has_default,
            .default_value = from->default_value,
            .enforcing = from->enforcing,
            .length_max = from->length_max,
            .type_coming = from->type_coming,
            .length_coming = from->length_coming,
            .comment = catalog_comment_of(table, CATALOG_COMMENT_COLUMN, from->id)};
    }
    info->columns = columns;
    info->column_count = catalog_visible_columns(table); /* the hidden ones are last */
    return true;
}

/* What an index has besides its key. */
static bool fill_more(struct base_arena *arena, const struct catalog_table *table,
                      const struct catalog_index *from, instar_index_info *info)
{
    struct base_buf text = {0};
    const char **include = base_arena_alloc(arena, (from->include_count + 1) * sizeof(*include));
    bool ok = include != NULL;

    for (uint32_t i = 0; ok && i < from->include_count; i++) {
        include[i] = table->columns[from->includes[i]].name;
    }
    if (ok && from->predicate != NULL) {
        ok = catalog_index_print_predicate(table, from, &text) && base_buf_add_u8(&text, 0);
        info->predicate = ok ? base_arena_copy(arena, text.data, text.size) : NULL;
        ok = info->predicate != NULL;
    }
    info->include = include;
    info->include_count = from->include_count;
    info->constraint = from->constraint;
    base_buf_free(&text);
    return ok;
}

static bool fill_indexes(struct base_arena *arena, const struct catalog_table *table,
                         instar_table_info *info)
{
    instar_index_info *indexes =
        base_arena_alloc(arena, (table->index_count + 1) * sizeof(*indexes));

    if (indexes == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < table->index_count; i++) {
        const struct catalog_index *from = &table->indexes[i];

        indexes[i] = (instar_index_info){
            .name = from->name,
            .column_count = from->part_count,
            .unique = from->unique,
            .enforcing = catalog_must_probe(from),
            .stage = from->stage,
            .change = from->change,
            .comment = catalog_comment_of(table, CATALOG_COMMENT_INDEX, from->id)};
        if (!fill_key(arena, table, from->parts, from->part_count, &indexes[i].columns) ||
            !fill_more(arena, table, from, &indexes[i])) {
            return false;
        }
    }
    info->indexes = indexes;
    info->index_count = table->index_count;
    return true;
}

static bool fill_checks(struct base_arena *arena, const struct catalog_table *table,
                        instar_table_info *info)
{
    instar_check_info *checks = base_arena_alloc(arena, (table->check_count + 1) * sizeof(*checks));
    struct base_buf text = {0};
    bool ok = checks != NULL;

    for (uint32_t i = 0; ok && i < table->check_count; i++) {
        const struct catalog_check *from = &table->checks[i];

        base_buf_clear(&text);
        ok = catalog_check_print(table, from, &text) && base_buf_add_u8(&text, 0);
        checks[i] = (instar_check_info){
            .name = from->name,
            .expression = ok ? base_arena_copy(arena, text.data, text.size) : "",
            .valid = from->state == CATALOG_CHECK_VALID,
            .enforcing = catalog_check_is_pending(from),
            .comment = catalog_comment_of(table, CATALOG_COMMENT_CHECK, from->id)};
        ok = ok && checks[i].expression != NULL;
    }
    base_buf_free(&text);
    info->checks = checks;
    info->check_count = table->check_count;
    return ok;
}

static bool fill_fkey(struct base_arena *arena, const struct catalog_view *view,
                      const struct catalog_table *table, const struct catalog_fkey *from,
                      instar_fkey_info *info)
{
    const struct catalog_table *parent = catalog_view_table_by_id(view, from->parent);
    const char **columns = base_arena_alloc(arena, from->column_count * sizeof(*columns));
    const char **theirs = base_arena_alloc(arena, from->column_count * sizeof(*theirs));
    struct catalog_parent_key key = {.count = 0};

    if (columns == NULL || theirs == NULL) {
        return false;
    }
    if (parent != NULL) {
        (void)catalog_parent_key_of(parent, from->parent_index, &key);
    }
    for (uint32_t i = 0; i < from->column_count; i++) {
        columns[i] = table->columns[from->columns[i]].name;
        theirs[i] = i < key.count ? parent->columns[key.parts[i].column].name : "";
    }
    *info = (instar_fkey_info){
        .name = from->name,
        .columns = columns,
        .column_count = from->column_count,
        .parent = parent != NULL ? parent->name : "",
        .parent_columns = theirs,
        .on_delete = from->restrict_delete ? INSTAR_FKEY_RESTRICT : INSTAR_FKEY_NO_ACTION,
        .on_update = from->restrict_update ? INSTAR_FKEY_RESTRICT : INSTAR_FKEY_NO_ACTION,
        .valid = from->state == CATALOG_CHECK_VALID,
        .enforcing = catalog_fkey_is_pending(from),
        .comment = catalog_comment_of(table, CATALOG_COMMENT_FKEY, from->id)};
    return true;
}

static bool fill_fkeys(struct base_arena *arena, const struct catalog_view *view,
                       const struct catalog_table *table, instar_table_info *info)
{
    instar_fkey_info *fkeys = base_arena_alloc(arena, (table->fkey_count + 1) * sizeof(*fkeys));
    bool ok = fkeys != NULL;

    for (uint32_t i = 0; ok && i < table->fkey_count; i++) {
        ok = fill_fkey(arena, view, table, &table->fkeys[i], &fkeys[i]);
    }
    info->fkeys = fkeys;
    info->fkey_count = table->fkey_count;
    return ok;
}

static int tell_table(instar *db, const struct catalog_view *view,
                      const struct catalog_table *table,
                      int (*fn)(void *arg, const instar_table_info *info), void *arg)
{
    instar_table_info info = {.name = table->name,
                              .version = table->version,
                              .key_count = table->key_count,
                              .comment = catalog_comment_of(table, CATALOG_COMMENT_TABLE, 0)};
    struct store_tree_stat stat = {0};
    struct base_arena arena = {0};
    int rc = store_tree_stat(db->env.store, table->tree, &stat, api_err());

    if (rc != INSTAR_OK) {
        return rc;
    }
    info.rows = stat.entries;
    if (fill_columns(&arena, table, &info) && fill_indexes(&arena, table, &info) &&
        fill_checks(&arena, table, &info) && fill_fkeys(&arena, view, table, &info) &&
        fill_key(&arena, table, table->key, table->key_count, &info.key)) {
        rc = fn(arg, &info);
    } else {
        rc = base_err_set(api_err(), INSTAR_ENOMEM, "listing table %s: out of memory", table->name);
    }
    base_arena_free(&arena);
    return rc;
}

int instar_table_list(instar *db, const char *table,
                      int (*fn)(void *arg, const instar_table_info *info), void *arg)
{
    const struct catalog_table *found = NULL;
    struct look look;
    int rc = api_enter(db, API_MAGIC_DB, "store");

    if (rc == INSTAR_OK && fn == NULL) {
        rc = base_err_set(api_err(), INSTAR_EMISUSE, "fn is NULL");
    }
    if (rc == INSTAR_OK) {
        rc = look_begin(db, &look);
    }
    if (rc != INSTAR_OK) {
        return rc;
    }
    if (table != NULL) {
        rc = catalog_view_table(look.view, table, &found, api_err());
        if (rc == INSTAR_OK) {
            rc = tell_table(db, look.view, found, fn, arg);
        }
    } else {
        for (uint32_t i = 0; rc == INSTAR_OK && i < look.view->table_count; i++) {
            if (look.view->tables[i]->change == 0) { /* else it has no name yet */
                rc = tell_table(db, look.view, look.view->tables[i], fn, arg);
            }
        }
    }
    look_end(db, &look);
    return rc;
}

/* ---- nodes and figures -------------------------------------------------------------------- */

static int tell_node(instar *db, const struct store_node *node, uint64_t now,
                     int (*fn)(void *arg, const instar_node_info *info), void *arg)
{
    struct lease_node_stat leases = {0};
    instar_node_info info = {.node = node->index,
                             .pid = node->pid,
                             .self = node->index == store_node_self(db->env.store),
                             .alive = node->alive,
                             .opened_ms_ago = (now - node->opened_ns) / 1000000u};

    lease_node_stat(db->env.leases, node->index, node->nonce, &leases);
    info.leases = leases.leases;
    info.transactions = leases.uses;
    info.oldest_transaction_ms = leases.oldest_ns / 1000000u;
    info.changes = change_owned_by(db->changes, node->nonce);
    return fn(arg, &info);
}

int instar_node_list(instar *db, int (*fn)(void *arg, const instar_node_info *info), void *arg)
{
    struct store_node *nodes;
    size_t room, count;
    int rc = api_enter(db, API_MAGIC_DB, "store");

    if (rc == INSTAR_OK && fn == NULL) {
        rc = base_err_set(api_err(), INSTAR_EMISUSE, "fn is NULL");
    }
    if (rc != INSTAR_OK) {
        return rc;
    }
    room = store_options(db->env.store)->nodes_max;
    nodes = base_alloc_zero(room, sizeof(*nodes));
    if (nodes == NULL) {
        return base_err_set(api_err(), INSTAR_ENOMEM, "listing nodes: out of memory");
    }
    store_node_reap(db->env.store);
    count = store_node_list(db->env.store, nodes, room);
    for (size_t i = 0; rc == INSTAR_OK && i < count && i < room; i++) {
        rc = tell_node(db, &nodes[i], os_now_ns(), fn, arg);
    }
    base_free(nodes);
    return rc;
}

int instar_stat(instar *db, instar_stats *stats_out)
{
    instar_stats stats = {0};
    uint32_t size;
    int rc = api_need(stats_out, "stats_out");

    if (rc == INSTAR_OK) {
        rc = api_enter(db, API_MAGIC_DB, "store");
    }
    if (rc != INSTAR_OK) {
        return rc;
    }
    size = stats_out->struct_size;
    if (size < sizeof(uint32_t) * 2 || size > sizeof(stats)) {
        return base_err_set(api_err(), INSTAR_EINVALID,
                            "stat: set struct_size to sizeof(instar_stats) first");
    }
    store_stat(db->env.store, &stats);
    stats.struct_size = size;
    stats.durability = db->durability;
    memcpy(stats_out, &stats, size);
    return INSTAR_OK;
}
