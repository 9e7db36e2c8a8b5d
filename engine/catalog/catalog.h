/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog: table descriptors with their versions, names, ids, element stages and what each stage
 * allows. Descriptors live in the store's own tree, so their history is the log's.
 *
 * A catalog_table is immutable once it is in a view. Publishing a new version is lease/'s task: it
 * calls catalog_put_table inside its critical section; nobody else may.
 */
#ifndef INSTAR_CATALOG_H
#define INSTAR_CATALOG_H

#include "row/row.h"
#include "store/store.h"

#define CATALOG_TREE 1        /* descriptors, names, counters */
#define CATALOG_CHANGE_TREE 2 /* change records: the bytes are change/'s own */
#define CATALOG_FIRST_FREE_TREE 16

/* Limits that the public header does not have; both are ELIMIT. */
#define CATALOG_INDEXES_MAX 256        /* of one table, in any stage */
#define CATALOG_DEFAULT_BYTES_MAX 4096 /* of one default value */
#define CATALOG_LAYOUTS_MAX 1024   /* of one table, between two vacuums; when columns go, more */
#define CATALOG_CHECKS_MAX 256     /* of one table */
#define CATALOG_FKEYS_MAX 64       /* of one table */
#define CATALOG_REFERRERS_MAX 1024 /* foreign keys that refer to one table */

struct catalog_column {
    uint32_t id; /* never reused in its table */
    char name[INSTAR_NAME_BYTES_MAX + 1];
    char alias[INSTAR_NAME_BYTES_MAX + 1]; /* the name before, while its version lives; or "" */
    enum instar_type type;
    uint32_t length_max; /* characters of a text, 0: any number; INSTAR_DIGITS of a numeric */
    /* A type that is on its way, or INSTAR_NULL: writers refuse what cannot be cast to it, rows may
     * not obey yet. */
    enum instar_type type_coming;
    uint32_t length_coming;
    /* The type it had until this version, for indexes that are on their way out; or INSTAR_NULL. */
    enum instar_type type_past;
    uint32_t length_past;
    /* How its values come about, if not by the cast: over this column alone. Of the type that is on
     * its way, and between catalog_alter and its finish of the new one. */
    const struct row_expr *made_by;
    bool not_null;  /* holds for every row */
    bool enforcing; /* NOT NULL is on its way: writers obey it, rows may not yet */
    bool hidden;    /* no name leads to it; it is here for the indexes that are made or dropped with
                     * it. Rows have its missing value. Behind all that are not hidden */
    bool has_default;
    instar_value default_value;
    instar_value missing; /* between catalog_alter and its finish: for the layout of a new column */
};
#define CATALOG_NO_COLUMN UINT32_MAX
struct catalog_key_part {
    uint32_t column; /* position in columns[]; CATALOG_NO_COLUMN: there is an expression */
    /* Of an index: its value stands in the key. Knows columns by id; in the table's arena. */
    const struct row_expr *expr;
    bool descending;
    bool nulls_swapped; /* null is at the other end: first when ascending, last when descending */
};
/* In which types an index, or a check, sees the columns (sight.c). An index that is public sees
 * them as they are. */
