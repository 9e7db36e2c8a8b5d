/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The digest of a tree: the sum, modulo 2^64, of a hash of each of its entries. A put adds, a
 * delete takes away, so it is kept without looking at the others, in the LMDB transaction that
 * changes the tree. Whoever walks the tree adds up again: a page of an earlier time, which is whole
 * and in its place and may have the same keys, gives another sum.
 *
 *   !g<name>   0 sum | 8 XXH3 of the sum, seeded with that of the name
 *
 * The position has the sum of all these entries' own hashes. So an earlier page of the main tree,
 * in which trees and digests agree, is seen as well.
 */
#include "store/trees_lmdb.h"

#include <stdio.h>
#include <string.h>

uint64_t trees_entry_hash(struct base_slice key, struct base_slice value)
{
    return base_hash64(value.data, value.size, base_hash64(key.data, key.size, 0));
}

static uint64_t seal(const uint8_t sum[8], const char *name, size_t size)
{
    return base_hash64(sum, 8, base_hash64(name, size, 0));
}

/* What a digest's entry adds to the position's sum; nothing where there is none. */
uint64_t trees_digest_seal(struct base_slice value)
{
    return value.size == TREES_DIGEST_BYTES ? base_get_u64((const uint8_t *)value.data + 8) : 0;
}

bool trees_digest_read(struct base_slice name, struct base_slice value, uint64_t *sum_out)
{
    const uint8_t *at = value.data;
    *sum_out = 0;
    if (value.size != TREES_DIGEST_BYTES ||
        base_get_u64(at + 8) != seal(at, name.data, name.size)) {
        return false;
    }
    *sum_out = base_get_u64(at);
    return true;
}

bool trees_digest_named(struct base_slice key, struct base_slice *name_out)
{
    const char *at = key.data;
    size_t prefix = strlen(TREES_DIGEST_PREFIX);
    if (key.size <= prefix || memcmp(at, TREES_DIGEST_PREFIX, prefix) != 0) {
        return false;
    }
    *name_out = base_slice(at + prefix, key.size - prefix);
    return true;
}

/* A tree's digest in a write transaction. */
struct digest {
    char text[TREES_DIGEST_NAME];
    struct base_slice key, name; /* in text */
    uint64_t sum;
};

/* As it is, to be replaced or removed: the position does without it from here on. ENOTFOUND: there
 * is none yet, its sum is 0. */
static int take(struct trees_write *w, uint64_t tree, struct digest *d, struct base_err *err)
{
    char name[TREES_NAME_MAX];
    trees_name(name, tree);
    int size = snprintf(d->text, sizeof(d->text), TREES_DIGEST_PREFIX "%s", name);
    d->key = base_slice(d->text, (size_t)size);
    d->sum = 0;
    base_assert(trees_digest_named(d->key, &d->name));
    MDB_val k = trees_val(d->key);
    MDB_val v;
    int rc = mdb_get(w->txn, w->trees->main, &k, &v);
    if (rc != 0) {
        return trees_failed(err, rc, "digest");
    }
    if (!trees_digest_read(d->name, trees_slice(&v), &d->sum)) {
        return base_err_set(err, INSTAR_ECORRUPT, "data.mdb: the digest of %s is unreadable", name);
    }
    w->mark.digests -= trees_digest_seal(trees_slice(&v));
    return 0;
}

static int put(struct trees_write *w, const struct digest *d, uint64_t sum, struct base_err *err)
{
    uint8_t bytes[TREES_DIGEST_BYTES];
    base_put_u64(bytes, sum);
    base_put_u64(bytes + 8, seal(bytes, d->name.data, d->name.size));
    MDB_val k = trees_val(d->key);
    MDB_val v = trees_val(base_slice(bytes, sizeof(bytes)));
    int rc = mdb_put(w->txn, w->trees->main, &k, &v, 0);
    if (rc != 0) {
        return trees_failed(err, rc, "digest");
    }
    w->bytes += sizeof(bytes);
    w->mark.digests += base_get_u64(bytes + 8);
    return 0;
}

int trees_digest_add(struct trees_write *w, uint64_t tree, uint64_t sum, struct base_err *err)
{
    struct digest d;
    int rc = take(w, tree, &d, err);
    return rc == 0 ? put(w, &d, d.sum + sum, err) : rc;
}

int trees_digest_clear(struct trees_write *w, uint64_t tree, struct base_err *err)
{
    struct digest d;
    int rc = take(w, tree, &d, err);
    return rc == 0 || rc == INSTAR_ENOTFOUND ? put(w, &d, 0, err) : rc;
}

int trees_digest_remove(struct trees_write *w, uint64_t tree, struct base_err *err)
{
    struct digest d;
    int rc = take(w, tree, &d, err);
    if (rc == 0) {
        MDB_val k = trees_val(d.key);
        rc = mdb_del(w->txn, w->trees->main, &k, NULL);
        return rc == 0 ? 0 : trees_failed(err, rc, "digest");
    }
    return rc == INSTAR_ENOTFOUND ? 0 : rc;
}
