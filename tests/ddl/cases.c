/* SPDX-License-Identifier: Apache-2.0 */
/* A share of the cases. */
#include "ddl/cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/test.h"

static size_t taken;

bool cases_take(const char *name, unsigned share)
{
    const char *only = getenv("INSTAR_DDL_CASE");
    uint64_t shares = test_env_u64("INSTAR_DDL_SHARE", share);
    uint64_t mixed = base_hash64(name, strlen(name), 0);

    if (only != NULL ? strcmp(only, name) != 0 : mixed % shares != (test_seed() - 1) % shares) {
        return false;
    }
    fprintf(stderr, "INSTAR_DDL_CASE='%s'\n", name);
    taken++;
    return true;
}

/* Their number, or that of the first one with this name. */
static size_t count_points(const struct operation *o, const char *until)
{
    char path[256];
    size_t size, count = 0;
    bool stages = false;

    (void)snprintf(path, sizeof(path), "tests/ddl/plans/%s.plan", o->name);
    char *text = (char *)test_read_file(path, &size);
    bool found = false;
    for (char *line = text; !found && line != NULL && line < text + size;) {
        char *end = memchr(line, '\n', (size_t)(text + size - line));
        stages = strncmp(line, "-- ", 3) == 0 ? strncmp(line, "-- stages", 9) == 0 : stages;
        count += stages && strncmp(line, "-- ", 3) != 0 && line[0] != '(' && line[0] != 'n';
        found = until != NULL && strncmp(line, until, strlen(until)) == 0;
        line = end != NULL ? end + 1 : NULL;
    }
    base_free(text);
    expect(found == (until != NULL));
    return count;
}

size_t cases_points(const struct operation *o)
{
    return count_points(o, NULL);
}

size_t cases_point(const struct operation *o, const char *name)
{
    return count_points(o, name);
}

void cases_end(void)
{
    fprintf(stderr, "%zu cases\n", taken);
    taken = 0;
}
