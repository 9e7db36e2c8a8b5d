/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Insert, upsert, update, delete: from the caller's values to the image that the row is to have,
 * then to a plan. An image holds all columns of the version's layout, so a value that this version
 * does not know is carried along (TXN-5).
 */
#include "txn/txn_impl.h"

#include <string.h>

struct write {
    struct txn *t;
    struct txn_bound *b;
    const struct txn_codec *codec;
    instar_value *from; /* image of the row that is there, or NULL */
    instar_value *to;
    struct base_buf *from_key, *to_key; /* the transaction's, used again by each statement */
};

static int no_memory(const struct txn_codec *codec, struct base_err *err)
{
    return base_err_set(err, INSTAR_ENOMEM, "table %s: no memory", codec->table->name);
}

static int begin(struct write *w, struct txn *t, struct txn_projection *p, struct base_err *err)
{
    *w = (struct write){.t = t, .from_key = &t->from_key, .to_key = &t->to_key};
    base_buf_clear(w->from_key);
    base_buf_clear(w->to_key);
    if (txn_read_only(t)) {
        return base_err_set(err, INSTAR_EREADONLY, "table %s: this transaction is read-only",
                            p->table);
    }
    int rc = txn_bind(t, p, &w->b, err);
    if (rc != INSTAR_OK) {
        return rc;
    }
    w->codec = &w->b->table->codec;
    t->used = true;
    base_arena_reset(&t->scratch);
    txn_plan_begin(t);
    size_t size = sizeof(instar_value) * w->codec->layout->column_count;
    w->to = base_arena_alloc(&t->scratch, size);
    return w->to != NULL ? INSTAR_OK : no_memory(w->codec, err);
}

/* ---- images ------------------------------------------------------------------------------- */

/* What a row has before any value is given: hidden columns their missing value, ours the default.
 */
static void fill_defaults(struct write *w)
{
    const struct catalog_table *table = w->codec->table;
    for (uint32_t i = 0; i < w->codec->layout->column_count; i++) {
        w->to[i] = w->codec->layout->columns[i].missing;
    }
    for (uint32_t i = 0; i < table->column_count; i++) {
        const struct catalog_column *column = &table->columns[i];
        w->to[txn_place(w->codec, i)] =
            column->has_default ? column->default_value : (instar_value){.type = INSTAR_NULL};
    }
}

/* And a numeric is rounded to what the column has behind the point. */
static int check_column(const struct txn_codec *codec, uint32_t at, instar_value *value,
                        struct base_err *err)
{
    const struct catalog_column *column = &codec->table->columns[at];
    int rc = row_value_check(column->type, value, err);
    if (rc == INSTAR_OK) {
        rc = catalog_column_fit(column, value, err);
    }
    if (rc != INSTAR_OK) {
        base_err_prefix(err, "column %s of table %s", column->name, codec->table->name);
    } else if (value->type == INSTAR_NULL && catalog_must_refuse_null(column)) {
        rc = base_err_set(err, INSTAR_ENOT_NULL, "column %s of table %s cannot be null",
                          column->name, codec->table->name);
    }
    return rc;
}

/* A type is on its way, and this value cannot become one of it. */
static int check_coming(struct write *w, uint32_t at, const instar_value *value,
                        struct base_err *err)
{
    const struct catalog_column *column = &w->codec->table->columns[at];
    char type[CATALOG_TYPE_TEXT_MAX];
    int rc = catalog_column_foresees(column, value, &w->t->scratch, err);
    if (rc != INSTAR_OK) {
        base_err_prefix(err, "column %s of table %s is becoming %s", column->name,
                        w->codec->table->name,
                        catalog_type_text(column->type_coming, column->length_coming, type));
    }
    return rc;
}

/* An integer of the type that the column had when the projection was prepared: a program that was
 * there before the type changed goes on. One that does not fit is ERANGE. */
static instar_value brought_up(const struct txn_projection *p, size_t at, enum instar_type type,
                               const instar_value *value)
{
    return value->type == p->types[at] ? txn_as_integer(type, value) : *value;
}

/* Row ids are the engine's to give. An insert may leave it null, an update may repeat it. */
static int check_row_id(const struct write *w, const instar_value *value, struct base_err *err)
{
    const struct catalog_table *table = w->codec->table;
    instar_value id = txn_as_integer(INSTAR_INT8, value);
    bool same = w->from != NULL && row_value_check(INSTAR_INT8, &id, NULL) == INSTAR_OK &&
                row_value_cmp(&w->from[txn_place(w->codec, table->row_id_at)], &id) == 0;
    if (same || (w->from == NULL && value->type == INSTAR_NULL)) {
        return INSTAR_OK;
    }
    return base_err_set(err, INSTAR_EINVALID,
                        "column %s of table %s is given by the engine: it is not to be set",
                        INSTAR_ROW_ID, table->name);
}

