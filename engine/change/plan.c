/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each kind of change does, step by step. Every published version waits by I-9 in its own
 * publication: version v + 1 is committed only when no valid lease is left below v. The drain that
 * a cut, a validation or a purge stands on is proved in the critical section of its own record.
 *
 * create table
 *     absent -> [known to writers of what it refers to] -> public
 *
 * create index
 *     absent -> delete-only -> write-only -> (cut) build -> [enforcing -> drain -> validate] ->
 * public |              |            |                |
 *                   +-- absent <---+------------+----------------+      then purge
 *
 * drop index
 *     public -> write-only -> delete-only -> absent -> purge
 *       ^           |              (from delete-only on the entries are no longer complete)
 *       +-----------+
 *
 * alter table
 *     as it stands -> [enforcing -> drain -> validate] -> as it is wanted -> [retired]
 *          ^               |            |
 *          +---- relaxed --+------------+
 *
 * drop table, kept: as it stands -> gone, and its trees stay; a purge drops them when the window is
 * over.
 * undo     kept -> there again; of columns: kept -> [enforcing -> drain -> validate] -> there again
 * vacuum   drain -> rewrite -> without old layouts
 *
 * Going back, an index leaves by the stages through which it came, so that a writer of the version
 * before still meets what it expects. The last step of a way gives the verdict in its commit.
 */
#include "change/record.h"

#include <stdio.h>
#include <string.h>

#define ABSENT INSTAR_STAGE_ABSENT
#define DELETE_ONLY INSTAR_STAGE_DELETE_ONLY
#define WRITE_ONLY INSTAR_STAGE_WRITE_ONLY
#define PUBLIC INSTAR_STAGE_PUBLIC

/* The way back of a create index: where it begins. */
#define BACK_DELETE_ONLY 0
#define BACK_ABSENT 1
#define BACK_FINISH 3
/* And of a drop index. */
#define BACK_PUBLIC 0
#define BACK_UNTOUCHED 1
/* And of alter table. */
#define BACK_RELAX 0
#define BACK_UNALTERED 1

