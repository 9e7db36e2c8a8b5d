/* SPDX-License-Identifier: Apache-2.0 */
/* plan: what the plans of compound changes, of one table and of several, have in common. */
#ifndef INSTAR_CHANGE_PLAN_IMPL_H
#define INSTAR_CHANGE_PLAN_IMPL_H

#include "change/record.h"

#define STEP(name, what, back, at) .shown = (name), .work = (what), .revert = (back), .point = (at)

/* Another primary key, up to where it is known to be one: the witness is built and validated, or
 * every row has its id. What follows builds rows and indexes by it. */
#define PLAN_KEY_STEPS_COUNT 11
#define PLAN_KEY_STEPS(unchanged, withdraw)                                                        \
    {STEP("unaltered", WORK_KEY_ADD, withdraw, POINT_REKEY_KEY_ADDED),                             \
     .needs = PLAN_REKEYS | PLAN_FORESEES},                                                        \
        {STEP("unaltered", WORK_KEY_ADD, unchanged, POINT_REKEY_KEY_ADDED), .needs = PLAN_REKEYS,  \
         .unless = PLAN_FORESEES},                                                                 \
        {STEP("key delete-only", WORK_KEY_RAISE, withdraw, POINT_REKEY_KEY_WRITE_ONLY),            \
         .needs = PLAN_WITNESS},                                                                   \
        {STEP("key write-only", WORK_CUT, withdraw, POINT_REKEY_KEY_CUT), .needs = PLAN_WITNESS},  \
        {STEP("key build", WORK_BUILD, withdraw, POINT_REKEY_KEY_FOLD_END), .applied = true,       \
         .needs = PLAN_WITNESS},                                                                   \
        {STEP("row ids", WORK_DRAIN, withdraw, POINT_NONE), .needs = PLAN_NUMBERS},                \
        {STEP("numbering", WORK_FILL, withdraw, POINT_REKEY_FILLED), .needs = PLAN_NUMBERS},       \
        {STEP("key fold", WORK_KEY_ENFORCE, withdraw, POINT_REKEY_KEY_ENFORCING), .applied = true, \
         .needs = PLAN_WITNESS},                                                                   \
        {STEP("numbered", WORK_KEY_ENFORCE, withdraw, POINT_REKEY_KEY_ENFORCING),                  \
         .needs = PLAN_NUMBERS, .unless = PLAN_WITNESS},                                           \
        {STEP("key enforcing", WORK_DRAIN, withdraw, POINT_NONE), .needs = PLAN_REKEYS},           \
    {                                                                                              \
        STEP("key validate", WORK_VALIDATE_ALL, withdraw, POINT_REKEY_KEY_VALIDATED),              \
            .needs = PLAN_REKEYS                                                                   \
    }

#endif
