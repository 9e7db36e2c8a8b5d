/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instar torture: runs a program under the recorder, makes every disk that a power cut may leave of
 * what it did, and has the user's check look at each. See docs/torture.md.
 *
 * Everything happens in a directory of its own: work/ has the trace and what the program printed,
 * root/ is the directory that the program sees as {}, and state/ the one that the check sees.
 */
#define _GNU_SOURCE
#include "torture/torture.h"

#include "support/powercut.h"
#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATH_SIZE 600
#define COMMAND_SIZE 8192
#define ARGUMENTS_MAX 200
#define STATES 500
#define LIMIT_S 60
#define SHELL_ABSENT 127

static const char usage[] =
    "usage: instar torture --check COMMAND [OPTION...] -- PROGRAM [ARGUMENT...]\n"
    "\n"
    "Runs PROGRAM once and records what is written below a directory; then makes every disk\n"
    "that a power cut may leave, and runs COMMAND on each. In both, {} is the directory; in\n"
    "COMMAND, {output} is a file with what PROGRAM had printed when the power went. A COMMAND\n"
    "that does not end with 0 is a finding.\n"
    "\n"
    "  --check COMMAND    of the shell: is all there that was acknowledged, nothing by halves?\n"
    "  --prepare COMMAND  of the shell: run before PROGRAM, not recorded\n"
    "  --states N         how many states are looked at, about [500]; 0: all\n"
    "  --seed N           which ones [1]\n"
    "  --limit SECONDS    for one COMMAND [60]\n"
    "  --keep DIRECTORY   for what is found [torture-finding; with --trace torture-again]\n"
    "  --trace DIRECTORY  what an earlier finding has kept, in place of running PROGRAM\n"
    "\n"
    "Exit: 0 every look was good, 1 a finding, 2 wrong use, 3 it could not be done.\n";

struct torture {
    const char *check, *prepare, *keep, *again;
    uint64_t states, limit_s;
    char **program;
    char work[PATH_SIZE], root[PATH_SIZE], state[PATH_SIZE], output[PATH_SIZE];
    char self[PATH_SIZE]; /* where recorder.so lies */
    uint8_t *printed;     /* all of it */
    size_t printed_size;
};

/* ---- commands ----------------------------------------------------------------------------- */

/* `text` with {} and {output} put in. False: too long. */
static bool put_in(const char *text, const char *dir, const char *output, char *to, size_t size)
{
    size_t used = 0;
    while (*text != '\0' && used + 1 < size) {
        const char *word = NULL;
        if (strncmp(text, "{}", 2) == 0) {
            word = dir;
            text += 2;
        } else if (output != NULL && strncmp(text, "{output}", 8) == 0) {
            word = output;
            text += 8;
        }
        int n = word != NULL ? snprintf(to + used, size - used, "%s", word)
                             : snprintf(to + used, size - used, "%c", *text++);
        used += (size_t)n;
    }
    return *text == '\0' && used < size;
}

