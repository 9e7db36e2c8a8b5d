/* SPDX-License-Identifier: Apache-2.0 */
/* Text: UTF-8, printable bytes, nearest names; and the hashes. */
#include "support/test.h"

#include <string.h>

static bool valid(const char *bytes)
{
    return base_utf8_valid(bytes, strlen(bytes));
}

/* Well-formed text of every length of character is accepted, up to the last character. */
Test(base_text, well_formed_utf8_is_valid)
{
    static const char *const good[] = {"",
                                       "plain",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "gr\xc3\xbc\xc3\x9f"};
    for (size_t i = 0; i < BASE_ARRAY_LEN(good); i++) {
        cr_expect(valid(good[i]), "case %zu", i);
    }
    cr_expect(base_utf8_valid("a\0b", 3), "a zero byte is a character");
}

/* Overlong forms, surrogates, values past the last, and pieces of characters are refused. */
Test(base_text, malformed_utf8_is_refused)
{
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xc2\x20",
                                      "\xe0\x9f\xbf",
                                      "\xe1\x80",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xf8\x88\x80\x80\x80",
                                      "\xff",
                                      "ok\xfe"};
    for (size_t i = 0; i < BASE_ARRAY_LEN(bad); i++) {
        cr_expect_not(valid(bad[i]), "case %zu", i);
    }
}

/* Text of any length, with something that is not ASCII at any place: valid characters pass, a stray
 * byte does not. */
Test(base_text, utf8_is_looked_at_everywhere)
{
    char text[40];
    for (size_t size = 2; size < sizeof(text); size++) {
        for (size_t at = 0; at + 2 <= size; at++) {
            memset(text, 'x', size);
            memcpy(text + at, "\xc3\xa9", 2);
            cr_expect(base_utf8_valid(text, size));
            text[at + 1] = 'x';
            cr_expect_not(base_utf8_valid(text, size));
        }
        memset(text, 'x', size);
        cr_expect(base_utf8_valid(text, size));
        text[size - 1] = '\x80';
        cr_expect_not(base_utf8_valid(text, size));
    }
}

/* Every character there is, and none that is not. */
Test(base_text, utf8_agrees_with_the_encoding_of_each_character)
{
    for (uint32_t c = 0x80; c <= 0x110000; c++) {
        uint8_t bytes[4];
        size_t size;
        if (c < 0x800) {
            size = 2;
            bytes[0] = (uint8_t)(0xc0 | c >> 6);
        } else if (c < 0x10000) {
            size = 3;
            bytes[0] = (uint8_t)(0xe0 | c >> 12);
        } else {
            size = 4;
            bytes[0] = (uint8_t)(0xf0 | c >> 18);
        }
        for (size_t i = 1; i < size; i++) {
            bytes[i] = (uint8_t)(0x80 | (c >> (6 * (size - 1 - i)) & 0x3f));
        }
        bool is_character = c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff);
        if (base_utf8_valid(bytes, size) != is_character) {
            cr_assert_fail("U+%04X", c);
        }
        if (base_utf8_valid(bytes, size - 1)) {
            cr_assert_fail("U+%04X without its last byte", c);
        }
    }
}

static void printable(const char *bytes, size_t size, const char *shown)
{
    struct base_buf b = {0};
    cr_assert(base_buf_add_printable(&b, bytes, size));
    cr_expect_eq(b.size, strlen(shown));
    cr_expect_eq(memcmp(b.data != NULL ? b.data : (const uint8_t *)"", shown, b.size), 0,
                 "%.*s, not %s", (int)b.size, b.data, shown);
    base_buf_free(&b);
}

/* Text is shown as it is; what could act on a terminal, or is no text, is shown in hex. */
Test(base_text, printable_hides_what_acts_on_a_terminal)
{
    printable("plain \xc3\xbc", 8, "plain \xc3\xbc");
    printable("\x1b[2J", 4, "\\x1b[2J");
    printable("a\0b\n", 4, "a\\x00b\\x0a");
    printable("\x7f", 1, "\\x7f");
    printable("\xff\x41", 2, "\\xffA");
    printable("\xc2\x9b"
              "31m",
              5, "\\xc2\\x9b31m");
    printable("\xe2\x80\xae"
              "evil",
              7, "\\xe2\\x80\\xaeevil");
    printable("\xc3", 1, "\\xc3");
    printable("", 0, "");
}

