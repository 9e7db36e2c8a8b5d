/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The changes that have ended: how long their records are kept, and what they tell about how long
 * the next one will take.
 */
#include "change/compound_impl.h"
#include "change/holders_impl.h"
#include "change/rekey_impl.h"
#include "change/runner_impl.h"

#define US_PER_S 1000000
#define PRUNE_BATCH 256 /* records in one transaction */
#define LOOK_AT 256     /* of the latest changes, whatever they are, */
#define LEARN_FROM 16   /* so many of the kind */

/* ---- what the next one will take ----------------------------------------------------------- */

struct lesson {
    const struct history_cost *like;
    uint32_t seen;
    uint32_t count;
    uint64_t us;
    uint64_t rows;
};

/* From its submission on: what it waited for is a part of what people wait for. */
static int learn(void *arg, const struct change_record *r)
{
    struct lesson *l = arg;
    bool scanned = r->rows != 0;

    if (r->kind == l->like->kind && r->state == INSTAR_CHANGE_DONE && scanned == l->like->scans &&
        r->finished_us >= r->submitted_us) {
        l->count++;
        l->us += (uint64_t)(r->finished_us - r->submitted_us);
        l->rows += r->rows;
    }
    return ++l->seen == LOOK_AT || l->count == LEARN_FROM ? INSTAR_END : 0;
}

/* Rows and bytes of a table, or of none. */
static int size_of(struct store *s, struct store_txn *t, uint64_t table, struct history_cost *cost,
                   struct base_err *err)
{
    struct store_tree_stat stat = {.entries = 0};
    struct catalog_table *found = NULL;
    int rc = table != 0 ? catalog_get_table(t, table, &found, err) : 0;

    /* One that is being made or dropped has no descriptor. */
    if (rc == INSTAR_ENOTFOUND) {
        base_err_clear(err);
        rc = 0;
    } else if (rc == 0 && found != NULL) {
        rc = store_tree_guess(s, found->tree, &stat, err);
    }
    catalog_table_free(found);
    cost->rows = stat.entries;
    cost->bytes = stat.bytes;
    return rc;
}

/* How long one of its kind takes for so many rows. */
static int time_of(struct store_txn *t, struct history_cost *cost, struct base_err *err)
{
    struct lesson l = {.like = cost};
    int rc = record_list(t, true, learn, &l, err);

    cost->learnt_from = l.count;
    cost->ms = UINT64_MAX;
    if (l.count != 0) {
        double us = (double)l.us / l.count;
        if (l.rows != 0) {
            /* A small one takes as long as its steps do, a large one as long as its rows. */
            double by_rows = (double)l.us / (double)l.rows * (double)cost->rows;
            us = cost->rows * l.count > l.rows ? by_rows : us;
        }
        cost->ms = (uint64_t)(us / 1000) + 1;
    }
    return rc;
}

int history_cost_of(struct store *s, struct store_txn *t, uint64_t table, struct history_cost *cost,
                    struct base_err *err)
{
    int rc = size_of(s, t, table, cost, err);

    return rc == 0 ? time_of(t, cost, err) : rc;
}

/* ---- forgetting --------------------------------------------------------------------------- */

struct old {
    int64_t before_us;
    uint64_t ids[PRUNE_BATCH];
    size_t count;
};

static int note_old(void *arg, const struct change_record *r)
{
    struct old *o = arg;

    if (r->submitted_us >= o->before_us) {
        return INSTAR_END; /* neither this one nor those behind it ended before that */
    }
    if (record_ended(r) && r->finished_us < o->before_us && !record_is_kept(r)) {
        o->ids[o->count++] = r->id;
    }
    return o->count == PRUNE_BATCH ? INSTAR_END : 0;
}

/* Read without a mark: whoever forgets the same ones, or none, is in nobody's way. */
static int prune_some(struct store *s, struct old *o, struct base_err *err)
{
    struct store_txn *t;
    int rc = store_txn_begin(s, STORE_TXN_LAST_ROOM, &t, err);

    o->count = 0;
    if (rc != 0) {
        return rc;
    }
    rc = record_list(t, false, note_old, o, err);
    for (size_t i = 0; rc == 0 && i < o->count; i++) {
        rc = record_remove(t, o->ids[i], err);
    }
    if (rc != 0 || o->count == 0) {
        store_txn_abort(t);
        return rc;
    }
    return store_txn_commit(t, NULL, NULL, err);
}

