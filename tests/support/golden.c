/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file: one zstd frame of, for each file, u16 size and name, u64 size and bytes; names in
 * order, relative to the directory.
 */
#define _GNU_SOURCE /* nftw */
#include "support/golden.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <instar_sql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#define FILES_MAX 64
#define LEVEL 19
#define COLUMNS_MAX 64
#define SHOWN_MAX 60 /* of a value; more is told as a hash */
#define TEXT_MAX ((size_t)16 << 10)

/* ---- directories -------------------------------------------------------------------------- */

static char *names[FILES_MAX];
static size_t name_count;
static size_t root_size;

static int note_file(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)at;
    if (kind == FTW_F) {
        expect(name_count < FILES_MAX);
        names[name_count++] = strdup(path + root_size);
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Everything below the directory, as it stands in the file before it is compressed. */
static struct base_buf gather(const char *dir)
{
    struct base_buf all = {0};
    char path[600];
    root_size = strlen(dir) + 1;
    name_count = 0;
    expect(nftw(dir, note_file, 16, FTW_PHYS) == 0);
    qsort(names, name_count, sizeof(names[0]), by_name);
    for (size_t i = 0; i < name_count; i++) {
        size_t size;
        (void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        uint8_t *bytes = test_read_file(path, &size);
        expect(base_buf_add_u16(&all, (uint16_t)strlen(names[i])));
        expect(base_buf_add(&all, names[i], strlen(names[i])));
        expect(base_buf_add_u64(&all, size) && base_buf_add(&all, bytes, size));
        base_free(bytes);
        free(names[i]);
    }
    return all;
}

void golden_pack(const char *dir, const char *path)
{
    struct base_buf all = gather(dir);
    size_t room = ZSTD_compressBound(all.size);
    uint8_t *packed = malloc(room);
    expect(packed != NULL);
    size_t size = ZSTD_compress(packed, room, all.data, all.size, LEVEL);
    expect(ZSTD_isError(size) == 0);
    test_write_file(path, packed, size);
    free(packed);
    base_buf_free(&all);
}

uint64_t golden_sum(const char *dir)
{
    struct base_buf all = gather(dir);
    uint64_t sum = base_hash64(all.data, all.size, 0);
    base_buf_free(&all);
    return sum;
}

/* As a store has them: directories 0700, files 0600. */
static void put_file(const char *dir, struct base_slice name, struct base_slice bytes)
{
    char path[600];
    (void)snprintf(path, sizeof(path), "%s/%.*s", dir, (int)name.size, (const char *)name.data);
    for (char *slash = path + strlen(dir); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        expect(mkdir(path, 0700) == 0 || errno == EEXIST);
        *slash = '/';
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    expect(fd >= 0 && write(fd, bytes.data, bytes.size) == (ssize_t)bytes.size);
    expect(close(fd) == 0);
}

void golden_unpack(const char *path, const char *dir)
{
    size_t size;
    uint8_t *packed = test_read_file(path, &size);
    unsigned long long room = ZSTD_getFrameContentSize(packed, size);
    expect(room < (1 << 30));
    uint8_t *all = malloc((size_t)room);
    expect(all != NULL && ZSTD_decompress(all, (size_t)room, packed, size) == room);
    struct base_reader r = base_reader(base_slice(all, (size_t)room));
    while (base_reader_left(&r) > 0) {
        struct base_slice name = base_read_bytes(&r, base_read_u16(&r));
        struct base_slice bytes = base_read_bytes(&r, base_read_u64(&r));
        expect(!r.bad);
        put_file(dir, name, bytes);
    }
    free(all);
    base_free(packed);
}

/* ---- words -------------------------------------------------------------------------------- */

struct teller {
    instar *db;
    FILE *out;
};

static void tell_value(FILE *out, const instar_value *value)
{
    size_t size = instar_value_format(value, NULL, 0);
    char *text = malloc(size + 1);
    expect(text != NULL);
    (void)instar_value_format(value, text, size + 1);
    if (value->type == INSTAR_NULL) {
        fprintf(out, " null");
    } else if (size <= SHOWN_MAX) {
        fprintf(out, " %s", text);
    } else {
        fprintf(out, " %.20s…(%zu bytes, %016llx)", text, size,
                (unsigned long long)base_hash64(text, size, 0));
    }
    free(text);
}

static void tell_rows(struct teller *t, const char *table, const char *index)
{
    instar_value values[COLUMNS_MAX];
    instar_projection *p = NULL;
    instar_cursor *cursor = NULL;
    instar_txn *txn = NULL;
    int rc;
    fprintf(t->out, "rows by %s:\n", index != NULL ? index : "key");
    ok(instar_projection_prepare(t->db, table, NULL, 0, index, &p));
    size_t count = instar_projection_count(p);
    expect(count <= COLUMNS_MAX);
    ok(instar_begin(t->db, INSTAR_TXN_READONLY, &txn));
    ok(instar_scan(txn, p, NULL, &cursor));
    while ((rc = instar_cursor_next(cursor, values)) == INSTAR_OK) {
        for (size_t i = 0; i < count; i++) {
            tell_value(t->out, &values[i]);
        }
        fprintf(t->out, "\n");
    }
    fails(rc, INSTAR_END);
    instar_cursor_close(cursor);
    instar_abort(txn);
    instar_projection_free(p);
}

static int tell_table(void *arg, const instar_table_info *info)
{
    struct teller *t = arg;
    char *text = malloc(TEXT_MAX);
    expect(text != NULL && instar_sql_format_table(info, text, TEXT_MAX) < TEXT_MAX);
    fprintf(t->out, "-- table %s, version %u\n%s", info->name, info->version, text);
    expect(instar_sql_format_fkeys(info, text, TEXT_MAX) < TEXT_MAX);
    fprintf(t->out, "%s", text);
    free(text);
    tell_rows(t, info->name, NULL);
    for (size_t i = 0; i < info->index_count; i++) {
        if (info->indexes[i].stage == INSTAR_STAGE_PUBLIC) {
            tell_rows(t, info->name, info->indexes[i].name);
        } else {
            fprintf(t->out, "index %s: stage %d\n", info->indexes[i].name, info->indexes[i].stage);
        }
    }
    return 0;
}

static int tell_change(void *arg, const instar_change_info *info)
{
    struct teller *t = arg;
    fprintf(t->out, "change %llu: %s; state %d, stage %s\n", (unsigned long long)info->id,
            info->statement, (int)info->state, info->stage);
    return 0;
}

char *golden_tell(instar *db)
{
    char *text = NULL;
    size_t size = 0;
    struct teller t = {db, open_memstream(&text, &size)};
    expect(t.out != NULL);
    ok(instar_table_list(db, NULL, tell_table, &t));
    fprintf(t.out, "-- changes\n");
    ok(instar_change_list(db, tell_change, &t));
    expect(fclose(t.out) == 0);
    return text;
}
