/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The director: imports the data, starts writers and runners, and goes through the steps while the
 * writers' figures are measured. Every step says what must come out of it; anything else ends the
 * demo with a message and exit code 1.
 */
#include "director.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- talk --------------------------------------------------------------------------------- */

int wrong(const char *format, ...)
{
    va_list args;

    fprintf(stderr, "\ndemo: WRONG: ");
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n");
    return -1;
}

int wrong_call(const char *doing, int rc)
{
    return wrong("%s: %s (%s)", doing, instar_error_text(), instar_error_name(rc));
}

void draw(struct director *d, const char *what)
{
    struct sample now;
    double since;

    sample_take(d->stage, &now);
    since = (double)(now.ns - d->shown.ns) / 1e9;
    if (since < (d->terminal ? 0.2 : 1.0)) {
        return;
    }
    printf("%s  writers: %6.0f commits/s, p99 %6.2f ms | %s%s", d->terminal ? "\r\x1b[K" : "",
           sample_rate(&d->shown, &now), sample_percentile_ms(&d->shown, &now, 99), what,
           d->terminal ? "" : "\n");
    (void)fflush(stdout);
    d->shown = now;
}

void step_begin(struct director *d)
{
    sample_take(d->stage, &d->begin);
    d->shown = d->begin;
    (void)stage_longest_ns(d->stage);
}

void step_end(struct director *d, const char *name)
{
    struct step *step = &d->steps[d->step_count++];
    struct sample end;

    sample_take(d->stage, &end);
    (void)snprintf(step->name, sizeof(step->name), "%s", name);
    step->seconds = (double)(end.ns - d->begin.ns) / 1e9;
    step->rate = sample_rate(&d->begin, &end);
    step->p99_ms = sample_percentile_ms(&d->begin, &end, 99);
    step->longest_ms = (double)stage_longest_ns(d->stage) / 1e6;
    printf("%s%s: %.2f s\n", d->terminal ? "\r\x1b[K" : "", name, step->seconds);
}

int step_end_change(struct director *d, const char *name, int rc)
{
    if (rc != INSTAR_OK) {
        return wrong_call(name, rc);
    }
    step_end(d, name);
    return 0;
}

int step_end_failed(struct director *d, const char *name, int rc, const instar_change_info *info,
                    int error)
{
    if (rc == INSTAR_OK) {
        return wrong("%s: it was made, though rows forbid it", name);
    }
    if (rc != INSTAR_EFAILED || info->error != error || info->duplicate_count == 0) {
        return wrong_call(name, rc);
    }
    step_end(d, name);
    printf("%s\n", info->reason);
    return 0;
}

/* ---- processes ---------------------------------------------------------------------------- */

/* Run a program; with `ready`, wait until it writes a byte to its standard output. */
static pid_t start(char *const *arguments, bool ready)
{
    int pipe_fds[2] = {-1, -1};
    char byte;
    pid_t pid;

    if (ready && pipe(pipe_fds) != 0) {
        return -1;
    }
    (void)fflush(NULL);
    pid = fork();
    if (pid == 0) {
        if (ready) {
            (void)dup2(pipe_fds[1], STDOUT_FILENO);
            (void)close(pipe_fds[0]);
            (void)close(pipe_fds[1]);
        }
        (void)execv(arguments[0], arguments);
        _exit(127);
    }
    if (ready) {
        (void)close(pipe_fds[1]);
        if (pid > 0 && read(pipe_fds[0], &byte, 1) != 1) {
            pid = -1;
        }
        (void)close(pipe_fds[0]);
    }
    return pid;
}

int run_tool(struct director *d, const char *command, const char *a, const char *b)
{
    char *arguments[] = {(char *)(uintptr_t)d->tool, (char *)(uintptr_t)command, d->store,
                         (char *)(uintptr_t)a,       (char *)(uintptr_t)b,       NULL};
    int status = -1;
    pid_t pid = start(arguments, false);

    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        return wrong("`instar %s` failed", command);
    }
    return 0;
}

static pid_t start_self(struct director *d, const char *role, const char *number)
{
    char self[] = "/proc/self/exe";
    char real[512];
    ssize_t size = readlink(self, real, sizeof(real) - 1);
    char *writer[] = {real,
                      (char *)(uintptr_t)role,
                      d->store,
                      d->stage_path,
                      (char *)(uintptr_t)number,
                      NULL,
                      NULL,
                      NULL};
    char columns[sizeof(d->data->text)] = "";

    if (size < 0) {
        return -1;
    }
    real[size] = '\0';
    if (strcmp(role, "runner") == 0) {
        writer[4] = NULL;
        return start(writer, true);
    }
    for (size_t i = 0; i < d->data->count; i++) {
        size_t at = strlen(columns);

        (void)snprintf(columns + at, sizeof(columns) - at, "%s%s", i > 0 ? "," : "",
                       d->data->columns[i]);
    }
    writer[5] = columns;
    writer[6] = (char *)(uintptr_t)d->data->columns[d->data->indexed];
    return start(writer, false);
}

