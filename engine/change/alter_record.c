/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The request of an alter table, as bytes in the change's record, as words, and as a descriptor.
 * The record holds what was asked for, not what came of it: the runner does the steps once more, to
 * the table as it stands then.
 *
 *   u8 format (5)
 *   v count, steps:  u8 kind | u8 flags | name | name: the new one
 *                    | u8 type (0: no column) | u8 1 not null | value: the column's, or the step's
 *                    | u8 1 not valid | varint size and bytes: the expression of a check or of
 *                      USING, as text
 *                    | v characters of the column at most, 0: any number
 *                    | a foreign key, if the step adds one: name: of the parent | u8 flags (1 ON
 *                      DELETE RESTRICT, 2 ON UPDATE RESTRICT, 4 not valid) | v count, columns: name
 *                      | v count, columns of the parent: name
 *                    | a comment, if the step is about one: varint size and bytes, size 0: none
 *   v count, names:  v index (0: the table) | name: the old one | name: the new one
 *
 * v is a varint, name and value are as in base and row. A name that is not there is empty. Format
 * 4 has no comments, format 3 no foreign keys, format 2 no lengths, format 1 no checks; all are
 * read still.
 */
#include "change/alter_impl.h"

#include <stdio.h>
#include <string.h>

#define FORMAT 5
#define FORMAT_NO_COMMENTS 4
#define FORMAT_NO_FKEYS 3
#define FORMAT_NO_LENGTHS 2
#define FORMAT_NO_CHECKS 1
#define STEP_BYTES_MIN 7 /* so a few bytes cannot ask for much memory */
#define NAME_BYTES_MIN 3
#define FLAG_RESTRICT_DELETE 1u
#define FLAG_RESTRICT_UPDATE 2u
#define FLAG_NOT_VALID 4u
/* What a publication holds beside the descriptor and the request: the rest of the record, names. */
#define BESIDE_DESCRIPTOR 4096

static const instar_value null = {.type = INSTAR_NULL};

/* The definition of a column or a check is kept beside the step. */
struct kept_step {
    instar_column_def column;
    instar_check_def check;
    instar_fkey_def fkey;
    const char *columns[2][INSTAR_INDEX_COLUMNS_MAX]; /* of a foreign key, and of its parent */
    instar_value value;
};

/* ---- bytes -------------------------------------------------------------------------------- */

static bool put_name(struct base_buf *out, const char *name)
{
    return base_buf_add_blob(out, name != NULL ? name : "", name != NULL ? strlen(name) : 0);
}

static bool put_names(struct base_buf *out, const char *const *names, size_t count)
{
    bool ok = base_buf_add_varint(out, count);

    for (size_t i = 0; ok && i < count; i++) {
        ok = put_name(out, names[i]);
    }
    return ok;
}

static bool put_fkey(struct base_buf *out, const instar_fkey_def *def)
{
    unsigned flags = (def->on_delete == INSTAR_FKEY_RESTRICT ? FLAG_RESTRICT_DELETE : 0) |
                     (def->on_update == INSTAR_FKEY_RESTRICT ? FLAG_RESTRICT_UPDATE : 0) |
                     (def->not_valid ? FLAG_NOT_VALID : 0);

    return put_name(out, def->parent) && base_buf_add_u8(out, (uint8_t)flags) &&
           put_names(out, def->columns, def->column_count) &&
           put_names(out, def->parent_columns, def->parent_column_count);
}

static bool is_comment(uint32_t kind)
{
    return kind >= INSTAR_ALTER_COMMENT_TABLE && kind <= INSTAR_ALTER_COMMENT_CONSTRAINT;
}

