/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In what types an index sees the columns. Entries hold the code of values, so an index on a column
 * whose type changes is made anew, beside the one that stands. Its versions, and those of the two:
 *
 *     v        int8                   "i" now
 *     v + 1    int8, text coming      "i" now             "i new" coming, delete-only
 *     v + 2    the same               the same            write-only; built
 *     v + 3    text, int8 past        past, write-only    now, public, and called "i"
 *     v + 4    the same               delete-only
 *     v + 5    text                   absent
 *
 * Both are filled by all who write in v + 2 and v + 3. Who writes by v + 2 makes the new entries of
 * the value as it will be, cast; who writes by v + 3 makes the old ones of the value as it was,
 * cast back, or null where that cannot be. Nobody reads what v + 3 leaves in the old index: by the
 * lemma no transaction of v + 2 sees a row of v + 3. It is there to be met. A transaction of v + 2
 * that has scanned the old index must not commit beside an insert that belongs into what it
 * scanned.
 *
 * What is cast and cast back may be another value (2.5 as int4 is 2), so who deletes such a row by
 * v + 3 may leave its old entry where it is. For this reason a scan of v + 2 by an index with such
 * a column reads the rows too, even where the entries have all that it wants: a row that is read is
 * validated by itself (catalog_index_fades).
 *
 * The primary key. Where one of its columns changes so, the tree of rows is made anew as well, and
 * sees the key as an index sees its columns; entries end with it as those rows see it. What v + 3
 * does to a row it does under the key cast back, which for v + 2 may be the key of no row: so v +
 * 2, whenever it reads a row, reads it by the coming key, too (catalog_coming_rows), under which
 * every write of both versions is.
 *
 * Unique. Both versions probe the new index, so no two values become one. The old one is probed by
 * v + 2 alone: what v + 3 has may be told apart only in the new type.
 *
 * An index that is dropped together with a column sees it as it was, too. Who writes by the version
 * that hides the column cannot say what stands there: every row that he inserts has its missing
 * value. So nobody asks whether that is there twice, or minds if it makes no entry. The version
 * before goes on probing, and that is enough: it sees none of these rows, by the lemma, and what it
 * has probed conflicts with them.
 */
#include "catalog/catalog_impl.h"

/* A type with its digits, or characters. */
struct look {
    enum instar_type type;
    uint32_t length;
};

static struct look look(const struct catalog_column *column, enum catalog_sight sight)
{
    if (sight == CATALOG_SIGHT_COMING && column->type_coming != INSTAR_NULL) {
        return (struct look){column->type_coming, column->length_coming};
    }
    if (sight == CATALOG_SIGHT_PAST && column->type_past != INSTAR_NULL) {
        return (struct look){column->type_past, column->length_past};
    }
    return (struct look){column->type, column->length_max};
}

void catalog_part_of_column(const struct catalog_table *table, const struct catalog_index *index,
                            uint32_t at, struct row_key_part *part)
{
    struct look seen = look(&table->columns[at], index != NULL ? index->sight : CATALOG_SIGHT_NOW);
    part->type = seen.type;
    part->scale = (uint8_t)row_type_scale(seen.type, seen.length);
}

bool catalog_sight_takes(const struct catalog_column *column, enum instar_type type,
                         enum catalog_sight sight)
{
    return type == look(column, sight).type ||
           (sight == CATALOG_SIGHT_EITHER && type == column->type_coming);
}

int catalog_index_see(const struct catalog_table *table, const struct catalog_index *index,
                      uint32_t at, const instar_value *value, struct base_arena *scratch,
                      instar_value *value_out, struct base_err *err)
{
    const struct catalog_column *column = &table->columns[at];
    bool comes = index->sight == CATALOG_SIGHT_COMING && column->type_coming != INSTAR_NULL;
    bool went = index->sight == CATALOG_SIGHT_PAST && column->type_past != INSTAR_NULL;
    unsigned scale;
    int rc = 0;
    if (comes && column->made_by != NULL) {
        rc = row_cast_by(column->made_by, value, column->type_coming, scratch, value_out, err);
    } else if (comes) {
        rc = row_cast(value, column->type_coming, scratch, value_out, err);
    } else if (went) {
        rc = row_cast(value, column->type_past, scratch, value_out, NULL);
    } else {
        *value_out = *value;
    }
    if (rc == 0 && value_out->type == INSTAR_NUMERIC && (comes || went)) {
        scale = INSTAR_DIGITS_SCALE(comes ? column->length_coming : column->length_past);
        rc = row_numeric_round(value_out, scale, comes ? err : NULL);
    }
    if (rc != 0 && went) {
        *value_out = (instar_value){.type = INSTAR_NULL};
        rc = rc == INSTAR_ENOMEM ? catalog_no_memory(err) : 0;
    }
    if (rc != 0 && rc != INSTAR_ENOMEM) {
        base_err_prefix(err, "column \"%s\" for index %s of table %s", column->name,
                        catalog_index_called(table, index), table->name);
    }
    return rc;
}

