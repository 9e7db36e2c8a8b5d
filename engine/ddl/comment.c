/* SPDX-License-Identifier: Apache-2.0 */
/* COMMENT ON TABLE, COLUMN, INDEX and CONSTRAINT: steps of an ALTER TABLE, or a change of an index
 * by its name alone. */
#include "ddl/ddl_impl.h"

#include <string.h>

/* The parts of the name of what it is about. False: there are more, or fewer. */
static bool take_names(struct ddl_node *node, const char **names, size_t count)
{
    struct ddl_node *object = ddl_take(node, "object");
    struct ddl_node *item = object != NULL ? ddl_take(object, "items") : NULL;

    if (object == NULL || ddl_count(object, "items") != count) {
        return false;
    }
    for (size_t i = 0; i < count; i++, item = ddl_take_next(item)) {
        names[i] = ddl_take_text(item, "sval");
    }
    return true;
}

int ddl_map_comment(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node)
{
    instar_alteration *step = ddl_alloc(&sql->arena, sizeof(*step));
    struct ddl_constant *constant = ddl_alloc(&sql->arena, sizeof(*constant));
    instar_sql_statement info = {.verb = INSTAR_SQL_ALTER_TABLE, .steps = step, .step_count = 1};
    const char *names[2] = {NULL, NULL};
    bool named = true;
    int rc;

    info.options = ddl_new_options(sql, 0);
    if (step == NULL || constant == NULL || info.options == NULL) {
        return ddl_fail(sql, INSTAR_ENOMEM, piece->offset, "out of memory");
    }
    step->comment = ddl_take_text(node, "comment");
    if (ddl_take_name(node, "objtype", "OBJECT_TABLE")) {
        step->kind = INSTAR_ALTER_COMMENT_TABLE;
        named = take_names(node, names, 1);
    } else if (ddl_take_name(node, "objtype", "OBJECT_COLUMN")) {
        step->kind = INSTAR_ALTER_COMMENT_COLUMN;
        named = take_names(node, names, 2);
    } else if (ddl_take_name(node, "objtype", "OBJECT_INDEX")) {
        step->kind = INSTAR_ALTER_COMMENT_INDEX;
        info.verb = INSTAR_SQL_COMMENT_INDEX;
        named = take_names(node, names, 1);
    } else if (ddl_take_name(node, "objtype", "OBJECT_TABCONSTRAINT")) {
        step->kind = INSTAR_ALTER_COMMENT_CONSTRAINT;
        named = take_names(node, names, 2);
    } else {
        node->taken = false; /* the first words say what it is */
        return ddl_refuse(sql, piece, node);
    }
    if (!named) {
        return ddl_fail(sql, INSTAR_EINVALID, piece->offset, "not supported: a name with a schema");
    }
    info.name = names[0];
    step->name = info.verb == INSTAR_SQL_COMMENT_INDEX ? names[0] : names[1];
    rc = ddl_refuse_untaken(sql, piece, node);
    rc = rc == INSTAR_OK ? ddl_add(sql, piece, &info) : rc;
    if (rc == INSTAR_OK) {
        sql->last->constants = constant;
    }
    return rc;
}
