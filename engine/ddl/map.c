/* SPDX-License-Identifier: Apache-2.0 */
/* From the tree of a statement to the request of instar.h that it stands for. */
#include "ddl/ddl_impl.h"

#include <string.h>

static int no_memory(instar_sql *sql, const struct ddl_piece *piece)
{
    return ddl_fail(sql, INSTAR_ENOMEM, piece->offset, "out of memory");
}

int ddl_table_name(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *statement,
                   const char **name_out)
{
    struct ddl_node *relation = ddl_take(statement, "relation");
    const char *persistence = relation != NULL ? ddl_take_text(relation, "relpersistence") : NULL;

    *name_out = relation != NULL ? ddl_take_text(relation, "relname") : NULL;
    if (persistence != NULL && strcmp(persistence, "p") != 0) { /* TEMPORARY, UNLOGGED */
        return ddl_refuse(sql, piece, ddl_take(relation, "relpersistence"));
    }
    if (relation == NULL || ddl_take_flag(relation, "inh")) {
        return INSTAR_OK;
    }
    /* A table stands for itself and what inherits from it, unless ONLY was written. */
    struct ddl_node only = {.value = DDL_FLAG, .field = "inh", .parent = relation};

    return ddl_refuse(sql, piece, &only);
}

instar_change_options *ddl_new_options(instar_sql *sql, uint32_t flags)
{
    instar_change_options *options = ddl_alloc(&sql->arena, sizeof(*options));

    if (options != NULL) {
        instar_change_options_init(options);
        options->flags |= flags;
    }
    return options;
}

/* ---- a column ----------------------------------------------------------------------------- */

static int map_default(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *constraint,
                       instar_column_def *column)
{
    struct ddl_constant constant;
    instar_value *value;
    int rc;

    if (column->default_value != NULL) {
        return ddl_fail(sql, INSTAR_EINVALID, ddl_offset(piece, constraint),
                        "the column %s has two defaults", column->name);
    }
    rc = ddl_constant(sql, piece, ddl_take(constraint, "raw_expr"), &constant);
    if (rc != INSTAR_OK || constant.value.type == INSTAR_NULL) {
        return rc;
    }
    value = ddl_alloc(&sql->arena, sizeof(*value));
    if (value == NULL) {
        return no_memory(sql, piece);
    }
    column->default_value = value;
    return ddl_fit_here(sql, constant.offset, &constant, column->type, value);
}

static int map_column_constraint(instar_sql *sql, const struct ddl_piece *piece,
                                 struct ddl_node *constraint, instar_column_def *column,
                                 bool *nullable)
{
    if (ddl_take_name(constraint, "contype", "CONSTR_NOTNULL")) {
        column->not_null = true;
    } else if (ddl_take_name(constraint, "contype", "CONSTR_NULL")) {
        *nullable = true;
    } else if (ddl_take_name(constraint, "contype", "CONSTR_DEFAULT")) {
        return map_default(sql, piece, constraint, column);
    }
    return INSTAR_OK; /* any other type was not taken */
}

int ddl_unique(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *constraint,
               const char *column, struct ddl_checks *checks)
{
    size_t count = checks->unique_count;
    instar_unique_def *more = ddl_alloc(&sql->arena, (count + 1) * sizeof(*more));
    const char **one = ddl_alloc(&sql->arena, sizeof(*one));
    instar_unique_def unique = {.name = ddl_take_text(constraint, "conname")};

    unique.columns = ddl_take_names(sql, constraint, "keys", &unique.column_count);
    unique.include = ddl_take_names(sql, constraint, "including", &unique.include_count);
    if (more == NULL || one == NULL || unique.columns == NULL || unique.include == NULL) {
        return no_memory(sql, piece);
    }
    if (column != NULL) {
        *one = column;
        unique.columns = one;
        unique.column_count = 1;
    }
    (void)ddl_take_flag(constraint, "initially_valid");
    if (count > 0) {
        memcpy(more, checks->uniques, count * sizeof(*more));
    }
    more[count] = unique;
    checks->uniques = more;
    checks->unique_count++;
    return INSTAR_OK;
}

