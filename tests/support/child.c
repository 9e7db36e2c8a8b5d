/* SPDX-License-Identifier: Apache-2.0 */
/* Child processes over a pair of pipes. */
#define _GNU_SOURCE
#include "support/test.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <fcntl.h>

/* A spawned program finds its pipe here. */
#define SPAWN_IN 3
#define SPAWN_OUT 4
#define ARGS_MAX 30

struct pipes {
    int down[2]; /* parent to child */
    int up[2];
};

static void make_pipes(struct pipes *p)
{
    if (pipe2(p->down, O_CLOEXEC) != 0 || pipe2(p->up, O_CLOEXEC) != 0) {
        test_fail(__FILE__, __LINE__, "pipe: %s", strerror(errno));
    }
}

static void keep_parent_side(struct test_child *c, const struct pipes *p, pid_t pid)
{
    close(p->down[0]);
    close(p->up[1]);
    *c = (struct test_child){.pid = pid, .in = p->up[0], .out = p->down[1]};
}

/* A test that fails or is killed leaves no process behind. */
static void end_with_parent(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(TEST_FAILED);
    }
}

#if defined(__SANITIZE_ADDRESS__)
#define QUIET_TRIES 200
#define QUIET_STEP_NS 1000000

/* Sleeps in a call in which nobody holds a lock of the sanitizer's. */
static bool sleeps(const char *tid)
{
    static const long calls[] = {SYS_futex, SYS_poll,       SYS_ppoll,
                                 SYS_read,  SYS_epoll_wait, SYS_clock_nanosleep};
    char path[320];
    char text[32] = "";
    snprintf(path, sizeof(path), "/proc/self/task/%s/syscall", tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return true; /* it has ended */
    }
    ssize_t size = read(fd, text, sizeof(text) - 1);
    close(fd);
    for (size_t i = 0; size > 0 && i < BASE_ARRAY_LEN(calls); i++) {
        char *end;
        if (strtol(text, &end, 10) == calls[i] && end != text) {
            return true;
        }
    }
    return false;
}

static bool all_others_sleep(void)
{
    DIR *dir = opendir("/proc/self/task");
    char own[16];
    bool all = true;
    expect(dir != NULL);
    snprintf(own, sizeof(own), "%d", (int)gettid());
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        all = all && (e->d_name[0] == '.' || strcmp(e->d_name, own) == 0 || sleeps(e->d_name));
    }
    closedir(dir);
    return all;
}

/* The sanitizer's allocator does not survive a fork in the middle of another thread's allocation:
 * the child would wait for that thread for ever. So wait until the other threads sleep, if they do.
 */
static void await_quiet(void)
{
    for (int i = 0; i < QUIET_TRIES && !all_others_sleep(); i++) {
        os_sleep_ns(QUIET_STEP_NS);
    }
}
#else
static void await_quiet(void)
{
}
#endif

void *test_shared(size_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        test_fail(__FILE__, __LINE__, "mmap: %s", strerror(errno));
    }
    return at;
}

void test_fork(struct test_child *c, void (*fn)(struct test_child *self, void *arg), void *arg)
{
    struct pipes p;
    make_pipes(&p);
    pid_t parent = getpid();
    fflush(NULL);
    await_quiet();
    pid_t pid = fork();
    if (pid < 0) {
        test_fail(__FILE__, __LINE__, "fork: %s", strerror(errno));
    }
    if (pid == 0) {
        end_with_parent(parent);
        signal(SIGPIPE, SIG_IGN);
        close(p.down[1]);
        close(p.up[0]);
        struct test_child self = {.pid = 0, .in = p.down[0], .out = p.up[1]};
        fn(&self, arg);
        fflush(NULL);
        test_keep_counts();
        _exit(0);
    }
    keep_parent_side(c, &p, pid);
}

static void program_path(char *path, size_t size, const char *program)
{
    char self[512];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (length < 0) {
        test_fail(__FILE__, __LINE__, "/proc/self/exe: %s", strerror(errno));
    }
    self[length] = '\0';
    /* …/tests/<kind>/<test> has its helpers in …/tests/bin */
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(self, '/');
        if (slash != NULL) {
            *slash = '\0';
        }
    }
    snprintf(path, size, "%s/bin/%s", self, program);
}

