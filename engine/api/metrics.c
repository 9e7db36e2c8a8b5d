/* SPDX-License-Identifier: Apache-2.0 */
/* Figures as Prometheus reads them: text format 0.0.4, one family after the other. */
#include "api/api_impl.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX 1024

/* Text that grows; the first failure is kept. */
struct page {
    struct base_buf text;
    bool full; /* out of memory */
};

static void add(struct page *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct page *p, const char *format, ...)
{
    char line[LINE_MAX];
    va_list args;
    int size;

    va_start(args, format);
    size = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    base_assert(size >= 0 && (size_t)size < sizeof(line));
    p->full = p->full || !base_buf_add(&p->text, line, (size_t)size);
}

static void family(struct page *p, const char *name, const char *type, const char *help)
{
    add(p, "# HELP instar_%s %s\n# TYPE instar_%s %s\n", name, help, name, type);
}

/* One label: in quotes, with backslash, quote and line feed escaped. Names are short. */
static void label(struct page *p, const char *name, const char *value)
{
    char text[2 * INSTAR_NAME_BYTES_MAX + 1];
    size_t size = 0;

    for (; *value != '\0' && size + 2 < sizeof(text); value++) {
        if (*value == '\\' || *value == '"' || *value == '\n') {
            text[size++] = '\\';
        }
        text[size++] = *value == '\n' ? 'n' : *value;
    }
    text[size] = '\0';
    add(p, "%s=\"%s\"", name, text);
}

/* ---- the store ---------------------------------------------------------------------------- */

static void add_store(struct page *p, const instar_stats *s)
{
    const struct {
        const char *name, *type, *help;
        uint64_t value;
    } figures[] = {
        {"commits_total", "counter", "Commits of all processes.", s->commits},
        {"conflicts_total", "counter", "Commits that lost to another one.", s->conflicts},
        {"flushes_total", "counter", "Flushes of the log to the device.", s->flushes},
        {"log_tail_bytes_total", "counter", "Bytes of log ever written.", s->log_tail},
        {"log_durable_bytes_total", "counter", "Bytes of log that are on the device.",
         s->log_durable},
        {"log_applied_bytes_total", "counter", "Bytes of log that are folded into the trees.",
         s->log_applied},
        {"log_segments", "gauge", "Segments of the log.", s->log_segments},
        {"log_bytes", "gauge", "Size of the log's segments.", s->log_bytes},
        {"tree_bytes", "gauge", "Used bytes of data.mdb.", s->tree_bytes},
        {"trees", "gauge", "Tables and indexes in data.mdb.", s->tree_count},
        {"shared_memory_bytes", "gauge", "Shared memory for control and memtables.",
         s->shared_bytes},
        {"commit_limit_bytes_per_second", "gauge",
         "Bytes of log that commits may write, because they come faster than it is folded; 0: any.",
         s->commit_limit},
        {"nodes", "gauge", "Processes that have the store open.", s->nodes},
        {"snapshots", "gauge", "Snapshots that are open in all processes.", s->readers},
    };

    family(p, "store_info", "gauge", "Version of the library and format of the store.");
    add(p, "instar_store_info{version=\"%s\",format=\"%s\"} 1\n", instar_version(), s->format);
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
        family(p, figures[i].name, figures[i].type, figures[i].help);
        add(p, "instar_%s %" PRIu64 "\n", figures[i].name, figures[i].value);
    }
}

/* ---- tables ------------------------------------------------------------------------------- */

struct series {
    struct page *page;
    const char *name;
    uint64_t (*value)(const void *info);
};

static uint64_t table_rows(const void *info)
{
    return ((const instar_table_info *)info)->rows;
}

static uint64_t table_version(const void *info)
{
    return ((const instar_table_info *)info)->version;
}

static int add_table(void *arg, const instar_table_info *info)
{
    const struct series *series = arg;

    add(series->page, "instar_%s{", series->name);
    label(series->page, "table", info->name);
    add(series->page, "} %" PRIu64 "\n", series->value(info));
    return 0;
}

static int add_tables(struct page *p, instar *db)
{
    struct series rows = {p, "table_rows", table_rows};
    struct series version = {p, "table_version", table_version};
    int rc;

    family(p, rows.name, "gauge", "Rows that are folded into the table's tree.");
    rc = instar_table_list(db, NULL, add_table, &rows);
    family(p, version.name, "gauge", "Schema version of the table.");
    return rc ? rc : instar_table_list(db, NULL, add_table, &version);
}

/* ---- leases and transactions -------------------------------------------------------------- */

static uint64_t node_leases(const void *info)
{
    return ((const instar_node_info *)info)->leases;
}

static uint64_t node_transactions(const void *info)
{
    return ((const instar_node_info *)info)->transactions;
}

static uint64_t node_oldest(const void *info)
{
    return ((const instar_node_info *)info)->oldest_transaction_ms;
}

static int add_node(void *arg, const instar_node_info *info)
{
    const struct series *series = arg;

    add(series->page, "instar_%s{node=\"%" PRIu32 "\",pid=\"%" PRIu32 "\"} %" PRIu64 "\n",
        series->name, info->node, info->pid, series->value(info));
    return 0;
}

