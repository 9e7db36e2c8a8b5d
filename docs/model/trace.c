/* SPDX-License-Identifier: Apache-2.0 */

/* Traces in words: each step, and the state that it led to. */
#include "model.h"

static const char *const stage_name[] = {"absent", "delete-only", "write-only", "enforcing",
                                         "public"};

static const char *const action_name[] = {
    [BEGIN] = "begins",          [LEASE] = "touches the table", [COMMIT] = "commits",
    [ABORT] = "aborts",          [LOSE_LEASE] = "loses lease",  [APPLY] = "applier",
    [FLUSH] = "flush",           [POWER_CUT] = "power cut",     [PUBLISH] = "runner publishes",
    [MAKE_CUT] = "runner cuts",  [SCAN] = "runner scans",       [LOAD] = "runner loads",
    [FOLD] = "runner folds",     [END_FOLD] = "runner",         [DRAINED] = "runner",
    [VALIDATE_GROUP] = "runner", [FIND_DUPLICATE] = "runner",   [APPEND_DROP] = "runner",
    [CANCEL] = "cancel"};

static const char *const record_name[] = {"-",           "batch",    "publication",
                                          "begin-build", "fold-end", "drop"};

static char value_name(unsigned value)
{
    return value ? (char)('0' + value) : '.';
}

static void print_writes(const struct write write[ROWS_MAX])
{
    for (unsigned k = 0; k < config.bounds.rows; k++)
        if (write[k].written)
            printf(" row %u: %c->%c", k, value_name(write[k].old), value_name(write[k].new));
}

static void print_txn(const struct model *m, unsigned i)
{
    const struct txn *t = &m->txn[i];
    printf(" (node %c, version %u %s;", "AB"[i % NODES], t -> version,
           stage_name[m->stage[t->version]]);
    if (t->looks_for)
        printf(" reads value %u by the index, writes elsewhere", t->looks_for);
    print_writes(t->write);
    printf(")");
}

static void print_entries(const char *name, entries set)
{
    printf("  %s {", name);
    for (unsigned k = 0; k < config.bounds.rows; k++)
        for (unsigned v = 1; v <= VALUES; v++)
            if (set & entry(v, k))
                printf(" (%u,row %u)", v, k);
    printf(" }");
}

static void print_record(const struct record *r)
{
    printf(" [%s", record_name[r->kind]);
    if (r->kind == PUBLICATION || r->kind == BATCH)
        printf(" %s", stage_name[r->stage]);
    print_writes(r->write);
    printf("]");
}

void print_state(const struct model *m)
{
    printf("        at lo: rows");
    for (unsigned k = 0; k < config.bounds.rows; k++)
        printf(" %c", value_name(m->row[k]));
    print_entries("tree", m->tree);
    if (m->mode == DIVERTED || m->delta_put || m->delta_delete) {
        print_entries("delta put", m->delta_put);
        print_entries("delete", m->delta_delete);
    }
    printf("  leases");
    for (unsigned n = 0; n < NODES; n++)
        for (unsigned v = 0; v <= m->version; v++)
            if (m->lease[n] & (1u << v))
                printf(" %c:v%u", "AB"[n], v);
    printf("\n");
    if (!m->pending)
        return;
    printf("        log:");
    for (unsigned i = 0; i < m->pending; i++)
        print_record(&m->log[i]);
    printf("\n");
}

static void print_runner(struct label l)
{
    switch (l.action) {
    case MAKE_CUT:
        printf(" (begin-build)");
        break;
    case SCAN:
        printf(" row %u at the snapshot lo+%u", l.a, l.b);
        break;
    case LOAD:
        printf(" row %u with value %c", l.a, value_name(l.b));
        break;
    case FOLD:
        printf(" the delta's entry (%u,row %u)", l.b, l.a);
        break;
    case END_FOLD:
        printf(" appends fold-end");
        break;
    case DRAINED:
        printf(" takes the version as drained, validates");
        break;
    case VALIDATE_GROUP:
        printf(" reads the entries of value %u at the snapshot lo+%u", l.a, l.b);
        break;
    case FIND_DUPLICATE:
        printf(" finds value %u twice, reverts", l.a);
        break;
    case APPEND_DROP:
        printf(" purges");
        break;
    default:
        break;
    }
}

void print_step(const struct model *m, struct label l, const struct model *next)
{
    bool is_txn = l.action == BEGIN || l.action == LEASE || l.action == COMMIT || l.action == ABORT;
    printf("  ");
    if (is_txn)
        printf("T%u ", l.a);
    printf("%s", action_name[l.action]);
    if (l.action == BEGIN)
        print_txn(next, l.a);
    else if (is_txn)
        print_txn(m, l.a);
    else if (l.action == LOSE_LEASE)
        printf(" of node %c on version %u", "AB"[l.a], l.b);
    else if (l.action == APPLY)
        printf(" takes a record: %s", record_name[l.a]);
    else if (l.action == PUBLISH)
        printf(" version %u: %s", next->version, stage_name[l.a]);
    else
        print_runner(l);
    printf("\n");
    print_state(next);
}
