/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Submitting and cancelling. A submission is one serializable transaction: it looks up what it
 * names, decides by join.c's table, takes the ids, reserves the name and writes the record. So the
 * change has its id, and its claim on the name, before anything waits; and of two submissions that
 * meet, one is tried again and sees the other. Drops and cancels may write when the map is nearly
 * full: they are what makes room.
 */
#include "change/kin_impl.h"
#include "change/submit_impl.h"

#include <stdio.h>
#include <string.h>

#define NS_PER_MS 1000000u
#define GIVE_UP_NS (30000u * (uint64_t)NS_PER_MS)
#define BACKOFF_MAX_NS (50u * (uint64_t)NS_PER_MS)
#define RESERVE_AFTER 4

/* ---- the transaction ---------------------------------------------------------------------- */

static int attempt(struct submission *s, int (*fn)(struct submission *s, struct base_err *err),
                   unsigned flags, struct base_err *err)
{
    int rc = store_txn_begin(s->c->store, STORE_TXN_BACKGROUND | flags, &s->t, err);

    if (rc != 0) {
        return rc;
    }
    rc = catalog_view_get(s->c->env->catalog, s->t, &s->view, err);
    if (rc == 0) {
        rc = fn(s, err);
        catalog_view_release(s->c->env->catalog, s->view);
    }
    if (rc == 0 && s->ready && s->steered == 0) {
        struct history_cost cost = {.kind = s->rec.kind,
                                    .scans = s->rec.builds || s->rec.validates ||
                                             s->rec.kind == CHANGE_CREATE_INDEX ||
                                             s->rec.kind == CHANGE_VACUUM};
        rc = history_cost_of(s->c->store, s->t, s->rec.table, &cost, err);
        s->rec.estimated_ms = cost.ms;
    }
    if (rc == 0 && s->ready) {
        rc = record_put(s->t, &s->rec, err);
        s->id = s->rec.id;
    }
    if (rc != 0) {
        store_txn_abort(s->t);
        return rc;
    }
    /* Also without writes: then it says whether what was read still holds. */
    return store_txn_commit(s->t, NULL, NULL, err);
}

int submit_run(struct submission *s, int (*fn)(struct submission *s, struct base_err *err),
               uint64_t *id_out, struct base_err *err)
{
    uint64_t give_up = os_now_ns() + GIVE_UP_NS;
    uint64_t backoff_ns = NS_PER_MS / 4;
    unsigned losses = 0;
    int rc;

    *id_out = 0;
    for (;;) {
        record_free(&s->rec);
        s->rec = (struct change_record){.state = INSTAR_CHANGE_RUNNING};
        s->ready = false;
        s->id = 0;
        base_err_clear(err);
        rc = attempt(s, fn, s->room | (losses > RESERVE_AFTER ? STORE_TXN_RESERVED : 0u), err);
        if (base_error_class(rc) != INSTAR_CLASS_RETRY || os_now_ns() > give_up) {
            break;
        }
        losses++;
        os_sleep_ns(backoff_ns);
        backoff_ns = backoff_ns * 2 < BACKOFF_MAX_NS ? backoff_ns * 2 : BACKOFF_MAX_NS;
    }
    if (rc == 0) {
        *id_out = s->id;
        if (s->ready) {
            os_point("change.submitted");
            store_event_bump(s->c->store, STORE_EVENT_CHANGE);
            /* It may have cancelled others, which wait for leases. */
            store_event_bump(s->c->store, STORE_EVENT_LEASE);
        }
    }
    record_free(&s->rec);
    return rc;
}

/* ---- what all records have ---------------------------------------------------------------- */

int submit_fill(struct submission *s, enum change_kind kind, const char *object,
                struct base_err *err)
{
    struct change_record *r = &s->rec;
    const instar_change_options *o = s->options;