int ddl_column(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node,
               instar_column_def *column, struct ddl_node **key_out, struct ddl_checks *checks)
{
    struct ddl_node *type = ddl_take(node, "type_name");
    bool nullable = false;
    int rc;

    *key_out = NULL;
    column->name = ddl_take_text(node, "colname");
    (void)ddl_take_flag(node, "is_local"); /* always: not inherited */
    if (type == NULL) {
        return ddl_fail(sql, INSTAR_EINVALID, ddl_offset(piece, node), "the column %s has no type",
                        column->name);
    }
    rc = ddl_type(sql, piece, type, &column->type, &column->length_max);
    for (struct ddl_node *n = ddl_take(node, "constraints"); rc == INSTAR_OK && n != NULL;
         n = ddl_take_next(n)) {
        if (*key_out == NULL && ddl_take_name(n, "contype", "CONSTR_PRIMARY")) {
            *key_out = n; /* its fields are the caller's to take */
            continue;
        }
        rc = ddl_take_name(n, "contype", "CONSTR_CHECK") ? ddl_check(sql, piece, n, checks)
             : ddl_take_name(n, "contype", "CONSTR_UNIQUE")
                 ? ddl_unique(sql, piece, n, column->name, checks)
             : ddl_take_name(n, "contype", "CONSTR_FOREIGN")
                 ? ddl_fkey(sql, piece, n, column->name, checks)
                 : map_column_constraint(sql, piece, n, column, &nullable);
        rc = rc == INSTAR_OK ? ddl_refuse_untaken(sql, piece, n) : rc;
    }
    if (rc == INSTAR_OK && nullable && column->not_null) {
        rc = ddl_fail(sql, INSTAR_EINVALID, ddl_offset(piece, node),
                      "the column %s is both NULL and NOT NULL", column->name);
    }
    return rc;
}

/* ---- CREATE TABLE ------------------------------------------------------------------------- */

/* A table that is being put together. */
struct table_draft {
    instar_sql *sql;
    const struct ddl_piece *piece;
    instar_table_def def;
    instar_column_def *columns;
    struct ddl_node *key_node; /* what said PRIMARY KEY */
    struct ddl_checks checks;
};

/* PRIMARY KEY (a, b) WITH (b = DESC): the grammar has no direction there, but options with names.
 */
static int key_directions(instar_sql *sql, const struct ddl_piece *piece,
                          struct ddl_node *constraint, instar_key_column *key, size_t count)
{
    for (struct ddl_node *n = ddl_take(constraint, "options"); n != NULL; n = ddl_take_next(n)) {
        const char *name = ddl_take_text(n, "defname");
        struct ddl_node *arg = ddl_take(n, "arg");
        const char *direction =
            arg != NULL && ddl_node_is(arg, "String") ? ddl_take_text(arg, "sval") : NULL;
        instar_key_column *column = NULL;

        (void)ddl_take_name(n, "defaction", "DEFELEM_UNSPEC");
        for (size_t i = 0; name != NULL && i < count; i++) {
            column = strcmp(key[i].name, name) == 0 ? &key[i] : column;
        }
        if (column == NULL || direction == NULL ||
            (strcmp(direction, "asc") != 0 && strcmp(direction, "desc") != 0)) {
            return ddl_fail(sql, INSTAR_EINVALID, ddl_offset(piece, n),
                            "not supported: %s: a primary key takes COLUMN = ASC or COLUMN = DESC",
                            name != NULL ? name : "?");
        }
        column->descending = strcmp(direction, "desc") == 0;
    }
    return INSTAR_OK;
}

/* A primary key keeps no name: it goes by table_pkey, and may be called that. */
static void take_key_name(struct ddl_node *constraint, const char *table)
{
    const struct ddl_node *given = ddl_peek(constraint, "conname");
    size_t size = table != NULL ? strlen(table) : 0;

    if (given != NULL && given->text != NULL && table != NULL &&
        strncmp(given->text, table, size) == 0 && strcmp(given->text + size, "_pkey") == 0) {
        (void)ddl_take_text(constraint, "conname");
    }
}

int ddl_key(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *constraint,
            const struct ddl_key_of *of, const instar_key_column **key_out, size_t *count_out)
{
    size_t count = of->column != NULL ? 1 : ddl_count(constraint, "keys"), at = 0;
    instar_key_column *key;

    if (count > INSTAR_INDEX_COLUMNS_MAX) {
        return ddl_fail(sql, INSTAR_ELIMIT, ddl_offset(piece, constraint),
                        "a primary key has at most %d columns", INSTAR_INDEX_COLUMNS_MAX);
    }
    key = ddl_alloc(&sql->arena, (count + 1) * sizeof(*key));
    if (key == NULL) {
        return no_memory(sql, piece);
    }
    for (struct ddl_node *n = ddl_take(constraint, "keys"); n != NULL; n = ddl_take_next(n)) {
        key[at++].name = ddl_take_text(n, "sval");
    }
    if (of->column != NULL) {
        key[at++].name = of->column;
    }
    take_key_name(constraint, of->table);
    *key_out = key;
    *count_out = at;
    return key_directions(sql, piece, constraint, key, at);
}

