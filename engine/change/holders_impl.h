/* SPDX-License-Identifier: Apache-2.0 */
/* holders: the processes whose projections name what a request would destroy. */
#ifndef INSTAR_CHANGE_HOLDERS_IMPL_H
#define INSTAR_CHANGE_HOLDERS_IMPL_H

#include "change/job_impl.h"

/* Those of a table (NULL: there is none) into the estimate; none when the statements destroy
 * nothing of it. ENOMEM. */
int holders_find(struct txn_env *env, const struct catalog_table *table,
                 const instar_statement *statements, size_t count, instar_estimate *out,
                 struct base_err *err);

#endif
