/* SPDX-License-Identifier: Apache-2.0 */
/*
 * txn: transactions over rows. A transaction uses one version of each table, the one at its
 * snapshot; its writes follow the stage table for each index; at commit its leases are fences.
 */
#ifndef INSTAR_TXN_H
#define INSTAR_TXN_H

#include "lease/lease.h"

struct txn;

/* What transactions stand on; one per open store. */
struct txn_env {
    struct store *store;
    struct catalog *catalog;
    struct leases *leases;
    struct txn_named *named;  /* NULL: nobody is told what its projections name */
    struct txn *_Atomic idle; /* one that has ended, for whoever begins next; or NULL */
};
/* Frees what was kept of transactions that have ended; none is left. */
void txn_env_end(struct txn_env *env);

struct txn_cursor;
struct txn_projection;

/* As the public functions of the same names (instar.h); flags: enum instar_txn_flag. */
int txn_begin(struct txn_env *env, unsigned flags, struct txn **txn_out, struct base_err *err);
int txn_commit(struct txn *t, struct base_err *err);
void txn_abort(struct txn *t);
/* begin_flags as above; fn as in instar_run, with the txn. */
int txn_run(struct txn_env *env, unsigned flags, int (*fn)(struct txn *t, void *arg), void *arg,
            struct base_err *err);
uint64_t txn_lsn(const struct txn *t);
int64_t txn_row_id(const struct txn *t); /* that its last insert was given; 0: none */
struct txn_env *txn_env_of(const struct txn *t);
/* For the owner of the handle above: a pointer of its own. */
void txn_set_owner(struct txn *t, void *owner);
void *txn_owner(const struct txn *t);

int txn_projection_prepare(struct txn_env *env, const char *table, const char *const *columns,
                           size_t count, const char *index, struct txn_projection **out,
                           struct base_err *err);
void txn_projection_free(struct txn_projection *p);
size_t txn_projection_count(const struct txn_projection *p);
const char *txn_projection_column(const struct txn_projection *p, size_t at);
enum instar_type txn_projection_type(const struct txn_projection *p, size_t at);

/* What the projections of all processes name (named.c). Thread safe. */
struct txn_named;
int txn_named_open(struct store *s, struct txn_named **out, struct base_err *err);
void txn_named_close(struct txn_named *n); /* no projection is left; NULL is allowed */
struct txn_naming {
    uint64_t table;   /* id */
    uint64_t columns; /* txn_named_bit of each */
    uint32_t index;   /* id of the one that it scans by; 0: none */
};
uint64_t txn_named_bit(uint32_t column_id);
/* The processes with projections that are wanted, or with some of which it is not known what they
 * name; arg for both. ENOMEM. */
struct txn_holder {
    uint32_t node;
    uint32_t pid;
    uint32_t projections; /* that are wanted */
    uint32_t unlisted;    /* of which it is not known */
    uint64_t age_ns;      /* since the first of them */
};
int txn_named_list(struct txn_named *n, bool (*wanted)(void *arg, const struct txn_naming *what),
                   void *arg, void (*found)(void *arg, const struct txn_holder *holder),
                   struct base_err *err);

int txn_insert(struct txn *t, struct txn_projection *p, const instar_value *values,
               struct base_err *err);
int txn_upsert(struct txn *t, struct txn_projection *p, const instar_value *values,
               struct base_err *err);
int txn_update(struct txn *t, struct txn_projection *p, const instar_value *key,
               const instar_value *values, struct base_err *err);
int txn_delete(struct txn *t, struct txn_projection *p, const instar_value *key,
               struct base_err *err);
int txn_get(struct txn *t, struct txn_projection *p, const instar_value *key,
            instar_value *values_out, struct base_err *err);
int txn_scan(struct txn *t, struct txn_projection *p, const instar_range *range,
             struct txn_cursor **cursor_out, struct base_err *err);
int txn_cursor_next(struct txn_cursor *c, instar_value *values_out, struct base_err *err);
void txn_cursor_close(struct txn_cursor *c);

/* Test hook: this transaction acts on `table` as if its descriptor were `forced` (not copied),
 * takes no lease for it, and does not call a tag above its version corruption. */