int history_prune(struct changes *c, struct base_err *err)
{
    int64_t kept_us = (int64_t)store_options(c->store)->history_s * US_PER_S;
    struct old o = {.before_us = os_realtime_us() - kept_us};
    int rc;

    do {
        rc = prune_some(c->store, &o, err);
    } while (rc == 0 && o.count == PRUNE_BATCH && !atomic_load(&c->stop));
    return rc;
}

/* ---- what a request would cost ------------------------------------------------------------ */

/* About what one column takes in a key: those of no fixed size as much as the average of a row
 * leaves. */
static uint64_t key_bytes(const struct catalog_table *table, const struct history_cost *cost,
                          int column)
{
    uint64_t average = cost->rows == 0 ? 0 : cost->bytes / cost->rows / table->column_count;

    switch (column < 0 ? INSTAR_NULL : table->columns[column].type) {
    case INSTAR_BOOL:
        return 2;
    case INSTAR_TEXT:
    case INSTAR_BYTEA:
        return average + 3;
    case INSTAR_UUID:
        return 17;
    default:
        return 9;
    }
}

/* What an entry has besides its key: its value, and what a page keeps of it. */
#define ENTRY_OVERHEAD 28

static void add_index(const struct catalog_table *table, const instar_index_def *def,
                      const struct history_cost *cost, uint64_t memory, instar_estimate *out)
{
    uint64_t entry = ENTRY_OVERHEAD;

    for (size_t i = 0; i < def->column_count; i++) {
        const char *name = def->columns[i].name; /* of an expression: as a number */
        entry += key_bytes(table, cost, name != NULL ? catalog_table_column(table, name) : -1);
    }
    for (uint32_t i = 0; i < table->key_count; i++) {
        entry += key_bytes(table, cost, (int)table->key[i].column);
    }
    out->final_bytes += cost->rows * entry;
    if (cost->rows * entry > memory) {
        out->temporary_bytes += cost->rows * entry;
    }
}

/* Then it is submitted as several: an index comes with it. */
static bool adds_unique(const instar_statement *s)
{
    bool any = false;

    for (size_t i = 0; s->kind == INSTAR_STATEMENT_ALTER_TABLE && i < s->step_count; i++) {
        any = any || s->steps[i].kind == INSTAR_ALTER_ADD_UNIQUE;
    }
    return any;
}

/* For foreign keys: tables as the view has them. */
static int find_parent(void *arg, const char *name, const struct catalog_table **table_out,
                       struct base_err *err)
{
    return catalog_view_table(arg, name, table_out, err);
}

static void describe_nobody(void *arg, const struct catalog_referrer *referrer, char *text,
                            size_t size)
{
    (void)arg;
    (void)referrer;
    (void)text;
    (void)size;
}

/* Must rows that are there obey what it asks for? What is not possible asks for nothing. */
static int binds_rows(const struct catalog_view *view, const struct catalog_table *table,
                      const instar_statement *s, bool *binds_out, struct base_err *err)
{
    const struct catalog_kin kin = {
        .find = find_parent, .describe = describe_nobody, .arg = (void *)(uintptr_t)view};
    struct catalog_table *from = NULL;
    struct catalog_table *target = NULL;
    struct catalog_table *enforced = NULL;
    int rc = catalog_table_copy(table, &from, err);

    *binds_out = false;
    if (rc == 0) {
        from->kin = &kin;
        rc = alter_target(from, s->steps, s->step_count, &target, err);
    }
    if (rc == 0 && target != NULL) {
        rc = catalog_table_copy(table, &enforced, err);
        rc = rc == 0 ? catalog_alter_enforce(enforced, target, binds_out, err) : rc;
    }
    catalog_table_free(from);
    catalog_table_free(target);
    catalog_table_free(enforced);
    if (rc != 0 && rc != INSTAR_ENOMEM) {
        base_err_clear(err);
        rc = 0;
    }
    return rc;
}

/* The columns of an index that a step's foreign key lacks, and that comes with it. */
static bool needs_index(const struct catalog_table *table, const instar_statement *s, size_t step,
                        instar_key_column columns[INSTAR_INDEX_COLUMNS_MAX], size_t *count_out)
{
    const instar_fkey_def *def = s->steps[step].fkey;
    struct catalog_fkey fkey;

    if (s->steps[step].kind != INSTAR_ALTER_ADD_FOREIGN_KEY ||
        !catalog_fkey_needs_index(table, def, &fkey)) {
        return false;
    }
    *count_out = def->column_count;
    for (size_t i = 0; i < def->column_count; i++) {
        columns[i] = (instar_key_column){.name = def->columns[i]};
    }
    return true;
}

