/* SPDX-License-Identifier: Apache-2.0 */
/* A file to read that Ctrl-C ends, even while it waits for a writer. */
#ifndef INSTAR_INPUT_H
#define INSTAR_INPUT_H

#include <stdint.h>
#include <stdio.h>

struct input {
    int fd;
    uint64_t size; /* of a regular file; 0: not known */
    uint64_t got;  /* bytes so far */
};

/* The file of this path, or standard input for "-"; NULL with errno. After cli_catch_interrupts() a
 * signal ends each read with EINTR, one that came before it too. Closed with fclose(), before *in
 * goes. */
FILE *input_open(const char *path, struct input *in);

#endif
