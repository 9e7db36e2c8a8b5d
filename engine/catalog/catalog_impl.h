/* SPDX-License-Identifier: Apache-2.0 */
/* catalog, inside: the envelope of its records, and the checks that writing and reading share. */
#ifndef INSTAR_CATALOG_IMPL_H
#define INSTAR_CATALOG_IMPL_H

#include "catalog/catalog.h"

#include <string.h>

/* Format of the envelope; a reader refuses any other. That of descriptors is descriptor.c's. */
#define CATALOG_FORMAT 1

/* Kinds of records; the first byte of their keys, and repeated in the envelope. */
enum catalog_kind { CATALOG_KIND_COUNTER = 1, CATALOG_KIND_TABLE = 2, CATALOG_KIND_NAME = 3 };

/* ---- record.c ----------------------------------------------------------------------------- */

struct catalog_key {
    uint8_t bytes[1 + INSTAR_NAME_BYTES_MAX];
    size_t size;
};
struct catalog_key catalog_key_table(uint64_t id);
static inline struct base_slice catalog_key_slice(const struct catalog_key *key)
{
    return (struct base_slice){key->bytes, key->size};
}
/* Verify the envelope of a record under its key; the body points into it. */
int catalog_record_open(struct base_slice key, struct base_slice record,
                        struct base_slice *body_out, struct base_err *err);
/* The table of a descriptor's key; 0 when it is none. */
uint64_t catalog_key_table_id(struct base_slice key);

/* ---- table.c, validate.c ------------------------------------------------------------------ */

/* Memory for a table with nothing in it; NULL: none. */
struct catalog_table *catalog_table_new(void);
/* Room for one column more at the end of table->columns. */
int catalog_table_reserve_column(struct catalog_table *table, struct base_err *err);
/* Room for one index more at the end of table->indexes. */
int catalog_table_reserve_index(struct catalog_table *table, struct base_err *err);
int catalog_no_memory(struct base_err *err); /* for a descriptor: ENOMEM */
/* The column of a definition, checked, with the table's next id, which is then used up. The table
 * is not given the column. */
int catalog_define_column(struct catalog_table *table, const instar_column_def *def,
                          struct catalog_column *column_out, struct base_err *err);
/* ---- expr.c, index.c ---------------------------------------------------------------------- */

/* From its text; what: whose it is, for the error; wanted: what it must give, NULL: anything.
 * EINVALID, ETYPE, EUNKNOWN, ELIMIT. */
int catalog_expr_compile(struct catalog_table *table, const char *what, const char *text,
                         enum instar_type wanted, const struct row_expr **expr_out,
                         struct base_err *err);
bool catalog_expr_uses(const struct row_expr *expr, uint32_t column_id);
/* The same condition? Needs no memory: what is the same must not look different for want of it. */
bool catalog_expr_same(const struct row_expr *a, const struct row_expr *b);
/* As SQL, with the present names of columns. False: no memory. */
bool catalog_expr_print(const struct catalog_table *table, const struct row_expr *expr,
                        struct base_buf *out);
/* NULL: no memory. */
const struct row_expr *catalog_expr_copy(const struct row_expr *from, struct base_arena *arena);
/* Positions of its inputs in columns[], in the table's arena; a room that is there is used again.
 * ENOMEM, EINVALID: a column is not there, or of another type. */
int catalog_expr_inputs(struct catalog_table *table, const struct row_expr *expr,
                        enum catalog_sight sight, uint32_t *count_inout, uint32_t **inputs_inout);
/* The same into a room that is large enough; their number is added to *count_inout. */
int catalog_expr_places(const struct catalog_table *table, const struct row_expr *expr,
                        enum catalog_sight sight, uint32_t *places_out, uint32_t *count_inout);
/* Is it made of columns that the table has, in the types in which it sees them? */
bool catalog_expr_stands(const struct catalog_table *table, const struct row_expr *expr,
                         enum catalog_sight sight);
/* And is it a truth value? */
bool catalog_expr_valid(const struct catalog_table *table, const struct row_expr *expr,
                        enum catalog_sight sight);
/* How many bytes of a text of at most so many stay: whole characters. */
size_t catalog_cut(const char *text, size_t most);
/* table_middle_end, and a number unless that is 0; of names that are too long for it the longer one
 * is cut first. middle: or "". */
void catalog_make_name(const char *table, const char *middle, const char *end, unsigned number,
                       char name[INSTAR_NAME_BYTES_MAX + 1]);
