/* SPDX-License-Identifier: Apache-2.0 */
/*
 * txn, inside. One transaction binds each projection that it uses to the version of the table at
 * its snapshot; a write makes a plan of all keys and records first and applies it last.
 *
 * TXN-1  A transaction uses one version of each table, the one of its view, for its whole life.
 * TXN-2  A read-write transaction holds a lease on every table that it read, probed or wrote, and
 *        each of them is a fence of its commit.
 * TXN-3  A statement that fails has changed nothing, or the transaction is broken and says so.
 * TXN-4  What is done to an index is asked of catalog_may_… and catalog_must_probe, and of nothing
 *        else.
 * TXN-5  A row is written in the layout of its writer's version, and carries that version; what is
 *        hidden from that version is carried along.
 * TXN-6  Each entry that was written under an enforcing unique index is probed at commit, in the
 *        transaction's final state, by a read that is always validated. So are the keys that a
 *        written row refers to by a foreign key, and the rows that refer to a key that went.
 */
#ifndef INSTAR_TXN_IMPL_H
#define INSTAR_TXN_IMPL_H

#include "txn/txn.h"

#include <inttypes.h>

#define TXN_TEXT_MAX 256 /* of a key in an error */

/* ---- codec.c: rows of one table, as one version sees them -------------------------------------
 */

/* An image is a row's values in the order of a layout, hidden columns too. */
struct txn_codec {
    const struct catalog_table *table;
    const struct catalog_table *newest; /* knows layouts of later tags; only when forced */
    const struct row_layout *layout;    /* of the table's own version */
    uint32_t since;                     /* and of all versions from this one to that */
    const uint32_t *places; /* column of the table -> position in the layout; NULL: the same */
    size_t row_bytes_max;
    bool forced; /* a tag above the own version is no corruption */
};
static inline uint32_t txn_place(const struct txn_codec *c, uint32_t column)
{
    return c->places != NULL ? c->places[column] : column;
}
/* An integer as one of the column's type, which may have been another when the program was written.
 * Whether it fits is the caller's to check. */
static inline instar_value txn_as_integer(enum instar_type type, const instar_value *value)
{
    instar_value v = *value;
    if (v.type >= INSTAR_INT2 && v.type <= INSTAR_INT8 && type >= INSTAR_INT2 &&
        type <= INSTAR_INT8) {
        v.type = (uint8_t)type;
    }
    return v;
}
int txn_codec_init(struct txn_codec *c, const struct catalog_table *table,
                   const struct catalog_table *newest, size_t row_bytes_max,
                   struct base_arena *arena, struct base_err *err);
/* The image in the own layout: layout->column_count values. Bytes point into the record or the
 * arena. version_out may be NULL. */
int txn_codec_decode(const struct txn_codec *c, struct base_slice key, struct base_slice record,
                     struct base_arena *arena, instar_value *image_out, uint32_t *version_out,
                     struct base_err *err);
/* The same, but only what is wanted of the own layout, by its positions. Of the row, key, record
 * and arena are the caller's; the rest is set here. */
int txn_codec_decode_some(const struct txn_codec *c, struct row_found *row,
                          const struct row_wanted *want, struct base_err *err);
/* Whether the record is sound, of the own layout, and within these bounds of it. False says none of
 * that: decode it. */
bool txn_codec_within(const struct txn_codec *c, struct base_slice key, struct base_slice record,
                      const struct row_bound *bounds, size_t count);
/* Append the record of an image. ELIMIT names the table. */
int txn_codec_encode(const struct txn_codec *c, struct base_slice key, const instar_value *image,
                     struct base_buf *out, struct base_err *err);
/* Append the primary key of an image. ELIMIT, ETYPE. */
int txn_codec_key(const struct txn_codec *c, const instar_value *image, struct base_buf *out,
                  struct base_err *err);
/* Append the entry's key of an image. ELIMIT, and what an expression gives, name the index. */
struct txn_entry_to {
    struct base_buf *bytes; /* where to */
    struct base_arena *scratch;
    size_t prefix_size; /* gets the number of bytes of the index's own parts */
};
int txn_codec_entry(const struct txn_codec *c, const struct catalog_index *index,
                    const instar_value *image, struct txn_entry_to *to, struct base_err *err);
/* Has the row of an image an entry in the index? What catalog_index_inside gives. */
int txn_codec_inside(const struct txn_codec *c, const struct catalog_index *index,
                     const instar_value *image, struct base_arena *scratch, bool *inside_out,
                     struct base_err *err);
