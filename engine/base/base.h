/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base: what every layer stands on. Status codes with text, byte slices and buffers, arenas,
 * checked arithmetic, hashes. Files, maps, clocks and locks are in os.h, the seam for faults.
 * Nothing here knows of stores or rows.
 */
#ifndef INSTAR_BASE_H
#define INSTAR_BASE_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <instar.h>

#define BASE_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define BASE_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* ---- errors ------------------------------------------------------------------------------- */

#define BASE_ERR_TEXT_MAX 1024

/* Where a failing call leaves its status and its words. Owned by the caller, one thread. A NULL
 * pointer is allowed everywhere and throws the words away. */
struct base_err {
    int code;
    char text[BASE_ERR_TEXT_MAX];
};

/* Set code and text; returns code, so that `return base_err_set(…)` reads well. */
int base_err_set(struct base_err *err, int code, const char *fmt, ...) BASE_PRINTF(3, 4);
/* Put context before the text that is there; returns the code that is there. ("apply") gives
 * "apply: " + old. With NULL no code is known and 0 returned: keep your own. */
int base_err_prefix(struct base_err *err, const char *fmt, ...) BASE_PRINTF(2, 3);
/* Set from an errno value of either sign: ENOSPC and EDQUOT become NOSPACE, EACCES, EPERM and EROFS
 * ACCESS, ENOMEM NOMEM, all else IO. The system's words are appended. Returns the code. */
int base_err_errno(struct base_err *err, int errnum, const char *fmt, ...) BASE_PRINTF(3, 4);
void base_err_clear(struct base_err *err);

/* What error.def says of a code; static strings. An unknown code gives "unknown" and the class
 * CORRUPT, 0 gives "INSTAR_OK" and the class OK. */
const char *base_error_name(int code); /* "INSTAR_ECONFLICT" */
const char *base_error_what(int code);
const char *base_error_remedy(int code);
enum instar_class base_error_class(int code);

/* Asserts are for our own mistakes, and stay on in release builds: each is one condition. */
void base_assert_fail(const char *expr, const char *file, int line) __attribute__((noreturn));
#define base_assert(expr) ((expr) ? (void)0 : base_assert_fail(#expr, __FILE__, __LINE__))

/* ---- memory ------------------------------------------------------------------------------- */

/* All memory of the library passes here, so that a test can make the n-th request fail.
 * NULL on failure. base_free(NULL) is allowed. */
void *base_alloc(size_t size);
void *base_alloc_zero(size_t count, size_t size);
void *base_realloc(void *p, size_t size);
void base_free(void *p);
char *base_strdup(const char *s);

/* Test hook: asked before each allocation, also by an arena that has room; false: it fails. The
 * library as it is installed has none. */
#if defined(INSTAR_TEST)
extern bool (*_Atomic base_alloc_hook)(size_t size);
static inline bool base_alloc_watched(void)
{
    return base_alloc_hook != NULL;
}
static inline bool base_alloc_refused(size_t size)
{
    bool (*hook)(size_t size) = base_alloc_hook;
    return hook != NULL && !hook(size);
}
#else
static inline bool base_alloc_watched(void)
{
    return false;
}
static inline bool base_alloc_refused(size_t size)
{
    (void)size;
    return false;
}
#endif

/* ---- bytes -------------------------------------------------------------------------------- */

/* A view of bytes somebody else owns. */
struct base_slice {
    const void *data;
    size_t size;
};

static inline struct base_slice base_slice(const void *data, size_t size)
{
    return (struct base_slice){data, size};
}
/* memcmp order, a prefix sorts first. */
int base_slice_cmp(struct base_slice a, struct base_slice b);
bool base_slice_eq(struct base_slice a, struct base_slice b);
size_t base_slice_common_prefix(struct base_slice a, struct base_slice b);

/* A growing byte buffer. Zero-initialise; base_buf_free when done. Appends return false when out
 * of memory, and then leave the buffer as it was. */
