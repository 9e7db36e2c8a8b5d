/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Submitting several statements about one table as one change. They are taken one after the other:
 * each is checked against the table as those before it would leave it, and has its part of the
 * request. Then the versions of the way there are made once, so that what cannot be is refused
 * before anything begins; and all names are reserved.
 */
#include "change/draft_impl.h"
#include "change/rekey_impl.h"
#include "change/several_impl.h"

#include <stdio.h>
#include <string.h>

/* ---- the table ---------------------------------------------------------------------------- */

/* The table that is named: the first one decides, and whoever shares statements out gives a draft
 * those about its table alone, which they name as the target has it. */
static int use_table(struct draft *d, const char *name, struct base_err *err)
{
    if (d->from != NULL) {
        base_assert(strcmp(d->target->name, name) == 0);
        return 0;
    }
    int rc = submit_open_table(d->s, name, &d->from, err);
    if (rc == 0 && catalog_hidden_columns(d->from) != 0) {
        return base_err_set(err, INSTAR_ESTATE,
                            "table \"%s\" is in the middle of a change that adds or drops columns "
                            "with their indexes: wait for that",
                            name);
    }
    if (rc == 0) {
        rc = record_at_work(d->s->t, d->from->id, &d->behind, err);
    }
    if (rc == 0) {
        kin_begin(&d->kin, d->s);
        d->from->kin = &d->kin.face;
        rc = catalog_table_copy(d->from, &d->target, err);
    }
    return rc;
}

/* The table of an index that is dropped or renamed. *found_out: false when there is no such index,
 * which IF EXISTS allows. */
static int use_index(struct draft *d, const instar_statement *statement, bool *found_out,
                     struct base_err *err)
{
    struct submission *s = d->s;
    struct catalog_table *table = NULL;
    struct catalog_name name;

    *found_out = d->target != NULL && catalog_table_index(d->target, statement->name) != NULL;
    if (*found_out) {
        return 0;
    }
    instar_change_options options = *s->options;
    options.flags |= statement->flags;
    struct submission look = *s;
    look.options = &options;
    look.name = statement->name;
    int rc = submit_find_name(&look, CATALOG_NAME_INDEX, &name, found_out, err);
    if (rc != 0 || !*found_out) {
        return rc;
    }
    rc = submit_table_of_index(s, name.table, &table, err);
    if (rc == 0 && name.change != 0) {
        rc = alter_name_busy(s->t, statement->name, name.change, err);
    }
    if (rc == 0 && d->from == NULL) {
        rc = use_table(d, table->name, err);
    }
    if (rc == 0 && catalog_table_index(d->target, statement->name) == NULL) {
        rc = base_err_set(err, INSTAR_EUNKNOWN, "index \"%s\" has gone by a statement before",
                          statement->name);
    }
    catalog_table_free(table);
    return rc;
}

/* ---- one statement ------------------------------------------------------------------------ */

static void tell(struct draft *d, const char *text)
{
    base_buf_add(&d->words, "; ", d->words.size != 0 ? 2 : 0);
    base_buf_add(&d->words, text, strlen(text));
}

void draft_tell_steps(struct draft *d, const char *table, const instar_alteration *steps,
                      size_t count)
{
    char text[RECORD_STATEMENT_MAX];

    alter_describe(table, steps, count, text, sizeof(text));
    tell(d, text);
}

const struct compound_statement *draft_dropped(const struct draft *d, const char *name)
{
    for (size_t i = 0; i < d->count; i++) {
        if (d->request[i].kind == COMPOUND_DROP_INDEX && strcmp(d->request[i].name, name) == 0) {
            return &d->request[i];
        }
    }
    return NULL;
}

/* What a name that is taken means here: a part of a change cannot wait for another change. */
static int may_create(struct draft *d, const instar_index_def *def, uint32_t flags,
                      bool *create_out, struct base_err *err)
{
    enum join join;
    uint64_t other;

    *create_out = false;
    if (draft_dropped(d, def->name) != NULL) {
        return base_err_set(err, INSTAR_ESTATE,
                            "index \"%s\" is dropped in the same change: the new one needs another "
                            "name",
                            def->name);
    }
    if (catalog_table_index(d->from, def->name) != NULL &&
        catalog_table_index(d->target, def->name) == NULL) {
        return base_err_set(err, INSTAR_ESTATE,
                            "index \"%s\" is renamed in the same change: the new one needs another "
                            "name",
                            def->name);
    }
    int rc = join_index(d->s->t, def, flags, &join, &other, err);
    if (rc == 0 && (join == JOIN_ATTACH || join == JOIN_BEHIND)) {
        rc = base_err_set(err, INSTAR_ESTATE,
                          "change %llu is at work on index \"%s\": this one cannot make it",
                          (unsigned long long)other, def->name);
    }
    *create_out = rc == 0 && join == JOIN_FREE;
    return rc;
}