/* The constraints of a new table, public from its first version on. */
int catalog_define_uniques(struct catalog_table *table, const instar_table_def *def,
                           struct base_err *err);
/* Predicate and INCLUDE of a definition; the key's parts are there. EINVALID, EUNKNOWN, ELIMIT and
 * what an expression gives. */
int catalog_index_define(struct catalog_table *table, const instar_index_def *def,
                         struct catalog_index *index, struct base_err *err);
/* As it is: in the key, or included. */
bool catalog_index_has(const struct catalog_index *index, uint32_t column);
/* In an expression: of the key, or the predicate. */
bool catalog_index_computes(const struct catalog_table *table, const struct catalog_index *index,
                            uint32_t column);
/* In whatever way: key, INCLUDE, predicate. */
bool catalog_index_uses(const struct catalog_table *table, const struct catalog_index *index,
                        uint32_t column);
/* Columns from that position on have moved. */
void catalog_index_shift(struct catalog_index *index, uint32_t from, int by);
/* The index was copied as it lies, from another table: it gets its expressions in this arena. */
int catalog_index_adopt_expr(struct catalog_index *index, struct base_arena *arena,
                             struct base_err *err);
int catalog_index_derive(struct catalog_table *table, struct catalog_index *index,
                         struct base_err *err);
/* What both versions of an index must agree in, besides the key. */
bool catalog_index_is_same(const struct catalog_table *from, const struct catalog_index *a,
                           const struct catalog_table *to, const struct catalog_index *b);

/* ---- sight.c ------------------------------------------------------------------------------ */

/* How values of the column at this position are read from a key: of the index, or, without one, of
 * the table. */
void catalog_part_of_column(const struct catalog_table *table, const struct catalog_index *index,
                            uint32_t at, struct row_key_part *part);
/* May what sees the column so take it for that type? */
bool catalog_sight_takes(const struct catalog_column *column, enum instar_type type,
                         enum catalog_sight sight);
/* Have the entries that stand the values that the next version sees? */
bool catalog_sight_step_allowed(const struct catalog_table *from, const struct catalog_index *x,
                                const struct catalog_table *to, const struct catalog_index *y);

/* ---- check.c, alter_check.c --------------------------------------------------------------- */

/* A check at the end of the list, with the table's next id. EINVALID, EEXISTS, ELIMIT and what
 * row_expr_compile gives. */
int catalog_check_define(struct catalog_table *table, const instar_check_def *def,
                         enum catalog_check_state state, struct base_err *err);
/* One like that at the end of the list, under the same id and name. Not derived yet. */
int catalog_check_add(struct catalog_table *table, const struct catalog_check *like,
                      enum catalog_check_state state, struct base_err *err);
/* Copies of all checks, in the arena of `to`. */
int catalog_checks_copy(const struct catalog_table *from, struct catalog_table *to,
                        struct base_err *err);
/* Find the inputs of all of them. EINVALID: one is not there, or of another type. */
int catalog_checks_derive(struct catalog_table *table, struct base_err *err);
bool catalog_check_uses(const struct catalog_check *check, uint32_t column_id);
bool catalog_check_same(const struct catalog_check *a, const struct catalog_check *b);
/* May one version take a check from one state to another, NULL being absence? `fresh`: it is about
 * columns alone that came with the version. */
bool catalog_check_step_allowed(const struct catalog_check *from, const struct catalog_check *to,
                                bool fresh);
/* One of catalog_alter's steps: those about constraints. */
int catalog_alter_constraint(struct catalog_table *table, const instar_alteration *step,
                             bool *changed_out, struct base_err *err);
/* The checks' part in catalog_alter_enforce, _relax and _finish. */
int catalog_checks_enforce(struct catalog_table *copy, const struct catalog_table *target,
                           bool *any, struct base_err *err);
void catalog_checks_relax(struct catalog_table *copy);
int catalog_checks_settle(const struct catalog_table *from, const struct catalog_table *to,
                          struct base_err *err);

/* Checks about this column are made anew from their texts, for its type is another one now. */
int catalog_checks_retype(struct catalog_table *table, uint32_t column_id, struct base_err *err);

/* ---- kept.c, prune.c ---------------------------------------------------------------------- */

/* Copies of all of them, in the arena of `to`. */
int catalog_kept_copy(const struct catalog_table *from, struct catalog_table *to,
                      struct base_err *err);
