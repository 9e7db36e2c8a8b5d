/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Submitting several statements about several tables as one change. Each goes to the table that it
 * is about, in the order of the statements: to the draft of one that is altered (compound.c), to
 * the definition of one that is made, or it drops one. Statements about one table that is there are
 * a compound change of it, and are submitted as such.
 *
 * The tables to which foreign keys lead that come or go are members too, though nothing is asked of
 * them: they are published with the rest. The change has its turn in all that are there (CHANGE-4).
 */
#include "change/several_draft_impl.h"

#include <stdio.h>
#include <string.h>

#define COMMIT_BESIDE 8192 /* what a publication holds besides: names, the rest of the record */

static const char *name_of(const struct subject *x)
{
    return x->kind == SEVERAL_ALTER ? x->draft.target->name : x->table->name;
}

static uint64_t id_of(const struct subject *x)
{
    return x->kind == SEVERAL_ALTER ? x->draft.from->id : x->table->id;
}

struct subject *several_find_name(const struct several_draft *sd, const char *name)
{
    for (size_t i = 0; i < sd->count; i++) {
        if (strcmp(name_of(sd->list[i]), name) == 0) {
            return sd->list[i];
        }
    }
    return NULL;
}

static struct subject *find_id(const struct several_draft *sd, uint64_t id)
{
    for (size_t i = 0; i < sd->count; i++) {
        if (id_of(sd->list[i]) == id) {
            return sd->list[i];
        }
    }
    return NULL;
}

int several_find(const struct several_draft *draft, const char *name,
                 const struct catalog_table **table_out, struct base_err *err)
{
    const struct subject *x = several_find_name(draft, name);

    *table_out = NULL;
    if (x != NULL && x->kind == SEVERAL_DROP) {
        return base_err_set(err, INSTAR_EUNKNOWN, "table \"%s\" is dropped in the same change",
                            name);
    }
    if (x != NULL) {
        *table_out = x->kind == SEVERAL_ALTER ? x->draft.from : x->table;
        return 0;
    }
    for (size_t i = 0; i < draft->count; i++) {
        x = draft->list[i];
        if (x->kind == SEVERAL_ALTER && strcmp(x->draft.from->name, name) == 0) {
            return base_err_set(err, INSTAR_EUNKNOWN,
                                "table \"%s\" is renamed to \"%s\" in the same change", name,
                                name_of(x));
        }
    }
    return 0;
}

int several_add_subject(struct several_draft *sd, enum several_kind kind, struct subject **out,
                        struct base_err *err)
{
    size_t most = kind == SEVERAL_PARENT ? BASE_ARRAY_LEN(sd->list) : SEVERAL_TABLES_MAX;
    struct subject *x = sd->count < most ? base_alloc_zero(1, sizeof(*x)) : NULL;

    *out = x;
    if (x == NULL) {
        return sd->count >= most
                   ? base_err_set(err, INSTAR_ELIMIT, "more than %d tables in one change",
                                  SEVERAL_TABLES_MAX)
                   : base_err_set(err, INSTAR_ENOMEM,
                                  "submitting a change of several tables: out of memory");
    }
    x->kind = kind;
    sd->list[sd->count++] = x;
    return 0;
}

static void free_subject(struct subject *x)
{
    if (x->kind == SEVERAL_ALTER) {
        draft_close(&x->draft);
    }
    catalog_table_free(x->table);
    base_free(x);
}

void several_tell(struct several_draft *sd, const char *text, size_t size)
{
    base_buf_add(&sd->words, "; ", sd->words.size != 0 ? 2 : 0);
    base_buf_add(&sd->words, text, size);
}

/* ---- tables that are dropped -------------------------------------------------------------- */

static int drop_table(struct several_draft *sd, const instar_statement *statement,
                      struct base_err *err)
{
    struct submission look = *sd->s;
    instar_change_options options = *sd->s->options;
    struct catalog_name name;
    struct subject *x;
    bool found;