static bool put_step(struct base_buf *out, const instar_alteration *step)
{
    bool adds = step->kind == INSTAR_ALTER_ADD_COLUMN;
    const instar_column_def *column =
        adds || step->kind == INSTAR_ALTER_SET_TYPE ? step->column : NULL;
    bool renames =
        step->new_name != NULL &&
        (step->kind == INSTAR_ALTER_RENAME_TABLE || step->kind == INSTAR_ALTER_RENAME_COLUMN ||
         step->kind == INSTAR_ALTER_RENAME_INDEX || step->kind == INSTAR_ALTER_RENAME_CONSTRAINT);
    const instar_check_def *check = step->kind == INSTAR_ALTER_ADD_CHECK ? step->check : NULL;
    bool made = step->kind == INSTAR_ALTER_SET_TYPE && step->expression != NULL;
    const char *expression = check != NULL ? check->expression : made ? step->expression : "";
    const instar_value *value = step->kind == INSTAR_ALTER_SET_DEFAULT ? step->value : NULL;
    bool whole =
        step->kind == INSTAR_ALTER_RENAME_TABLE || step->kind == INSTAR_ALTER_COMMENT_TABLE;
    const char *name = !whole ? step->name : NULL;

    if (adds && column != NULL) {
        value = column->default_value;
        name = column->name;
    }
    const instar_fkey_def *fkey = step->kind == INSTAR_ALTER_ADD_FOREIGN_KEY ? step->fkey : NULL;

    name = check != NULL ? check->name : fkey != NULL ? fkey->name : name;
    return base_buf_add_u8(out, (uint8_t)step->kind) &&
           base_buf_add_u8(out, (uint8_t)step->flags) && put_name(out, name) &&
           put_name(out, renames ? step->new_name : NULL) &&
           base_buf_add_u8(out, column != NULL ? (uint8_t)column->type : 0) &&
           base_buf_add_u8(out, adds && column != NULL && column->not_null) &&
           row_value_put(out, value != NULL ? value : &null) &&
           base_buf_add_u8(out, check != NULL && check->not_valid) &&
           base_buf_add_blob(out, expression, strlen(expression)) &&
           base_buf_add_varint(out, column != NULL ? column->length_max : 0) &&
           (fkey == NULL || put_fkey(out, fkey)) &&
           (!is_comment(step->kind) || put_name(out, step->comment));
}

int alter_encode(const instar_alteration *steps, size_t step_count, const struct alter_name *names,
                 size_t name_count, struct base_buf *out, struct base_err *err)
{
    bool ok = base_buf_add_u8(out, FORMAT) && base_buf_add_varint(out, step_count);

    for (size_t i = 0; ok && i < step_count; i++) {
        ok = put_step(out, &steps[i]);
    }
    ok = ok && base_buf_add_varint(out, name_count);
    for (size_t i = 0; ok && i < name_count; i++) {
        ok = base_buf_add_varint(out, names[i].index) && put_name(out, names[i].old) &&
             put_name(out, names[i].new);
    }
    return ok ? 0 : base_err_set(err, INSTAR_ENOMEM, "recording an alteration: out of memory");
}

/* ---- and back ----------------------------------------------------------------------------- */

static size_t get_count(struct base_reader *r, size_t each, size_t max)
{
    uint64_t count = base_read_varint(r);

    r->bad = r->bad || count > max || count > base_reader_left(r) / each;
    return r->bad ? 0 : (size_t)count;
}

static bool get_name(struct base_reader *r, char name[INSTAR_NAME_BYTES_MAX + 1])
{
    struct base_slice s = base_read_blob(r);

    r->bad = r->bad || s.size > INSTAR_NAME_BYTES_MAX ||
             (s.size != 0 && memchr(s.data, 0, s.size) != NULL) || !base_utf8_valid(s.data, s.size);
    if (r->bad) {
        return false;
    }
    if (s.size != 0) {
        memcpy(name, s.data, s.size);
    }
    name[s.size] = 0;
    return true;
}

