/* SPDX-License-Identifier: Apache-2.0 */
/* The plans of all kinds of changes: which steps each has, and where each turns back to. */
#include "support/test.h"

#include <string.h>

#include "change/record.h"

static void expect_plan(enum change_kind kind, unsigned variant, enum instar_change_state state,
                        const char *wanted)
{
    struct base_buf text = {0};

    expect(plan_print(kind, variant, state, &text));
    expect(base_buf_add(&text, "", 1));
    cr_assert_str_eq((const char *)text.data, wanted);
    base_buf_free(&text);
}

/* The plans in words: whoever changes one sees here what it means. */
Test(change_plan, create_index)
{
    expect_plan(CHANGE_CREATE_INDEX, false, INSTAR_CHANGE_RUNNING,
                "0 absent       publish delete-only; back by way of absent\n"
                "1 delete-only  publish write-only; back by way of delete-only\n"
                "2 write-only   wait for older leases, make the cut; back by way of write-only\n"
                "3 build        wait for the applier, scan, load, fold; back by way of write-only\n"
                "4 fold         wait for the applier, publish public; back by way of write-only\n");
    expect_plan(CHANGE_CREATE_INDEX, true, INSTAR_CHANGE_RUNNING,
                "0 absent       publish delete-only; back by way of absent\n"
                "1 delete-only  publish write-only; back by way of delete-only\n"
                "2 write-only   wait for older leases, make the cut; back by way of write-only\n"
                "3 build        wait for the applier, scan, load, fold; back by way of write-only\n"
                "4 fold         wait for the applier, publish write-only, enforcing; back by way "
                "of write-only\n"
                "5 enforcing    wait for older leases; back by way of write-only\n"
                "6 validate     look for duplicates; back by way of write-only\n"
                "7 validated    publish public, enforcing; back by way of write-only\n");
    expect_plan(CHANGE_CREATE_INDEX, true, INSTAR_CHANGE_REVERTING,
                "0 write-only   publish delete-only\n"
                "1 delete-only  publish absent\n"
                "2 purge        wait for older leases, drop the trees\n"
                "3 absent       give the verdict\n");
}

Test(change_plan, drop_index)
{
    expect_plan(CHANGE_DROP_INDEX, false, INSTAR_CHANGE_RUNNING,
                "0 public       publish write-only; back by way of public\n"
                "1 write-only   publish delete-only; back by way of write-only\n"
                "2 delete-only  publish absent\n"
                "3 purge        wait for older leases, drop the trees\n");
    expect_plan(CHANGE_DROP_INDEX, true, INSTAR_CHANGE_RUNNING,
                "0 public       publish write-only, enforcing; back by way of public\n"
                "1 write-only   publish delete-only; back by way of write-only\n"
                "2 delete-only  publish absent\n"
                "3 purge        wait for older leases, drop the trees\n");
    expect_plan(CHANGE_DROP_INDEX, true, INSTAR_CHANGE_REVERTING,
                "0 write-only   publish public, enforcing\n"
                "1 public       give the verdict\n");
}

Test(change_plan, tables)
{
    expect_plan(CHANGE_CREATE_TABLE, false, INSTAR_CHANGE_RUNNING,
                "0 absent       publish the table, create its tree; back by way of absent\n");
    expect_plan(CHANGE_CREATE_TABLE, true, INSTAR_CHANGE_RUNNING,
                "0 absent       publish the table, create its tree; back by way of absent\n"
                "1 hidden       wait for older leases of its kin, publish its name\n");
    expect_plan(CHANGE_DROP_TABLE, false, INSTAR_CHANGE_RUNNING,
                "0 public       publish a version without the table; back by way of absent\n"
                "1 purge        wait for older leases, drop the trees\n");
}