enum catalog_sight {
    CATALOG_SIGHT_NOW,    /* as they are */
    CATALOG_SIGHT_COMING, /* as they will be, where another type is on its way */
    CATALOG_SIGHT_PAST,   /* as they were, where the type is another one now, or a column has gone:
                             nobody reads it, and it binds nobody */
    CATALOG_SIGHT_EITHER  /* of a check that is enforcing: as they are, or as they will be */
};
struct catalog_index {
    uint32_t id; /* never reused in its table */
    uint64_t tree;
    char name[INSTAR_NAME_BYTES_MAX + 1];
    char alias[INSTAR_NAME_BYTES_MAX + 1]; /* as a column's */
    bool unique;
    bool enforcing;          /* unique is probed by writers, from its version on */
    enum instar_stage stage; /* outside catalog/: ask catalog_may_…, never compare */
    uint64_t change;         /* at work on it, or 0 */
    bool constraint;         /* it is the UNIQUE constraint of its name */
    enum catalog_sight sight;
    bool remade; /* of a private copy: its columns' types changed, so its entries must be made anew
                  */
    /* Of a primary key that is changing (rekey.c). */
    bool rows;         /* its entries are whole rows, by the key of its parts */
    uint32_t keyed_by; /* id of such an index: entries end with its key; 0: with the table's own */
    /* Of that and of a type that is changing: id of the index whose place it takes, with its name;
     * 0: none */
    uint32_t replaces;
    uint32_t part_count; /* of the index's own columns */
    struct catalog_key_part parts[INSTAR_INDEX_COLUMNS_MAX];
    uint32_t include_count;                      /* columns that entries carry along */
    uint32_t includes[INSTAR_INDEX_COLUMNS_MAX]; /* positions in columns[] */
    /* Only rows for which it is true have entries; NULL: all. Knows columns by id; in the table's
     * arena. */
    const struct row_expr *predicate;
    /* Derived by catalog_table_finish: the whole entry key = own columns, then primary key. */
    uint32_t key_part_count;
    struct row_key_part key_parts[INSTAR_INDEX_COLUMNS_MAX * 2];
    /* positions in columns[], or CATALOG_NO_COLUMN */
    uint32_t key_columns[INSTAR_INDEX_COLUMNS_MAX * 2];
    struct row_key_part include_parts[INSTAR_INDEX_COLUMNS_MAX];
    uint32_t input_count; /* of the predicate, and their positions in columns[] */
    uint32_t *inputs;
    /* What an entry is made of, positions in columns[]: for each own part its column or the inputs
     * of its expression, the columns of the key in which it ends if that is not the row's own, then
     * the included columns. */
    uint32_t need_count;
    uint32_t *needs;
    bool computed; /* a part is an expression */
};
/* A check that is there binds every writer, whatever its state. The numbers are on disk. */
enum catalog_check_state {
    CATALOG_CHECK_NOT_VALID = 1,  /* nobody has looked at the rows from before */
    CATALOG_CHECK_ENFORCING = 2,  /* new, on its way to valid; it goes when its change goes back */
    CATALOG_CHECK_VALIDATING = 3, /* was not valid, on its way to valid */
    CATALOG_CHECK_VALID = 4       /* false for no row */
};
struct catalog_check {
    uint32_t id; /* never reused in its table */
    enum catalog_check_state state;
    /* Unique among the table's checks, but one that is enforcing may have that of one that its
     * change drops. */
    char name[INSTAR_NAME_BYTES_MAX + 1];
    const struct row_expr *expr; /* knows columns by id; in the table's arena */
    /* Derived by catalog_table_finish: positions in columns[] of the expression's inputs. */
    uint32_t input_count;
    uint32_t *inputs;
};
/* A column that was dropped and may come back (kept.c): in the layouts, and nowhere else. */
struct catalog_kept {
    struct catalog_column column; /* as it was */
    uint64_t change;              /* that dropped it */
};
/* A foreign key of a table, the child: what these columns hold is a key of the parent, or one of
 * them is null. It binds the writers of both tables, whatever its state, from the versions on in
 * which both have it; these come in one commit. */