static bool refuse(size_t size)
{
    return size < 100;
}

/* When memory runs out half way, nothing of it is added. */
Test(base_text, printable_adds_all_or_nothing)
{
    struct base_buf b = {0};
    cr_assert(base_buf_add(&b, "x", 1));
    char control[200];
    memset(control, 1, sizeof(control));
    base_alloc_hook = refuse;
    cr_expect_not(base_buf_add_printable(&b, control, sizeof(control)));
    base_alloc_hook = NULL;
    cr_expect_eq(b.size, 1);
    base_buf_free(&b);
}

/* A slip of the keyboard finds its name; a different word finds none. */
Test(base_text, nearest_name_forgives_slips_only)
{
    static const char *const names[] = {"users", "orders", "order_items", "id"};
    static const struct {
        const char *typed;
        const char *found;
    } cases[] = {{"user", "users"},
                 {"usres", "users"},
                 {"Users", "users"},
                 {"orders", "orders"},
                 {"oders", "orders"},
                 {"order_item", "order_items"},
                 {"orderitems", "order_items"},
                 {"customers", NULL},
                 {"zzz", NULL},
                 {"", NULL},
                 {"x", NULL}};
    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        const char *found = base_nearest_name(cases[i].typed, names, BASE_ARRAY_LEN(names));
        if (cases[i].found == NULL) {
            cr_expect_null(found, "%s found %s", cases[i].typed, found);
        } else {
            cr_assert_not_null(found, "%s", cases[i].typed);
            cr_expect_str_eq(found, cases[i].found);
        }
    }
    cr_expect_null(base_nearest_name("users", names, 0));
}

/* Names of any length are safe to ask for. */
Test(base_text, nearest_name_takes_any_length)
{
    char longest[1000];
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    const char *candidates[] = {longest, "users"};
    cr_expect_null(base_nearest_name(longest, candidates, 2));
    cr_expect_str_eq(base_nearest_name("user", candidates, 2), "users");
    longest[128] = '\0';
    cr_expect_str_eq(base_nearest_name(longest, candidates, 2), longest);
}

/* The hash is XXH3, whose values are part of the disk format: they never change. */
Test(base_text, hash_values_are_fixed)
{
    cr_expect_eq(base_hash64("", 0, 0), 0x2d06800538d394c2u);
    cr_expect_eq(base_hash64("instar", 6, 0), base_hash64("instar", 6, 0));
    cr_expect_neq(base_hash64("instar", 6, 0), base_hash64("instar", 6, 1));
    cr_expect_eq(base_hash32("instar", 6, 7), (uint32_t)base_hash64("instar", 6, 7));
}

enum { EGG, LARVA, ADULT };
static const struct base_sm_state states[] = {
    [EGG] = {"egg", 1u << LARVA},
    [LARVA] = {"larva", 1u << LARVA | 1u << ADULT},
    [ADULT] = {"adult", 0},
};

/* A state machine makes the moves of its table. */
Test(base_text, state_machine_makes_allowed_moves)
{
    struct base_sm sm;
    base_sm_init(&sm, states, 3, EGG);
    cr_expect(base_sm_may(&sm, LARVA));
    cr_expect_not(base_sm_may(&sm, ADULT));
    cr_expect_not(base_sm_may(&sm, -1));
    cr_expect_not(base_sm_may(&sm, 3));
    base_sm_move(&sm, LARVA);
    base_sm_move(&sm, LARVA);
    base_sm_move(&sm, ADULT);
    cr_expect_eq(sm.at, ADULT);
}

static void jump(struct test_child *self, void *arg)
{
    (void)self;
    (void)arg;
    struct base_sm sm;
    base_sm_init(&sm, states, 3, EGG);
    base_sm_move(&sm, ADULT);
}

/* A move that is not in the table is our own mistake, and ends the program. */
Test(base_text, state_machine_stops_at_a_forbidden_move)
{
    struct test_child child;
    test_fork(&child, jump, NULL);
    cr_expect_eq(test_wait(&child), -6 /* SIGABRT */);
}
