/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan of a statement: every key and record that it will write or delete, computed before the
 * first of them is written. Whatever can fail for reasons of the row (types, limits, a key that
 * cannot be encoded) fails here, and room in the transaction is asked for as a whole; so applying
 * the plan fails only without memory, and then the transaction is broken and says so (TXN-3).
 *
 * What happens to an index, by its version's capabilities (TXN-4):
 *
 *                    old entry            new entry
 *     may delete     deleted              -
 *     may write      -                    written; noted for a probe if unique must hold
 *     both, and keys and included columns are equal: the entry is left alone
 *     both, and only the keys are equal: written over, where it may be written; nobody is asked
 *                    whether it is unique, as that was not changed
 *
 * A row for which the index's predicate is not true has no entry there, nor has one for which it
 * cannot be evaluated or of which the entry is too long: that is no fault of a row from before, and
 * refuses the new one from write-only on.
 *
 * "Left alone" matters also where it looks idle: a delete-only writer that removed and did not
 * rewrite the entry of an unchanged value would lose what a write-only writer put there.
 */
#include "txn/txn_impl.h"

#include <string.h>

/* Upper bound of what a step adds to the record, besides key and value. */
#define STEP_OVERHEAD 20

void txn_plan_begin(struct txn *t)
{
    base_buf_clear(&t->plan_bytes);
    base_buf_clear(&t->plan_steps);
}

static struct base_slice bytes_at(const struct base_buf *b, size_t at, size_t size)
{
    return base_slice(size > 0 ? b->data + at : (const uint8_t *)"", size);
}

static int add_step(struct txn *t, const struct txn_step *step, struct base_err *err)
{
    if (!base_buf_add(&t->plan_steps, step, sizeof(*step))) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory for a statement");
    }
    return INSTAR_OK;
}

/* Key or value goes behind what is there; *at_out is its place. */
static int add_bytes(struct txn *t, struct base_slice bytes, size_t *at_out, struct base_err *err)
{
    *at_out = t->plan_bytes.size;
    if (!base_buf_add(&t->plan_bytes, bytes.data, bytes.size)) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory for a statement");
    }
    return INSTAR_OK;
}

/* Faults of a row, for which it has no entry. */
static bool is_rows_fault(int rc)
{
    return rc == INSTAR_ELIMIT || rc == INSTAR_ERANGE || rc == INSTAR_ETYPE;
}

/* Append the key and the value of an image's entry and remember where. The front of the value comes
 * last. *there_out: it has an entry. */
static int plan_entry(struct txn *t, const struct txn_table *table,
                      const struct catalog_index *index, const instar_value *image,
                      struct txn_step *step, bool *there_out, struct base_err *err)
{
    static const uint8_t front[ROW_ENTRY_SIZE];
    const struct txn_codec *codec = &table->codec;
    *step = (struct txn_step){.tree = index->tree, .deletes = true};
    int rc = txn_codec_inside(codec, index, image, &t->scratch, there_out, err);
    if (rc != INSTAR_OK || !*there_out) {
        return rc;
    }
    step->key_at = t->plan_bytes.size;
    struct txn_entry_to to = {.bytes = &t->plan_bytes, .scratch = &t->scratch};
    rc = txn_codec_entry(codec, index, image, &to, err);
    step->prefix_size = to.prefix_size;
    step->key_size = t->plan_bytes.size - step->key_at;
    if (rc == INSTAR_OK) {
        rc = add_bytes(t, base_slice(front, sizeof(front)), &step->value_at, err);
    }
    if (rc == INSTAR_OK && index->include_count > 0) {
        rc = txn_codec_include(codec, index, image, &to, err);
    }
    step->value_size = t->plan_bytes.size - step->value_at;
    *there_out = rc == INSTAR_OK;
    return rc;
}

static struct base_slice key_of(const struct txn *t, const struct txn_step *step)
{
    return bytes_at(&t->plan_bytes, step->key_at, step->key_size);
}

static struct base_slice value_of(const struct txn *t, const struct txn_step *step)
{
    return bytes_at(&t->plan_bytes, step->value_at, step->value_size);
}

static int plan_entry_put(struct txn *t, const struct txn_table *table, struct txn_step *step,
                          struct base_err *err)
{
    row_entry_encode(table->codec.table->version, key_of(t, step),
                     row_entry_include(value_of(t, step)), t->plan_bytes.data + step->value_at);
    step->deletes = false;
    return add_step(t, step, err);
}