    r->kind = kind;
    r->submitted_us = os_realtime_us();
    r->asker = (struct change_asker){.node = store_node_self(s->c->store),
                                     .pid = (uint32_t)os_pid(),
                                     .uid = (uint32_t)os_user()};
    os_program(r->asker.program, sizeof(r->asker.program));
    r->flags = o->flags;
    r->fence_after_ms = o->fence_after_ms;
    r->workers = o->workers;
    r->rows_per_second_max = o->rows_per_second_max;
    r->bytes_per_second_max = o->bytes_per_second_max;
    r->latency_target_ms = o->latency_target_ms;
    r->sort_memory_bytes = o->sort_memory_bytes;
    snprintf(r->object, sizeof(r->object), "%s", object);
    s->ready = true;
    return catalog_next_id(s->t, CATALOG_COUNTER_CHANGE, &r->id, err);
}

uint64_t submit_undo_window(const struct submission *s)
{
    return s->options->undo_window_s != UINT64_MAX ? s->options->undo_window_s
                                                   : store_options(s->c->store)->undo_window_s;
}

/* The name belongs to this change from now on. */
static int reserve(struct submission *s, enum catalog_name_kind kind, uint32_t index,
                   struct base_err *err)
{
    struct catalog_name name = {
        .kind = kind, .table = s->rec.table, .index = index, .change = s->rec.id};

    return catalog_name_put(s->t, s->rec.object, &name, err);
}

int submit_open_table(struct submission *s, const char *name, struct catalog_table **copy_out,
                      struct base_err *err)
{
    const struct catalog_table *table;
    struct catalog_name found;
    int rc = catalog_name_get(s->t, name, &found, err);

    *copy_out = NULL;
    if (rc == 0 && found.kind == CATALOG_NAME_TABLE && found.change != 0) {
        struct change_record r = {0};
        rc = record_get(s->t, found.change, STORE_READ_NORMAL, &r, err);
        if (rc == 0) {
            rc = base_err_set(err, INSTAR_ESTATE, "table \"%s\" is being %s by change %llu", name,
                              plan_doing(&r), (unsigned long long)r.id);
        }
        record_free(&r);
        return rc;
    }
    if (rc != 0 && rc != INSTAR_ENOTFOUND) {
        return rc;
    }
    base_err_clear(err);
    rc = catalog_view_table(s->view, name, &table, err);
    return rc == 0 ? catalog_get_table(s->t, table->id, copy_out, err) : rc;
}

/* ---- create table ------------------------------------------------------------------------- */

void submit_table_statement(const struct catalog_table *t, char *text, size_t size)
{
    struct base_buf b = {0};

    base_buf_add(&b, "CREATE TABLE ", 13);
    base_buf_add(&b, t->name, strlen(t->name));
    for (uint32_t i = 0; i < catalog_visible_columns(t); i++) {
        const struct catalog_column *c = &t->columns[i];
        char room[CATALOG_TYPE_TEXT_MAX];
        const char *type = catalog_type_text(c->type, c->length_max, room);
        base_buf_add(&b, i == 0 ? " (" : ", ", 2);
        base_buf_add(&b, c->name, strlen(c->name));
        base_buf_add(&b, " ", 1);
        base_buf_add(&b, type, strlen(type));
        base_buf_add(&b, " NOT NULL", c->not_null ? 9 : 0);
    }
    for (uint32_t i = 0; i < t->index_count && t->indexes[i].constraint; i++) {
        base_buf_add(&b, i == 0 ? ", UNIQUE " : ", ", i == 0 ? 9 : 2);
        base_buf_add(&b, t->indexes[i].name, strlen(t->indexes[i].name));
    }
    for (uint32_t i = 0; i < t->fkey_count; i++) {
        base_buf_add(&b, i == 0 ? ", FOREIGN KEY " : ", ", i == 0 ? 14 : 2);
        base_buf_add(&b, t->fkeys[i].name, strlen(t->fkeys[i].name));
    }
    bool keyed = !catalog_keyed_by_row_id(t);
    for (uint32_t i = 0; keyed && i < t->key_count; i++) {
        const char *name = t->columns[t->key[i].column].name;
        base_buf_add(&b, i == 0 ? ", PRIMARY KEY (" : ", ", i == 0 ? 15 : 2);
        base_buf_add(&b, name, strlen(name));
        base_buf_add(&b, " DESC", t->key[i].descending ? 5 : 0);
    }
    base_buf_add(&b, "))", keyed ? 2 : 1);
    record_cut(base_buf_slice(&b), text, size);
    base_buf_free(&b);
}