static const struct plan create_table = {
    1,
    {{.shown = "absent", .work = WORK_ADD_TABLE, .revert = 0}},
};
/* With foreign keys to other tables. */
static const struct plan create_waiting = {
    2,
    {{.shown = "absent", .work = WORK_ADD_TABLE, .revert = 0, .point = POINT_HIDDEN},
     {.shown = "hidden", .work = WORK_SHOW_TABLE, .revert = PLAN_NO_RETURN, .point = POINT_PUBLIC}},
};
static const struct plan drop_table = {
    2,
    {{.shown = "public", .work = WORK_REMOVE_TABLE, .revert = 0},
     {.shown = "purge", .work = WORK_PURGE, .revert = PLAN_NO_RETURN, .point = POINT_PURGED}},
};
static const struct plan drop_table_kept = {
    1,
    {{.shown = "public", .work = WORK_REMOVE_TABLE, .revert = 0}},
};
static const struct plan create_plain = {
    5,
    {{.shown = "absent",
      .work = WORK_ADD_INDEX,
      .stage = DELETE_ONLY,
      .revert = BACK_FINISH,
      .point = POINT_DELETE_ONLY},
     {.shown = "delete-only",
      .work = WORK_STAGE,
      .stage = WRITE_ONLY,
      .revert = BACK_ABSENT,
      .point = POINT_WRITE_ONLY},
     {.shown = "write-only", .work = WORK_CUT, .revert = BACK_DELETE_ONLY, .point = POINT_CUT},
     {.shown = "build",
      .work = WORK_BUILD,
      .applied = true,
      .revert = BACK_DELETE_ONLY,
      .point = POINT_FOLD_END},
     {.shown = "fold",
      .work = WORK_FINISH_INDEX,
      .stage = PUBLIC,
      .applied = true,
      .revert = BACK_DELETE_ONLY,
      .point = POINT_PUBLIC}},
};
static const struct plan create_unique = {
    8,
    {{.shown = "absent",
      .work = WORK_ADD_INDEX,
      .stage = DELETE_ONLY,
      .revert = BACK_FINISH,
      .point = POINT_DELETE_ONLY},
     {.shown = "delete-only",
      .work = WORK_STAGE,
      .stage = WRITE_ONLY,
      .revert = BACK_ABSENT,
      .point = POINT_WRITE_ONLY},
     {.shown = "write-only", .work = WORK_CUT, .revert = BACK_DELETE_ONLY, .point = POINT_CUT},
     {.shown = "build",
      .work = WORK_BUILD,
      .applied = true,
      .revert = BACK_DELETE_ONLY,
      .point = POINT_FOLD_END},
     {.shown = "fold",
      .work = WORK_STAGE,
      .stage = WRITE_ONLY,
      .enforcing = true,
      .applied = true,
      .revert = BACK_DELETE_ONLY,
      .point = POINT_WRITE_ONLY},
     {.shown = "enforcing", .work = WORK_DRAIN, .revert = BACK_DELETE_ONLY},
     {.shown = "validate",
      .work = WORK_VALIDATE,
      .revert = BACK_DELETE_ONLY,
      .point = POINT_VALIDATED},
     {.shown = "validated",
      .work = WORK_FINISH_INDEX,
      .stage = PUBLIC,
      .enforcing = true,
      .revert = BACK_DELETE_ONLY,
      .point = POINT_PUBLIC}},
};
static const struct plan drop_index = {
    4,
    {{.shown = "public",
      .work = WORK_STAGE,
      .stage = WRITE_ONLY,
      .revert = BACK_UNTOUCHED,
      .point = POINT_WRITE_ONLY},
     {.shown = "write-only",
      .work = WORK_STAGE,
      .stage = DELETE_ONLY,
      .revert = BACK_PUBLIC,
      .point = POINT_DELETE_ONLY},
     {.shown = "delete-only",
      .work = WORK_REMOVE_INDEX,
      .stage = ABSENT,
      .revert = PLAN_NO_RETURN,
      .point = POINT_ABSENT},
     {.shown = "purge", .work = WORK_PURGE, .revert = PLAN_NO_RETURN, .point = POINT_PURGED}},
};
static const struct plan drop_unique = {
    4,
    {{.shown = "public",
      .work = WORK_STAGE,
      .stage = WRITE_ONLY,
      .enforcing = true,
      .revert = BACK_UNTOUCHED,
      .point = POINT_WRITE_ONLY},
     {.shown = "write-only",
      .work = WORK_STAGE,
      .stage = DELETE_ONLY,
      .revert = BACK_PUBLIC,
      .point = POINT_DELETE_ONLY},
     {.shown = "delete-only",
      .work = WORK_REMOVE_INDEX,
      .stage = ABSENT,
      .revert = PLAN_NO_RETURN,
      .point = POINT_ABSENT},
     {.shown = "purge", .work = WORK_PURGE, .revert = PLAN_NO_RETURN, .point = POINT_PURGED}},
};

static const struct plan back_nothing = {
    1,
    {{.shown = "absent", .work = WORK_NOTHING, .revert = PLAN_NO_RETURN}},
};
static const struct plan back_create_index = {
    4,
    {{.shown = "write-only",
      .work = WORK_STAGE,
      .stage = DELETE_ONLY,
      .revert = PLAN_NO_RETURN,
      .point = POINT_DELETE_ONLY},
     {.shown = "delete-only",
      .work = WORK_REMOVE_INDEX,
      .stage = ABSENT,
      .revert = PLAN_NO_RETURN,
      .point = POINT_ABSENT},
     {.shown = "purge",
      .work = WORK_PURGE,
      .ends = true,
      .revert = PLAN_NO_RETURN,
      .point = POINT_PURGED},
     {.shown = "absent", .work = WORK_NOTHING, .revert = PLAN_NO_RETURN}},
};
static const struct plan back_drop_index = {
    2,
    {{.shown = "write-only",
      .work = WORK_FINISH_INDEX,
      .ends = true,
      .stage = PUBLIC,
      .revert = PLAN_NO_RETURN,
      .point = POINT_PUBLIC},
     {.shown = "public", .work = WORK_NOTHING, .revert = PLAN_NO_RETURN}},
};
static const struct plan back_drop_unique = {
    2,
    {{.shown = "write-only",
      .work = WORK_FINISH_INDEX,
      .ends = true,
      .stage = PUBLIC,
      .enforcing = true,
      .revert = PLAN_NO_RETURN,
      .point = POINT_PUBLIC},
     {.shown = "public", .work = WORK_NOTHING, .revert = PLAN_NO_RETURN}},
};

