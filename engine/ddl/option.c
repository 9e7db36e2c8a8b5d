/* SPDX-License-Identifier: Apache-2.0 */
/* The options of a change by their names, wherever in a statement they stand. */
#include "ddl/ddl_impl.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

static bool same(const char *known, const char *name, size_t size)
{
    return strlen(known) == size && strncasecmp(known, name, size) == 0;
}

uint32_t ddl_change_flag(const char *name, size_t size)
{
    static const struct {
        const char *name;
        uint32_t flag;
    } flags[] = {
        {"pause", INSTAR_CHANGE_PAUSE},     {"hold", INSTAR_CHANGE_HOLD},
        {"hurry", INSTAR_CHANGE_HURRY},     {"keep_waiting", INSTAR_CHANGE_KEEP_WAITING},
        {"give_up", INSTAR_CHANGE_GIVE_UP},
    };

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (same(flags[i].name, name, size)) {
            return flags[i].flag;
        }
    }
    return 0;
}

/* The highest number of most stands for "not given". */
#define NUMBER(field, size) offsetof(instar_change_options, field), size
static const struct ddl_number numbers[] = {
    {"undo_window_s", NUMBER(undo_window_s, 8), INT64_MAX},
    {"rows_per_second", NUMBER(rows_per_second_max, 8), UINT64_MAX - 1},
    {"bytes_per_second", NUMBER(bytes_per_second_max, 8), UINT64_MAX - 1},
    {"sort_memory_bytes", NUMBER(sort_memory_bytes, 8), UINT64_MAX - 1},
    {"backfill_workers", NUMBER(workers, 4), UINT32_MAX - 1},
    {"fence_after_ms", NUMBER(fence_after_ms, 4), UINT32_MAX - 1},
    {"latency_target_ms", NUMBER(latency_target_ms, 4), UINT32_MAX - 1},
};

const struct ddl_number *ddl_change_number(const char *name, size_t size)
{
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (same(numbers[i].name, name, size)) {
            return &numbers[i];
        }
    }
    return NULL;
}

unsigned ddl_number_rank(const struct ddl_number *number)
{
    return (unsigned)(number - numbers);
}

void ddl_set_number(instar_change_options *options, const struct ddl_number *number, uint64_t value)
{
    uint32_t narrow = (uint32_t)value;

    memcpy((char *)options + number->field,
           number->size == sizeof(value) ? (const void *)&value : (const void *)&narrow,
           number->size);
}