    if (several_find_name(sd, statement->name) != NULL) {
        return base_err_set(err, INSTAR_EINVALID,
                            "table \"%s\" is dropped in the change that creates, alters or drops "
                            "it",
                            statement->name);
    }
    if (submit_undo_window(sd->s) != 0) {
        return base_err_set(err, INSTAR_EINVALID,
                            "drop table with an undo window is a change by itself; beside other "
                            "tables it needs undo_window_s = 0");
    }
    options.flags |= statement->flags;
    look.options = &options;
    look.name = statement->name;
    int rc = submit_find_name(&look, CATALOG_NAME_TABLE, &name, &found, err);
    if (rc != 0 || !found) {
        return rc;
    }
    if (name.change != 0) {
        return alter_name_busy(sd->s->t, statement->name, name.change, err);
    }
    if (find_id(sd, name.table) != NULL) {
        return base_err_set(err, INSTAR_EINVALID,
                            "table \"%s\" is dropped in the change that renames it",
                            statement->name);
    }
    rc = several_add_subject(sd, SEVERAL_DROP, &x, err);
    if (rc != 0) {
        return rc;
    }
    rc = catalog_get_table(sd->s->t, name.table, &x->table, err);
    if (rc != 0) {
        sd->count--;
        free_subject(x);
        return rc;
    }
    base_buf_add(&sd->words, "; ", sd->words.size != 0 ? 2 : 0);
    base_buf_add(&sd->words, "DROP TABLE ", strlen("DROP TABLE "));
    catalog_name_add(&sd->words, statement->name);
    return 0;
}

/* ---- the table that a statement is about -------------------------------------------------- */

/* By the name of an index. NULL: nothing has named its table yet. */
static int find_by_index(struct several_draft *sd, const char *index, struct subject **out,
                         struct base_err *err)
{
    struct catalog_name name;

    *out = NULL;
    for (size_t i = 0; i < sd->count; i++) {
        const struct subject *x = sd->list[i];
        const struct catalog_table *table = x->kind == SEVERAL_ALTER ? x->draft.target : x->table;
        if (x->kind != SEVERAL_DROP && catalog_table_index(table, index) != NULL) {
            *out = sd->list[i];
            return 0;
        }
    }
    if (catalog_name_get(sd->s->t, index, &name, NULL) != 0) {
        return 0; /* whoever looks closer says what is wrong */
    }
    *out = name.kind == CATALOG_NAME_INDEX ? find_id(sd, name.table) : NULL;
    return *out == NULL || (*out)->kind != SEVERAL_DROP
               ? 0
               : base_err_set(err, INSTAR_EUNKNOWN,
                              "index \"%s\" goes with its table, which is dropped in the same "
                              "change",
                              index);
}

static int find_subject(struct several_draft *sd, const instar_statement *statement,
                        struct subject **out, struct base_err *err)
{
    bool creates = statement->kind == INSTAR_STATEMENT_CREATE_INDEX;
    const char *name = creates ? statement->index->table : statement->name;

    if (!creates && statement->kind != INSTAR_STATEMENT_ALTER_TABLE) {
        return find_by_index(sd, name, out, err);
    }
    int rc = catalog_name_check("table", name, err);
    if (rc != 0) {
        return rc;
    }
    *out = several_find_name(sd, name);
    return *out == NULL || (*out)->kind != SEVERAL_DROP
               ? 0
               : base_err_set(err, INSTAR_EUNKNOWN, "table \"%s\" is dropped in the same change",
                              name);
}

/* A statement about a table that is there. */
static int alter(struct several_draft *sd, struct subject *x, size_t at,
                 const instar_statement *statement, struct base_err *err)
{
    bool fresh = x == NULL;
    int rc = fresh ? several_add_subject(sd, SEVERAL_ALTER, &x, err) : 0;

    if (rc != 0) {
        return rc;
    }
    if (fresh) {
        rc = draft_open(&x->draft, sd->s, err);
        sd->count--; /* it is not one of those that it may find */
    }
    x->draft.at = at;
    rc = rc == 0 ? draft_take_statement(&x->draft, statement, err) : rc;
    if (fresh && (rc != 0 || x->draft.from == NULL)) {
        free_subject(x);
        return rc;
    }
    if (fresh && find_id(sd, x->draft.from->id) != NULL) {
        rc = base_err_set(err, INSTAR_EUNKNOWN, "table \"%s\" has another name by then",
                          x->draft.from->name);
        free_subject(x);
        return rc;
    }
    sd->count += fresh ? 1 : 0;
    if (rc == 0 && x->draft.words.size > x->told) {
        size_t from = x->told + (x->told != 0 ? 2 : 0); /* behind "; " */
        several_tell(sd, (const char *)x->draft.words.data + from, x->draft.words.size - from);
        x->told = x->draft.words.size;
    }
    return rc;
}