/* PRIMARY KEY, of the table or behind a column of this name. */
static int map_key(struct table_draft *t, struct ddl_node *constraint, const char *column)
{
    if (t->key_node != NULL) {
        return ddl_fail(t->sql, INSTAR_EINVALID, ddl_offset(t->piece, constraint),
                        "a table has one primary key");
    }
    t->key_node = constraint;
    return ddl_key(t->sql, t->piece, constraint,
                   &(struct ddl_key_of){.table = t->def.name, .column = column}, &t->def.key,
                   &t->def.key_count);
}

static int map_table_element(struct table_draft *t, struct ddl_node *node)
{
    int rc = INSTAR_OK;

    if (ddl_node_is(node, "ColumnDef")) {
        instar_column_def *column = &t->columns[t->def.column_count++];
        struct ddl_node *key;

        rc = ddl_column(t->sql, t->piece, node, column, &key, &t->checks);
        rc = rc == INSTAR_OK && key != NULL ? map_key(t, key, column->name) : rc;
    } else if (ddl_node_is(node, "Constraint")) {
        if (ddl_take_name(node, "contype", "CONSTR_PRIMARY")) {
            rc = map_key(t, node, NULL);
        } else if (ddl_take_name(node, "contype", "CONSTR_CHECK")) {
            rc = ddl_check(t->sql, t->piece, node, &t->checks);
        } else if (ddl_take_name(node, "contype", "CONSTR_UNIQUE")) {
            rc = ddl_unique(t->sql, t->piece, node, NULL, &t->checks);
        } else if (ddl_take_name(node, "contype", "CONSTR_FOREIGN")) {
            rc = ddl_fkey(t->sql, t->piece, node, NULL, &t->checks);
        }
    } else {
        return ddl_refuse(t->sql, t->piece, node);
    }
    return rc == INSTAR_OK ? ddl_refuse_untaken(t->sql, t->piece, node) : rc;
}

static int map_create_table(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node)
{
    struct table_draft *t = ddl_alloc(&sql->arena, sizeof(*t));
    uint32_t flags = ddl_take_flag(node, "if_not_exists") ? INSTAR_CHANGE_IF_NOT_EXISTS : 0;
    instar_change_options *options = ddl_new_options(sql, flags);
    int rc;

    if (t == NULL || options == NULL) {
        return no_memory(sql, piece);
    }
    *t = (struct table_draft){.sql = sql, .piece = piece};
    t->columns = ddl_alloc(&sql->arena, (ddl_count(node, "table_elts") + 1) * sizeof(*t->columns));
    if (t->columns == NULL) {
        return no_memory(sql, piece);
    }
    t->def.columns = t->columns;
    (void)ddl_take_name(node, "oncommit", "ONCOMMIT_NOOP");
    if (ddl_count(node, "partbound") > 0) { /* before the table that it is a part of */
        return ddl_refuse(sql, piece, ddl_take(node, "partbound"));
    }
    rc = ddl_table_name(sql, piece, node, &t->def.name);
    for (struct ddl_node *n = ddl_take(node, "table_elts"); rc == INSTAR_OK && n != NULL;
         n = ddl_take_next(n)) {
        rc = map_table_element(t, n);
    }
    rc = rc == INSTAR_OK ? ddl_change_options(sql, piece, node, options) : rc;
    rc = rc == INSTAR_OK ? ddl_refuse_untaken(sql, piece, node) : rc;
    if (rc != INSTAR_OK) {
        return rc;
    }
    t->def.checks = t->checks.list;
    t->def.check_count = t->checks.count;
    t->def.uniques = t->checks.uniques;
    t->def.unique_count = t->checks.unique_count;
    t->def.fkeys = t->checks.fkeys;
    t->def.fkey_count = t->checks.fkey_count;
    return ddl_add(sql, piece,
                   &(instar_sql_statement){.verb = INSTAR_SQL_CREATE_TABLE,
                                           .name = t->def.name,
                                           .table = &t->def,
                                           .options = options});
}

/* ---- CREATE INDEX ------------------------------------------------------------------------- */