struct catalog_fkey {
    uint32_t id;                    /* never reused in its table */
    enum catalog_check_state state; /* as a check's, and its name too */
    char name[INSTAR_NAME_BYTES_MAX + 1];
    uint64_t parent;       /* id of the table, which may be the child itself */
    uint32_t parent_index; /* id of its unique index that is referred to, 0: its primary key */
    bool restrict_delete;  /* RESTRICT, not NO ACTION */
    bool restrict_update;
    uint32_t column_count;
    uint32_t column_ids[INSTAR_INDEX_COLUMNS_MAX]; /* in the order of the parent's key */
    uint32_t columns[INSTAR_INDEX_COLUMNS_MAX];    /* derived: their positions in columns[] */
};
/* The other end of one, in the parent's descriptor. */
struct catalog_referrer {
    uint64_t child; /* id of the table */
    uint32_t fkey;  /* its id there */
    uint32_t index; /* id of the unique index here, 0: the primary key */
};
/* What COMMENT ON has said (comment.c). The numbers are on disk. */
enum catalog_comment_kind {
    CATALOG_COMMENT_TABLE = 1,
    CATALOG_COMMENT_COLUMN = 2,
    CATALOG_COMMENT_INDEX = 3,
    CATALOG_COMMENT_CHECK = 4,
    CATALOG_COMMENT_FKEY = 5
};
struct catalog_comment {
    enum catalog_comment_kind kind;
    uint32_t id; /* of what it is about; 0: the table */
    const char *text;
};
/* How a foreign key finds the tables that it is about, while one is made; for errors, too. */
struct catalog_table;
struct catalog_kin {
    /* A table that is no copy under edit; lives as long as the kin. */
    int (*find)(void *arg, const char *name, const struct catalog_table **table_out,
                struct base_err *err);
    /* constraint "k" of table "t" */
    void (*describe)(void *arg, const struct catalog_referrer *referrer, char *text, size_t size);
    void *arg;
};
struct catalog_table {
    uint64_t id;
    uint32_t version;
    char name[INSTAR_NAME_BYTES_MAX + 1];
    char alias[INSTAR_NAME_BYTES_MAX + 1]; /* as a column's */
    uint64_t tree;
    uint64_t change; /* the change that creates it, while no name leads to it yet; or 0 */
    uint32_t next_column_id, next_index_id, next_check_id, next_fkey_id;
    uint32_t column_count;
    struct catalog_column *columns; /* each is in the newest layout, found there by id */
    uint32_t key_count;             /* primary key; of a table without one, the row id */
    struct catalog_key_part key[INSTAR_INDEX_COLUMNS_MAX];
    uint32_t row_id; /* id of the hidden column that the engine fills; 0: it has none */
    bool rekeyed;    /* of a private copy: a column of its key has other keys, so rows by it must be
                      * made anew */
    uint32_t index_count;
    struct catalog_index *indexes;
    uint32_t check_count;
    struct catalog_check *checks;
    uint32_t kept_count;
    struct catalog_kept *kept;
    uint32_t fkey_count;
    struct catalog_fkey *fkeys;
    uint32_t referrer_count; /* foreign keys that refer to it */
    struct catalog_referrer *referrers;
    uint32_t comment_count;
    struct catalog_comment *comments; /* by kind and id */
    uint32_t layout_count;
    struct row_layout *layouts; /* oldest first */
    /* version -> layout: versions from first_version on use layouts[layout]; no row is left of a
     * version before the first */
    uint32_t layout_map_count;
    struct catalog_layout_map {
        uint32_t first_version;
        uint32_t layout; /* position in layouts[] */
    } * layout_map;
    /* Derived by catalog_table_finish. */
    struct row_key_part key_parts[INSTAR_INDEX_COLUMNS_MAX];
    uint32_t row_id_at;            /* position in columns[], where there is one */
    const struct catalog_kin *kin; /* of a private copy that is being altered, and its copies */
    struct base_arena arena;       /* holds all of it */
};

/* ---- descriptors -------------------------------------------------------------------------- */

/* Check a definition and make a descriptor of version 1 with it (ids and tree not yet given).
 * EINVALID, ELIMIT, EUNKNOWN (a key column; nearest named). Free with catalog_table_free. */
int catalog_table_from_def(const instar_table_def *def, struct catalog_table **table_out,
                           struct base_err *err);
/* Add an index in stage absent to a private copy: with the table's next index id, no tree yet.
 * EINVALID, EUNKNOWN (a column; nearest named), ELIMIT, EEXISTS (this table has that name). The
 * pointer, and those to the other indexes, are valid until the next index is added or removed. */
int catalog_index_from_def(struct catalog_table *table, const instar_index_def *def,
                           struct catalog_index **index_out, struct base_err *err);
/* The parts of a primary key of the table's columns; EINVALID, EUNKNOWN, ELIMIT. */
int catalog_define_key(struct catalog_table *table, const instar_key_column *key, size_t count,
                       struct catalog_key_part parts[INSTAR_INDEX_COLUMNS_MAX],
                       struct base_err *err);
/* "t_pkey", and a number unless that is 0: what a primary key goes by, which has no name kept. */
void catalog_key_name(const char *table, unsigned number, char name[INSTAR_NAME_BYTES_MAX + 1]);
/* An index in its first stage at the end of the list, with the next id, no parts and no tree. A
 * name that is taken in the table gets a number. Pointers to others are void afterwards. ELIMIT. */
int catalog_index_add(struct catalog_table *table, const char *name,
                      struct catalog_index **index_out, struct base_err *err);
/* Does nothing when there is none. */
void catalog_index_remove(struct catalog_table *table, const char *name);
/* A private copy to edit into the next version. */
int catalog_table_copy(const struct catalog_table *from, struct catalog_table **copy_out,
                       struct base_err *err);
/* Fill what is derived; needed after edits of columns, keys or indexes. EINVALID: a position that
 * is not there. */