Test(change_plan, undo_and_vacuum)
{
    expect_plan(CHANGE_DROP_TABLE, PLAN_KEEPS, INSTAR_CHANGE_RUNNING,
                "0 public       publish a version without the table; back by way of absent\n");
    expect_plan(CHANGE_UNDO, PLAN_TABLE, INSTAR_CHANGE_RUNNING,
                "0 kept         publish it as it was; back by way of kept\n");
    expect_plan(CHANGE_UNDO, PLAN_VALIDATES, INSTAR_CHANGE_RUNNING,
                "0 kept         publish it as it was; back by way of kept\n"
                "1 enforcing    wait for older leases; back by way of enforcing\n"
                "2 validate     look for rows that break it; back by way of enforcing\n"
                "3 validated    publish it as NOT NULL; back by way of enforcing\n");
    expect_plan(CHANGE_UNDO, 0, INSTAR_CHANGE_REVERTING,
                "0 enforcing    publish the table without it\n"
                "1 kept         give the verdict\n");
    expect_plan(CHANGE_PURGE, PLAN_TABLE, INSTAR_CHANGE_RUNNING,
                "0 purge        wait for older leases, drop the trees\n");
    expect_plan(CHANGE_PURGE, 0, INSTAR_CHANGE_RUNNING,
                "0 purge        publish the table without it\n");
    expect_plan(CHANGE_VACUUM, 0, INSTAR_CHANGE_RUNNING,
                "0 drain        wait for older leases; back by way of absent\n"
                "1 rewrite      rewrite rows of older layouts; back by way of absent\n"
                "2 rewritten    publish the table without older layouts; back by way of absent\n");
}

Test(change_plan, alter_table)
{
    const enum change_kind alter = CHANGE_ALTER_TABLE;

    expect_plan(alter, 0, INSTAR_CHANGE_RUNNING,
                "0 unaltered    publish the altered table; back by way of unaltered\n");
    expect_plan(alter, PLAN_RETIRES, INSTAR_CHANGE_RUNNING,
                "0 unaltered    publish the altered table; back by way of unaltered\n"
                "1 altered      publish it without old names and hidden columns\n");
    expect_plan(alter, PLAN_VALIDATES, INSTAR_CHANGE_RUNNING,
                "0 unaltered    publish what is new as enforced; back by way of unaltered\n"
                "1 enforcing    wait for older leases; back by way of enforcing\n"
                "2 validate     look for rows that break it; back by way of enforcing\n"
                "3 validated    publish the altered table; back by way of enforcing\n");
    expect_plan(alter, PLAN_VALIDATES | PLAN_RETIRES, INSTAR_CHANGE_RUNNING,
                "0 unaltered    publish what is new as enforced; back by way of unaltered\n"
                "1 enforcing    wait for older leases; back by way of enforcing\n"
                "2 validate     look for rows that break it; back by way of enforcing\n"
                "3 validated    publish the altered table; back by way of enforcing\n"
                "4 altered      publish it without old names and hidden columns\n");
    expect_plan(alter, 0, INSTAR_CHANGE_REVERTING,
                "0 enforcing    publish that it is enforced no more\n"
                "1 unaltered    give the verdict\n");
}

Test(change_plan, compound)
{
    const enum change_kind compound = CHANGE_COMPOUND;

    expect_plan(
        compound, PLAN_BUILDS, INSTAR_CHANGE_RUNNING,
        "16 absent       publish the new indexes delete-only; back by way of unchanged\n"
        "17 delete-only  publish them write-only; back by way of delete-only\n"
        "19 write-only   wait for older leases, make the cut; back by way of write-only\n"
        "20 build        wait for the applier, scan, load, fold; back by way of write-only\n"
        "26 fold         wait for the applier, publish all of it; back by way of "
        "write-only\n");
    expect_plan(
        compound, PLAN_BUILDS | PLAN_VALIDATES | PLAN_DROPS | PLAN_RETIRES, INSTAR_CHANGE_RUNNING,
        "16 absent       publish the new indexes delete-only; back by way of unchanged\n"
        "17 delete-only  publish them write-only; back by way of delete-only\n"
        "19 write-only   wait for older leases, make the cut; back by way of write-only\n"
        "20 build        wait for the applier, scan, load, fold; back by way of write-only\n"
        "21 fold         wait for the applier, publish what is new as enforced; back by way "
        "of write-only\n"
        "23 enforcing    wait for older leases; back by way of write-only\n"
        "24 validate     look for duplicates and for rows that break it; back by way of "
        "write-only\n"
        "25 validated    publish all of it; back by way of write-only\n"
        "28 public       publish what is dropped delete-only\n"
        "29 delete-only  publish the table without what has gone\n"
        "31 purge        wait for older leases, drop the trees\n");
    expect_plan(compound, PLAN_VALIDATES | PLAN_RETIRES, INSTAR_CHANGE_RUNNING,
                "22 unaltered    publish what is new as enforced; back by way of unchanged\n"
                "23 enforcing    wait for older leases; back by way of write-only\n"
                "24 validate     look for duplicates and for rows that break it; back by way of "
                "write-only\n"
                "25 validated    publish all of it; back by way of write-only\n"
                "30 altered      publish it without old names and hidden columns\n");
    expect_plan(compound, PLAN_DROPS, INSTAR_CHANGE_RUNNING,
                "27 unaltered    publish all of it; back by way of unchanged\n"
                "28 public       publish what is dropped delete-only\n"
                "29 delete-only  publish the table without what has gone\n"
                "31 purge        wait for older leases, drop the trees\n");
    expect_plan(compound, PLAN_BUILDS | PLAN_RETIRES, INSTAR_CHANGE_REVERTING,
                "0 write-only   publish what was new delete-only\n"
                "1 delete-only  publish the table without it\n"
                "2 hidden       publish it without old names and hidden columns\n"
                "3 purge        wait for older leases, drop the trees\n"
                "4 unchanged    give the verdict\n");
}

