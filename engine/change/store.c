/* SPDX-License-Identifier: Apache-2.0 */
/* Change records in the store: one tree of records, in front of them the markers of those that have
 * not ended, behind them those of drops that can be undone. */
#include "change/record.h"

#include <string.h>

#define ID_SIZE 8
#define MARKER_SIZE 16
#define MARKER_VALUE_SIZE 16 /* table and after; behind them the other tables */
#define MARKER_VALUE_MAX (MARKER_VALUE_SIZE + 8 * RECORD_OTHERS_MAX)

static const uint8_t zeros[MARKER_SIZE];
static const uint8_t behind[ID_SIZE] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static void marker_key(uint64_t id, uint8_t key[MARKER_SIZE])
{
    memset(key, 0, MARKER_SIZE - ID_SIZE);
    base_put_be64(key + MARKER_SIZE - ID_SIZE, id);
}

/* The marker of a drop that can be undone goes by `behind` and the id. */
static int put_kept(struct store_txn *t, const struct change_record *r, struct base_err *err)
{
    uint8_t key[MARKER_SIZE];
    uint8_t value[MARKER_VALUE_SIZE];

    memcpy(key, behind, sizeof(behind));
    base_put_be64(key + MARKER_SIZE - ID_SIZE, r->id);
    if (!record_is_kept(r)) {
        return store_txn_delete(t, CATALOG_CHANGE_TREE, base_slice(key, MARKER_SIZE), err);
    }
    base_put_u64(value, r->table);
    base_put_u64(value + 8, (uint64_t)r->undo_until_us);
    return store_txn_put(t, CATALOG_CHANGE_TREE, base_slice(key, MARKER_SIZE),
                         base_slice(value, MARKER_VALUE_SIZE), err);
}

int record_get(struct store_txn *t, uint64_t id, enum store_read how,
               struct change_record *record_out, struct base_err *err)
{
    uint8_t key[ID_SIZE];
    struct base_slice value;

    *record_out = (struct change_record){0};
    base_put_be64(key, id);
    int rc = store_txn_get(t, CATALOG_CHANGE_TREE, base_slice(key, ID_SIZE), how, &value, err);
    if (rc == INSTAR_ENOTFOUND) {
        return base_err_set(err, INSTAR_EUNKNOWN, "there is no change %llu",
                            (unsigned long long)id);
    }
    if (rc == 0) {
        rc = record_decode(id, value, record_out, err);
    }
    return rc;
}

int record_put(struct store_txn *t, const struct change_record *r, struct base_err *err)
{
    struct base_buf bytes = {0};
    uint8_t key[ID_SIZE];
    uint8_t marker[MARKER_SIZE];

    base_put_be64(key, r->id);
    marker_key(r->id, marker);
    int rc = record_encode(r, &bytes, err);
    if (rc == 0) {
        rc = store_txn_put(t, CATALOG_CHANGE_TREE, base_slice(key, ID_SIZE), base_buf_slice(&bytes),
                           err);
    }
    if (rc == 0 && record_ended(r)) {
        rc = store_txn_delete(t, CATALOG_CHANGE_TREE, base_slice(marker, MARKER_SIZE), err);
    } else if (rc == 0 && r->owner.claim == 0) {
        /* Only until the first claim: who looks for work reads the markers, and shall not meet a
         * conflict with each step of every other change. */
        uint8_t value[MARKER_VALUE_MAX];
        size_t size = MARKER_VALUE_SIZE;
        base_put_u64(value, r->table);
        base_put_u64(value + 8, r->after);
        for (uint32_t i = 0; i < r->other_count; i++, size += 8) {
            base_put_u64(value + size, r->others[i].table);
        }
        rc = store_txn_put(t, CATALOG_CHANGE_TREE, base_slice(marker, MARKER_SIZE),
                           base_slice(value, size), err);
    }
    if (rc == 0 && r->undo_until_us != 0) {
        rc = put_kept(t, r, err);
    }
    base_buf_free(&bytes);
    return rc;
}

int record_remove(struct store_txn *t, uint64_t id, struct base_err *err)
{
    uint8_t key[ID_SIZE];

    base_put_be64(key, id);
    return store_txn_delete(t, CATALOG_CHANGE_TREE, base_slice(key, ID_SIZE), err);
}

bool record_marker_about(const struct record_marker *m, uint64_t table)
{
    bool found = m->table == table;

    for (uint32_t i = 0; i < m->other_count; i++) {
        found = found || m->others[i] == table;
    }
    return found;
}

bool record_marker_meet(const struct record_marker *a, const struct record_marker *b)
{
    bool found = record_marker_about(a, b->table);

    for (uint32_t i = 0; i < b->other_count; i++) {
        found = found || record_marker_about(a, b->others[i]);
    }
    return found;
}

struct record_marker record_marker_of(const struct change_record *r)
{
    struct record_marker m = {
        .id = r->id, .table = r->table, .after = r->after, .other_count = r->other_count};

    for (uint32_t i = 0; i < r->other_count; i++) {
        m.others[i] = r->others[i].table;
    }
    return m;
}