int catalog_table_finish(struct catalog_table *table, struct base_err *err);
void catalog_table_free(struct catalog_table *table); /* NULL is allowed */
struct catalog_index *catalog_table_index(const struct catalog_table *table, const char *name);
struct catalog_index *catalog_table_index_by_id(const struct catalog_table *table, uint32_t id);
/* Position of a column, or -1. */
int catalog_table_column(const struct catalog_table *table, const char *name);
int catalog_table_column_by_id(const struct catalog_table *table, uint32_t id);
/* The same for names as applications know them: an alias will do when nothing bears the name. */
int catalog_table_find_column(const struct catalog_table *table, const char *name);
const struct catalog_index *catalog_table_find_index(const struct catalog_table *table,
                                                     const char *name);
/* The layout by which rows with this tag are decoded: NULL for a tag newer than the table. */
const struct row_layout *catalog_table_layout(const struct catalog_table *table, uint32_t version);
/* The first version of which rows have the same layout as those of the table's own. */
uint32_t catalog_table_layout_since(const struct catalog_table *table);
/* Same columns, order and uniqueness? If not, the first difference in words; "" when there was no
 * memory to tell. */
bool catalog_index_same(const struct catalog_table *table, const struct catalog_index *a,
                        const struct catalog_index *b, char *difference, size_t size);
bool catalog_table_same(const struct catalog_table *a, const struct catalog_table *b,
                        char *difference, size_t size);
/* Bytes, for the disk; decoding trusts nothing (ECORRUPT) and finishes the table. What would not be
 * decoded again is not encoded (EINVALID). */
int catalog_table_encode(const struct catalog_table *table, struct base_buf *out,
                         struct base_err *err);
int catalog_table_decode(struct base_slice bytes, struct catalog_table **table_out,
                         struct base_err *err);
/* The statement in SQL's words, for people: "CREATE UNIQUE INDEX i ON t (a, b DESC)". */
void catalog_index_describe(const struct catalog_table *table, const struct catalog_index *index,
                            char *text, size_t size);

/* A name as SQL wants it: in quotes unless it is all small letters, digits and underscores. */
bool catalog_name_add(struct base_buf *out, const char *name);

/* ---- indexes (index.c) -------------------------------------------------------------------- */

/* The UNIQUE constraint of that name, or NULL. */
struct catalog_index *catalog_table_unique(const struct catalog_table *table, const char *name);
/* Does the table have any? */
bool catalog_has_unique(const struct catalog_table *table);
/* table_column_key for a constraint without a name, and a number behind it unless that is 0. */
void catalog_unique_name(const char *table, const instar_unique_def *def, unsigned number,
                         char name[INSTAR_NAME_BYTES_MAX + 1]);
/* The definition of the index of one, under a name; columns has room for its columns. ELIMIT. */
int catalog_unique_index(const instar_unique_def *def, const char *name, const char *table,
                         instar_key_column columns[INSTAR_INDEX_COLUMNS_MAX],
                         instar_index_def *index_out, struct base_err *err);
/* Has a row with these values, one for each of the predicate's inputs, an entry? Without predicate
 * it has. What row_expr_eval gives; the words name the index. */
int catalog_index_inside(const struct catalog_table *table, const struct catalog_index *index,
                         const instar_value *inputs, struct base_arena *scratch, bool *inside_out,
                         struct base_err *err);
/* The values of its own parts from what an entry is made of, one for each of needs[]; those that
 * follow the parts' are not looked at. What row_expr_eval gives; the words name the index. */
int catalog_index_parts(const struct catalog_table *table, const struct catalog_index *index,
                        const instar_value *needs, struct base_arena *scratch,
                        instar_value values_out[INSTAR_INDEX_COLUMNS_MAX], struct base_err *err);
/* An own part as SQL: the column's name in quotes where it needs them, or "(expression)". False: no
 * memory. */
bool catalog_index_print_part(const struct catalog_table *table,
                              const struct catalog_key_part *part, struct base_buf *out);
/* The predicate as SQL, with the present names of columns. False: no memory. */
bool catalog_index_print_predicate(const struct catalog_table *table,
                                   const struct catalog_index *index, struct base_buf *out);

/* ---- in what types an index sees columns (sight.c) ------------------------------------------ */

/* A value of the column at this position as the index sees it; bytes in scratch. What row_cast
 * gives, in the digits of the column's type then, but for an index that nobody reads any more:
 * there it is null where it cannot be cast. */
int catalog_index_see(const struct catalog_table *table, const struct catalog_index *index,
                      uint32_t at, const instar_value *value, struct base_arena *scratch,
                      instar_value *value_out, struct base_err *err);
/* The rows by a key whose columns change their types, which whoever reads a row must meet; NULL:
 * there are none. */
const struct catalog_index *catalog_coming_rows(const struct catalog_table *table);
/* Does an entry say less than the row, in the sight of the next version? Then whoever reads the
 * index must read its rows, too. */