/* An alteration stands complete in one version; what is done before only makes sure that it may. */
#define ALTER(from, back)                                                             \
    {                                                                                 \
        .shown = (from), .work = WORK_ALTER, .revert = (back), .point = POINT_ALTERED \
    }
#define RETIRE                                                                                    \
    {                                                                                             \
        .shown = "altered", .work = WORK_RETIRE, .revert = PLAN_NO_RETURN, .point = POINT_RETIRED \
    }
#define VALIDATION                                                                              \
    {.shown = "unaltered",                                                                      \
     .work = WORK_ENFORCE,                                                                      \
     .revert = BACK_UNALTERED,                                                                  \
     .point = POINT_ENFORCING},                                                                 \
        {.shown = "enforcing", .work = WORK_DRAIN, .revert = BACK_RELAX},                       \
    {                                                                                           \
        .shown = "validate", .work = WORK_NULLS, .revert = BACK_RELAX, .point = POINT_VALIDATED \
    }

static const struct plan alter = {1, {ALTER("unaltered", BACK_UNALTERED)}};
static const struct plan alter_retire = {2, {ALTER("unaltered", BACK_UNALTERED), RETIRE}};
static const struct plan alter_validate = {4, {VALIDATION, ALTER("validated", BACK_RELAX)}};
static const struct plan alter_both = {5, {VALIDATION, ALTER("validated", BACK_RELAX), RETIRE}};
static const struct plan back_alter = {
    2,
    {{.shown = "enforcing", .work = WORK_RELAX, .revert = PLAN_NO_RETURN, .point = POINT_RELAXED},
     {.shown = "unaltered", .work = WORK_NOTHING, .revert = PLAN_NO_RETURN}},
};

/* What was dropped comes back, or goes. */
static const struct plan undo = {
    1,
    {{.shown = "kept", .work = WORK_RESTORE, .revert = BACK_UNALTERED, .point = POINT_RESTORED}},
};
static const struct plan undo_validate = {
    4,
    {{.shown = "kept", .work = WORK_RESTORE, .revert = BACK_UNALTERED, .point = POINT_RESTORED},
     {.shown = "enforcing", .work = WORK_DRAIN, .revert = BACK_RELAX},
     {.shown = "validate", .work = WORK_NULLS, .revert = BACK_RELAX, .point = POINT_VALIDATED},
     {.shown = "validated", .work = WORK_SETTLE, .revert = BACK_RELAX, .point = POINT_SETTLED}},
};
static const struct plan back_undo = {
    2,
    {{.shown = "enforcing",
      .work = WORK_KEEP_AGAIN,
      .revert = PLAN_NO_RETURN,
      .point = POINT_KEPT_AGAIN},
     {.shown = "kept", .work = WORK_NOTHING, .revert = PLAN_NO_RETURN}},
};
static const struct plan purge_table = {
    1,
    {{.shown = "purge", .work = WORK_PURGE, .revert = PLAN_NO_RETURN, .point = POINT_PURGED}},
};
static const struct plan purge_columns = {
    1,
    {{.shown = "purge", .work = WORK_FORGET, .revert = PLAN_NO_RETURN, .point = POINT_PURGED}},
};
static const struct plan vacuum = {
    3,
    {{.shown = "drain", .work = WORK_BEGIN_PASS, .revert = 0},
     {.shown = "rewrite", .work = WORK_REWRITE, .revert = 0, .point = POINT_REWRITTEN},
     {.shown = "rewritten", .work = WORK_PRUNE, .revert = 0, .point = POINT_PRUNED}},
};