static const char *get_text(struct record_input *in)
{
    char name[INSTAR_NAME_BYTES_MAX + 1];
    const char *kept = "";

    if (get_name(&in->r, name)) {
        kept = base_arena_strdup(in->arena, name);
        in->no_memory = in->no_memory || kept == NULL;
        in->r.bad = in->r.bad || kept == NULL;
    }
    return kept;
}

/* The name was read before. */
static void get_check(struct record_input *in, instar_alteration *step, instar_check_def *check)
{
    struct base_reader *r = &in->r;
    uint8_t not_valid = in->format > FORMAT_NO_CHECKS ? base_read_u8(r) : 0;
    struct base_slice text = {"", 0};

    if (in->format > FORMAT_NO_CHECKS) {
        text = base_read_blob(r);
    }
    r->bad = r->bad || not_valid > 1 || text.size > ROW_EXPR_TEXT_MAX ||
             (text.size != 0 && memchr(text.data, 0, text.size) != NULL);
    char *kept = r->bad ? NULL : record_room(in, text.size, 1);
    if (kept == NULL) {
        return;
    }
    if (text.size != 0) {
        memcpy(kept, text.data, text.size);
    }
    *check =
        (instar_check_def){.name = step->name, .expression = kept, .not_valid = not_valid != 0};
    step->check = check;
}

static size_t get_names(struct record_input *in, const char *names[INSTAR_INDEX_COLUMNS_MAX])
{
    size_t count = get_count(&in->r, 1, INSTAR_INDEX_COLUMNS_MAX);

    for (size_t i = 0; !in->r.bad && i < count; i++) {
        names[i] = get_text(in);
    }
    return count;
}

static void get_fkey(struct record_input *in, instar_alteration *step, struct kept_step *kept)
{
    struct base_reader *r = &in->r;
    instar_fkey_def *def = &kept->fkey;

    if (step->kind != INSTAR_ALTER_ADD_FOREIGN_KEY || r->bad) {
        return;
    }
    r->bad = in->format <= FORMAT_NO_FKEYS;
    *def = (instar_fkey_def){.name = step->name, .parent = get_text(in)};
    uint8_t flags = base_read_u8(r);
    r->bad = r->bad || flags > (FLAG_RESTRICT_DELETE | FLAG_RESTRICT_UPDATE | FLAG_NOT_VALID);
    def->on_delete =
        (flags & FLAG_RESTRICT_DELETE) != 0 ? INSTAR_FKEY_RESTRICT : INSTAR_FKEY_NO_ACTION;
    def->on_update =
        (flags & FLAG_RESTRICT_UPDATE) != 0 ? INSTAR_FKEY_RESTRICT : INSTAR_FKEY_NO_ACTION;
    def->not_valid = (flags & FLAG_NOT_VALID) != 0;
    def->columns = kept->columns[0];
    def->column_count = get_names(in, kept->columns[0]);
    def->parent_columns = kept->columns[1];
    def->parent_column_count = get_names(in, kept->columns[1]);
    step->fkey = def;
}

static void get_comment(struct record_input *in, instar_alteration *step)
{
    struct base_reader *r = &in->r;

    if (r->bad || !is_comment(step->kind)) {
        return;
    }
    struct base_slice text = base_read_blob(r);
    r->bad = r->bad || in->format <= FORMAT_NO_COMMENTS || text.size > INSTAR_COMMENT_BYTES_MAX ||
             (text.size != 0 && memchr(text.data, 0, text.size) != NULL);
    char *kept = r->bad ? NULL : record_room(in, text.size, 1);
    if (kept != NULL && text.size != 0) {
        memcpy(kept, text.data, text.size);
    }
    step->comment = kept;
}