/* What is wrong with one of them; NULL: nothing. */
const char *catalog_kept_problem(const struct catalog_table *table);
/* May the list of one version be followed by that of the other? */
bool catalog_kept_step_allowed(const struct catalog_table *from, const struct catalog_table *to);
/* Is it a kept column of `from`, come back? */
bool catalog_is_restored(const struct catalog_table *from, const struct catalog_column *column);
/* Has `to` the newest layout of `from` alone? */
bool catalog_is_pruned(const struct catalog_table *from, const struct catalog_table *to);

/* ---- fkey.c, alter_fkey.c ------------------------------------------------------------------- */

/* One like that at the end of the list. ELIMIT, ENOMEM. */
int catalog_fkey_add(struct catalog_table *table, const struct catalog_fkey *like,
                     struct base_err *err);
/* The first one that is about the column; NULL: none. */
const struct catalog_fkey *catalog_fkey_using(const struct catalog_table *table,
                                              uint32_t column_id);
/* Columns, key and actions; not name and state. */
bool catalog_fkey_same(const struct catalog_fkey *a, const struct catalog_fkey *b);
/* ESTATE with the statement that makes the index which it lacks; 0: it has one. */
int catalog_fkey_refuse_unindexed(const struct catalog_table *table,
                                  const struct catalog_fkey *fkey, struct base_err *err);
/* Of both lists, in the arena of `to`. */
int catalog_fkeys_copy(const struct catalog_table *from, struct catalog_table *to,
                       struct base_err *err);
/* Find the columns of all of them. EINVALID: one is not there. */
int catalog_fkeys_derive(struct catalog_table *table, struct base_err *err);
/* A public index for it, if it has none: of a table that is not there yet. */
int catalog_fkey_make_index(struct catalog_table *table, const struct catalog_fkey *fkey,
                            struct base_err *err);
/* Steps of catalog_alter: to add one; what else is done to one that is there. */
int catalog_alter_add_fkey(struct catalog_table *table, const instar_alteration *step,
                           struct base_err *err);
int catalog_alter_fkey(struct catalog_table *table, struct catalog_fkey *fkey,
                       const instar_alteration *step, bool *changed_out, struct base_err *err);
/* The foreign keys' part in catalog_alter_enforce, _relax and _finish. */
int catalog_fkeys_enforce(struct catalog_table *copy, const struct catalog_table *target, bool *any,
                          struct base_err *err);
void catalog_fkeys_relax(struct catalog_table *copy);
int catalog_fkeys_settle(const struct catalog_table *from, const struct catalog_table *to,
                         struct base_err *err);
/* May one version take a foreign key, or a check, from one state to another? 0 is absence. */
bool catalog_constraint_step_allowed(unsigned from, unsigned to);

/* ---- comment.c ---------------------------------------------------------------------------- */

/* One of catalog_alter's steps, COMMENT. */
int catalog_alter_comment(struct catalog_table *table, const instar_alteration *step,
                          bool *changed_out, struct base_err *err);
int catalog_comments_copy(const struct catalog_table *from, struct catalog_table *to,
                          struct base_err *err);
/* Is there what it is about? */
bool catalog_comment_stands(const struct catalog_table *table,
                            const struct catalog_comment *comment);
/* Without those for which that is not so. */
void catalog_comments_prune(struct catalog_table *table);
/* What is wrong with one of them; NULL: nothing. */
const char *catalog_comments_problem(const struct catalog_table *table);

/* ---- retype.c ----------------------------------------------------------------------------- */

/* One of catalog_alter's steps, SET TYPE, on the column at this position. */
int catalog_alter_type(struct catalog_table *table, uint32_t at, const instar_alteration *step,
                       bool *changed_out, struct base_err *err);
/* Must rows be looked at before one column becomes the other, and may it at all in one version? */
bool catalog_type_narrows(const struct catalog_column *from, const struct catalog_column *to);
bool catalog_type_step_allowed(const struct catalog_column *from, const struct catalog_column *to);
/* What the values of a column become for those whose keys they are: of that type, or INSTAR_NULL
 * for other values, made by an expression or rounded to another scale. */
enum instar_type catalog_type_of_keys(const struct catalog_column *from,
                                      const struct catalog_column *to, bool made);
/* Would its entries be others if the column at this position were of the other type? INSTAR_NULL:
 * its values are made anew, whatever their type. */
bool catalog_index_minds(const struct catalog_table *table, const struct catalog_index *index,
                         uint32_t at, enum instar_type other);
/* Is it bound to the very type, even where another one has the same keys? */
bool catalog_index_binds(const struct catalog_table *table, const struct catalog_index *index,
                         uint32_t at);