/* Of the indexes that the table begins with. */
int submit_give_trees(struct submission *s, struct catalog_table *table, struct base_err *err)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < table->index_count; i++) {
        rc = catalog_next_id(s->t, CATALOG_COUNTER_TREE, &table->indexes[i].tree, err);
    }
    return rc;
}

/* Another name for one of the indexes that a new table begins with. */
static void number_name(const struct submission *s, const struct catalog_table *table, uint32_t at,
                        unsigned number, char name[INSTAR_NAME_BYTES_MAX + 1])
{
    struct catalog_fkey_path path;

    if (at < s->table_def->unique_count) {
        catalog_unique_name(table->name, &s->table_def->uniques[at], number, name);
    }
    for (uint32_t i = 0; at >= s->table_def->unique_count && i < table->fkey_count; i++) {
        bool has = catalog_fkey_path(table, &table->fkeys[i], &path);
        base_assert(has); /* the table was made with what it needs */
        if (path.index == &table->indexes[at]) {
            catalog_fkey_index_name(table, &table->fkeys[i], number, name);
            return;
        }
    }
}

/* The names of the constraints, which are those of indexes, and of what foreign keys need. One that
 * was given none gets another while its own is taken. */
int submit_reserve_uniques(struct submission *s, struct catalog_table *table, struct base_err *err)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < table->index_count; i++) {
        struct catalog_index *index = &table->indexes[i];
        bool named = i < s->table_def->unique_count && s->table_def->uniques[i].name != NULL;
        struct catalog_name found;
        unsigned number = 1;
        while ((rc = catalog_name_get(s->t, index->name, &found, err)) == 0) {
            if (named) {
                return base_err_set(err, INSTAR_EEXISTS, "there is %s named \"%s\" already",
                                    found.kind == CATALOG_NAME_TABLE ? "a table" : "an index",
                                    index->name);
            }
            do {
                number_name(s, table, i, number++, index->name);
            } while (catalog_table_index(table, index->name) != index ||
                     catalog_table_check(table, index->name) != NULL ||
                     catalog_table_fkey(table, index->name) != NULL);
        }
        if (rc == INSTAR_ENOTFOUND) {
            struct catalog_name name = {.kind = CATALOG_NAME_INDEX,
                                        .table = table->id,
                                        .index = index->id,
                                        .change = s->rec.id};
            base_err_clear(err);
            rc = catalog_name_put(s->t, index->name, &name, err);
        }
    }
    return rc;
}

static int record_table(struct submission *s, const struct kin *kin, struct catalog_table *table,
                        enum join join, uint64_t other, struct base_err *err)
{
    struct change_record *r = &s->rec;
    int rc = submit_fill(s, CHANGE_CREATE_TABLE, table->name, err);

    if (rc == 0) {
        rc = catalog_next_id(s->t, CATALOG_COUNTER_TABLE, &table->id, err);
    }
    if (rc == 0) {
        rc = catalog_next_id(s->t, CATALOG_COUNTER_TREE, &table->tree, err);
    }
    if (rc == 0) {
        r->table = table->id;
        r->tree = table->tree;
        r->after = join == JOIN_BEHIND ? other : 0;
        snprintf(r->table_name, sizeof(r->table_name), "%s", table->name);
        rc = kin_tie(kin, table, r, err);
    }
    if (rc == 0) {
        rc = submit_give_trees(s, table, err);
    }
    if (rc == 0 && join == JOIN_FREE) {
        rc = reserve(s, CATALOG_NAME_TABLE, 0, err);
        rc = rc == 0 ? submit_reserve_uniques(s, table, err) : rc;
    }
    if (rc == 0) {
        submit_table_statement(table, r->statement, sizeof(r->statement));
        rc = catalog_table_encode(table, &r->descriptor, err);
    }
    return rc;
}

