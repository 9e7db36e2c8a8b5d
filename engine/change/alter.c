/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Submitting an alter table: the steps are done on a copy of the table as it stands, so that what
 * is impossible is refused before anything begins; the copy says what the plan needs, and which
 * names change.
 */
#include "change/compound_impl.h"
#include "change/rekey_impl.h"
#include "change/submit_impl.h"

#include <stdio.h>

/* Behind a change that has not ended there may be more to do, or less, than the table as it stands
 * lets know. What needs no validation now is given one then: the step itself sees what is left. */
static int foresee_validation(struct submission *s, const struct catalog_table *from,
                              struct base_err *err)
{
    uint64_t before = 0;
    int rc = 0;

    if (!s->rec.validates && alter_may_bind(s->steps, s->step_count)) {
        rc = record_at_work(s->t, from->id, &before, err);
    }
    s->rec.validates = s->rec.validates || before != 0;
    return rc;
}

/* Does the target need a validation, does it leave something to retire, and is it possible? */
static int plan_for_target(struct submission *s, const struct catalog_table *from,
                           struct catalog_table *target, struct base_err *err)
{
    struct catalog_table *enforced;
    int rc = catalog_table_copy(from, &enforced, err);

    if (rc != 0) {
        return rc;
    }
    rc = catalog_alter_enforce(enforced, target, &s->rec.validates, err);
    rc = rc == 0 ? foresee_validation(s, from, err) : rc;
    if (rc == 0 && s->rec.undo_window_s != 0) {
        rc = catalog_keep_dropped(enforced, target, ALTER_UNBORN, &s->rec.keeps, err);
    }
    if (rc == 0) {
        rc = catalog_alter_finish(enforced, target, err);
    }
    if (rc == 0) {
        s->rec.retires = catalog_alter_leaves(target);
    }
    catalog_table_free(enforced);
    return rc;
}

static int record_alter(struct submission *s, const struct kin *kin,
                        const struct catalog_table *from, struct catalog_table *target,
                        struct base_err *err)
{
    struct change_record *r = &s->rec;
    struct base_arena arena = {0};
    struct alter_name *names;
    size_t count;

    r->undo_window_s = submit_undo_window(s);

    r->table = from->id;
    int rc = kin_claim(kin, from, target, r, err);
    rc = rc == 0 ? plan_for_target(s, from, target, err) : rc;
    if (rc == 0) {
        rc = submit_fill(s, CHANGE_ALTER_TABLE, from->name, err);
    }
    if (rc != 0) {
        return rc;
    }
    snprintf(r->table_name, sizeof(r->table_name), "%s", from->name);
    alter_describe(from->name, s->steps, s->step_count, r->statement, sizeof(r->statement));
    rc = alter_names_find(from, target, &arena, &names, &count, err);
    if (rc == 0) {
        rc = alter_names_reserve(s->t, from->id, r->id, names, count, err);
    }
    if (rc == 0) {
        rc = alter_encode(s->steps, s->step_count, names, count, &r->descriptor, err);
    }
    if (rc == 0) {
        rc = alter_check_size(s->c->store, target, r->descriptor.size, NULL, err);
    }
    base_arena_free(&arena);
    return rc;
}

/* There is nothing to do as the table stands. Behind a change that has not ended it is queued all
 * the same: its turn shows what there is to do then. *target_out stays NULL: nothing at all. */
static int queue_behind(struct submission *s, const struct catalog_table *from,
                        struct catalog_table **target_out, struct base_err *err)
{
    uint64_t before;
    int rc = record_at_work(s->t, from->id, &before, err);

    return rc == 0 && before != 0 ? catalog_table_copy(from, target_out, err) : rc;
}

static int alter_opened(struct submission *s, struct catalog_table *from, struct base_err *err)
{
    struct catalog_table *target = NULL;
    struct kin kin;

    kin_begin(&kin, s);
    from->kin = &kin.face;
    int rc = alter_names_idle(s->t, from, s->steps, s->step_count, err);
    rc = rc == 0 ? alter_target(from, s->steps, s->step_count, &target, err) : rc;
    if (rc == 0 && target == NULL) {
        rc = queue_behind(s, from, &target, err);
    }
    if (rc == 0 && target != NULL) {
        rc = record_alter(s, &kin, from, target, err);
    }
    from->kin = NULL;
    catalog_table_free(target);
    kin_close(&kin);
    return rc;
}