static void get_step(struct record_input *in, instar_alteration *step, struct kept_step *kept)
{
    struct base_reader *r = &in->r;
    instar_value value;

    step->kind = base_read_u8(r);
    step->flags = base_read_u8(r);
    step->name = get_text(in);
    step->new_name = get_text(in);
    uint8_t type = base_read_u8(r);
    uint8_t not_null = base_read_u8(r);
    r->bad = r->bad || not_null > 1 || row_value_get(r, &value, NULL) != 0;
    if (r->bad) {
        return;
    }
    if (!row_value_copy(in->arena, &value, &kept->value)) {
        in->no_memory = true;
        r->bad = true;
        return;
    }
    step->value = &kept->value;
    kept->column = (instar_column_def){.name = step->name,
                                       .type = (enum instar_type)type,
                                       .not_null = not_null != 0,
                                       .default_value = &kept->value};
    step->column = &kept->column;
    get_check(in, step, &kept->check);
    uint64_t length = in->format > FORMAT_NO_LENGTHS ? base_read_varint(r) : 0;
    r->bad = r->bad || length > INSTAR_LENGTH_MAX;
    kept->column.length_max = (uint32_t)length;
    bool made = step->kind == INSTAR_ALTER_SET_TYPE && !r->bad && *kept->check.expression != 0;
    step->expression = made ? kept->check.expression : NULL;
    get_fkey(in, step, kept);
    get_comment(in, step);
}

static void get_request(struct record_input *in, struct alter_request *out)
{
    struct base_reader *r = &in->r;

    in->format = base_read_u8(r);
    r->bad = in->format < FORMAT_NO_CHECKS || in->format > FORMAT;
    size_t steps = get_count(r, STEP_BYTES_MIN, ALTER_STEPS_MAX);
    out->steps = record_room(in, steps, sizeof(*out->steps));
    struct kept_step *kept = record_room(in, steps, sizeof(*kept));
    for (size_t i = 0; !r->bad && i < steps; i++) {
        get_step(in, &out->steps[i], &kept[i]);
    }
    size_t names = get_count(r, NAME_BYTES_MIN, CATALOG_INDEXES_MAX + 1);
    out->names = record_room(in, names, sizeof(*out->names));
    for (size_t i = 0; !r->bad && i < names; i++) {
        struct alter_name *n = &out->names[i];
        uint64_t index = base_read_varint(r);
        n->index = (uint32_t)index;
        r->bad = r->bad || index > UINT32_MAX || !get_name(r, n->old) || !get_name(r, n->new) ||
                 n->old[0] == 0 || n->new[0] == 0;
    }
    r->bad = r->bad || base_reader_left(r) != 0;
    out->step_count = steps;
    out->name_count = names;
}

int alter_decode(struct base_slice bytes, struct alter_request *out, struct base_err *err)
{
    *out = (struct alter_request){0};
    struct record_input in = {.r = base_reader(bytes), .arena = &out->arena};
    get_request(&in, out);
    if (in.no_memory) {
        return base_err_set(err, INSTAR_ENOMEM, "reading an alteration: out of memory");
    }
    if (in.r.bad) {
        out->step_count = 0;
        out->name_count = 0;
        return base_err_set(err, INSTAR_ECORRUPT, "the alteration in the record is malformed");
    }
    return 0;
}

/* ---- words -------------------------------------------------------------------------------- */

static void add(struct base_buf *out, const char *text)
{
    base_buf_add(out, text, strlen(text));
}

/* A value as SQL has it; long ones are cut, as the statement will be. */
static void add_value(struct base_buf *out, const instar_value *value)
{
    char text[RECORD_STATEMENT_MAX];
    bool plain = value->type == INSTAR_BOOL ||
                 (value->type >= INSTAR_INT2 && value->type <= INSTAR_FLOAT8) ||
                 value->type == INSTAR_NUMERIC;

    if (value->type == INSTAR_NULL) {
        add(out, "NULL");
        return;
    }
    row_value_format(value, text, sizeof(text));
    if (plain) {
        add(out, text);
        return;
    }
    add(out, "'");
    for (const char *p = text; *p != 0; p++) {
        base_buf_add(out, *p == '\'' ? "''" : p, *p == '\'' ? 2 : 1);
    }
    add(out, "'");
}