static int create_table(struct submission *s, struct base_err *err)
{
    struct catalog_table *table;
    struct kin kin;
    enum join join;
    uint64_t other;
    int rc = catalog_table_from_def(s->table_def, &table, err);

    if (rc != 0) {
        return rc;
    }
    kin_begin(&kin, s);
    table->kin = &kin.face;
    rc = catalog_define_fkeys(table, s->table_def, err);
    if (rc == 0) {
        rc = join_table(s->t, table, s->options->flags, &join, &other, err);
    }
    if (rc == 0 && join == JOIN_ATTACH) {
        s->id = other;
    } else if (rc == 0 && join != JOIN_EXISTS) {
        rc = record_table(s, &kin, table, join, other, err);
    }
    kin_close(&kin);
    catalog_table_free(table);
    return rc;
}

int change_create_table(struct changes *c, const instar_table_def *def,
                        const instar_change_options *options, uint64_t *id_out,
                        struct base_err *err)
{
    struct submission s = {.c = c, .options = options, .table_def = def};

    return submit_run(&s, create_table, id_out, err);
}

/* ---- create index ------------------------------------------------------------------------- */

static int record_index(struct submission *s, struct catalog_table *table, enum join join,
                        uint64_t other, struct base_err *err)
{
    const instar_index_def *def = s->index_def;
    struct change_record *r = &s->rec;
    struct catalog_index *index;

    catalog_index_remove(table, def->name); /* one that is being dropped */
    int rc = catalog_index_from_def(table, def, &index, err);
    if (rc == 0) {
        rc = submit_fill(s, CHANGE_CREATE_INDEX, def->name, err);
    }
    if (rc == 0) {
        rc = catalog_next_id(s->t, CATALOG_COUNTER_TREE, &r->tree, err);
    }
    if (rc != 0) {
        return rc;
    }
    r->table = table->id;
    r->after = join == JOIN_BEHIND ? other : 0;
    snprintf(r->table_name, sizeof(r->table_name), "%s", table->name);
    catalog_index_describe(table, index, r->statement, sizeof(r->statement));
    rc = record_index_set(r, def, err);
    return rc == 0 && join == JOIN_FREE ? reserve(s, CATALOG_NAME_INDEX, 0, err) : rc;
}

static int create_index(struct submission *s, struct base_err *err)
{
    const instar_index_def *def = s->index_def;
    struct catalog_table *table = NULL;
    enum join join;
    uint64_t other;
    int rc = catalog_name_check("index", def->name, err);

    if (rc == 0) {
        rc = catalog_name_check("table", def->table, err);
    }
    if (rc == 0) {
        rc = submit_open_table(s, def->table, &table, err);
    }
    if (rc == 0) {
        rc = join_index(s->t, def, s->options->flags, &join, &other, err);
    }
    if (rc == 0 && join == JOIN_ATTACH) {
        s->id = other;
    } else if (rc == 0 && join != JOIN_EXISTS) {
        rc = record_index(s, table, join, other, err);
    }
    catalog_table_free(table);
    return rc;
}

int change_create_index(struct changes *c, const instar_index_def *def,
                        const instar_change_options *options, uint64_t *id_out,
                        struct base_err *err)
{
    struct submission s = {.c = c, .options = options, .index_def = def};

    return submit_run(&s, create_index, id_out, err);
}

/* ---- drops -------------------------------------------------------------------------------- */

/* Ask a change to stop, as far as it still can, because this one drops what it makes or alters. Not
 * a drop of an index; of two drops of a table the second one is not submitted. */
