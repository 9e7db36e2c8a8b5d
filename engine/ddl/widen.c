/* SPDX-License-Identifier: Apache-2.0 */
/* Which changes of a type have room for every value: so much EXPLAIN knows without a look at rows.
 */
#include "ddl/ddl_impl.h"

static bool is_number(enum instar_type type)
{
    return (type >= INSTAR_INT2 && type <= INSTAR_FLOAT8) || type == INSTAR_NUMERIC;
}

/* Have all values of the column room before the point of a numeric? */
static bool has_room(const instar_column_info *from, uint32_t digits)
{
    static const uint32_t integers[] = {[INSTAR_INT2] = 5, [INSTAR_INT4] = 10, [INSTAR_INT8] = 19};
    uint32_t scale = INSTAR_DIGITS_SCALE(digits), own = INSTAR_DIGITS_SCALE(from->length_max);
    uint32_t room = INSTAR_DIGITS_PRECISION(digits) - scale;

    if (from->type >= INSTAR_INT2 && from->type <= INSTAR_INT8) {
        return room >= integers[from->type];
    }
    return from->type == INSTAR_NUMERIC &&
           room >= INSTAR_DIGITS_PRECISION(from->length_max) - own + (scale < own ? 1 : 0);
}

bool ddl_type_is_other(const instar_column_info *from, const instar_column_def *to)
{
    return from->type != to->type ||
           (to->type == INSTAR_NUMERIC &&
            INSTAR_DIGITS_SCALE(from->length_max) != INSTAR_DIGITS_SCALE(to->length_max));
}

bool ddl_type_widens(const instar_column_info *from, const instar_column_def *to)
{
    if (to->type == INSTAR_NUMERIC) {
        return has_room(from, to->length_max);
    }
    if (to->length_max != 0) {
        return from->type == INSTAR_TEXT && from->length_max != 0 &&
               from->length_max <= to->length_max;
    }
    return from->type == to->type || to->type == INSTAR_TEXT ||
           (is_number(from->type) && is_number(to->type) &&
            (from->type < to->type ? from->type != INSTAR_FLOAT8 : to->type == INSTAR_FLOAT8)) ||
           (from->type == INSTAR_BOOL && to->type == INSTAR_INT4) ||
           (from->type == INSTAR_INT4 && to->type == INSTAR_BOOL);
}
