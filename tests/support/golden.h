/* SPDX-License-Identifier: Apache-2.0 */
/*
 * golden: directories as small files, to be kept beside the tests; and what a store holds, in words
 * that do not depend on when and where it was made.
 */
#ifndef INSTAR_TEST_GOLDEN_H
#define INSTAR_TEST_GOLDEN_H

#include "support/dbs.h"

/* All files below a directory into one that is compressed, and back into a new directory. */
void golden_pack(const char *dir, const char *path);
void golden_unpack(const char *path, const char *dir);
/* One number for the names and the bytes of all files below it. */
uint64_t golden_sum(const char *dir);

/* Tables as SQL, their rows by the primary key and by each public index, and all changes. Free. */
char *golden_tell(instar *db);

#endif
