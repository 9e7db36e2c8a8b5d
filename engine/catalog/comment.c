/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comments: what COMMENT ON has said of a table, its columns, indexes and constraints. They hang on
 * ids, in a list of their own: so a rename, another version and an undo leave them alone, and what
 * goes takes its comment along, when the version without it is finished. What is made anew under
 * another id (an index by another primary key, a check about a column of another type) hands its
 * comment on.
 *
 * The list is in the order of kinds and ids, without doubles.
 */
#include "catalog/catalog_impl.h"

/* ---- the list ----------------------------------------------------------------------------- */

static int compare(const struct catalog_comment *c, enum catalog_comment_kind kind, uint32_t id)
{
    if (c->kind != kind) {
        return c->kind < kind ? -1 : 1;
    }
    return c->id < id ? -1 : c->id > id;
}

/* The first one that is not before it. */
static uint32_t place_of(const struct catalog_table *table, enum catalog_comment_kind kind,
                         uint32_t id)
{
    uint32_t at = 0;
    while (at < table->comment_count && compare(&table->comments[at], kind, id) < 0) {
        at++;
    }
    return at;
}

const char *catalog_comment_of(const struct catalog_table *table, enum catalog_comment_kind kind,
                               uint32_t id)
{
    uint32_t at = place_of(table, kind, id);
    bool found = at < table->comment_count && compare(&table->comments[at], kind, id) == 0;
    return found ? table->comments[at].text : NULL;
}

static void take_out(struct catalog_table *table, uint32_t at)
{
    memmove(&table->comments[at], &table->comments[at + 1],
            (table->comment_count - at - 1) * sizeof(*table->comments));
    table->comment_count--;
}

/* NULL takes it away. The text stays whose it is. */
static int put(struct catalog_table *table, enum catalog_comment_kind kind, uint32_t id,
               const char *text, struct base_err *err)
{
    uint32_t at = place_of(table, kind, id);
    bool found = at < table->comment_count && compare(&table->comments[at], kind, id) == 0;
    if (text == NULL && found) {
        take_out(table, at);
    }
    if (text == NULL || found) {
        if (text != NULL) {
            table->comments[at].text = text;
        }
        return 0;
    }
    struct catalog_comment *more =
        base_arena_alloc(&table->arena, (table->comment_count + 1) * sizeof(*more));
    if (more == NULL) {
        return catalog_no_memory(err);
    }
    if (table->comment_count != 0) {
        memcpy(more, table->comments, at * sizeof(*more));
        memcpy(more + at + 1, table->comments + at, (table->comment_count - at) * sizeof(*more));
    }
    more[at] = (struct catalog_comment){.kind = kind, .id = id, .text = text};
    table->comments = more;
    table->comment_count++;
    return 0;
}

int catalog_comments_copy(const struct catalog_table *from, struct catalog_table *to,
                          struct base_err *err)
{
    to->comments = base_arena_alloc(&to->arena, (from->comment_count + 1) * sizeof(*to->comments));
    if (to->comments == NULL) {
        return catalog_no_memory(err);
    }
    for (uint32_t i = 0; i < from->comment_count; i++) {
        to->comments[i] = from->comments[i];
        to->comments[i].text = base_arena_strdup(&to->arena, from->comments[i].text);
        if (to->comments[i].text == NULL) {
            return catalog_no_memory(err);
        }
    }
    return 0;
}

int catalog_comment_hand_on(struct catalog_table *table, enum catalog_comment_kind kind,
                            uint32_t from, uint32_t to, struct base_err *err)
{
    const char *text = catalog_comment_of(table, kind, from);
    int rc = put(table, kind, from, NULL, err);
    return rc == 0 && text != NULL ? put(table, kind, to, text, err) : rc;
}

/* ---- what it is about --------------------------------------------------------------------- */

bool catalog_comment_stands(const struct catalog_table *table,
                            const struct catalog_comment *comment)
{
    switch (comment->kind) {
    case CATALOG_COMMENT_TABLE:
        return comment->id == 0;
    case CATALOG_COMMENT_COLUMN:
        return catalog_table_column_by_id(table, comment->id) >= 0 ||
               catalog_table_kept(table, comment->id) != NULL;
    case CATALOG_COMMENT_INDEX:
        return catalog_table_index_by_id(table, comment->id) != NULL;
    case CATALOG_COMMENT_CHECK:
        return catalog_table_check_by_id(table, comment->id) != NULL;
    case CATALOG_COMMENT_FKEY:
        return catalog_table_fkey_by_id(table, comment->id) != NULL;
    }
    return false;
}

void catalog_comments_prune(struct catalog_table *table)
{
    for (uint32_t i = table->comment_count; i > 0; i--) {
        if (!catalog_comment_stands(table, &table->comments[i - 1])) {
            take_out(table, i - 1);
        }
    }
}

static bool is_text(const char *text)
{
    size_t size = strlen(text);
    return size != 0 && size <= INSTAR_COMMENT_BYTES_MAX && base_utf8_valid(text, size);
}

