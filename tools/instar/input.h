/* SPDX-License-Identifier: Apache-2.0 */
/* A file to read that Ctrl-C ends, even while it waits for a writer. */
#ifndef INSTAR_INPUT_H
#define INSTAR_INPUT_H

#include <stdio.h>

/* The file of this path, or standard input for "-"; NULL with errno. After cli_catch_interrupts() a
 * signal ends each read with EINTR, one that came before it too. Closed with fclose(). */
FILE *input_open(const char *path);

#endif