/* Those of all of its steps; how many there are. */
static size_t add_needed(const struct catalog_table *table, const instar_statement *s,
                         const struct history_cost *cost, uint64_t memory, instar_estimate *out)
{
    instar_key_column columns[INSTAR_INDEX_COLUMNS_MAX];
    instar_index_def def = {.columns = columns};
    size_t count = 0;

    for (size_t i = 0; s->kind == INSTAR_STATEMENT_ALTER_TABLE && i < s->step_count; i++) {
        if (needs_index(table, s, i, columns, &def.column_count)) {
            count++;
            add_index(table, &def, cost, memory, out);
        }
    }
    return count;
}

/* The table that the statement names, itself or by its index; NULL: one that is to be made. */
static int find_table(const struct catalog_view *view, const instar_statement *s,
                      const struct catalog_table **table_out, struct base_err *err)
{
    const struct catalog_index *index;

    *table_out = NULL;
    switch (s->kind) {
    case INSTAR_STATEMENT_CREATE_TABLE:
        return 0;
    case INSTAR_STATEMENT_CREATE_INDEX:
        return catalog_view_table(view, s->index->table, table_out, err);
    case INSTAR_STATEMENT_DROP_TABLE:
    case INSTAR_STATEMENT_ALTER_TABLE:
    case INSTAR_STATEMENT_VACUUM:
        return catalog_view_table(view, s->name, table_out, err);
    default:
        return catalog_view_index(view, s->name, table_out, &index, err);
    }
}

/* Indexes that are made anew. What they take, each as if it were of one number. */
static void add_anew(const struct catalog_table *table, const struct history_cost *cost,
                     size_t count, size_t unique, instar_estimate *out)
{
    uint64_t entry = ENTRY_OVERHEAD + key_bytes(table, cost, -1);

    for (uint32_t i = 0; i < table->key_count; i++) {
        entry += key_bytes(table, cost, (int)table->key[i].column);
    }
    out->remade += (uint32_t)count;
    out->remade_unique += (uint32_t)unique;
    out->final_bytes += count * cost->rows * entry;
}

/* By name: does it make or drop tables, or concern more than one? */
static bool is_several(const instar_statement *statements, size_t count)
{
    const char *first = NULL;

    for (size_t i = 0; i < count && count > 1; i++) {
        const instar_statement *s = &statements[i];
        const char *name = s->kind == INSTAR_STATEMENT_ALTER_TABLE    ? s->name
                           : s->kind == INSTAR_STATEMENT_CREATE_INDEX ? s->index->table
                                                                      : NULL;
        if (s->kind == INSTAR_STATEMENT_CREATE_TABLE || s->kind == INSTAR_STATEMENT_DROP_TABLE ||
            (first != NULL && name != NULL && strcmp(first, name) != 0)) {
            return true;
        }
        first = first != NULL ? first : name;
    }
    return false;
}

/* rekeys: what the first one does to that table. */
static enum change_kind kind_of(const struct catalog_table *table, bool rekeys,
                                const instar_statement *statements, size_t count)
{
    static const enum change_kind kinds[] = {[INSTAR_STATEMENT_CREATE_TABLE] = CHANGE_CREATE_TABLE,
                                             [INSTAR_STATEMENT_DROP_TABLE] = CHANGE_DROP_TABLE,
                                             [INSTAR_STATEMENT_CREATE_INDEX] = CHANGE_CREATE_INDEX,
                                             [INSTAR_STATEMENT_DROP_INDEX] = CHANGE_DROP_INDEX,
                                             [INSTAR_STATEMENT_ALTER_TABLE] = CHANGE_ALTER_TABLE,
                                             [INSTAR_STATEMENT_RENAME_INDEX] = CHANGE_ALTER_TABLE,
                                             [INSTAR_STATEMENT_COMMENT_INDEX] = CHANGE_ALTER_TABLE,
                                             [INSTAR_STATEMENT_VACUUM] = CHANGE_VACUUM};

    return is_several(statements, count)          ? CHANGE_SEVERAL
           : count > 1 || adds_unique(statements) ? CHANGE_COMPOUND
           : !rekeys                              ? kinds[statements->kind]
           : rekey_is_needed(table, statements->steps, statements->step_count) &&
                   rekey_is_alone(table, statements->steps, statements->step_count)
               ? CHANGE_REKEY
               : CHANGE_COMPOUND;
}