/* A row that has none yet gets a row id, where its table has them. */
static int give_row_id(struct write *w, struct base_err *err)
{
    const struct catalog_table *table = w->codec->table;
    instar_value *id = table->row_id != 0 ? &w->to[txn_place(w->codec, table->row_id_at)] : NULL;
    int64_t given;
    if (id == NULL || id->type != INSTAR_NULL) {
        return INSTAR_OK;
    }
    int rc = catalog_row_id(w->t->env->catalog, &given, err);
    if (rc == INSTAR_OK) {
        *id = (instar_value){.type = INSTAR_INT8, .i = given};
        w->t->row_id = catalog_keyed_by_row_id(table) ? given : w->t->row_id;
    }
    return rc;
}

/* Put the projection's values into the image. Each is checked, and only these, and a null that was
 * there stays, as does what a type that is on its way has no room for: what a row already breaks,
 * another change of it does not have to mend. */
static int put_values(struct write *w, const instar_value *values, struct base_err *err)
{
    const struct txn_resolution *r = w->b->resolution;
    for (size_t i = 0; i < w->b->projection->count; i++) {
        uint32_t place = txn_place(w->codec, r->columns[i]);
        if (w->codec->table->row_id != 0 && r->columns[i] == w->codec->table->row_id_at) {
            int rc = check_row_id(w, &values[i], err);
            if (rc != INSTAR_OK) {
                return rc;
            }
            continue;
        }
        bool was_null = w->from != NULL && w->from[place].type == INSTAR_NULL;
        const struct catalog_column *column = &w->codec->table->columns[r->columns[i]];
        instar_value value = brought_up(w->b->projection, i, column->type, &values[i]);
        int rc = check_column(w->codec, r->columns[i], &value, err);
        if (rc == INSTAR_OK && column->type_coming != INSTAR_NULL &&
            (w->from == NULL || row_value_cmp(&w->from[place], &value) != 0)) {
            rc = check_coming(w, r->columns[i], &value, err);
        }
        if (rc != INSTAR_OK && !(rc == INSTAR_ENOT_NULL && was_null)) {
            return rc;
        }
        w->to[place] = value;
    }
    return INSTAR_OK;
}

/* An insert gives every column a value, so all others are checked too. */
static int check_rest(struct write *w, struct base_err *err)
{
    const struct txn_resolution *r = w->b->resolution;
    for (uint32_t i = 0; i < w->codec->table->column_count; i++) {
        if (r->values[i] == TXN_NO_COLUMN) {
            instar_value *value = &w->to[txn_place(w->codec, i)];
            int rc = check_column(w->codec, i, value, err);
            rc = rc == INSTAR_OK ? check_coming(w, i, value, err) : rc;
            if (rc != INSTAR_OK) {
                return rc;
            }
        }
    }
    return INSTAR_OK;
}

/* Was a value that the check is about given or changed? An insert gives them all. */
static bool is_touched(const struct write *w, const instar_value *to,
                       const struct catalog_check *check)
{
    for (uint32_t i = 0; w->from != NULL && i < check->input_count; i++) {
        uint32_t place = txn_place(w->codec, check->inputs[i]);
        if (row_value_cmp(&w->from[place], &to[place]) != 0) {
            return true;
        }
    }
    return w->from == NULL;
}

/* What the row is to be obeys the checks, as far as this write is answerable for it: a row that
 * breaks one that was never validated may keep doing so. */
static int check_row(struct write *w, const instar_value *to, struct base_err *err)
{
    const struct catalog_table *table = w->codec->table;
    for (uint32_t i = 0; i < table->check_count; i++) {
        const struct catalog_check *check = &table->checks[i];
        if (!is_touched(w, to, check)) {
            continue;
        }
        size_t size = sizeof(instar_value) * (check->input_count + 1u);
        instar_value *inputs = base_arena_alloc(&w->t->scratch, size);
        if (inputs == NULL) {
            return no_memory(w->codec, err);
        }
        for (uint32_t k = 0; k < check->input_count; k++) {
            inputs[k] = to[txn_place(w->codec, check->inputs[k])];
        }
        int rc = catalog_check_row(table, check, inputs, &w->t->scratch, err);
        if (rc != INSTAR_OK) {
            return rc;
        }
    }
    return INSTAR_OK;
}

/* ---- keys and rows ------------------------------------------------------------------------ */

