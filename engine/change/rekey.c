/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Submitting a change of the primary key alone: ADD PRIMARY KEY to a table without one, DROP
 * PRIMARY KEY, or both in one statement. All versions of the way there are made once, so that what
 * cannot be is refused before anything begins, and nothing can fail behind the swap. Beside other
 * steps or statements it is a part of a compound change (compound_key.c).
 */
#include "change/kin_impl.h"
#include "change/rekey_impl.h"
#include "change/submit_impl.h"

#include <stdio.h>
#include <string.h>

/* ---- what is asked for -------------------------------------------------------------------- */

/* Is it a drop of the primary key, by whatever words, whether there is one or not? */
static bool names_key(const struct catalog_table *table, const instar_alteration *step)
{
    char name[INSTAR_NAME_BYTES_MAX + 1];

    if (step->kind != INSTAR_ALTER_DROP_CONSTRAINT) {
        return step->kind == INSTAR_ALTER_DROP_PRIMARY_KEY;
    }
    catalog_key_name(table->name, 0, name);
    return step->name != NULL && strcmp(step->name, name) == 0 &&
           catalog_table_unique(table, name) == NULL && catalog_table_check(table, name) == NULL;
}

bool rekey_drops_key(const struct catalog_table *table, const instar_alteration *step)
{
    return step->kind == INSTAR_ALTER_DROP_PRIMARY_KEY ||
           (names_key(table, step) && !catalog_keyed_by_row_id(table));
}

bool rekey_is_needed(const struct catalog_table *table, const instar_alteration *steps,
                     size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (steps[i].kind == INSTAR_ALTER_ADD_PRIMARY_KEY || rekey_drops_key(table, &steps[i])) {
            return true;
        }
    }
    return false;
}

bool rekey_is_alone(const struct catalog_table *table, const instar_alteration *steps, size_t count)
{
    return count == 1 || (count == 2 && names_key(table, &steps[0]) &&
                          steps[1].kind == INSTAR_ALTER_ADD_PRIMARY_KEY);
}

int rekey_check_columns(const instar_alteration *step, struct base_err *err)
{
    if (step->key_count == 0 || step->key == NULL) {
        return base_err_set(err, INSTAR_EINVALID, "add primary key: no columns");
    }
    if (step->key_count > INSTAR_INDEX_COLUMNS_MAX) {
        return base_err_set(err, INSTAR_ELIMIT, "primary key of %zu columns, at most %d",
                            step->key_count, INSTAR_INDEX_COLUMNS_MAX);
    }
    return 0;
}

int rekey_refuse_two(const struct catalog_table *table, struct base_err *err)
{
    return base_err_set(err, INSTAR_EEXISTS,
                        "table \"%s\" has a primary key already: DROP CONSTRAINT and ADD PRIMARY "
                        "KEY in one statement change it",
                        table->name);
}

int rekey_refuse_same(const struct catalog_table *table, struct base_err *err)
{
    return base_err_set(err, INSTAR_EEXISTS,
                        "table \"%s\": these columns are its primary key already", table->name);
}

int rekey_refuse_none(const struct catalog_table *table, struct base_err *err)
{
    return base_err_set(err, INSTAR_EUNKNOWN, "table \"%s\" has no primary key", table->name);
}

/* DROP, ADD, or DROP and then ADD. */
static int take_steps(const struct submission *s, const struct catalog_table *from,
                      struct rekey_request *out, struct base_err *err)
{
    bool first = names_key(from, &s->steps[0]);
    bool has_key = !catalog_keyed_by_row_id(from);
    bool optional = (s->steps[0].flags & INSTAR_ALTER_IF_EXISTS) != 0;
    const instar_alteration *adds = s->step_count > first ? &s->steps[first] : NULL;

    *out = (struct rekey_request){.key_count = 0};
    if (first && !has_key && !optional) {
        return rekey_refuse_none(from, err);
    }
    if (!first && has_key) {
        return rekey_refuse_two(from, err);
    }
    int rc = adds != NULL ? rekey_check_columns(adds, err) : 0;
    if (rc == 0 && adds != NULL) {
        out->key_count = adds->key_count;
        memcpy(out->key, adds->key, adds->key_count * sizeof(*adds->key));
    }
    return rc;
}

/* Is there anything to do, and are the columns there? */
static int check_key(struct catalog_table *from, const struct rekey_request *request,
                     struct base_err *err)
{
    struct catalog_key_part parts[INSTAR_INDEX_COLUMNS_MAX];
    uint32_t count;
    int rc = request->key_count != 0 ? rekey_parts(from, request, parts, &count, err) : 0;

    if (rc != 0 || request->key_count == 0) {
        return rc;
    }
    bool same = count == from->key_count;
    for (uint32_t i = 0; same && i < count; i++) {
        same = parts[i].column == from->key[i].column &&
               parts[i].descending == from->key[i].descending;
    }
    return same ? rekey_refuse_same(from, err) : 0;
}

/* ---- is it possible ----------------------------------------------------------------------- */

typedef int (*version_fn)(const struct rekey_edit *e, struct catalog_table **next_out,
                          struct base_err *err);

