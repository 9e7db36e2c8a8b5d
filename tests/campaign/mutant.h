/* SPDX-License-Identifier: Apache-2.0 */
/* mutant: in the copy of the tree that mutants.py makes, each changed condition asks for itself. */
#ifndef INSTAR_MUTANT_H
#define INSTAR_MUTANT_H

#include <stddef.h>

/* The conditions are the engine's, in more words than it would use. */
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wparentheses"
#pragma GCC diagnostic ignored "-Wbool-compare"
#pragma GCC diagnostic ignored "-Wtype-limits"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wextra"

extern int mutant_chosen;           /* INSTAR_MUTANT, or none */
extern unsigned char *mutant_asked; /* the file INSTAR_MUTANTS_ASKED, one byte a mutant, or NULL */

/* True when this mutant is the one that was chosen. */
static inline int mutant(int n)
{
    if (mutant_asked != NULL) {
        mutant_asked[n] = 1;
    }
    return n == mutant_chosen;
}

#endif
