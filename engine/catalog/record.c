/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of the catalog tree. Keys are the kind, then:
 *
 *   01 | u8 counter                 counters      body: varint, the last id that was given
 *   02 | u64 table id, big-endian   descriptors   body: descriptor.c
 *   03 | bytes of the name          names         body: u8 kind | varint table | varint index
 *                                                       | varint change
 *
 * Values are an envelope and the body:
 *
 *   at  bytes  field
 *   0   1      format (1)
 *   1   1      kind, as in the key
 *   2   4      XXH3-32 of the body, seeded with the XXH3-64 of the key, itself seeded with the two
 *              bytes before: so a record under another key is found
 *   6          body
 *
 * All reads here are probes: a transaction that goes by what it read of the catalog must fail when
 * that has changed, whatever its isolation.
 */
#include "catalog/catalog_impl.h"

#include <inttypes.h>

#define ENVELOPE_SIZE 6

struct catalog_key catalog_key_table(uint64_t id)
{
    struct catalog_key key = {.bytes = {CATALOG_KIND_TABLE}, .size = 9};
    base_put_be64(key.bytes + 1, id);
    return key;
}

uint64_t catalog_key_table_id(struct base_slice key)
{
    const uint8_t *p = key.data;
    return key.size == 9 && p[0] == CATALOG_KIND_TABLE ? base_get_be64(p + 1) : 0;
}

static struct catalog_key key_of_counter(enum catalog_counter counter)
{
    return (struct catalog_key){.bytes = {CATALOG_KIND_COUNTER, (uint8_t)counter}, .size = 2};
}

/* The name has been checked. */
static struct catalog_key key_of_name(const char *name)
{
    struct catalog_key key = {.bytes = {CATALOG_KIND_NAME}};
    size_t size = strnlen(name, INSTAR_NAME_BYTES_MAX);
    memcpy(key.bytes + 1, name, size);
    key.size = 1 + size;
    return key;
}

/* ---- the envelope ------------------------------------------------------------------------- */

static uint32_t checksum_of(struct base_slice key, uint8_t format, uint8_t kind,
                            struct base_slice body)
{
    uint64_t seed = base_hash64(key.data, key.size, (uint64_t)format << 8 | kind);
    return base_hash32(body.data, body.size, seed);
}

int catalog_record_open(struct base_slice key, struct base_slice record,
                        struct base_slice *body_out, struct base_err *err)
{
    const uint8_t *p = record.data;
    uint8_t kind = key.size != 0 ? *(const uint8_t *)key.data : 0;
    *body_out = (struct base_slice){0};
    if (record.size < ENVELOPE_SIZE) {
        return base_err_set(err, INSTAR_ECORRUPT, "catalog record: %zu bytes, at least %d expected",
                            record.size, ENVELOPE_SIZE);
    }
    if (p[0] != CATALOG_FORMAT || p[1] != kind) {
        return base_err_set(err, INSTAR_ECORRUPT,
                            "catalog record: format %u and kind %u found, %d and %u expected", p[0],
                            p[1], CATALOG_FORMAT, kind);
    }
    struct base_slice body = base_slice(p + ENVELOPE_SIZE, record.size - ENVELOPE_SIZE);
    uint32_t expected = base_get_u32(p + 2);
    uint32_t found = checksum_of(key, p[0], p[1], body);
    if (found != expected) {
        return base_err_set(err, INSTAR_ECORRUPT,
                            "catalog record of kind %u: checksum %08x expected by the record, %08x "
                            "found",
                            kind, expected, found);
    }
    *body_out = body;
    return 0;
}

static int no_memory(struct base_err *err)
{
    return base_err_set(err, INSTAR_ENOMEM, "no memory for a catalog record");
}

static int put_record(struct store_txn *t, const struct catalog_key *key, struct base_slice body,
                      struct base_err *err)
{
    struct base_slice k = catalog_key_slice(key);
    uint8_t kind = key->bytes[0];
    struct base_buf b = {0};
    int rc = no_memory(NULL);
    if (base_buf_add_u8(&b, CATALOG_FORMAT) && base_buf_add_u8(&b, kind) &&
        base_buf_add_u32(&b, checksum_of(k, CATALOG_FORMAT, kind, body)) &&
        base_buf_add(&b, body.data, body.size)) {
        rc = store_txn_put(t, CATALOG_TREE, k, base_buf_slice(&b), err);
    } else {
        rc = no_memory(err);
    }
    base_buf_free(&b);
    return rc;
}

/* ENOTFOUND is passed on without words. */
static int get_record(struct store_txn *t, const struct catalog_key *key,
                      struct base_slice *body_out, struct base_err *err)
{
    struct base_slice record;
    *body_out = (struct base_slice){0};
    int rc = store_txn_get(t, CATALOG_TREE, catalog_key_slice(key), STORE_READ_PROBE, &record, err);
    return rc != 0 ? rc : catalog_record_open(catalog_key_slice(key), record, body_out, err);
}

