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
 *     both, and the two keys are equal: the entry is left alone
 *
 * "Left alone" matters also where it looks idle: a delete-only writer that removed and did not
 * rewrite the entry of an unchanged value would lose what a write-only writer put there.
 */
#include "txn/txn_impl.h"

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

static int plan_entry_put(struct txn *t, const struct txn_table *table,
                          const struct catalog_index *index, struct txn_step *step,
                          struct base_err *err)
{
    uint8_t entry[ROW_ENTRY_SIZE];
    row_entry_encode(table->codec.table->version,
                     bytes_at(&t->plan_bytes, step->key_at, step->key_size), entry);
    step->value_size = sizeof(entry);
    step->deletes = false;
    if (catalog_must_probe(index)) {
        step->probe = index;
    }
    int rc = add_bytes(t, base_slice(entry, sizeof(entry)), &step->value_at, err);
    return rc == INSTAR_OK ? add_step(t, step, err) : rc;
}

/* Append the entry's key and remember where. */
static int plan_entry_key(struct txn *t, const struct txn_table *table,
                          const struct catalog_index *index, const instar_value *image,
                          struct txn_step *step, struct base_err *err)
{
    *step = (struct txn_step){.tree = index->tree, .deletes = true};
    step->key_at = t->plan_bytes.size;
    int rc = txn_codec_entry(&table->codec, index, image, &t->plan_bytes, &step->prefix_size, err);
    step->key_size = t->plan_bytes.size - step->key_at;
    return rc;
}

static int plan_index(struct txn *t, const struct txn_table *table,
                      const struct catalog_index *index, const struct txn_move *move,
                      struct base_err *err)
{
    struct txn_step old = {0};
    struct txn_step new = {0};
    bool deletes = move->from != NULL && catalog_may_delete(index);
    bool writes = move->to != NULL && catalog_may_write(index);
    bool same = false;
    int rc;
    if (deletes) {
        /* A row from before the index may have no entry because it cannot have one. */
        rc = plan_entry_key(t, table, index, move->from, &old, err);
        deletes = rc != INSTAR_ELIMIT;
        if (rc != INSTAR_OK && rc != INSTAR_ELIMIT) {
            return rc;
        }
        base_err_clear(err);
    }
    if (move->to != NULL && (writes || deletes)) {
        rc = plan_entry_key(t, table, index, move->to, &new, err);
        if (rc != INSTAR_OK && (writes || rc != INSTAR_ELIMIT)) {
            return rc;
        }
        base_err_clear(err);
        same = deletes && rc == INSTAR_OK &&
               base_slice_eq(bytes_at(&t->plan_bytes, old.key_at, old.key_size),
                             bytes_at(&t->plan_bytes, new.key_at, new.key_size));
    }
    if (same) {
        return INSTAR_OK;
    }
    rc = deletes ? add_step(t, &old, err) : INSTAR_OK;
    return rc == INSTAR_OK && writes ? plan_entry_put(t, table, index, &new, err) : rc;
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
