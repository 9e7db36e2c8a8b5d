/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Breadth-first search over all states that can be reached: so the first trace found is a shortest
 * one.
 *
 * States are kept as keys, in the order in which they were found, each with the number of the one
 * it came from; a hash table of these numbers tells what is known already. Nothing is forgotten and
 * nothing is approximated.
 */
#include "search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct store {
    struct sink sink; /* first: take() gets it */
    const struct machine *machine;
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
    uint64_t *keys = realloc(s->keys, capacity * s->words * sizeof(*keys));
    if (keys)
        s->keys = keys;
    uint32_t *parents = realloc(s->parents, capacity * sizeof(*parents));
    if (parents)
        s->parents = parents;
    s->capacity = capacity;
    return keys && parents && capacity < UINT32_MAX;
}

static void add(struct store *s, const void *m)
{
    struct key key;
    s->machine->pack(m, &key);
    size_t slot = find_slot(s, key.word);
    if (s->table[slot])
        return;
    s->result->property = s->machine->check(m);
    if (s->result->property)
        return;
    s->result->milestones |= s->machine->milestones(m);
    if (s->count == s->capacity && !grow_keys(s)) {
        s->result->exhausted = false;
        return;
    }
    memcpy(s->keys + s->count * s->words, key.word, s->words * sizeof(*key.word));
    s->parents[s->count] = (uint32_t)s->current;
    s->table[slot] = (uint32_t)++s->count;
    if (s->count > s->slots / 2)
        s->result->exhausted = grow_table(s);
}

static bool is_over(const struct store *s)
{
    return s->result->property || !s->result->exhausted;
}

static void take(struct sink *sink, const void *next, struct label l)
{
    struct store *s = (struct store *)sink;
    (void)l;
    if (is_over(s))
        return;
    s->result->property = s->machine->broken(next);
    if (!s->result->property)
        add(s, next);
}

/* Each is its own parent. */
static void take_first(struct sink *sink, const void *first, struct label l)
{
    struct store *s = (struct store *)sink;
    (void)l;
    s->current = s->count;
    if (!is_over(s))
        add(s, first);
}

/* ---- The trace --------------------------------------------------------------------------------
 */

/*
 * The keys on the way to the end are those of renamed states. So the way is walked again without
 * renaming: from each state, some step leads to one with the next key.
 */
struct state {
    _Alignas(max_align_t) unsigned char bytes[STATE_BYTES_MAX];
};

struct walk {
    struct sink sink; /* first */
    const struct store *store;
    const uint64_t *wanted;
    unsigned property; /* with no key wanted */
    struct state found;
    struct label label;
    bool has_found;
};

static void take_wanted(struct sink *sink, const void *next, struct label l)
{
    struct walk *w = (struct walk *)sink;
    const struct machine *machine = w->store->machine;
    struct key key;
    if (w->has_found || (w->wanted && machine->broken(next)))
        return;
    if (w->wanted) {
        machine->pack(next, &key);
        w->has_found = memcmp(key.word, w->wanted, w->store->words * sizeof(*key.word)) == 0;
    } else {
        unsigned property = machine->broken(next);
        w->has_found = (property ? property : machine->check(next)) == w->property;
    }
    memcpy(w->found.bytes, next, machine->state_bytes);
    w->label = l;
}

static void walk_step(const struct store *s, struct state *m, const uint64_t *wanted,
                      unsigned property)
{
    struct walk w = {.sink = {take_wanted}, .store = s, .wanted = wanted, .property = property};
    s->machine->steps(m->bytes, &w.sink);
    s->machine->print_step(m->bytes, w.label, w.found.bytes);
    *m = w.found;
}

/* The state with this number, and the way to it. */
static void walk_to(const struct store *s, size_t number, struct state *m)
{
    if (s->parents[number] == number) {
        struct key key = {{0}};
        memcpy(key.word, key_of(s, number), s->words * sizeof(*key.word));
        s->machine->unpack(&key, m->bytes);
        s->machine->print_state(m->bytes);
        return;
    }
    walk_to(s, s->parents[number], m);
    walk_step(s, m, key_of(s, number), 0);
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
    struct state m;
    struct key key = {{0}};
    memcpy(key.word, key_of(s, s->current), s->words * sizeof(*key.word));
    s->machine->unpack(&key, m.bytes);
    s->machine->steps(m.bytes, &s->sink);
}

static void finish(struct store *s, bool trace)
{
    struct result *r = s->result;
    struct state m;
    r->states = s->count;
    r->bytes = s->capacity * (s->words * sizeof(*s->keys) + sizeof(*s->parents)) +
               s->slots * sizeof(*s->table);
    if (s->count)
        r->depth = depth_of(s, r->property ? s->current : s->count - 1);
    r->depth += r->property ? 1 : 0;
    if (!trace || !r->property)
        return;
    walk_to(s, s->current, &m);
    walk_step(s, &m, NULL, r->property);
    printf("  => %s\n", s->machine->property_text[r->property]);
}

struct result search(const struct machine *machine, bool trace)
{
    struct result result = {.exhausted = true};
    struct store s = {
        .sink = {take_first}, .machine = machine, .words = machine->words(), .result = &result};
    result.exhausted = grow_table(&s) && grow_keys(&s);
    machine->first(&s.sink);
    s.sink.take = take;
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