static int plan_entry_delete(struct txn *t, struct txn_step *step, struct base_err *err)
{
    step->value_size = 0;
    return add_step(t, step, err);
}

/* The whole row, for the key of the step, which moves with the bytes that it is among. */
static int plan_record(struct txn *t, const struct txn_table *table, struct txn_step *step,
                       const instar_value *image, struct base_err *err)
{
    uint8_t key[INSTAR_KEY_BYTES_MAX];
    memcpy(key, key_of(t, step).data, step->key_size);
    int rc = txn_codec_encode(&table->codec, base_slice(key, step->key_size), image, &t->plan_bytes,
                              err);
    step->value_size = t->plan_bytes.size - step->value_at;
    return rc;
}

/* An index's entries of both images. */
struct two_entries {
    struct txn_step before, after;
    bool had, has; /* there is one before, there is one after */
};

/* What is in the way of an entry counts only where that one must be written. */
static int plan_both(struct txn *t, const struct txn_table *table,
                     const struct catalog_index *index, const struct txn_move *move,
                     struct two_entries *two, struct base_err *err)
{
    bool deletes = move->from != NULL && catalog_may_delete(index);
    bool writes = move->to != NULL && catalog_may_write(index);
    bool must = writes && !catalog_index_is_past(table->codec.table, index);
    int rc = INSTAR_OK;
    *two = (struct two_entries){.had = false};
    if (deletes) {
        rc = plan_entry(t, table, index, move->from, &two->before, &two->had, err);
        rc = is_rows_fault(rc) ? INSTAR_OK : rc;
    }
    if (rc == INSTAR_OK && move->to != NULL && (writes || two->had)) {
        base_err_clear(err);
        rc = plan_entry(t, table, index, move->to, &two->after, &two->has, err);
        rc = is_rows_fault(rc) && !must ? INSTAR_OK : rc;
    }
    if (rc == INSTAR_OK) {
        base_err_clear(err);
    }
    return rc;
}

/* The key of an image in a tree of whole rows. *there_out: it has one. */
static int plan_rows_key(struct txn *t, const struct txn_table *table,
                         const struct catalog_index *index, const instar_value *image,
                         struct txn_step *step, bool *there_out, struct base_err *err)
{
    *step = (struct txn_step){.tree = index->tree, .key_at = t->plan_bytes.size, .deletes = true};
    struct txn_entry_to to = {.bytes = &t->plan_bytes, .scratch = &t->scratch};
    int rc = txn_codec_entry(&table->codec, index, image, &to, err);
    step->key_size = t->plan_bytes.size - step->key_at;
    *there_out = rc == INSTAR_OK;
    return rc;
}

/* The tree of another primary key has the whole row. It is written by every statement that writes
 * the row, so that whoever knows the table by the one key meets whoever knows it by the other. */
static int plan_rows(struct txn *t, const struct txn_table *table,
                     const struct catalog_index *index, const struct txn_move *move,
                     struct base_err *err)
{
    struct txn_step before;
    struct txn_step after;
    bool had = false;
    bool has = false;
    bool writes = move->to != NULL && catalog_may_write(index);
    int rc = INSTAR_OK;
    if (move->from != NULL && catalog_may_delete(index)) {
        rc = plan_rows_key(t, table, index, move->from, &before, &had, err);
        rc = is_rows_fault(rc) ? INSTAR_OK : rc;
    }
    if (rc == INSTAR_OK && writes) {
        base_err_clear(err);
        rc = plan_rows_key(t, table, index, move->to, &after, &has, err);
        rc = is_rows_fault(rc) && index->sight == CATALOG_SIGHT_PAST ? INSTAR_OK : rc;
    }
    bool same = had && has && base_slice_eq(key_of(t, &before), key_of(t, &after));
    if (rc == INSTAR_OK && had && !same) {
        rc = plan_entry_delete(t, &before, err);
    }
    if (rc != INSTAR_OK || !has) {
        return rc;
    }
    after.value_at = t->plan_bytes.size;
    after.deletes = false;
    rc = plan_record(t, table, &after, move->to, err);
    return rc == INSTAR_OK ? add_step(t, &after, err) : rc;
}

