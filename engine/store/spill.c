/* SPDX-License-Identifier: Apache-2.0 */
/* Spill files of sorts: a directory of the store, emptied by the first opener. */
#include "store/log.h"

#include <fcntl.h>
#include <string.h>

static int open_dir(struct store *s, const char *name, bool create, int *fd_out,
                    struct base_err *err)
{
    *fd_out = -1;
    if (name[0] == '\0' || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") != strlen(name) ||
        name[0] == '.') {
        return base_err_set(err, INSTAR_EINVALID, "spill file \"%s\": not a valid name", name);
    }
    return file_open_dir(s->dirfd, SPILL_DIR, create, fd_out, err);
}

static int open_file(struct store *s, const char *name, int flags, int *fd_out,
                     struct base_err *err)
{
    int dirfd;
    *fd_out = -1;
    int rc = open_dir(s, name, (flags & O_CREAT) != 0, &dirfd, err);
    if (rc == 0) {
        rc = file_open(dirfd, name, flags, fd_out, err);
        os_close(dirfd);
    }
    return rc;
}

int store_spill_create(struct store *s, const char *name, int *fd_out, struct base_err *err)
{
    return open_file(s, name, O_RDWR | O_CREAT | O_TRUNC, fd_out, err);
}

int store_spill_open(struct store *s, const char *name, int *fd_out, struct base_err *err)
{
    return open_file(s, name, O_RDWR, fd_out, err);
}

int store_spill_remove(struct store *s, const char *name, struct base_err *err)
{
    int dirfd;
    int rc = open_dir(s, name, false, &dirfd, err);
    if (rc == 0) {
        rc = file_remove(dirfd, name, err);
        os_close(dirfd);
    }
    return rc == INSTAR_ENOTFOUND ? 0 : rc;
}

int spill_remove_all(struct store *s, struct base_err *err)
{
    char **names;
    size_t count;
    int dirfd;
    int rc = file_open_dir(s->dirfd, SPILL_DIR, true, &dirfd, err);
    if (rc != 0) {
        return rc;
    }
    rc = os_list_dir(dirfd, &names, &count);
    if (rc != 0) {
        rc = base_err_errno(err, -rc, SPILL_DIR ": cannot be listed");
    } else {
        for (size_t i = 0; i < count && rc == 0; i++) {
            rc = file_remove(dirfd, names[i], err);
        }
        file_free_names(names, count);
    }
    os_close(dirfd);
    return rc;
}
