/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a foreign key makes of two tables: versions that are published together. The child's says
 * what it is; the parent's is made to follow (catalog_referrers_follow), so there is one place that
 * knows, and nothing to be kept between two steps.
 */
#include "change/kin_impl.h"
#include "change/several_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- finding ------------------------------------------------------------------------------ */

static struct kin_table *find_name(struct kin *kin, const char *name)
{
    for (size_t i = 0; i < kin->count; i++) {
        if (strcmp(kin->list[i].name, name) == 0) {
            return &kin->list[i];
        }
    }
    return NULL;
}

static const struct kin_table *find_id(const struct kin *kin, uint64_t id)
{
    for (size_t i = 0; i < kin->count; i++) {
        if (kin->list[i].now->id == id) {
            return &kin->list[i];
        }
    }
    return NULL;
}

static int find(void *arg, const char *name, const struct catalog_table **table_out,
                struct base_err *err)
{
    struct kin *kin = arg;
    struct kin_table *found = find_name(kin, name);

    if (found == NULL && kin->s != NULL && kin->s->several != NULL) {
        int rc = several_find(kin->s->several, name, table_out, err);
        if (rc != 0 || *table_out != NULL) {
            return rc;
        }
    }
    if (found == NULL && kin->s == NULL) {
        return base_err_set(err, INSTAR_EUNKNOWN, "there is no table \"%s\"", name);
    }
    if (found == NULL && kin->count == RECORD_OTHERS_MAX) {
        return base_err_set(err, INSTAR_ELIMIT,
                            "foreign keys to more than %d other tables in one change",
                            RECORD_OTHERS_MAX);
    }
    if (found == NULL) {
        found = &kin->list[kin->count];
        *found = (struct kin_table){.now = NULL};
        int rc = submit_open_table(kin->s, name, &found->now, err);
        if (rc != 0) {
            return rc;
        }
        snprintf(found->name, sizeof(found->name), "%s", name);
        kin->count++;
    }
    *table_out = found->now;
    return 0;
}

static void describe(void *arg, const struct catalog_referrer *referrer, char *text, size_t size)
{
    const struct kin *kin = arg;
    struct catalog_table *child = NULL;
    const struct catalog_fkey *fkey = NULL;

    if (catalog_get_table(kin->t, referrer->child, &child, NULL) == 0) {
        fkey = catalog_table_fkey_by_id(child, referrer->fkey);
    }
    if (fkey != NULL) {
        snprintf(text, size, "foreign key \"%s\" of table \"%s\"", fkey->name, child->name);
    }
    catalog_table_free(child);
}

/* ---- opening ------------------------------------------------------------------------------ */

static void init(struct kin *kin, struct store_txn *t, struct submission *s)
{
    *kin = (struct kin){.t = t, .s = s};
    kin->face = (struct catalog_kin){.find = find, .describe = describe, .arg = kin};
}

void kin_begin(struct kin *kin, struct submission *s)
{
    init(kin, s->t, s);
}

int kin_open(struct kin *kin, struct store_txn *t, const struct change_record *r,
             struct base_err *err)
{
    int rc = 0;

    init(kin, t, NULL);
    for (uint32_t i = 0; rc == 0 && i < r->other_count; i++) {
        struct kin_table *k = &kin->list[kin->count];
        *k = (struct kin_table){.now = NULL};
        snprintf(k->name, sizeof(k->name), "%s", r->others[i].name);
        rc = catalog_get_table(t, r->others[i].table, &k->now, err);
        kin->count += rc == 0;
        if (rc == INSTAR_ENOTFOUND) { /* and with it the foreign key that was to go */
            base_err_clear(err);
            rc = 0;
        }
    }
    return rc;
}

int kin_open_parents(struct kin *kin, struct store_txn *t, const struct catalog_table *table,
                     struct base_err *err)
{
    int rc = 0;

    init(kin, t, NULL);
    for (uint32_t i = 0; rc == 0 && i < table->fkey_count; i++) {
        const struct catalog_fkey *fkey = &table->fkeys[i];
        if (!catalog_fkey_is_pending(fkey) || fkey->parent == table->id ||
            find_id(kin, fkey->parent) != NULL) {
            continue;
        }
        base_assert(kin->count < KIN_TABLES_MAX); /* there are no more foreign keys */
        struct kin_table *k = &kin->list[kin->count];
        *k = (struct kin_table){.now = NULL};
        rc = catalog_get_table(t, fkey->parent, &k->now, err);
        kin->count += rc == 0;
    }
    return rc;
}