static int map_index_column(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node,
                            instar_key_column *column)
{
    struct ddl_node *expr = ddl_take(node, "expr");
    column->name = ddl_take_text(node, "name");
    column->descending = ddl_take_name(node, "ordering", "SORTBY_DESC");
    (void)ddl_take_name(node, "ordering", "SORTBY_DEFAULT");
    (void)ddl_take_name(node, "ordering", "SORTBY_ASC");
    (void)ddl_take_name(node, "nulls_ordering", "SORTBY_NULLS_DEFAULT");
    if (ddl_take_name(node, "nulls_ordering", "SORTBY_NULLS_FIRST")) {
        column->nulls = INSTAR_NULLS_FIRST;
    } else if (ddl_take_name(node, "nulls_ordering", "SORTBY_NULLS_LAST")) {
        column->nulls = INSTAR_NULLS_LAST;
    }
    int rc = expr != NULL ? ddl_expression(sql, piece, expr, &column->expression) : INSTAR_OK;
    return rc == INSTAR_OK ? ddl_refuse_untaken(sql, piece, node) : rc;
}

/* INCLUDE (a, b). */
static int map_includes(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node,
                        instar_index_def *def)
{
    size_t count = ddl_count(node, "index_including_params");
    const char **names = ddl_alloc(&sql->arena, (count + 1) * sizeof(*names));
    int rc = INSTAR_OK;

    if (names == NULL) {
        return no_memory(sql, piece);
    }
    def->include = names;
    for (struct ddl_node *n = ddl_take(node, "index_including_params");
         rc == INSTAR_OK && n != NULL; n = ddl_take_next(n)) {
        names[def->include_count++] = ddl_take_text(n, "name");
        (void)ddl_take_name(n, "ordering", "SORTBY_DEFAULT");
        (void)ddl_take_name(n, "nulls_ordering", "SORTBY_NULLS_DEFAULT");
        rc = ddl_refuse_untaken(sql, piece, n);
    }
    return rc;
}

static int map_create_index(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node)
{
    size_t count = ddl_count(node, "index_params");
    instar_index_def *def = ddl_alloc(&sql->arena, sizeof(*def));
    instar_key_column *columns = ddl_alloc(&sql->arena, count * sizeof(*columns));
    uint32_t flags = ddl_take_flag(node, "if_not_exists") ? INSTAR_CHANGE_IF_NOT_EXISTS : 0;
    instar_change_options *options = ddl_new_options(sql, flags);
    const char *method = ddl_take_text(node, "access_method");
    int rc = INSTAR_OK;

    if (def == NULL || columns == NULL || options == NULL) {
        return no_memory(sql, piece);
    }
    if (method != NULL && strcmp(method, "btree") != 0) {
        return ddl_refuse(sql, piece, ddl_take(node, "access_method"));
    }
    def->name = ddl_take_text(node, "idxname");
    def->unique = ddl_take_flag(node, "unique");
    def->columns = columns;
    (void)ddl_take_flag(node, "concurrent"); /* it always is */
    for (struct ddl_node *n = ddl_take(node, "index_params"); rc == INSTAR_OK && n != NULL;
         n = ddl_take_next(n)) {
        rc = map_index_column(sql, piece, n, &columns[def->column_count++]);
    }
    struct ddl_node *where = rc == INSTAR_OK ? ddl_take(node, "where_clause") : NULL;
    rc = rc == INSTAR_OK ? map_includes(sql, piece, node, def) : rc;
    rc = rc == INSTAR_OK && where != NULL ? ddl_expression(sql, piece, where, &def->predicate) : rc;
    rc = rc == INSTAR_OK ? ddl_table_name(sql, piece, node, &def->table) : rc;
    rc = rc == INSTAR_OK ? ddl_change_options(sql, piece, node, options) : rc;
    rc = rc == INSTAR_OK ? ddl_refuse_untaken(sql, piece, node) : rc;
    if (rc == INSTAR_OK && def->name == NULL) {
        rc = ddl_fail(sql, INSTAR_EINVALID, piece->offset, "not supported: an index without name");
    }
    if (rc != INSTAR_OK) {
        return rc;
    }
    return ddl_add(
        sql, piece,
        &(instar_sql_statement){
            .verb = INSTAR_SQL_CREATE_INDEX, .name = def->name, .index = def, .options = options});
}

/* ---- DROP --------------------------------------------------------------------------------- */

/* The one name of the one object. */
static int dropped_name(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node,
                        const char **name_out)
{
    struct ddl_node *list = ddl_take(node, "objects");
    struct ddl_node *item = list != NULL ? ddl_take(list, "items") : NULL;

    if (ddl_count(node, "objects") != 1) {
        return ddl_fail(sql, INSTAR_EINVALID, piece->offset,
                        "not supported: several objects in one DROP; write one statement for each");
    }
    if (item == NULL || ddl_count(list, "items") != 1) {
        return ddl_fail(sql, INSTAR_EINVALID, piece->offset, "not supported: a name with a schema");
    }
    *name_out = ddl_take_text(item, "sval");
    return INSTAR_OK;
}

