/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file to read that Ctrl-C ends, a pipe or a terminal too.
 *
 * A signal that comes between a look at `cli_interrupted` and read() would be noted and then waited
 * past. So the signals are blocked before the look, and let in only by ppoll(), which takes the old
 * mask and begins to wait in one step. Threads of the engine block all signals: they come here.
 */
#define _GNU_SOURCE /* fopencookie, ppoll */
#include "input.h"
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INPUT_BUFFER_BYTES ((size_t)64 << 10)

/* Returns when there is something to read, or with EINTR. */
static int wait_for_bytes(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    sigset_t stops, before;
    int rc, error;

    (void)sigemptyset(&stops);
    (void)sigaddset(&stops, SIGINT);
    (void)sigaddset(&stops, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &stops, &before);
    errno = EINTR;
    rc = cli_interrupted != 0 ? -1 : ppoll(&poll_fd, 1, NULL, &before);
    error = errno;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return rc < 0 ? -1 : 0;
}

static ssize_t input_read(void *cookie, char *buffer, size_t size)
{
    struct input *in = cookie;
    ssize_t got;

    do {
        if (wait_for_bytes(in->fd) != 0 && (errno != EINTR || cli_interrupted != 0)) {
            return -1;
        }
        got = read(in->fd, buffer, size);
    } while (got < 0 && (errno == EAGAIN || errno == EINTR) && cli_interrupted == 0);
    in->got += got > 0 ? (uint64_t)got : 0;
    return got;
}

static int input_close(void *cookie)
{
    const struct input *in = cookie;

    return in->fd != STDIN_FILENO ? close(in->fd) : 0;
}

FILE *input_open(const char *path, struct input *in)
{
    const cookie_io_functions_t functions = {.read = input_read, .close = input_close};
    struct stat stat;
    FILE *file;

    /* Without O_NONBLOCK the open of a named pipe would wait for its writer. */
    *in = (struct input){.fd = strcmp(path, "-") == 0
                                   ? STDIN_FILENO
                                   : open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
    if (in->fd < 0) {
        return NULL;
    }
    if (fstat(in->fd, &stat) == 0 && S_ISREG(stat.st_mode)) {
        in->size = (uint64_t)stat.st_size;
    }
    file = fopencookie(in, "r", functions);
    if (file == NULL) {
        (void)input_close(in);
        return NULL;
    }
    (void)setvbuf(file, NULL, _IOFBF, INPUT_BUFFER_BYTES);
    return file;
}