void kin_describe(struct store_txn *t, const struct catalog_referrer *referrer, char *text,
                  size_t size)
{
    struct kin kin = {.t = t};

    describe(&kin, referrer, text, size);
}

void kin_close(struct kin *kin)
{
    for (size_t i = 0; i < kin->count; i++) {
        catalog_table_free(kin->list[i].now);
        catalog_table_free(kin->list[i].next);
    }
    kin->count = 0;
}

/* ---- claiming ----------------------------------------------------------------------------- */

static int claim(struct change_record *r, uint64_t table, const char *name, struct base_err *err)
{
    for (uint32_t i = 0; i < r->other_count; i++) {
        if (r->others[i].table == table) { /* those that the request names come first */
            return 0;
        }
    }
    if (table == r->table) {
        return 0;
    }
    if (r->other_count == RECORD_OTHERS_MAX) {
        return base_err_set(err, INSTAR_ELIMIT,
                            "foreign keys to more than %d other tables in one change",
                            RECORD_OTHERS_MAX);
    }
    struct change_other *other = &r->others[r->other_count++];
    *other = (struct change_other){.table = table};
    snprintf(other->name, sizeof(other->name), "%s", name);
    return 0;
}

/* Is this one of `of` in another state in `in`, or not there? Where it leads to it keeps. */
static bool differs(const struct catalog_fkey *of, const struct catalog_table *in)
{
    const struct catalog_fkey *other = in != NULL ? catalog_table_fkey_by_id(in, of->id) : NULL;

    return other == NULL || other->state != of->state;
}

int kin_claim(const struct kin *kin, const struct catalog_table *from,
              const struct catalog_table *to, struct change_record *r, struct base_err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < kin->count; i++) {
        rc = claim(r, kin->list[i].now->id, kin->list[i].name, err);
    }
    for (uint32_t i = 0; rc == 0 && from != NULL && i < from->fkey_count; i++) {
        if (differs(&from->fkeys[i], to)) {
            rc = claim(r, from->fkeys[i].parent, "", err);
        }
    }
    for (uint32_t i = 0; rc == 0 && to != NULL && i < to->fkey_count; i++) {
        if (differs(&to->fkeys[i], from)) {
            rc = claim(r, to->fkeys[i].parent, "", err);
        }
    }
    return rc;
}

int kin_tie(const struct kin *kin, struct catalog_table *table, struct change_record *r,
            struct base_err *err)
{
    bool changed;

    for (uint32_t i = 0; i < table->fkey_count; i++) {
        struct catalog_fkey *fkey = &table->fkeys[i];
        r->waits = r->waits || fkey->parent != 0;
        fkey->parent = fkey->parent != 0 ? fkey->parent : table->id;
    }
    int rc = catalog_referrers_follow(table, table->id, table, &changed, err);
    return rc == 0 ? kin_claim(kin, NULL, table, r, err) : rc;
}

/* ---- publishing --------------------------------------------------------------------------- */

static int is_claimed(const struct kin *kin, const struct catalog_table *child,
                      const struct catalog_fkey *fkey, const struct catalog_table **parent_out,
                      struct base_err *err)
{
    const struct kin_table *k = find_id(kin, fkey->parent);

    *parent_out = fkey->parent == child->id ? child : k != NULL ? k->now : NULL;
    return *parent_out != NULL
               ? 0
               : base_err_set(err, INSTAR_ESTATE,
                              "foreign key \"%s\" of table \"%s\" came or went since this change "
                              "was submitted; ask for it again",
                              fkey->name, child->name);
}

/* Does the change know all whom it concerns, and have they what is referred to? */
static int check(const struct kin *kin, const struct catalog_table *now,
                 const struct catalog_table *next, struct base_err *err)
{
    const struct catalog_table *parent;
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && now != NULL && i < now->fkey_count; i++) {
        if (next == NULL || catalog_table_fkey_by_id(next, now->fkeys[i].id) == NULL) {
            rc = is_claimed(kin, now, &now->fkeys[i], &parent, err);
        }
    }
    for (uint32_t i = 0; rc == 0 && next != NULL && i < next->fkey_count; i++) {
        if (now == NULL || catalog_table_fkey_by_id(now, next->fkeys[i].id) == NULL) {
            rc = is_claimed(kin, next, &next->fkeys[i], &parent, err);
            rc = rc == 0 ? catalog_fkey_fits(next, &next->fkeys[i], parent, err) : rc;
        }
    }
    return rc;
}

