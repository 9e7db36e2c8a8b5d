/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is refused, in the words of SQL. A field of the grammar that nobody took has a name and,
 * mostly, a word in the text that it came from: the place of the refusal. What the table does not
 * have is named as the grammar calls it, so that a refusal never depends on the table.
 */
#include "ddl/ddl_impl.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

struct clause {
    const char *what;   /* "Kind.field", ".field" of any kind, "Kind", or an enum's value */
    const char *words;  /* as a user would say it */
    const char *search; /* the word of the text that begins it, or NULL; ^: it may stand before what
                         * it belongs to */
};

static const struct clause clauses[] = {
    /* tables */
    {"CreateStmt.inh_relations", "INHERITS", "INHERITS"},
    {"CreateStmt.partbound", "PARTITION OF", "PARTITION"},
    {"CreateStmt.partspec", "PARTITION BY", "PARTITION"},
    {"CreateStmt.of_typename", "a table OF a type", "OF"},
    {"CreateStmt.tablespacename", "TABLESPACE", "TABLESPACE"},
    {"CreateStmt.access_method", "USING (a table access method)", "USING"},
    {"CreateStmt.oncommit", "ON COMMIT", "ON"},
    {"TableLikeClause", "LIKE", "LIKE"},
    {"RangeVar.catalogname", "a name with a database", NULL},
    {"RangeVar.schemaname", "a name with a schema", NULL},
    {"RangeVar.inh", "ONLY", "^ONLY"},
    {"RangeVar.alias", "an alias", NULL},
    {"RangeVar.relpersistence t", "TEMPORARY", "^TEMP"},
    {"RangeVar.relpersistence u", "UNLOGGED", "^UNLOGGED"},
    /* columns */
    {"ColumnDef.compression", "COMPRESSION", "COMPRESSION"},
    {"ColumnDef.coll_clause", "COLLATE", "COLLATE"},
    {"ColumnDef.storage", "STORAGE", "STORAGE"},
    {"ColumnDef.fdwoptions", "OPTIONS", "OPTIONS"},
    {"TypeName.typmods", "a length or precision of the type", "("},
    {"TypeName.array_bounds", "an array", NULL},
    {"TypeName.setof", "SETOF", "^SETOF"},
    {"TypeName.pct_type", "%TYPE", "%"},
    /* constraints */
    {"Constraint.conname", "a name for a constraint", NULL},
    {"Constraint.is_no_inherit", "NO INHERIT", "INHERIT"},
    {"Constraint.deferrable", "DEFERRABLE", "DEFERRABLE"},
    {"Constraint.initdeferred", "INITIALLY DEFERRED", "INITIALLY"},
    {"Constraint.including", "INCLUDE", "INCLUDE"},
    {"Constraint.indexname", "USING INDEX", "USING"},
    {"Constraint.indexspace", "USING INDEX TABLESPACE", "USING"},
    {"Constraint.nulls_not_distinct", "NULLS NOT DISTINCT", "NULLS"},
    {"CONSTR_IDENTITY", "GENERATED AS IDENTITY", NULL},
    {"CONSTR_GENERATED", "GENERATED", NULL},
    {"CONSTR_EXCLUSION", "EXCLUDE", NULL},
    {"CONSTR_FOREIGN", "FOREIGN KEY", NULL},
    {"CONSTR_ATTR_DEFERRABLE", "DEFERRABLE", NULL},
    {"CONSTR_ATTR_NOT_DEFERRABLE", "NOT DEFERRABLE", NULL},
    {"CONSTR_ATTR_DEFERRED", "INITIALLY DEFERRED", NULL},
    {"CONSTR_ATTR_IMMEDIATE", "INITIALLY IMMEDIATE", NULL},
    {"CONSTR_PRIMARY", "a second PRIMARY KEY", NULL},
    /* ALTER TABLE */
    {"AT_AddConstraint", "ADD CONSTRAINT", NULL},
    {"AT_AlterConstraint", "ALTER CONSTRAINT", NULL},
    {"AT_AddIdentity", "ADD GENERATED AS IDENTITY", NULL},
    {"AT_SetIdentity", "a change of an identity column", NULL},
    {"AT_DropIdentity", "DROP IDENTITY", NULL},
    {"AT_DropExpression", "DROP EXPRESSION", NULL},
    {"AT_SetStatistics", "SET STATISTICS", NULL},
    {"AT_SetStorage", "SET STORAGE", NULL},
    {"AT_SetCompression", "SET COMPRESSION", NULL},
    {"AT_SetOptions", "SET (…) of a column", NULL},
    {"AT_ResetOptions", "RESET (…) of a column", NULL},
    {"AT_SetRelOptions", "SET (…)", NULL},
    {"AT_ResetRelOptions", "RESET (…)", NULL},
    {"AT_ChangeOwner", "OWNER TO", NULL},
    {"AT_SetTableSpace", "SET TABLESPACE", NULL},
    {"AT_SetAccessMethod", "SET ACCESS METHOD", NULL},
    {"AT_SetLogged", "SET LOGGED", NULL},
    {"AT_SetUnLogged", "SET UNLOGGED", NULL},
    {"AT_ClusterOn", "CLUSTER ON", NULL},
    {"AT_DropCluster", "SET WITHOUT CLUSTER", NULL},
    {"AT_AddInherit", "INHERIT", NULL},
    {"AT_DropInherit", "NO INHERIT", NULL},
    {"AT_AddOf", "OF", NULL},
    {"AT_ReplicaIdentity", "REPLICA IDENTITY", NULL},
    {"AT_AttachPartition", "ATTACH PARTITION", NULL},
    {"AT_DetachPartition", "DETACH PARTITION", NULL},
    {"AT_EnableRowSecurity", "ENABLE ROW LEVEL SECURITY", NULL},
    {"RenameStmt.rename_type", "a rename of this", NULL},
    /* indexes */
    {"IndexStmt.table_space", "TABLESPACE", "TABLESPACE"},
    {"IndexStmt.nulls_not_distinct", "NULLS NOT DISTINCT", "DISTINCT"},
    {"IndexStmt.access_method", "an index method other than btree", "USING"},
    {"IndexElem.expr", "an expression in INCLUDE", NULL},
    {"IndexElem.collation", "COLLATE", "COLLATE"},
    {"IndexElem.opclass", "an operator class", NULL},
    {"IndexElem.opclassopts", "an operator class", NULL},
    {"SORTBY_USING", "USING in an index", "USING"},
    {"SORTBY_ASC", "ASC in INCLUDE", "INCLUDE"},
    {"SORTBY_DESC", "DESC in INCLUDE", "INCLUDE"},
    {"SORTBY_NULLS_FIRST", "NULLS FIRST in INCLUDE", "INCLUDE"},
    {"SORTBY_NULLS_LAST", "NULLS LAST in INCLUDE", "INCLUDE"},
    /* options, drops, transactions */
    {"TransactionStmt.options", "an option of BEGIN", NULL},
    {"TransactionStmt.chain", "AND CHAIN", "AND"},
    {"DefElem.defnamespace", "an option's prefix", NULL},
    {"DROP_CASCADE", "CASCADE", "CASCADE"},
    /* statements of which the first words do not tell enough */
    {"SelectStmt", "SELECT (rows are read by the functions of instar.h)", NULL},
    {"InsertStmt", "INSERT (rows are written by the functions of instar.h)", NULL},
    {"UpdateStmt", "UPDATE (rows are written by the functions of instar.h)", NULL},
    {"DeleteStmt", "DELETE (rows are written by the functions of instar.h)", NULL},
    {"MergeStmt", "MERGE (rows are written by the functions of instar.h)", NULL},
    {"CopyStmt", "COPY (see instar import)", NULL},
    {"CreateTableAsStmt", "CREATE TABLE AS", "AS"},
    {"FuncCall", "a function call", NULL},
    {"A_Expr", "an expression", NULL},
    {"SQLValueFunction", "a default that differs from row to row", NULL},
    {"ColumnRef", "a column in an expression", NULL},
};

