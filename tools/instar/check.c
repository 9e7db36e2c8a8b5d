/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check: in a child process, because LMDB follows a damaged page anywhere. The child looks and
 * sends what it finds through a pipe; this process prints it. If the child dies of what it looks
 * at, that is a finding too.
 *
 *   files, when nobody has the store open    format, every page, the log
 *   then, when those hold, the open store    rows and entries in both directions
 *
 * For an untrusted store it is the files alone, and the child may write nothing, start nothing, and
 * use so much memory and time.
 */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define TIME_LIMIT_S 600
#define TIME_LIMIT_MOST_S 86400
#define MEMORY_LIMIT ((rlim_t)2 << 30)
#define TEXT_MAX 4096u

enum { TEXT_TABLE, TEXT_INDEX, TEXT_KEY, TEXT_WORDS, TEXTS };

/* What goes through the pipe: this, then the texts. The last one has `last` set. */
struct message {
    uint32_t last;
    uint32_t problem;
    uint32_t written_by;
    int32_t exit_code;
    uint32_t sizes[TEXTS]; /* UINT32_MAX: none */
    instar_check_summary sum;
};

/* ---- the child ---------------------------------------------------------------------------- */

static bool send_all(int fd, const void *data, size_t size)
{
    const char *at = data;

    while (size > 0) {
        ssize_t sent = write(fd, at, size);

        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent <= 0) {
            return false;
        }
        at += sent;
        size -= (size_t)sent;
    }
    return true;
}

static int send_finding(void *arg, const instar_finding *finding)
{
    const char *texts[TEXTS] = {finding->table, finding->index, finding->key, finding->text};
    struct message m = {.problem = (uint32_t)finding->problem, .written_by = finding->written_by};
    int fd = *(int *)arg;
    bool ok;

    for (int i = 0; i < TEXTS; i++) {
        m.sizes[i] = texts[i] != NULL ? (uint32_t)strnlen(texts[i], TEXT_MAX) : UINT32_MAX;
    }
    ok = send_all(fd, &m, sizeof(m));
    for (int i = 0; ok && i < TEXTS; i++) {
        ok = texts[i] == NULL || send_all(fd, texts[i], m.sizes[i]);
    }
    return ok ? 0 : INSTAR_ECANCELLED;
}

static void limit(int what, rlim_t most)
{
    struct rlimit r = {most, most};

    (void)setrlimit(what, &r);
}

/* Nothing that it reads may make it write, start something, or go on for ever. */
static void limit_child(uint64_t seconds)
{
    limit(RLIMIT_FSIZE, 0);
    limit(RLIMIT_NPROC, 0);
    limit(RLIMIT_NOFILE, 64);
    limit(RLIMIT_CPU, (rlim_t)seconds);
#if !defined(__SANITIZE_ADDRESS__)
    limit(RLIMIT_AS, MEMORY_LIMIT);
#endif
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)alarm((unsigned)seconds); /* for time that is not spent computing */
}

static int look_inside(struct cli *cli, int fd, instar_check_summary *sum)
{
    instar_options options;
    uint64_t pages = sum->pages;
    int rc;

    instar_options_init(&options);
    options.flags |= INSTAR_OPEN_NO_RUNNER;
    rc = instar_open(cli->store, &options, &cli->db);
    if (rc != INSTAR_OK) {
        return cli_fail(cli, rc, "opening the store");
    }
    rc = cli_switch(cli, "fast") ? instar_check_fast(cli->db, send_finding, &fd, sum)
                                 : instar_check(cli->db, send_finding, &fd, sum);
    sum->pages = sum->pages > pages ? sum->pages : pages;
    if (rc != INSTAR_OK && sum->findings == 0) {
        (void)cli_fail(cli, rc, "check");
    }
    if (instar_close(cli->db) != INSTAR_OK && rc == INSTAR_OK) {
        return CLI_FAILED;
    }
    return rc == INSTAR_OK ? CLI_OK : CLI_FAILED;
}

