/* SPDX-License-Identifier: Apache-2.0 */
/* main WORKLOAD ARGUMENTS…: one measurement per call; bench/run puts them together. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t number(const char *text)
{
    return strtoull(text, NULL, 10);
}

static bool is_sync(const char *text)
{
    return strcmp(text, "sync") == 0;
}

static int run(int argc, char **argv)
{
    const char *what = argv[1];

    if (strcmp(what, "load") == 0 && argc == 4) {
        return bench_load(argv[2], number(argv[3]));
    }
    if (strcmp(what, "index") == 0 && argc == 4) {
        return bench_index(argv[2], argv[3], false);
    }
    if (strcmp(what, "unique-index") == 0 && argc == 4) {
        return bench_index(argv[2], argv[3], true);
    }
    if (strcmp(what, "drop-index") == 0 && argc == 4) {
        return bench_drop(argv[2], argv[3]);
    }
    if (strcmp(what, "commits") == 0 && argc == 6) {
        return bench_commits(argv[2], (int)number(argv[3]), number(argv[4]), is_sync(argv[5]));
    }
    if (strcmp(what, "foreground") == 0 && argc == 6) {
        return bench_foreground(argv[2], (int)number(argv[3]), number(argv[4]), is_sync(argv[5]));
    }
    if (strcmp(what, "read") == 0 && argc == 5) {
        return bench_read(argv[2], number(argv[3]), number(argv[4]));
    }
    if (strcmp(what, "open") == 0 && argc == 3) {
        return bench_open(argv[2]);
    }
    if (strcmp(what, "killed-open") == 0 && argc == 4) {
        return bench_killed_open(argv[2], number(argv[3]));
    }
    if (strcmp(what, "lmdb") == 0 && argc == 5) {
        return bench_lmdb(argv[2], number(argv[3]), number(argv[4]));
    }
    if (strcmp(what, "raw") == 0 && argc == 4) {
        return bench_raw(argv[2], number(argv[3]));
    }
    return 2;
}

int main(int argc, char **argv)
{
    int rc = argc < 2 ? 2 : run(argc, argv);

    if (rc == 2) {
        fprintf(stderr,
                "usage: main load STORE ROWS | index STORE NAME | unique-index STORE NAME |\n"
                "       drop-index STORE NAME | commits STORE PROCESSES SECONDS sync|async |\n"
                "       foreground STORE PROCESSES SECONDS sync|async | read STORE ROWS SECONDS |\n"
                "       open STORE | killed-open STORE SECONDS | lmdb DIR ROWS SECONDS |\n"
                "       raw DIR SECONDS\n");
    }
    return rc;
}
