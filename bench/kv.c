/* SPDX-License-Identifier: Apache-2.0 */
/* See kv.h. */
#include "kv.h"

#include <string.h>

void kv_put_be64(char *at, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(at, &v, sizeof(v));
}

void kv_key(char table, uint64_t key, char k[KV_KEY_BYTES])
{
    k[0] = table;
    kv_put_be64(k + 1, key);
}

static void put_v(char row[KV_ROW_BYTES], int64_t v)
{
    memcpy(row, &v, sizeof(v));
}

void kv_row(uint64_t key, char row[KV_ROW_BYTES])
{
    put_v(row, bench_value(key));
    bench_pad(key, row + sizeof(int64_t));
}

int64_t kv_v(const void *row)
{
    int64_t v;

    memcpy(&v, row, sizeof(v));
    return v;
}

void kv_edit(uint64_t key, enum bench_edit edit, int64_t v, char row[KV_ROW_BYTES])
{
    if (edit == BENCH_SET_PAD) {
        bench_pad(key + 1, row + sizeof(int64_t));
    } else {
        put_v(row, edit == BENCH_SET_V ? v : bench_changed(kv_v(row)));
    }
}