struct wish {
    const instar_statement *statements;
    size_t count;
    uint64_t memory; /* for sorting */
};

/* One of the statements. */
struct concern {
    const instar_statement *statement;
    const struct catalog_table *table; /* that it is about; NULL: one that is to be made */
    struct history_cost size;          /* of that */
    struct compound_anew anew;         /* by it, in that */
    bool reads;
    bool rekeyed; /* its table gets another primary key */
};

static int reads_rows(const struct catalog_view *view, struct concern *c, struct base_err *err)
{
    const instar_statement *s = c->statement;

    c->reads = s->kind == INSTAR_STATEMENT_CREATE_INDEX || adds_unique(s) || c->anew.rekeys ||
               (s->kind == INSTAR_STATEMENT_VACUUM && catalog_has_old_layouts(c->table));
    return c->reads || c->table == NULL || s->kind != INSTAR_STATEMENT_ALTER_TABLE
               ? 0
               : binds_rows(view, c->table, s, &c->reads, err);
}

/* Does it read rows, and what does it make? *comes: indexes come that it does not name. */
static int look_at(const struct catalog_view *view, struct concern *c, uint64_t memory,
                   instar_estimate *out, bool *comes, struct base_err *err)
{
    int rc = reads_rows(view, c, err);

    if (rc != 0 || c->table == NULL) {
        return rc;
    }
    size_t count = add_needed(c->table, c->statement, &c->size, memory, out);
    if (!c->rekeyed) {
        add_anew(c->table, &c->size, c->anew.indexes, c->anew.unique_indexes, out);
        count += c->anew.indexes;
    }
    if (c->statement->kind == INSTAR_STATEMENT_CREATE_INDEX) {
        add_index(c->table, c->statement->index, &c->size, memory, out);
    }
    c->reads = c->reads || count > 0;
    *comes = *comes || count > 0;
    return 0;
}

/* Its table, as far as that is there: how large it is, and what is made anew. */
static int look_at_table(struct store *s, struct store_txn *t, struct concern *c,
                         struct base_err *err)
{
    const instar_statement *st = c->statement;
    int rc = size_of(s, t, c->table != NULL ? c->table->id : 0, &c->size, err);

    return rc == 0 && c->table != NULL && st->kind == INSTAR_STATEMENT_ALTER_TABLE
               ? compound_look(c->table, st->steps, st->step_count, &c->anew, err)
               : rc;
}

/* Each with its own table. Of one table alone an earlier one may have given it another name. */
static int find_tables(const struct catalog_view *view, const struct wish *w, struct concern *list,
                       struct base_err *err)
{
    int rc = find_table(view, &w->statements[0], &list[0].table, err);
    bool several = is_several(w->statements, w->count);

    for (size_t i = 0; rc == 0 && i < w->count; i++) {
        list[i].statement = &w->statements[i];
        if (i > 0 && find_table(view, &w->statements[i], &list[i].table, NULL) != 0 && !several) {
            list[i].table = list[0].table;
        }
    }
    return rc;
}

/* Tables that get another primary key: all indexes that the statements leave are made anew. One
 * that stands alone is a change of a kind of its own, and says so itself. */
static void add_rekeyed(struct concern *list, size_t count, bool alone, instar_estimate *out)
{
    for (size_t i = 0; i < count; i++) {
        const struct catalog_table *table = list[i].table;
        size_t anew = 0, unique = 0;
        if (list[i].rekeyed || !list[i].anew.rekeys) {
            continue;
        }
        for (size_t k = 0; k < count; k++) {
            list[k].rekeyed = list[k].rekeyed || list[k].table == table;
        }
        for (uint32_t n = 0; !alone && n < table->index_count; n++) {
            bool dropped = false;
            for (size_t k = 0; k < count; k++) {
                dropped = dropped || (list[k].statement->kind == INSTAR_STATEMENT_DROP_INDEX &&
                                      strcmp(list[k].statement->name, table->indexes[n].name) == 0);
            }
            anew += !dropped;
            unique += !dropped && table->indexes[n].unique;
        }
        add_anew(table, &list[i].size, anew, unique, out);
    }
}