/* The first look, at the files. */
struct first_look {
    int fd;
    bool last;       /* no other one follows */
    uint64_t damage; /* findings that forbid it */
};

static int on_file(void *arg, const instar_finding *finding)
{
    struct first_look *first = arg;

    if (!first->last && finding->problem == INSTAR_PROBLEM_DIGEST) {
        return 0; /* the second look knows whose tree it is */
    }
    first->damage++;
    return send_finding(&first->fd, finding);
}

static int look(struct cli *cli, int fd, instar_check_summary *sum)
{
    bool untrusted = cli_switch(cli, "untrusted");
    struct first_look first = {.fd = fd, .last = untrusted || cli_switch(cli, "fast")};
    int rc = instar_check_files(cli->store, on_file, &first, sum);

    if (first.damage > 0) {
        return CLI_FAILED;
    }
    if (rc == INSTAR_EBUSY && !untrusted) {
        return look_inside(cli, fd, sum);
    }
    if (rc != INSTAR_OK && rc != INSTAR_ECORRUPT) {
        return cli_fail(cli, rc, "check");
    }
    return first.last ? CLI_OK : look_inside(cli, fd, sum);
}

static void work(struct cli *cli, int fd, uint64_t seconds)
{
    struct message m = {.last = 1};

    limit(RLIMIT_CORE, 0);
    if (cli_switch(cli, "untrusted")) {
        limit_child(seconds);
    }
    m.exit_code = look(cli, fd, &m.sum);
    (void)fflush(stderr);
    _exit(send_all(fd, &m, sizeof(m)) ? 0 : 1);
}

/* ---- this process ------------------------------------------------------------------------- */

static const char *problem_name(uint32_t problem)
{
    switch ((enum instar_problem)problem) {
    case INSTAR_PROBLEM_ROW_UNREADABLE:
        return "row-unreadable";
    case INSTAR_PROBLEM_ENTRY_MISSING:
        return "entry-missing";
    case INSTAR_PROBLEM_ENTRY_DANGLING:
        return "entry-dangling";
    case INSTAR_PROBLEM_ENTRY_UNREADABLE:
        return "entry-unreadable";
    case INSTAR_PROBLEM_CONSTRAINT:
        return "constraint";
    case INSTAR_PROBLEM_TREE:
        return "tree";
    case INSTAR_PROBLEM_LOG:
        return "log";
    case INSTAR_PROBLEM_VERSION:
        return "version";
    case INSTAR_PROBLEM_FILE:
        return "file";
    case INSTAR_PROBLEM_DIGEST:
        return "digest";
    }
    return "?";
}

static bool receive_all(int fd, void *data, size_t size)
{
    char *at = data;

    while (size > 0) {
        ssize_t got = read(fd, at, size);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        at += got;
        size -= (size_t)got;
    }
    return true;
}

/* The child may have been led astray: its numbers are not believed. */
static bool receive_finding(int fd, const struct message *m, struct out *out)
{
    static char texts[TEXTS][TEXT_MAX];
    struct out_cell cells[TEXTS];
    char version[OUT_NUMBER_SIZE];

    for (int i = 0; i < TEXTS; i++) {
        bool none = m->sizes[i] == UINT32_MAX;

        if (!none && (m->sizes[i] > TEXT_MAX || !receive_all(fd, texts[i], m->sizes[i]))) {
            return false;
        }
        cells[i] = none ? (struct out_cell){NULL, 0} : (struct out_cell){texts[i], m->sizes[i]};
    }
    out_row(out, (struct out_cell[]){out_text(problem_name(m->problem)), cells[TEXT_TABLE],
                                     cells[TEXT_INDEX], cells[TEXT_KEY],
                                     out_u64(m->written_by, version), cells[TEXT_WORDS]});
    return true;
}

