/* SPDX-License-Identifier: Apache-2.0 */
/* Status codes and the text of failures. */
#include "support/test.h"

#include <errno.h>
#include <string.h>

/* Every public code has a name, words, a remedy and a class of its own kind. */
Test(base_error, every_code_is_described)
{
#define X(name, value, cls, text, remedy)                              \
    cr_expect_str_eq(base_error_name(INSTAR_##name), "INSTAR_" #name); \
    cr_expect(strlen(base_error_what(INSTAR_##name)) > 0);             \
    cr_expect(strlen(base_error_remedy(INSTAR_##name)) > 0);           \
    cr_expect_eq(base_error_class(INSTAR_##name), INSTAR_CLASS_##cls);
#include "base/error.def"
#undef X
}

/* No two codes are the same number. */
Test(base_error, codes_are_distinct)
{
    static const int codes[] = {
#define X(name, value, cls, text, remedy) value,
#include "base/error.def"
#undef X
    };
    for (size_t i = 0; i < BASE_ARRAY_LEN(codes); i++) {
        cr_expect(codes[i] < 0);
        for (size_t j = 0; j < i; j++) {
            cr_expect_neq(codes[i], codes[j]);
        }
    }
}

/* Success has a name too; a number that is no code says so, and is not to be trusted. */
Test(base_error, success_and_unknown_codes_are_named)
{
    cr_expect_str_eq(base_error_name(0), "INSTAR_OK");
    cr_expect_eq(base_error_class(0), INSTAR_CLASS_OK);
    cr_expect_str_eq(base_error_name(-9999), "unknown");
    cr_expect_str_eq(base_error_what(1), "unknown");
    cr_expect_eq(base_error_class(-9999), INSTAR_CLASS_CORRUPT);
}

/* Setting an error keeps code and text and gives the code back. */
Test(base_error, set_keeps_code_and_text)
{
    struct base_err err = {0};
    cr_expect_eq(base_err_set(&err, INSTAR_ELIMIT, "key of %d bytes", 600), INSTAR_ELIMIT);
    cr_expect_eq(err.code, INSTAR_ELIMIT);
    cr_expect_str_eq(err.text, "key of 600 bytes");
    base_err_clear(&err);
    cr_expect_eq(err.code, 0);
    cr_expect_str_eq(err.text, "");
}

/* Without a place for the words the code still comes back. */
Test(base_error, words_may_be_thrown_away)
{
    cr_expect_eq(base_err_set(NULL, INSTAR_EIO, "x"), INSTAR_EIO);
    cr_expect_eq(base_err_errno(NULL, ENOSPC, "x"), INSTAR_ENOSPACE);
    base_err_prefix(NULL, "x");
    base_err_clear(NULL);
}

/* Context goes in front, the code stays. */
Test(base_error, prefix_adds_context_in_front)
{
    struct base_err err = {0};
    base_err_set(&err, INSTAR_EIO, "bad sector");
    cr_expect_eq(base_err_prefix(&err, "segment %d", 7), INSTAR_EIO);
    cr_expect_eq(base_err_prefix(&err, "apply"), INSTAR_EIO);
    cr_expect_str_eq(err.text, "apply: segment 7: bad sector");
}

/* The arguments may be the text that is being replaced. */
Test(base_error, set_may_quote_its_own_text)
{
    struct base_err err = {0};
    base_err_set(&err, INSTAR_EIO, "inner");
    base_err_set(&err, INSTAR_ECORRUPT, "outer (%s)", err.text);
    cr_expect_str_eq(err.text, "outer (inner)");
}

/* A text that is too long is cut, never overrun, also while it climbs. */
Test(base_error, long_text_is_cut)
{
    char longest[3 * BASE_ERR_TEXT_MAX];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    struct base_err err = {0};
    base_err_set(&err, INSTAR_EIO, "%s", longest);
    cr_expect_eq(strlen(err.text), BASE_ERR_TEXT_MAX - 1);
    base_err_prefix(&err, "apply");
    cr_expect_eq(strlen(err.text), BASE_ERR_TEXT_MAX - 1);
    cr_expect_eq(memcmp(err.text, "apply: xxx", 10), 0);
    base_err_errno(&err, EIO, "%s", longest);
    cr_expect_eq(strlen(err.text), BASE_ERR_TEXT_MAX - 1);
}

/* System errors fall into the classes that a caller can act on, whatever their sign. */
Test(base_error, errno_becomes_a_code)
{
    static const struct {
        int number;
        int code;
    } cases[] = {{ENOSPC, INSTAR_ENOSPACE}, {EDQUOT, INSTAR_ENOSPACE}, {EACCES, INSTAR_EACCESS},
                 {EPERM, INSTAR_EACCESS},   {EROFS, INSTAR_EACCESS},   {ENOMEM, INSTAR_ENOMEM},
                 {EIO, INSTAR_EIO},         {EMFILE, INSTAR_ESLOTS},   {EFBIG, INSTAR_ENOSPACE}};
    for (size_t i = 0; i < BASE_ARRAY_LEN(cases); i++) {
        struct base_err err = {0};
        cr_expect_eq(base_err_errno(&err, cases[i].number, "open x"), cases[i].code);
        cr_expect_eq(base_err_errno(&err, -cases[i].number, "open x"), cases[i].code);
        cr_expect_eq(err.code, cases[i].code);
        cr_expect(strstr(err.text, "open x: ") == err.text);
        cr_expect(strstr(err.text, strerror(cases[i].number)) != NULL);
    }
}