/* [kind][variant][going back] */
static const struct plan *const plans[CHANGE_KIND_COUNT][4][2] = {
    [CHANGE_CREATE_TABLE] = {{&create_table, &back_nothing}, {&create_waiting, &back_nothing}},
    [CHANGE_DROP_TABLE] =
        {{&drop_table, &back_nothing}, [PLAN_KEEPS] = {&drop_table_kept, &back_nothing}},
    [CHANGE_UNDO] = {{&undo, &back_undo},
                     [PLAN_VALIDATES] = {&undo_validate, &back_undo},
                     [PLAN_TABLE] = {&undo, &back_undo},
                     [PLAN_TABLE | PLAN_VALIDATES] = {&undo, &back_undo}},
    [CHANGE_PURGE] =
        {{&purge_columns, &back_nothing}, [PLAN_TABLE] = {&purge_table, &back_nothing}},
    [CHANGE_VACUUM] = {{&vacuum, &back_nothing}},
    [CHANGE_CREATE_INDEX] = {{&create_plain, &back_create_index},
                             {&create_unique, &back_create_index}},
    [CHANGE_DROP_INDEX] = {{&drop_index, &back_drop_index}, {&drop_unique, &back_drop_unique}},
    [CHANGE_ALTER_TABLE] = {[0] = {&alter, &back_alter},
                            [PLAN_VALIDATES] = {&alter_validate, &back_alter},
                            [PLAN_RETIRES] = {&alter_retire, &back_alter},
                            [PLAN_VALIDATES | PLAN_RETIRES] = {&alter_both, &back_alter}},
};

const struct plan *plan_for(enum change_kind kind, unsigned variant, enum instar_change_state state)
{
    if (state != INSTAR_CHANGE_RUNNING && state != INSTAR_CHANGE_REVERTING) {
        return NULL;
    }
    base_assert(kind >= CHANGE_CREATE_TABLE && kind < (enum change_kind)CHANGE_KIND_COUNT);
    bool back = state == INSTAR_CHANGE_REVERTING;
    const struct plan *plan = kind == CHANGE_COMPOUND
                                  ? (back ? &plan_compound_back : &plan_compound)
                              : kind == CHANGE_REKEY   ? (back ? &plan_rekey_back : &plan_rekey)
                              : kind == CHANGE_SEVERAL ? (back ? &plan_several_back : &plan_several)
                                                       : plans[kind][variant][back];
    base_assert(plan != NULL);
    return plan;
}

static bool has_step(unsigned variant, const struct plan_step *s)
{
    return (s->needs & ~variant) == 0 && (s->unless & variant) == 0;
}

static unsigned variant_of(const struct change_record *r)
{
    if (r->kind == CHANGE_ALTER_TABLE) {
        return (r->validates ? PLAN_VALIDATES : 0) | (r->retires ? PLAN_RETIRES : 0);
    }
    if (r->kind == CHANGE_COMPOUND || r->kind == CHANGE_SEVERAL) {
        return (r->kind == CHANGE_SEVERAL && r->waits ? PLAN_HIDES : 0) |
               (r->validates ? PLAN_VALIDATES : 0) | (r->retires ? PLAN_RETIRES : 0) |
               (r->builds ? PLAN_BUILDS : 0) | (r->drops ? PLAN_DROPS : 0) |
               (r->foresees ? PLAN_FORESEES : 0) | (r->rekeys ? PLAN_WITNESS : 0) |
               (r->numbers ? PLAN_NUMBERS : 0) | (r->rekeys || r->numbers ? PLAN_REKEYS : 0);
    }
    if (r->kind == CHANGE_REKEY) {
        return r->builds ? PLAN_BUILDS : 0;
    }
    if (r->kind == CHANGE_DROP_TABLE) {
        return r->keeps ? PLAN_KEEPS : 0;
    }
    if (r->kind == CHANGE_UNDO || r->kind == CHANGE_PURGE) {
        return (r->kind == CHANGE_UNDO && r->validates ? PLAN_VALIDATES : 0) |
               (r->tree != 0 ? PLAN_TABLE : 0);
    }
    if (r->kind == CHANGE_CREATE_TABLE) {
        return r->waits;
    }
    return r->kind == CHANGE_VACUUM ? 0 : r->unique;
}

const struct plan *plan_of(const struct change_record *r)
{
    return plan_for(r->kind, variant_of(r), r->state);
}