bool catalog_index_fades(const struct catalog_table *table, const struct catalog_index *index);
/* With whose key its entries end; NULL: with the table's own, as it is. That is seen in the types
 * in which those rows see it. */
const struct catalog_index *catalog_index_keyer(const struct catalog_table *table,
                                                const struct catalog_index *index);
/* Are its entries, or the keys in which they end, of types that were? Then it binds nobody. */
bool catalog_index_is_past(const struct catalog_table *table, const struct catalog_index *index);
/* What people call it: the name of the one whose place it takes, or its own. */
const char *catalog_index_called(const struct catalog_table *table,
                                 const struct catalog_index *index);

/* ---- row ids (rowid.c) -------------------------------------------------------------------- */

/* Is the row id its primary key? */
bool catalog_keyed_by_row_id(const struct catalog_table *table);
/* The hidden column of row ids behind all others of a copy, with the table's next column id.
 * ELIMIT, ENOMEM. */
int catalog_add_row_id(struct catalog_table *table, struct base_err *err);
/* Columns that a change has hidden: all hidden ones but that of the row ids. */
uint32_t catalog_hidden_columns(const struct catalog_table *table);

/* ---- checks (check.c) --------------------------------------------------------------------- */

/* By name; not one that is enforcing. */
struct catalog_check *catalog_table_check(const struct catalog_table *table, const char *name);
struct catalog_check *catalog_table_check_by_id(const struct catalog_table *table, uint32_t id);
/* Is it being validated? */
bool catalog_check_is_pending(const struct catalog_check *check);
/* Does it hold for these values, one for each of its inputs? They are cast where the check is about
 * a type that is on its way. ECHECK when it is false, and what row_expr_eval and row_cast give; the
 * words name it and the table. */
int catalog_check_row(const struct catalog_table *table, const struct catalog_check *check,
                      const instar_value *inputs, struct base_arena *scratch, struct base_err *err);
/* Its expression as SQL, with the present names of columns. False: no memory. */
bool catalog_check_print(const struct catalog_table *table, const struct catalog_check *check,
                         struct base_buf *out);

/* ---- foreign keys (fkey.c, alter_fkey.c) -------------------------------------------------- */

/* By name; not one that is enforcing. */
struct catalog_fkey *catalog_table_fkey(const struct catalog_table *table, const char *name);
struct catalog_fkey *catalog_table_fkey_by_id(const struct catalog_table *table, uint32_t id);
/* Is it being validated? */
bool catalog_fkey_is_pending(const struct catalog_fkey *fkey);
/* Is that the name of a check, a UNIQUE or a foreign key of the table? */
bool catalog_has_constraint(const struct catalog_table *table, const char *name);
/* The key of a table that foreign keys may refer to. */
struct catalog_parent_key {
    const struct catalog_index *index; /* NULL: the primary key */
    uint64_t tree;
    const struct catalog_key_part *parts;
    const struct row_key_part *key_parts;
    uint32_t count;
};
/* False: there is no such key, or it is not unique for all rows and public. */
bool catalog_parent_key_of(const struct catalog_table *parent, uint32_t index_id,
                           struct catalog_parent_key *key_out);
/* By what the rows of a child are found: keys in that tree begin with the foreign key's columns,
 * the i-th of which there is the order[i]-th of the foreign key. */
struct catalog_fkey_path {
    const struct catalog_index *index; /* NULL: the primary key */
    uint64_t tree;
    const struct row_key_part *key_parts;
    uint32_t order[INSTAR_INDEX_COLUMNS_MAX];
};
/* False: there is no such index. */
bool catalog_fkey_path(const struct catalog_table *child, const struct catalog_fkey *fkey,
                       struct catalog_fkey_path *path_out);
/* Of a definition, its columns alone: would it lack an index? False, too: they are not there. */
bool catalog_fkey_needs_index(const struct catalog_table *table, const instar_fkey_def *def,
                              struct catalog_fkey *fkey);
/* table_column_idx, and a number behind it unless that is 0. */
void catalog_fkey_index_name(const struct catalog_table *table, const struct catalog_fkey *fkey,
                             unsigned number, char name[INSTAR_NAME_BYTES_MAX + 1]);
/* One at the end of the list, with the table's next id; table->kin finds its parent. What a change
 * has on its way already is taken up. EINVALID, EUNKNOWN, EEXISTS, ELIMIT, ETYPE. */