/* It did not come to its end. */
static void report_death(struct out *out, int status, instar_check_summary *sum)
{
    int number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    bool late = number == SIGALRM || number == SIGXCPU;
    char text[200], version[OUT_NUMBER_SIZE];

    if (late) {
        (void)snprintf(text, sizeof(text), "the check did not end in its time");
    } else {
        (void)snprintf(text, sizeof(text),
                       "the process that looked was ended by %s: what it read led it astray",
                       number != 0 ? strsignal(number) : "itself");
    }
    sum->findings++;
    out_row(out, (struct out_cell[]){out_text("file"), out_text(""), out_text(NULL), out_text(""),
                                     out_u64(0, version), out_text(text)});
}

static int collect(const struct cli *cli, int fd, pid_t child)
{
    static const struct out_column columns[] = {{"problem", OUT_TEXT},      {"table", OUT_TEXT},
                                                {"index", OUT_TEXT},        {"key", OUT_TEXT},
                                                {"written_by", OUT_NUMBER}, {"text", OUT_TEXT}};
    struct out *out = out_begin(cli, columns, sizeof(columns) / sizeof(columns[0]));
    struct message m = {.exit_code = CLI_FAILED};
    uint64_t seen = 0;
    int status = 0, rc_out;

    while (receive_all(fd, &m, sizeof(m)) && m.last == 0) {
        if (!receive_finding(fd, &m, out)) {
            break;
        }
        seen++;
    }
    (void)close(fd);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (m.last == 0) {
        m = (struct message){.exit_code = CLI_FAILED, .sum.findings = seen};
        report_death(out, status, &m.sum);
    }
    rc_out = out_end(out);
    if (m.exit_code != CLI_OK && m.sum.findings == 0) {
        return CLI_FAILED; /* it could not look, and has said why */
    }
    fprintf(stderr,
            cli->json
                ? "{\"tables\": %" PRIu64 ", \"indexes\": %" PRIu64 ", \"rows\": %" PRIu64
                  ", \"entries\": %" PRIu64 ", \"pages\": %" PRIu64 ", \"findings\": %" PRIu64 "}\n"
                : "checked %" PRIu64 " tables, %" PRIu64 " indexes, %" PRIu64 " rows, %" PRIu64
                  " entries, %" PRIu64 " pages: %" PRIu64 " findings\n",
            m.sum.tables, m.sum.indexes, m.sum.rows, m.sum.entries, m.sum.pages, m.sum.findings);
    return m.exit_code != CLI_OK ? CLI_FAILED : rc_out;
}

static int check_after_io_error(const struct cli *cli)
{
    int rc = instar_check_after_io_error(cli->store);

    return rc == INSTAR_OK ? cli_written(cli, "checked") : cli_fail(cli, rc, "check");
}

int command_check(struct cli *cli)
{
    uint64_t seconds = TIME_LIMIT_S;
    int ends[2], modes, rc;
    pid_t child;

    modes = cli_switch(cli, "fast") + cli_switch(cli, "full") + cli_switch(cli, "untrusted") +
            cli_switch(cli, "after-io-error");
    if (modes > 1) {
        return cli_usage(cli, "give one of --fast, --full, --untrusted, --after-io-error");
    }
    rc = cli_number(cli, "time-limit", TIME_LIMIT_MOST_S, &seconds);
    if (rc != CLI_OK) {
        return rc;
    }
    if (cli_switch(cli, "after-io-error")) {
        return check_after_io_error(cli);
    }
    (void)fflush(NULL);
    if (pipe(ends) != 0 || (child = fork()) < 0) {
        return cli_error(cli, "see the limits of processes and open files", "%s", strerror(errno));
    }
    if (child == 0) {
        (void)close(ends[0]);
        work(cli, ends[1], seconds > 0 ? seconds : 1);
    }
    (void)close(ends[1]);
    return collect(cli, ends[0], child);
}
