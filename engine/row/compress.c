/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zstd for the bodies of large rows. Making a context costs far more than compressing a row with
 * it, so contexts are kept: a few slots, taken and given back by an atomic exchange, by any thread.
 * When more threads compress at once than there are slots, the others make their own and drop it.
 *
 * Nothing is decompressed before its size is known and bounded by the caller, and always into
 * memory of exactly that size in one call, so zstd allocates no window whatever a frame asks for.
 */
#include "row/row_impl.h"

#include <stdatomic.h>
#include <zstd.h>

/* The fastest ordinary level: rows are compressed on the way to a commit. */
#define LEVEL 1
#define KEPT_MAX 8

static _Atomic(ZSTD_CCtx *) compressors[KEPT_MAX];
static _Atomic(ZSTD_DCtx *) decompressors[KEPT_MAX];

static ZSTD_CCtx *take_compressor(void)
{
    for (size_t i = 0; i < KEPT_MAX; i++) {
        ZSTD_CCtx *c = atomic_exchange_explicit(&compressors[i], NULL, memory_order_acquire);
        if (c != NULL) {
            return c;
        }
    }
    return ZSTD_createCCtx();
}

static void give_compressor(ZSTD_CCtx *c)
{
    for (size_t i = 0; i < KEPT_MAX; i++) {
        ZSTD_CCtx *none = NULL;
        if (atomic_compare_exchange_strong_explicit(&compressors[i], &none, c, memory_order_release,
                                                    memory_order_relaxed)) {
            return;
        }
    }
    ZSTD_freeCCtx(c);
}

static ZSTD_DCtx *take_decompressor(void)
{
    for (size_t i = 0; i < KEPT_MAX; i++) {
        ZSTD_DCtx *d = atomic_exchange_explicit(&decompressors[i], NULL, memory_order_acquire);
        if (d != NULL) {
            return d;
        }
    }
    return ZSTD_createDCtx();
}

static void give_decompressor(ZSTD_DCtx *d)
{
    for (size_t i = 0; i < KEPT_MAX; i++) {
        ZSTD_DCtx *none = NULL;
        if (atomic_compare_exchange_strong_explicit(&decompressors[i], &none, d,
                                                    memory_order_release, memory_order_relaxed)) {
            return;
        }
    }
    ZSTD_freeDCtx(d);
}

/* A program may load and unload the library many times. */
__attribute__((destructor)) static void drop_kept(void)
{
    for (size_t i = 0; i < KEPT_MAX; i++) {
        ZSTD_freeCCtx(atomic_exchange(&compressors[i], NULL));
        ZSTD_freeDCtx(atomic_exchange(&decompressors[i], NULL));
    }
}

size_t row_compress_bound(size_t src_size)
{
    return ZSTD_compressBound(src_size);
}

size_t row_compress(void *dst, size_t dst_size, const void *src, size_t src_size)
{
    ZSTD_CCtx *c = take_compressor();
    if (c == NULL) {
        return 0;
    }
    size_t n = ZSTD_compressCCtx(c, dst, dst_size, src, src_size, LEVEL);
    give_compressor(c);
    return ZSTD_isError(n) ? 0 : n;
}

bool row_compressed_size_is(const void *src, size_t src_size, size_t size)
{
    return ZSTD_getFrameContentSize(src, src_size) == size &&
           ZSTD_findFrameCompressedSize(src, src_size) == src_size;
}

int row_decompress(void *dst, size_t dst_size, const void *src, size_t src_size,
                   struct base_err *err)
{
    ZSTD_DCtx *d = take_decompressor();
    if (d == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory to decompress a row");
    }
    size_t n = ZSTD_decompressDCtx(d, dst, dst_size, src, src_size);
    give_decompressor(d);
    if (ZSTD_isError(n)) {
        return base_err_set(err, INSTAR_ECORRUPT, "row: compressed body: %s", ZSTD_getErrorName(n));
    }
    if (n != dst_size) {
        return base_err_set(err, INSTAR_ECORRUPT, "row: %zu bytes decompressed, %zu expected", n,
                            dst_size);
    }
    return 0;
}
