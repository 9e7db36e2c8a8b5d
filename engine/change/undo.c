/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The undo window: what DROP TABLE and DROP COLUMN leave behind when they were asked to, until
 * when, and who takes it.
 *
 *     drop, done ----- undo_until_us: kept ----+---- undo: there again, taken_by is its id
 *          ^                                   |
 *          +--- the undo failed: taken_by 0 ---+---- purge: gone, taken_by is its id
 *
 * A drop that is kept has ended: nobody waits for it, and nothing is queued behind it. What is kept
 * stands in its record (a table's descriptor, its trees being owned by nobody else) or in the
 * descriptor of its table (columns). Whoever takes it writes its own id into that record, in the
 * transaction of its submission; so there is one who takes it (UNDO-1), and it is a change as all
 * others: queued behind those of its table, adopted when its runner dies.
 *
 * Every runner looks for windows that are over; the first one to say so submits the purge. The
 * clock is the wall's: a store that was closed at the deadline purges when it is opened next.
 */
#include "change/undo_impl.h"

#include "change/submit_impl.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define US_PER_S 1000000

/* ---- which drop it is about --------------------------------------------------------------- */

static void when_text(int64_t us, char text[40])
{
    time_t seconds = (time_t)(us / US_PER_S);
    struct tm tm;

    if (gmtime_r(&seconds, &tm) == NULL || strftime(text, 40, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0) {
        snprintf(text, 40, "%lld", (long long)(us / US_PER_S));
    }
}

/* Is it kept? ESTATE says why not. */
static int check_kept(struct submission *s, const struct change_record *drop, struct base_err *err)
{
    unsigned long long id = drop->id;
    char when[40];

    if (!record_ended(drop)) {
        return base_err_set(err, INSTAR_ESTATE, "change %llu has not ended, at stage %s: %s", id,
                            plan_stage_name(drop),
                            plan_may_revert(drop) ? "cancel it" : "undo it when it has");
    }
    if (drop->undo_until_us == 0) {
        return base_err_set(err, INSTAR_ESTATE,
                            "change %llu (%s) keeps nothing to bring back: only dropped tables and "
                            "columns can be kept, for the undo window that was asked for",
                            id, plan_kind_name(drop->kind));
    }
    if (drop->taken_by == drop->id) {
        return base_err_set(err, INSTAR_ESTATE, "change %llu: its table has gone since", id);
    }
    if (drop->taken_by != 0) {
        struct change_record by = {0};
        int rc = record_get(s->t, drop->taken_by, STORE_READ_NORMAL, &by, err);
        if (rc == 0 || rc == INSTAR_EUNKNOWN) {
            rc = base_err_set(err, INSTAR_ESTATE, "change %llu %s by change %llu", id,
                              rc != 0                   ? "was undone or purged"
                              : by.kind == CHANGE_PURGE ? "was purged, its window being over,"
                              : !record_ended(&by)      ? "is being undone"
                                                        : "was undone",
                              (unsigned long long)drop->taken_by);
        }
        record_free(&by);
        return rc;
    }
    if (os_realtime_us() >= drop->undo_until_us) {
        when_text(drop->undo_until_us, when);
        return base_err_set(err, INSTAR_ESTATE, "change %llu: its undo window was over at %s", id,
                            when);
    }
    return 0;
}

/* From now on this change has what the drop has kept. */
static int take(struct submission *s, struct change_record *drop, struct base_err *err)
{
    drop->taken_by = s->rec.id;
    s->rec.takes = drop->id;
    s->rec.table = drop->table;
    snprintf(s->rec.table_name, sizeof(s->rec.table_name), "%s", drop->table_name);
    return record_put(s->t, drop, err);
}

/* ---- a table ------------------------------------------------------------------------------ */

static int put_name(struct submission *s, const struct catalog_table *table, const char *name,
                    uint32_t index, struct base_err *err)
{
    struct catalog_name value = {.kind = index != 0 ? CATALOG_NAME_INDEX : CATALOG_NAME_TABLE,
                                 .table = table->id,
                                 .index = index,
                                 .change = s->rec.id};

    return catalog_name_put(s->t, name, &value, err);
}

static int name_is_free(struct submission *s, const char *name, bool *free_out,
                        struct base_err *err)
{
    struct catalog_name found;
    int rc = catalog_name_get(s->t, name, &found, err);

    *free_out = rc == INSTAR_ENOTFOUND;
    if (*free_out) {
        base_err_clear(err);
    }
    return *free_out ? 0 : rc;
}

/* An index gets a number behind its name where that is taken, and `words` says so. */
static int name_index(struct submission *s, struct catalog_table *table,
                      struct catalog_index *index, struct base_buf *words, struct base_err *err)
{
    char name[INSTAR_NAME_BYTES_MAX + 1];
    unsigned number = 1;
    bool is_free;
    int rc = name_is_free(s, index->name, &is_free, err);

    if (rc != 0 || is_free) {
        return rc == 0 ? put_name(s, table, index->name, index->id, err) : rc;
    }
    do {
        char end[16];
        int size = snprintf(end, sizeof(end), "_%u", number++);
        size_t kept = strlen(index->name);
        size_t most = INSTAR_NAME_BYTES_MAX - (size_t)size;
        for (kept = kept < most ? kept : most; (index->name[kept] & 0xc0) == 0x80; kept--) {
        }
        snprintf(name, sizeof(name), "%.*s%s", (int)kept, index->name, end);
        bool own =
            catalog_table_index(table, name) != NULL || catalog_table_check(table, name) != NULL;
        rc = name_is_free(s, name, &is_free, err);
        is_free = is_free && !own && strcmp(name, table->name) != 0;
    } while (rc == 0 && !is_free);
    if (rc == 0) {
        base_buf_add(words, "; ", words->size != 0 ? 2 : 0);
        base_buf_add(words, "the name of index ", strlen("the name of index "));
        catalog_name_add(words, index->name);
        base_buf_add(words, " is taken, it is now ", strlen(" is taken, it is now "));
        catalog_name_add(words, name);
        memcpy(index->name, name, sizeof(name));
        rc = put_name(s, table, name, index->id, err);
    }
    return rc;
}

static int take_names(struct submission *s, struct catalog_table *table, struct base_buf *words,
                      struct base_err *err)
{
    bool is_free;
    int rc = name_is_free(s, table->name, &is_free, err);

    if (rc == 0 && !is_free) {
        return base_err_set(err, INSTAR_EEXISTS,
                            "the name \"%s\" is taken: undo with another name (RENAME TO)",
                            table->name);
    }
    if (rc == 0) {
        rc = put_name(s, table, table->name, 0, err);
    }
    for (uint32_t i = 0; rc == 0 && i < table->index_count; i++) {
        rc = name_index(s, table, &table->indexes[i], words, err);
    }
    return rc;
}

/* The tables to which they refer have changed meanwhile, or gone. */
static void leave_fkeys(struct catalog_table *table, struct base_buf *words)
{
    for (uint32_t i = 0; i < table->fkey_count; i++) {
        base_buf_add(words, "; ", words->size != 0 ? 2 : 0);
        base_buf_add(words, "foreign key ", strlen("foreign key "));
        catalog_name_add(words, table->fkeys[i].name);
        base_buf_add(words, " is not brought back: add it again",
                     strlen(" is not brought back: add it again"));
    }
    table->fkey_count = 0;
    table->referrer_count = 0; /* its own: no other's can be dropped */
}

static int undo_table(struct submission *s, struct change_record *drop, struct base_buf *words,
                      struct base_err *err)
{
    struct change_record *r = &s->rec;
    struct catalog_table *table = NULL;
    int rc = catalog_table_decode(base_buf_slice(&drop->descriptor), &table, err);

    if (rc == 0 && s->name != NULL) {
        snprintf(table->name, sizeof(table->name), "%s", s->name);
    }
    if (rc == 0) {
        rc = submit_fill(s, CHANGE_UNDO, table->name, err);
    }
    if (rc == 0) {
        rc = take_names(s, table, words, err);
    }
    if (rc == 0) {
        leave_fkeys(table, words);
        /* The drop counts as a version. */
        table->version = drop->version + 1;
        table->change = 0;
        r->tree = table->tree;
        r->version = table->version;
        rc = catalog_table_encode(table, &r->descriptor, err);
    }
    if (rc == 0) {
        rc = take(s, drop, err);
        snprintf(r->table_name, sizeof(r->table_name), "%s", table->name);
    }
    catalog_table_free(table);
    return rc;
}

/* ---- columns ------------------------------------------------------------------------------ */

/* The table of dropped columns. One that is dropped itself, and kept, must come back first. */
static int open_table(struct submission *s, const struct change_record *drop,
                      struct catalog_table **table_out, struct base_err *err)
{
    int rc = catalog_get_table(s->t, drop->table, table_out, err);

    if (rc == INSTAR_ENOTFOUND) {
        return base_err_set(err, INSTAR_ESTATE,
                            "change %llu dropped columns of table %s, which is dropped itself: "
                            "undo that first",
                            (unsigned long long)drop->id, drop->table_name);
    }
    return rc;
}

static int undo_columns(struct submission *s, struct change_record *drop, struct base_err *err)
{
    struct change_record *r = &s->rec;
    struct undo_columns columns = {.count = 0};
    struct catalog_table *table = NULL;
    bool binds = (s->options->flags & INSTAR_CHANGE_NULLABLE) == 0;
    int rc = open_table(s, drop, &table, err);

    if (rc == 0) {
        rc = undo_columns_find(table, drop->id, &columns, err);
    }
    if (rc == 0 && s->name != NULL && columns.count != 1) {
        rc = base_err_set(err, INSTAR_EINVALID,
                          "change %llu dropped %zu columns: another name can be given to one alone",
                          (unsigned long long)drop->id, columns.count);
    }
    for (uint32_t i = 0; rc == 0 && i < table->kept_count; i++) {
        const struct catalog_kept *kept = &table->kept[i];
        r->validates = r->validates || (binds && kept->change == drop->id && kept->column.not_null);
    }
    bool validates = r->validates;
    if (rc == 0) {
        snprintf(columns.new_name, sizeof(columns.new_name), "%s", s->name != NULL ? s->name : "");
        rc = undo_columns_encode(&columns, &r->descriptor, err);
    }
    if (rc == 0) {
        rc = submit_fill(s, CHANGE_UNDO, table->name, err);
        r->validates = validates;
    }
    if (rc == 0) { /* what it will be, so that a name that is taken is refused now */
        rc = catalog_restore_kept(table, drop->id, s->name, binds, err);
    }
    if (rc == 0) {
        rc = take(s, drop, err);
        snprintf(r->table_name, sizeof(r->table_name), "%s", table->name);
    }
    undo_columns_free(&columns);
    catalog_table_free(table);
    return rc;
}

/* ---- the change --------------------------------------------------------------------------- */

static void describe(struct submission *s, const struct change_record *drop)
{
    struct base_buf words = {0};
    char head[64];

    snprintf(head, sizeof(head), "UNDO CHANGE %llu", (unsigned long long)drop->id);
    base_buf_add(&words, head, strlen(head));
    if (s->name != NULL) {
        base_buf_add(&words, " RENAME TO ", strlen(" RENAME TO "));
        catalog_name_add(&words, s->name);
    }
    if ((s->options->flags & INSTAR_CHANGE_NULLABLE) != 0) {
        base_buf_add(&words, " DROP NOT NULL", strlen(" DROP NOT NULL"));
    }
    base_buf_add(&words, " (", 2);
    base_buf_add(&words, drop->statement, strlen(drop->statement));
    base_buf_add(&words, ")", 1);
    record_cut(base_buf_slice(&words), s->rec.statement, sizeof(s->rec.statement));
    base_buf_free(&words);
}

/* What people should know of it: what does not come back, and other names. */
static int tell_rest(struct submission *s, const struct change_record *drop,
                     const struct base_buf *names, struct base_err *err)
{
    struct base_buf lost = {0};
    struct base_buf words = {0};
    int rc = undo_tell_lost(drop, &lost, err);

    if (rc == 0 && lost.size != 0) {
        static const char head[] = "does not come back, to be made anew: ";
        base_buf_add(&words, head, sizeof(head) - 1);
        base_buf_add(&words, lost.data, lost.size);
    }
    if (rc == 0 && names->size != 0) {
        base_buf_add(&words, "; ", words.size != 0 ? 2 : 0);
        base_buf_add(&words, names->data, names->size);
    }
    record_cut(base_buf_slice(&words), s->rec.reason, sizeof(s->rec.reason));
    base_buf_free(&lost);
    base_buf_free(&words);
    return rc;
}

static int undo(struct submission *s, struct base_err *err)
{
    struct change_record drop = {0};
    struct base_buf names = {0};
    int rc = s->name != NULL ? catalog_name_check("new", s->name, err) : 0;

    if (rc == 0) {
        rc = record_get(s->t, s->takes, STORE_READ_NORMAL, &drop, err);
    }
    if (rc == 0) {
        rc = check_kept(s, &drop, err);
    }
    if (rc == 0) {
        rc = drop.kind == CHANGE_DROP_TABLE ? undo_table(s, &drop, &names, err)
                                            : undo_columns(s, &drop, err);
    }
    if (rc == 0) {
        describe(s, &drop);
        rc = tell_rest(s, &drop, &names, err);
    }
    base_buf_free(&names);
    record_free(&drop);
    return rc;
}

int change_undo(struct changes *c, uint64_t drop, const char *new_name,
                const instar_change_options *options, uint64_t *id_out, struct base_err *err)
{
    struct submission s = {.c = c, .options = options, .takes = drop, .name = new_name};

    return submit_run(&s, undo, id_out, err);
}

/* ---- the end of the window ---------------------------------------------------------------- */

struct looking {
    uint64_t table;
    bool found;
};

static int same_table(void *arg, const struct record_kept *kept)
{
    struct looking *l = arg;

    l->found = l->found || kept->table == l->table;
    return 0;
}

/* The columns' table is not there. Is it kept itself, or on its way back? Then they wait for what
 * becomes of it. */
static int without_table(struct submission *s, struct change_record *drop, struct base_err *err)
{
    struct looking l = {.table = drop->table};
    uint64_t at_work = 0;
    int rc;

    base_err_clear(err);
    drop->taken_by = drop->id;
    rc = record_put(s->t, drop, err); /* takes its own marker out of what is looked at */
    if (rc == 0) {
        rc = record_list_kept(s->t, STORE_READ_NORMAL, same_table, &l, err);
    }
    if (rc == 0) {
        rc = record_at_work(s->t, drop->table, &at_work, err);
    }
    if (rc == 0 && (l.found || at_work != 0)) {
        rc = base_err_set(err, INSTAR_ESTATE, "its table is kept too");
    }
    return rc;
}

static int purge(struct submission *s, struct base_err *err)
{
    struct change_record drop = {0};
    struct change_record *r = &s->rec;
    struct catalog_table *table = NULL;
    int rc = record_get(s->t, s->takes, STORE_READ_NORMAL, &drop, err);

    if (rc != 0 || !record_is_kept(&drop) || os_realtime_us() < drop.undo_until_us) {
        record_free(&drop);
        return rc; /* somebody was faster */
    }
    if (drop.kind != CHANGE_DROP_TABLE) {
        rc = catalog_get_table(s->t, drop.table, &table, err);
        if (rc == INSTAR_ENOTFOUND) {
            rc = without_table(s, &drop, err);
            record_free(&drop);
            return rc;
        }
    } else {
        rc = catalog_table_decode(base_buf_slice(&drop.descriptor), &table, err);
    }
    if (rc == 0) {
        rc = submit_fill(s, CHANGE_PURGE, drop.object, err);
    }
    if (rc == 0 && drop.kind == CHANGE_DROP_TABLE) {
        r->tree = table->tree;
        r->version = drop.version;
        rc = base_buf_add(&r->descriptor, drop.descriptor.data, drop.descriptor.size)
                 ? 0
                 : base_err_set(err, INSTAR_ENOMEM, "purging a table: out of memory");
    }
    if (rc == 0) {
        snprintf(r->statement, sizeof(r->statement), "PURGE CHANGE %llu",
                 (unsigned long long)drop.id);
        rc = take(s, &drop, err);
    }
    catalog_table_free(table);
    record_free(&drop);
    return rc;
}

int undo_submit_purge(struct changes *c, uint64_t drop, struct base_err *err)
{
    instar_change_options options = {.fence_after_ms = CHANGE_FENCE_AFTER_MS};
    struct submission s = {.c = c, .options = &options, .takes = drop, .room = STORE_TXN_LAST_ROOM};
    uint64_t id;
    int rc = submit_run(&s, purge, &id, err);

    return rc == INSTAR_ESTATE ? 0 : rc;
}

static int note_due(void *arg, const struct record_kept *kept)
{
    struct undo_due *due = arg;

    if (kept->until_us > due->now_us) {
        due->next_us = kept->until_us < due->next_us ? kept->until_us : due->next_us;
    } else if (due->count < UNDO_DUE_MAX) {
        due->ids[due->count++] = kept->id;
    }
    return 0;
}

int undo_find_due(struct store_txn *t, struct undo_due *due_out, struct base_err *err)
{
    *due_out = (struct undo_due){.now_us = os_realtime_us(), .next_us = INT64_MAX};
    return record_list_kept(t, STORE_READ_UNTRACKED, note_due, due_out, err);
}

/* ---- looking ------------------------------------------------------------------------------ */

struct kept_list {
    struct store_txn *t;
    int (*fn)(void *arg, const struct catalog_table *table);
    void *arg;
    struct base_err *err;
};

static int list_one(void *arg, const struct record_kept *kept)
{
    struct kept_list *l = arg;
    struct change_record drop = {0};
    struct catalog_table *table = NULL;
    int rc = record_get(l->t, kept->id, STORE_READ_UNTRACKED, &drop, l->err);

    if (rc == 0 && drop.kind == CHANGE_DROP_TABLE) {
        rc = catalog_table_decode(base_buf_slice(&drop.descriptor), &table, l->err);
        if (rc == 0) {
            table->fkey_count = table->referrer_count = 0; /* these went with the drop */
            rc = l->fn(l->arg, table);
        }
    }
    catalog_table_free(table);
    record_free(&drop);
    return rc;
}

int change_list_kept(struct store_txn *t, int (*fn)(void *arg, const struct catalog_table *table),
                     void *arg, struct base_err *err)
{
    struct kept_list l = {t, fn, arg, err};

    return record_list_kept(t, STORE_READ_UNTRACKED, list_one, &l, err);
}
