/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one file that knows libpg_query, PostgreSQL's grammar as a library.
 *
 * It hands its tree over as a protobuf message, and protobuf-c describes each message's fields. So
 * one walk turns any statement into plain nodes, whatever the grammar has in it; the names of
 * messages and fields are those of pg_query.proto.
 *
 * What is known about it (15-4.0.0):
 *  - its output is recursive and a deep tree ends the stack: text.c bounds the depth before, and
 *    all runs in a thread with a large stack;
 *  - its JSON form loses negative integers, so the protobuf form is used;
 *  - it does not bear that memory is refused: so it is left then (heap.c), whatever it was at;
 *  - its scanner cuts names at 63 bytes without a word: text.c refuses them before.
 */
#include "ddl/ddl_impl.h"

#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>
#include <string.h>

/* PostgreSQL's keywords, as its scanner knows them. libpg_query has no header for them, and its own
 * function that scans a text needs memory. */
#define UNRESERVED 0
struct ScanKeywordList;
extern const struct ScanKeywordList ScanKeywords;
extern const uint8_t ScanKeywordCategories[];
int ScanKeywordLookup(const char *text, const struct ScanKeywordList *keywords);

/* ---- from messages to nodes --------------------------------------------------------------- */

struct walk {
    instar_sql *sql;
    size_t offset; /* of the statement in the script */
    bool failed;   /* out of memory */
};

static void *unpack_alloc(void *arena, size_t size)
{
    return ddl_alloc(arena, size);
}

static void unpack_free(void *arena, void *pointer)
{
    (void)arena;
    (void)pointer;
}

static const void *member(const ProtobufCMessage *message, size_t offset)
{
    return (const char *)message + offset;
}

static struct ddl_node *new_node(struct walk *w, struct ddl_node *parent, const char *field)
{
    struct ddl_node *node = ddl_alloc(&w->sql->arena, sizeof(*node));

    if (node == NULL) {
        w->failed = true;
        return NULL;
    }
    node->field = field;
    node->parent = parent;
    return node;
}

/* Is it there? A field without presence is when it is not zero. */
static bool is_set(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const void *at = member(message, field->offset);

    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
        *(const uint32_t *)member(message, field->quantifier_offset) != field->id) {
        return false;
    }
    switch (field->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
        return *(ProtobufCMessage *const *)at != NULL;
    case PROTOBUF_C_TYPE_STRING:
        return *(const char *const *)at != NULL && **(const char *const *)at != '\0';
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        return *(const int64_t *)at != 0;
    default:
        return *(const int32_t *)at != 0;
    }
}

static struct ddl_node *message_node(struct walk *w, struct ddl_node *parent, const char *field,
                                     const ProtobufCMessage *message);

/* The value at an address, a member or an element of a list. */
static struct ddl_node *value_node(struct walk *w, struct ddl_node *parent,
                                   const ProtobufCFieldDescriptor *field, const void *at)
{
    struct ddl_node *node;

    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        return message_node(w, parent, field->name, *(ProtobufCMessage *const *)at);
    }
    node = new_node(w, parent, field->name);
    if (node == NULL) {
        return NULL;
    }
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        node->value = DDL_TEXT;
        node->text = *(const char *const *)at;
        break;
    case PROTOBUF_C_TYPE_ENUM: {
        const ProtobufCEnumValue *value =
            protobuf_c_enum_descriptor_get_value(field->descriptor, *(const int *)at);

        node->value = DDL_NAME;
        node->text = value != NULL ? value->name : "?";
        break;
    }
    case PROTOBUF_C_TYPE_BOOL:
        node->value = DDL_FLAG;
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        node->value = DDL_INTEGER;
        node->integer = *(const int64_t *)at;
        break;
    default:
        node->value = DDL_INTEGER;
        node->integer = *(const int32_t *)at;
    }
    return node;
}

static struct ddl_node **add_field(struct walk *w, struct ddl_node *node, struct ddl_node **end,
                                   const ProtobufCMessage *message,
                                   const ProtobufCFieldDescriptor *field)
{
    if (field->label != PROTOBUF_C_LABEL_REPEATED) {
        if (is_set(message, field)) {
            *end = value_node(w, node, field, member(message, field->offset));
        }
        return *end != NULL ? &(*end)->next : end;
    }
    /* All lists of the grammar are lists of messages. */
    size_t count = *(const size_t *)member(message, field->quantifier_offset);
    ProtobufCMessage *const *list =
        *(ProtobufCMessage *const *const *)member(message, field->offset);

    for (size_t i = 0; i < count && !w->failed; i++) {
        *end = value_node(w, node, field, &list[i]);
        end = *end != NULL ? &(*end)->next : end;
    }
    return end;
}