/* The primary key from values in key order, as update and delete are given it. */
static int encode_key(struct write *w, const instar_value *key, struct base_err *err)
{
    const struct catalog_table *table = w->codec->table;
    instar_value values[INSTAR_INDEX_COLUMNS_MAX];
    int rc = txn_same_key(w->b, err);
    if (rc != INSTAR_OK) {
        return rc;
    }
    for (uint32_t i = 0; i < table->key_count; i++) {
        values[i] = txn_as_integer(table->columns[table->key[i].column].type, &key[i]);
        instar_value fitted = values[i]; /* no row has 1.555 where 1.56 would be written */
        rc = check_column(w->codec, table->key[i].column, &fitted, err);
        if (rc != INSTAR_OK) {
            return rc;
        }
    }
    rc = row_key_encode(table->key_parts, values, table->key_count, w->from_key, err);
    if (rc != INSTAR_OK) {
        base_err_prefix(err, "primary key of table %s", table->name);
    } else if (w->from_key->size > INSTAR_KEY_BYTES_MAX) {
        rc = base_err_set(err, INSTAR_ELIMIT,
                          "primary key of table %s: a key of %zu bytes; the limit is %d",
                          table->name, w->from_key->size, INSTAR_KEY_BYTES_MAX);
    }
    return rc;
}

static int read_row(struct write *w, struct base_slice key, struct base_slice *record_out,
                    struct base_err *err)
{
    return store_txn_get(w->t->store, w->codec->table->tree, key, STORE_READ_NORMAL, record_out,
                         err);
}

static int decode_from(struct write *w, struct base_slice key, struct base_slice record,
                       struct base_err *err)
{
    size_t size = sizeof(instar_value) * w->codec->layout->column_count;
    w->from = base_arena_alloc(&w->t->scratch, size);
    if (w->from == NULL) {
        return no_memory(w->codec, err);
    }
    return txn_codec_decode(w->codec, key, record, &w->t->scratch, w->from, NULL, err);
}

static int not_found(const struct write *w, struct base_err *err)
{
    char text[TXN_TEXT_MAX];
    txn_key_text(w->codec->table, base_buf_slice(w->from_key), text);
    return base_err_set(err, INSTAR_ENOTFOUND, "table %s has no row %s", w->codec->table->name,
                        text);
}

static int exists(const struct write *w, struct base_err *err)
{
    char text[TXN_TEXT_MAX];
    txn_key_text(w->codec->table, base_buf_slice(w->to_key), text);
    return base_err_set(err, INSTAR_EEXISTS, "table %s has a row %s already", w->codec->table->name,
                        text);
}

/* Read the row that is to change: its key is in from_key. */
static int load(struct write *w, struct base_err *err)
{
    struct base_slice record;
    struct base_slice key = base_buf_slice(w->from_key);
    int rc = read_row(w, key, &record, err);
    if (rc == INSTAR_ENOTFOUND) {
        return not_found(w, err);
    }
    return rc == INSTAR_OK ? decode_from(w, key, record, err) : rc;
}

/* ---- the statements ----------------------------------------------------------------------- */

static int plan_and_apply(struct write *w, const instar_value *to, struct base_err *err)
{
    struct txn_move move = {.from = w->from,
                            .to = to,
                            .from_key = base_buf_slice(w->from_key),
                            .to_key = base_buf_slice(w->to_key)};
    size_t references = w->t->references.size;
    size_t keys = w->t->reference_keys.size;
    int rc = to != NULL ? check_row(w, to, err) : INSTAR_OK;
    rc = rc == INSTAR_OK ? txn_plan_move(w->t, w->b->table, &move, err) : rc;
    rc = rc == INSTAR_OK ? txn_reference_note(w->t, w->b->table, &move, err) : rc;
    rc = rc == INSTAR_OK ? txn_plan_apply(w->t, w->b->table, err) : rc;
    if (rc != INSTAR_OK) { /* it has done nothing */
        w->t->references.size = references;
        w->t->reference_keys.size = keys;
    }
    return rc;
}

static int insert_image(struct write *w, const instar_value *values, struct base_err *err)
{
    fill_defaults(w);
    int rc = put_values(w, values, err);
    if (rc == INSTAR_OK) {
        rc = give_row_id(w, err);
    }
    if (rc == INSTAR_OK) {
        rc = check_rest(w, err);
    }
    return rc == INSTAR_OK ? txn_codec_key(w->codec, w->to, w->to_key, err) : rc;
}

