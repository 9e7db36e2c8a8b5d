/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the two models share: a search over all states of a machine, whatever it is a model of.
 *
 * A machine is given by its steps: all that can happen in a state, each as a successor and a label.
 * States are compared and kept as keys of a few words.
 */
#ifndef INSTAR_MODEL_SEARCH_H
#define INSTAR_MODEL_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct label {
    unsigned action; /* of the machine's own enum */
    unsigned a;
    unsigned b;
};

/* Takes the successors of a state, one call each. */
struct sink {
    void (*take)(struct sink *sink, const void *next, struct label label);
};

enum { KEY_WORDS = 6 };
struct key {
    uint64_t word[KEY_WORDS];
};

enum { STATE_BYTES_MAX = 2048 };

struct machine {
    size_t state_bytes;      /* at most STATE_BYTES_MAX */
    unsigned (*words)(void); /* of a key */
    void (*pack)(const void *state, struct key *key);
    void (*unpack)(const struct key *key, void *state);
    void (*first)(struct sink *sink); /* the states to begin with */
    void (*steps)(const void *state, struct sink *sink);
    /* 0: all that must hold does. What the last step broke is no part of the state's key, and is
     * looked at first; such a state is not kept. */
    unsigned (*broken)(const void *state);
    unsigned (*check)(const void *state);
    unsigned (*milestones)(const void *state);
    void (*print_state)(const void *state);
    void (*print_step)(const void *state, struct label label, const void *next);
    const char *const *property_text; /* by what check returns */
};

struct result {
    unsigned property; /* 0: the search ended, nothing was found */
    unsigned milestones;
    unsigned depth; /* steps of the shortest trace, or of the farthest state */
    size_t states;
    size_t bytes;
    bool exhausted; /* false: out of memory */
};
struct result search(const struct machine *machine, bool trace);

#endif
