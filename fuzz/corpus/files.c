/* SPDX-License-Identifier: Apache-2.0 */
/* For the target files: each of the small files; for store: edits of each kind. */
#define _GNU_SOURCE
#include "make.h"

#include "catalog/catalog.h"
#include "store/backup.h"
#include "store/trees.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum which { FORMAT_FILE, MANIFEST_FILE, CONTROL_FILE, POSITION, STATE };

static void begin(struct base_buf *b, enum which which)
{
    base_buf_add_u8(b, 1);
    base_buf_add_u8(b, (uint8_t)which);
}

/* What the engine wrote into a folder. */
static void take_file(int dirfd, const char *file, enum which which)
{
    struct base_buf b = {0};
    int fd = openat(dirfd, file, O_RDONLY | O_CLOEXEC);
    begin(&b, which);
    bool ok = fd >= 0 && base_buf_reserve(&b, 4096);
    ssize_t got = ok ? read(fd, b.data + b.size, 4096) : -1;
    must(got > 0 ? 0 : INSTAR_EIO);
    b.size += (size_t)got;
    (void)close(fd);
    (void)unlinkat(dirfd, file, 0);
    write_input("files", file, &b);
}

static const struct format format = {.log_id = "log id",
                                     .instance_id = "instance id",
                                     .segment_bytes = 64 << 10,
                                     .map_bytes = 16 << 20,
                                     .trees_max = 32,
                                     .lease_slots = 64,
                                     .readers_max = 64,
                                     .nodes_max = 2};

static void make_written(int dirfd)
{
    struct backup_manifest m = {.format = format, .lo = 64, .first = 128, .end = 64 + 3000};
    const struct backup_moment moment = {.us = 1700000000000000, .lsn = 128};
    must(format_write(dirfd, &format, NULL));
    must(format_install(dirfd, NULL));
    take_file(dirfd, "format", FORMAT_FILE);
    m.files[BACKUP_FILE_TREES].size = 8192;
    m.files[BACKUP_FILE_LOG].size = 3000;
    for (size_t i = 0; i < BACKUP_FILES; i++) {
        base_buf_add_u64(&m.files[i].sums, 1234567 + i);
    }
    base_buf_add(&m.moments, &moment, sizeof(moment));
    must(manifest_write(dirfd, &m, NULL));
    take_file(dirfd, "manifest", MANIFEST_FILE);
    manifest_free(&m);
}

static void make_entries(void)
{
    const struct trees_mark mark = {
        .lo = 100, .hi = 200, .chain = 3, .older_lo = 50, .epoch = 5, .removals = 1, .serial = 9};
    const struct trees_state state = {.stage = TREES_BUILDING, .delta = true, .cut = 7, .token = 8};
    uint8_t coded[TREES_STATE_BYTES];
    struct base_buf b = {0}, position = {0};
    trees_mark_encode(&mark, &position);
    begin(&b, POSITION);
    base_buf_add(&b, position.data, position.size);
    base_buf_free(&position);
    write_input("files", "position", &b);
    trees_state_encode(&state, 17, coded);
    begin(&b, STATE);
    base_buf_add(&b, coded, sizeof(coded));
    write_input("files", "state", &b);
}

/* Words of the fixed part that are all there; the target makes the identity fit. */
static void make_control(void)
{
    static struct store_control control;
    struct base_buf b = {0};
    atomic_store(&control.state, CONTROL_READY);
    atomic_store(&control.tail.at, 4096);
    atomic_store(&control.durable.at, 2048);
    snprintf(control.poison_text, sizeof(control.poison_text), "a sync has failed");
    begin(&b, CONTROL_FILE);
    base_buf_add(&b, &control, sizeof(control));
    write_input("files", "control", &b);
}

/* ---- edits of a store --------------------------------------------------------------------- */

static void add_u24(struct base_buf *b, uint32_t v)
{
    base_buf_add_u16(b, (uint16_t)v);
    base_buf_add_u8(b, (uint8_t)(v >> 16));
}

