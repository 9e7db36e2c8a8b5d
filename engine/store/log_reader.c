/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking the log record by record, each verified with its body and its place in the chain. Reads
 * through the map: only for positions that this boot's processes wrote or recovery has verified.
 */
#include "store/log.h"

void log_reader_init(struct log_reader *r, struct store *s, uint64_t from, uint64_t chain)
{
    *r = (struct log_reader){.s = s, .at = from, .chain = chain};
}

static int stand_on(struct log_reader *r, struct base_err *err)
{
    uint64_t start = segment_base(r->at, r->s->segment_bytes);
    if (r->seg != NULL && r->seg->start == start) {
        return 0;
    }
    log_reader_done(r);
    return segment_pin(r->s, start, false, &r->seg, err);
}

int log_reader_next(struct log_reader *r, uint64_t limit, struct record *out, struct base_err *err)
{
    *out = (struct record){0};
    if (r->at >= limit) {
        return INSTAR_END;
    }
    int rc = stand_on(r, err);
    if (rc != 0) {
        return rc == INSTAR_ENOTFOUND
                   ? base_err_set(err, INSTAR_ECORRUPT, "log position %llu: its segment is missing",
                                  (unsigned long long)r->at)
                   : rc;
    }
    uint64_t size = r->s->segment_bytes;
    uint64_t offset = r->at - r->seg->start;
    struct record_place place = record_place(r->s, r->at);
    rc = record_read(base_slice(r->seg->bytes + offset, size - offset), &place, r->chain, out, err);
    if (rc != 0) {
        return rc;
    }
    if (out->end > limit) {
        return INSTAR_END;
    }
    r->at = out->end;
    r->chain = out->chain;
    return 0;
}

void log_reader_done(struct log_reader *r)
{
    if (r->seg != NULL) {
        segment_unpin_one(r->s, r->seg);
        r->seg = NULL;
    }
}