/* Append what the entry of an image includes. ELIMIT. */
int txn_codec_include(const struct txn_codec *c, const struct catalog_index *index,
                      const instar_value *image, struct txn_entry_to *to, struct base_err *err);
/* The same from values in the index's order. */
int txn_include_encode(const struct catalog_table *table, const struct catalog_index *index,
                       const instar_value *values, struct base_buf *out, struct base_err *err);
/* Put which row it was before the text of a corruption that was found in it; returns code. */
int txn_row_error(const struct catalog_table *table, struct base_slice key, uint32_t version,
                  int code, struct base_err *err);
/* As the describe functions of txn.h, into a text that is cut. */
void txn_key_text(const struct catalog_table *table, struct base_slice key,
                  char text[TXN_TEXT_MAX]);
void txn_entry_text(const struct catalog_table *table, const struct catalog_index *index,
                    struct base_slice key, char text[TXN_TEXT_MAX]);
/* The row of an entry: from the key that stands behind its own columns. */
void txn_suffix_text(const struct catalog_table *table, const struct catalog_index *index,
                     struct base_slice key, char text[TXN_TEXT_MAX]);
/* "a, b" of an entry's own columns: the values without the row. */
void txn_prefix_text(const struct catalog_table *table, const struct catalog_index *index,
                     struct base_slice key, char text[TXN_TEXT_MAX]);

/* ---- projection.c ------------------------------------------------------------------------------
 */

#define TXN_NO_COLUMN UINT32_MAX
#define TXN_PRIMARY UINT32_MAX

/* A projection as one version of its table has it: positions only, so it outlives the descriptor.
 */
struct txn_resolution {
    uint32_t refs; /* under the projection's lock */
    uint64_t table;
    uint32_t version;
    uint32_t index;      /* position in the table's indexes, or TXN_PRIMARY */
    uint32_t *columns;   /* value -> column of the table */
    uint32_t *values;    /* column of the table -> value, or TXN_NO_COLUMN */
    uint32_t *positions; /* of the layout, ascending: what reading must decode … */
    uint32_t *picks;     /* value -> which of these */
    bool straight;       /* … in the order of the values already */
    bool names_key;      /* all columns of the primary key are among them */
    bool same_key;       /* the primary key is that for which the projection was prepared */
    bool covered;        /* the index's entries have all of them; then: */
    uint32_t *sources;   /* value -> part of the entry: of its key, then of what it includes */
    uint64_t wanted;     /* the parts that are any value's source, as bits */
};
#define TXN_ENTRY_PARTS_MAX (3 * INSTAR_INDEX_COLUMNS_MAX)
_Static_assert(TXN_ENTRY_PARTS_MAX <= 64, "one bit for each in `wanted`");

struct txn_projection {
    struct os_plain_mutex lock;
    uint32_t refs; /* of its owner, and of each transaction that bound it: it may be freed first */
    struct txn_resolution *cached[2]; /* of the versions used last; each holds one reference */
    struct txn_named *named;          /* where it is noted, NULL: nowhere; and as what */
    uint32_t noted;
    size_t count;
    char **columns;
    enum instar_type *types;
    /* Id of the table, and the tree of its rows, when it was prepared: what keys and bounds are of.
     * Another key has another tree. Another table of its name goes by its own. */
    uint64_t key_table;
    uint64_t key_tree;
    char table[INSTAR_NAME_BYTES_MAX + 1];
    char index[INSTAR_NAME_BYTES_MAX + 1]; /* "": the primary key */
};

/* Tell all others of a projection, and that it is no more: by what the first call returned. */
uint32_t txn_named_note(struct txn_named *n, const struct txn_naming *what);
void txn_named_forget(struct txn_named *n, uint32_t at);

struct txn_bound;
/* The resolution for this table, with a reference. EUNKNOWN. */
int txn_resolve(struct txn_projection *p, const struct txn_codec *codec,
                struct txn_resolution **out, struct base_err *err);
/* EUNKNOWN: the primary key is another by now, so what the caller has is no key of it. */
int txn_same_key(const struct txn_bound *b, struct base_err *err);
/* One reference more; given back by txn_projection_free. */
void txn_projection_hold(struct txn_projection *p);
void txn_resolution_release(struct txn_projection *p, struct txn_resolution *r);

/* ---- txn.c: the transaction --------------------------------------------------------------------
 */

struct txn_table {
    struct txn_codec codec;
    struct lease_use use;
    bool leased;
    struct txn_table *next;
};