/* With another primary key, for which there is a witness; and with row ids. */
Test(change_plan, compound_that_rekeys)
{
    expect_plan(
        CHANGE_COMPOUND, PLAN_BUILDS | PLAN_DROPS | PLAN_REKEYS | PLAN_WITNESS,
        INSTAR_CHANGE_RUNNING,
        "4 unaltered    publish a unique index on the new key delete-only; back by way of "
        "unchanged\n"
        "5 key delete-only publish them write-only; back by way of write-only\n"
        "6 key write-only wait for older leases, make the cut; back by way of write-only\n"
        "7 key build    wait for the applier, scan, load, fold; back by way of write-only\n"
        "10 key fold     wait for the applier, publish what is new as enforced; back by way of "
        "write-only\n"
        "12 key enforcing wait for older leases; back by way of write-only\n"
        "13 key validate look for duplicates and for rows that break it; back by way of "
        "write-only\n"
        "14 key validated publish the new indexes delete-only; back by way of write-only\n"
        "18 delete-only  publish them write-only; back by way of write-only\n"
        "19 write-only   wait for older leases, make the cut; back by way of write-only\n"
        "20 build        wait for the applier, scan, load, fold; back by way of write-only\n"
        "26 fold         wait for the applier, publish all of it; back by way of write-only\n"
        "28 public       publish what is dropped delete-only\n"
        "29 delete-only  publish the table without what has gone\n"
        "31 purge        wait for older leases, drop the trees\n");
}

Test(change_plan, compound_that_numbers)
{
    expect_plan(
        CHANGE_COMPOUND, PLAN_BUILDS | PLAN_DROPS | PLAN_REKEYS | PLAN_NUMBERS,
        INSTAR_CHANGE_RUNNING,
        "4 unaltered    publish a unique index on the new key delete-only; back by way of "
        "unchanged\n"
        "8 row ids      wait for older leases; back by way of write-only\n"
        "9 numbering    give row ids to rows without one; back by way of write-only\n"
        "11 numbered     publish what is new as enforced; back by way of write-only\n"
        "12 key enforcing wait for older leases; back by way of write-only\n"
        "13 key validate look for duplicates and for rows that break it; back by way of "
        "write-only\n"
        "14 key validated publish the new indexes delete-only; back by way of write-only\n"
        "18 delete-only  publish them write-only; back by way of write-only\n"
        "19 write-only   wait for older leases, make the cut; back by way of write-only\n"
        "20 build        wait for the applier, scan, load, fold; back by way of write-only\n"
        "26 fold         wait for the applier, publish all of it; back by way of write-only\n"
        "28 public       publish what is dropped delete-only\n"
        "29 delete-only  publish the table without what has gone\n"
        "31 purge        wait for older leases, drop the trees\n");
}