int txn_insert(struct txn *t, struct txn_projection *p, const instar_value *values,
               struct base_err *err)
{
    struct write w;
    struct base_slice record;
    int rc = begin(&w, t, p, err);
    if (rc == INSTAR_OK) {
        rc = insert_image(&w, values, err);
    }
    if (rc == INSTAR_OK) {
        rc = read_row(&w, base_buf_slice(w.to_key), &record, err);
        rc = rc == INSTAR_OK ? exists(&w, err) : rc == INSTAR_ENOTFOUND ? INSTAR_OK : rc;
    }
    if (rc == INSTAR_OK) {
        base_err_clear(err);
        rc = plan_and_apply(&w, w.to, err);
    }
    return rc;
}

/* The row that is there gets the values; all else of it stays. */
static int update_image(struct write *w, const instar_value *values, struct base_err *err)
{
    struct base_slice record;
    memcpy(w->to, w->from, sizeof(*w->to) * w->codec->layout->column_count);
    int rc = put_values(w, values, err);
    if (rc == INSTAR_OK) {
        rc = give_row_id(w, err);
    }
    if (rc == INSTAR_OK) {
        rc = txn_codec_key(w->codec, w->to, w->to_key, err);
    }
    if (rc != INSTAR_OK || base_slice_eq(base_buf_slice(w->from_key), base_buf_slice(w->to_key))) {
        return rc;
    }
    rc = read_row(w, base_buf_slice(w->to_key), &record, err);
    return rc == INSTAR_OK ? exists(w, err) : rc == INSTAR_ENOTFOUND ? INSTAR_OK : rc;
}

int txn_upsert(struct txn *t, struct txn_projection *p, const instar_value *values,
               struct base_err *err)
{
    struct write w;
    struct base_slice record;
    int rc = begin(&w, t, p, err);
    rc = rc == INSTAR_OK ? txn_same_key(w.b, err) : rc;
    if (rc == INSTAR_OK && catalog_keyed_by_row_id(w.codec->table)) {
        rc = base_err_set(err, INSTAR_EINVALID,
                          "upsert into table %s: it has no primary key by which a row could be "
                          "there already",
                          p->table);
    }
    if (rc == INSTAR_OK && !w.b->resolution->names_key) {
        rc = base_err_set(err, INSTAR_EINVALID,
                          "upsert into table %s: the projection must name the whole primary key",
                          p->table);
    }
    if (rc == INSTAR_OK) {
        fill_defaults(&w);
        rc = put_values(&w, values, err);
    }
    if (rc == INSTAR_OK) {
        rc = txn_codec_key(w.codec, w.to, w.to_key, err);
    }
    if (rc == INSTAR_OK) {
        rc = read_row(&w, base_buf_slice(w.to_key), &record, err);
        if (rc == INSTAR_ENOTFOUND) {
            rc = give_row_id(&w, err);
            rc = rc == INSTAR_OK ? check_rest(&w, err) : rc;
        } else if (rc == INSTAR_OK) {
            rc = base_buf_add(w.from_key, w.to_key->data, w.to_key->size) ? INSTAR_OK
                                                                          : no_memory(w.codec, err);
            rc = rc == INSTAR_OK ? decode_from(&w, base_buf_slice(w.from_key), record, err) : rc;
            base_buf_clear(w.to_key);
            rc = rc == INSTAR_OK ? update_image(&w, values, err) : rc;
        }
    }
    if (rc == INSTAR_OK) {
        base_err_clear(err);
        rc = plan_and_apply(&w, w.to, err);
    }
    return rc;
}

/* The same with the row that has this key. */
static int begin_at(struct write *w, struct txn *t, struct txn_projection *p,
                    const instar_value *key, struct base_err *err)
{
    int rc = begin(w, t, p, err);
    if (rc == INSTAR_OK) {
        rc = encode_key(w, key, err);
    }
    return rc == INSTAR_OK ? load(w, err) : rc;
}

int txn_update(struct txn *t, struct txn_projection *p, const instar_value *key,
               const instar_value *values, struct base_err *err)
{
    struct write w;
    int rc = begin_at(&w, t, p, key, err);
    if (rc == INSTAR_OK) {
        rc = update_image(&w, values, err);
    }
    if (rc == INSTAR_OK) {
        base_err_clear(err);
        rc = plan_and_apply(&w, w.to, err);
    }
    return rc;
}

int txn_delete(struct txn *t, struct txn_projection *p, const instar_value *key,
               struct base_err *err)
{
    struct write w;
    int rc = begin_at(&w, t, p, key, err);
    if (rc == INSTAR_OK) {
        rc = plan_and_apply(&w, NULL, err);
    }
    return rc;
}
