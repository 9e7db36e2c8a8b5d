/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The start of a test program without Criterion. Takes of its options those that the runner gives:
 * --filter=SUITE/TEST, a pattern, and --tap=FILE for what became of each test.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME_MAX_BYTES 256

static struct plain_test *first;
static struct plain_test **end = &first;

void plain_add(struct plain_test *test)
{
    *end = test;
    end = &test->next;
}

void plain_fail(const char *file, int line, const char *what, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "%s:%d: %s: ", file, line, what);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n");
    _exit(1);
}

static const struct plain_options *of_suite(const char *suite)
{
    static const struct plain_options none;
    for (const struct plain_test *t = first; t != NULL; t = t->next) {
        if (t->name == NULL && strcmp(t->suite, suite) == 0) {
            return &t->options;
        }
    }
    return &none;
}

static void call(void (*fn)(void))
{
    if (fn != NULL) {
        fn();
    }
}

static void run_here(const struct plain_test *t)
{
    const struct plain_options *suite = of_suite(t->suite);
    call(suite->init);
    call(t->options.init);
    t->run();
    call(t->options.fini);
    call(suite->fini);
}

/* In a process of its own, which ends as a program does: what looks for leaks sees it. */
static bool passes(const struct plain_test *t)
{
    int status;
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        run_here(t);
        exit(0);
    }
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return child > 0 && status == 0;
}

static bool wanted(const struct plain_test *t, const char *filter)
{
    char name[NAME_MAX_BYTES];
    (void)snprintf(name, sizeof(name), "%s/%s", t->suite, t->name != NULL ? t->name : "");
    return t->name != NULL && (filter == NULL || fnmatch(filter, name, 0) == 0);
}

static const char *option(int argc, char **argv, const char *name)
{
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], name, strlen(name)) == 0) {
            return argv[i] + strlen(name);
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const char *filter = option(argc, argv, "--filter=");
    const char *path = option(argc, argv, "--tap=");
    FILE *tap = path != NULL ? fopen(path, "w") : stdout;
    unsigned count = 0, failed = 0;
    if (tap == NULL) {
        perror(path);
        return 2;
    }
    for (const struct plain_test *t = first; t != NULL; t = t->next) {
        count += wanted(t, filter);
    }
    fprintf(tap, "1..%u\n", count);
    for (const struct plain_test *t = first; t != NULL; t = t->next) {
        if (wanted(t, filter)) {
            bool ok = passes(t);
            failed += !ok;
            fprintf(tap, "%s - %s::%s\n", ok ? "ok" : "not ok", t->suite, t->name);
        }
    }
    return fflush(tap) != 0 || failed > 0 ? 1 : 0;
}
