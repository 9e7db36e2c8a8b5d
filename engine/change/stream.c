/* SPDX-License-Identifier: Apache-2.0 */
/* Keys in the order in which a thread made them, packed into chunks. */
#include "change/sort_impl.h"

#include <string.h>

#define SAMPLE_ROOM_FIRST 64

static bool add_sample(struct stream *s, const uint8_t *entry)
{
    if (s->sample_count == s->sample_room) {
        size_t room = s->sample_room == 0 ? SAMPLE_ROOM_FIRST : s->sample_room * 2;
        const uint8_t **grown = base_realloc(s->samples, room * sizeof(*grown));
        if (grown == NULL) {
            return false;
        }
        s->samples = grown;
        s->sample_room = room;
    }
    s->samples[s->sample_count++] = entry;
    return true;
}

bool stream_add(struct stream *s, struct pool *p, struct base_slice key, bool *nomem_out)
{
    size_t need = STREAM_HEAD + key.size;

    base_assert(key.size <= UINT16_MAX);
    base_assert(need <= pool_room(p));
    if (s->last == NULL || pool_room(p) - s->last->used < need) {
        struct pool_chunk *chunk = pool_take(p, false, nomem_out);
        if (chunk == NULL) {
            return false;
        }
        if (s->last == NULL) {
            s->first = chunk;
        } else {
            s->last->next = chunk;
        }
        s->last = chunk;
    }
    uint8_t *entry = s->last->bytes + s->last->used;
    if (s->entries % STREAM_SAMPLE_EVERY == 0 && !add_sample(s, entry)) {
        *nomem_out = true;
        return false;
    }
    uint16_t size = (uint16_t)key.size;
    memcpy(entry, &size, sizeof(size));
    memcpy(entry + STREAM_HEAD, key.data, key.size);
    s->last->used += need;
    s->entries++;
    s->bytes += need;
    return true;
}

void stream_clear(struct stream *s, struct pool *p)
{
    pool_give_all(p, s->first);
    base_free(s->samples);
    *s = (struct stream){0};
}
