/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Breadth-first search over all states that can be reached: so the first trace found is a shortest
 * one.
 *
 * States are kept as keys, in the order in which they were found, each with the number of the one
 * it came from; a hash table of these numbers tells what is known already. Nothing is forgotten and
 * nothing is approximated.
 */
#include "model.h"

#include <stdlib.h>
#include <string.h>

struct config config;

struct store {
    struct sink sink; /* first: take() gets it */
    uint64_t *keys;
    uint32_t *parents;
    uint32_t *table; /* number + 1; 0: free */
    unsigned words;  /* of a key */
    size_t slots;
    size_t count;
    size_t capacity;
    size_t current;
    struct result *result;
};

static const uint64_t *key_of(const struct store *s, size_t number)
{
    return s->keys + number * s->words;
}

static size_t hash(const uint64_t *key, unsigned words)
{
    uint64_t h = 0x9e3779b97f4a7c15u;
    for (unsigned w = 0; w < words; w++) {
        h = (h ^ key[w]) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    return (size_t)h;
}

static bool is_key(const struct store *s, size_t number, const uint64_t *key)
{
    const uint64_t *known = key_of(s, number);
    for (unsigned w = 0; w < s->words; w++)
        if (known[w] != key[w])
            return false;
    return true;
}

/* The slot of this key, or the free slot where it belongs. */
static size_t find_slot(const struct store *s, const uint64_t *key)
{
    size_t slot = hash(key, s->words) & (s->slots - 1);
    while (s->table[slot]) {
        if (is_key(s, s->table[slot] - 1, key))
            break;
        slot = (slot + 1) & (s->slots - 1);
    }
    return slot;
}

static bool grow_table(struct store *s)
{
    uint32_t *old = s->table;
    s->slots = s->slots ? 2 * s->slots : 1 << 16;
    s->table = calloc(s->slots, sizeof(*s->table));
    free(old);
    if (!s->table)
        return false;
    for (size_t i = 0; i < s->count; i++)
        s->table[find_slot(s, key_of(s, i))] = (uint32_t)i + 1;
    return true;
}

static bool grow_keys(struct store *s)
{
    size_t capacity = s->capacity ? s->capacity + s->capacity / 2 : 1 << 15;
    uint64_t *keys = realloc(s->keys, capacity * pack_words() * sizeof(*keys));
    if (keys)
        s->keys = keys;
    uint32_t *parents = realloc(s->parents, capacity * sizeof(*parents));
    if (parents)
        s->parents = parents;
    s->capacity = capacity;
    return keys && parents && capacity < UINT32_MAX;
}

static void add(struct store *s, const struct model *m)
{
    struct key key;
    pack(m, &key);
    size_t slot = find_slot(s, key.word);
    if (s->table[slot])
        return;
    s->result->property = check(m);
    if (s->result->property)
        return;
    s->result->milestones |= milestones(m);
    if (s->count == s->capacity && !grow_keys(s)) {
        s->result->exhausted = false;
        return;
    }
    memcpy(s->keys + s->count * pack_words(), key.word, pack_words() * sizeof(*key.word));
    s->parents[s->count] = (uint32_t)s->current;
    s->table[slot] = (uint32_t)++s->count;
    if (s->count > s->slots / 2)
        s->result->exhausted = grow_table(s);
}

static bool is_over(const struct store *s)
{
    return s->result->property || !s->result->exhausted;
}

static void take(struct sink *sink, const struct model *next, struct label l)
{
    struct store *s = (struct store *)sink;
    (void)l;
    if (is_over(s))
        return;
    s->result->property = (enum property)next->bad;
    if (!next->bad)
        add(s, next);
}

/* ---- The beginning ----------------------------------------------------------------------------
 */

/* Every table there can be, with the index as the plan finds it. */
static void add_first_states(struct store *s)
{
    unsigned codes = 1;
    for (unsigned k = 0; k < config.bounds.rows; k++)
        codes *= VALUES + 1;
    for (unsigned code = 0; code < codes && !is_over(s); code++) {
        struct model m = {.plan = config.plan, .commits_left = config.bounds.commits};
        for (unsigned k = 0, rest = code; k < config.bounds.rows; k++, rest /= VALUES + 1)
            m.row[k] = rest % (VALUES + 1);
        m.stage[0] = plans[config.plan].first;
        if (m.stage[0] == PUBLIC && config.unique && shared_values(m.row))
            continue;
        if (m.stage[0] == PUBLIC)
            m.tree = entries_of_rows(m.row);
        s->current = s->count;
        add(s, &m);
    }
}

/* ---- The trace --------------------------------------------------------------------------------
 */

/*
 * The keys on the way to the end are those of renamed states. So the way is walked again without
 * renaming: from each state, some step leads to one with the next key.
 */
struct walk {
    struct sink sink; /* first */
    const uint64_t *wanted;
    enum property property; /* with no key wanted */
    struct model found;
    struct label label;
    bool has_found;
};

static void take_wanted(struct sink *sink, const struct model *next, struct label l)
{
    struct walk *w = (struct walk *)sink;
    struct key key;
    if (w->has_found || (w->wanted && next->bad))
        return;
    if (w->wanted) {
        pack(next, &key);
        w->has_found = memcmp(key.word, w->wanted, pack_words() * sizeof(*key.word)) == 0;
    } else {
        w->has_found = check(next) == w->property;
    }
    w->found = *next;
    w->label = l;
}

static void walk_step(struct model *m, const uint64_t *wanted, enum property property)
{
    struct walk w = {.sink = {take_wanted}, .wanted = wanted, .property = property};
    all_steps(m, &w.sink);
    print_step(m, w.label, &w.found);
    *m = w.found;
}

/* The state with this number, and the way to it. */
static void walk_to(const struct store *s, size_t number, struct model *m)
{
    if (s->parents[number] == number) {
        struct key key = {{0}};
        memcpy(key.word, key_of(s, number), pack_words() * sizeof(*key.word));
        unpack(&key, m);
        print_state(m);
        return;
    }
    walk_to(s, s->parents[number], m);
    walk_step(m, key_of(s, number), HOLDS);
}

static unsigned depth_of(const struct store *s, size_t number)
{
    unsigned depth = 0;
    for (; s->parents[number] != number; number = s->parents[number])
        depth++;
    return depth;
}

/* ---- The search -------------------------------------------------------------------------------
 */

static void expand(struct store *s)
{
    struct model m;
    struct key key = {{0}};
    memcpy(key.word, key_of(s, s->current), pack_words() * sizeof(*key.word));
    unpack(&key, &m);
    all_steps(&m, &s->sink);
}

static void finish(struct store *s, bool trace)
{
    struct result *r = s->result;
    struct model m;
    r->states = s->count;
    r->bytes = s->capacity * (pack_words() * sizeof(*s->keys) + sizeof(*s->parents)) +
               s->slots * sizeof(*s->table);
    if (s->count)
        r->depth = depth_of(s, r->property ? s->current : s->count - 1);
    r->depth += r->property ? 1 : 0;
    if (!trace || !r->property)
        return;
    walk_to(s, s->current, &m);
    walk_step(&m, NULL, r->property);
    printf("  => %s\n", property_text[r->property]);
}

struct result search(const struct config *c, bool trace)
{
    struct result result = {.exhausted = true};
    struct store s = {.sink = {take}, .result = &result};
    config = *c;
    pack_init();
    s.words = pack_words();
    result.exhausted = grow_table(&s) && grow_keys(&s);
    if (!is_over(&s))
        add_first_states(&s);
    for (s.current = 0; s.current < s.count && !is_over(&s); s.current++)
        expand(&s);
    if (result.property)
        s.current--;
    finish(&s, trace);
    free(s.keys);
    free(s.parents);
    free(s.table);
    return result;
}