static int map_drop(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node)
{
    instar_sql_statement info = {.verb = INSTAR_SQL_DROP_TABLE};
    uint32_t flags = ddl_take_flag(node, "missing_ok") ? INSTAR_CHANGE_IF_EXISTS : 0;
    int rc;

    if (ddl_take_name(node, "remove_type", "OBJECT_INDEX")) {
        info.verb = INSTAR_SQL_DROP_INDEX;
        (void)ddl_take_flag(node, "concurrent"); /* it always is */
    } else if (!ddl_take_name(node, "remove_type", "OBJECT_TABLE")) {
        node->taken = false; /* the first words say what it is */
        return ddl_refuse(sql, piece, node);
    }
    info.options = ddl_new_options(sql, flags);
    if (info.options == NULL) {
        return no_memory(sql, piece);
    }
    (void)ddl_take_name(node, "behavior", "DROP_RESTRICT");
    rc = dropped_name(sql, piece, node, &info.name);
    rc = rc == INSTAR_OK ? ddl_refuse_untaken(sql, piece, node) : rc;
    return rc == INSTAR_OK ? ddl_add(sql, piece, &info) : rc;
}

/* ---- VACUUM ------------------------------------------------------------------------------- */

static int map_vacuum(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node)
{
    instar_sql_statement info = {.verb = INSTAR_SQL_VACUUM};
    bool vacuum = ddl_take_flag(node, "is_vacuumcmd");
    struct ddl_node *option = ddl_take(node, "options");
    struct ddl_node *relation = ddl_take(node, "rels");
    int rc;

    if (!vacuum) {
        return ddl_fail(sql, INSTAR_EINVALID, piece->offset, "not supported: ANALYZE");
    }
    if (option != NULL) {
        const char *name = ddl_take_text(option, "defname");

        return ddl_fail(sql, INSTAR_EINVALID, ddl_offset(piece, option),
                        "not supported: the option %s of VACUUM", name != NULL ? name : "?");
    }
    if (ddl_count(node, "rels") != 1) {
        return ddl_fail(sql, INSTAR_EINVALID, piece->offset,
                        "not supported: VACUUM of %s; write one statement for each table",
                        relation == NULL ? "all tables" : "several tables");
    }
    info.options = ddl_new_options(sql, 0);
    if (info.options == NULL) {
        return no_memory(sql, piece);
    }
    rc = ddl_table_name(sql, piece, relation, &info.name);
    rc = rc == INSTAR_OK ? ddl_refuse_untaken(sql, piece, node) : rc;
    return rc == INSTAR_OK ? ddl_add(sql, piece, &info) : rc;
}

/* ---- BEGIN, COMMIT ------------------------------------------------------------------------ */

static int map_transaction(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node)
{
    bool begin = ddl_take_name(node, "kind", "TRANS_STMT_BEGIN") ||
                 ddl_take_name(node, "kind", "TRANS_STMT_START");
    bool commit = ddl_take_name(node, "kind", "TRANS_STMT_COMMIT");
    struct ddl_node *kind = node->first;

    if (!begin && !commit && kind != NULL) {
        kind->taken = true;
        return ddl_refuse(sql, piece, node);
    }
    if (begin == sql->grouped) {
        return ddl_fail(sql, INSTAR_EINVALID, piece->offset,
                        begin ? "BEGIN inside of BEGIN" : "COMMIT without BEGIN");
    }
    sql->grouped = begin;
    sql->group_explain = false;
    sql->group_offset = piece->offset;
    sql->group_first = NULL;
    return ddl_refuse_untaken(sql, piece, node);
}

/* ---- all ---------------------------------------------------------------------------------- */

int ddl_map(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node)
{
    static const struct {
        const char *kind;
        int (*map)(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node);
    } kinds[] = {
        {"CreateStmt", map_create_table}, {"IndexStmt", map_create_index},
        {"DropStmt", map_drop},           {"AlterTableStmt", ddl_map_alter_table},
        {"RenameStmt", ddl_map_rename},   {"TransactionStmt", map_transaction},
        {"VacuumStmt", map_vacuum},       {"CommentStmt", ddl_map_comment},
    };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (ddl_node_is(node, kinds[i].kind)) {
            node->taken = true;
            return kinds[i].map(sql, piece, node);
        }
    }
    return ddl_refuse(sql, piece, node);
}
