/* SPDX-License-Identifier: Apache-2.0 */
/* What a validation of rows has found, told in the order of the rows. */
#include "support/test.h"

#include <stdio.h>
#include <string.h>

#include "change/findings_impl.h"

#define ROWS (2 * FINDINGS_MAX)

static void find(struct findings *f, unsigned row)
{
    uint8_t key = (uint8_t)row;

    findings_add(f, &(struct finding_told){.kind = INSTAR_FAILURE_NOT_NULL,
                                           .name = "c",
                                           .row = base_slice(&key, 1),
                                           .why = "why"});
}

/* The first rows are kept, whatever the order is in which they were found; all are counted. */
Test(change_findings, the_first_are_kept)
{
    for (unsigned step = 1; step < ROWS; step += 2) { /* has no divisor in common with ROWS */
        struct findings f;
        if (step % 5 == 0) {
            continue;
        }
        findings_init(&f);
        for (unsigned i = 0; i < ROWS; i++) {
            find(&f, i * step % ROWS);
        }
        expect_u64(f.broken, ROWS);
        expect_u64(f.of_kind[INSTAR_FAILURE_NOT_NULL], ROWS);
        expect_u64(f.count, FINDINGS_MAX);
        for (unsigned i = 0; i < FINDINGS_MAX; i++) {
            expect_u64(f.first[i].row.bytes[0], i);
        }
        findings_free(&f);
    }
}