/* The same question as the first for the primary key. */
bool catalog_key_minds(const struct catalog_table *table, uint32_t at, enum instar_type other);
/* Are the column's values made by an expression from the second version on? */
bool catalog_type_is_made(const struct catalog_table *from, const struct catalog_table *to,
                          uint32_t id);
/* ESTATE: a column came to be of the primary key, whose rows the change does not make anew. to: the
 * other type, in words. */
int catalog_type_refuse_key(const struct catalog_table *table, const struct catalog_column *column,
                            const char *to, struct base_err *err);
/* The types' part in catalog_alter_enforce, _relax and _finish. */
int catalog_types_enforce(struct catalog_table *copy, const struct catalog_table *target, bool *any,
                          struct base_err *err);
void catalog_types_relax(struct catalog_table *copy);
int catalog_types_settle(const struct catalog_table *from, struct catalog_table *to,
                         struct base_err *err);
/* Is `to` in the newest layout of its table made as `from` has it on its way? */
bool catalog_type_made_as(const struct catalog_column *from, const struct catalog_table *table);
/* May this expression make a column of that id and type one of the other type? */
bool catalog_type_makes(const struct row_expr *expr, const struct row_column *from,
                        enum instar_type to);
/* Does b continue a, which stands before it, in type and missing value? */
bool catalog_form_follows(const struct row_column *a, const struct row_column *b);

/* ---- define.c ----------------------------------------------------------------------------- */

/* NULL: no default. */
int catalog_define_default(struct catalog_table *table, struct catalog_column *column,
                           const instar_value *value, struct base_err *err);
/* EUNKNOWN with the nearest name; what: "index i" or so, or "". */
int catalog_unknown_column(const struct catalog_table *table, const char *what, const char *name,
                           struct base_err *err);
/* Find the forms of columns in all layouts. */
void catalog_layouts_link(struct catalog_table *table);
/* Has the layout's column the type and the scale of that one? */
static inline bool catalog_has_form(const struct row_column *form, const struct catalog_column *c)
{
    return form->type == c->type && form->scale == row_type_scale(c->type, c->length_max);
}
/* EINVALID, ELIMIT: a limit, or digits, that cannot be. */
int catalog_length_check(const char *column, enum instar_type type, uint32_t length_max,
                         struct base_err *err);
/* By binary search; NULL: the layout has no such column. */
const struct row_column *catalog_layout_column(const struct row_layout *layout, uint32_t id);
/* A new constraint's name, or one's new name, that nothing else of the table bears. EEXISTS. */
int catalog_constraint_name_check(const struct catalog_table *table, const char *name,
                                  struct base_err *err);
/* Does the table obey every rule that readers rely on? If not, the text says where. */
#define CATALOG_PROBLEM_MAX 256
bool catalog_table_valid(const struct catalog_table *table, char problem[CATALOG_PROBLEM_MAX]);
/* Is (unique, stage, enforcing) a state at all? */
bool catalog_state_exists(const struct catalog_index *index);
/* Id and version from the front of a descriptor's bytes. */
int catalog_table_peek(struct base_slice bytes, uint64_t *id_out, uint32_t *version_out,
                       struct base_err *err);
/* Text for an EUNKNOWN: ", did you mean x?" or nothing. */
#define CATALOG_HINT_MAX (INSTAR_NAME_BYTES_MAX + 32)
const char *catalog_hint(const char *nearest, char hint[CATALOG_HINT_MAX]);

/* ---- rowid.c ------------------------------------------------------------------------------ */

/* The block of row ids that this process has taken. */
struct catalog_row_ids {
    struct os_plain_mutex lock;
    uint64_t next, end;
};
int catalog_row_ids_take(struct catalog_row_ids *ids, struct store *store, int64_t *id_out,
                         struct base_err *err);
/* EINVALID: the name is the engine's own. */
int catalog_column_name_check(const char *name, struct base_err *err);

/* ---- view.c ------------------------------------------------------------------------------- */

struct catalog_held; /* a view with its count */
/* Read all descriptors at the transaction's snapshot; tables that `old` (may be NULL) has in the
 * same version are shared with it. */
int catalog_held_load(struct store_txn *t, uint64_t schema_lsn, const struct catalog_held *old,
                      struct catalog_held **held_out, struct base_err *err);
const struct catalog_view *catalog_held_view(const struct catalog_held *held);
void catalog_held_acquire(struct catalog_held *held);
void catalog_held_release(struct catalog_held *held);
struct catalog_held *catalog_held_of(const struct catalog_view *view);

#endif
