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

const char *instar_error_sqlstate(int code)
{
    /* https://www.postgresql.org/docs/15/errcodes-appendix.html */
    static const struct {
        int code;
        char state[6];
    } states[] = {
        {INSTAR_OK, "00000"},
        {INSTAR_EUNIQUE, "23505"},
        {INSTAR_ENOT_NULL, "23502"},
        {INSTAR_ECHECK, "23514"},
        {INSTAR_EREFERENCE, "23503"},
        {INSTAR_ECANCELLED, "57014"},
        {INSTAR_EBLOCKED, "55P03"},
        {INSTAR_EBUSY, "55P03"},
        {INSTAR_ECONFLICT, "40001"},
        {INSTAR_ESNAPSHOT_TOO_OLD, "40001"},
        {INSTAR_ESCHEMA_CHANGED, "40001"},
        {INSTAR_EEXISTS, "42710"},
        {INSTAR_EUNKNOWN, "42704"},
        {INSTAR_ELIMIT, "54000"},
        {INSTAR_ETYPE, "42804"},
        {INSTAR_ERANGE, "22003"},
        {INSTAR_EENCODING, "22021"},
        {INSTAR_EINVALID, "22023"},
        {INSTAR_EREADONLY, "25006"},
        {INSTAR_ESTATE, "55000"},
        {INSTAR_EDEFINITION, "42710"},
        {INSTAR_ENOMEM, "53200"},
        {INSTAR_ENOSPACE, "53100"},
        {INSTAR_EMAPFULL, "53100"},
        {INSTAR_ESLOTS, "53300"},
        {INSTAR_EACCESS, "42501"},
        {INSTAR_EIO, "58030"},
        {INSTAR_ECORRUPT, "XX001"},
        {INSTAR_EVERSION, "0A000"},
        {INSTAR_ECOMMIT_UNKNOWN, "08007"},
    };

    for (size_t i = 0; i < BASE_ARRAY_LEN(states); i++) {
        if (states[i].code == code) {
            return states[i].state;
        }
    }
    return "XX000";
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
