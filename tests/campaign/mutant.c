/* SPDX-License-Identifier: Apache-2.0 */
/* Which mutant this process runs with, from its environment. Who asked is noted in a shared map, so
 * that killed processes count, too. */
#include "base/mutant.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int mutant_chosen = -1;
unsigned char *mutant_asked;

__attribute__((constructor)) static void read_environment(void)
{
    const char *chosen = getenv("INSTAR_MUTANT");
    const char *path = getenv("INSTAR_MUTANTS_ASKED");
    struct stat st;
    if (chosen != NULL) {
        mutant_chosen = (int)strtol(chosen, NULL, 10);
    }
    if (path != NULL) {
        int fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) != 0) {
            abort();
        }
        void *map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (map == MAP_FAILED) {
            abort();
        }
        mutant_asked = map;
        close(fd);
    }
}
