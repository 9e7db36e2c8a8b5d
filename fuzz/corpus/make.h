/* SPDX-License-Identifier: Apache-2.0 */
/* make: the first inputs of the fuzz targets, one file for each. */
#ifndef INSTAR_FUZZ_MAKE_H
#define INSTAR_FUZZ_MAKE_H

#include "base/base.h"

/* End the program when it is not 0. */
void must(int rc);
/* Into the target's folder; frees the bytes. */
void write_input(const char *target, const char *name, struct base_buf *b);
void write_text(const char *target, const char *name, const char *text);

void make_changes(void); /* changes.c */
void make_files(void);   /* files.c */
void make_texts(void);   /* texts.c */

#endif
