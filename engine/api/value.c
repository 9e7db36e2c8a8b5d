/* SPDX-License-Identifier: Apache-2.0 */
/* Values as text, for programs that read and print them. */
#include "api/api_impl.h"

const char *instar_type_name(enum instar_type type)
{
    return row_type_name(type);
}

enum instar_type instar_type_from_name(const char *name)
{
    return name == NULL ? INSTAR_NULL : row_type_from_name(name);
}

int instar_value_parse(enum instar_type type, const char *text, size_t text_size, char *scratch,
                       size_t scratch_size, instar_value *value_out)
{
    int rc = api_need(value_out, "value_out");

    if (rc == INSTAR_OK && text_size > 0) {
        rc = api_need(text, "text");
    }
    if (rc == INSTAR_OK) {
        rc = row_value_parse(type, base_slice(text, text_size), scratch, scratch_size, value_out,
                             api_err());
    }
    return rc;
}

size_t instar_value_format(const instar_value *value, char *text_out, size_t size)
{
    return value == NULL ? 0 : row_value_format(value, text_out, size);
}