static int cancel_for(struct submission *s, uint64_t id, struct base_err *err)
{
    struct change_record r = {0};
    int rc = record_get(s->t, id, STORE_READ_NORMAL, &r, err);

    if (rc == 0 && r.kind != CHANGE_DROP_INDEX && plan_may_revert(&r) && !r.cancel) {
        r.cancel = true;
        r.cancelled_by = s->rec.id;
        rc = record_put(s->t, &r, err);
    }
    record_free(&r);
    return rc;
}

/* A change is at work on the name that is to be dropped. *attached_out: it is dropping it itself.
 */
static int drop_at_work(struct submission *s, uint64_t change, struct change_record *other,
                        bool *attached_out, struct base_err *err)
{
    int rc = record_get(s->t, change, STORE_READ_NORMAL, other, err);

    *attached_out = false;
    if (rc != 0 || other->kind == CHANGE_CREATE_TABLE || other->kind == CHANGE_CREATE_INDEX) {
        return rc;
    }
    bool drops = other->kind == CHANGE_DROP_TABLE || other->kind == CHANGE_DROP_INDEX;
    if (drops && other->state == INSTAR_CHANGE_RUNNING && !other->cancel &&
        (s->options->flags & INSTAR_CHANGE_IF_EXISTS) != 0) {
        *attached_out = true;
        s->id = change;
        return 0;
    }
    return base_err_set(err, INSTAR_ESTATE, "\"%s\" is being %s by change %llu", s->name,
                        plan_doing(other), (unsigned long long)change);
}

int submit_find_name(struct submission *s, enum catalog_name_kind kind, struct catalog_name *name,
                     bool *found_out, struct base_err *err)
{
    const struct catalog_table *table;
    const struct catalog_index *index;
    const char *what = kind == CATALOG_NAME_TABLE ? "table" : "index";

    *found_out = false;
    int rc = catalog_name_check(what, s->name, err);
    if (rc != 0) {
        return rc;
    }
    rc = catalog_name_get(s->t, s->name, name, err);
    if (rc == 0 && name->kind == kind) {
        *found_out = true;
        return 0;
    }
    if (rc == 0) {
        return base_err_set(err, INSTAR_EUNKNOWN, "\"%s\" is %s", s->name,
                            kind == CATALOG_NAME_TABLE ? "an index, not a table"
                                                       : "a table, not an index");
    }
    if (rc != INSTAR_ENOTFOUND) {
        return rc;
    }
    base_err_clear(err);
    if ((s->options->flags & INSTAR_CHANGE_IF_EXISTS) != 0) {
        return 0;
    }
    rc = kind == CATALOG_NAME_TABLE ? catalog_view_table(s->view, s->name, &table, err)
                                    : catalog_view_index(s->view, s->name, &table, &index, err);
    /* A view that still has it is older than what this transaction reads. */
    return rc != 0 ? rc
                   : base_err_set(err, INSTAR_ECONFLICT, "%s %s went away just now", what, s->name);
}

struct cancelling {
    struct submission *s;
    struct base_err *err;
};

static int cancel_marked(void *arg, const struct record_marker *marker)
{
    struct cancelling *c = arg;

    return marker->table == c->s->rec.table ? cancel_for(c->s, marker->id, c->err) : 0;
}

static int drop_table(struct submission *s, struct base_err *err)
{
    struct change_record other = {0};
    struct catalog_name name;
    bool found;
    bool attached = false;
    int rc = submit_find_name(s, CATALOG_NAME_TABLE, &name, &found, err);

    if (rc != 0 || !found) {
        return rc;
    }
    if (name.change != 0) {
        rc = drop_at_work(s, name.change, &other, &attached, err);
    }
    if (rc != 0 || attached) {
        record_free(&other);
        return rc;
    }
    s->rec.table = name.table;
    rc = kin_claim_drop(s->t, &s->rec, &other, err);
    record_free(&other);
    if (rc == 0) {
        rc = submit_fill(s, CHANGE_DROP_TABLE, s->name, err);
    }
    if (rc == 0) {
        struct cancelling cancelling = {s, err};
        snprintf(s->rec.table_name, sizeof(s->rec.table_name), "%s", s->name);
        snprintf(s->rec.statement, sizeof(s->rec.statement), "DROP TABLE %s", s->name);
        s->rec.undo_window_s = submit_undo_window(s);
        s->rec.keeps = s->rec.undo_window_s != 0;
        rc = record_markers(s->t, s->rec.id, STORE_READ_NORMAL, cancel_marked, &cancelling, err);
    }
    return rc == 0 ? reserve(s, CATALOG_NAME_TABLE, 0, err) : rc;
}

