/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repair: what can be mended without guessing.
 *
 *   a meta page of data.mdb   from the other one, after a copy of the file was made
 *   an index                  from its table, after a backup of the store as it is was made: the
 *                             old one is renamed, a new one made, then the old one dropped; only
 *                             when all pages are whole, since dropping frees them, and no row of
 *                             the table is damaged, since then the index may know better
 *
 *   the log                   only with --cut-log: it ends at its last whole record; what that
 * costs is told
 *
 * Whatever else the check finds is told; then it is a matter of a backup, or of `dump`.
 */
#include "cli.h"

#include <instar_sql.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BEFORE "before-repair"

struct repair {
    struct cli *cli;
    struct out *out;
    struct cli_names indexes; /* that are damaged */
    struct cli_names tables;  /* whose rows are */
    uint64_t others;          /* findings that an index made anew does not mend */
    uint64_t done;
    bool kept; /* the store as it was */
};

static void tell(struct repair *r, const char *what, const char *name, const char *text)
{
    out_row(r->out, (struct out_cell[]){out_text(what), out_text(name), out_text(text)});
}

static int on_meta(void *arg, const char *text)
{
    struct repair *r = arg;

    r->done++;
    tell(r, "repaired", "data.mdb", text);
    return 0;
}

/* ---- what is damaged ---------------------------------------------------------------------- */

static int add_once(struct cli_names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->list[i], name) == 0) {
            return 0;
        }
    }
    return cli_names_add(names, name, strlen(name)) ? 0 : INSTAR_ENOMEM;
}

static int on_finding(void *arg, const instar_finding *finding)
{
    struct repair *r = arg;
    bool of_index =
        finding->index != NULL &&
        (finding->problem == INSTAR_PROBLEM_ENTRY_MISSING ||
         finding->problem == INSTAR_PROBLEM_ENTRY_DANGLING ||
         finding->problem == INSTAR_PROBLEM_ENTRY_UNREADABLE ||
         finding->problem == INSTAR_PROBLEM_VERSION || finding->problem == INSTAR_PROBLEM_DIGEST);

    if (!of_index) {
        r->others++;
        tell(r, "found", finding->table, finding->text);
        return finding->problem == INSTAR_PROBLEM_ROW_UNREADABLE ||
                       finding->problem == INSTAR_PROBLEM_DIGEST
                   ? add_once(&r->tables, finding->table)
                   : 0;
    }
    return add_once(&r->indexes, finding->index);
}

/* ---- an index ----------------------------------------------------------------------------- */

struct wanted {
    const char *index;
    const struct cli_names *damaged; /* tables */
    bool of_damaged;
    char *sql; /* of its table with this index alone */
    size_t size;
};

static int take_index(void *arg, const instar_table_info *info)
{
    struct wanted *w = arg;
    instar_table_info alone = *info;

    for (size_t i = 0; i < info->index_count; i++) {
        if (strcmp(info->indexes[i].name, w->index) == 0) {
            for (size_t k = 0; k < w->damaged->count; k++) {
                w->of_damaged |= strcmp(w->damaged->list[k], info->name) == 0;
            }
            alone.indexes = &info->indexes[i];
            alone.index_count = 1;
            w->size = instar_sql_format_table(&alone, NULL, 0);
            w->sql = malloc(w->size + 1);
            if (w->sql == NULL) {
                return INSTAR_ENOMEM;
            }
            (void)instar_sql_format_table(&alone, w->sql, w->size + 1);
            return 1; /* enough */
        }
    }
    return 0;
}

static int await(instar *db, int rc, uint64_t change)
{
    return rc == INSTAR_OK ? instar_change_wait(db, change, UINT32_MAX, NULL) : rc;
}

static int create_anew(instar *db, const struct wanted *w)
{
    instar_sql *sql = NULL;
    uint64_t change = 0;
    int rc = instar_sql_read(w->sql, w->size, NULL, &sql, NULL);

    if (rc != INSTAR_OK) {
        return rc;
    }
    rc = INSTAR_EUNKNOWN;
    for (size_t at = 0; at < instar_sql_count(sql); at++) {
        if (instar_sql_at(sql, at)->verb == INSTAR_SQL_CREATE_INDEX) {
            rc = await(db, instar_sql_submit(db, sql, at, &change, NULL), change);
        }
    }
    instar_sql_free(sql);
    return rc;
}

/* Once, before the first of them. */
static int keep_store(struct repair *r)
{
    char path[1024];
    int rc;

    if (r->kept) {
        return CLI_OK;
    }
    if (snprintf(path, sizeof(path), "%s/" BEFORE, r->cli->store) >= (int)sizeof(path)) {
        return cli_error(r->cli, "call it by a shorter path", "%s: too long", r->cli->store);
    }
    rc = instar_backup(r->cli->db, path, NULL, NULL);
    if (rc == INSTAR_EEXISTS) {
        return cli_error(r->cli, "move it away first", "%s: an earlier repair has left it", path);
    }
    if (rc != INSTAR_OK) {
        return cli_fail(r->cli, rc, "keeping the store as it is");
    }
    r->kept = true;
    tell(r, "kept", BEFORE, "a backup of the store as it was");
    return CLI_OK;
}