static void add_type(struct base_buf *out, const instar_column_def *column)
{
    char text[CATALOG_TYPE_TEXT_MAX];

    add(out, catalog_type_text(column->type, column->length_max, text));
}

static void add_column(struct base_buf *out, const instar_column_def *column)
{
    catalog_name_add(out, column->name);
    add(out, " ");
    add_type(out, column);
    add(out, column->not_null ? " NOT NULL" : "");
    if (column->default_value != NULL && column->default_value->type != INSTAR_NULL) {
        add(out, " DEFAULT ");
        add_value(out, column->default_value);
    }
}

static void add_check(struct base_buf *out, const instar_check_def *check)
{
    add(out, "ADD ");
    if (check->name != NULL && check->name[0] != 0) {
        add(out, "CONSTRAINT ");
        catalog_name_add(out, check->name);
        add(out, " ");
    }
    add(out, "CHECK (");
    add(out, check->expression);
    add(out, check->not_valid ? ") NOT VALID" : ")");
}

static void add_names(struct base_buf *out, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        add(out, i == 0 ? " (" : ", ");
        catalog_name_add(out, names[i]);
    }
    add(out, count > 0 ? ")" : "");
}

static void add_fkey(struct base_buf *out, const instar_fkey_def *fkey)
{
    add(out, "ADD ");
    if (fkey->name != NULL && fkey->name[0] != 0) {
        add(out, "CONSTRAINT ");
        catalog_name_add(out, fkey->name);
        add(out, " ");
    }
    add(out, "FOREIGN KEY");
    add_names(out, fkey->columns, fkey->column_count);
    add(out, " REFERENCES ");
    catalog_name_add(out, fkey->parent);
    add_names(out, fkey->parent_columns, fkey->parent_column_count);
    add(out, fkey->on_delete == INSTAR_FKEY_RESTRICT ? " ON DELETE RESTRICT" : "");
    add(out, fkey->on_update == INSTAR_FKEY_RESTRICT ? " ON UPDATE RESTRICT" : "");
    add(out, fkey->not_valid ? " NOT VALID" : "");
}

static void add_rename(struct base_buf *out, const instar_alteration *step, const char *between)
{
    add(out, (step->flags & INSTAR_ALTER_IF_EXISTS) != 0 ? "IF EXISTS " : "");
    catalog_name_add(out, step->name);
    add(out, between);
    catalog_name_add(out, step->new_name);
}

static void add_key(struct base_buf *out, const instar_alteration *step)
{
    const char *between = ") WITH (";

    add(out, "ADD PRIMARY KEY (");
    for (size_t i = 0; i < step->key_count; i++) {
        add(out, i > 0 ? ", " : "");
        catalog_name_add(out, step->key[i].name);
    }
    for (size_t i = 0; i < step->key_count; i++) {
        if (step->key[i].descending) {
            add(out, between);
            catalog_name_add(out, step->key[i].name);
            add(out, " = DESC");
            between = ", ";
        }
    }
    add(out, ")");
}

/* What is done to a column, behind its name. */
static void add_column_change(struct base_buf *out, const instar_alteration *step)
{
    if (step->kind == INSTAR_ALTER_SET_TYPE) {
        add(out, " TYPE ");
        add_type(out, step->column);
        if (step->expression != NULL) {
            add(out, " USING ");
            add(out, step->expression);
        } else if ((step->flags & INSTAR_ALTER_EXPLICIT) != 0) {
            add(out, " USING ");
            catalog_name_add(out, step->name);
            add(out, "::");
            add_type(out, step->column);
        }
        return;
    }
    add(out, step->kind == INSTAR_ALTER_SET_DEFAULT    ? " SET DEFAULT "
             : step->kind == INSTAR_ALTER_DROP_DEFAULT ? " DROP DEFAULT"
             : step->kind == INSTAR_ALTER_SET_NOT_NULL ? " SET NOT NULL"
                                                       : " DROP NOT NULL");
    if (step->kind == INSTAR_ALTER_SET_DEFAULT) {
        add_value(out, step->value != NULL ? step->value : &null);
    }
}