int catalog_fkey_define(struct catalog_table *table, const instar_fkey_def *def,
                        enum catalog_check_state state, struct base_err *err);
/* Is the key that it refers to there, and what its columns hold found among the keys? ESTATE,
 * ETYPE. */
int catalog_fkey_fits(const struct catalog_table *child, const struct catalog_fkey *fkey,
                      const struct catalog_table *parent, struct base_err *err);
/* Those of a new table, valid, with the indexes that they need. */
int catalog_define_fkeys(struct catalog_table *table, const instar_table_def *def,
                         struct base_err *err);
/* Let the parent say of a child's foreign keys what the child says; NULL: there is no child any
 * more. Both may be the same. *changed_out: whether that was anything new; the version stays. */
int catalog_referrers_follow(struct catalog_table *parent, uint64_t child_id,
                             const struct catalog_table *child, bool *changed_out,
                             struct base_err *err);
/* Has the altered copy of `from` all that foreign keys need: the keys that others refer to, the
 * indexes by which its own are looked for? ESTATE names the constraint. */
int catalog_keys_kept(const struct catalog_table *from, const struct catalog_table *to,
                      struct base_err *err);

/* ---- comments (comment.c) ----------------------------------------------------------------- */

/* NULL: there is none. */
const char *catalog_comment_of(const struct catalog_table *table, enum catalog_comment_kind kind,
                               uint32_t id);
/* What takes another's place takes its comment. ENOMEM. */
int catalog_comment_hand_on(struct catalog_table *table, enum catalog_comment_kind kind,
                            uint32_t from, uint32_t to, struct base_err *err);

/* ---- types of columns (retype.c) ------------------------------------------------------------ */

/* A value of the column's type, or null, as it is to stand in it: a numeric is rounded to the
 * column's scale. ERANGE: a text that is too long, a numeric of too many digits. */
int catalog_column_fit(const struct catalog_column *column, instar_value *value,
                       struct base_err *err);
/* May this value stand in it as it is? ERANGE. */
int catalog_column_holds(const struct catalog_column *column, const instar_value *value,
                         struct base_err *err);
/* And can it become what is on its way? ERANGE, ETYPE, ENOMEM. */
int catalog_column_foresees(const struct catalog_column *column, const instar_value *value,
                            struct base_arena *scratch, struct base_err *err);
/* "int4" or "varchar(20)". */
#define CATALOG_TYPE_TEXT_MAX 48
const char *catalog_type_text(enum instar_type type, uint32_t length_max,
                              char text[CATALOG_TYPE_TEXT_MAX]);

/* ---- alterations (alter.c) ---------------------------------------------------------------- */

/* Do one step to a private copy; names, columns and defaults only, its version stays.
 * *changed_out: false when its IF [NOT] EXISTS leaves nothing to do. Errors as
 * instar_alter_table. */
int catalog_alter(struct catalog_table *table, const instar_alteration *step, bool *changed_out,
                  struct base_err *err);
/* Make the altered copy of `from` its next version: a layout for new columns, aliases for what has
 * another name now. ELIMIT, ENOMEM; EINVALID, ESTATE: a NOT NULL that does not hold for old rows.
 * The copy then is finished. */
int catalog_alter_finish(const struct catalog_table *from, struct catalog_table *to,
                         struct base_err *err);
/* The version before that: what is new in `target` and must be validated, NOT NULL and checks, is
 * enforced in the copy of `from`, which then is finished. *any_out: false, and no new version, when
 * there is nothing of that kind. */
int catalog_alter_enforce(struct catalog_table *copy, const struct catalog_table *target,
                          bool *any_out, struct base_err *err);
/* As that, with the types that may lose values alone: what is made of the cast values comes after
 * it. */
int catalog_alter_foresee(struct catalog_table *copy, const struct catalog_table *target,
                          bool *any_out, struct base_err *err);
/* All types of the target that are other ones are on their way in the copy; its version stays, and
 * it is not finished. */
int catalog_types_announce(struct catalog_table *copy, const struct catalog_table *target,
                           struct base_err *err);
/* What is on its way in the one is on its way in the other. */
int catalog_types_carry(const struct catalog_table *from, struct catalog_table *to,
                        struct base_err *err);
/* Give a copy the types of `from`, where they are others, as those that were, for its indexes that
 * see them so; and let it forget them. */
