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
    {{STEP("unaltered", WORK_FORESEE, BACK_UNCHANGED, POINT_FORESEEN), .needs = PLAN_FORESEES},
     {STEP("foreseen", WORK_DRAIN, BACK_WITHDRAW, POINT_NONE), .needs = PLAN_FORESEES},
     {STEP("cast", WORK_VALIDATE_ALL, BACK_WITHDRAW, POINT_CAST), .needs = PLAN_FORESEES},
     PLAN_KEY_STEPS(BACK_UNCHANGED, BACK_WITHDRAW),
     {STEP("key validated", WORK_ADD_ALL, BACK_WITHDRAW, POINT_DELETE_ONLY), .needs = PLAN_REKEYS},
     {STEP("absent", WORK_ADD_ALL, BACK_WITHDRAW, POINT_DELETE_ONLY),
      .needs = PLAN_BUILDS | PLAN_FORESEES, .unless = PLAN_REKEYS},
     {STEP("absent", WORK_ADD_ALL, BACK_UNCHANGED, POINT_DELETE_ONLY), .needs = PLAN_BUILDS,
      .unless = PLAN_FORESEES | PLAN_REKEYS},
     {STEP("absent", WORK_ADD_ALL, BACK_UNCHANGED, POINT_HIDDEN), .needs = PLAN_HIDES,
      .unless = PLAN_BUILDS},
     {STEP("delete-only", WORK_RAISE_ALL, BACK_TAKE_OUT, POINT_WRITE_ONLY), .needs = PLAN_BUILDS,
      .unless = PLAN_REKEYS},
     {STEP("delete-only", WORK_RAISE_ALL, BACK_WITHDRAW, POINT_WRITE_ONLY), .needs = PLAN_REKEYS},
     {STEP("write-only", WORK_CUT, BACK_WITHDRAW, POINT_CUT), .needs = PLAN_BUILDS},
     {STEP("build", WORK_BUILD, BACK_WITHDRAW, POINT_FOLD_END), .applied = true,
      .needs = PLAN_BUILDS},
     {STEP("fold", WORK_ENFORCE_ALL, BACK_WITHDRAW, POINT_ENFORCING), .applied = true,
      .needs = PLAN_BUILDS | PLAN_VALIDATES},
     {STEP("hidden", WORK_ENFORCE_ALL, BACK_TAKE_OUT_HIDDEN, POINT_ENFORCING),
      .needs = PLAN_HIDES | PLAN_VALIDATES, .unless = PLAN_BUILDS},
     {STEP("unaltered", WORK_ENFORCE_ALL, BACK_UNCHANGED, POINT_ENFORCING), .needs = PLAN_VALIDATES,
      .unless = PLAN_BUILDS | PLAN_HIDES},
     {STEP("enforcing", WORK_DRAIN, BACK_WITHDRAW, POINT_NONE), .needs = PLAN_VALIDATES},
     {STEP("validate", WORK_VALIDATE_ALL, BACK_WITHDRAW, POINT_VALIDATED), .needs = PLAN_VALIDATES},
     {STEP("validated", WORK_FLIP, BACK_WITHDRAW, POINT_PUBLIC), .needs = PLAN_VALIDATES},
     {STEP("fold", WORK_FLIP, BACK_WITHDRAW, POINT_PUBLIC), .applied = true, .needs = PLAN_BUILDS,
      .unless = PLAN_VALIDATES},
     {STEP("hidden", WORK_FLIP, BACK_TAKE_OUT_HIDDEN, POINT_PUBLIC), .needs = PLAN_HIDES,
      .unless = PLAN_BUILDS | PLAN_VALIDATES},
     {STEP("unaltered", WORK_FLIP, BACK_UNCHANGED, POINT_PUBLIC),
      .unless = PLAN_BUILDS | PLAN_VALIDATES | PLAN_HIDES},
     {STEP("public", WORK_LOWER_ALL, PLAN_NO_RETURN, POINT_LOWERED), .needs = PLAN_DROPS},
     {STEP("delete-only", WORK_REMOVE_ALL, PLAN_NO_RETURN, POINT_ABSENT), .needs = PLAN_DROPS},
     {STEP("altered", WORK_RETIRE, PLAN_NO_RETURN, POINT_RETIRED), .needs = PLAN_RETIRES,
      .unless = PLAN_DROPS},
     {STEP("purge", WORK_PURGE, PLAN_NO_RETURN, POINT_PURGED), .needs = PLAN_DROPS}},
};

const struct plan plan_several_back = {
    7,
    {{STEP("write-only", WORK_WITHDRAW, PLAN_NO_RETURN, POINT_WITHDRAWN)},
     {STEP("delete-only", WORK_TAKE_OUT, PLAN_NO_RETURN, POINT_ABSENT), .needs = PLAN_BUILDS},
     {STEP("hidden", WORK_TAKE_OUT, PLAN_NO_RETURN, POINT_ABSENT), .needs = PLAN_HIDES,
      .unless = PLAN_BUILDS},
     {STEP("retiring", WORK_RETIRE, PLAN_NO_RETURN, POINT_RETIRED),
      .needs = PLAN_BUILDS | PLAN_RETIRES},
     {STEP("purge", WORK_PURGE, PLAN_NO_RETURN, POINT_PURGED), .needs = PLAN_BUILDS},
     {STEP("purge", WORK_PURGE, PLAN_NO_RETURN, POINT_PURGED), .needs = PLAN_HIDES,
      .unless = PLAN_BUILDS},
     {STEP("unchanged", WORK_NOTHING, PLAN_NO_RETURN, POINT_NONE)}},
};