void txn_force_version(struct txn *t, const struct catalog_table *forced);

/* ---- for change/: index entries of rows, in bulk ------------------------------------------ */

/* Decodes rows of one table version and makes index entries. One per thread. */
struct txn_rows;
int txn_rows_open(const struct catalog_table *table, size_t row_bytes_max, struct txn_rows **out,
                  struct base_err *err);
void txn_rows_close(struct txn_rows *r);
/* All columns of a row, in the table's order; bytes valid until the next call. ECORRUPT names
 * table, key and the version that wrote it. *version_out (may be NULL): its tag. */
int txn_rows_decode(struct txn_rows *r, struct base_slice key, struct base_slice record,
                    const instar_value **values_out, uint32_t *version_out, struct base_err *err);
/* A row of an older layout: its record in that of the version, with the version's tag, is appended.
 * *old_out: it is one. ECORRUPT, and what casts give, name the row; ELIMIT: it is too large. */
int txn_rows_rewrite(struct txn_rows *r, struct base_slice key, struct base_slice record,
                     bool *old_out, struct base_buf *out, struct base_err *err);
/* Only the columns at these ascending positions in the table; otherwise as txn_rows_decode. */
int txn_rows_columns(struct txn_rows *r, struct base_slice key, struct base_slice record,
                     const uint32_t *columns, size_t count, instar_value *values_out,
                     struct base_err *err);
/* What nearly all rows will be: within bounds, whose positions are those of the table's columns, in
 * any order. Then whether a record is sound and so, told without decoding it; false says nothing.
 * ENOMEM. */
int txn_rows_expect(struct txn_rows *r, const struct row_bound *bounds, size_t count,
                    struct base_err *err);
bool txn_rows_as_expected(const struct txn_rows *r, struct base_slice key,
                          struct base_slice record);
/* A row's entry in an index: appended to these where it has one. */
struct txn_entry {
    struct base_buf *key;
    struct base_buf *include; /* what is behind the front of its value; may be the same; NULL: not
                               * wanted */
    bool inside;              /* out: the row has an entry */
};
/* ELIMIT, and what an expression gives, name index and row. Only the columns that the index needs
 * are looked at. */
int txn_rows_entry(struct txn_rows *r, const struct catalog_index *index, struct base_slice key,
                   struct base_slice record, struct txn_entry *entry, struct base_err *err);
/* The record of a row in an index of whole rows. */
struct txn_copy {
    struct base_slice key;   /* that it is to have there */
    struct base_buf *record; /* out */
    bool moved;              /* out: it has another key there now, and there is no record */
};
/* ECORRUPT, ENOMEM, and what the key's and the row's limits give. */
int txn_rows_record(struct txn_rows *r, const struct catalog_index *index, struct base_slice key,
                    struct base_slice record, struct txn_copy *copy, struct base_err *err);
/* Key of the entry that a row of these values has, if it is in the index. */
int txn_entry_key(const struct catalog_table *table, const struct catalog_index *index,
                  const instar_value *values, struct base_arena *scratch, struct base_buf *key_out,
                  struct base_err *err);
/* Does the parent have the key that a row of its child refers to? values: of the foreign key's
 * columns, in its order, none of them null. Not tracked. */
int txn_parent_has(struct store_txn *t, const struct catalog_table *parent,
                   const struct catalog_fkey *fkey, const instar_value *values, bool *has_out,
                   struct base_err *err);
/* "(parent=7) of row (id=4)", from the key by which the row is found (catalog_fkey_path). */
void txn_describe_reference(const struct catalog_table *child, const struct catalog_fkey *fkey,
                            struct base_slice key, struct base_buf *text_out);
/* An entry's key in words: "(path='/etc/passwd') of row (id=4)", for reports. */
void txn_describe_entry(const struct catalog_table *table, const struct catalog_index *index,
                        struct base_slice key, struct base_buf *text_out);
/* The values of the index's own parts: "(path='/etc/passwd')". */
void txn_describe_prefix(const struct catalog_table *table, const struct catalog_index *index,
                         struct base_slice key, struct base_buf *text_out);
void txn_describe_key(const struct catalog_table *table, struct base_slice key,
                      struct base_buf *text_out);

#endif