Test(change_plan, compound_that_foresees)
{
    expect_plan(
        CHANGE_COMPOUND, PLAN_BUILDS | PLAN_DROPS | PLAN_FORESEES, INSTAR_CHANGE_RUNNING,
        "0 unaltered    publish types that may lose values as on their way; back by way of "
        "unchanged\n"
        "1 foreseen     wait for older leases; back by way of write-only\n"
        "2 cast         look for duplicates and for rows that break it; back by way of "
        "write-only\n"
        "15 absent       publish the new indexes delete-only; back by way of write-only\n"
        "17 delete-only  publish them write-only; back by way of delete-only\n"
        "19 write-only   wait for older leases, make the cut; back by way of write-only\n"
        "20 build        wait for the applier, scan, load, fold; back by way of write-only\n"
        "26 fold         wait for the applier, publish all of it; back by way of "
        "write-only\n"
        "28 public       publish what is dropped delete-only\n"
        "29 delete-only  publish the table without what has gone\n"
        "31 purge        wait for older leases, drop the trees\n");
    expect_plan(
        CHANGE_SEVERAL, PLAN_BUILDS | PLAN_DROPS | PLAN_FORESEES, INSTAR_CHANGE_RUNNING,
        "0 unaltered    publish types that may lose values as on their way; back by way of "
        "unchanged\n"
        "1 foreseen     wait for older leases; back by way of write-only\n"
        "2 cast         look for duplicates and for rows that break it; back by way of "
        "write-only\n"
        "15 absent       publish the new indexes delete-only; back by way of write-only\n"
        "18 delete-only  publish them write-only; back by way of delete-only\n"
        "20 write-only   wait for older leases, make the cut; back by way of write-only\n"
        "21 build        wait for the applier, scan, load, fold; back by way of write-only\n"
        "28 fold         wait for the applier, publish all of it; back by way of "
        "write-only\n"
        "31 public       publish what is dropped delete-only\n"
        "32 delete-only  publish the table without what has gone\n"
        "34 purge        wait for older leases, drop the trees\n");
}

Test(change_plan, several)
{
    const enum change_kind several = CHANGE_SEVERAL;

    expect_plan(several, 0, INSTAR_CHANGE_RUNNING,
                "30 unaltered    publish all of it; back by way of unchanged\n");
    expect_plan(several, PLAN_HIDES, INSTAR_CHANGE_RUNNING,
                "17 absent       publish the new indexes delete-only; back by way of unchanged\n"
                "29 hidden       publish all of it; back by way of hidden\n");
    expect_plan(several, PLAN_HIDES | PLAN_VALIDATES | PLAN_RETIRES, INSTAR_CHANGE_RUNNING,
                "17 absent       publish the new indexes delete-only; back by way of unchanged\n"
                "23 hidden       publish what is new as enforced; back by way of hidden\n"
                "25 enforcing    wait for older leases; back by way of write-only\n"
                "26 validate     look for duplicates and for rows that break it; back by way of "
                "write-only\n"
                "27 validated    publish all of it; back by way of write-only\n"
                "33 altered      publish it without old names and hidden columns\n");
    expect_plan(
        several, PLAN_HIDES | PLAN_BUILDS | PLAN_VALIDATES | PLAN_DROPS, INSTAR_CHANGE_RUNNING,
        "16 absent       publish the new indexes delete-only; back by way of unchanged\n"
        "18 delete-only  publish them write-only; back by way of delete-only\n"
        "20 write-only   wait for older leases, make the cut; back by way of write-only\n"
        "21 build        wait for the applier, scan, load, fold; back by way of write-only\n"
        "22 fold         wait for the applier, publish what is new as enforced; back by way of "
        "write-only\n"
        "25 enforcing    wait for older leases; back by way of write-only\n"
        "26 validate     look for duplicates and for rows that break it; back by way of "
        "write-only\n"
        "27 validated    publish all of it; back by way of write-only\n"
        "31 public       publish what is dropped delete-only\n"
        "32 delete-only  publish the table without what has gone\n"
        "34 purge        wait for older leases, drop the trees\n");
    expect_plan(several, PLAN_HIDES, INSTAR_CHANGE_REVERTING,
                "0 write-only   publish what was new delete-only\n"
                "2 hidden       publish the table without it\n"
                "5 purge        wait for older leases, drop the trees\n"
                "6 unchanged    give the verdict\n");
}

