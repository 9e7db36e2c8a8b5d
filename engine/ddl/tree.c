/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking a tree apart. Whoever maps a statement takes each field that it understands, and what
 * nobody took is refused at the end. So a clause cannot be overlooked, not even one that the
 * grammar learns later.
 */
#include "ddl/ddl_impl.h"

#include <string.h>

static struct ddl_node *find(struct ddl_node *node, const char *field)
{
    while (node != NULL && strcmp(node->field, field) != 0) {
        node = node->next;
    }
    return node;
}

static struct ddl_node *mark(struct ddl_node *node)
{
    if (node != NULL) {
        node->taken = true;
    }
    return node;
}

struct ddl_node *ddl_take(struct ddl_node *node, const char *field)
{
    return mark(find(node->first, field));
}

const struct ddl_node *ddl_peek(const struct ddl_node *node, const char *field)
{
    return find(node->first, field);
}

struct ddl_node *ddl_take_next(struct ddl_node *node)
{
    return mark(find(node->next, node->field));
}

const char *ddl_take_text(struct ddl_node *node, const char *field)
{
    struct ddl_node *found = ddl_take(node, field);

    return found != NULL ? found->text : NULL;
}

const char *ddl_take_qualified(struct ddl_node *node, const char *field, size_t *parts_out)
{
    size_t count = ddl_count(node, field);
    struct ddl_node *part = ddl_take(node, field);
    const char *name = part != NULL ? ddl_take_text(part, "sval") : NULL;

    if (count == 2 && name != NULL && strcmp(name, "pg_catalog") == 0) {
        name = ddl_take_text(ddl_take_next(part), "sval");
        count = 1;
    }
    *parts_out = count;
    return name;
}

const char *const *ddl_take_names(instar_sql *sql, struct ddl_node *node, const char *field,
                                  size_t *count_out)
{
    const char **names = ddl_alloc(&sql->arena, (ddl_count(node, field) + 1) * sizeof(*names));

    *count_out = 0;
    for (struct ddl_node *n = ddl_take(node, field); names != NULL && n != NULL;
         n = ddl_take_next(n)) {
        names[(*count_out)++] = ddl_take_text(n, "sval");
    }
    return names;
}

bool ddl_take_flag(struct ddl_node *node, const char *field)
{
    return ddl_take(node, field) != NULL;
}

bool ddl_take_name(struct ddl_node *node, const char *field, const char *value)
{
    struct ddl_node *found = find(node->first, field);

    return found != NULL && strcmp(found->text, value) == 0 && mark(found) != NULL;
}

size_t ddl_count(const struct ddl_node *node, const char *field)
{
    size_t count = 0;

    for (const struct ddl_node *n = node->first; n != NULL; n = n->next) {
        count += strcmp(n->field, field) == 0 ? 1 : 0;
    }
    return count;
}

bool ddl_node_is(const struct ddl_node *node, const char *kind)
{
    return node->kind != NULL && strcmp(node->kind, kind) == 0;
}

/* A node that was not taken stands for all below it. */
int ddl_refuse_untaken(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node *node)
{
    int rc = INSTAR_OK;

    if (!node->taken) {
        return ddl_refuse(sql, piece, node);
    }
    for (struct ddl_node *n = node->first; rc == INSTAR_OK && n != NULL; n = n->next) {
        rc = ddl_refuse_untaken(sql, piece, n);
    }
    return rc;
}

size_t ddl_offset(const struct ddl_piece *piece, const struct ddl_node *node)
{
    while (node != NULL && !node->has_place) {
        node = node->parent;
    }
    return node != NULL ? node->offset : piece->offset;
}