/* Exit status; negative: the signal. */
static int await(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int run_shell(const char *command, uint64_t limit_s, const char *output)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        int fd = output != NULL ? open(output, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
        if (fd >= 0) {
            (void)dup2(fd, 1);
            (void)dup2(fd, 2);
        }
        (void)alarm((unsigned)limit_s); /* goes on in what is executed */
        (void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(SHELL_ABSENT);
    }
    return pid > 0 ? await(pid) : SHELL_ABSENT;
}

/* ---- recording ---------------------------------------------------------------------------- */

static int broken(const char *what)
{
    (void)fprintf(stderr, "instar: torture: %s\n", what);
    return TORTURE_BROKEN;
}

static void run_program(const struct torture *t)
{
    static char words[ARGUMENTS_MAX][PATH_SIZE];
    static char *argv[ARGUMENTS_MAX + 1];
    char preload[2 * PATH_SIZE];
    const char *old = getenv("LD_PRELOAD");
    for (size_t i = 0; t->program[i] != NULL && i < ARGUMENTS_MAX; i++) {
        if (!put_in(t->program[i], t->root, NULL, words[i], sizeof(words[i]))) {
            _exit(SHELL_ABSENT);
        }
        argv[i] = words[i];
    }
    int fd = open(t->output, O_WRONLY | O_CREAT | O_APPEND, 0600);
    (void)snprintf(preload, sizeof(preload), "%s/recorder.so%s%s", t->self, old != NULL ? " " : "",
                   old != NULL ? old : "");
    if (fd >= 0 && dup2(fd, 1) == 1 && setenv("LD_PRELOAD", preload, 1) == 0 &&
        setenv(TORTURE_ROOT, t->root, 1) == 0 && setenv(TORTURE_WORK, t->work, 1) == 0) {
        (void)execvp(argv[0], argv);
    }
    (void)fprintf(stderr, "instar: torture: %s: %s\n", argv[0], strerror(errno));
    _exit(SHELL_ABSENT);
}

static struct torture_owner *make_owner(const struct torture *t)
{
    char path[PATH_SIZE + 16];
    (void)snprintf(path, sizeof(path), "%s/" TORTURE_OWNER, t->work);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    expect(fd >= 0 && ftruncate(fd, sizeof(struct torture_owner)) == 0);
    void *at = mmap(NULL, sizeof(struct torture_owner), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    expect(at != MAP_FAILED);
    (void)close(fd);
    return at;
}

static int judge_run(const struct torture *t, const struct torture_owner *owner, int status)
{
    if (status != 0) {
        (void)fprintf(stderr, "instar: torture: %s ended with %s %d\n", t->program[0],
                      status < 0 ? "signal" : "status", abs(status));
        return broken("it has to come to its end without the power being cut");
    }
    if (owner->pid == 0) {
        return broken("nothing was written below {}: does the program get that directory, and is "
                      "it linked with the C library dynamically?");
    }
    if (owner->other != 0) {
        return broken("several processes have written below {}: one can be recorded; use "
                      "--prepare for what comes before");
    }
    if (owner->closed == 0) {
        return broken("the program has left no record: it has to return from main or call exit()");
    }
    return 0;
}

static int record(const struct torture *t)
{
    struct torture_owner *owner = make_owner(t);
    int fd = open(t->output, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    expect(fd >= 0);
    (void)close(fd);
    (void)fflush(NULL);
    pid_t pid = fork();
    expect(pid >= 0);
    if (pid == 0) {
        run_program(t);
    }
    return judge_run(t, owner, await(pid));
}

static struct trace *load(const struct torture *t)
{
    char path[PATH_SIZE + 16];
    (void)snprintf(path, sizeof(path), "%s/" TORTURE_TRACE, t->again != NULL ? t->again : t->work);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        (void)fprintf(stderr, "instar: torture: %s: %s\n", path, strerror(errno));
        return NULL;
    }
    struct trace *trace = trace_load(fd);
    (void)close(fd);
    if (trace == NULL) {
        (void)broken("the program ended in the middle of a write: it has to close the store");
    }
    return trace;
}

/* ---- looking ------------------------------------------------------------------------------ */

static void write_output(const struct torture *t, const char *path, uint64_t size)
{
    test_write_file(path, t->printed, size < t->printed_size ? (size_t)size : t->printed_size);
}

static bool look(void *arg, const struct powercut_state *state, char *text, size_t text_size)
{
    const struct torture *t = arg;
    char command[COMMAND_SIZE];
    char output[PATH_SIZE + 16];
    char said[PATH_SIZE + 16];
    (void)snprintf(output, sizeof(output), "%s/acknowledged", t->work);
    (void)snprintf(said, sizeof(said), "%s/said", t->work);
    write_output(t, output, state->durable);
    test_write_file(said, "", 0);
    expect(put_in(t->check, state->path, output, command, sizeof(command)));
    int status = run_shell(command, t->limit_s, said);
    if (status == 0) {
        return true;
    }
    size_t size = 0;
    char *words = (char *)test_read_file(said, &size);
    (void)snprintf(text, text_size, "the check ended with %s %d%s; it said:\n%.*s",
                   status < 0 ? "signal" : "status", abs(status),
                   status == -SIGALRM ? " (--limit)" : "", (int)(size < 600 ? size : 600), words);
    free(words);
    write_output(t, t->output, state->durable); /* for what is kept */
    return false;
}

static void copy_to(const char *from, const char *dir, const char *name)
{
    char path[2 * PATH_SIZE];
    size_t size;
    uint8_t *data = test_read_file(from, &size);
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    test_write_file(path, data, size);
    free(data);
}

/* The walk has put the state there, untouched by the check; what else is needed is added. */
static void keep(const struct torture *t)
{
    char path[2 * PATH_SIZE];
    char command[COMMAND_SIZE];
    char output[2 * PATH_SIZE];
    (void)snprintf(path, sizeof(path), "%s/" TORTURE_TRACE, t->again != NULL ? t->again : t->work);
    copy_to(path, t->keep, TORTURE_TRACE);
    (void)snprintf(path, sizeof(path), "%s/printed", t->keep);
    test_write_file(path, t->printed, t->printed_size);
    copy_to(t->output, t->keep, "acknowledged");
    (void)snprintf(path, sizeof(path), "%s/state", t->keep);
    (void)snprintf(output, sizeof(output), "%s/acknowledged", t->keep);
    expect(put_in(t->check, path, output, command, sizeof(command)));
    printf("\nThe disk as it was left is kept in %s. Look at a copy of it:\n  %s\n", path, command);
    printf("The whole walk again:\n  instar torture --trace %s --seed %llu --states %llu --check "
           "'%s'\n",
           t->keep, (unsigned long long)torture_seed, (unsigned long long)t->states, t->check);
}

static int walk(struct torture *t, const struct trace *trace)
{
    struct powercut_result result;
    struct powercut job = {.trace = trace,
                           .path = t->state,
                           .wanted = t->states != 0 ? t->states : UINT64_MAX,
                           .stream = 1,
                           .look = look,
                           .arg = t};
    char kept[2 * PATH_SIZE];
    if (mkdir(t->keep, 0700) != 0) {
        (void)fprintf(stderr, "instar: torture: %s: %s\n", t->keep, strerror(errno));
        return TORTURE_BROKEN;
    }
    (void)snprintf(kept, sizeof(kept), "%s/state", t->keep);
    expect(setenv("INSTAR_POWERCUT_KEEP", kept, 1) == 0);
    powercut_run(&job, &result);
    powercut_print("seed and states as given", &result);
    if (result.bad == 0) {
        (void)rmdir(t->keep);
        return result.states > 0 ? 0 : broken("no state was looked at");
    }
    keep(t);
    return TORTURE_FOUND;
}

/* ---- the whole ---------------------------------------------------------------------------- */

static bool read_number(const char *text, uint64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && text[0] != '-';
}

static bool parse(struct torture *t, int argc, char **argv)
{
    static const struct option options[] = {
        {"check", required_argument, NULL, 'c'},  {"prepare", required_argument, NULL, 'p'},
        {"states", required_argument, NULL, 'n'}, {"seed", required_argument, NULL, 's'},
        {"limit", required_argument, NULL, 'l'},  {"keep", required_argument, NULL, 'k'},
        {"trace", required_argument, NULL, 't'},  {NULL, 0, NULL, 0}};
    bool good = true;
    for (int c; good && (c = getopt_long(argc, argv, "+", options, NULL)) != -1;) {
        switch (c) {
        case 'c':
            t->check = optarg;
            break;
        case 'p':
            t->prepare = optarg;
            break;
        case 'k':
            t->keep = optarg;
            break;
        case 't':
            t->again = optarg;
            break;
        case 'n':
            good = read_number(optarg, &t->states);
            break;
        case 's':
            good = read_number(optarg, &torture_seed);
            break;
        case 'l':
            good = read_number(optarg, &t->limit_s);
            break;
        default:
            good = false;
            break;
        }
    }
    if (t->keep == NULL) {
        t->keep = t->again != NULL ? "torture-again" : "torture-finding";
    }
    t->program = argv + optind;
    return good && t->check != NULL && (t->again != NULL) == (optind == argc);
}

static void find_places(struct torture *t)
{
    const char *dir = test_dir();
    ssize_t size = readlink("/proc/self/exe", t->self, sizeof(t->self) - 1);
    expect(size > 0);
    t->self[size] = '\0';
    *strrchr(t->self, '/') = '\0';
    (void)snprintf(t->work, sizeof(t->work), "%s/work", dir);
    (void)snprintf(t->root, sizeof(t->root), "%s/root", dir);
    (void)snprintf(t->state, sizeof(t->state), "%s/state", dir);
    (void)snprintf(t->output, sizeof(t->output), "%s/work/" TORTURE_OUTPUT, dir);
    expect(mkdir(t->work, 0700) == 0 && mkdir(t->root, 0700) == 0);
}

static int prepare(const struct torture *t)
{
    char command[COMMAND_SIZE];
    if (t->prepare == NULL) {
        return 0;
    }
    expect(put_in(t->prepare, t->root, NULL, command, sizeof(command)));
    int status = run_shell(command, t->limit_s, NULL);
    return status == 0 ? 0 : broken("--prepare has failed");
}

int main(int argc, char **argv)
{
    static struct torture t = {.states = STATES, .limit_s = LIMIT_S};
    char path[2 * PATH_SIZE];
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        (void)fputs(usage, stdout);
        return 0;
    }
    if (!parse(&t, argc, argv)) {
        (void)fputs(usage, stderr);
        return TORTURE_USAGE;
    }
    if (access(t.keep, F_OK) == 0) {
        (void)fprintf(stderr, "instar: torture: %s is there already: move it, or --keep\n", t.keep);
        return TORTURE_BROKEN;
    }
    find_places(&t);
    int rc = 0;
    if (t.again == NULL) {
        rc = prepare(&t);
        rc = rc == 0 ? record(&t) : rc;
    }
    struct trace *trace = rc == 0 ? load(&t) : NULL;
    if (trace == NULL) {
        return rc != 0 ? rc : TORTURE_BROKEN;
    }
    (void)snprintf(path, sizeof(path), "%s", t.output);
    if (t.again != NULL) {
        (void)snprintf(path, sizeof(path), "%s/printed", t.again);
    }
    t.printed = test_read_file(path, &t.printed_size);
    rc = walk(&t, trace);
    trace_free(trace);
    free(t.printed);
    return rc;
}
