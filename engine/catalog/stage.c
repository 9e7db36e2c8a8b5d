/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stages of an element: what each allows, and which step one version may make.
 *
 * A state is a stage, and for a unique index whether writers probe it ("enforcing", the second half
 * of write-only):
 *
 *   plain    absent <-> delete-only <-> write-only <-> public
 *   unique   absent <-> delete-only <-> write-only <-> enforcing <-> public
 *                            ^                             |
 *                            +-----------------------------+   leaving: drop, or a failed build
 *
 * What holds in each state, when all valid leases are on the version that has it or the one before:
 *   absent       no writer knows the tree; from the drain on nobody touches it.
 *   delete-only  no entry of a deleted row stays (whoever deletes removes it).
 *   write-only   from the drain on every new row image has its entry; older rows get theirs from
 * the build. enforcing    from the drain on no commit brings a second row with the same key; older
 * ones are found by validation. public       each row has its entry, each entry its row, and a
 * unique index no key twice.
 *
 * Why neighbours only (I-9): transactions of two versions commit side by side. delete-only beside
 * absent: an insert of the one writes no entry, nor does one of the other. write-only beside
 * delete-only: entries of the one are removed by the other. public beside write-only (or
 * enforcing): both write the same. Any longer step puts a reader beside a writer that leaves
 * entries out. enforcing -> delete-only is no longer step: nobody reads the index in either, and
 * that it is unique matters to nobody any more.
 *
 * A column is there or it is not, from one version to the next; what makes that safe is its layout:
 *   added        the layout of the version that has it has it too; rows of the version before get
 *                its missing value. By schema.md's lemma no writer of the version before ever
 *                overwrites a row that has it.
 *   dropped      it stays in the layout of the version that drops it, hidden: that version's
 * writers carry it along, since the version before still reads it. Only the next layout may be
 * without it. NOT NULL     nullable -> enforcing -> not null. Between the last two stands the
 * validation, after the drain of enforcing. Back to nullable it is one step from either. another
 * type  at once where no value can be lost, else only after a version in which it is on its way,
 * its drain and a validation. retype.c has why that is enough.
 *
 * A tree of whole rows by another primary key goes up to write-only as an index does; then it and
 * the table's own change places in one version (is_swap), and the old one goes down.
 *
 * A check binds the writers of every version that has it. That it is false for no row is known
 * after the drain of the version that brought it, and a validation: absent <-> enforcing -> valid
 * not valid <-> validating -> valid       any -> absent Where it is about columns alone that come
 * with its version, it is valid at once. A foreign key goes the same way, in both of its tables in
 * one commit, and needs the drain of both.
 */
#include "catalog/catalog_impl.h"

static const struct {
    const char *name;
    bool deletes, writes, reads;
} stages[] = {
#define X(stage, text, delete, write, read) \
    [stage] = {text, (delete) != 0, (write) != 0, (read) != 0},
#include "catalog/stage.def"
#undef X
};

/* The numbers are in descriptors on disk. */
_Static_assert(INSTAR_STAGE_ABSENT == 0 && INSTAR_STAGE_DELETE_ONLY == 1 &&
                   INSTAR_STAGE_WRITE_ONLY == 2 && INSTAR_STAGE_PUBLIC == 3,
               "stage numbers are on disk");
_Static_assert(BASE_ARRAY_LEN(stages) == 4, "stage.def has every stage");

enum state { ABSENT, DELETE_ONLY, WRITE_ONLY, ENFORCING, PUBLIC, STATE_COUNT, NO_STATE = -1 };

#define TO(state) (1u << (state))

static const struct base_sm_state plain_states[STATE_COUNT] = {
    [ABSENT] = {"absent", TO(DELETE_ONLY)},
    [DELETE_ONLY] = {"delete-only", TO(WRITE_ONLY) | TO(ABSENT)},
    [WRITE_ONLY] = {"write-only", TO(PUBLIC) | TO(DELETE_ONLY)},
    [ENFORCING] = {"enforcing", 0},
    [PUBLIC] = {"public", TO(WRITE_ONLY)},
};
static const struct base_sm_state unique_states[STATE_COUNT] = {
    [ABSENT] = {"absent", TO(DELETE_ONLY)},
    [DELETE_ONLY] = {"delete-only", TO(WRITE_ONLY) | TO(ABSENT)},
    [WRITE_ONLY] = {"write-only", TO(ENFORCING) | TO(DELETE_ONLY)},
    [ENFORCING] = {"enforcing", TO(PUBLIC) | TO(WRITE_ONLY) | TO(DELETE_ONLY)},
    [PUBLIC] = {"public", TO(ENFORCING)},
};

