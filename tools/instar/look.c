/* SPDX-License-Identifier: Apache-2.0 */
/* nodes, stat, metrics: looking at a store. */
#include "cli.h"

#include <inttypes.h>
#include <string.h>

/* ---- nodes -------------------------------------------------------------------------------- */

static int print_node(void *arg, const instar_node_info *info)
{
    char node[OUT_NUMBER_SIZE], pid[OUT_NUMBER_SIZE], open[OUT_NUMBER_SIZE];
    char leases[OUT_NUMBER_SIZE], transactions[OUT_NUMBER_SIZE], oldest[OUT_NUMBER_SIZE];
    char changes[OUT_NUMBER_SIZE];

    out_row(arg,
            (struct out_cell[]){
                out_u64(info->node, node), out_u64(info->pid, pid), out_bool(info->self),
                out_bool(info->alive), out_u64(info->opened_ms_ago, open),
                out_u64(info->leases, leases), out_u64(info->transactions, transactions),
                out_u64(info->oldest_transaction_ms, oldest), out_u64(info->changes, changes)});
    return 0;
}

int command_nodes(struct cli *cli)
{
    static const struct out_column columns[] = {
        {"node", OUT_NUMBER},         {"pid", OUT_NUMBER},       {"self", OUT_BOOL},
        {"alive", OUT_BOOL},          {"open_ms", OUT_NUMBER},   {"leases", OUT_NUMBER},
        {"transactions", OUT_NUMBER}, {"oldest_ms", OUT_NUMBER}, {"changes", OUT_NUMBER}};
    struct out *out = out_begin(cli, columns, sizeof(columns) / sizeof(columns[0]));
    int rc = instar_node_list(cli->db, print_node, out);

    if (rc != INSTAR_OK) {
        (void)out_end(out);
        return cli_fail(cli, rc, "nodes");
    }
    return out_end(out);
}

/* ---- stat --------------------------------------------------------------------------------- */

int command_stat(struct cli *cli)
{
    static const struct out_column columns[] = {{"figure", OUT_TEXT}, {"value", OUT_TEXT}};
    instar_stats s = {.struct_size = sizeof(s)};
    int rc = instar_stat(cli->db, &s);
    struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"log_tail", s.log_tail},         {"log_durable", s.log_durable},
        {"log_applied", s.log_applied},   {"log_segments", s.log_segments},
        {"log_bytes", s.log_bytes},       {"tree_bytes", s.tree_bytes},
        {"tree_count", s.tree_count},     {"commits", s.commits},
        {"flushes", s.flushes},           {"conflicts", s.conflicts},
        {"shared_bytes", s.shared_bytes}, {"nodes", s.nodes},
        {"readers", s.readers},           {"commit_limit", s.commit_limit},
    };
    struct out *out;

    if (rc != INSTAR_OK) {
        return cli_fail(cli, rc, "stat");
    }
    out = out_begin(cli, columns, sizeof(columns) / sizeof(columns[0]));
    out_row(out, (struct out_cell[]){out_text("format"), out_text(s.format)});
    out_row(out, (struct out_cell[]){out_text("runtime_path"), out_text(s.runtime_path)});
    out_row(out, (struct out_cell[]){out_text("durability"),
                                     out_text(s.durability == INSTAR_ASYNC ? "async" : "sync")});
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        char text[OUT_NUMBER_SIZE];

        out_row(out,
                (struct out_cell[]){out_text(numbers[i].name), out_u64(numbers[i].value, text)});
    }
    return out_end(out);
}

/* ---- metrics ------------------------------------------------------------------------------ */

static int print_text(void *arg, const char *text, size_t size)
{
    const struct cli *cli = arg;

    if (cli->json) {
        printf("{\"metrics\": ");
        out_json_string(stdout, text, size);
        printf("}\n");
    } else {
        (void)fwrite(text, 1, size, stdout);
    }
    return 0;
}

int command_metrics(struct cli *cli)
{
    int rc = instar_metrics(cli->db, print_text, cli);

    return rc == INSTAR_OK ? CLI_OK : cli_fail(cli, rc, "metrics");
}
