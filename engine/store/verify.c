/* SPDX-License-Identifier: Apache-2.0 */
/* Verifying the log while it is in use: from where the trees stand up to what is durable, each
 * record as it is in the file, with its body and its place in the chain. */
#include "store/log.h"

int store_verify(struct store *s, int (*fn)(void *arg, uint64_t lsn, const char *text), void *arg,
                 struct base_err *err)
{
    struct trees_position pos;
    struct record r;
    struct scan c;
    struct base_err found;
    uint64_t limit = control_load(&s->ctl->durable);
    int rc = trees_position_get(s, &pos, err);
    if (rc != 0) {
        return rc;
    }
    base_err_clear(&found);
    scan_init(&c, s, pos.lo, pos.chain, true);
    do {
        rc = scan_next(&c, limit, &r, &found);
    } while (rc == 0);
    uint64_t at = c.at;
    scan_done(&c);
    if (rc == INSTAR_END) {
        return 0;
    }
    /* Folded and retired while we looked: the position has moved past it. */
    if (rc == INSTAR_ENOTFOUND && at < control_load(&s->ctl->floor)) {
        return 0;
    }
    if (rc == INSTAR_ENOTFOUND || rc == INSTAR_ECORRUPT) {
        return fn != NULL ? fn(arg, at, found.text) : 0;
    }
    return base_err_set(err, rc, "%s", found.text);
}