const struct plan_step *plan_step(const struct change_record *r)
{
    const struct plan *plan = plan_of(r);

    base_assert(plan != NULL);
    base_assert(r->step < plan->count);
    return &plan->steps[r->step];
}

uint32_t plan_at_or_after(const struct change_record *r, uint32_t from)
{
    const struct plan *plan = plan_of(r);
    unsigned variant = variant_of(r);

    base_assert(plan != NULL);
    while (from < plan->count && !has_step(variant, &plan->steps[from])) {
        from++;
    }
    return from;
}

uint32_t plan_rank(const struct change_record *r, uint32_t *steps_out)
{
    const struct plan *plan = plan_of(r);
    uint32_t rank = 0;

    *steps_out = 0;
    for (uint32_t i = 0; i < plan->count; i++) {
        if (has_step(variant_of(r), &plan->steps[i])) {
            ++*steps_out;
            rank = i == r->step ? *steps_out : rank;
        }
    }
    return rank;
}

int plan_has_reached(const struct change_record *r, const char *stage)
{
    const struct plan *plan = plan_of(r);

    for (uint32_t i = 0; i < plan->count; i++) {
        if (has_step(variant_of(r), &plan->steps[i]) && strcmp(plan->steps[i].shown, stage) == 0) {
            return r->step >= i;
        }
    }
    return -1;
}

bool plan_may_revert(const struct change_record *r)
{
    return r->state == INSTAR_CHANGE_RUNNING && plan_step(r)->revert != PLAN_NO_RETURN;
}

bool plan_is_brink(const struct change_record *r)
{
    uint32_t next = plan_at_or_after(r, r->step + 1);

    return plan_may_revert(r) &&
           (plan_is_last(r) || plan_of(r)->steps[next].revert == PLAN_NO_RETURN);
}

const char *plan_kind_name(enum change_kind kind)
{
    static const char *const names[CHANGE_KIND_COUNT] = {
        [CHANGE_CREATE_TABLE] = "create table",
        [CHANGE_DROP_TABLE] = "drop table",
        [CHANGE_CREATE_INDEX] = "create index",
        [CHANGE_DROP_INDEX] = "drop index",
        [CHANGE_ALTER_TABLE] = "alter table",
        [CHANGE_COMPOUND] = "compound",
        [CHANGE_UNDO] = "undo",
        [CHANGE_PURGE] = "purge",
        [CHANGE_VACUUM] = "vacuum",
        [CHANGE_REKEY] = "alter primary key",
        [CHANGE_SEVERAL] = "several tables",
    };

    base_assert(kind >= CHANGE_CREATE_TABLE && kind < (enum change_kind)CHANGE_KIND_COUNT);
    return names[kind];
}

const char *plan_doing(const struct change_record *r)
{
    bool back = r->state == INSTAR_CHANGE_REVERTING;

    switch (r->kind) {
    case CHANGE_CREATE_TABLE:
    case CHANGE_CREATE_INDEX:
        return back || r->cancel ? "undone" : "created";
    case CHANGE_DROP_TABLE:
    case CHANGE_DROP_INDEX:
        return back || r->cancel ? "restored" : "dropped";
    case CHANGE_COMPOUND:
    case CHANGE_SEVERAL:
    case CHANGE_REKEY:
        return "changed";
    case CHANGE_UNDO:
        return back || r->cancel ? "dropped again" : "restored";
    case CHANGE_ALTER_TABLE:
    case CHANGE_PURGE:
    case CHANGE_VACUUM:
        break;
    }
    return "renamed";
}

const char *plan_stage_name(const struct change_record *r)
{
    switch (r->state) {
    case INSTAR_CHANGE_DONE:
        return "done";
    case INSTAR_CHANGE_FAILED:
        return "failed";
    case INSTAR_CHANGE_CANCELLED:
        return "cancelled";
    case INSTAR_CHANGE_RUNNING:
    case INSTAR_CHANGE_REVERTING:
        break;
    }
    if (r->state == INSTAR_CHANGE_RUNNING && r->owner.nonce == 0 &&
        r->step == plan_at_or_after(r, 0)) {
        return "queued";
    }
    return plan_step(r)->shown;
}

