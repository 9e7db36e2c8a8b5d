/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan of a change of several tables: that of a compound change (plan.c), done to all of them
 * together. Each step publishes the next versions of all in one commit. A new table to which a
 * table refers that is there, or the other way round, is known to their writers first, hidden.
 *
 *     as they stand -> [types foreseen -> drain -> validate] -> [primary keys, as in
 *         plan_compound.c] -> [hidden] -> delete-only
 *         -> write-only -> (cut) build
 *         -> [enforcing -> drain -> validate] -> all as it is wanted: new tables are there, dropped
 *         ones gone -> delete-only -> absent, retired -> purge
 */
#include "change/plan_impl.h"

#define BACK_WITHDRAW 0
#define BACK_TAKE_OUT 1
#define BACK_TAKE_OUT_HIDDEN 2
#define BACK_UNCHANGED 6

const struct plan plan_several = {
    24 + PLAN_KEY_STEPS_COUNT,
    {{STEP("unaltered", WORK_FORESEE, BACK_UNCHANGED, "change.foreseen"), .needs = PLAN_FORESEES},
     {STEP("foreseen", WORK_DRAIN, BACK_WITHDRAW, NULL), .needs = PLAN_FORESEES},
     {STEP("cast", WORK_VALIDATE_ALL, BACK_WITHDRAW, "change.cast"), .needs = PLAN_FORESEES},
     PLAN_KEY_STEPS(BACK_UNCHANGED, BACK_WITHDRAW),
     {STEP("key validated", WORK_ADD_ALL, BACK_WITHDRAW, "change.delete_only"),
      .needs = PLAN_REKEYS},
     {STEP("absent", WORK_ADD_ALL, BACK_WITHDRAW, "change.delete_only"),
      .needs = PLAN_BUILDS | PLAN_FORESEES, .unless = PLAN_REKEYS},
     {STEP("absent", WORK_ADD_ALL, BACK_UNCHANGED, "change.delete_only"), .needs = PLAN_BUILDS,
      .unless = PLAN_FORESEES | PLAN_REKEYS},
     {STEP("absent", WORK_ADD_ALL, BACK_UNCHANGED, "change.hidden"), .needs = PLAN_HIDES,
      .unless = PLAN_BUILDS},
     {STEP("delete-only", WORK_RAISE_ALL, BACK_TAKE_OUT, "change.write_only"), .needs = PLAN_BUILDS,
      .unless = PLAN_REKEYS},
     {STEP("delete-only", WORK_RAISE_ALL, BACK_WITHDRAW, "change.write_only"),
      .needs = PLAN_REKEYS},
     {STEP("write-only", WORK_CUT, BACK_WITHDRAW, "change.cut"), .needs = PLAN_BUILDS},
     {STEP("build", WORK_BUILD, BACK_WITHDRAW, "change.fold_end"), .applied = true,
      .needs = PLAN_BUILDS},
     {STEP("fold", WORK_ENFORCE_ALL, BACK_WITHDRAW, "change.enforcing"), .applied = true,
      .needs = PLAN_BUILDS | PLAN_VALIDATES},
     {STEP("hidden", WORK_ENFORCE_ALL, BACK_TAKE_OUT_HIDDEN, "change.enforcing"),
      .needs = PLAN_HIDES | PLAN_VALIDATES, .unless = PLAN_BUILDS},
     {STEP("unaltered", WORK_ENFORCE_ALL, BACK_UNCHANGED, "change.enforcing"),
      .needs = PLAN_VALIDATES, .unless = PLAN_BUILDS | PLAN_HIDES},
     {STEP("enforcing", WORK_DRAIN, BACK_WITHDRAW, NULL), .needs = PLAN_VALIDATES},
     {STEP("validate", WORK_VALIDATE_ALL, BACK_WITHDRAW, "change.validated"),
      .needs = PLAN_VALIDATES},
     {STEP("validated", WORK_FLIP, BACK_WITHDRAW, "change.public"), .needs = PLAN_VALIDATES},
     {STEP("fold", WORK_FLIP, BACK_WITHDRAW, "change.public"), .applied = true,
      .needs = PLAN_BUILDS, .unless = PLAN_VALIDATES},
     {STEP("hidden", WORK_FLIP, BACK_TAKE_OUT_HIDDEN, "change.public"), .needs = PLAN_HIDES,
      .unless = PLAN_BUILDS | PLAN_VALIDATES},
     {STEP("unaltered", WORK_FLIP, BACK_UNCHANGED, "change.public"),
      .unless = PLAN_BUILDS | PLAN_VALIDATES | PLAN_HIDES},
     {STEP("public", WORK_LOWER_ALL, PLAN_NO_RETURN, "change.lowered"), .needs = PLAN_DROPS},
     {STEP("delete-only", WORK_REMOVE_ALL, PLAN_NO_RETURN, "change.absent"), .needs = PLAN_DROPS},
     {STEP("altered", WORK_RETIRE, PLAN_NO_RETURN, "change.retired"), .needs = PLAN_RETIRES,
      .unless = PLAN_DROPS},
     {STEP("purge", WORK_PURGE, PLAN_NO_RETURN, "change.purged"), .needs = PLAN_DROPS}},
};

const struct plan plan_several_back = {
    7,
    {{STEP("write-only", WORK_WITHDRAW, PLAN_NO_RETURN, "change.withdrawn")},
     {STEP("delete-only", WORK_TAKE_OUT, PLAN_NO_RETURN, "change.absent"), .needs = PLAN_BUILDS},
     {STEP("hidden", WORK_TAKE_OUT, PLAN_NO_RETURN, "change.absent"), .needs = PLAN_HIDES,
      .unless = PLAN_BUILDS},
     {STEP("retiring", WORK_RETIRE, PLAN_NO_RETURN, "change.retired"),
      .needs = PLAN_BUILDS | PLAN_RETIRES},
     {STEP("purge", WORK_PURGE, PLAN_NO_RETURN, "change.purged"), .needs = PLAN_BUILDS},
     {STEP("purge", WORK_PURGE, PLAN_NO_RETURN, "change.purged"), .needs = PLAN_HIDES,
      .unless = PLAN_BUILDS},
     {STEP("unchanged", WORK_NOTHING, PLAN_NO_RETURN, NULL)}},
};
