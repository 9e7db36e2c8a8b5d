/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows in the systems that know bytes alone: the key is a byte of the table's and the eight of the
 * row's key, in order; the value is v and the pad.
 */
#ifndef INSTAR_BENCH_KV_H
#define INSTAR_BENCH_KV_H

#include "bench.h"

#define KV_KEY_BYTES 9
#define KV_ROW_BYTES (8 + BENCH_PAD)

void kv_put_be64(char *at, uint64_t v);
void kv_key(char table, uint64_t key, char k[KV_KEY_BYTES]);
/* As it is loaded and inserted. */
void kv_row(uint64_t key, char row[KV_ROW_BYTES]);
int64_t kv_v(const void *row);
/* What an update makes of the row that it has found. */
void kv_edit(uint64_t key, enum bench_edit edit, int64_t v, char row[KV_ROW_BYTES]);

#endif