int change_drop_table(struct changes *c, const char *table, const instar_change_options *options,
                      uint64_t *id_out, struct base_err *err)
{
    struct submission s = {.c = c, .options = options, .name = table, .room = STORE_TXN_LAST_ROOM};

    return submit_run(&s, drop_table, id_out, err);
}

int submit_table_of_index(struct submission *s, uint64_t id, struct catalog_table **table_out,
                          struct base_err *err)
{
    struct catalog_table *copy = NULL;
    int rc = catalog_get_table(s->t, id, table_out, err);

    if (rc == 0) {
        rc = submit_open_table(s, (*table_out)->name, &copy, err);
        catalog_table_free(copy);
    }
    return rc;
}

int submit_check_drop(const struct catalog_table *table, const struct catalog_index *index,
                      struct base_err *err)
{
    return !index->constraint
               ? 0
               : base_err_set(err, INSTAR_ESTATE,
                              "index \"%s\" is that of constraint \"%s\" of table \"%s\": ALTER "
                              "TABLE … DROP CONSTRAINT drops it",
                              index->name, index->name, table->name);
}

static int drop_index(struct submission *s, struct base_err *err)
{
    struct change_record other = {0};
    struct catalog_table *table = NULL;
    struct catalog_name name;
    bool found;
    bool attached = false;
    int rc = submit_find_name(s, CATALOG_NAME_INDEX, &name, &found, err);

    if (rc != 0 || !found) {
        return rc;
    }
    rc = submit_table_of_index(s, name.table, &table, err);
    if (rc == 0 && name.change != 0) {
        rc = drop_at_work(s, name.change, &other, &attached, err);
    }
    if (rc == 0 && !attached) {
        rc = submit_fill(s, CHANGE_DROP_INDEX, s->name, err);
    }
    if (rc != 0 || attached) {
        goto done;
    }
    s->rec.table = name.table;
    snprintf(s->rec.table_name, sizeof(s->rec.table_name), "%s", table->name);
    snprintf(s->rec.statement, sizeof(s->rec.statement), "DROP INDEX %s", s->name);
    if (name.change != 0) {
        s->rec.tree = other.tree;
        s->rec.unique = other.unique;
        rc = cancel_for(s, name.change, err);
    } else {
        const struct catalog_index *index = catalog_table_index(table, s->name);
        if (index == NULL) {
            rc = base_err_set(err, INSTAR_ECORRUPT, "table %s has no index %s, which its name says",
                              table->name, s->name);
            goto done;
        }
        rc = submit_check_drop(table, index, err);
        rc = rc == 0 ? kin_check_drop_index(s->t, table, index->id, err) : rc;
        s->rec.tree = index->tree;
        s->rec.unique = index->unique;
        s->rec.index = index->id;
    }
    if (rc == 0) {
        rc = reserve(s, CATALOG_NAME_INDEX, name.index, err);
    }
done:
    catalog_table_free(table);
    record_free(&other);
    return rc;
}

int change_drop_index(struct changes *c, const char *index, const instar_change_options *options,
                      uint64_t *id_out, struct base_err *err)
{
    struct submission s = {.c = c, .options = options, .name = index, .room = STORE_TXN_LAST_ROOM};

    return submit_run(&s, drop_index, id_out, err);
}

/* ---- steer -------------------------------------------------------------------------------- */

