/* SPDX-License-Identifier: Apache-2.0 */
/* Scripts for campaigns. What differs from round to round comes from the oracle's stream. */
#include "support/oracle.h"

static void begin(struct oracle *o)
{
    oracle_add(o, ORACLE_CREATE, 1, true);
    oracle_add(o, ORACLE_CREATE, 2, o->stream % 2 != 0);
}

void oracle_script_create(struct oracle *o)
{
    begin(o);
    oracle_add_writes(o, 4, 30);
}

void oracle_script_commits(struct oracle *o)
{
    begin(o);
    oracle_add_writes(o, 20, 20);
    oracle_add(o, ORACLE_FLUSH, 0, false);
    oracle_add_writes(o, 60, (unsigned)(30 * (o->stream % 4)));
}

void oracle_script_apply(struct oracle *o)
{
    begin(o);
    for (int i = 0; i < 8; i++) {
        oracle_add_writes(o, 4, 40);
        oracle_add(o, ORACLE_APPLY, 0, false);
    }
    oracle_add(o, ORACLE_REOPEN, 0, false);
    oracle_add_writes(o, 6, 40);
}

void oracle_script_burst(struct oracle *o)
{
    begin(o);
    o->value_bytes_max = 8000;
    for (int i = 0; i < 6; i++) {
        oracle_add_writes(o, 12, 95);
        oracle_add_writes(o, 2, 0);
    }
}

void oracle_script_any(struct oracle *o)
{
    begin(o);
    oracle_add_writes(o, 10, 30);
    oracle_add_any(o, 25);
}

void oracle_script_recovery(struct oracle *o)
{
    (o->stream % 2 != 0 ? oracle_script_any : oracle_script_burst)(o);
}
