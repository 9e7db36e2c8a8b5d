/* SPDX-License-Identifier: Apache-2.0 */
/* torture: a program of its own, which is beside the library, or where it was built. */
#include "cli.h"

#include <string.h>
#include <unistd.h>

#define DIR_BYTES 512

int cli_torture(char **argv)
{
    static const char *const places[] = {"../lib/instar/torture", "torture/torture"};
    char self[DIR_BYTES], path[2 * DIR_BYTES];
    ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash;

    self[size > 0 ? size : 0] = '\0';
    slash = strrchr(self, '/');
    if (slash != NULL) {
        *slash = '\0';
        for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
            (void)snprintf(path, sizeof(path), "%s/%s", self, places[i]);
            (void)execv(path, argv);
        }
    }
    fprintf(stderr, "instar: torture: lib/instar/torture is not beside this program: install it\n");
    return CLI_FAILED;
}
