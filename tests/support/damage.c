/* SPDX-License-Identifier: Apache-2.0 */
/* Damaging one place of a store's files, by chance. A third of all places is in headers of pages.
 */
#include "support/damage.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PAGE 4096u
#define SECTOR 512u
#define FILES_MAX 24
#define HEAD 1200u

struct files {
    char names[FILES_MAX][64]; /* below the store */
    size_t count;
};

static void list(struct files *f, const char *copy, const char *folder)
{
    char path[700];
    (void)snprintf(path, sizeof(path), "%s/%s", copy, folder);
    DIR *dir = opendir(path);
    expect(dir != NULL);
    for (struct dirent *e = readdir(dir); e != NULL && f->count < FILES_MAX; e = readdir(dir)) {
        const char *dot = strrchr(e->d_name, '.');
        if (e->d_name[0] != '.' && dot != NULL && strcmp(dot, ".seg") == 0) {
            (void)snprintf(f->names[f->count++], 64, "%s/%.40s", folder, e->d_name);
        }
    }
    (void)closedir(dir);
}

static void choose_file(struct damage *d, struct test_random *r, const char *copy)
{
    struct files f = {.count = 0};
    uint64_t draw = test_random_below(r, 100);
    const char *name = draw < 74 ? "data.mdb" : draw < 80 ? "format" : "";
    if (name[0] == '\0') {
        list(&f, copy, "log");
        expect(f.count > 0);
        name = f.names[test_random_below(r, f.count)];
        d->log = true;
    }
    (void)snprintf(d->path, sizeof(d->path), "%s/%s", copy, name);
    (void)snprintf(d->what, sizeof(d->what), "%s", name);
}

/* Bytes that are in use, more often than what lies behind them; of what lies in shared memory, more
 * often what stands at its head. */
static size_t choose_place(struct test_random *r, const uint8_t *bytes, size_t size, bool log,
                           bool shared)
{
    size_t used = size;
    while (log && used > 64 && bytes[used - 1] == 0) {
        used--;
    }
    if (shared && used > HEAD && test_random_chance(r, 60)) {
        return test_random_below(r, HEAD);
    }
    size_t at = test_random_below(r, used);
    if (!log && size > 2 * PAGE && test_random_chance(r, 35)) {
        at = at / PAGE * PAGE + test_random_below(r, test_random_chance(r, 50) ? 16 : 200);
    }
    return at < size ? at : size - 1;
}

/* A file in memory. */
struct bytes {
    uint8_t *data;
    size_t size;
};

static bool put_other(struct bytes *to, size_t at, size_t unit, const struct bytes *from,
                      size_t from_at)
{
    if (at + unit > to->size || from_at + unit > from->size ||
        memcmp(to->data + at, from->data + from_at, unit) == 0) {
        return false;
    }
    memmove(to->data + at, from->data + from_at, unit);
    return true;
}

/* The same unit of an earlier time. */
static bool put_stale(struct test_random *r, const struct damage *d,
                      const struct damage_place *place, struct bytes *bytes, size_t unit)
{
    char path[700];
    struct bytes old;
    (void)snprintf(path, sizeof(path), "%s%s",
                   place->earlier[test_random_below(r, place->earlier_count)],
                   d->path + strlen(place->copy));
    if (access(path, F_OK) != 0) {
        return false;
    }
    old.data = test_read_file(path, &old.size);
    bool changed = put_other(bytes, d->from, unit, &old, d->from);
    base_free(old.data);
    return changed;
}

/* One damage to the bytes of a file, whose size may shrink; none of an earlier time where there is
 * no place. False: nothing was changed. */
static bool damage_bytes(struct test_random *r, struct damage *d, const struct damage_place *place,
                         struct bytes *bytes)
{
    static const char *const names[] = {"bit", "byte", "zeros", "stale", "moved", "cut"};
    enum { BIT, BYTE, ZEROS, STALE, MOVED, CUT };
    size_t whole = bytes->size, at = choose_place(r, bytes->data, whole, d->log, place == NULL);
    size_t unit = strstr(d->what, "data.mdb") != NULL ? PAGE : SECTOR;
    uint64_t draw = test_random_below(r, 100);
    int kind = draw < 40   ? BIT
               : draw < 55 ? BYTE
               : draw < 68 ? ZEROS
               : draw < 80 ? (place != NULL ? STALE : MOVED)
               : draw < 93 ? MOVED
                           : CUT;
    uint8_t before = bytes->data[at];
    bool changed = true;
    unit = kind == ZEROS ? SECTOR : kind == CUT && test_random_chance(r, 50) ? 1 : unit;
    at = kind > BYTE ? at / unit * unit : at;
    d->from = at;
    d->to = kind == CUT ? whole : kind > BYTE ? at + unit : at + 1;
    if (kind == BIT) {
        bytes->data[at] ^= (uint8_t)(1u << test_random_below(r, 8));
    } else if (kind == BYTE) {
        bytes->data[at] = (uint8_t)test_random_next(r);
        changed = bytes->data[at] != before;
    } else if (kind == ZEROS) {
        static const uint8_t zeros[SECTOR];
        size_t some = whole - at < SECTOR ? whole - at : SECTOR;
        changed = memcmp(bytes->data + at, zeros, some) != 0;
        memset(bytes->data + at, 0, some);
    } else if (kind == STALE) {
        changed = put_stale(r, d, place, bytes, unit);
    } else if (kind == MOVED) {
        changed = put_other(bytes, at, unit, bytes, test_random_below(r, whole / unit + 1) * unit);
    } else {
        bytes->size = at;
    }
    size_t length = strlen(d->what);
    (void)snprintf(d->what + length, sizeof(d->what) - length, ", %s at byte %zu", names[kind], at);
    return changed;
}

static void to_positions(struct damage *d)
{
    unsigned long long start = 0;
    const char *name = strrchr(d->path, '/');
    if (d->log && sscanf(name, "/%16llx.seg", &start) == 1) {
        d->from += start;
        d->to += start;
    }
}

bool damage_leftover(struct test_random *r, struct damage *d)
{
    enum { BYTES, FOREIGN, ABSENT };
    uint64_t draw = test_random_below(r, 100);
    int kind = draw < 70 ? BYTES : draw < 88 ? FOREIGN : ABSENT;
    struct bytes bytes;
    bool changed = true;
    bytes.data = test_read_file(d->path, &bytes.size);
    (void)snprintf(d->what, sizeof(d->what), "%s", strrchr(d->path, '/') + 1);
    size_t length = strlen(d->what);
    if (kind == BYTES) {
        changed = bytes.size > 0 && damage_bytes(r, d, NULL, &bytes);
    } else if (kind == FOREIGN) {
        test_random_fill(r, bytes.data, bytes.size);
        (void)snprintf(d->what + length, sizeof(d->what) - length, ", other content");
    } else {
        expect(unlink(d->path) == 0);
        (void)snprintf(d->what + length, sizeof(d->what) - length, ", not there");
    }
    if (changed && kind != ABSENT) {
        test_write_file(d->path, bytes.data, bytes.size);
    }
    base_free(bytes.data);
    return changed;
}

bool damage_copy(struct test_random *r, const struct damage_place *place, struct damage *d)
{
    struct bytes bytes;
    *d = (struct damage){.log = false};
    choose_file(d, r, place->copy);
    bytes.data = test_read_file(d->path, &bytes.size);
    bool changed = bytes.size > 0 && damage_bytes(r, d, place, &bytes);
    if (changed) {
        test_write_file(d->path, bytes.data, bytes.size);
        to_positions(d);
    }
    base_free(bytes.data);
    return changed;
}