/* The step was done once, so what it needs is there. */
static void add_step(struct base_buf *out, const char *table, const instar_alteration *step)
{
    char key[INSTAR_NAME_BYTES_MAX + 1];
    const char *if_exists = (step->flags & INSTAR_ALTER_IF_EXISTS) != 0 ? "IF EXISTS " : "";

    switch (step->kind) {
    case INSTAR_ALTER_RENAME_TABLE:
        add(out, "RENAME TO ");
        catalog_name_add(out, step->new_name);
        return;
    case INSTAR_ALTER_RENAME_COLUMN:
    case INSTAR_ALTER_RENAME_INDEX:
        add(out, step->kind == INSTAR_ALTER_RENAME_INDEX ? "RENAME INDEX " : "RENAME COLUMN ");
        add_rename(out, step, " TO ");
        return;
    case INSTAR_ALTER_RENAME_CONSTRAINT:
        add(out, "RENAME CONSTRAINT ");
        add_rename(out, step, " TO ");
        return;
    case INSTAR_ALTER_ADD_CHECK:
        add_check(out, step->check);
        return;
    case INSTAR_ALTER_ADD_FOREIGN_KEY:
        add_fkey(out, step->fkey);
        return;
    case INSTAR_ALTER_DROP_CONSTRAINT:
    case INSTAR_ALTER_VALIDATE_CONSTRAINT:
        add(out, step->kind == INSTAR_ALTER_DROP_CONSTRAINT ? "DROP CONSTRAINT "
                                                            : "VALIDATE CONSTRAINT ");
        add(out, if_exists);
        catalog_name_add(out, step->name);
        return;
    case INSTAR_ALTER_ADD_PRIMARY_KEY:
        add_key(out, step);
        return;
    case INSTAR_ALTER_DROP_PRIMARY_KEY:
        catalog_key_name(table, 0, key);
        add(out, "DROP CONSTRAINT ");
        catalog_name_add(out, key);
        return;
    case INSTAR_ALTER_ADD_COLUMN:
        add(out, "ADD COLUMN ");
        add(out, (step->flags & INSTAR_ALTER_IF_NOT_EXISTS) != 0 ? "IF NOT EXISTS " : "");
        add_column(out, step->column);
        return;
    case INSTAR_ALTER_DROP_COLUMN:
        add(out, "DROP COLUMN ");
        add(out, if_exists);
        catalog_name_add(out, step->name);
        return;
    default:
        break;
    }
    add(out, "ALTER COLUMN ");
    add(out, if_exists);
    catalog_name_add(out, step->name);
    add_column_change(out, step);
}

/* The step as the statement that SQL has for it. */
static void add_comment(struct base_buf *out, const char *table, const instar_alteration *step)
{
    static const char *const whats[] = {"TABLE ", "COLUMN ", "INDEX ", "CONSTRAINT "};
    const instar_value text = {
        .type = INSTAR_TEXT,
        .bytes = {step->comment, step->comment != NULL ? strlen(step->comment) : 0}};

    add(out, "COMMENT ON ");
    add(out, whats[step->kind - INSTAR_ALTER_COMMENT_TABLE]);
    if (step->kind == INSTAR_ALTER_COMMENT_TABLE || step->kind == INSTAR_ALTER_COMMENT_COLUMN) {
        catalog_name_add(out, table);
        add(out, step->kind == INSTAR_ALTER_COMMENT_COLUMN ? "." : "");
    }
    if (step->kind != INSTAR_ALTER_COMMENT_TABLE) {
        catalog_name_add(out, step->name);
    }
    if (step->kind == INSTAR_ALTER_COMMENT_CONSTRAINT) {
        add(out, " ON ");
        catalog_name_add(out, table);
    }
    add(out, " IS ");
    add_value(out, text.bytes.size != 0 ? &text : &null);
}