int record_markers(struct store_txn *t, uint64_t below, enum store_read how,
                   int (*fn)(void *arg, const struct record_marker *marker), void *arg,
                   struct base_err *err)
{
    uint8_t upper[MARKER_SIZE];
    struct store_cursor *cursor;
    struct base_slice key;
    struct base_slice value;

    marker_key(below, upper);
    struct store_range range = {.lower = base_slice(zeros, MARKER_SIZE),
                                .upper = base_slice(upper, MARKER_SIZE)};
    int rc = store_cursor_open(t, CATALOG_CHANGE_TREE, &range, how, &cursor, err);
    if (rc != 0) {
        return rc;
    }
    while ((rc = store_cursor_next(cursor, &key, &value, err)) == 0) {
        if (key.size != MARKER_SIZE || value.size < MARKER_VALUE_SIZE ||
            value.size > MARKER_VALUE_MAX || value.size % 8 != 0) {
            rc = base_err_set(err, INSTAR_ECORRUPT, "a change's marker has %zu and %zu bytes",
                              key.size, value.size);
            break;
        }
        struct record_marker m = {
            .id = base_get_be64((const uint8_t *)key.data + MARKER_SIZE - ID_SIZE),
            .table = base_get_u64(value.data),
            .after = base_get_u64((const uint8_t *)value.data + 8),
            .other_count = (uint32_t)(value.size - MARKER_VALUE_SIZE) / 8,
        };
        for (uint32_t i = 0; i < m.other_count; i++) {
            m.others[i] =
                base_get_u64((const uint8_t *)value.data + MARKER_VALUE_SIZE + (size_t)i * 8);
        }
        rc = fn(arg, &m);
        if (rc != 0) {
            break;
        }
    }
    store_cursor_close(cursor);
    return rc == INSTAR_END ? 0 : rc;
}

struct about {
    uint64_t table;
    uint64_t id; /* 0: not found yet */
};

#define FOUND 1

static int find_about(void *arg, const struct record_marker *marker)
{
    struct about *a = arg;

    if (!record_marker_about(marker, a->table)) {
        return 0;
    }
    a->id = marker->id;
    return FOUND;
}

int record_at_work(struct store_txn *t, uint64_t table, uint64_t *id_out, struct base_err *err)
{
    struct about a = {.table = table};
    int rc = record_markers(t, UINT64_MAX, STORE_READ_NORMAL, find_about, &a, err);

    *id_out = a.id;
    return rc == FOUND ? 0 : rc;
}

int record_list(struct store_txn *t, bool latest_first,
                int (*fn)(void *arg, const struct change_record *r), void *arg,
                struct base_err *err)
{
    uint8_t lower[ID_SIZE];
    struct store_cursor *cursor;
    struct base_slice key;
    struct base_slice value;

    base_put_be64(lower, 1);
    struct store_range range = {.lower = base_slice(lower, ID_SIZE),
                                .upper = base_slice(behind, ID_SIZE),
                                .reverse = latest_first};
    int rc = store_cursor_open(t, CATALOG_CHANGE_TREE, &range, STORE_READ_UNTRACKED, &cursor, err);
    if (rc != 0) {
        return rc;
    }
    while ((rc = store_cursor_next(cursor, &key, &value, err)) == 0) {
        struct change_record r = {0};
        if (key.size != ID_SIZE) {
            rc = base_err_set(err, INSTAR_ECORRUPT, "the key of a change record has %zu bytes",
                              key.size);
        } else {
            rc = record_decode(base_get_be64(key.data), value, &r, err);
        }
        if (rc == 0) {
            rc = fn(arg, &r);
        }
        record_free(&r);
        if (rc != 0) {
            break;
        }
    }
    store_cursor_close(cursor);
    return rc == INSTAR_END ? 0 : rc;
}

int record_list_kept(struct store_txn *t, enum store_read how,
                     int (*fn)(void *arg, const struct record_kept *kept), void *arg,
                     struct base_err *err)
{
    struct store_range range = {.lower = base_slice(behind, ID_SIZE)};
    struct store_cursor *cursor;
    struct base_slice key;
    struct base_slice value;
    int rc = store_cursor_open(t, CATALOG_CHANGE_TREE, &range, how, &cursor, err);

    if (rc != 0) {
        return rc;
    }
    while ((rc = store_cursor_next(cursor, &key, &value, err)) == 0) {
        if (key.size != MARKER_SIZE || value.size != MARKER_VALUE_SIZE) {
            rc = base_err_set(err, INSTAR_ECORRUPT,
                              "the marker of a drop that is kept has %zu and %zu bytes", key.size,
                              value.size);
            break;
        }
        struct record_kept kept = {
            .id = base_get_be64((const uint8_t *)key.data + MARKER_SIZE - ID_SIZE),
            .table = base_get_u64(value.data),
            .until_us = (int64_t)base_get_u64((const uint8_t *)value.data + 8),
        };
        rc = fn(arg, &kept);
        if (rc != 0) {
            break;
        }
    }
    store_cursor_close(cursor);
    return rc == INSTAR_END ? 0 : rc;
}