static int take_statement(struct several_draft *sd, size_t at, struct base_err *err)
{
    const instar_statement *statement = &sd->s->statements[at];
    struct subject *x = NULL;

    if (statement->kind == INSTAR_STATEMENT_CREATE_TABLE) {
        return several_create_table(sd, statement, err);
    }
    if (statement->kind == INSTAR_STATEMENT_DROP_TABLE) {
        return drop_table(sd, statement, err);
    }
    int rc = find_subject(sd, statement, &x, err);
    if (rc != 0) {
        return rc;
    }
    return x != NULL && x->kind == SEVERAL_CREATE ? several_statement_new(sd, x, statement, err)
                                                  : alter(sd, x, at, statement, err);
}

/* ---- parents ------------------------------------------------------------------------------ */

/* In that state; where it leads to it keeps. */
static bool has_fkey(const struct catalog_table *table, const struct catalog_fkey *fkey)
{
    const struct catalog_fkey *found =
        table != NULL ? catalog_table_fkey_by_id(table, fkey->id) : NULL;

    return found != NULL && found->state == fkey->state;
}

/* The table to which a foreign key leads that comes or goes. */
static int add_parent(struct several_draft *sd, const struct catalog_fkey *fkey,
                      struct base_err *err)
{
    struct subject *x = find_id(sd, fkey->parent);

    if (x != NULL) {
        sd->s->rec.waits = sd->s->rec.waits || x->kind == SEVERAL_CREATE;
        return 0;
    }
    int rc = several_add_subject(sd, SEVERAL_PARENT, &x, err);
    if (rc == 0) {
        rc = catalog_get_table(sd->s->t, fkey->parent, &x->table, err);
        if (rc != 0) {
            sd->count--;
            free_subject(x);
        }
    }
    return rc;
}

/* Those of `of` that `in` has not, or has in another way. */
static int add_parents(struct several_draft *sd, const struct catalog_table *of,
                       const struct catalog_table *in, struct base_err *err)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < of->fkey_count; i++) {
        if (!has_fkey(in, &of->fkeys[i])) {
            rc = add_parent(sd, &of->fkeys[i], err);
        }
    }
    return rc;
}

/* rec.waits: a table that is made must be known before it is there. */
static int find_parents(struct several_draft *sd, struct base_err *err)
{
    size_t count = sd->count;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct subject *x = sd->list[i];
        bool waits = sd->s->rec.waits;
        if (x->kind == SEVERAL_ALTER) {
            rc = add_parents(sd, x->draft.from, x->draft.target, err);
            rc = rc == 0 ? add_parents(sd, x->draft.target, x->draft.from, err) : rc;
        } else {
            rc = add_parents(sd, x->table, NULL, err);
            sd->s->rec.waits = waits; /* those that are made come together */
        }
        for (uint32_t k = 0; rc == 0 && x->kind == SEVERAL_CREATE && k < x->table->fkey_count;
             k++) {
            const struct subject *parent = find_id(sd, x->table->fkeys[k].parent);
            sd->s->rec.waits = sd->s->rec.waits || parent->kind != SEVERAL_CREATE;
        }
    }
    return rc;
}

/* All that refer to a table that is dropped go too, or do not refer to it any more. */
static int check_drops(const struct several_draft *sd, struct base_err *err)
{
    char words[2 * INSTAR_NAME_BYTES_MAX + 64] = "a foreign key of another table";

    for (size_t i = 0; i < sd->count; i++) {
        const struct catalog_table *table = sd->list[i]->table;
        if (sd->list[i]->kind != SEVERAL_DROP) {
            continue;
        }
        for (uint32_t k = 0; k < table->referrer_count; k++) {
            const struct catalog_referrer *r = &table->referrers[k];
            const struct subject *child = find_id(sd, r->child);
            bool goes =
                child != NULL && (child->kind == SEVERAL_DROP ||
                                  (child->kind == SEVERAL_ALTER &&
                                   catalog_table_fkey_by_id(child->draft.target, r->fkey) == NULL));
            if (!goes) {
                kin_describe(sd->s->t, r, words, sizeof(words));
                return base_err_set(err, INSTAR_ESTATE,
                                    "table \"%s\": %s refers to it; drop that first", table->name,
                                    words);
            }
        }
    }
    return 0;
}

/* ---- the record --------------------------------------------------------------------------- */

static int encode_altered(struct several_draft *sd, struct subject *x, struct base_buf *out,
                          struct base_err *err)
{
    struct change_record *r = &sd->s->rec;
    struct change_record sum = {.builds = r->builds,
                                .foresees = r->foresees,
                                .validates = r->validates,
                                .retires = r->retires};
    int rc = draft_check_names(&x->draft, err);

