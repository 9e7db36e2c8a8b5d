/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Foreign keys. One is an element of two descriptors: of the child's, which has all of it, and of
 * the parent's, which says who refers to it and by what key. Both change in one commit
 * (lease_publication's `also`), so every snapshot that shows the one shows the other, and a writer
 * of either table knows whom to ask.
 *
 * Columns are known by their ids, so they may move and be renamed. They stand in the order of the
 * parent's key: their values, encoded as that key's, are what is looked for in the parent.
 *
 * CAT-11  The key that a foreign key refers to is the parent's primary key, or an index of it that
 * is unique, public and of all rows; the child has a public index of all its rows, or a primary
 * key, that begins with the foreign key's columns, in whatever order: by that its rows are found
 * when a key goes. An index that the same change makes may be write-only still while the foreign
 * key is enforcing: it is built by then, and has every row's entry.
 */
#include "catalog/catalog_impl.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- looking ------------------------------------------------------------------------------ */

struct catalog_fkey *catalog_table_fkey(const struct catalog_table *table, const char *name)
{
    for (uint32_t i = 0; i < table->fkey_count; i++) {
        struct catalog_fkey *f = &table->fkeys[i];
        if (f->state != CATALOG_CHECK_ENFORCING && strcmp(f->name, name) == 0) {
            return f;
        }
    }
    return NULL;
}

struct catalog_fkey *catalog_table_fkey_by_id(const struct catalog_table *table, uint32_t id)
{
    for (uint32_t i = 0; i < table->fkey_count; i++) {
        if (table->fkeys[i].id == id) {
            return &table->fkeys[i];
        }
    }
    return NULL;
}

bool catalog_fkey_is_pending(const struct catalog_fkey *fkey)
{
    return fkey->state == CATALOG_CHECK_ENFORCING || fkey->state == CATALOG_CHECK_VALIDATING;
}

bool catalog_has_constraint(const struct catalog_table *table, const char *name)
{
    return catalog_table_check(table, name) != NULL || catalog_table_unique(table, name) != NULL ||
           catalog_table_fkey(table, name) != NULL;
}

const struct catalog_fkey *catalog_fkey_using(const struct catalog_table *table, uint32_t column_id)
{
    for (uint32_t i = 0; i < table->fkey_count; i++) {
        for (uint32_t k = 0; k < table->fkeys[i].column_count; k++) {
            if (table->fkeys[i].column_ids[k] == column_id) {
                return &table->fkeys[i];
            }
        }
    }
    return NULL;
}

bool catalog_parent_key_of(const struct catalog_table *parent, uint32_t index_id,
                           struct catalog_parent_key *key_out)
{
    *key_out = (struct catalog_parent_key){.tree = parent->tree,
                                           .parts = parent->key,
                                           .key_parts = parent->key_parts,
                                           .count = parent->key_count};
    if (index_id == 0) {
        return parent->key_count > 0;
    }
    const struct catalog_index *index = catalog_table_index_by_id(parent, index_id);
    if (index == NULL || !index->unique || !catalog_may_read(index) || index->predicate != NULL) {
        return false;
    }
    for (uint32_t i = 0; i < index->part_count; i++) {
        if (index->parts[i].column >= parent->column_count) {
            return false; /* it is not of columns alone */
        }
    }
    *key_out = (struct catalog_parent_key){.index = index,
                                           .tree = index->tree,
                                           .parts = index->parts,
                                           .key_parts = index->key_parts,
                                           .count = index->part_count};
    return true;
}

/* Are the first parts of a key the foreign key's columns? Then which of them each is. */
static bool begins_with(const struct catalog_table *child, const struct catalog_fkey *fkey,
                        const struct catalog_key_part *parts, uint32_t count,
                        uint32_t order[INSTAR_INDEX_COLUMNS_MAX])
{
    for (uint32_t i = 0; i < fkey->column_count; i++) {
        uint32_t at = 0;
        if (i >= count || parts[i].expr != NULL) {
            return false;
        }
        while (at < fkey->column_count &&
               fkey->column_ids[at] != child->columns[parts[i].column].id) {
            at++;
        }
        if (at == fkey->column_count) {
            return false;
        }
        order[i] = at;
    }
    return true;
}

/* One that comes with the foreign key is complete before that is enforced, and public in the
 * version in which it is valid; in a table that is wanted it has no stage yet. */
static bool comes_along(const struct catalog_index *index, const struct catalog_fkey *fkey)
{
    return index->stage == INSTAR_STAGE_ABSENT || (fkey->state == CATALOG_CHECK_ENFORCING &&
                                                   index->change != 0 && catalog_may_write(index));
}

bool catalog_fkey_path(const struct catalog_table *child, const struct catalog_fkey *fkey,
                       struct catalog_fkey_path *path_out)
{
    *path_out = (struct catalog_fkey_path){.tree = child->tree, .key_parts = child->key_parts};
    if (begins_with(child, fkey, child->key, child->key_count, path_out->order)) {
        return true;
    }
    for (uint32_t i = 0; i < 2 * child->index_count; i++) { /* those that are public first */
        const struct catalog_index *index = &child->indexes[i % child->index_count];
        bool serves = i < child->index_count ? catalog_may_read(index) : comes_along(index, fkey);
        if (serves && index->predicate == NULL &&
            begins_with(child, fkey, index->parts, index->part_count, path_out->order)) {
            path_out->index = index;
            path_out->tree = index->tree;
            path_out->key_parts = index->key_parts;
            return true;
        }
    }
    return false;
}

/* ---- making one --------------------------------------------------------------------------- */

/* The table that is named: another one, or the own under the name that it has now. */
static int find_parent(const struct catalog_table *table, const char *name,
                       const struct catalog_table **parent_out, struct base_err *err)
{
    int rc = catalog_name_check("table", name, err);
    *parent_out = table;
    if (rc != 0 || strcmp(name, table->name) == 0) {
        return rc;
    }
    *parent_out = NULL;
    return table->kin != NULL
               ? table->kin->find(table->kin->arg, name, parent_out, err)
               : base_err_set(err, INSTAR_EUNKNOWN, "there is no table \"%s\" to be found", name);
}

static int find_columns(const struct catalog_table *table, const char *const *names, size_t count,
                        uint32_t columns[INSTAR_INDEX_COLUMNS_MAX], struct base_err *err)
{
    char what[INSTAR_NAME_BYTES_MAX + 32];
    snprintf(what, sizeof(what), "table \"%s\"", table->name);
    if (count == 0 || names == NULL || count > INSTAR_INDEX_COLUMNS_MAX) {
        return base_err_set(err, count > INSTAR_INDEX_COLUMNS_MAX ? INSTAR_ELIMIT : INSTAR_EINVALID,
                            "%zu columns of %s, at least 1 and at most %d", count, what,
                            INSTAR_INDEX_COLUMNS_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        int rc = catalog_name_check("column", names[i], err);
        int at = rc == 0 ? catalog_table_column(table, names[i]) : -1;
        if (at < 0) {
            return rc != 0 ? rc : catalog_unknown_column(table, what, names[i], err);
        }
        columns[i] = (uint32_t)at;
        for (size_t k = 0; k < i; k++) {
            if (columns[k] == (uint32_t)at) {
                return base_err_set(err, INSTAR_EINVALID, "column \"%s\" of %s is given twice",
                                    names[i], what);
            }
        }
    }
    return 0;
}

/* Are the key's columns these, in whatever order? Then place[i] is where the i-th stands. */
static bool is_key_of(const struct catalog_parent_key *key, const uint32_t *columns, size_t count,
                      uint32_t place[INSTAR_INDEX_COLUMNS_MAX])
{
    for (uint32_t i = 0; i < key->count && key->count == count; i++) {
        uint32_t at = 0;
        while (at < count && columns[at] != key->parts[i].column) {
            at++;
        }
        if (at == count) {
            return false;
        }
        place[i] = at;
    }
    return key->count == count;
}

/* The key that is meant: the primary key goes before an index. */
static int find_key(const struct catalog_table *parent, const instar_fkey_def *def,
                    struct catalog_fkey *fkey, uint32_t place[INSTAR_INDEX_COLUMNS_MAX],
                    struct base_err *err)
{
    uint32_t columns[INSTAR_INDEX_COLUMNS_MAX];
    struct catalog_parent_key key;
    if (def->parent_column_count == 0) {
        if (!catalog_parent_key_of(parent, 0, &key) || key.count != def->column_count) {
            return base_err_set(err, INSTAR_EINVALID,
                                "it has %zu columns, the primary key of table \"%s\" has %" PRIu32,
                                def->column_count, parent->name, parent->key_count);
        }
        for (uint32_t i = 0; i < key.count; i++) {
            place[i] = i;
        }
        return 0;
    }
    if (def->parent_column_count != def->column_count) {
        return base_err_set(err, INSTAR_EINVALID,
                            "it has %zu columns, and refers to %zu of table \"%s\"",
                            def->column_count, def->parent_column_count, parent->name);
    }
    int rc = find_columns(parent, def->parent_columns, def->parent_column_count, columns, err);
    if (rc != 0 || (catalog_parent_key_of(parent, 0, &key) &&
                    is_key_of(&key, columns, def->column_count, place))) {
        return rc;
    }
    for (uint32_t i = 0; i < parent->index_count; i++) {
        if (catalog_parent_key_of(parent, parent->indexes[i].id, &key) &&
            is_key_of(&key, columns, def->column_count, place)) {
            fkey->parent_index = parent->indexes[i].id;
            return 0;
        }
    }
    return base_err_set(err, INSTAR_EINVALID,
                        "table \"%s\" has no primary key and no unique index of just these columns "
                        "and of all rows",
                        parent->name);
}

/* Integers of all sizes have the same codes. */
int catalog_fkey_fits(const struct catalog_table *child, const struct catalog_fkey *fkey,
                      const struct catalog_table *parent, struct base_err *err)
{
    struct catalog_parent_key key;
    if (!catalog_parent_key_of(parent, fkey->parent_index, &key) ||
        key.count != fkey->column_count) {
        return base_err_set(err, INSTAR_ESTATE,
                            "table \"%s\" has not the key any more that foreign key \"%s\" refers "
                            "to",
                            parent->name, fkey->name);
    }
    for (uint32_t i = 0; i < key.count; i++) {
        const struct catalog_column *c =
            &child->columns[catalog_table_column_by_id(child, fkey->column_ids[i])];
        const struct catalog_column *p = &parent->columns[key.parts[i].column];
        bool integers = c->type >= INSTAR_INT2 && c->type <= INSTAR_INT8 &&
                        p->type >= INSTAR_INT2 && p->type <= INSTAR_INT8;
        if (c->type != p->type && !integers) {
            return base_err_set(
                err, INSTAR_ETYPE, "column \"%s\" is %s, column \"%s\" of table \"%s\" is %s",
                c->name, row_type_name(c->type), p->name, parent->name, row_type_name(p->type));
        }
    }
    return 0;
}

static const char *column_name(const struct catalog_table *table, uint32_t id)
{
    return table->columns[catalog_table_column_by_id(table, id)].name;
}

/* The columns' names, as far as a name can hold them. */
static void join_names(const struct catalog_table *table, const struct catalog_fkey *fkey,
                       char text[2 * INSTAR_NAME_BYTES_MAX + 2])
{
    size_t used = 0;
    text[0] = 0;
    for (uint32_t i = 0; i < fkey->column_count && used < INSTAR_NAME_BYTES_MAX; i++) {
        used += (size_t)snprintf(text + used, 2 * INSTAR_NAME_BYTES_MAX + 2 - used, "%s%s",
                                 used > 0 ? "_" : "", column_name(table, fkey->column_ids[i]));
    }
}

static int give_name(const struct catalog_table *table, const char *name, struct catalog_fkey *fkey,
                     struct base_err *err)
{
    if (name == NULL || name[0] == 0) {
        char columns[2 * INSTAR_NAME_BYTES_MAX + 2];
        unsigned number = 0;
        join_names(table, fkey, columns);
        do {
            catalog_make_name(table->name, columns, "fkey", number++, fkey->name);
        } while (catalog_has_constraint(table, fkey->name));
        return 0;
    }
    int rc = catalog_constraint_name_check(table, name, err);
    if (rc == 0) {
        snprintf(fkey->name, sizeof(fkey->name), "%s", name);
    }
    return rc;
}

bool catalog_fkey_same(const struct catalog_fkey *a, const struct catalog_fkey *b)
{
    return a->parent == b->parent && a->parent_index == b->parent_index &&
           a->restrict_delete == b->restrict_delete && a->restrict_update == b->restrict_update &&
           a->column_count == b->column_count &&
           memcmp(a->column_ids, b->column_ids, a->column_count * sizeof(a->column_ids[0])) == 0;
}

/* The one that this change has on its way already, as with checks. */
static struct catalog_fkey *find_enforcing(struct catalog_table *table,
                                           const struct catalog_fkey *like)
{
    struct catalog_fkey *found = NULL;
    for (uint32_t i = 0; i < table->fkey_count; i++) {
        struct catalog_fkey *f = &table->fkeys[i];
        if (f->state == CATALOG_CHECK_ENFORCING && catalog_fkey_same(f, like)) {
            if (strcmp(f->name, like->name) == 0) {
                return f;
            }
            found = found != NULL ? found : f;
        }
    }
    return found;
}

static int derive(const struct catalog_table *table, struct catalog_fkey *f, struct base_err *err)
{
    for (uint32_t k = 0; k < f->column_count; k++) {
        int at = catalog_table_column_by_id(table, f->column_ids[k]);
        /* A column that comes with one is taken away and made anew while a change does its
         * statements once more; what is written has been looked at by validate.c. */
        if (at < 0 && f->state != CATALOG_CHECK_ENFORCING) {
            return base_err_set(err, INSTAR_EINVALID,
                                "table \"%s\": foreign key \"%s\" of columns it has not",
                                table->name, f->name);
        }
        f->columns[k] = at < 0 ? CATALOG_NO_COLUMN : (uint32_t)at;
    }
    return 0;
}

int catalog_fkey_add(struct catalog_table *table, const struct catalog_fkey *like,
                     struct base_err *err)
{
    if (table->fkey_count >= CATALOG_FKEYS_MAX) {
        return base_err_set(err, INSTAR_ELIMIT,
                            "table \"%s\" has %" PRIu32 " foreign keys, the most there may be",
                            table->name, table->fkey_count);
    }
    struct catalog_fkey *fkeys =
        base_arena_alloc(&table->arena, (table->fkey_count + 1) * sizeof(*fkeys));
    if (fkeys == NULL) {
        return catalog_no_memory(err);
    }
    if (table->fkey_count != 0) {
        memcpy(fkeys, table->fkeys, table->fkey_count * sizeof(*fkeys));
    }
    fkeys[table->fkey_count] = *like;
    table->fkeys = fkeys;
    return derive(table, &fkeys[table->fkey_count++], err);
}

static int check_def(const instar_fkey_def *def, struct base_err *err)
{
    if (def == NULL || def->parent == NULL) {
        return base_err_set(err, INSTAR_EINVALID, "a foreign key that refers to no table");
    }
    if ((unsigned)def->on_delete > INSTAR_FKEY_RESTRICT ||
        (unsigned)def->on_update > INSTAR_FKEY_RESTRICT) {
        return base_err_set(err, INSTAR_EINVALID,
                            "a foreign key does nothing but refuse: NO ACTION or RESTRICT");
    }
    return 0;
}

int catalog_fkey_define(struct catalog_table *table, const instar_fkey_def *def,
                        enum catalog_check_state state, struct base_err *err)
{
    struct catalog_fkey fkey = {.state = state};
    const struct catalog_table *parent = NULL;
    uint32_t columns[INSTAR_INDEX_COLUMNS_MAX];
    uint32_t place[INSTAR_INDEX_COLUMNS_MAX];
    int rc = check_def(def, err);
    if (rc == 0) {
        rc = find_columns(table, def->columns, def->column_count, columns, err);
    }
    if (rc == 0) {
        rc = find_parent(table, def->parent, &parent, err);
    }
    if (rc == 0) {
        rc = find_key(parent, def, &fkey, place, err);
    }
    if (rc == 0) {
        fkey.parent = parent->id;
        fkey.restrict_delete = def->on_delete == INSTAR_FKEY_RESTRICT;
        fkey.restrict_update = def->on_update == INSTAR_FKEY_RESTRICT;
        fkey.column_count = (uint32_t)def->column_count;
        for (uint32_t i = 0; i < fkey.column_count; i++) {
            fkey.column_ids[i] = table->columns[columns[place[i]]].id;
        }
        rc = catalog_fkey_fits(table, &fkey, parent, err);
    }
    if (rc != 0) {
        base_err_prefix(err, "foreign key%s%s of table \"%s\"",
                        def != NULL && def->name != NULL ? " " : "",
                        def != NULL && def->name != NULL ? def->name : "", table->name);
        return rc;
    }
    rc = give_name(table, def->name, &fkey, err);
    if (rc != 0) {
        return rc;
    }
    struct catalog_fkey *mine =
        state != CATALOG_CHECK_ENFORCING ? find_enforcing(table, &fkey) : NULL;
    if (mine != NULL) {
        mine->state = state;
        memcpy(mine->name, fkey.name, sizeof(mine->name));
        return 0;
    }
    fkey.id = table->next_fkey_id;
    rc = catalog_fkey_add(table, &fkey, err);
    table->next_fkey_id += rc == 0 ? 1 : 0;
    return rc;
}

/* ---- its index ---------------------------------------------------------------------------- */

void catalog_fkey_index_name(const struct catalog_table *table, const struct catalog_fkey *fkey,
                             unsigned number, char name[INSTAR_NAME_BYTES_MAX + 1])
{
    char columns[2 * INSTAR_NAME_BYTES_MAX + 2];
    join_names(table, fkey, columns);
    catalog_make_name(table->name, columns, "idx", number, name);
}

int catalog_fkey_make_index(struct catalog_table *table, const struct catalog_fkey *fkey,
                            struct base_err *err)
{
    instar_key_column columns[INSTAR_INDEX_COLUMNS_MAX];
    char names[INSTAR_INDEX_COLUMNS_MAX][INSTAR_NAME_BYTES_MAX + 1];
    char name[INSTAR_NAME_BYTES_MAX + 1];
    struct catalog_fkey_path path;
    struct catalog_index *index;
    unsigned number = 0;
    if (catalog_fkey_path(table, fkey, &path)) {
        return 0;
    }
    do {
        catalog_fkey_index_name(table, fkey, number++, name);
    } while (catalog_table_index(table, name) != NULL || strcmp(name, table->name) == 0);
    for (uint32_t i = 0; i < fkey->column_count; i++) {
        memcpy(names[i], column_name(table, fkey->column_ids[i]), sizeof(names[i]));
        columns[i] = (instar_key_column){.name = names[i]};
    }
    instar_index_def def = {
        .name = name, .table = table->name, .columns = columns, .column_count = fkey->column_count};
    int rc = catalog_index_from_def(table, &def, &index, err);
    if (rc == 0) {
        index->stage = INSTAR_STAGE_PUBLIC; /* there are no rows */
    }
    return rc;
}

bool catalog_fkey_needs_index(const struct catalog_table *table, const instar_fkey_def *def,
                              struct catalog_fkey *fkey)
{
    uint32_t columns[INSTAR_INDEX_COLUMNS_MAX];
    struct catalog_fkey_path path;
    *fkey = (struct catalog_fkey){.state = CATALOG_CHECK_VALID};
    int rc = def == NULL ? INSTAR_EINVALID
                         : find_columns(table, def->columns, def->column_count, columns, NULL);
    for (uint32_t i = 0; rc == 0 && i < def->column_count; i++) {
        fkey->column_ids[fkey->column_count++] = table->columns[columns[i]].id;
    }
    return rc == 0 && !catalog_fkey_path(table, fkey, &path);
}

int catalog_fkey_refuse_unindexed(const struct catalog_table *table,
                                  const struct catalog_fkey *fkey, struct base_err *err)
{
    struct catalog_fkey_path path;
    char name[INSTAR_NAME_BYTES_MAX + 1];
    struct base_buf text = {0};
    if (catalog_fkey_path(table, fkey, &path)) {
        return 0;
    }
    catalog_fkey_index_name(table, fkey, 0, name);
    bool ok = base_buf_add(&text, "CREATE INDEX ", 13) && catalog_name_add(&text, name) &&
              base_buf_add(&text, " ON ", 4) && catalog_name_add(&text, table->name);
    for (uint32_t i = 0; ok && i < fkey->column_count; i++) {
        ok = base_buf_add(&text, i == 0 ? " (" : ", ", 2) &&
             catalog_name_add(&text, column_name(table, fkey->column_ids[i]));
    }
    int rc = ok ? base_err_set(err, INSTAR_ESTATE,
                               "foreign key \"%s\" of table \"%s\" needs an index of all rows that "
                               "begins with its columns, by which they are found when a key of the "
                               "other table goes: %.*s) makes one",
                               fkey->name, table->name, (int)text.size, (const char *)text.data)
                : catalog_no_memory(err);
    base_buf_free(&text);
    return rc;
}

/* ---- copies, and what is derived ---------------------------------------------------------- */

int catalog_fkeys_copy(const struct catalog_table *from, struct catalog_table *to,
                       struct base_err *err)
{
    to->fkeys = base_arena_copy(&to->arena, from->fkeys, from->fkey_count * sizeof(*to->fkeys));
    to->referrers =
        base_arena_copy(&to->arena, from->referrers, from->referrer_count * sizeof(*to->referrers));
    bool ok = (to->fkeys != NULL || from->fkey_count == 0) &&
              (to->referrers != NULL || from->referrer_count == 0);
    return ok ? 0 : catalog_no_memory(err);
}

int catalog_fkeys_derive(struct catalog_table *table, struct base_err *err)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < table->fkey_count; i++) {
        rc = derive(table, &table->fkeys[i], err);
    }
    return rc;
}

