/* SPDX-License-Identifier: Apache-2.0 */
/* No grant that counts is two versions behind another one of its table. */
#include "support/grants.h"

#define TABLES_MAX 16

static bool note_version(struct grants_apart *spans, uint64_t table, uint32_t version)
{
    for (size_t i = 0; i < TABLES_MAX; i++) {
        struct grants_apart *s = &spans[i];
        if (s->table == 0) {
            *s = (struct grants_apart){table, version, version};
        }
        if (s->table == table) {
            s->low = version < s->low ? version : s->low;
            s->high = version > s->high ? version : s->high;
            spans[0] = s->high - s->low > 1 ? *s : spans[0];
            return s->high - s->low > 1;
        }
    }
    return false;
}

struct grants_apart grants_look(const struct leases *l)
{
    struct grants_apart spans[TABLES_MAX] = {0};
    uint32_t high = lease_high(l);

    for (uint32_t at = 1; at <= high; at++) {
        const struct lease_slot *s = &l->slots[at];
        if (lease_word_live(lease_word_load(s)) &&
            store_node_alive(l->store, atomic_load(&s->node), atomic_load(&s->nonce)) &&
            note_version(spans, atomic_load(&s->table), atomic_load(&s->version))) {
            return spans[0];
        }
    }
    return (struct grants_apart){0};
}

struct look {
    const struct leases *leases;
    struct grants_apart apart;
};

static int look_inside(void *arg)
{
    struct look *look = arg;
    look->apart = grants_look(look->leases);
    return 0;
}

int grants_look_locked(const struct leases *l, struct grants_apart *apart_out, struct base_err *err)
{
    struct look look = {.leases = l};
    int rc = store_locked(l->store, look_inside, &look, err);
    *apart_out = look.apart;
    return rc;
}
