/* SPDX-License-Identifier: Apache-2.0 */
/* What descriptor.c, which writes, and descriptor_read.c share: the numbers of the form that
 * descriptor.c describes, and what is written only where there is any. */
#ifndef INSTAR_CATALOG_DESCRIPTOR_IMPL_H
#define INSTAR_CATALOG_DESCRIPTOR_IMPL_H

#include "catalog/catalog_impl.h"

#define FORMAT 6
#define FORMAT_NO_COMMENTS 5 /* nor numerics, nor types that were */
#define FORMAT_NO_REKEYS 4
#define FORMAT_NO_LENGTHS 3
#define FORMAT_NO_CHECKS 2
#define FORMAT_NO_ALIASES 1
#define FLAG_NOT_NULL 1
#define FLAG_DESCENDING 1
#define FLAG_NULLS_SWAPPED 2
#define FLAG_EXPRESSION 4
#define FLAG_UNIQUE 1
#define FLAG_ENFORCING 2
#define FLAG_HIDDEN 4
#define FLAG_CONSTRAINT 4
#define FLAG_MORE 8
#define FLAG_COMING 16
#define FLAG_PAST 32
#define FLAG_RESTRICT_DELETE 1
#define FLAG_RESTRICT_UPDATE 2

static inline bool descriptor_has_more(const struct catalog_index *x)
{
    return x->include_count != 0 || x->predicate != NULL;
}

static inline bool descriptor_is_limited(const struct catalog_column *c)
{
    return c->length_max != 0 || c->type_coming != INSTAR_NULL || c->type_past != INSTAR_NULL;
}

static inline bool descriptor_is_rekeyed(const struct catalog_index *x)
{
    return x->rows || x->keyed_by != 0 || x->replaces != 0;
}

#endif
