/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Status codes and the words that go with them. The list is error.def; this file checks that the
 * public header agrees with it, and keeps the text of a failure while it climbs.
 */
#define _GNU_SOURCE
#include "base/base.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* instar.h spells the values out for its readers; they must not drift from the list. */
#define X(name, value, cls, text, remedy) \
    _Static_assert((int)INSTAR_##name == (value), "instar.h and error.def differ: " #name);
#include "base/error.def"
#undef X

struct error_entry {
    int code;
    enum instar_class cls;
    const char *name;
    const char *what;
    const char *remedy;
};

static const struct error_entry entries[] = {
    {INSTAR_OK, INSTAR_CLASS_OK, "INSTAR_OK", "success", ""},
#define X(name, value, cls, text, remedy) \
    {(value), INSTAR_CLASS_##cls, "INSTAR_" #name, (text), (remedy)},
#include "base/error.def"
#undef X
};

static const struct error_entry unknown = {0, INSTAR_CLASS_CORRUPT, "unknown", "unknown",
                                           "unknown"};

static const struct error_entry *find(int code)
{
    for (size_t i = 0; i < BASE_ARRAY_LEN(entries); i++) {
        if (entries[i].code == code) {
            return &entries[i];
        }
    }
    return &unknown;
}

const char *base_error_name(int code)
{
    return find(code)->name;
}

const char *base_error_what(int code)
{
    return find(code)->what;
}

const char *base_error_remedy(int code)
{
    return find(code)->remedy;
}

enum instar_class base_error_class(int code)
{
    return find(code)->cls;
}

/* The texts of one call are put together in a buffer of their own, because the arguments may point
 * into the text that is replaced. What does not fit is cut. */
struct words {
    char text[BASE_ERR_TEXT_MAX];
};

static void add_words(struct words *w, const char *more)
{
    size_t size = strlen(w->text);
    size_t room = sizeof(w->text) - 1 - size;
    size_t count = strnlen(more, room);
    memcpy(w->text + size, more, count);
    w->text[size + count] = '\0';
}

static void format_words(struct words *w, const char *fmt, va_list args)
{
    if (vsnprintf(w->text, sizeof(w->text), fmt, args) < 0) {
        w->text[0] = '\0';
    }
}

static int keep(struct base_err *err, int code, const struct words *w)
{
    err->code = code;
    memcpy(err->text, w->text, strlen(w->text) + 1);
    return code;
}

int base_err_set(struct base_err *err, int code, const char *fmt, ...)
{
    if (err == NULL) {
        return code;
    }
    struct words w;
    va_list args;
    va_start(args, fmt);
    format_words(&w, fmt, args);
    va_end(args);
    return keep(err, code, &w);
}

int base_err_prefix(struct base_err *err, const char *fmt, ...)
{
    if (err == NULL) {
        return 0;
    }
    struct words w;
    va_list args;
    va_start(args, fmt);
    format_words(&w, fmt, args);
    va_end(args);
    if (err->text[0] != '\0') {
        add_words(&w, ": ");
        add_words(&w, err->text);
    }
    return keep(err, err->code, &w);
}

static int code_of_errno(int number)
{
    switch (number) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG: /* the process's limit on file sizes */
        return INSTAR_ENOSPACE;
    case EACCES:
    case EPERM:
    case EROFS:
        return INSTAR_EACCESS;
    case ENOMEM:
        return INSTAR_ENOMEM;
    case EMFILE:
    case ENFILE:
        return INSTAR_ESLOTS;
    default:
        return INSTAR_EIO;
    }
}

int base_err_errno(struct base_err *err, int errnum, const char *fmt, ...)
{
    int number = errnum < 0 ? -errnum : errnum;
    int code = code_of_errno(number);
    if (err == NULL) {
        return code;
    }
    struct words w;
    char system_words[128];
    va_list args;
    va_start(args, fmt);
    format_words(&w, fmt, args);
    va_end(args);
    add_words(&w, ": ");
    add_words(&w, strerror_r(number, system_words, sizeof(system_words)));
    return keep(err, code, &w);
}

void base_err_clear(struct base_err *err)
{
    if (err != NULL) {
        err->code = 0;
        err->text[0] = '\0';
    }
}

void base_assert_fail(const char *expr, const char *file, int line)
{
    fprintf(stderr, "instar: %s:%d: assertion failed: %s\n", file, line, expr);
    abort();
}