/* A Node is an envelope around one message of any kind: only that is kept. */
static const ProtobufCMessage *unwrap(const ProtobufCMessage *message)
{
    const PgQuery__Node *envelope = (const PgQuery__Node *)message;

    if (message->descriptor != &pg_query__node__descriptor) {
        return message;
    }
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        if (message->descriptor->fields[i].id == (uint32_t)envelope->node_case) {
            return *(ProtobufCMessage *const *)member(message,
                                                      message->descriptor->fields[i].offset);
        }
    }
    return NULL;
}

/* "pg_query.A_Const"; the short name of protobuf-c is another spelling. */
static const char *kind_of(const ProtobufCMessage *message)
{
    const char *dot = strrchr(message->descriptor->name, '.');

    return dot != NULL ? dot + 1 : message->descriptor->name;
}

static struct ddl_node *message_node(struct walk *w, struct ddl_node *parent, const char *field,
                                     const ProtobufCMessage *message)
{
    struct ddl_node *node = new_node(w, parent, field);
    const ProtobufCMessage *inner = unwrap(message);

    if (node == NULL) {
        return NULL;
    }
    node->value = DDL_MESSAGE;
    node->kind = inner != NULL ? kind_of(inner) : "empty";
    struct ddl_node **end = &node->first;

    for (unsigned i = 0; inner != NULL && !w->failed && i < inner->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &inner->descriptor->fields[i];

        if (strcmp(f->name, "location") == 0) {
            int32_t location = *(const int32_t *)member(inner, f->offset);

            node->has_place = location > 0;
            node->offset = w->offset + (size_t)(location > 0 ? location : 0);
        } else {
            end = add_field(w, node, end, inner, f);
        }
    }
    return node;
}

/* ---- one statement ------------------------------------------------------------------------ */

/* libpg_query counts characters, from 1; 0 where it knows no place. */
static size_t error_offset(const char *text, int position)
{
    size_t offset = 0;

    for (int i = 1; i < position && text[offset] != '\0'; i++) {
        offset++;
        while (((unsigned char)text[offset] & 0xc0) == 0x80) {
            offset++;
        }
    }
    return offset;
}

static int make_tree(struct walk *w, const PgQueryProtobuf *packed, struct ddl_node **node_out)
{
    ProtobufCAllocator allocator = {unpack_alloc, unpack_free, &w->sql->arena};
    PgQuery__ParseResult *result =
        pg_query__parse_result__unpack(&allocator, packed->len, (const uint8_t *)packed->data);

    if (result == NULL) {
        return ddl_fail(w->sql, INSTAR_ENOMEM, w->offset, "out of memory");
    }
    if (result->n_stmts == 0) {
        return INSTAR_OK;
    }
    if (result->n_stmts > 1) {
        /* Our splitting and the grammar's are at odds: better refused than half done. */
        return ddl_fail(w->sql, INSTAR_EINVALID, w->offset, "several statements without ;");
    }
    *node_out = message_node(w, NULL, "stmt", &result->stmts[0]->stmt->base);
    return w->failed ? ddl_fail(w->sql, INSTAR_ENOMEM, w->offset, "out of memory") : INSTAR_OK;
}

struct parse {
    const char *text;
    PgQueryProtobufParseResult result;
};

static void run_parse(void *arg)
{
    struct parse *p = arg;

    p->result = pg_query_parse_protobuf(p->text);
}

int ddl_parse(instar_sql *sql, const struct ddl_piece *piece, struct ddl_node **node_out)
{
    struct walk w = {.sql = sql, .offset = piece->offset};
    struct parse p = {.text = ddl_copy(&sql->arena, sql->text + piece->offset, piece->size)};
    int rc;

    *node_out = NULL;
    if (p.text == NULL || !ddl_heap_run(run_parse, &p)) {
        return ddl_fail(sql, INSTAR_ENOMEM, piece->offset, "out of memory");
    }
    if (p.result.error != NULL) {
        rc = ddl_fail(sql, INSTAR_EINVALID,
                      piece->offset + error_offset(p.text, p.result.error->cursorpos), "%s",
                      p.result.error->message);
    } else {
        rc = make_tree(&w, &p.result.parse_tree, node_out);
    }
    pg_query_free_protobuf_parse_result(p.result);
    return rc;
}

bool ddl_needs_quotes(const char *name)
{
    int number = ScanKeywordLookup(name, &ScanKeywords);

    return number >= 0 && ScanKeywordCategories[number] != UNRESERVED;
}