static int add_nodes(struct page *p, instar *db)
{
    static const struct {
        const char *name, *help;
        uint64_t (*value)(const void *info);
    } figures[] = {
        {"node_leases", "Schema leases that the process holds.", node_leases},
        {"node_transactions", "Transactions of the process that hold a lease.", node_transactions},
        {"node_oldest_transaction_milliseconds", "Age of the oldest of them.", node_oldest},
    };
    int rc = INSTAR_OK;

    for (size_t i = 0; rc == INSTAR_OK && i < sizeof(figures) / sizeof(figures[0]); i++) {
        struct series series = {p, figures[i].name, figures[i].value};

        family(p, figures[i].name, "gauge", figures[i].help);
        rc = instar_node_list(db, add_node, &series);
    }
    return rc;
}

/* ---- changes ------------------------------------------------------------------------------ */

static const char *const state_names[] = {
    [INSTAR_CHANGE_RUNNING] = "running",     [INSTAR_CHANGE_REVERTING] = "reverting",
    [INSTAR_CHANGE_DONE] = "done",           [INSTAR_CHANGE_FAILED] = "failed",
    [INSTAR_CHANGE_CANCELLED] = "cancelled",
};
#define STATES (sizeof(state_names) / sizeof(state_names[0]))

static int count_state(void *arg, const instar_change_info *info)
{
    uint64_t *counts = arg;

    base_assert(info->state < STATES);
    counts[info->state]++;
    return 0;
}

static uint64_t change_step(const void *info)
{
    return ((const instar_change_info *)info)->step;
}

static uint64_t change_steps(const void *info)
{
    return ((const instar_change_info *)info)->steps;
}

static uint64_t change_rows_done(const void *info)
{
    return ((const instar_change_info *)info)->rows_done;
}

static uint64_t change_rows_total(const void *info)
{
    return ((const instar_change_info *)info)->rows_total;
}

static uint64_t change_backlog(const void *info)
{
    return ((const instar_change_info *)info)->delta_backlog;
}

static uint64_t change_waits(const void *info)
{
    return ((const instar_change_info *)info)->waiting_for[0] != '\0';
}

static int add_change(void *arg, const instar_change_info *info)
{
    const struct series *series = arg;

    if (info->state != INSTAR_CHANGE_RUNNING && info->state != INSTAR_CHANGE_REVERTING) {
        return 0;
    }
    add(series->page, "instar_%s{change=\"%" PRIu64 "\",", series->name, info->id);
    label(series->page, "kind", info->kind);
    add(series->page, ",");
    label(series->page, "table", info->table);
    add(series->page, "} %" PRIu64 "\n", series->value(info));
    return 0;
}

static int add_changes(struct page *p, instar *db)
{
    static const struct {
        const char *name, *help;
        uint64_t (*value)(const void *info);
    } figures[] = {
        {"change_step", "Step of its plan that a change stands at.", change_step},
        {"change_steps", "Steps of its plan.", change_steps},
        {"change_rows_done", "Rows done of the work in hand.", change_rows_done},
        {"change_rows_total", "Rows of the work in hand, estimated.", change_rows_total},
        {"change_delta_backlog", "Entries that writers made beside the build.", change_backlog},
        {"change_waits", "1 while the change waits for somebody or stands still.", change_waits},
    };
    uint64_t counts[STATES] = {0};
    int rc = instar_change_list(db, count_state, counts);

    family(p, "changes", "gauge", "Changes of the schema in the history, by state.");
    for (size_t i = INSTAR_CHANGE_RUNNING; i < STATES; i++) {
        add(p, "instar_changes{state=\"%s\"} %" PRIu64 "\n", state_names[i], counts[i]);
    }
    for (size_t i = 0; rc == INSTAR_OK && i < sizeof(figures) / sizeof(figures[0]); i++) {
        struct series series = {p, figures[i].name, figures[i].value};

        family(p, figures[i].name, "gauge", figures[i].help);
        rc = instar_change_list(db, add_change, &series);
    }
    return rc;
}

int instar_metrics(instar *db, int (*fn)(void *arg, const char *text, size_t size), void *arg)
{
    instar_stats stats = {.struct_size = sizeof(stats)};
    struct page page = {{0}, false};
    int rc = instar_stat(db, &stats);

    if (rc == INSTAR_OK && fn == NULL) {
        rc = base_err_set(api_err(), INSTAR_EMISUSE, "fn is NULL");
    }
    if (rc == INSTAR_OK) {
        add_store(&page, &stats);
        rc = add_tables(&page, db);
    }
    rc = rc ? rc : add_nodes(&page, db);
    rc = rc ? rc : add_changes(&page, db);
    if (rc == INSTAR_OK && page.full) {
        rc = base_err_set(api_err(), INSTAR_ENOMEM, "metrics: out of memory");
    }
    if (rc == INSTAR_OK) {
        struct base_slice text = base_buf_slice(&page.text);

        rc = fn(arg, (const char *)text.data, text.size);
    }
    base_buf_free(&page.text);
    return rc;
}
