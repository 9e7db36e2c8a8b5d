/* SPDX-License-Identifier: Apache-2.0 */
/* A runner: has the store open, so that the library's own thread runs changes; does nothing else.
 */
#include "demo.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

int runner_main(const char *store, const char *stage_path)
{
    sigset_t signals;
    struct signalfd_siginfo info;
    instar *db = NULL;
    int fd, rc;

    (void)stage_path;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    fd = signalfd(-1, &signals, SFD_CLOEXEC);
    rc = instar_open(store, NULL, &db);
    if (rc != INSTAR_OK || fd < 0) {
        fprintf(stderr, "\ndemo: runner: %s\n", instar_error_text());
        return 1;
    }
    /* Told on standard output that it is ready; ends when told to. */
    if (write(STDOUT_FILENO, "r", 1) != 1 || read(fd, &info, sizeof(info)) < 0) {
        return 1;
    }
    return instar_close(db) == INSTAR_OK ? 0 : 1;
}