static int plan_index(struct txn *t, const struct txn_table *table,
                      const struct catalog_index *index, const struct txn_move *move,
                      struct base_err *err)
{
    struct two_entries two;
    if (index->rows) {
        return plan_rows(t, table, index, move, err);
    }
    bool writes = catalog_may_write(index);
    int rc = plan_both(t, table, index, move, &two, err);
    bool same_key =
        two.had && two.has && base_slice_eq(key_of(t, &two.before), key_of(t, &two.after));
    if (rc != INSTAR_OK ||
        (same_key && base_slice_eq(value_of(t, &two.before), value_of(t, &two.after)))) {
        return rc;
    }
    if (two.had && !(same_key && writes)) {
        rc = plan_entry_delete(t, &two.before, err);
    }
    if (rc == INSTAR_OK && two.has && writes) {
        two.after.probe = !same_key && catalog_must_probe(index) ? index : NULL;
        rc = plan_entry_put(t, table, &two.after, err);
    }
    return rc;
}

static int plan_row_put(struct txn *t, const struct txn_table *table, const struct txn_move *move,
                        struct base_err *err)
{
    struct txn_step step = {.tree = table->codec.table->tree, .key_size = move->to_key.size};
    int rc = add_bytes(t, move->to_key, &step.key_at, err);
    if (rc != INSTAR_OK) {
        return rc;
    }
    step.value_at = t->plan_bytes.size;
    rc = txn_codec_encode(&table->codec, move->to_key, move->to, &t->plan_bytes, err);
    step.value_size = t->plan_bytes.size - step.value_at;
    return rc == INSTAR_OK ? add_step(t, &step, err) : rc;
}

static int plan_row_delete(struct txn *t, const struct txn_table *table,
                           const struct txn_move *move, struct base_err *err)
{
    struct txn_step step = {
        .tree = table->codec.table->tree, .key_size = move->from_key.size, .deletes = true};
    int rc = add_bytes(t, move->from_key, &step.key_at, err);
    return rc == INSTAR_OK ? add_step(t, &step, err) : rc;
}

int txn_plan_move(struct txn *t, const struct txn_table *table, const struct txn_move *move,
                  struct base_err *err)
{
    const struct catalog_table *ct = table->codec.table;
    bool moves =
        move->from != NULL && (move->to == NULL || !base_slice_eq(move->from_key, move->to_key));
    int rc = INSTAR_OK;
    if (move->to != NULL) {
        rc = plan_row_put(t, table, move, err);
    }
    if (rc == INSTAR_OK && moves) {
        rc = plan_row_delete(t, table, move, err);
    }
    for (uint32_t i = 0; i < ct->index_count && rc == INSTAR_OK; i++) {
        rc = plan_index(t, table, &ct->indexes[i], move, err);
    }
    return rc;
}

/* ---- applying ----------------------------------------------------------------------------- */

static int apply_step(struct txn *t, struct txn_table *table, const struct txn_step *step,
                      struct base_err *err)
{
    struct base_slice key = bytes_at(&t->plan_bytes, step->key_at, step->key_size);
    if (step->deletes) {
        return store_txn_delete(t->store, step->tree, key, err);
    }
    int rc = INSTAR_OK;
    if (step->probe != NULL) {
        rc = txn_probe_note(t, table, step->probe, key, step->prefix_size, err);
    }
    return rc == INSTAR_OK
               ? store_txn_put(t->store, step->tree, key,
                               bytes_at(&t->plan_bytes, step->value_at, step->value_size), err)
               : rc;
}

int txn_plan_apply(struct txn *t, struct txn_table *table, struct base_err *err)
{
    const struct txn_step *steps = (const struct txn_step *)(const void *)t->plan_steps.data;
    size_t count = t->plan_steps.size / sizeof(*steps);
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += STEP_OVERHEAD + steps[i].key_size + steps[i].value_size;
    }
    if (!store_txn_room(t->store, bytes, count)) {
        return base_err_set(err, INSTAR_ELIMIT,
                            "table %s: no room for this row in the transaction (txn_bytes_max); "
                            "commit what it holds and go on in another",
                            table->codec.table->name);
    }
    for (size_t i = 0; i < count; i++) {
        int rc = apply_step(t, table, &steps[i], err);
        if (rc != INSTAR_OK) {
            t->broken = rc;
            return rc;
        }
    }
    return INSTAR_OK;
}
