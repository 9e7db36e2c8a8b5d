/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last error of each thread, and what the codes mean. The words are kept by thread, not on the
 * handle: a handle is used from many threads, and one must not overwrite another's message.
 */
#include "api/api_impl.h"

static _Thread_local struct base_err last_error;

struct base_err *api_err(void)
{
    return &last_error;
}

const char *instar_error_text(void)
{
    return last_error.text;
}

const char *instar_error_name(int code)
{
    return base_error_name(code);
}

const char *instar_error_what(int code)
{
    return base_error_what(code);
}

const char *instar_error_remedy(int code)
{
    return base_error_remedy(code);
}

enum instar_class instar_error_class(int code)
{
    return base_error_class(code);
}

const char *instar_nearest_name(const char *name, const char *const *candidates, size_t count)
{
    return base_nearest_name(name, candidates, count);
}

#define STRINGIFY_1(x) #x
#define STRINGIFY(x) STRINGIFY_1(x)

const char *instar_version(void)
{
    return STRINGIFY(INSTAR_VERSION_MAJOR) "." STRINGIFY(INSTAR_VERSION_MINOR) "." STRINGIFY(
        INSTAR_VERSION_PATCH);
}