void alter_describe(const char *table, const instar_alteration *steps, size_t count, char *text,
                    size_t size)
{
    struct base_buf b = {0};

    /* That is how SQL says it when it stands alone. */
    bool index_alone = count == 1 && steps[0].kind == INSTAR_ALTER_RENAME_INDEX;
    if (index_alone) {
        add(&b, "ALTER INDEX ");
        add_rename(&b, &steps[0], " RENAME TO ");
    }
    for (size_t i = 0; !index_alone && i < count && b.size < size; i++) {
        bool goes_on = i > 0 && !is_comment(steps[i].kind) && !is_comment(steps[i - 1].kind);
        add(&b, i == 0 ? "" : goes_on ? ", " : "; ");
        if (is_comment(steps[i].kind)) {
            add_comment(&b, table, &steps[i]);
            continue;
        }
        if (!goes_on) {
            add(&b, "ALTER TABLE ");
            catalog_name_add(&b, table);
            add(&b, " ");
        }
        add_step(&b, table, &steps[i]);
    }
    record_cut(base_buf_slice(&b), text, size);
    base_buf_free(&b);
}

/* ---- the table that is wanted ------------------------------------------------------------- */

bool alter_may_bind(const instar_alteration *steps, size_t count)
{
    bool binds = false;

    for (size_t i = 0; i < count; i++) {
        binds = binds || steps[i].kind == INSTAR_ALTER_SET_NOT_NULL ||
                steps[i].kind == INSTAR_ALTER_SET_TYPE || steps[i].kind == INSTAR_ALTER_ADD_CHECK ||
                steps[i].kind == INSTAR_ALTER_VALIDATE_CONSTRAINT ||
                steps[i].kind == INSTAR_ALTER_ADD_FOREIGN_KEY;
    }
    return binds;
}

int alter_target(const struct catalog_table *from, const instar_alteration *steps, size_t count,
                 struct catalog_table **target_out, struct base_err *err)
{
    struct catalog_table *target;
    bool any = false;

    *target_out = NULL;
    int rc = catalog_table_copy(from, &target, err);
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; rc == 0 && i < count; i++) {
        bool changed = false;
        rc = catalog_alter(target, &steps[i], &changed, err);
        any = any || changed;
        if (rc != 0 && count > 1) {
            base_err_prefix(err, "step %zu", i + 1);
        }
    }
    if (rc == 0 && any) {
        rc = catalog_keys_kept(from, target, err);
    }
    if (rc != 0 || !any) {
        catalog_table_free(target);
        return rc;
    }
    *target_out = target;
    return 0;
}

int alter_check_size(struct store *s, const struct catalog_table *altered, size_t record_size,
                     size_t *bytes_out, struct base_err *err)
{
    size_t limit = (size_t)store_options(s)->txn_bytes_max;
    struct catalog_table *last;
    struct base_buf bytes = {0};
    int rc = catalog_table_copy(altered, &last, err);

    if (rc != 0) {
        return rc;
    }
    if (catalog_alter_leaves(altered)) {
        rc = catalog_alter_retire(last, err);
        rc = rc == 0 ? catalog_table_finish(last, err) : rc;
    }
    if (rc == 0) {
        rc = catalog_table_encode(last, &bytes, err);
    }
    if (bytes_out != NULL) {
        *bytes_out = bytes.size;
    }
    if (rc == 0 && bytes.size + record_size + BESIDE_DESCRIPTOR > limit) {
        rc = base_err_set(err, INSTAR_ELIMIT,
                          "table \"%s\": a descriptor of %zu bytes, with all its layouts, is too "
                          "large for a transaction of %zu (txn_bytes_max)",
                          altered->name, bytes.size, limit);
    }
    base_buf_free(&bytes);
    catalog_table_free(last);
    return rc;
}