/* ---- in words ----------------------------------------------------------------------------- */

/* The steps of one index are told from their stage. */
static const char *const words[] = {
    [WORK_ADD_TABLE] = "publish the table, create its tree",
    [WORK_SHOW_TABLE] = "wait for older leases of its kin, publish its name",
    [WORK_REMOVE_TABLE] = "publish a version without the table",
    [WORK_CUT] = "wait for older leases, make the cut",
    [WORK_BUILD] = "scan, load, fold",
    [WORK_DRAIN] = "wait for older leases",
    [WORK_VALIDATE] = "look for duplicates",
    [WORK_PURGE] = "wait for older leases, drop the trees",
    [WORK_ENFORCE] = "publish what is new as enforced",
    [WORK_RELAX] = "publish that it is enforced no more",
    [WORK_NULLS] = "look for rows that break it",
    [WORK_ALTER] = "publish the altered table",
    [WORK_RETIRE] = "publish it without old names and hidden columns",
    [WORK_FORESEE] = "publish types that may lose values as on their way",
    [WORK_ADD_ALL] = "publish the new indexes delete-only",
    [WORK_RAISE_ALL] = "publish them write-only",
    [WORK_ENFORCE_ALL] = "publish what is new as enforced",
    [WORK_VALIDATE_ALL] = "look for duplicates and for rows that break it",
    [WORK_FLIP] = "publish all of it",
    [WORK_LOWER_ALL] = "publish what is dropped delete-only",
    [WORK_REMOVE_ALL] = "publish the table without what has gone",
    [WORK_WITHDRAW] = "publish what was new delete-only",
    [WORK_TAKE_OUT] = "publish the table without it",
    [WORK_KEY_ADD] = "publish a unique index on the new key delete-only",
    [WORK_IDS_ADD] = "publish the column of row ids",
    [WORK_FILL] = "give row ids to rows without one",
    [WORK_ROWS_ADD] = "publish rows and indexes by the new key delete-only",
    [WORK_KEY_RAISE] = "publish them write-only",
    [WORK_KEY_ENFORCE] = "publish what is new as enforced",
    [WORK_KEY_SWAP] = "publish the new primary key",
    [WORK_KEY_LOWER] = "publish what is to go delete-only",
    [WORK_KEY_REMOVE] = "publish the table without what has gone",
    [WORK_RESTORE] = "publish it as it was",
    [WORK_SETTLE] = "publish it as NOT NULL",
    [WORK_KEEP_AGAIN] = "publish the table without it",
    [WORK_FORGET] = "publish the table without it",
    [WORK_BEGIN_PASS] = "wait for older leases",
    [WORK_REWRITE] = "rewrite rows of older layouts",
    [WORK_PRUNE] = "publish the table without older layouts",
    [WORK_NOTHING] = "give the verdict",
};

static void work_text(const struct plan_step *s, char *text, size_t size)
{
    if (words[s->work] != NULL) {
        snprintf(text, size, "%s", words[s->work]);
    } else {
        snprintf(text, size, "publish %s%s", catalog_stage_name(s->stage),
                 s->enforcing ? ", enforcing" : "");
    }
}

bool plan_print(enum change_kind kind, unsigned variant, enum instar_change_state state,
                struct base_buf *out)
{
    const struct plan *plan = plan_for(kind, variant, state);
    const struct plan *back = plan_for(kind, variant, INSTAR_CHANGE_REVERTING);

    for (uint32_t i = 0; plan != NULL && i < plan->count; i++) {
        const struct plan_step *s = &plan->steps[i];
        char work[64];
        char line[160];
        const char *undo = s->revert == PLAN_NO_RETURN ? "" : back->steps[s->revert].shown;
        if (!has_step(variant, s)) {
            continue;
        }
        work_text(s, work, sizeof(work));
        int n = snprintf(line, sizeof(line), "%u %-12s %s%s%s%s\n", i, s->shown,
                         s->applied ? "wait for the applier, " : "", work,
                         *undo != 0 ? "; back by way of " : "", undo);
        if (!base_buf_add(out, line, (size_t)n)) {
            return false;
        }
    }
    return true;
}