    r->builds = x->draft.created > 0;
    r->foresees = r->validates = r->retires = r->keeps = false;
    if (rc == 0) {
        rc = draft_encode(&x->draft, out, err);
    }
    if (rc == 0 && r->keeps) {
        rc = base_err_set(err, INSTAR_EINVALID,
                          "drop column with an undo window beside other tables: it needs "
                          "undo_window_s = 0");
    }
    for (size_t i = 0; i < x->draft.count; i++) {
        r->drops = r->drops || compound_going(&x->draft.request[i]) != 0;
    }
    r->builds = r->builds || sum.builds;
    r->foresees = r->foresees || sum.foresees;
    r->validates = r->validates || sum.validates;
    r->retires = r->retires || sum.retires;
    return rc;
}

static int encode_dropped(struct several_draft *sd, const struct subject *x, struct base_err *err)
{
    const struct catalog_name name = {
        .kind = CATALOG_NAME_TABLE, .table = x->table->id, .change = sd->s->rec.id};

    sd->s->rec.drops = true;
    return catalog_name_put(sd->s->t, x->table->name, &name, err);
}

/* Of the tables that are there, no other change is at work on them meanwhile. */
static int claim(struct several_draft *sd, const struct subject *x, struct base_err *err)
{
    struct change_record *r = &sd->s->rec;

    if (x->kind == SEVERAL_CREATE || id_of(x) == r->table) {
        return 0;
    }
    if (r->other_count == RECORD_OTHERS_MAX) {
        return base_err_set(err, INSTAR_ELIMIT, "more than %d tables that are there, in one change",
                            RECORD_OTHERS_MAX + 1);
    }
    struct change_other *other = &r->others[r->other_count++];
    *other = (struct change_other){.table = id_of(x)};
    snprintf(other->name, sizeof(other->name), "%s", name_of(x));
    return 0;
}

/* The one that stands for the change in lists: the first that is there. */
static const struct subject *first_of(const struct several_draft *sd)
{
    for (size_t i = 0; i < sd->count; i++) {
        if (sd->list[i]->kind != SEVERAL_CREATE) {
            return sd->list[i];
        }
    }
    return sd->list[0];
}

static int encode_one(struct several_draft *sd, struct subject *x, struct several_member *m,
                      struct base_err *err)
{
    *m = (struct several_member){.kind = x->kind, .table = id_of(x)};
    snprintf(m->name, sizeof(m->name), "%s", name_of(x));
    int rc = claim(sd, x, err);
    if (rc != 0) {
        return rc;
    }
    switch (x->kind) {
    case SEVERAL_ALTER:
        rc = encode_altered(sd, x, &m->bytes, err);
        break;
    case SEVERAL_CREATE:
        rc = several_encode_made(sd, x, &m->bytes, err);
        break;
    case SEVERAL_DROP:
        rc = encode_dropped(sd, x, err);
        break;
    case SEVERAL_PARENT:
        break;
    }
    if (rc != 0) {
        base_err_prefix(err, "table \"%s\"", m->name);
    }
    return rc;
}

static int record(struct several_draft *sd, struct base_err *err)
{
    struct change_record *r = &sd->s->rec;
    const struct subject *first = first_of(sd);
    struct several_request request = {.list = base_alloc_zero(sd->count, sizeof(*request.list))};
    bool waits = r->waits;
    int rc = request.list != NULL
                 ? submit_fill(sd->s, CHANGE_SEVERAL, name_of(first), err)
                 : base_err_set(err, INSTAR_ENOMEM,
                                "submitting a change of several tables: out of memory");

    r->waits = waits;
    r->table = id_of(first);
    r->undo_window_s = submit_undo_window(sd->s);
    snprintf(r->table_name, sizeof(r->table_name), "%s", name_of(first));
    record_cut(base_buf_slice(&sd->words), r->statement, sizeof(r->statement));
    for (; rc == 0 && request.count < sd->count; request.count++) {
        rc = encode_one(sd, sd->list[request.count], &request.list[request.count], err);
    }
    if (rc == 0) {
        rc = several_encode(&request, &r->descriptor, err);
    }
    /* The flip has the record and a descriptor of each. */
    size_t bytes = 2 * r->descriptor.size + COMMIT_BESIDE;
    for (size_t i = 0; i < sd->count; i++) {
        bytes += sd->list[i]->draft.bytes;
    }
    size_t limit = (size_t)store_options(sd->s->c->store)->txn_bytes_max;
    if (rc == 0 && bytes > limit) {
        rc = base_err_set(err, INSTAR_ELIMIT,
                          "a change of %zu tables, described by %zu bytes, is too large for a "
                          "transaction of %zu (txn_bytes_max)",
                          sd->count, bytes, limit);
    }
    r->step = rc == 0 ? plan_at_or_after(r, 0) : 0;
    several_free(&request);
    return rc;
}