/* An index of the table at hand. Its definition lives as long as the request. */
int draft_make_index(struct draft *d, const instar_index_def *def, uint32_t flags,
                     struct base_err *err)
{
    struct compound_statement *part = &d->request[d->count];
    struct catalog_index *index = NULL;
    char text[RECORD_STATEMENT_MAX];
    bool create;
    int rc = may_create(d, def, flags, &create, err);

    if (rc != 0 || !create) {
        return rc;
    }
    if (d->created == COMPOUND_INDEXES_MAX) {
        return base_err_set(err, INSTAR_ELIMIT, "more than %d new indexes in one change",
                            COMPOUND_INDEXES_MAX);
    }
    rc = catalog_index_from_def(d->target, def, &index, err);
    if (rc == 0) {
        rc = catalog_next_id(d->s->t, CATALOG_COUNTER_TREE, &part->tree, err);
    }
    if (rc != 0) {
        return rc;
    }
    index->tree = part->tree;
    part->kind = COMPOUND_CREATE_INDEX;
    part->def = *def;
    d->count++;
    d->created++;
    catalog_index_describe(d->target, index, text, sizeof(text));
    tell(d, text);
    return 0;
}

static int create_index(struct draft *d, const instar_statement *statement, struct base_err *err)
{
    const instar_index_def *def = statement->index;

    base_assert(def != NULL);
    int rc = catalog_name_check("index", def->name, err);
    if (rc == 0) {
        rc = use_table(d, def->table, err);
    }
    return rc == 0 ? draft_make_index(d, def, statement->flags, err) : rc;
}

/* The part that makes the index anew, if there is one: that need not be, for it goes. */
static struct compound_statement *find_remade(struct draft *d, uint64_t tree)
{
    for (size_t i = 0; i < d->count; i++) {
        if (d->request[i].kind == COMPOUND_REMAKE_INDEX && d->request[i].tree == tree) {
            return &d->request[i];
        }
    }
    return NULL;
}

/* No other change may be at work on it: whoever gave its name back, of the two, would do so for an
 * index that the other one has taken away. */
static int check_idle(struct draft *d, const char *name, struct base_err *err)
{
    struct catalog_name found;
    int rc = catalog_name_get(d->s->t, name, &found, err);

    if (rc == 0 && found.change != 0) {
        return alter_name_busy(d->s->t, name, found.change, err);
    }
    return rc;
}

/* One that the target has. */
int draft_take_away(struct draft *d, const char *name, struct base_err *err)
{
    const struct catalog_index *index = catalog_table_index(d->target, name);
    struct compound_statement *remade = find_remade(d, index->tree);
    struct compound_statement *part = remade != NULL ? remade : &d->request[d->count];
    uint64_t tree = remade != NULL ? remade->old_tree : index->tree;
    const struct catalog_index *old = catalog_table_index_by_tree(d->from, tree);

    if (old == NULL || strcmp(old->name, name) != 0) {
        return base_err_set(err, INSTAR_EINVALID,
                            "%s \"%s\" is dropped in the change that creates or renames it",
                            index->constraint ? "constraint" : "index", name);
    }
    int rc = check_idle(d, name, err);
    if (rc != 0) {
        return rc;
    }
    part->kind = COMPOUND_DROP_INDEX;
    part->tree = tree;
    part->name = old->name;
    d->count += remade == NULL;
    d->created -= remade != NULL;
    if (index->constraint) {
        tell(d, "ALTER TABLE ");
        catalog_name_add(&d->words, d->target->name);
        base_buf_add(&d->words, " DROP CONSTRAINT ", strlen(" DROP CONSTRAINT "));
    } else {
        tell(d, "DROP INDEX ");
    }
    catalog_name_add(&d->words, name);
    catalog_index_remove(d->target, name);
    return 0;
}