static enum state state_of(const struct catalog_index *index)
{
    if (index == NULL) {
        return ABSENT;
    }
    if (index->enforcing && !index->unique) {
        return NO_STATE;
    }
    switch (index->stage) {
    case INSTAR_STAGE_ABSENT:
        return index->enforcing ? NO_STATE : ABSENT;
    case INSTAR_STAGE_DELETE_ONLY:
        return index->enforcing ? NO_STATE : DELETE_ONLY;
    case INSTAR_STAGE_WRITE_ONLY:
        return index->enforcing ? ENFORCING : WRITE_ONLY;
    case INSTAR_STAGE_PUBLIC:
        return index->enforcing == index->unique ? PUBLIC : NO_STATE;
    }
    return NO_STATE;
}

bool catalog_state_exists(const struct catalog_index *index)
{
    return state_of(index) != NO_STATE;
}

bool catalog_may_delete(const struct catalog_index *index)
{
    return stages[index->stage].deletes;
}

bool catalog_may_write(const struct catalog_index *index)
{
    return stages[index->stage].writes;
}

bool catalog_may_read(const struct catalog_index *index)
{
    return stages[index->stage].reads;
}

bool catalog_must_probe(const struct catalog_index *index)
{
    return index->unique && index->enforcing && stages[index->stage].writes &&
           index->sight != CATALOG_SIGHT_PAST;
}

bool catalog_must_refuse_null(const struct catalog_column *column)
{
    return column->not_null || column->enforcing;
}

const char *catalog_stage_name(enum instar_stage stage)
{
    return (unsigned)stage < BASE_ARRAY_LEN(stages) ? stages[stage].name : "unknown";
}

/* ---- steps -------------------------------------------------------------------------------- */

/* The same columns; their positions may have moved. */
static bool is_same_key(const struct catalog_table *from, const struct catalog_key_part *a,
                        const struct catalog_table *to, const struct catalog_key_part *b,
                        uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if ((a[i].expr == NULL) != (b[i].expr == NULL) ||
            (a[i].expr != NULL ? !catalog_expr_same(a[i].expr, b[i].expr)
                               : from->columns[a[i].column].id != to->columns[b[i].column].id) ||
            a[i].descending != b[i].descending || a[i].nulls_swapped != b[i].nulls_swapped) {
            return false;
        }
    }
    return true;
}

/* Do entries end with the key of the same columns, whoever has that key? */
static bool is_same_suffix(const struct catalog_table *from, const struct catalog_index *a,
                           const struct catalog_table *to, const struct catalog_index *b)
{
    bool same = a->rows || a->key_part_count == b->key_part_count;
    for (uint32_t i = a->part_count; same && !a->rows && i < a->key_part_count; i++) {
        same = from->columns[a->key_columns[i]].id == to->columns[b->key_columns[i]].id &&
               a->key_parts[i].descending == b->key_parts[i].descending &&
               row_cast_keeps_keys(a->key_parts[i].type, b->key_parts[i].type) &&
               a->key_parts[i].scale == b->key_parts[i].scale;
    }
    return same;
}

/* What an index keeps for as long as it lives. */
static bool is_same_element(const struct catalog_table *from, const struct catalog_index *a,
                            const struct catalog_table *to, const struct catalog_index *b)
{
    if (a->id != b->id || a->tree != b->tree || a->unique != b->unique ||
        a->part_count != b->part_count) {
        return false;
    }
    return a->rows == b->rows && catalog_sight_step_allowed(from, a, to, b) &&
           is_same_key(from, a->parts, to, b->parts, a->part_count) &&
           is_same_suffix(from, a, to, b) && catalog_index_is_same(from, a, to, b);
}