static int start_all(struct director *d)
{
    static const char *const numbers[DEMO_WRITERS] = {"0", "1", "2", "3"};
    uint64_t end = now_ns() + 10000000000u;

    for (int i = 0; i < RUNNERS; i++) {
        d->runners[i] = start_self(d, "runner", NULL);
        if (d->runners[i] < 0) {
            return wrong("a runner process did not start");
        }
    }
    for (int i = 0; i < DEMO_WRITERS; i++) {
        d->writers[i] = start_self(d, "writer", numbers[i]);
    }
    while (atomic_load(&d->stage->ready) < DEMO_WRITERS) {
        if (now_ns() > end || atomic_load(&d->stage->failed) > 0) {
            return wrong("the writers did not start");
        }
        (void)instar_flush(d->db);
    }
    return 0;
}

static int stop_all(struct director *d)
{
    int failed = 0, status;

    atomic_store(&d->stage->stop, true);
    for (int i = 0; i < DEMO_WRITERS; i++) {
        if (d->writers[i] > 0 && (waitpid(d->writers[i], &status, 0) < 0 || status != 0)) {
            failed++;
        }
        d->writers[i] = 0;
    }
    for (int i = 0; i < RUNNERS; i++) {
        if (d->runners[i] > 0) {
            (void)kill(d->runners[i], SIGTERM);
            if (waitpid(d->runners[i], &status, 0) < 0 || status != 0) {
                failed++;
            }
        }
        d->runners[i] = 0;
    }
    return failed == 0 ? 0 : wrong("%d processes ended with an error", failed);
}

/* ---- the whole ---------------------------------------------------------------------------- */

/* For the rest of the demo this process runs no change itself: the runners do. */
static int open_store(struct director *d)
{
    instar_options options;
    int rc;

    instar_options_init(&options);
    options.flags = INSTAR_OPEN_NO_RUNNER;
    rc = instar_open(d->store, &options, &d->db);
    return rc == INSTAR_OK ? 0 : wrong_call("opening", rc);
}

/* Of a shorter step a rate says nothing. */
#define SHOWN_SECONDS_MIN 0.1

static void print_table(const struct director *d)
{
    const struct step *idle = &d->steps[1];

    printf("\n%-38s %9s %12s %8s %9s %9s\n", "step", "seconds", "commits/s", "of idle", "p99 ms",
           "longest");
    for (size_t i = 0; i < d->step_count; i++) {
        const struct step *s = &d->steps[i];

        if (s->rate <= 0 || s->seconds < SHOWN_SECONDS_MIN) {
            printf("%-38s %9.3f\n", s->name, s->seconds);
            continue;
        }
        printf("%-38s %9.3f %12.0f %7.0f%% %9.2f %9.1f\n", s->name, s->seconds, s->rate,
               idle->rate > 0 ? s->rate * 100 / idle->rate : 0, s->p99_ms, s->longest_ms);
    }
    printf("\n%d writer processes, each commit durable; p99 and longest commit in ms\n\n",
           DEMO_WRITERS);
}

static int go_through(struct director *d)
{
    static int (*const steps[])(struct director *) = {
        step_idle, step_index,   step_unique_fails, step_repair,         step_unique,
        step_kill, step_drop,    step_add_columns,  step_not_null_fails, step_not_null,
        step_type, step_several, step_undo,         step_vacuum,         step_key};

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (steps[i](d) != 0) {
            return -1;
        }
        if (atomic_load(&d->stage->failed) > 0) {
            return wrong("a writer failed");
        }
    }
    return 0;
}

int director_main(const char *tool, const char *scratch, const struct demo_data *data)
{
    struct director d = {.tool = tool, .data = data, .terminal = isatty(STDOUT_FILENO) == 1};
    int rc;

    (void)snprintf(d.store, sizeof(d.store), "%s/store", scratch);
    (void)snprintf(d.csv, sizeof(d.csv), "%s/data.csv", scratch);
    (void)snprintf(d.stage_path, sizeof(d.stage_path), "%s/stage", scratch);
    d.stage = stage_map(d.stage_path, true);
    if (d.stage == NULL || step_import(&d) != 0 || open_store(&d) != 0) {
        return 1;
    }
    rc = start_all(&d);
    if (rc == 0) {
        rc = go_through(&d);
    }
    if (stop_all(&d) != 0) {
        rc = -1;
    }
    if (instar_close(d.db) != INSTAR_OK) {
        rc = wrong("closing: %s", instar_error_text());
    }
    if (rc == 0) {
        print_table(&d);
        rc = run_tool(&d, "check", NULL, NULL);
    }
    printf(rc == 0 ? "demo: all as expected\n" : "demo: FAILED\n");
    return rc == 0 ? 0 : 1;
}
