/* SPDX-License-Identifier: Apache-2.0 */

/* The schema protocol as a machine: where it begins, and the hands that the search takes it by. */
#include "model.h"

struct config config;

/* Every table there can be, with the index as the plan finds it. */
static void first(struct sink *sink)
{
    unsigned codes = 1;
    for (unsigned k = 0; k < config.bounds.rows; k++)
        codes *= VALUES + 1;
    for (unsigned code = 0; code < codes; code++) {
        struct model m = {.plan = config.plan, .commits_left = config.bounds.commits};
        for (unsigned k = 0, rest = code; k < config.bounds.rows; k++, rest /= VALUES + 1)
            m.row[k] = rest % (VALUES + 1);
        m.stage[0] = plans[config.plan].first;
        if (m.stage[0] == PUBLIC && config.unique && shared_values(m.row))
            continue;
        if (m.stage[0] == PUBLIC)
            m.tree = entries_of_rows(m.row);
        sink->take(sink, &m, label(BEGIN, 0, 0));
    }
}

static void pack_state(const void *m, struct key *key)
{
    pack(m, key);
}

static void unpack_state(const struct key *key, void *m)
{
    unpack(key, m);
}

static void steps(const void *m, struct sink *sink)
{
    all_steps(m, sink);
}

static unsigned broken(const void *state)
{
    const struct model *m = state;
    return m->bad;
}

static unsigned check_state(const void *m)
{
    return check(m);
}

static unsigned milestones_of(const void *m)
{
    return milestones(m);
}

static void print(const void *m)
{
    print_state(m);
}

static void print_one(const void *m, struct label l, const void *next)
{
    print_step(m, l, next);
}

struct result search_schema(const struct config *c, bool trace)
{
    static const struct machine machine = {
        .state_bytes = sizeof(struct model),
        .words = pack_words,
        .pack = pack_state,
        .unpack = unpack_state,
        .first = first,
        .steps = steps,
        .broken = broken,
        .check = check_state,
        .milestones = milestones_of,
        .print_state = print,
        .print_step = print_one,
        .property_text = property_text,
    };
    _Static_assert(sizeof(struct model) <= STATE_BYTES_MAX, "a state fits");
    config = *c;
    pack_init();
    return search(&machine, trace);
}