static void make_patches(void)
{
    static const uint32_t places[][2] = {{0, 4096 + 16}, {0, 2 * 4096 + 8}, {0, 4 * 4096 + 40},
                                         {1, 20},        {1, 56},           {2, 4},
                                         {2, 64},        {2, 300}};
    for (size_t i = 0; i < BASE_ARRAY_LEN(places); i++) {
        struct base_buf b = {0};
        char name[32];
        base_buf_add_u8(&b, (uint8_t)(i % 2));
        base_buf_add_u8(&b, (uint8_t)places[i][0]);
        add_u24(&b, places[i][1]);
        base_buf_add_blob(&b, "\1\0\377", 3);
        snprintf(name, sizeof(name), "patch-%zu", i);
        write_input("store", name, &b);
    }
    for (uint8_t file = 0; file < 3; file++) {
        struct base_buf b = {0};
        char name[32];
        base_buf_add_u8(&b, 0);
        base_buf_add_u8(&b, 5);
        base_buf_add_u8(&b, file);
        add_u24(&b, file == 1 ? 100 : 3 * 4096);
        snprintf(name, sizeof(name), "cut-%u", file);
        write_input("store", name, &b);
    }
}

static void write_op(const char *name, uint8_t tree, uint8_t op, struct base_slice key,
                     struct base_slice value)
{
    struct base_buf b = {0};
    base_buf_add_u8(&b, 1);
    base_buf_add_u8(&b, 4);
    base_buf_add_u8(&b, tree);
    base_buf_add_u8(&b, op);
    base_buf_add_blob(&b, key.data, key.size);
    base_buf_add_u16(&b, (uint16_t)value.size);
    base_buf_add(&b, value.data, value.size);
    write_input("store", name, &b);
}

/* A descriptor, a name, a counter, a change, a row, and the tree of one dropped. */
static void make_ops(void)
{
    static const instar_column_def columns[] = {{.name = "a", .type = INSTAR_INT8}};
    static const instar_key_column key[] = {{.name = "a"}};
    const instar_table_def def = {
        .name = "t", .columns = columns, .column_count = 1, .key = key, .key_count = 1};
    struct catalog_table *table;
    struct base_buf b = {0};
    must(catalog_table_from_def(&def, &table, NULL));
    table->id = 1;
    table->tree = 17;
    table->version = 9;
    base_buf_add(&b, "\1\2sums", 6);
    must(catalog_table_encode(table, &b, NULL));
    write_op("descriptor", CATALOG_TREE, RECORD_PUT, base_slice("\2\0\0\0\0\0\0\0\1", 9),
             base_buf_slice(&b));
    write_op("name", CATALOG_TREE, RECORD_PUT, base_slice("\3t", 2),
             base_slice("\1\3sums\1\1\0\0", 10));
    write_op("counter", CATALOG_TREE, RECORD_PUT, base_slice("\1\1", 2),
             base_slice("\1\1sums\177", 7));
    write_op("no-name", CATALOG_TREE, RECORD_DELETE, base_slice("\3t", 2), base_slice("", 0));
    write_op("no-descriptor", CATALOG_TREE, RECORD_DELETE, base_slice("\2\0\0\0\0\0\0\0\1", 9),
             base_slice("", 0));
    write_op("change", CATALOG_CHANGE_TREE, RECORD_PUT, base_slice("\0\0\0\0\0\0\0\7", 8),
             base_slice("\5\3\1\0 a record of some length", 26));
    write_op("row", 16, RECORD_PUT, base_slice("\x88\5", 2),
             base_slice("\x10\1sums\0\0\0\0\0\0\0\0\0", 15));
    write_op("dropped", 16, RECORD_TREE + 3, base_slice("", 0), base_slice("", 0));
    catalog_table_free(table);
    base_buf_free(&b);
}

static void make_records(void)
{
    struct base_buf b = {0};
    base_buf_add_u8(&b, 0);
    base_buf_add_u8(&b, 3);
    base_buf_add_u8(&b, 1);
    base_buf_add_u16(&b, 5);
    base_buf_add(&b, "\1\20\1k\1", 5);
    write_input("store", "record", &b);
    base_buf_add_u8(&b, 0);
    write_input("store", "whole", &b);
}

void make_files(void)
{
    char dir[] = "/tmp/instar-corpus-XXXXXX";
    int dirfd;
    must(mkdtemp(dir) != NULL ? os_open_dir(dir, &dirfd) : INSTAR_EIO);
    make_written(dirfd);
    os_close(dirfd);
    (void)rmdir(dir);
    make_entries();
    make_control();
    make_patches();
    make_ops();
    make_records();
}