static const struct clause *find_clause(const char *what)
{
    for (size_t i = 0; i < sizeof(clauses) / sizeof(clauses[0]); i++) {
        if (strcmp(clauses[i].what, what) == 0) {
            return &clauses[i];
        }
    }
    return NULL;
}

/* The most telling entry: the value of an enum or a short text, the field, the message itself. */
static const struct clause *clause_of(const struct ddl_node *node)
{
    const struct clause *found = NULL;
    char what[160];

    if (node->value == DDL_NAME) {
        found = find_clause(node->text);
    }
    if (found == NULL && node->value == DDL_TEXT && node->parent != NULL) {
        (void)snprintf(what, sizeof(what), "%s.%s %.20s", node->parent->kind, node->field,
                       node->text);
        found = find_clause(what);
    }
    if (found == NULL && node->parent != NULL) {
        (void)snprintf(what, sizeof(what), "%s.%s", node->parent->kind, node->field);
        found = find_clause(what);
    }
    return found == NULL && node->kind != NULL ? find_clause(node->kind) : found;
}

/* Where the word stands at or after `from`, else `otherwise`. What begins with it will do, as in
 * TEMP and TEMPORARY. */
static size_t search_word(const instar_sql *sql, const struct ddl_piece *piece, size_t from,
                          size_t otherwise, const char *word)
{
    const char *end = sql->text + piece->offset + piece->size;
    struct ddl_lexer lexer = {sql->text + from, end, NULL};
    struct ddl_token token;
    size_t size = strlen(word);

    while (ddl_next(&lexer, &token)) {
        struct ddl_token start = token;

        start.size = token.size > size ? size : token.size;
        if (ddl_is(&start, word)) {
            return (size_t)(token.at - sql->text);
        }
    }
    return otherwise;
}

