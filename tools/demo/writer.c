/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A writer: inserts rows of its own, updates them, deletes them again, one
 * change of a row per transaction, durable each, for as long as the demo lasts. Its rows have
 * values of their own in the indexed column, so they are never the duplicate that the demo looks
 * for.
 */
#include "demo.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OWN_ROWS 2000 /* kept at most; then the oldest is deleted for each new one */

struct writer {
    instar *db;
    instar_projection *all;     /* id and all other columns */
    instar_projection *indexed; /* the indexed column alone */
    instar_value key[2];        /* of a row: its id is the last value */
    size_t key_count;
    const struct demo_data *data;
    int64_t base; /* ids of its own begin here */
    int64_t next, oldest;
    uint64_t turn; /* changes done, also the source of variety */
    char text[160];
};

static instar_value text_value(struct writer *w, int64_t id, uint64_t turn)
{
    int size = snprintf(w->text, sizeof(w->text), "/demo/%" PRId64 "/%" PRIu64, id, turn);

    return (instar_value){.type = INSTAR_TEXT, .bytes = {w->text, (size_t)size}};
}

static int insert_own(instar_txn *txn, void *arg)
{
    struct writer *w = arg;
    instar_value values[DEMO_COLUMNS_MAX + 1] = {{.type = INSTAR_INT8, .i = w->next}};

    values[1 + w->data->indexed] = text_value(w, w->next, w->turn);
    return instar_insert(txn, w->all, values);
}

static const instar_value *key_of(struct writer *w, int64_t id)
{
    w->key[w->key_count - 1] = (instar_value){.type = INSTAR_INT8, .i = id};
    return w->key;
}

static int update_own(instar_txn *txn, void *arg)
{
    struct writer *w = arg;
    int64_t id = w->oldest + (int64_t)(w->turn * 2654435761u % (uint64_t)(w->next - w->oldest));
    instar_value value = text_value(w, id, w->turn);

    return instar_update(txn, w->indexed, key_of(w, id), &value);
}

static int delete_own(instar_txn *txn, void *arg)
{
    struct writer *w = arg;

    return instar_delete(txn, w->all, key_of(w, w->oldest));
}

/* Insert, update, update, then delete or insert: its rows stay at a level. */
static int one_change(struct writer *w)
{
    int rc;

    switch (w->turn % 4) {
    case 1:
    case 3:
        return w->next > w->oldest ? instar_run(w->db, INSTAR_TXN_SYNC, update_own, w) : INSTAR_OK;
    case 2:
        if (w->next - w->oldest >= OWN_ROWS) {
            rc = instar_run(w->db, INSTAR_TXN_SYNC, delete_own, w);
            w->oldest += rc == INSTAR_OK ? 1 : 0;
            return rc;
        }
        break;
    default:
        break;
    }
    rc = instar_run(w->db, INSTAR_TXN_SYNC, insert_own, w);
    w->next += rc == INSTAR_OK ? 1 : 0;
    return rc;
}

static int take_key(void *arg, const instar_table_info *info)
{
    struct writer *w = arg;

    w->key_count = info->key_count;
    w->key[0] = (instar_value){.type = INSTAR_INT8, .i = DEMO_LEVEL};
    return 0;
}

/* For the primary key that the table has: until it stood still meanwhile. */
static int prepare(struct writer *w)
{
    const char *indexed = w->data->columns[w->data->indexed];
    const char *names[DEMO_COLUMNS_MAX + 1] = {"id"};
    size_t before;
    int rc;

    memcpy(names + 1, w->data->columns, w->data->count * sizeof(names[0]));
    do {
        instar_projection_free(w->all);
        instar_projection_free(w->indexed);
        w->all = w->indexed = NULL;
        rc = instar_table_list(w->db, DEMO_TABLE, take_key, w);
        before = w->key_count;
        rc = rc ? rc
                : instar_projection_prepare(w->db, DEMO_TABLE, names, w->data->count + 1, NULL,
                                            &w->all);
        rc = rc ? rc : instar_projection_prepare(w->db, DEMO_TABLE, &indexed, 1, NULL, &w->indexed);
        rc = rc ? rc : instar_table_list(w->db, DEMO_TABLE, take_key, w);
    } while (rc == INSTAR_OK && w->key_count != before);
    return rc;
}

static int open_writer(struct writer *w, const char *store)
{
    instar_options options;
    int rc;

    instar_options_init(&options);
    options.flags = INSTAR_OPEN_NO_RUNNER;
    rc = instar_open(store, &options, &w->db);
    return rc ? rc : prepare(w);
}

int writer_main(const char *store, const char *stage_path, const char *number,
                const struct demo_data *data)
{
    struct stage *stage = stage_map(stage_path, false);
    long who = strtol(number, NULL, 10);
    struct writer w = {.data = data, .base = ((int64_t)who + 1) * 1000000000};
    int rc;

    if (stage == NULL || who < 0 || who >= DEMO_WRITERS) {
        return 1;
    }
    w.next = w.oldest = w.base;
    rc = open_writer(&w, store);
    atomic_fetch_add(&stage->ready, 1);
    while (rc == INSTAR_OK && !atomic_load(&stage->stop)) {
        uint64_t begin = now_ns();

        rc = one_change(&w);
        if (rc == INSTAR_EUNKNOWN) { /* the primary key is another: its rows have other keys now */
            rc = prepare(&w);
        }
        figures_add(&stage->writers[who], now_ns() - begin);
        w.turn++;
    }
    if (rc != INSTAR_OK) {
        fprintf(stderr, "\ndemo: writer %ld: %s (%s)\n", who, instar_error_text(),
                instar_error_name(rc));
        atomic_fetch_add(&stage->failed, 1);
    }
    instar_projection_free(w.all);
    instar_projection_free(w.indexed);
    return instar_close(w.db) == INSTAR_OK && rc == INSTAR_OK ? 0 : 1;
}
