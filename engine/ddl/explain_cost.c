/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a change would cost, and who would notice: estimated by the engine, told in lines.
 */
#include "ddl/explain_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static instar_statement statement_of(const instar_sql_statement *s)
{
    static const uint32_t kinds[] = {
        [INSTAR_SQL_CREATE_TABLE] = INSTAR_STATEMENT_CREATE_TABLE,
        [INSTAR_SQL_DROP_TABLE] = INSTAR_STATEMENT_DROP_TABLE,
        [INSTAR_SQL_CREATE_INDEX] = INSTAR_STATEMENT_CREATE_INDEX,
        [INSTAR_SQL_DROP_INDEX] = INSTAR_STATEMENT_DROP_INDEX,
        [INSTAR_SQL_ALTER_TABLE] = INSTAR_STATEMENT_ALTER_TABLE,
        [INSTAR_SQL_RENAME_INDEX] = INSTAR_STATEMENT_RENAME_INDEX,
        [INSTAR_SQL_VACUUM] = INSTAR_STATEMENT_VACUUM,
        [INSTAR_SQL_COMMENT_INDEX] = INSTAR_STATEMENT_COMMENT_INDEX,
    };

    return (instar_statement){.kind = kinds[s->verb],
                              .name = s->name,
                              .table = s->table,
                              .index = s->index,
                              .steps = s->steps,
                              .step_count = s->step_count};
}

/* "12.3 MiB" */
static const char *size_text(uint64_t bytes, char text[32])
{
    (void)snprintf(text, 32, "%.1f MiB", (double)bytes / (1 << 20));
    return text;
}

/* Whose programs name what it destroys: they will be refused by that name. */
static void tell_holders(struct telling *t, const instar_estimate *e)
{
    uint32_t shown = e->holder_count < INSTAR_HOLDERS_MAX ? e->holder_count : INSTAR_HOLDERS_MAX;

    for (uint32_t i = 0; i < shown; i++) {
        const instar_holder *h = &e->holders[i];
        char more[64] = "";

        if (h->unlisted > 0) {
            (void)snprintf(more, sizeof(more), "%s%" PRIu32 " of which it is not known",
                           h->projections > 0 ? ", and " : "", h->unlisted);
        }
        if (h->projections > 0) {
            ddl_tell(t,
                     "named by node %" PRIu32 ", process %" PRIu32 ", for %.1f s: %" PRIu32
                     " projection%s%s",
                     h->node, h->pid, (double)h->age_ms / 1000, h->projections,
                     h->projections == 1 ? "" : "s", more);
        } else {
            ddl_tell(t, "perhaps named by node %" PRIu32 ", process %" PRIu32 ": %s", h->node,
                     h->pid, more);
        }
    }
    if (shown < e->holder_count) {
        ddl_tell(t, "and by %" PRIu32 " processes more", e->holder_count - shown);
    }
}

void ddl_tell_cost(struct telling *t, const instar_estimate *e)
{
    char read[32], final[32], temporary[32];

    if (e->rows > 0) {
        ddl_tell(t, "reads about %" PRIu64 " rows in %s", e->rows, size_text(e->bytes, read));
    }
    if (e->final_bytes > 0) {
        ddl_tell(t, "new indexes take about %s%s%s", size_text(e->final_bytes, final),
                 e->temporary_bytes > 0 ? "; sorted runs on disk meanwhile " : "",
                 e->temporary_bytes > 0 ? size_text(e->temporary_bytes, temporary) : "");
    }
    if (e->duration_ms == UINT64_MAX) {
        ddl_tell(t, "time: not known, for nothing like it has been done in this store");
    } else {
        ddl_tell(t, "time: about %.2f s, as the last %" PRIu32 " of its kind took",
                 (double)e->duration_ms / 1000, e->learnt_from);
    }
    tell_holders(t, e);
}

int ddl_explain_cost(instar *db, const instar_sql_statement *s, instar_estimate *estimate_out)
{
    size_t count = s->verb == INSTAR_SQL_COMPOUND ? s->part_count : 1;
    instar_statement *statements = ddl_calloc(count, sizeof(*statements));

    *estimate_out = (instar_estimate){.rows = 0};
    if (statements == NULL) {
        return INSTAR_ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        statements[i] = statement_of(s->verb == INSTAR_SQL_COMPOUND ? s->parts[i] : s);
    }
    int rc = instar_estimate_cost(db, statements, count, s->options, estimate_out);
    free(statements);
    return rc;
}