void catalog_types_remember(const struct catalog_table *from, struct catalog_table *to);
void catalog_types_forget(struct catalog_table *copy);
/* And back from there, by one more version. */
void catalog_alter_relax(struct catalog_table *copy);
/* Does it still have aliases, or columns that are hidden in its layout? */
bool catalog_alter_leaves(const struct catalog_table *table);
/* The version after it, for when nobody uses the one before: without these. ELIMIT, ENOMEM. */
int catalog_alter_retire(struct catalog_table *copy, struct base_err *err);

/* ---- dropped columns that are kept (kept.c) ----------------------------------------------- */

/* By the column's id; NULL: there is none. */
const struct catalog_kept *catalog_table_kept(const struct catalog_table *table, uint32_t id);
/* How many of them that change dropped. */
uint32_t catalog_kept_by(const struct catalog_table *table, uint64_t change);
/* The columns of `from` that `to`, not yet finished, has no more are kept in it. */
int catalog_keep_dropped(const struct catalog_table *from, struct catalog_table *to,
                         uint64_t change, bool *any_out, struct base_err *err);
/* The next version, in which all that the change dropped is back; new_name: of the one column that
 * it is, or NULL. binds: what was NOT NULL is enforced; else it may be null. EEXISTS: a name is
 * taken. */
int catalog_restore_kept(struct catalog_table *copy, uint64_t change, const char *new_name,
                         bool binds, struct base_err *err);
/* The version after it: what is enforced of these columns is NOT NULL. */
int catalog_settle_restored(struct catalog_table *copy, const uint32_t *ids, size_t count,
                            struct base_err *err);
/* Or back: these columns of `now` are kept again, under the names that they had. */
struct catalog_kept_name {
    uint32_t id;
    char name[INSTAR_NAME_BYTES_MAX + 1];
};
int catalog_keep_again(const struct catalog_table *now, struct catalog_table *copy,
                       const struct catalog_kept_name *names, size_t count, uint64_t change,
                       struct base_err *err);
/* What the change dropped is kept no more; the layout still has it, until catalog_alter_retire.
 * False: there was nothing. */
bool catalog_forget_kept(struct catalog_table *copy, uint64_t change);

/* ---- old layouts (prune.c) ---------------------------------------------------------------- */

/* Rows with a tag from this one on are of the newest layout. */
uint32_t catalog_newest_since(const struct catalog_table *table);
bool catalog_has_old_layouts(const struct catalog_table *table);
/* The next version, without them. No row of an older layout may be left. */
int catalog_prune_layouts(struct catalog_table *copy, struct base_err *err);

/* ---- versions in between (between.c) ------------------------------------------------------ */

/* Give a copy of a version what another one has, for the versions in which it is not public yet, or
 * no more. A column comes as a hidden one at the end; that it must not be null is kept when `binds`
 * says so. Does nothing when the column is there, in whatever form. */
int catalog_hide_column(struct catalog_table *to, const struct catalog_table *from, uint32_t id,
                        bool binds, struct base_err *err);
/* An index, with its id and tree, and its columns, hidden where they are not there. Pointers to
 * other indexes are void afterwards. */
int catalog_adopt_index(struct catalog_table *to, const struct catalog_table *from, uint32_t id,
                        bool binds, struct catalog_index **index_out, struct base_err *err);
/* Let an adopted index of `from` see the columns of `to` in the types that it knows: those of the
 * past, or those that come. */
void catalog_index_set_sight(const struct catalog_table *from, const struct catalog_table *to,
                             struct catalog_index *index, enum catalog_sight sight);
/* Is it, of a version that is on its way out, about a column that nobody can name any more? */
bool catalog_index_is_blind(const struct catalog_table *table, const struct catalog_index *index);
/* NULL: none has that tree. */
struct catalog_index *catalog_table_index_by_tree(const struct catalog_table *table, uint64_t tree);
/* All but that of the row ids. They stay in the layout. */
void catalog_remove_hidden(struct catalog_table *table);
/* How many columns are not hidden. */
uint32_t catalog_visible_columns(const struct catalog_table *table);

/* ---- stages ------------------------------------------------------------------------------- */

/* Must writers keep null out of it? */
bool catalog_must_refuse_null(const struct catalog_column *column);
/* The only questions that may be asked of a stage (catalog/stage.def). */
bool catalog_may_delete(const struct catalog_index *index); /* remove entries of old row images */
bool catalog_may_write(const struct catalog_index *index);  /* write entries of new row images */
bool catalog_may_read(const struct catalog_index *index);   /* use it for queries */
bool catalog_must_probe(const struct catalog_index *index); /* unique must hold at commit */
const char *catalog_stage_name(enum instar_stage stage);
/* May an element go from one (stage, enforcing) to another in one version (I-9)? Staying is
 * allowed. NULL stands for an element that is not there. */