Test(change_plan, rekey)
{
    const enum change_kind rekey = CHANGE_REKEY;
#define BACK "; back by way of write-only\n"
#define THE_SAME                                                                 \
    "9 enforcing    wait for older leases" BACK                                  \
    "10 validate     look for duplicates and for rows that break it" BACK        \
    "11 validated    publish rows and indexes by the new key delete-only" BACK   \
    "12 rows delete-only publish them write-only" BACK                           \
    "13 rows write-only wait for older leases, make the cut" BACK                \
    "14 rows build   wait for the applier, scan, load, fold" BACK                \
    "15 rows fold    wait for the applier, publish what is new as enforced" BACK \
    "16 complete     publish the new primary key" BACK                           \
    "17 swapped      publish what is to go delete-only\n"                        \
    "18 lowered      publish the table without what has gone\n"                  \
    "19 purge        wait for older leases, drop the trees\n"

    expect_plan(
        rekey, PLAN_BUILDS, INSTAR_CHANGE_RUNNING,
        "0 absent       publish a unique index on the new key delete-only; back by way of "
        "unchanged\n"
        "1 delete-only  publish them write-only" BACK
        "2 write-only   wait for older leases, make the cut" BACK
        "3 build        wait for the applier, scan, load, fold" BACK
        "4 fold         wait for the applier, publish what is new as enforced" BACK THE_SAME);
    expect_plan(rekey, 0, INSTAR_CHANGE_RUNNING,
                "5 unaltered    publish the column of row ids; back by way of unchanged\n"
                "6 row ids      wait for older leases" BACK
                "7 numbering    give row ids to rows without one" BACK
                "8 numbered     publish what is new as enforced" BACK THE_SAME);
    expect_plan(rekey, PLAN_BUILDS, INSTAR_CHANGE_REVERTING,
                "0 write-only   publish what is to go delete-only\n"
                "1 delete-only  publish the table without what has gone\n"
                "2 purge        wait for older leases, drop the trees\n"
                "3 unchanged    give the verdict\n");
#undef BACK
#undef THE_SAME
}

static bool publishes(const struct plan_step *s)
{
    return s->work == WORK_ADD_INDEX || s->work == WORK_STAGE || s->work == WORK_FINISH_INDEX ||
           s->work == WORK_REMOVE_INDEX;
}

/* Each step that publishes a stage is one that stage.def's rules allow after the one before it, on
 * the way there and from wherever the way back begins. */
Test(change_plan, steps_are_allowed_ones)
{
    for (int kind = CHANGE_CREATE_INDEX; kind <= CHANGE_DROP_INDEX; kind++) {
        for (int unique = 0; unique < 2; unique++) {
            const struct plan *plan =
                plan_for((enum change_kind)kind, unique != 0, INSTAR_CHANGE_RUNNING);
            const struct plan *back =
                plan_for((enum change_kind)kind, unique != 0, INSTAR_CHANGE_REVERTING);
            bool drop = kind == CHANGE_DROP_INDEX;
            struct catalog_index at = {.unique = unique != 0,
                                       .stage = drop ? INSTAR_STAGE_PUBLIC : INSTAR_STAGE_ABSENT,
                                       .enforcing = drop && unique != 0};
            for (uint32_t i = 0; i < plan->count; i++) {
                struct catalog_index undone = at;
                for (uint32_t k = plan->steps[i].revert; k < back->count; k++) {
                    if (publishes(&back->steps[k])) {
                        struct catalog_index next = undone;
                        next.stage = back->steps[k].stage;
                        next.enforcing = back->steps[k].enforcing;
                        cr_assert(catalog_step_allowed(&undone, &next), "%d %d back %u", kind,
                                  unique, k);
                        cr_assert(undone.stage != next.stage, "a step back does something");
                        undone = next;
                    }
                    if (back->steps[k].ends) {
                        break;
                    }
                }
                if (plan->steps[i].revert != PLAN_NO_RETURN) {
                    cr_assert_eq(undone.stage, drop ? INSTAR_STAGE_PUBLIC : INSTAR_STAGE_ABSENT);
                }
                if (publishes(&plan->steps[i])) {
                    struct catalog_index next = at;
                    next.stage = plan->steps[i].stage;
                    next.enforcing = plan->steps[i].enforcing;
                    cr_assert(catalog_step_allowed(&at, &next), "%d %d step %u", kind, unique, i);
                    at = next;
                }
            }
            cr_assert_eq(at.stage, drop ? INSTAR_STAGE_ABSENT : INSTAR_STAGE_PUBLIC);
            cr_assert_eq(at.enforcing, !drop && unique != 0);
        }
    }
}

/* A stage that a change does not come by is not reached, and not one that it will come by. */
Test(change_plan, stages_that_are_reached)
{
    struct change_record r = {
        .kind = CHANGE_COMPOUND, .state = INSTAR_CHANGE_RUNNING, .builds = true};

    r.step = plan_at_or_after(&r, 0);
    expect(plan_has_reached(&r, "absent") == 1);
    expect(plan_has_reached(&r, "build") == 0);
    expect(plan_has_reached(&r, "validate") == -1);
    while (strcmp(plan_stage_name(&r), "build") != 0) {
        r.step = plan_at_or_after(&r, r.step + 1);
    }
    expect(plan_has_reached(&r, "absent") == 1 && plan_has_reached(&r, "build") == 1);
}