struct txn_bound {
    struct txn_projection *projection;
    struct txn_resolution *resolution;
    struct txn_table *table;
    struct txn_bound *next;
};

struct txn_forced {
    const struct catalog_table *table;
    struct txn_forced *next;
};

/* A write of an entry under an enforcing unique index: to be probed at commit. */
struct txn_probe {
    struct txn_table *table;
    const struct catalog_index *index;
    size_t key_at; /* in probe_keys */
    uint32_t key_size;
    uint32_t prefix_size;
};

/* What a statement did that a foreign key is about: to be asked at commit. */
struct txn_reference {
    struct txn_table *child, *parent;
    const struct catalog_fkey *fkey; /* of the child's descriptor */
    bool of_parent;          /* a row of the parent went or changed; else one of the child */
    bool restricts;          /* then: that the key is there again does not help */
    size_t own_at, other_at; /* in reference_keys: see fkey.c */
    uint32_t own_size, other_size;
};

/* One step of a statement's plan: key and value lie in plan_bytes. */
struct txn_step {
    uint64_t tree;
    size_t key_at, key_size;
    size_t value_at, value_size;
    bool deletes;
    const struct catalog_index *probe; /* NULL: none */
    size_t prefix_size;
};

struct txn {
    struct txn_env *env;
    struct store_txn *store;
    const struct catalog_view *view;
    unsigned store_flags;
    bool used;      /* something was read or written: its snapshot is fixed */
    int64_t row_id; /* that was given to a row last; 0: none yet */
    int broken;     /* a statement failed half way: nothing but abort is possible */
    uint64_t begun_ns;
    void *owner;
    struct base_arena arena;   /* values that were handed out; bound tables and projections */
    struct base_arena scratch; /* of one statement */
    struct txn_table *tables;
    struct txn_bound *bounds;
    struct txn_forced *forced;
    struct txn_table first_table; /* most use one */
    struct txn_bound first_bound;
    bool first_table_used, first_bound_used;
    struct base_buf from_key, to_key; /* of one statement */
    struct base_buf plan_bytes;
    struct base_buf plan_steps; /* of struct txn_step */
    struct base_buf probes;     /* of struct txn_probe */
    struct base_buf probe_keys;
    struct base_buf references; /* of struct txn_reference */
    struct base_buf reference_keys;
};

static inline bool txn_read_only(const struct txn *t)
{
    return (t->store_flags & STORE_TXN_READONLY) != 0;
}

/* Bind a projection: the table's version, its lease, the resolution. While nothing was read, a
 * schema that moved on is followed by a new snapshot. */
int txn_bind(struct txn *t, struct txn_projection *p, struct txn_bound **bound_out,
             struct base_err *err);
/* A table that a foreign key leads to, with its lease. ESCHEMA_CHANGED, ECORRUPT: there is none. */
int txn_open_table_by_id(struct txn *t, uint64_t id, struct txn_table **table_out,
                         struct base_err *err);
/* Public flags as those of the store. EINVALID. */
int txn_store_flags(const struct txn_env *env, unsigned flags, unsigned *out, struct base_err *err);
int txn_begin_store(struct txn_env *env, unsigned store_flags, struct txn **txn_out,
                    struct base_err *err);

/* ---- plan.c: what a statement does to the trees ------------------------------------------------
 */

void txn_plan_begin(struct txn *t);
/* From one image of a row to another; NULL: no row. *_key: encoded primary keys. */
struct txn_move {
    const instar_value *from, *to;
    struct base_slice from_key, to_key;
};
int txn_plan_move(struct txn *t, const struct txn_table *table, const struct txn_move *move,
                  struct base_err *err);
int txn_plan_apply(struct txn *t, struct txn_table *table, struct base_err *err);

/* ---- probe.c -----------------------------------------------------------------------------------
 */

int txn_probe_note(struct txn *t, struct txn_table *table, const struct catalog_index *index,
                   struct base_slice key, size_t prefix_size, struct base_err *err);
/* All of them, in the final state. EUNIQUE. */
int txn_probe_all(struct txn *t, struct base_err *err);

/* ---- fkey.c ------------------------------------------------------------------------------------
 */

/* What the move has to do with foreign keys of the table, or to it. Takes leases on other tables.
 */
int txn_reference_note(struct txn *t, struct txn_table *table, const struct txn_move *move,
                       struct base_err *err);
/* All that was noted, in the final state. EREFERENCE. */
int txn_reference_check_all(struct txn *t, struct base_err *err);

#endif