bool catalog_step_allowed(const struct catalog_index *from, const struct catalog_index *to)
{
    const struct catalog_index *any = from != NULL ? from : to;
    enum state old = state_of(from);
    enum state new = state_of(to);
    if (old == NO_STATE || new == NO_STATE ||
        (from != NULL && to != NULL && from->unique != to->unique)) {
        return false;
    }
    if (old == new) {
        return true;
    }
    struct base_sm sm;
    base_sm_init(&sm, any->unique ? unique_states : plain_states, STATE_COUNT, (int)old);
    return base_sm_may(&sm, (int)new);
}

static const struct row_layout *newest_layout(const struct catalog_table *table)
{
    return &table->layouts[table->layout_map[table->layout_map_count - 1].layout];
}

bool catalog_type_is_made(const struct catalog_table *from, const struct catalog_table *to,
                          uint32_t id)
{
    const struct row_column *form = catalog_layout_column(newest_layout(to), id);
    return to->layout_count > from->layout_count && form != NULL && form->is_made;
}

/* The same type, or one to which its rows can be cast, and the primary key is what it was, or its
 * rows are others (is_swap). What indexes see of it is asked of each of them. */
static bool is_type_step(const struct catalog_table *from, const struct catalog_column *old,
                         const struct catalog_table *to, const struct catalog_column *new)
{
    bool made = catalog_type_is_made(from, to, new->id);
    if (!made && old->type == new->type && old->length_max == new->length_max) {
        return true;
    }
    if (made && !catalog_type_made_as(old, to)) {
        return false;
    }
    enum instar_type after = catalog_type_of_keys(old, new, made);
    enum instar_type before = catalog_type_of_keys(new, old, made);
    bool keeps = !catalog_key_minds(from, (uint32_t)(old - from->columns), after) &&
                 !catalog_key_minds(to, (uint32_t)(new - to->columns), before);
    return (keeps || from->tree != to->tree) && new->type_coming == INSTAR_NULL &&
           (made || (old->made_by == NULL && catalog_type_step_allowed(old, new)));
}

/* A column of the version before: it is there in the same form, or hidden in the layout; what was
 * hidden already is read by nobody, and may go. */
static bool is_column_step(const struct catalog_table *from, const struct catalog_column *old,
                           const struct catalog_table *to)
{
    int at = catalog_table_column_by_id(to, old->id);
    if (at < 0) {
        return old->hidden || catalog_layout_column(newest_layout(to), old->id) != NULL;
    }
    const struct catalog_column *new = &to->columns[at];
    return is_type_step(from, old, to, new) && (!new->not_null || old->not_null || old->enforcing);
}

/* A column that the version before has not: of a new id, and NOT NULL only where old rows are; or
 * one that it kept, nullable or enforcing. */
static bool is_new_column(const struct catalog_table *from, const struct catalog_column *new,
                          const struct catalog_table *to)
{
    const struct row_column *form = catalog_layout_column(newest_layout(to), new->id);
    if (form != NULL && catalog_is_restored(from, new)) {
        return true;
    }
    return new->id >= from->next_column_id &&form != NULL && !new->enforcing &&
           (!new->not_null || form->missing.type != INSTAR_NULL);
}