struct base_buf {
    uint8_t *data;
    size_t size;
    size_t capacity;
};
bool base_buf_grow(struct base_buf *b, size_t more); /* for base_buf_reserve */
/* In the header, as base_buf_add is: keys and rows are put together with them. */
static inline bool base_buf_reserve(struct base_buf *b, size_t more)
{
    return more <= b->capacity - b->size || base_buf_grow(b, more);
}
static inline bool base_buf_add(struct base_buf *b, const void *data, size_t size)
{
    if (!base_buf_reserve(b, size)) {
        return false;
    }
    if (size != 0) {
        memcpy(b->data + b->size, data, size);
    }
    b->size += size;
    return true;
}
bool base_buf_add_u8(struct base_buf *b, uint8_t v);
bool base_buf_add_u16(struct base_buf *b, uint16_t v); /* little-endian, like all fixed fields */
bool base_buf_add_u32(struct base_buf *b, uint32_t v);
bool base_buf_add_u64(struct base_buf *b, uint64_t v);
bool base_buf_add_varint(struct base_buf *b, uint64_t v); /* LEB128, at most 10 bytes */
bool base_buf_add_blob(struct base_buf *b, const void *data, size_t size); /* varint size, bytes */
void base_buf_clear(struct base_buf *b);                                   /* keeps the memory */
void base_buf_free(struct base_buf *b);
static inline struct base_slice base_buf_slice(const struct base_buf *b)
{
    return (struct base_slice){b->data, b->size};
}

/* Fixed little-endian fields in memory that may be unaligned; be: big-endian, for keys, whose byte
 * order is their order. In the header, because every row that is read passes through them. */
static inline void base_put_u16(void *at, uint16_t v)
{
    v = htole16(v);
    memcpy(at, &v, sizeof(v));
}
static inline uint16_t base_get_u16(const void *at)
{
    uint16_t v;
    memcpy(&v, at, sizeof(v));
    return le16toh(v);
}
static inline void base_put_u32(void *at, uint32_t v)
{
    v = htole32(v);
    memcpy(at, &v, sizeof(v));
}
static inline uint32_t base_get_u32(const void *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof(v));
    return le32toh(v);
}
static inline void base_put_u64(void *at, uint64_t v)
{
    v = htole64(v);
    memcpy(at, &v, sizeof(v));
}
static inline uint64_t base_get_u64(const void *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof(v));
    return le64toh(v);
}
static inline void base_put_be64(void *at, uint64_t v)
{
    v = htobe64(v);
    memcpy(at, &v, sizeof(v));
}
static inline uint32_t base_get_be32(const void *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof(v));
    return be32toh(v);
}
static inline uint64_t base_get_be64(const void *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof(v));
    return be64toh(v);
}

/* Of a function: kept out of its callers, so that what they nearly always do stays short. SELDOM:
 * and how fast it is does not matter. */
#define BASE_APART __attribute__((noinline))
#define BASE_SELDOM __attribute__((cold, noinline))

/* base_slice_cmp(a, b) < 0. Keys of one size of 4 to 16 bytes, as most are, without a call: a walk
 * asks this of each key. Two words cover them, and may overlap. */
static inline bool base_slice_before(struct base_slice a, struct base_slice b)
{
    const uint8_t *p = a.data;
    const uint8_t *q = b.data;
    size_t size = a.size;
    if (size >= 8 && b.size >= 8) {
        uint64_t x = base_get_be64(p);
        uint64_t y = base_get_be64(q);
        if (x != y) {
            return x < y;
        }
        if (size == b.size && size <= 16) {
            return base_get_be64(p + size - 8) < base_get_be64(q + size - 8);
        }
    } else if (size >= 4 && b.size >= 4) {
        uint32_t x = base_get_be32(p);
        uint32_t y = base_get_be32(q);
        if (x != y) {
            return x < y;
        }
        if (size == b.size) {
            return base_get_be32(p + size - 4) < base_get_be32(q + size - 4);
        }
    }
    return base_slice_cmp(a, b) < 0;
}

/* Eight bytes of a key from a place on, as a number in the keys' order, so that most comparisons
 * never touch the key. What is beyond its end counts as zero. */
static inline uint64_t base_slice_prefix(struct base_slice key, size_t from)
{
    uint64_t v = 0;
    if (key.size >= from + sizeof(v)) {
        memcpy(&v, (const uint8_t *)key.data + from, sizeof(v));
    } else if (key.size > from) {
        memcpy(&v, (const uint8_t *)key.data + from, key.size - from);
    }
    return be64toh(v);
}