static int steer(struct submission *s, struct base_err *err)
{
    const instar_change_steering *how = s->steering;
    struct change_record *r = &s->rec;
    int rc = record_get(s->t, s->steered, STORE_READ_NORMAL, r, err);

    if (rc != 0) {
        return rc;
    }
    bool hold = (how->set_flags & INSTAR_CHANGE_HOLD) != 0;
    if (record_ended(r) || r->state == INSTAR_CHANGE_REVERTING || r->cancel ||
        (hold && !plan_may_revert(r))) {
        return base_err_set(err, INSTAR_ESTATE, "change %llu %s, at stage %s",
                            (unsigned long long)r->id,
                            record_ended(r) ? "has ended"
                            : hold && r->state == INSTAR_CHANGE_RUNNING && !r->cancel
                                ? "is past the point where it could be held"
                                : "is being undone",
                            plan_stage_name(r));
    }
    const uint32_t policies = INSTAR_CHANGE_KEEP_WAITING | INSTAR_CHANGE_GIVE_UP;
    if ((how->set_flags & policies) != 0) {
        r->flags &= ~policies; /* the one takes the place of the other */
    }
    r->flags = (r->flags | how->set_flags) & ~how->clear_flags;
    r->workers = how->workers != UINT32_MAX ? how->workers : r->workers;
    r->fence_after_ms = how->fence_after_ms != UINT32_MAX ? how->fence_after_ms : r->fence_after_ms;
    r->rows_per_second_max =
        how->rows_per_second_max != UINT64_MAX ? how->rows_per_second_max : r->rows_per_second_max;
    r->bytes_per_second_max = how->bytes_per_second_max != UINT64_MAX ? how->bytes_per_second_max
                                                                      : r->bytes_per_second_max;
    r->latency_target_ms =
        how->latency_target_ms != UINT32_MAX ? how->latency_target_ms : r->latency_target_ms;
    s->ready = true;
    return 0;
}

int change_steer(struct changes *c, uint64_t id, const instar_change_steering *steering,
                 struct base_err *err)
{
    uint64_t same;
    struct submission s = {
        .c = c, .steered = id, .steering = steering, .room = STORE_TXN_LAST_ROOM};

    return submit_run(&s, steer, &same, err);
}

/* ---- cancel ------------------------------------------------------------------------------- */

static int cancel(struct submission *s, struct base_err *err)
{
    struct change_record *r = &s->rec;
    int rc = record_get(s->t, s->steered, STORE_READ_NORMAL, r, err);

    if (rc != 0) {
        return rc;
    }
    if (record_ended(r)) {
        return base_err_set(err, INSTAR_ESTATE, "change %llu has ended: %s",
                            (unsigned long long)r->id, plan_stage_name(r));
    }
    if (r->cancel) {
        return 0; /* asked already */
    }
    if (!plan_may_revert(r)) {
        return base_err_set(err, INSTAR_ESTATE, "change %llu %s, at stage %s",
                            (unsigned long long)r->id,
                            r->state == INSTAR_CHANGE_REVERTING ? "is being undone already"
                                                                : "is past the point of no return",
                            plan_stage_name(r));
    }
    r->cancel = true;
    snprintf(r->reason, sizeof(r->reason), "%s", s->words != NULL ? s->words : "");
    s->ready = true;
    return 0;
}

int change_cancel(struct changes *c, uint64_t id, const char *words, struct base_err *err)
{
    uint64_t same;
    struct submission s = {.c = c, .steered = id, .words = words, .room = STORE_TXN_LAST_ROOM};

    if (words != NULL && strlen(words) > CHANGE_CANCEL_WORDS_MAX) {
        return base_err_set(err, INSTAR_ELIMIT, "the reason has %zu bytes, the most is %d",
                            strlen(words), CHANGE_CANCEL_WORDS_MAX);
    }
    if (words != NULL && !base_utf8_valid(words, strlen(words))) {
        return base_err_set(err, INSTAR_EENCODING, "the reason is not valid UTF-8");
    }
    return submit_run(&s, cancel, &same, err);
}
