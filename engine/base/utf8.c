/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8: is it valid, and how is it shown to a human without doing anything to his terminal. */
#include "base/base.h"

/* Decode one character; its length, or 0 when the bytes are not one. Refuses overlong forms,
 * surrogates and values past U+10FFFF. */
static size_t decode(const uint8_t *p, size_t left, uint32_t *character_out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size = p[0] < 0x80           ? 1
                  : (p[0] >> 5) == 0x06 ? 2
                  : (p[0] >> 4) == 0x0e ? 3
                  : (p[0] >> 3) == 0x1e ? 4
                                        : 0;
    if (size == 0 || size > left) {
        return 0;
    }
    uint32_t c = size == 1 ? p[0] : p[0] & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < least[size] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
        return 0;
    }
    *character_out = c;
    return size;
}

bool base_utf8_valid(const void *data, size_t size)
{
    const uint8_t *p = data;
    size_t at = 0;
    while (at < size) {
        uint32_t character;
        /* Most text is ASCII: eight bytes at a time. */
        if (size - at >= 8 && (base_get_u64(p + at) & UINT64_C(0x8080808080808080)) == 0) {
            at += 8;
            continue;
        }
        size_t step = decode(p + at, size - at, &character);
        if (step == 0) {
            return false;
        }
        at += step;
    }
    return true;
}

/* Control characters of both sets, and the marks that turn the direction of text around. */
static bool is_harmless(uint32_t c)
{
    return c >= 0x20 && !(c >= 0x7f && c <= 0x9f) && !(c >= 0x200b && c <= 0x200f) &&
           !(c >= 0x2028 && c <= 0x202e) && !(c >= 0x2066 && c <= 0x2069) && c != 0xfeff;
}

static bool add_escaped(struct base_buf *b, uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    char text[4] = {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
    return base_buf_add(b, text, sizeof(text));
}

bool base_buf_add_printable(struct base_buf *b, const void *data, size_t size)
{
    const uint8_t *p = data;
    size_t before = b->size;
    size_t at = 0;
    bool ok = true;
    while (ok && at < size) {
        uint32_t character = 0;
        size_t step = decode(p + at, size - at, &character);
        if (step != 0 && is_harmless(character)) {
            ok = base_buf_add(b, p + at, step);
        } else {
            step = step != 0 ? step : 1;
            for (size_t i = 0; ok && i < step; i++) {
                ok = add_escaped(b, p[at + i]);
            }
        }
        at += step;
    }
    if (!ok) {
        b->size = before;
    }
    return ok;
}
