/* SPDX-License-Identifier: Apache-2.0 */
/* Follow a change from another process: the parent drops the index that online.c made, the child
 * opens the same store and watches. Each process opens the store itself, after fork(). */
#include <instar.h>

#include <inttypes.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static int follow(const char *path, uint64_t change)
{
    instar_change_info info;
    instar *db = NULL;
    int rc = instar_open(path, NULL, &db);

    if (rc == INSTAR_OK) {
        while ((rc = instar_change_wait(db, change, 100, &info)) == INSTAR_EBUSY)
            printf("%s %s: %s %s\n", info.kind, info.object, info.stage, info.waiting_for);
    }
    if (rc == INSTAR_OK)
        printf("change %" PRIu64 " is done: %s\n", change, info.statement);
    else
        fprintf(stderr, "follow: %s %s\n", instar_error_text(), info.reason);
    fflush(stdout);
    return instar_close(db) == INSTAR_OK && rc == INSTAR_OK ? 0 : 1;
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "people.db";
    uint64_t change = 0;
    instar *db = NULL;
    int rc, status = 1, ids[2];
    pid_t child;

    if (pipe(ids) != 0 || (child = fork()) < 0)
        return 1;
    if (child == 0) {
        close(ids[1]);
        if (read(ids[0], &change, sizeof(change)) != sizeof(change))
            _exit(1);
        _exit(follow(path, change));
    }
    rc = instar_open(path, NULL, &db);
    rc = rc ? rc : instar_drop_index(db, "people_by_name", NULL, &change);
    if (rc != INSTAR_OK)
        fprintf(stderr, "follow: %s (%s)\n", instar_error_text(), instar_error_name(rc));
    else if (write(ids[1], &change, sizeof(change)) != sizeof(change))
        rc = INSTAR_EIO;
    close(ids[1]);
    waitpid(child, &status, 0);
    return instar_close(db) == INSTAR_OK && rc == INSTAR_OK && status == 0 ? 0 : 1;
}