static int drop_index(struct draft *d, const instar_statement *statement, struct base_err *err)
{
    bool found;
    int rc = use_index(d, statement, &found, err);

    if (rc != 0 || !found) {
        return rc;
    }
    rc = submit_check_drop(d->target, catalog_table_index(d->target, statement->name), err);
    return rc == 0 ? draft_take_away(d, statement->name, err) : rc;
}

/* The steps of a statement from one to before another: a part of the request. */
int draft_alter_steps(struct draft *d, const struct steps *all, size_t from, size_t to,
                      struct base_err *err)
{
    const instar_alteration *steps = all->list + from;
    size_t count = to - from;
    struct compound_statement *part = &d->request[d->count];
    char name[INSTAR_NAME_BYTES_MAX + 1];
    bool any = false;
    int rc = alter_names_idle(d->s->t, d->target, steps, count, err);

    snprintf(name, sizeof(name), "%s", d->target->name);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        bool changed;
        rc = catalog_alter(d->target, &steps[i], &changed, err);
        any = any || changed;
        rc = draft_step_fault(all, from + i, rc, err);
    }
    /* Behind another change it may have something to do when its turn comes. */
    if (rc != 0 || (!any && d->behind == 0)) {
        return rc;
    }
    d->may_bind = d->may_bind || (d->behind != 0 && alter_may_bind(steps, count));
    part->kind = COMPOUND_ALTER_TABLE;
    part->alter.steps = (instar_alteration *)steps;
    part->alter.step_count = count;
    d->count++;
    draft_tell_steps(d, name, steps, count);
    return compound_remake(d, err);
}

/* ---- the other statements ----------------------------------------------------------------- */

static int alter_table(struct draft *d, const instar_statement *statement, struct base_err *err)
{
    struct catalog_name name;
    bool exists = (statement->flags & INSTAR_CHANGE_IF_EXISTS) != 0;
    int rc = 0;

    if (statement->step_count == 0 || statement->step_count > ALTER_STEPS_MAX) {
        return base_err_set(
            err, statement->step_count > ALTER_STEPS_MAX ? INSTAR_ELIMIT : INSTAR_EINVALID,
            "alter table: %zu steps, at least 1 and at most %d", statement->step_count,
            ALTER_STEPS_MAX);
    }
    if (exists && d->from == NULL) {
        rc = catalog_name_get(d->s->t, statement->name, &name, err);
        if (rc == INSTAR_ENOTFOUND) {
            base_err_clear(err);
            return 0;
        }
    }
    if (rc == 0) {
        rc = use_table(d, statement->name, err);
    }
    const struct steps all = {statement->steps, statement->step_count};
    return rc == 0 ? draft_alter_all(d, &all, err) : rc;
}

/* RENAME and COMMENT: a step of the index's table. */
static int alter_index(struct draft *d, const instar_statement *statement, struct base_err *err)
{
    instar_alteration *step = &d->renames[d->at];
    bool found;
    int rc = use_index(d, statement, &found, err);

    if (rc != 0 || !found) {
        return rc;
    }
    *step = (instar_alteration){.kind = statement->kind == INSTAR_STATEMENT_RENAME_INDEX
                                            ? INSTAR_ALTER_RENAME_INDEX
                                            : INSTAR_ALTER_COMMENT_INDEX,
                                .name = statement->name,
                                .new_name = statement->new_name,
                                .comment = statement->comment};
    return draft_alter_steps(d, &(struct steps){step, 1}, 0, 1, err);
}

int draft_take_statement(struct draft *d, const instar_statement *statement, struct base_err *err)
{
    switch (statement->kind) {
    case INSTAR_STATEMENT_CREATE_INDEX:
        return create_index(d, statement, err);
    case INSTAR_STATEMENT_DROP_INDEX:
        return drop_index(d, statement, err);
    case INSTAR_STATEMENT_ALTER_TABLE:
        return alter_table(d, statement, err);
    case INSTAR_STATEMENT_RENAME_INDEX:
    case INSTAR_STATEMENT_COMMENT_INDEX:
        return alter_index(d, statement, err);
    default: /* whole tables are not a draft's */
        base_assert(statement->kind == INSTAR_STATEMENT_VACUUM);
        return base_err_set(err, INSTAR_EINVALID,
                            "vacuum is a change by itself, not a part of one");
    }
}

