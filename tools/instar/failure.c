/* SPDX-License-Identifier: Apache-2.0 */
/* failure: the rows for which a change failed. */
#include "cli.h"

static const char *kind_name(enum instar_failure_kind kind)
{
    switch (kind) {
    case INSTAR_FAILURE_UNIQUE:
        return "unique";
    case INSTAR_FAILURE_NOT_NULL:
        return "not null";
    case INSTAR_FAILURE_TYPE:
        return "type";
    case INSTAR_FAILURE_CHECK:
        return "check";
    case INSTAR_FAILURE_FOREIGN_KEY:
        return "foreign key";
    }
    return "?";
}

static int print_failure(void *arg, const instar_change_failure *failure)
{
    static const struct out_column columns[] = {
        {"code", OUT_TEXT}, {"sqlstate", OUT_TEXT}, {"count", OUT_NUMBER}, {"kind", OUT_TEXT},
        {"name", OUT_TEXT}, {"key", OUT_TEXT},      {"row", OUT_TEXT}};
    struct out *out = out_begin(arg, columns, sizeof(columns) / sizeof(columns[0]));
    char count[OUT_NUMBER_SIZE];

    for (size_t i = 0; i < failure->sample_count; i++) {
        const instar_failure_sample *sample = &failure->samples[i];

        out_row(out, (struct out_cell[]){out_text(instar_error_name(failure->code)),
                                         out_text(instar_error_sqlstate(failure->code)),
                                         out_u64(failure->count, count),
                                         out_text(kind_name(sample->kind)), out_text(sample->name),
                                         out_text(sample->key[0] != '\0' ? sample->key : NULL),
                                         out_text(sample->row)});
    }
    return out_end(out);
}

int command_failure(struct cli *cli)
{
    uint64_t change = 0;
    int rc = cli_change_id(cli, &change);

    if (rc != CLI_OK) {
        return rc;
    }
    rc = instar_change_get_failure(cli->db, change, print_failure, cli);
    return rc < 0 ? cli_fail(cli, rc, "failure") : rc;
}
