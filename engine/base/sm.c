/* SPDX-License-Identifier: Apache-2.0 */
/* State machines whose moves stand in one table and are checked one by one. */
#include "base/base.h"

void base_sm_init(struct base_sm *sm, const struct base_sm_state *states, int count, int start)
{
    base_assert(count > 0);
    base_assert(count <= 32);
    base_assert(start >= 0);
    base_assert(start < count);
    *sm = (struct base_sm){.states = states, .count = count, .at = start};
}

bool base_sm_may(const struct base_sm *sm, int to)
{
    return to >= 0 && to < sm->count && (sm->states[sm->at].moves >> to & 1) != 0;
}

void base_sm_move(struct base_sm *sm, int to)
{
    base_assert(base_sm_may(sm, to));
    sm->at = to;
}