/* "DROP VIEW": the words that begin the statement, as many as tell its kind. */
static void first_words(const instar_sql *sql, const struct ddl_piece *piece, char *text,
                        size_t size)
{
    struct ddl_lexer lexer = {sql->text + piece->offset, sql->text + piece->offset + piece->size,
                              NULL};
    struct ddl_token token;
    size_t used = 0, wanted = 1;

    while (wanted-- > 0 && ddl_next(&lexer, &token) && token.kind == DDL_WORD &&
           token.size + 2 < size - used) {
        used += used > 0 ? 1 : 0;
        text[used > 0 ? used - 1 : 0] = used > 0 ? ' ' : text[0];
        for (size_t i = 0; i < token.size; i++) {
            text[used++] = (char)toupper((unsigned char)token.at[i]);
        }
        if (ddl_is(&token, "CREATE") || ddl_is(&token, "ALTER") || ddl_is(&token, "DROP") ||
            ddl_is(&token, "OR") || ddl_is(&token, "TRUNCATE") || ddl_is(&token, "FOREIGN") ||
            ddl_is(&token, "EVENT") || ddl_is(&token, "MATERIALIZED")) {
            wanted++;
        } else if (ddl_is(&token, "REPLACE")) {
            wanted++;
        }
    }
    text[used] = '\0';
}

int ddl_refuse(instar_sql *sql, const struct ddl_piece *piece, const struct ddl_node *node)
{
    const struct clause *clause = clause_of(node);
    size_t offset = ddl_offset(piece, node);
    char words[128];

    if (clause != NULL && clause->search != NULL) {
        bool before = clause->search[0] == '^';
        size_t from = before ? piece->offset : ddl_offset(piece, node->parent);

        offset = search_word(sql, piece, from, offset, clause->search + before);
    }
    if (clause != NULL) {
        return ddl_fail(sql, INSTAR_EINVALID, offset, "not supported: %s", clause->words);
    }
    if (node->parent == NULL) {
        first_words(sql, piece, words, sizeof(words));
        return ddl_fail(sql, INSTAR_EINVALID, offset, "not supported: %s", words);
    }
    if (node->value == DDL_NAME) {
        const char *plain = strncmp(node->text, "AT_", 3) == 0 ? node->text + 3 : node->text;

        return ddl_fail(sql, INSTAR_EINVALID, offset, "not supported: %s", plain);
    }
    return ddl_fail(sql, INSTAR_EINVALID, offset, "not supported: %s of %s", node->field,
                    node->parent->kind);
}
