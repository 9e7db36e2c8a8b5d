/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who names what a request would destroy: the processes with projections of a table, a column or an
 * index that goes, or of a column that gets another type. They are told before, in an estimate.
 */
#include "change/holders_impl.h"

#include <string.h>

#define INDEXES_MAX 64 /* told one by one; beyond them every projection by an index counts */

struct doom {
    const struct catalog_table *table;
    bool all;         /* of it */
    uint64_t columns; /* txn_named_bit */
    uint32_t indexes[INDEXES_MAX];
    size_t index_count;
    bool any_index;
    instar_estimate *out;
};

static void doom_index(struct doom *d, const char *name)
{
    const struct catalog_index *index = name != NULL ? catalog_table_index(d->table, name) : NULL;

    if (index != NULL && d->index_count < INDEXES_MAX) {
        d->indexes[d->index_count++] = index->id;
    }
    d->any_index = d->any_index || (index != NULL && d->index_count == INDEXES_MAX);
}

static void doom_step(struct doom *d, const instar_alteration *step)
{
    int at = step->name != NULL ? catalog_table_column(d->table, step->name) : -1;

    switch (step->kind) {
    case INSTAR_ALTER_DROP_COLUMN:
    case INSTAR_ALTER_SET_TYPE:
        d->columns |= at >= 0 ? txn_named_bit(d->table->columns[at].id) : 0;
        break;
    case INSTAR_ALTER_DROP_CONSTRAINT:
        doom_index(d, step->name);
        break;
    default:
        break;
    }
}

static void doom_statement(struct doom *d, const instar_statement *s)
{
    switch (s->kind) {
    case INSTAR_STATEMENT_DROP_TABLE:
        d->all = true;
        break;
    case INSTAR_STATEMENT_DROP_INDEX:
        doom_index(d, s->name);
        break;
    case INSTAR_STATEMENT_ALTER_TABLE:
        for (size_t i = 0; i < s->step_count; i++) {
            doom_step(d, &s->steps[i]);
        }
        break;
    default:
        break;
    }
}

static bool names_it(void *arg, const struct txn_naming *what)
{
    const struct doom *d = arg;
    bool named = d->all || (what->columns & d->columns) != 0 || (d->any_index && what->index != 0);

    for (size_t i = 0; i < d->index_count; i++) {
        named = named || what->index == d->indexes[i];
    }
    return named && what->table == d->table->id;
}

static void note_holder(void *arg, const struct txn_holder *holder)
{
    instar_estimate *out = ((struct doom *)arg)->out;

    if (out->holder_count < INSTAR_HOLDERS_MAX) {
        out->holders[out->holder_count] = (instar_holder){.node = holder->node,
                                                          .pid = holder->pid,
                                                          .projections = holder->projections,
                                                          .unlisted = holder->unlisted,
                                                          .age_ms = holder->age_ns / 1000000};
    }
    out->holder_count++;
}

int holders_find(struct txn_env *env, const struct catalog_table *table,
                 const instar_statement *statements, size_t count, instar_estimate *out,
                 struct base_err *err)
{
    struct doom d = {.table = table, .out = out};

    if (table == NULL || env->named == NULL) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        doom_statement(&d, &statements[i]);
    }
    bool dooms = d.all || d.columns != 0 || d.index_count != 0;
    return dooms ? txn_named_list(env->named, names_it, &d, note_holder, err) : 0;
}
