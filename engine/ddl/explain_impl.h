/* SPDX-License-Identifier: Apache-2.0 */
/* explain: what a change would do, and what it would cost, told in lines. */
#ifndef INSTAR_DDL_EXPLAIN_IMPL_H
#define INSTAR_DDL_EXPLAIN_IMPL_H

#include "ddl/ddl_impl.h"

#include <stdarg.h>
#include <stdio.h>

/* Lines go to the caller until it stops them. */
struct telling {
    int (*fn)(void *arg, const char *line);
    void *arg;
    int stopped;
};

static void tell(struct telling *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void tell(struct telling *t, const char *format, ...)
{
    char line[512];
    va_list args;

    if (t->stopped != 0) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    t->stopped = t->fn(t->arg, line);
}

/* ---- explain_cost.c ----------------------------------------------------------------------- */

/* EUNKNOWN: of something that is not there nothing is told, the names are. */
int ddl_explain_cost(instar *db, const instar_sql_statement *s, instar_estimate *estimate_out);
void ddl_tell_cost(struct telling *t, const instar_estimate *e);

#endif