/* ---- all of them -------------------------------------------------------------------------- */

static int reserve(struct draft *d, const struct alter_name *names, size_t name_count,
                   struct base_err *err)
{
    struct store_txn *t = d->s->t;
    uint64_t change = d->s->rec.id;
    int rc = alter_names_reserve(t, d->from->id, change, names, name_count, err);

    for (size_t i = 0; rc == 0 && i < d->count; i++) {
        const struct compound_statement *part = &d->request[i];
        struct catalog_name name = {
            .kind = CATALOG_NAME_INDEX, .table = d->from->id, .change = change};
        if (part->kind == COMPOUND_CREATE_INDEX) {
            struct catalog_name found;
            rc = catalog_name_get(t, part->def.name, &found, err);
            if (rc == 0) { /* another table's part of the change */
                return base_err_set(err, INSTAR_EEXISTS, "the change gives the name \"%s\" twice",
                                    part->def.name);
            }
            if (rc != INSTAR_ENOTFOUND) {
                return rc;
            }
            base_err_clear(err);
            rc = catalog_name_put(t, part->def.name, &name, err);
        } else if (compound_going(part) != 0 && part->kind != COMPOUND_REKEY) {
            name.index = catalog_table_index_by_tree(d->from, compound_going(part))->id;
            rc = catalog_name_put(t, part->name, &name, err);
        }
    }
    return rc;
}

/* An index that is made must end with the name that is reserved for it. */
int draft_check_names(const struct draft *d, struct base_err *err)
{
    for (size_t i = 0; i < d->count; i++) {
        const struct compound_statement *part = &d->request[i];
        const struct catalog_index *index =
            compound_coming(part) != 0 ? catalog_table_index_by_tree(d->target, part->tree) : NULL;
        /* Where a later statement drops it, its part is that drop. */
        base_assert(part->kind != COMPOUND_REMAKE_INDEX || index != NULL);
        if (part->kind == COMPOUND_REMAKE_INDEX && strcmp(index->name, part->name) != 0) {
            return base_err_set(
                err, INSTAR_EINVALID,
                "index \"%s\" is renamed in the change that gives a column of it another type, or "
                "its table another primary key: two changes",
                part->name);
        }
        if (part->kind == COMPOUND_REMAKE_INDEX) {
            continue;
        }
        if (index != NULL && strcmp(index->name, part->def.name) != 0) {
            return base_err_set(err, INSTAR_EINVALID,
                                "index \"%s\" is created and renamed in one change: create it as "
                                "\"%s\"",
                                part->def.name, index->name);
        }
    }
    return 0;
}

int draft_encode(struct draft *d, struct base_buf *out, struct base_err *err)
{
    const struct compound_request asked = {.statements = d->request, .count = d->count};
    struct base_arena arena = {0};
    struct alter_name *names = NULL;
    size_t name_count = 0;
    int rc = compound_rekey(&asked) != NULL ? rekey_check_others(d->s, d->from, err) : 0;

    rc = rc == 0 ? alter_names_find(d->from, d->target, &arena, &names, &name_count, err) : rc;
    if (rc == 0) {
        rc = reserve(d, names, name_count, err);
    }
    if (rc == 0) {
        rc = compound_encode(d->request, d->count, names, name_count, out, err);
    }
    if (rc == 0) {
        const struct compound_request request = {.statements = d->request, .count = d->count};
        const struct compound_statement *key = compound_rekey(&request);
        d->s->rec.rekeys = d->s->rec.rekeys || (key != NULL && key->witness != 0);
        d->s->rec.numbers = d->s->rec.numbers || (key != NULL && key->witness == 0);
        rc = compound_rehearse(d->s->c->store, d->from, &request, &d->s->rec, &d->bytes, err);
        d->s->rec.validates = d->s->rec.validates || d->may_bind;
    }
    base_arena_free(&arena);
    return rc;
}