/* ---- descriptors -------------------------------------------------------------------------- */

int catalog_get_table(struct store_txn *t, uint64_t id, struct catalog_table **table_out,
                      struct base_err *err)
{
    struct catalog_key key = catalog_key_table(id);
    struct base_slice body;
    *table_out = NULL;
    int rc = get_record(t, &key, &body, err);
    if (rc == INSTAR_ENOTFOUND) {
        return base_err_set(err, rc, "there is no table with id %" PRIu64, id);
    }
    if (rc == 0) {
        rc = catalog_table_decode(body, table_out, err);
    }
    if (rc == 0 && (*table_out)->id != id) {
        rc = base_err_set(err, INSTAR_ECORRUPT, "the descriptor names id %" PRIu64,
                          (*table_out)->id);
        catalog_table_free(*table_out);
        *table_out = NULL;
    }
    if (rc != 0) {
        base_err_prefix(err, "descriptor of table %" PRIu64, id);
    }
    return rc;
}

int catalog_put_table(struct store_txn *t, const struct catalog_table *table, struct base_err *err)
{
    struct catalog_key key = catalog_key_table(table->id);
    struct base_buf body = {0};
    if (table->id == 0 || table->tree < CATALOG_FIRST_FREE_TREE) { /* as it was read somewhere */
        return base_err_set(err, INSTAR_ECORRUPT,
                            "descriptor of table %" PRIu64 ": its rows cannot be in tree %" PRIu64,
                            table->id, table->tree);
    }
    int rc = catalog_table_encode(table, &body, err);
    if (rc == 0) {
        rc = put_record(t, &key, base_buf_slice(&body), err);
    }
    base_buf_free(&body);
    return rc;
}

int catalog_delete_table(struct store_txn *t, uint64_t id, struct base_err *err)
{
    struct catalog_key key = catalog_key_table(id);
    return store_txn_delete(t, CATALOG_TREE, catalog_key_slice(&key), err);
}

/* ---- names -------------------------------------------------------------------------------- */

int catalog_name_get(struct store_txn *t, const char *name, struct catalog_name *out,
                     struct base_err *err)
{
    struct base_slice body;
    *out = (struct catalog_name){0};
    int rc = catalog_name_check("object", name, err);
    if (rc != 0) {
        return rc;
    }
    struct catalog_key key = key_of_name(name);
    rc = get_record(t, &key, &body, err);
    if (rc == INSTAR_ENOTFOUND) {
        return base_err_set(err, rc, "there is nothing named \"%s\"", name);
    }
    if (rc != 0) {
        base_err_prefix(err, "name \"%s\"", name);
        return rc;
    }
    struct base_reader r = base_reader(body);
    uint8_t kind = base_read_u8(&r);
    uint64_t table = base_read_varint(&r);
    uint64_t index = base_read_varint(&r);
    uint64_t change = base_read_varint(&r);
    if (r.bad || base_reader_left(&r) != 0 || index > UINT32_MAX ||
        (kind != CATALOG_NAME_TABLE && kind != CATALOG_NAME_INDEX)) {
        return base_err_set(err, INSTAR_ECORRUPT, "name \"%s\": its record is malformed", name);
    }
    *out = (struct catalog_name){(enum catalog_name_kind)kind, table, (uint32_t)index, change};
    return 0;
}

bool catalog_name_of_table(struct store_txn *t, uint64_t id,
                           char name_out[INSTAR_NAME_BYTES_MAX + 1])
{
    static const uint8_t first = CATALOG_KIND_NAME;
    static const uint8_t behind = CATALOG_KIND_NAME + 1;
    struct store_range range = {.lower = {&first, 1}, .upper = {&behind, 1}};
    struct store_cursor *cursor;
    struct base_slice key;
    struct base_slice record;
    bool found = false;
    name_out[0] = '\0';
    if (store_cursor_open(t, CATALOG_TREE, &range, STORE_READ_UNTRACKED, &cursor, NULL) != 0) {
        return false;
    }
    while (!found && store_cursor_next(cursor, &key, &record, NULL) == 0) {
        struct base_slice body;
        if (key.size < 2 || key.size > INSTAR_NAME_BYTES_MAX + 1 ||
            catalog_record_open(key, record, &body, NULL) != 0) {
            continue;
        }
        struct base_reader r = base_reader(body);
        found = base_read_u8(&r) == CATALOG_NAME_TABLE && base_read_varint(&r) == id && !r.bad;
        if (found) {
            memcpy(name_out, (const uint8_t *)key.data + 1, key.size - 1);
            name_out[key.size - 1] = '\0';
        }
    }
    store_cursor_close(cursor);
    return found;
}

int catalog_name_put(struct store_txn *t, const char *name, const struct catalog_name *value,
                     struct base_err *err)
{
    int rc = catalog_name_check("object", name, err);
    if (rc != 0) {
        return rc;
    }
    struct catalog_key key = key_of_name(name);
    struct base_buf body = {0};
    if (base_buf_add_u8(&body, (uint8_t)value->kind) && base_buf_add_varint(&body, value->table) &&
        base_buf_add_varint(&body, value->index) && base_buf_add_varint(&body, value->change)) {
        rc = put_record(t, &key, base_buf_slice(&body), err);
    } else {
        rc = no_memory(err);
    }
    base_buf_free(&body);
    return rc;
}