static int make_anew(struct repair *r, const char *index)
{
    struct wanted w = {.index = index, .damaged = &r->tables};
    instar *db = r->cli->db;
    char aside[INSTAR_NAME_BYTES_MAX + 1];
    uint64_t change = 0;
    int rc = instar_table_list(db, NULL, take_index, &w);

    (void)snprintf(aside, sizeof(aside), "%.50s_damaged", index);
    rc = rc == 1 ? INSTAR_OK : rc == INSTAR_OK ? INSTAR_EUNKNOWN : rc;
    if (rc == INSTAR_OK && w.of_damaged) {
        free(w.sql);
        tell(r, "found", index,
             "the index is damaged, and so are rows of its table: left as it is");
        return CLI_FAILED;
    }
    if (rc == INSTAR_OK && keep_store(r) != CLI_OK) {
        free(w.sql);
        return CLI_FAILED;
    }
    if (rc == INSTAR_OK) {
        rc = instar_rename_index(db, index, aside, NULL, &change);
        rc = await(db, rc, change);
    }
    if (rc == INSTAR_OK) {
        rc = create_anew(db, &w);
        if (rc != INSTAR_OK) {
            (void)cli_fail(r->cli, rc, index);
            rc = instar_rename_index(db, aside, index, NULL, &change);
            (void)await(db, rc, change);
            free(w.sql);
            return CLI_FAILED;
        }
        rc = instar_drop_index(db, aside, NULL, &change);
        rc = await(db, rc, change);
    }
    free(w.sql);
    if (rc != INSTAR_OK) {
        return cli_fail(r->cli, rc, index);
    }
    r->done++;
    tell(r, "repaired", index, "the index was made anew from its table");
    return CLI_OK;
}

static int repair_open(struct repair *r)
{
    instar_check_summary sum;
    int failed = CLI_OK;
    int rc = instar_check(r->cli->db, on_finding, r, &sum);

    if (rc != INSTAR_OK && rc != INSTAR_ECORRUPT) {
        return cli_fail(r->cli, rc, "check");
    }
    for (size_t i = 0; i < r->indexes.count && cli_interrupted == 0; i++) {
        failed = make_anew(r, r->indexes.list[i]) != CLI_OK ? CLI_FAILED : failed;
    }
    if (r->indexes.count > 0 && failed == CLI_OK) {
        r->others = 0;
        cli_names_free(&r->indexes);
        rc = instar_check(r->cli->db, on_finding, r, &sum);
        failed = r->indexes.count > 0 ? CLI_FAILED : failed;
    }
    return r->others > 0 ? CLI_FAILED : failed;
}

/* ---- the whole ---------------------------------------------------------------------------- */

static int on_file(void *arg, const instar_finding *finding)
{
    struct repair *r = arg;

    if (finding->problem == INSTAR_PROBLEM_DIGEST) {
        return 0; /* whose tree it is will be known when the store is open */
    }
    r->others++;
    tell(r, "found", finding->key, finding->text);
    return 0;
}

static void tell_time(int64_t us, char text[64])
{
    instar_value value = {.type = INSTAR_TIMESTAMPTZ, .i = us};

    (void)snprintf(text, 64, "an unknown time");
    if (us != 0) {
        (void)instar_value_format(&value, text, 64);
    }
}

static int cut_log(struct repair *r)
{
    instar_log_cut cut;
    char text[1024], written[64];
    int rc = instar_cut_log(r->cli->store, &cut);

    if (rc != INSTAR_OK) {
        return cli_fail(r->cli, rc, "cutting the log");
    }
    if (cut.to_lsn == 0) {
        tell(r, "kept", "log", "the log is whole: nothing was cut");
        return CLI_OK;
    }
    r->done++;
    tell(r, "damaged", "log", cut.reason);
    tell_time(cut.last_written_us, written);
    (void)snprintf(text, sizeof(text),
                   "all commits from %" PRIu64 " to at least %" PRIu64 ", the last at about %s; "
                   "%" PRIu64 " of them left a trace, with %" PRIu64 " changes of the schema",
                   cut.from_lsn, cut.to_lsn, written, cut.commits, cut.schema_changes);
    tell(r, "lost", "log", text);
    tell(r, "kept", "log.before-cut", "the segments as they were");
    return CLI_OK;
}

static int repair(struct repair *r)
{
    struct cli *cli = r->cli;
    instar_options options;
    int rc = instar_repair(cli->store, on_meta, r), rc_close;

    if (rc != INSTAR_OK) {
        return cli_fail(cli, rc, "repair");
    }
    if (cli_switch(cli, "cut-log") && cut_log(r) != CLI_OK) {
        return CLI_FAILED;
    }
    rc = instar_check_files(cli->store, on_file, r, NULL);
    if (rc != INSTAR_OK && (rc != INSTAR_ECORRUPT || r->others > 0)) {
        return r->others > 0 ? CLI_FAILED : cli_fail(cli, rc, "check");
    }
    instar_options_init(&options);
    rc = instar_open(cli->store, &options, &cli->db);
    if (rc != INSTAR_OK) {
        return cli_fail(cli, rc, "opening the store");
    }
    rc = repair_open(r);
    rc_close = instar_close(cli->db);
    return rc_close == INSTAR_OK ? rc : cli_fail(cli, rc_close, "closing the store");
}

int command_repair(struct cli *cli)
{
    static const struct out_column columns[] = {
        {"what", OUT_TEXT}, {"name", OUT_TEXT}, {"text", OUT_TEXT}};
    struct repair r = {.cli = cli};
    int rc, rc_out;

    cli_catch_interrupts();
    r.out = out_begin(cli, columns, sizeof(columns) / sizeof(columns[0]));
    rc = repair(&r);
    rc_out = out_end(r.out);
    cli_names_free(&r.indexes);
    cli_names_free(&r.tables);
    if (r.others > 0) {
        return cli_error(
            cli, "restore it from a backup, or save what can be read with `instar dump`",
            "%" PRIu64 " findings remain that cannot be mended without guessing", r.others);
    }
    return rc != CLI_OK ? rc : rc_out;
}