int draft_record(struct draft *d, struct base_err *err)
{
    struct change_record *r = &d->s->rec;
    int rc = submit_fill(d->s, CHANGE_COMPOUND, d->from->name, err);

    if (rc != 0) {
        return rc;
    }
    r->table = d->from->id;
    r->undo_window_s = submit_undo_window(d->s);
    r->builds = d->created > 0;
    for (size_t i = 0; i < d->count; i++) {
        r->drops = r->drops || compound_going(&d->request[i]) != 0;
    }
    snprintf(r->table_name, sizeof(r->table_name), "%s", d->from->name);
    record_cut(base_buf_slice(&d->words), r->statement, sizeof(r->statement));
    rc = kin_claim(&d->kin, d->from, d->target, r, err);
    rc = rc == 0 ? draft_encode(d, &r->descriptor, err) : rc;
    r->step = rc == 0 ? plan_at_or_after(r, 0) : 0;
    return rc;
}

/* How many parts the statements can become at most: each step about a constraint may be one, and
 * another one before it. */
static size_t count_parts(const struct submission *s)
{
    size_t count = s->statement_count + COMPOUND_INDEXES_MAX + 1; /* made anew: indexes, rows */

    for (size_t i = 0; i < s->statement_count; i++) {
        const instar_statement *st = &s->statements[i];
        bool alters = st->kind == INSTAR_STATEMENT_ALTER_TABLE && st->steps != NULL &&
                      st->step_count <= ALTER_STEPS_MAX;
        for (size_t k = 0; alters && k < st->step_count; k++) {
            bool special = st->steps[k].kind == INSTAR_ALTER_ADD_UNIQUE ||
                           st->steps[k].kind == INSTAR_ALTER_DROP_CONSTRAINT ||
                           st->steps[k].kind == INSTAR_ALTER_ADD_PRIMARY_KEY ||
                           st->steps[k].kind == INSTAR_ALTER_DROP_PRIMARY_KEY ||
                           st->steps[k].kind == INSTAR_ALTER_ADD_FOREIGN_KEY;
            count += special ? 2 : 0;
        }
    }
    return count;
}

int draft_open(struct draft *d, struct submission *s, struct base_err *err)
{
    *d = (struct draft){.s = s};
    d->request = base_alloc_zero(count_parts(s), sizeof(*d->request));
    d->renames = base_alloc_zero(s->statement_count, sizeof(*d->renames));
    return d->request != NULL && d->renames != NULL
               ? 0
               : base_err_set(err, INSTAR_ENOMEM, "submitting a compound change: out of memory");
}

void draft_close(struct draft *d)
{
    catalog_table_free(d->from);
    catalog_table_free(d->target);
    kin_close(&d->kin);
    base_buf_free(&d->words);
    base_arena_free(&d->arena);
    base_free(d->request);
    base_free(d->renames);
}

/* One ALTER TABLE, of which parts are statements of their own. */
static int submit_alone(struct submission *s, struct base_err *err)
{
    struct draft d;
    int rc = draft_open(&d, s, err);

    for (; rc == 0 && d.at < s->statement_count; d.at++) {
        rc = draft_take_statement(&d, &s->statements[d.at], err);
    }
    rc = rc == 0 ? draft_complete(&d, err) : rc;
    if (rc == 0 && d.count > COMPOUND_STATEMENTS_MAX) {
        rc = base_err_set(err, INSTAR_ELIMIT, "%zu parts of one change, at most %d", d.count,
                          COMPOUND_STATEMENTS_MAX);
    }
    if (rc == 0) {
        rc = draft_check_names(&d, err);
    }
    if (rc == 0 && d.count > 0) {
        rc = draft_record(&d, err);
    }
    draft_close(&d);
    return rc;
}

int compound_submit(struct submission *s, struct base_err *err)
{
    return s->statement_count > 1 ? several_submit(s, err) : submit_alone(s, err);
}

int change_compound(struct changes *c, const instar_statement *statements, size_t count,
                    const instar_change_options *options, uint64_t *id_out, struct base_err *err)
{
    struct submission s = {
        .c = c, .options = options, .statements = statements, .statement_count = count};

    *id_out = 0;
    if (count == 0 || count > COMPOUND_STATEMENTS_MAX) {
        return base_err_set(err, count == 0 ? INSTAR_EINVALID : INSTAR_ELIMIT,
                            "%zu statements in one change, at least 1 and at most %d", count,
                            COMPOUND_STATEMENTS_MAX);
    }
    return submit_run(&s, compound_submit, id_out, err);
}