const struct catalog_index *catalog_index_keyer(const struct catalog_table *table,
                                                const struct catalog_index *index)
{
    return index->keyed_by != 0 ? catalog_table_index_by_id(table, index->keyed_by) : NULL;
}

bool catalog_index_is_past(const struct catalog_table *table, const struct catalog_index *index)
{
    const struct catalog_index *keyer = catalog_index_keyer(table, index);
    return index->sight == CATALOG_SIGHT_PAST ||
           (keyer != NULL && keyer->sight == CATALOG_SIGHT_PAST);
}

const struct catalog_index *catalog_coming_rows(const struct catalog_table *table)
{
    for (uint32_t i = 0; i < table->index_count; i++) {
        const struct catalog_index *index = &table->indexes[i];
        if (index->rows && index->sight == CATALOG_SIGHT_COMING && catalog_may_write(index)) {
            return index;
        }
    }
    return NULL;
}

bool catalog_index_fades(const struct catalog_table *table, const struct catalog_index *index)
{
    for (uint32_t i = 0; i < table->column_count; i++) {
        if (table->columns[i].type_coming != INSTAR_NULL && catalog_index_has(index, i)) {
            return true;
        }
    }
    return catalog_coming_rows(table) != NULL;
}

bool catalog_index_is_blind(const struct catalog_table *table, const struct catalog_index *index)
{
    bool blind = false;
    for (uint32_t i = catalog_visible_columns(table); i < table->column_count; i++) {
        blind = blind || catalog_index_uses(table, index, i);
    }
    return blind;
}

const char *catalog_index_called(const struct catalog_table *table,
                                 const struct catalog_index *index)
{
    const struct catalog_index *other =
        index->replaces != 0 ? catalog_table_index_by_id(table, index->replaces) : NULL;
    return other != NULL ? other->name : index->name;
}

/* ---- versions ----------------------------------------------------------------------------- */

void catalog_index_set_sight(const struct catalog_table *from, const struct catalog_table *to,
                             struct catalog_index *index, enum catalog_sight sight)
{
    index->sight = CATALOG_SIGHT_NOW;
    for (uint32_t i = 0; i < from->column_count; i++) {
        const struct catalog_column *known = &from->columns[i];
        int at = catalog_table_column_by_id(to, known->id);
        const struct catalog_column *column = at >= 0 ? &to->columns[at] : known;
        bool made = sight == CATALOG_SIGHT_PAST ? column->made_by != NULL : known->made_by != NULL;
        enum instar_type other = catalog_type_of_keys(column, known, made);
        if (at >= 0 && catalog_index_minds(to, index, (uint32_t)at, other)) {
            index->sight = sight;
        }
    }
}

/* The column at this position, which both use: have the entries that stand its values still? */
static bool sees_on(const struct catalog_table *from, const struct catalog_index *x, uint32_t a,
                    const struct catalog_table *to, const struct catalog_index *y)
{
    uint32_t id = from->columns[a].id;
    int b = catalog_table_column_by_id(to, id);
    if (b < 0) {
        return true;
    }
    struct row_key_part before = {.scale = 0};
    struct row_key_part after = {.scale = 0};
    catalog_part_of_column(from, x, a, &before);
    catalog_part_of_column(to, y, (uint32_t)b, &after);
    bool same = before.type == after.type && before.scale == after.scale;
    if (catalog_type_is_made(from, to, id)) {
        return same && x->sight != y->sight;
    }
    if (x->sight == CATALOG_SIGHT_COMING && y->sight != x->sight &&
        from->columns[a].made_by != NULL) {
        return false; /* it has entries of values that do not come yet */
    }
    if (same || before.type == after.type) {
        return same; /* other digits are other values */
    }
    return row_cast_keeps_keys(before.type, after.type) && !catalog_index_binds(from, x, a);
}

bool catalog_sight_step_allowed(const struct catalog_table *from, const struct catalog_index *x,
                                const struct catalog_table *to, const struct catalog_index *y)
{
    bool moves = x->sight != y->sight;
    bool settles = x->sight == CATALOG_SIGHT_COMING && y->sight == CATALOG_SIGHT_NOW;
    bool fades = x->sight == CATALOG_SIGHT_NOW && y->sight == CATALOG_SIGHT_PAST;
    if (moves && !settles && !fades) {
        return false;
    }
    for (uint32_t i = 0; i < from->column_count; i++) {
        if (catalog_index_uses(from, x, i) && !sees_on(from, x, i, to, y)) {
            return false;
        }
    }
    return true;
}