/* A bounds-checked reader over untrusted bytes. After the first failure `bad` stays set and every
 * read gives zero; check it once at the end, and before using a length. */
struct base_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
};
/* Inline: a row is read field by field, and a scan reads millions of rows. */
static inline struct base_reader base_reader(struct base_slice s)
{
    static const uint8_t nothing[1];
    const uint8_t *at = s.data != NULL ? s.data : nothing;
    return (struct base_reader){.at = at, .end = at + (s.data != NULL ? s.size : 0)};
}
static inline size_t base_reader_left(const struct base_reader *r)
{
    return r->bad ? 0 : (size_t)(r->end - r->at);
}
/* The next size bytes, or NULL after a failure. */
static inline const uint8_t *base_read_take(struct base_reader *r, size_t size)
{
    if (r->bad || size > (size_t)(r->end - r->at)) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *p = r->at;
    r->at += size;
    return p;
}
static inline uint8_t base_read_u8(struct base_reader *r)
{
    if (r->bad || r->at == r->end) {
        r->bad = true;
        return 0;
    }
    return *r->at++;
}
static inline uint16_t base_read_u16(struct base_reader *r)
{
    const uint8_t *p = base_read_take(r, 2);
    return p != NULL ? base_get_u16(p) : 0;
}
static inline uint32_t base_read_u32(struct base_reader *r)
{
    const uint8_t *p = base_read_take(r, 4);
    return p != NULL ? base_get_u32(p) : 0;
}
static inline uint64_t base_read_u64(struct base_reader *r)
{
    const uint8_t *p = base_read_take(r, 8);
    return p != NULL ? base_get_u64(p) : 0;
}
uint64_t base_read_long_varint(struct base_reader *r); /* of any length */
static inline uint64_t base_read_varint(struct base_reader *r)
{
    if (!r->bad && r->at != r->end && *r->at < 0x80) {
        return *r->at++; /* nearly always */
    }
    return base_read_long_varint(r);
}
struct base_slice base_read_bytes(struct base_reader *r, size_t size);
struct base_slice base_read_blob(struct base_reader *r);

static inline bool base_add_ok(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}
static inline bool base_mul_ok(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

/* ---- arena -------------------------------------------------------------------------------- */

/* Memory freed all at once. Zero-initialise. Pointers stay valid until reset or free. */
struct base_arena {
    struct base_arena_chunk *chunks;
    size_t used_bytes; /* handed out since the last reset */
};
void *base_arena_alloc(struct base_arena *a, size_t size); /* 16-byte aligned, NULL: no memory */
void *base_arena_copy(struct base_arena *a, const void *data, size_t size);
char *base_arena_strdup(struct base_arena *a, const char *s);
void base_arena_reset(struct base_arena *a); /* keeps the first chunk */
/* The same, if that has at most so many bytes. */
void base_arena_trim(struct base_arena *a, size_t most);
void base_arena_free(struct base_arena *a);

/* ---- hashes and text ---------------------------------------------------------------------- */

uint64_t base_hash64(const void *data, size_t size, uint64_t seed); /* XXH3 64 */
uint32_t base_hash32(const void *data, size_t size, uint64_t seed); /* its low half */

bool base_utf8_valid(const void *data, size_t size);
/* The candidate nearest to `name` by edit distance, or NULL when none is near enough to be a slip
 * of the keyboard. The result is one of `candidates`. */
const char *base_nearest_name(const char *name, const char *const *candidates, size_t count);
/* Append bytes for a human: control characters and terminal escapes shown as \xNN. */
bool base_buf_add_printable(struct base_buf *b, const void *data, size_t size);

/* ---- state machines ----------------------------------------------------------------------- */

/* A state machine declares its states and allowed moves once; every move is checked against the
 * table (an illegal move is our mistake: assert). */
struct base_sm_state {
    const char *name;
    uint32_t moves; /* bit n: may go to state n */
};
struct base_sm {
    const struct base_sm_state *states;
    int count;
    int at;
};
void base_sm_init(struct base_sm *sm, const struct base_sm_state *states, int count, int start);
bool base_sm_may(const struct base_sm *sm, int to);
void base_sm_move(struct base_sm *sm, int to);

#endif