static bool are_columns_steps(const struct catalog_table *from, const struct catalog_table *to)
{
    for (uint32_t i = 0; i < from->column_count; i++) {
        if (!is_column_step(from, &from->columns[i], to)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < to->column_count; i++) {
        if (catalog_table_column_by_id(from, to->columns[i].id) < 0 &&
            !is_new_column(from, &to->columns[i], to)) {
            return false;
        }
    }
    return true;
}

static unsigned check_state(const struct catalog_check *check)
{
    return check != NULL ? (unsigned)check->state : 0;
}

bool catalog_constraint_step_allowed(unsigned from, unsigned to)
{
    static const uint32_t moves[] = {
        [0] = TO(CATALOG_CHECK_NOT_VALID) | TO(CATALOG_CHECK_ENFORCING),
        [CATALOG_CHECK_NOT_VALID] = TO(0) | TO(CATALOG_CHECK_VALIDATING),
        [CATALOG_CHECK_ENFORCING] = TO(0) | TO(CATALOG_CHECK_VALID),
        [CATALOG_CHECK_VALIDATING] = TO(0) | TO(CATALOG_CHECK_NOT_VALID) | TO(CATALOG_CHECK_VALID),
        [CATALOG_CHECK_VALID] = TO(0),
    };
    return from == to || (moves[from] & TO(to)) != 0;
}

bool catalog_check_step_allowed(const struct catalog_check *from, const struct catalog_check *to,
                                bool fresh)
{
    unsigned old = check_state(from);
    unsigned new = check_state(to);
    return catalog_constraint_step_allowed(old, new) ||
           (from == NULL && fresh && new == CATALOG_CHECK_VALID);
}

/* Are all its columns new in this version, or until now hidden on their way in? */
static bool is_fresh_check(const struct catalog_table *from, const struct catalog_check *check)
{
    const struct row_expr_column *columns;
    size_t count = row_expr_columns(check->expr, &columns);
    for (size_t i = 0; i < count; i++) {
        int at = catalog_table_column_by_id(from, columns[i].id);
        if (columns[i].id < from->next_column_id && (at < 0 || !from->columns[at].hidden)) {
            return false;
        }
    }
    return count != 0;
}

static bool are_checks_steps(const struct catalog_table *from, const struct catalog_table *to)
{
    for (uint32_t i = 0; i < from->check_count; i++) {
        const struct catalog_check *old = &from->checks[i];
        const struct catalog_check *new = catalog_table_check_by_id(to, old->id);
        if (!catalog_check_step_allowed(old, new, false) ||
            (new != NULL && !catalog_check_same(old, new))) {
            return false;
        }
    }
    for (uint32_t i = 0; i < to->check_count; i++) {
        const struct catalog_check *new = &to->checks[i];
        bool is_new = catalog_table_check_by_id(from, new->id) == NULL;
        if (is_new && (new->id < from->next_check_id ||
                       !catalog_check_step_allowed(NULL, new, is_fresh_check(from, new)))) {
            return false;
        }
    }
    return true;
}

/* What another table says of it is not looked at here: whoever publishes both takes care. */
static bool are_fkeys_steps(const struct catalog_table *from, const struct catalog_table *to)
{
    for (uint32_t i = 0; i < from->fkey_count; i++) {
        const struct catalog_fkey *old = &from->fkeys[i];
        const struct catalog_fkey *new = catalog_table_fkey_by_id(to, old->id);
        if (!catalog_constraint_step_allowed(old->state, new != NULL ? (unsigned)new->state : 0) ||
            (new != NULL && !catalog_fkey_same(old, new))) {
            return false;
        }
    }
    for (uint32_t i = 0; i < to->fkey_count; i++) {
        const struct catalog_fkey *new = &to->fkeys[i];
        if (catalog_table_fkey_by_id(from, new->id) == NULL &&
            (new->id < from->next_fkey_id || !catalog_constraint_step_allowed(0, new->state))) {
            return false;
        }
    }
    return true;
}

static bool is_key(const struct catalog_table *from, const struct catalog_key_part *a,
                   uint32_t a_count, const struct catalog_table *to,
                   const struct catalog_key_part *b, uint32_t b_count)
{
    return a_count == b_count && is_same_key(from, a, to, b, a_count);
}

/* Have the rows of an index the keys that the table has in the version in which it is theirs? */
static bool sees_key(const struct catalog_table *with, const struct catalog_index *rows,
                     const struct catalog_table *of, bool made)
{
    bool same = rows->part_count == of->key_count;
    for (uint32_t i = 0; same && i < rows->part_count; i++) {
        struct row_key_part a = {.scale = 0};
        catalog_part_of_column(with, rows, rows->parts[i].column, &a);
        same = row_cast_keeps_keys(a.type, of->key_parts[i].type) &&
               a.scale == of->key_parts[i].scale && (!made || rows->sight != CATALOG_SIGHT_NOW);
    }
    return same;
}

/* Does an expression make values of that key in the second version? */
static bool is_key_made(const struct catalog_table *from, const struct catalog_table *to,
                        const struct catalog_table *of)
{
    bool made = false;
    for (uint32_t i = 0; i < of->key_count; i++) {
        made = made || catalog_type_is_made(from, to, of->columns[of->key[i].column].id);
    }
    return made;
}

/* Do no two rows have the same key in an index of whole rows, and none a null? Row ids are given
 * once; of all else a unique index of these columns, which is enforced, must be the witness. That
 * the drain and the validation have been is its change's to know. */
static bool is_proven(const struct catalog_table *table, const struct catalog_index *rows)
{
    bool proven =
        rows->part_count == 1 && table->columns[rows->parts[0].column].id == table->row_id;
    for (uint32_t i = 0; !proven && i < table->index_count; i++) {
        const struct catalog_index *x = &table->indexes[i];
        proven = catalog_must_probe(x) && x->predicate == NULL && x->sight == rows->sight &&
                 is_key(table, x->parts, x->part_count, table, rows->parts, rows->part_count);
    }
    for (uint32_t i = 0; proven && i < rows->part_count; i++) {
        proven = catalog_must_refuse_null(&table->columns[rows->parts[i].column]);
    }
    return proven;
}

/* The primary key becomes another in this version: the tree that all writers fill by the new key is
 * the table's now, and the one that was the table's is filled on by all of them. Why neighbours may
 * meet: each of the two trees is written by both, so each meets the other's rows in the tree that
 * it reads itself. What the later version leaves in the old tree nobody reads; who writes it says
 * to those of the version before that the row has changed. */
static bool is_swap(const struct catalog_table *from, const struct catalog_table *to)
{
    const struct catalog_index *next = catalog_table_index_by_tree(from, to->tree);
    const struct catalog_index *last = catalog_table_index_by_tree(to, from->tree);
    return next != NULL && last != NULL && next->rows && last->rows &&
           next->stage == INSTAR_STAGE_WRITE_ONLY && last->stage == INSTAR_STAGE_WRITE_ONLY &&
           catalog_table_index_by_id(to, next->id) == NULL && last->id >= from->next_index_id &&
           is_key(from, next->parts, next->part_count, to, to->key, to->key_count) &&
           is_key(from, from->key, from->key_count, to, last->parts, last->part_count) &&
           sees_key(from, next, to, is_key_made(from, to, to)) &&
           sees_key(to, last, from, is_key_made(from, to, from)) && is_proven(from, next);
}

static bool is_same_primary(const struct catalog_table *from, const struct catalog_table *to)
{
    return from->tree == to->tree &&
           is_key(from, from->key, from->key_count, to, to->key, to->key_count);
}

/* All layouts are there still, and versions lead where they led. */
static bool are_layouts_kept(const struct catalog_table *from, const struct catalog_table *to)
{
    if (to->layout_count < from->layout_count || to->layout_map_count < from->layout_map_count) {
        return false;
    }
    for (uint32_t i = 0; i < from->layout_map_count; i++) {
        if (from->layout_map[i].first_version != to->layout_map[i].first_version ||
            from->layout_map[i].layout != to->layout_map[i].layout) {
            return false;
        }
    }
    return true;
}

/* Ids only grow, and the layouts stay, but for a vacuum. */
static bool is_same_table(const struct catalog_table *from, const struct catalog_table *to)
{
    return from->id == to->id && to->version == from->version + 1 &&
           to->next_column_id >= from->next_column_id && to->next_index_id >= from->next_index_id &&
           to->next_check_id >= from->next_check_id && to->next_fkey_id >= from->next_fkey_id &&
           (are_layouts_kept(from, to) || catalog_is_pruned(from, to));
}

bool catalog_table_step_allowed(const struct catalog_table *from, const struct catalog_table *to)
{
    if (!is_same_table(from, to) || !are_columns_steps(from, to) || !are_checks_steps(from, to) ||
        !are_fkeys_steps(from, to) || !catalog_kept_step_allowed(from, to)) {
        return false;
    }
    bool swaps = !is_same_primary(from, to);
    if (swaps && !is_swap(from, to)) {
        return false;
    }
    for (uint32_t i = 0; i < from->index_count; i++) {
        const struct catalog_index *old = &from->indexes[i];
        const struct catalog_index *new = catalog_table_index_by_id(to, old->id);
        if (swaps && old->tree == to->tree) {
            continue;
        }
        if ((new != NULL && !is_same_element(from, old, to, new)) ||
            !catalog_step_allowed(old, new)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < to->index_count; i++) {
        const struct catalog_index *new = &to->indexes[i];
        if (catalog_table_index_by_id(from, new->id) != NULL ||
            (swaps && new->tree == from->tree)) {
            continue;
        }
        if (new->id < from->next_index_id || !catalog_step_allowed(NULL, new)) {
            return false;
        }
    }
    return true;
}