/* ---- the parent's side -------------------------------------------------------------------- */

int catalog_referrers_follow(struct catalog_table *parent, uint64_t child_id,
                             const struct catalog_table *child, bool *changed_out,
                             struct base_err *err)
{
    uint32_t most = parent->referrer_count + (child != NULL ? child->fkey_count : 0);
    struct catalog_referrer *list = base_arena_alloc(&parent->arena, (most + 1) * sizeof(*list));
    uint32_t count = 0;
    *changed_out = false;
    if (list == NULL) {
        return catalog_no_memory(err);
    }
    for (uint32_t i = 0; i < parent->referrer_count; i++) {
        if (parent->referrers[i].child != child_id) {
            list[count++] = parent->referrers[i];
        }
    }
    for (uint32_t i = 0; child != NULL && i < child->fkey_count; i++) {
        const struct catalog_fkey *f = &child->fkeys[i];
        if (f->parent == parent->id) {
            list[count++] = (struct catalog_referrer){
                .child = child_id, .fkey = f->id, .index = f->parent_index};
        }
    }
    if (count > CATALOG_REFERRERS_MAX) {
        return base_err_set(err, INSTAR_ELIMIT,
                            "%" PRIu32 " foreign keys refer to table \"%s\", at "
                            "most %d may",
                            count, parent->name, CATALOG_REFERRERS_MAX);
    }
    bool same = count == parent->referrer_count;
    for (uint32_t i = 0; same && i < count; i++) {
        bool found = false;
        for (uint32_t k = 0; !found && k < count; k++) {
            const struct catalog_referrer *r = &parent->referrers[k];
            found =
                r->child == list[i].child && r->fkey == list[i].fkey && r->index == list[i].index;
        }
        same = found;
    }
    if (!same) {
        parent->referrers = list;
        parent->referrer_count = count;
        *changed_out = true;
    }
    return 0;
}