/* ---- all of them -------------------------------------------------------------------------- */

/* Of `x`: no foreign key that comes with the change refers to a table whose key changes in it. */
static int check_references_of(const struct several_draft *sd, const struct subject *x,
                               struct base_err *err)
{
    bool alters = x->kind == SEVERAL_ALTER;
    const struct catalog_table *table = alters ? x->draft.target : x->table;

    for (uint32_t i = 0; i < table->fkey_count; i++) {
        const struct subject *parent = find_id(sd, table->fkeys[i].parent);
        if (parent != NULL && parent->kind == SEVERAL_ALTER && draft_changes_key(&parent->draft)) {
            /* One that was there refers to that table, which was refused. */
            base_assert(!alters || !has_fkey(x->draft.from, &table->fkeys[i]));
            return draft_refuse_fkey(&parent->draft, &table->fkeys[i], table, err);
        }
    }
    return 0;
}

static int check_new_references(const struct several_draft *sd, struct base_err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sd->count; i++) {
        const struct subject *x = sd->list[i];
        if (x->kind == SEVERAL_ALTER || x->kind == SEVERAL_CREATE) {
            rc = check_references_of(sd, x, err);
        }
    }
    return rc;
}

/* Those that are left as they are, by IF [NOT] EXISTS, are none. */
static void leave_out(struct several_draft *sd)
{
    size_t kept = 0;

    for (size_t i = 0; i < sd->count; i++) {
        struct subject *x = sd->list[i];
        if (x->kind == SEVERAL_ALTER && x->draft.count == 0) {
            free_subject(x);
        } else {
            sd->list[kept++] = x;
        }
    }
    sd->count = kept;
}

static int finish(struct several_draft *sd, struct base_err *err)
{
    size_t parts = 0;
    int rc = 0;

    leave_out(sd);
    for (size_t i = 0; rc == 0 && i < sd->count; i++) {
        rc = sd->list[i]->kind == SEVERAL_ALTER ? draft_complete(&sd->list[i]->draft, err) : 0;
    }
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < sd->count; i++) {
        parts += sd->list[i]->kind == SEVERAL_ALTER ? sd->list[i]->draft.count : 1;
    }
    if (parts > COMPOUND_STATEMENTS_MAX) {
        return base_err_set(err, INSTAR_ELIMIT, "%zu parts of one change, at most %d", parts,
                            COMPOUND_STATEMENTS_MAX);
    }
    if (sd->count == 0) {
        return 0;
    }
    rc = check_new_references(sd, err);
    if (rc != 0) {
        return rc;
    }
    if (sd->count == 1 && sd->list[0]->kind == SEVERAL_ALTER) {
        rc = draft_check_names(&sd->list[0]->draft, err);
        return rc == 0 ? draft_record(&sd->list[0]->draft, err) : rc;
    }
    rc = find_parents(sd, err);
    rc = rc == 0 ? check_drops(sd, err) : rc;
    return rc == 0 ? record(sd, err) : rc;
}

int several_submit(struct submission *s, struct base_err *err)
{
    struct several_draft *sd = base_alloc_zero(1, sizeof(*sd));
    int rc = 0;

    if (sd == NULL) {
        return base_err_set(err, INSTAR_ENOMEM,
                            "submitting a change of several tables: out of memory");
    }
    sd->s = s;
    s->several = sd;
    kin_begin(&sd->kin, s);
    for (size_t at = 0; rc == 0 && at < s->statement_count; at++) {
        rc = take_statement(sd, at, err);
        if (rc != 0) {
            base_err_prefix(err, "statement %zu", at + 1);
        }
    }
    if (rc == 0) {
        rc = finish(sd, err);
    }
    for (size_t i = 0; i < sd->count; i++) {
        free_subject(sd->list[i]);
    }
    kin_close(&sd->kin);
    base_buf_free(&sd->words);
    base_free(sd);
    s->several = NULL;
    s->table_def = NULL;
    return rc;
}