bool catalog_step_allowed(const struct catalog_index *from, const struct catalog_index *to);
/* May this be the next version of that table? Every index makes an allowed step or none, and what
 * is for ever (ids, trees, columns of indexes, layouts) is as it was. */
bool catalog_table_step_allowed(const struct catalog_table *from, const struct catalog_table *to);

/* ---- the catalog in the store ------------------------------------------------------------- */

/* One process's cache. Thread safe. */
struct catalog;
int catalog_open(struct store *s, struct catalog **catalog_out, struct base_err *err);
void catalog_close(struct catalog *c);
/* Make the catalog's own trees in a new store; does nothing when they are there. */
int catalog_bootstrap(struct store *s, struct base_err *err);

/* All descriptors as of one snapshot; immutable, counted. */
struct catalog_view {
    uint64_t schema_lsn; /* serves every snapshot at or after it, until the next publication */
    uint32_t table_count;
    struct catalog_table **tables; /* by name */
};
/* The view that holds at the transaction's snapshot: from the cache, or read through the
 * transaction (untracked). A view for a snapshot before the last publication has the snapshot as
 * its schema_lsn, which no publication ever has. */
int catalog_view_get(struct catalog *c, struct store_txn *t, const struct catalog_view **view_out,
                     struct base_err *err);
void catalog_view_release(struct catalog *c, const struct catalog_view *view); /* NULL is allowed */
/* EUNKNOWN names the nearest. The table is the view's. */
int catalog_view_table(const struct catalog_view *view, const char *name,
                       const struct catalog_table **table_out, struct base_err *err);
/* The same for names as applications know them: an alias will do when nothing bears the name. */
int catalog_view_find_table(const struct catalog_view *view, const char *name,
                            const struct catalog_table **table_out, struct base_err *err);
const struct catalog_table *catalog_view_table_by_id(const struct catalog_view *view, uint64_t id);
/* The table that has an index of this name. */
int catalog_view_index(const struct catalog_view *view, const char *name,
                       const struct catalog_table **table_out,
                       const struct catalog_index **index_out, struct base_err *err);

/* Inside a transaction, with tracked reads: what publications and submissions are made of. */
int catalog_get_table(struct store_txn *t, uint64_t id, struct catalog_table **table_out,
                      struct base_err *err);
/* lease/publish.c only. */
int catalog_put_table(struct store_txn *t, const struct catalog_table *table, struct base_err *err);
int catalog_delete_table(struct store_txn *t, uint64_t id, struct base_err *err);
/* Names of tables and indexes, one space. A change reserves its target's name when it starts. */
enum catalog_name_kind { CATALOG_NAME_TABLE = 1, CATALOG_NAME_INDEX = 2 };
struct catalog_name {
    enum catalog_name_kind kind;
    uint64_t table;
    uint32_t index;  /* id, for an index */
    uint64_t change; /* that is creating or dropping it, or 0 */
};
int catalog_name_get(struct store_txn *t, const char *name, struct catalog_name *out,
                     struct base_err *err); /* ENOTFOUND */
/* The name of a table, from the names alone: for saying which descriptor cannot be read. False and
 * "" when there is none to be found. */
bool catalog_name_of_table(struct store_txn *t, uint64_t id,
                           char name_out[INSTAR_NAME_BYTES_MAX + 1]);
int catalog_name_put(struct store_txn *t, const char *name, const struct catalog_name *value,
                     struct base_err *err);
int catalog_name_delete(struct store_txn *t, const char *name, struct base_err *err);
int catalog_name_check(const char *what, const char *name, struct base_err *err); /* EINVALID */
/* Counters that only rise, in the log: ids are never used twice. */
enum catalog_counter {
    CATALOG_COUNTER_TREE = 1,
    CATALOG_COUNTER_TABLE = 2,
    CATALOG_COUNTER_CHANGE = 3,
    CATALOG_COUNTER_ROW = 4 /* there once a table without primary key has a row */
};
int catalog_next_id(struct store_txn *t, enum catalog_counter counter, uint64_t *id_out,
                    struct base_err *err);
/* So many at once; *first_out is the first of them. */
int catalog_next_ids(struct store_txn *t, enum catalog_counter counter, uint64_t count,
                     uint64_t *first_out, struct base_err *err);
/* A row id that nobody has had, of this process's block (rowid.c). What a commit gives. */
int catalog_row_id(struct catalog *c, int64_t *id_out, struct base_err *err);

#endif