int catalog_name_delete(struct store_txn *t, const char *name, struct base_err *err)
{
    int rc = catalog_name_check("object", name, err);
    if (rc != 0) {
        return rc;
    }
    struct catalog_key key = key_of_name(name);
    return store_txn_delete(t, CATALOG_TREE, catalog_key_slice(&key), err);
}

/* ---- counters ----------------------------------------------------------------------------- */

static int put_counter(struct store_txn *t, enum catalog_counter counter, uint64_t last,
                       struct base_err *err)
{
    struct catalog_key key = key_of_counter(counter);
    struct base_buf body = {0};
    int rc = base_buf_add_varint(&body, last) ? put_record(t, &key, base_buf_slice(&body), err)
                                              : no_memory(err);
    base_buf_free(&body);
    return rc;
}

static int get_counter(struct store_txn *t, enum catalog_counter counter, uint64_t *last_out,
                       struct base_err *err)
{
    struct catalog_key key = key_of_counter(counter);
    struct base_slice body;
    *last_out = 0;
    int rc = get_record(t, &key, &body, err);
    if (rc != 0) {
        return rc;
    }
    struct base_reader r = base_reader(body);
    *last_out = base_read_varint(&r);
    if (r.bad || base_reader_left(&r) != 0) {
        return base_err_set(err, INSTAR_ECORRUPT, "counter %d: its record is malformed",
                            (int)counter);
    }
    return 0;
}

/* Two who take an id at once write the same key, so one of them loses and takes the next. */
int catalog_next_id(struct store_txn *t, enum catalog_counter counter, uint64_t *id_out,
                    struct base_err *err)
{
    return catalog_next_ids(t, counter, 1, id_out, err);
}

int catalog_next_ids(struct store_txn *t, enum catalog_counter counter, uint64_t count,
                     uint64_t *first_out, struct base_err *err)
{
    uint64_t last;
    *first_out = 0;
    int rc = get_counter(t, counter, &last, err);
    if (rc == INSTAR_ENOTFOUND && counter == CATALOG_COUNTER_ROW) {
        base_err_clear(err); /* the first block of the store */
        rc = 0;
    }
    if (rc == INSTAR_ENOTFOUND) {
        return base_err_set(err, INSTAR_ECORRUPT, "the catalog has no counter %d", (int)counter);
    }
    /* Row ids are values of int8. */
    uint64_t most = counter == CATALOG_COUNTER_ROW ? INT64_MAX : UINT64_MAX;
    if (rc == 0 && (last > most || most - last < count)) {
        return base_err_set(err, INSTAR_ELIMIT, "counter %d is used up", (int)counter);
    }
    if (rc == 0) {
        rc = put_counter(t, counter, last + count, err);
    }
    if (rc == 0) {
        *first_out = last + 1;
    }
    return rc;
}

/* ---- a new store -------------------------------------------------------------------------- */

static int make_trees(struct store_txn *t, struct base_err *err)
{
    int rc = store_txn_tree_op(t, STORE_TREE_CREATE, CATALOG_TREE, err);
    if (rc == 0) {
        rc = store_txn_tree_op(t, STORE_TREE_CREATE, CATALOG_CHANGE_TREE, err);
    }
    if (rc == 0) {
        rc = put_counter(t, CATALOG_COUNTER_TREE, CATALOG_FIRST_FREE_TREE - 1, err);
    }
    if (rc == 0) {
        rc = put_counter(t, CATALOG_COUNTER_TABLE, 0, err);
    }
    if (rc == 0) {
        rc = put_counter(t, CATALOG_COUNTER_CHANGE, 0, err);
    }
    return rc;
}

/* One transaction, so the catalog is there as a whole or not at all. Of several processes that open
 * a new store at once, one wins and the others find it done on their next try. */
int catalog_bootstrap(struct store *s, struct base_err *err)
{
    int rc = 0;
    do {
        struct store_txn *t;
        uint64_t last;
        rc = store_txn_begin(s, STORE_TXN_SYNC, &t, err);
        if (rc != 0) {
            break;
        }
        rc = get_counter(t, CATALOG_COUNTER_TREE, &last, err);
        if (rc == INSTAR_ENOTFOUND) {
            base_err_clear(err);
            rc = make_trees(t, err);
            if (rc == 0) {
                rc = store_txn_commit(t, NULL, NULL, err);
                t = NULL;
            }
        }
        if (t != NULL) {
            store_txn_abort(t);
        }
    } while (rc == INSTAR_ECONFLICT || rc == INSTAR_ESNAPSHOT_TOO_OLD);
    if (rc != 0) {
        base_err_prefix(err, "make the catalog");
    }
    return rc;
}
