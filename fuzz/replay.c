/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver of a fuzz target without libFuzzer: runs LLVMFuzzerTestOneInput once for each file
 * named on the command line, or once for standard input when none is. `make check` replays the
 * corpus with it, and AFL++ drives it as `afl-fuzz … -- <target>_fuzz @@`. With -neighbours as the
 * first argument each byte of a file is also another one, in turn, and each file is cut behind each
 * byte, and goes on behind its end.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* No target takes more; a larger file is an error rather than silently cut. */
#define INPUT_BYTES_MAX (64u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Read a whole stream into an exactly sized heap block, so that ASan sees the first byte read
 * past the input. Returns NULL after a message when that fails. */
static uint8_t *read_all(FILE *file, const char *name, size_t *size)
{
    uint8_t *data = NULL;
    size_t len = 0;
    size_t room = 0;
    int c;

    while ((c = fgetc(file)) != EOF) {
        if (len == room) {
            room = room == 0 ? 4096 : room * 2;
            uint8_t *grown = room > INPUT_BYTES_MAX ? NULL : realloc(data, room);
            if (grown == NULL) {
                fprintf(stderr, "%s: too large\n", name);
                free(data);
                return NULL;
            }
            data = grown;
        }
        data[len++] = (uint8_t)c;
    }
    if (ferror(file)) {
        fprintf(stderr, "%s: %s\n", name, strerror(errno));
        free(data);
        return NULL;
    }

    uint8_t *exact = malloc(len == 0 ? 1 : len);
    if (exact == NULL) {
        fprintf(stderr, "%s: out of memory\n", name);
    } else if (len != 0) {
        memcpy(exact, data, len);
    }
    free(data);
    *size = len;
    return exact;
}

/* Its first `size` bytes, and some zeros behind them. */
static void run_cut(const uint8_t *data, size_t size, size_t behind)
{
    uint8_t *exact = calloc(size + behind + 1, 1);

    if (exact != NULL) {
        memcpy(exact + 1, data, size);
        (void)LLVMFuzzerTestOneInput(exact + 1, size + behind);
        free(exact);
    }
}

/* A number that is as large as can be. */
static void run_filled(uint8_t *data, size_t size, size_t at, size_t width)
{
    uint8_t before[8];

    if (size - at >= width) {
        memcpy(before, data + at, width);
        memset(data + at, 0xff, width);
        (void)LLVMFuzzerTestOneInput(data, size);
        memcpy(data + at, before, width);
    }
}

static void run_neighbours(uint8_t *data, size_t size)
{
    static const uint8_t others[] = {0, 1, 2, 0x7f, 0x80, 0xff};

    for (size_t at = 0; at < size; at++) {
        uint8_t before = data[at];
        for (size_t i = 0; i < sizeof(others); i++) {
            data[at] = others[i];
            (void)LLVMFuzzerTestOneInput(data, size);
            data[at] = before ^ others[i];
            (void)LLVMFuzzerTestOneInput(data, size);
        }
        data[at] = before;
        run_filled(data, size, at, 4);
        run_filled(data, size, at, 8);
        run_cut(data, at, 0);
    }
    run_cut(data, size, 1);
}

static int replay(FILE *file, const char *name, bool neighbours)
{
    size_t size = 0;
    uint8_t *data = read_all(file, name, &size);

    if (data == NULL) {
        return 1;
    }
    (void)LLVMFuzzerTestOneInput(data, size);
    if (neighbours) {
        run_neighbours(data, size);
    }
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    bool neighbours = argc > 1 && strcmp(argv[1], "-neighbours") == 0;
    int failed = 0;

    if (argc < 2) {
        return replay(stdin, "standard input", false);
    }
    for (int i = neighbours ? 2 : 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (file == NULL) {
            fprintf(stderr, "%s: %s\n", argv[i], strerror(errno));
            failed = 1;
            continue;
        }
        failed |= replay(file, argv[i], neighbours);
        fclose(file);
    }
    return failed;
}