/* Rows that are read, of each table once. */
static void sum_up(const struct concern *list, size_t count, struct history_cost *cost)
{
    for (size_t i = 0; i < count; i++) {
        bool counted = !list[i].reads || list[i].table == NULL;
        for (size_t k = 0; k < i; k++) {
            counted = counted || (list[k].reads && list[k].table == list[i].table);
        }
        cost->scans = cost->scans || list[i].reads;
        cost->rows += counted ? 0 : list[i].size.rows;
        cost->bytes += counted ? 0 : list[i].size.bytes;
    }
}

static int estimate(struct store *s, struct store_txn *t, const struct catalog_view *view,
                    const struct wish *w, instar_estimate *out, struct base_err *err)
{
    struct concern *list = base_alloc_zero(w->count, sizeof(*list));
    struct history_cost cost = {.rows = 0};
    bool comes = false;
    int rc = list != NULL ? find_tables(view, w, list, err)
                          : base_err_set(err, INSTAR_ENOMEM, "estimating a change: out of memory");

    for (size_t i = 0; rc == 0 && i < w->count; i++) {
        rc = look_at_table(s, t, &list[i], err);
    }
    if (rc == 0) {
        cost.kind = kind_of(list[0].table, list[0].anew.rekeys, w->statements, w->count);
        add_rekeyed(list, w->count, cost.kind == CHANGE_REKEY, out);
    }
    for (size_t i = 0; rc == 0 && i < w->count; i++) {
        rc = look_at(view, &list[i], w->memory, out, &comes, err);
    }
    if (rc == 0) {
        cost.kind = comes && cost.kind != CHANGE_SEVERAL ? CHANGE_COMPOUND : cost.kind;
        sum_up(list, w->count, &cost);
        out->rows = cost.rows;
        out->bytes = cost.bytes;
        rc = time_of(t, &cost, err);
        out->duration_ms = cost.ms;
        out->learnt_from = cost.learnt_from;
    }
    base_free(list);
    return rc;
}

/* Table by table, in the order of the statements. */
static int find_holders(struct txn_env *env, const struct catalog_view *view, const struct wish *w,
                        instar_estimate *out, struct base_err *err)
{
    instar_statement *own = base_alloc_zero(w->count, sizeof(*own));
    const struct catalog_table **tables = base_alloc_zero(w->count, sizeof(const void *));
    int rc = own != NULL && tables != NULL ? 0 : base_err_set(err, INSTAR_ENOMEM, "no memory");

    for (size_t i = 0; rc == 0 && i < w->count; i++) {
        (void)find_table(view, &w->statements[i], &tables[i], NULL); /* it may be new: nobody's */
    }
    for (size_t i = 0; rc == 0 && i < w->count; i++) {
        const struct catalog_table *table = tables[i];
        size_t count = 0;
        for (size_t k = i; table != NULL && k < w->count; k++) {
            if (tables[k] == table) {
                own[count++] = w->statements[k];
                tables[k] = NULL;
            }
        }
        rc = holders_find(env, table, own, count, out, err);
    }
    base_free(own);
    base_free(tables);
    return rc;
}

int change_estimate(struct changes *c, const instar_statement *statements, size_t count,
                    const instar_change_options *options, instar_estimate *out,
                    struct base_err *err)
{
    const struct catalog_view *view;
    struct store_txn *t;
    struct wish w = {statements, count, options->sort_memory_bytes};
    int rc = store_txn_begin(c->store, STORE_TXN_READONLY | STORE_TXN_BACKGROUND, &t, err);

    if (rc != 0) {
        return rc;
    }
    w.memory = w.memory != 0 ? w.memory : store_options(c->store)->sort_memory_bytes;
    out->undo_window_s = options->undo_window_s != UINT64_MAX
                             ? options->undo_window_s
                             : store_options(c->store)->undo_window_s;
    rc = catalog_view_get(c->env->catalog, t, &view, err);
    if (rc == 0) {
        rc = estimate(c->store, t, view, &w, out, err);
        rc = rc == 0 ? find_holders(c->env, view, &w, out, err) : rc;
        catalog_view_release(c->env->catalog, view);
    }
    store_txn_abort(t);
    return rc;
}