/* With a UNIQUE among the steps. */
static int alter_as_compound(struct submission *s, struct base_err *err)
{
    const instar_statement statement = {.kind = INSTAR_STATEMENT_ALTER_TABLE,
                                        .flags = s->options->flags & INSTAR_CHANGE_IF_EXISTS,
                                        .name = s->name,
                                        .steps = s->steps,
                                        .step_count = s->step_count};

    s->statements = &statement;
    s->statement_count = 1;
    int rc = compound_submit(s, err);
    s->statements = NULL;
    s->statement_count = 0;
    return rc;
}

static int alter_table(struct submission *s, struct base_err *err)
{
    struct catalog_table *from = NULL;
    struct catalog_name name;
    bool found;
    int rc = submit_find_name(s, CATALOG_NAME_TABLE, &name, &found, err);

    if (rc != 0 || !found) {
        return rc;
    }
    rc = submit_open_table(s, s->name, &from, err);
    bool rekeys = rc == 0 && rekey_is_needed(from, s->steps, s->step_count) &&
                  rekey_is_alone(from, s->steps, s->step_count);
    bool several = false;
    if (rc == 0 && !rekeys) {
        rc = compound_is_needed(from, s->steps, s->step_count, &several, err);
    }
    if (rekeys) {
        rc = rekey_submit(s, from, err);
    } else if (rc == 0 && !several) {
        rc = alter_opened(s, from, err);
    }
    catalog_table_free(from);
    return several ? alter_as_compound(s, err) : rc;
}

int change_alter_table(struct changes *c, const char *table, const instar_alteration *steps,
                       size_t count, const instar_change_options *options, uint64_t *id_out,
                       struct base_err *err)
{
    struct submission s = {
        .c = c, .options = options, .name = table, .steps = steps, .step_count = count};

    *id_out = 0;
    if (count == 0 || count > ALTER_STEPS_MAX) {
        return base_err_set(err, count == 0 ? INSTAR_EINVALID : INSTAR_ELIMIT,
                            "alter table: %zu steps, at least 1 and at most %d", count,
                            ALTER_STEPS_MAX);
    }
    return submit_run(&s, alter_table, id_out, err);
}

/* ---- an index by its name alone ----------------------------------------------------------- */

static int alter_index(struct submission *s, struct base_err *err)
{
    struct catalog_table *table = NULL;
    struct catalog_name name;
    bool found;
    int rc = submit_find_name(s, CATALOG_NAME_INDEX, &name, &found, err);

    if (rc != 0 || !found) {
        return rc;
    }
    rc = submit_table_of_index(s, name.table, &table, err);
    if (rc == 0 && name.change != 0) {
        rc = alter_name_busy(s->t, s->name, name.change, err);
    }
    if (rc == 0) {
        rc = alter_opened(s, table, err);
    }
    catalog_table_free(table);
    return rc;
}

/* step: about that index. */
static int submit_index(struct changes *c, const instar_alteration *step,
                        const instar_change_options *options, uint64_t *id_out,
                        struct base_err *err)
{
    struct submission s = {
        .c = c, .options = options, .name = step->name, .steps = step, .step_count = 1};

    return submit_run(&s, alter_index, id_out, err);
}

int change_rename_index(struct changes *c, const char *index, const char *new_name,
                        const instar_change_options *options, uint64_t *id_out,
                        struct base_err *err)
{
    instar_alteration step = {
        .kind = INSTAR_ALTER_RENAME_INDEX, .name = index, .new_name = new_name};

    return submit_index(c, &step, options, id_out, err);
}

int change_comment_index(struct changes *c, const char *index, const char *comment,
                         const instar_change_options *options, uint64_t *id_out,
                         struct base_err *err)
{
    instar_alteration step = {
        .kind = INSTAR_ALTER_COMMENT_INDEX, .name = index, .comment = comment};

    return submit_index(c, &step, options, id_out, err);
}