/* Every index is made anew, with another id, so no foreign key may know one by it. */
int rekey_check_referrers(const struct catalog_table *from, const struct catalog_table *to,
                          const struct kin *kin, struct base_err *err)
{
    char words[2 * INSTAR_NAME_BYTES_MAX + 64] = "a foreign key";

    for (uint32_t i = 0; i < from->referrer_count; i++) {
        const struct catalog_referrer *r = &from->referrers[i];
        if (r->child == to->id && catalog_table_fkey_by_id(to, r->fkey) == NULL) {
            continue; /* it goes too */
        }
        kin->face.describe(kin->face.arg, r, words, sizeof(words));
        return base_err_set(err, INSTAR_ESTATE,
                            "table \"%s\": %s refers to it; drop that first, and add it again when "
                            "the primary key has changed",
                            from->name, words);
    }
    return 0;
}

/* Make every version once. Its own foreign keys must still have an index at the end. */
static int rehearse(struct submission *s, const struct catalog_table *from,
                    const struct rekey_request *request, struct base_err *err)
{
    const version_fn versions[] = {request->key_count != 0 ? rekey_add_witness : rekey_add_ids,
                                   rekey_raise,
                                   rekey_enforce,
                                   rekey_add_rows,
                                   rekey_raise,
                                   rekey_enforce,
                                   rekey_swap,
                                   rekey_lower,
                                   rekey_remove};
    struct catalog_table *first = NULL;
    struct catalog_table *at = NULL;
    struct kin kin;
    int rc = catalog_table_copy(from, &first, err);

    kin_begin(&kin, s);
    rc = rc == 0 ? rekey_check_referrers(from, from, &kin, err) : rc;
    rc = rc == 0 ? catalog_table_copy(from, &at, err) : rc;
    for (size_t i = 0; rc == 0 && i < BASE_ARRAY_LEN(versions); i++) {
        const struct rekey_edit e = {.now = at, .request = request, .change = s->rec.id};
        struct catalog_table *next = NULL;
        rc = versions[i](&e, &next, err);
        if (rc == 0 && next != NULL) {
            rc = alter_check_size(s->c->store, next, s->rec.descriptor.size, NULL, err);
            catalog_table_free(at);
            at = next;
        }
    }
    if (rc == 0) {
        first->kin = &kin.face;
        rc = catalog_keys_kept(first, at, err);
    }
    catalog_table_free(at);
    catalog_table_free(first);
    kin_close(&kin);
    return rc;
}

int rekey_check_others(struct submission *s, const struct catalog_table *from, struct base_err *err)
{
    uint64_t other;
    int rc = record_at_work(s->t, from->id, &other, err);

    if (rc == 0 && other != 0) {
        return base_err_set(err, INSTAR_ESTATE,
                            "change %llu is at work on table \"%s\": its primary key cannot change "
                            "before that has ended",
                            (unsigned long long)other, from->name);
    }
    return rc;
}

static int check_alone(struct submission *s, const struct catalog_table *from, struct base_err *err)
{
    int rc = rekey_check_others(s, from, err);

    if (rc == 0 && from->index_count >= REKEY_TREES_MAX) {
        rc = base_err_set(err, INSTAR_ELIMIT,
                          "table \"%s\" has %u indexes, which must be built anew: at most %d",
                          from->name, from->index_count, REKEY_TREES_MAX - 1);
    }
    return rc;
}

static int hold_names(struct submission *s, const struct catalog_table *from, struct base_err *err)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < from->index_count; i++) {
        struct catalog_name name = {.kind = CATALOG_NAME_INDEX,
                                    .table = from->id,
                                    .index = from->indexes[i].id,
                                    .change = s->rec.id};
        rc = catalog_name_put(s->t, from->indexes[i].name, &name, err);
    }
    return rc;
}

/* ---- the submission ----------------------------------------------------------------------- */

int rekey_submit(struct submission *s, struct catalog_table *from, struct base_err *err)
{
    struct change_record *r = &s->rec;
    struct rekey_request request;
    int rc = take_steps(s, from, &request, err);

    if (rc == 0 && request.key_count == 0 && catalog_keyed_by_row_id(from)) {
        return 0; /* IF EXISTS: there is none to drop */
    }
    if (rc == 0) {
        rc = check_key(from, &request, err);
    }
    if (rc == 0) {
        rc = submit_fill(s, CHANGE_REKEY, from->name, err);
    }
    if (rc == 0) {
        rc = check_alone(s, from, err);
    }
    if (rc == 0) {
        rc = rekey_encode(&request, &r->descriptor, err);
    }
    if (rc == 0) {
        rc = rehearse(s, from, &request, err);
    }
    if (rc != 0) {
        return rc;
    }
    r->table = from->id;
    r->builds = request.key_count != 0;
    r->validates = true;
    snprintf(r->table_name, sizeof(r->table_name), "%s", from->name);
    alter_describe(from->name, s->steps, s->step_count, r->statement, sizeof(r->statement));
    r->step = plan_at_or_after(r, 0);
    return hold_names(s, from, err);
}