static int follow(struct kin *kin, struct kin_table *k, uint64_t child_id,
                  const struct catalog_table *child, struct base_err *err)
{
    bool changed = false;
    int rc = catalog_table_copy(k->now, &k->next, err);

    if (rc == 0) {
        rc = catalog_referrers_follow(k->next, child_id, child, &changed, err);
    }
    if (rc == 0 && !changed) {
        catalog_table_free(k->next);
        k->next = NULL;
        return 0;
    }
    if (rc == 0) {
        k->next->version++;
        rc = catalog_table_finish(k->next, err);
    }
    if (rc == 0) {
        kin->also[kin->also_count++] = (struct lease_also){
            .table = k->next->id, .descriptor = k->next, .drained_below = k->now->version};
    }
    return rc;
}

int kin_follow(struct kin *kin, const struct catalog_table *now, struct catalog_table *next,
               struct base_err *err)
{
    uint64_t child = now != NULL ? now->id : next->id;
    bool changed;
    int rc = check(kin, now, next, err);

    kin->also_count = 0;
    if (rc == 0 && next != NULL) {
        rc = catalog_referrers_follow(next, child, next, &changed, err);
    }
    for (size_t i = 0; rc == 0 && i < kin->count; i++) {
        rc = follow(kin, &kin->list[i], child, next, err);
    }
    return rc;
}

void kin_drain(struct kin *kin)
{
    kin->also_count = kin->count;
    for (size_t i = 0; i < kin->count; i++) {
        const struct catalog_table *now = kin->list[i].now;
        kin->also[i] = (struct lease_also){.table = now->id, .drained_below = now->version};
    }
}

/* ---- drops -------------------------------------------------------------------------------- */

int kin_check_drop_table(struct store_txn *t, const struct catalog_table *table,
                         struct base_err *err)
{
    char words[2 * INSTAR_NAME_BYTES_MAX + 64] = "a foreign key of another table";
    struct kin kin;

    init(&kin, t, NULL);
    for (uint32_t i = 0; i < table->referrer_count; i++) {
        if (table->referrers[i].child != table->id) {
            describe(&kin, &table->referrers[i], words, sizeof(words));
            return base_err_set(err, INSTAR_ESTATE,
                                "table \"%s\": %s refers to it; drop that first", table->name,
                                words);
        }
    }
    return 0;
}

int kin_claim_drop(struct store_txn *t, struct change_record *r, const struct change_record *other,
                   struct base_err *err)
{
    const struct kin none = {.count = 0};
    struct catalog_table *table = NULL;
    int rc = catalog_get_table(t, r->table, &table, err);

    for (uint32_t i = 0; other->kind == CHANGE_CREATE_TABLE && i < other->other_count; i++) {
        r->others[r->other_count++] = other->others[i];
    }
    if (rc == INSTAR_ENOTFOUND) {
        base_err_clear(err);
        return 0;
    }
    if (rc == 0) {
        rc = kin_check_drop_table(t, table, err);
    }
    if (rc == 0) {
        rc = kin_claim(&none, table, NULL, r, err);
    }
    catalog_table_free(table);
    return rc;
}

int kin_check_drop_index(struct store_txn *t, struct catalog_table *table, uint32_t index,
                         struct base_err *err)
{
    const struct catalog_index *dropped = catalog_table_index_by_id(table, index);
    struct catalog_table *without = NULL;
    struct kin kin;

    if (dropped == NULL || (table->fkey_count == 0 && table->referrer_count == 0)) {
        return 0;
    }
    init(&kin, t, NULL);
    table->kin = &kin.face;
    int rc = catalog_table_copy(table, &without, err);
    if (rc == 0) {
        catalog_index_remove(without, dropped->name);
        rc = catalog_keys_kept(table, without, err);
    }
    table->kin = NULL;
    catalog_table_free(without);
    return rc;
}
