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

/* Contexts of zstd that nobody uses just now. */
struct pool {
    _Atomic(void *) kept[KEPT_MAX];
};
static struct pool compressors, decompressors;

/* NULL: there is none. */
static void *take(struct pool *pool)
{
    for (size_t i = 0; i < KEPT_MAX; i++) {
        void *context = atomic_exchange_explicit(&pool->kept[i], NULL, memory_order_acquire);
        if (context != NULL) {
            return context;
        }
    }
    return NULL;
}

/* False: there is no room for one more. */
static bool keep(struct pool *pool, void *context)
{
    for (size_t i = 0; i < KEPT_MAX; i++) {
        void *none = NULL;
        if (atomic_compare_exchange_strong_explicit(&pool->kept[i], &none, context,
                                                    memory_order_release, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

/* A program may load and unload the library many times. */
__attribute__((destructor)) static void drop_kept(void)
{
    for (size_t i = 0; i < KEPT_MAX; i++) {
        ZSTD_freeCCtx(atomic_exchange(&compressors.kept[i], NULL));
        ZSTD_freeDCtx(atomic_exchange(&decompressors.kept[i], NULL));
    }
}

size_t row_compress_bound(size_t src_size)
{
    return ZSTD_compressBound(src_size);
}

size_t row_compress(void *dst, size_t dst_size, const void *src, size_t src_size)
{
    ZSTD_CCtx *c = take(&compressors);
    c = c != NULL ? c : ZSTD_createCCtx();
    if (c == NULL) {
        return 0;
    }
    size_t n = ZSTD_compressCCtx(c, dst, dst_size, src, src_size, LEVEL);
    if (!keep(&compressors, c)) {
        ZSTD_freeCCtx(c);
    }
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
    ZSTD_DCtx *d = take(&decompressors);
    d = d != NULL ? d : ZSTD_createDCtx();
    if (d == NULL) {
        return base_err_set(err, INSTAR_ENOMEM, "no memory to decompress a row");
    }
    size_t n = ZSTD_decompressDCtx(d, dst, dst_size, src, src_size);
    if (!keep(&decompressors, d)) {
        ZSTD_freeDCtx(d);
    }
    if (ZSTD_isError(n)) {
        return base_err_set(err, INSTAR_ECORRUPT, "row: compressed body: %s", ZSTD_getErrorName(n));
    }
    if (n != dst_size) {
        return base_err_set(err, INSTAR_ECORRUPT, "row: %zu bytes decompressed, %zu expected", n,
                            dst_size);
    }
    return 0;
}