const char *catalog_comments_problem(const struct catalog_table *table)
{
    for (uint32_t i = 0; i < table->comment_count; i++) {
        const struct catalog_comment *c = &table->comments[i];
        if (!is_text(c->text)) {
            return "a comment that is empty, too long or not UTF-8";
        }
        if (i > 0 && compare(&table->comments[i - 1], c->kind, c->id) >= 0) {
            return "comments out of order";
        }
    }
    return NULL;
}

/* ---- steps -------------------------------------------------------------------------------- */

static int check_text(const char *what, const char *name, const char *text, struct base_err *err)
{
    size_t size = strlen(text);
    if (size > INSTAR_COMMENT_BYTES_MAX) {
        return base_err_set(err, INSTAR_ELIMIT,
                            "comment on %s \"%s\": %zu bytes, there may be at most %d", what, name,
                            size, INSTAR_COMMENT_BYTES_MAX);
    }
    return base_utf8_valid(text, size)
               ? 0
               : base_err_set(err, INSTAR_EENCODING, "comment on %s \"%s\": it is not UTF-8", what,
                              name);
}

/* A constraint of the table, whatever it is kept as; false: there is none. */
static bool find_constraint(const struct catalog_table *table, const char *name,
                            struct catalog_comment *out)
{
    const struct catalog_check *check = catalog_table_check(table, name);
    const struct catalog_index *unique = catalog_table_unique(table, name);
    const struct catalog_fkey *fkey = catalog_table_fkey(table, name);
    if (check != NULL) {
        *out = (struct catalog_comment){.kind = CATALOG_COMMENT_CHECK, .id = check->id};
    } else if (unique != NULL) {
        *out = (struct catalog_comment){.kind = CATALOG_COMMENT_INDEX, .id = unique->id};
    } else if (fkey != NULL) {
        *out = (struct catalog_comment){.kind = CATALOG_COMMENT_FKEY, .id = fkey->id};
    }
    return check != NULL || unique != NULL || fkey != NULL;
}

static bool is_key_name(const struct catalog_table *table, const char *name)
{
    char key[INSTAR_NAME_BYTES_MAX + 1];
    catalog_key_name(table->name, 0, key);
    return !catalog_keyed_by_row_id(table) && strcmp(name, key) == 0;
}

/* What the step is about. *found_out: false when its IF EXISTS leaves nothing to do. */
static int find(const struct catalog_table *table, const instar_alteration *step, const char *what,
                struct catalog_comment *out, bool *found_out, struct base_err *err)
{
    const struct catalog_index *index;
    int rc = catalog_name_check(what, step->name, err);
    int at;
    *found_out = false;
    if (rc != 0) {
        return rc;
    }
    switch (step->kind) {
    case INSTAR_ALTER_COMMENT_COLUMN:
        at = catalog_table_column(table, step->name);
        *found_out = at >= 0;
        if (at >= 0) {
            *out = (struct catalog_comment){CATALOG_COMMENT_COLUMN, table->columns[at].id, NULL};
        }
        break;
    case INSTAR_ALTER_COMMENT_INDEX:
        index = catalog_table_index(table, step->name);
        *found_out = index != NULL;
        if (index != NULL) {
            *out = (struct catalog_comment){CATALOG_COMMENT_INDEX, index->id, NULL};
        }
        break;
    default:
        *found_out = find_constraint(table, step->name, out);
    }
    if (*found_out || (step->flags & INSTAR_ALTER_IF_EXISTS) != 0) {
        return 0;
    }
    if (step->kind != INSTAR_ALTER_COMMENT_COLUMN && is_key_name(table, step->name)) {
        return base_err_set(err, INSTAR_EINVALID,
                            "comment on %s \"%s\": a primary key has no comment; say it of the "
                            "table",
                            what, step->name);
    }
    return base_err_set(err, INSTAR_EUNKNOWN, "table \"%s\" has no %s \"%s\"", table->name, what,
                        step->name);
}

int catalog_alter_comment(struct catalog_table *table, const instar_alteration *step,
                          bool *changed_out, struct base_err *err)
{
    static const char *const whats[] = {"column", "index", "constraint"};
    struct catalog_comment about = {.kind = CATALOG_COMMENT_TABLE, .id = 0};
    const char *text = step->comment != NULL && step->comment[0] != 0 ? step->comment : NULL;
    bool is_table = step->kind == INSTAR_ALTER_COMMENT_TABLE;
    const char *what = is_table ? "table" : whats[step->kind - INSTAR_ALTER_COMMENT_COLUMN];
    bool found = true;
    int rc = is_table ? 0 : find(table, step, what, &about, &found, err);
    if (rc == 0 && found && text != NULL) {
        rc = check_text(what, is_table ? table->name : step->name, text, err);
    }
    *changed_out = false;
    if (rc != 0 || !found) {
        return rc;
    }
    const char *before = catalog_comment_of(table, about.kind, about.id);
    *changed_out =
        (before == NULL) != (text == NULL) || (text != NULL && strcmp(before, text) != 0);
    const char *kept = text != NULL ? base_arena_strdup(&table->arena, text) : NULL;
    if (text != NULL && kept == NULL) {
        return catalog_no_memory(err);
    }
    return put(table, about.kind, about.id, kept, err);
}