void test_spawn(struct test_child *c, const char *program, const char *const *args)
{
    char path[600];
    program_path(path, sizeof(path), program);
    char *argv[ARGS_MAX + 2] = {path};
    for (int i = 0; args != NULL && args[i] != NULL; i++) {
        expect(i < ARGS_MAX);
        argv[i + 1] = (char *)(uintptr_t)args[i];
    }
    struct pipes p;
    make_pipes(&p);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0) {
        test_fail(__FILE__, __LINE__, "fork: %s", strerror(errno));
    }
    if (pid == 0) {
        end_with_parent(parent);
        /* Out of the way first: a pipe's end may have one of the two numbers already. */
        int in = fcntl(p.down[0], F_DUPFD, 10);
        int out = fcntl(p.up[1], F_DUPFD, 10);
        if (dup2(in, SPAWN_IN) < 0 || dup2(out, SPAWN_OUT) < 0) {
            _exit(TEST_FAILED);
        }
        close(in);
        close(out);
        execv(path, argv);
        fprintf(stderr, "cannot run %s: %s\n", path, strerror(errno));
        _exit(TEST_FAILED);
    }
    keep_parent_side(c, &p, pid);
}

struct test_child test_child_self(void)
{
    signal(SIGPIPE, SIG_IGN);
    return (struct test_child){.pid = 0, .in = SPAWN_IN, .out = SPAWN_OUT};
}

void test_send(struct test_child *c, uint64_t word)
{
    ssize_t put;
    do {
        put = write(c->out, &word, sizeof(word));
    } while (put < 0 && errno == EINTR);
    if (put != (ssize_t)sizeof(word)) {
        test_fail(__FILE__, __LINE__, "the other process is gone (sending %llu)",
                  (unsigned long long)word);
    }
}

static uint64_t receive(struct test_child *c)
{
    uint64_t word = 0;
    ssize_t got;
    do {
        got = read(c->in, &word, sizeof(word)); /* whole: writes of this size are atomic */
    } while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof(word)) {
        test_fail(__FILE__, __LINE__, "the other process is gone");
    }
    return word;
}

uint64_t test_receive(struct test_child *c)
{
    struct pollfd ready = {.fd = c->in, .events = POLLIN};
    int n;
    do {
        n = poll(&ready, 1, TEST_AWAIT_S * 1000);
    } while (n < 0 && errno == EINTR);
    if (n == 0) {
        test_fail(__FILE__, __LINE__, "nothing from the other process in %d s", TEST_AWAIT_S);
    }
    return receive(c);
}

uint64_t test_until_told(struct test_child *self)
{
    return receive(self);
}

void test_await(struct test_child *c, uint64_t word)
{
    uint64_t got = test_receive(c);
    if (got != word) {
        test_fail(__FILE__, __LINE__, "the other process said %llu, not %llu",
                  (unsigned long long)got, (unsigned long long)word);
    }
}

int test_wait(struct test_child *c)
{
    int status;
    pid_t got;
    if (c->out >= 0) {
        close(c->out);
    }
    do {
        got = waitpid(c->pid, &status, 0);
    } while (got < 0 && errno == EINTR);
    if (got != c->pid) {
        test_fail(__FILE__, __LINE__, "waitpid: %s", strerror(errno));
    }
    if (c->in >= 0) {
        close(c->in);
    }
    *c = (struct test_child){.pid = 0, .in = -1, .out = -1};
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void test_kill(struct test_child *c, int signal)
{
    if (kill(c->pid, signal) != 0) {
        test_fail(__FILE__, __LINE__, "kill: %s", strerror(errno));
    }
    if (signal == SIGKILL) {
        test_wait(c);
    }
}

void test_wait_ok(struct test_child *c)
{
    int status = test_wait(c);
    if (status != 0) {
        test_fail(__FILE__, __LINE__, "the other process ended with %d", status);
    }
}
