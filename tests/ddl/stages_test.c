/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each operation, point by point: what EXPLAIN says of it, at which points it stops, which schema
 * is seen there, which rows are refused; and at each of them rows are read and written, on the
 * version of then and on the one before it. All of it stands in plans/NAME.plan, a golden file.
 *
 * INSTAR_DDL=name is one operation; INSTAR_DDL_WRITE=1 writes the golden files anew.
 */
#include "ddl/scene.h"
#include "support/sqls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLANS "tests/ddl/plans"

static FILE *open_plan(char **text)
{
    static size_t size;
    FILE *f = open_memstream(text, &size);

    expect(f != NULL);
    return f;
}

/* Figures that depend on the machine and on how far the applier is, left out. */
static void put_plan(FILE *f, const char *plan)
{
    for (const char *line = plan; *line != '\0';) {
        size_t size = strcspn(line, "\n");
        if (strncmp(line, "reads about ", 12) == 0 || strncmp(line, "new indexes ", 12) == 0) {
            line += size + (line[size] == '\n');
            continue; /* left out where the applier has not counted the rows yet */
        }
        bool time = strncmp(line, "time: ", 6) == 0;
        const char *about = NULL;
        for (size_t i = 0; i < size; i++) {
            bool digit = line[i] >= '0' && line[i] <= '9';
            about = strncmp(line + i, "about ", 6) == 0 ? line + i + 6 : about;
            if (!digit || !(time || about == line + i)) {
                fputc(line[i], f);
                continue;
            }
            fputc('N', f);
            i += strspn(line + i, "0123456789.") - 1;
        }
        fputc('\n', f);
        line += size + (line[size] == '\n');
    }
}

static void put_stage(FILE *f, struct scene *s, const char *point,
                      const struct world_offence *offences, size_t count)
{
    instar_change_info info;

    ok(instar_change_get(s->db, s->change, &info));
    fprintf(f, "%-24s %-18s %s", point, info.stage,
            s->alike                 ? "either"
            : s->side == WORLD_AFTER ? "after"
                                     : "before");
    if (s->refused > 0) {
        fprintf(f, "; %u refused", s->refused);
        s->refused = 0;
    }
    for (size_t i = 0; i < count; i++) {
        int rc = scene_offend(s, &offences[i]);
        if (rc != INSTAR_EUNKNOWN) {
            fprintf(f, "; %s: %s", offences[i].what,
                    rc == INSTAR_OK ? "passes" : instar_error_name(rc));
        }
    }
    fprintf(f, "\n");
}

/* From the first point to the last. */
static void go_through(struct scene *s, FILE *f)
{
    struct world_offence offences[WORLD_OFFENCES];
    size_t count = world_offences(s->world, offences);
    enum steps_event event;

    if (s->change == 0) {
        fprintf(f, "nothing to do\n");
        return;
    }
    while ((event = scene_next(s)) != STEPS_ENDED) {
        scene_work(s, event);
        put_stage(f, s, event == STEPS_WAITING ? "(waiting)" : s->steps.point, offences, count);
        if (event == STEPS_WAITING) {
            scene_old_end(s);
        }
    }
    scene_look_side(s);
    put_stage(f, s, "(the end)", offences, count);
}

static char *tell(const struct operation *o)
{
    struct scene s;
    instar_change_info info;
    char *text = NULL;
    FILE *f = open_plan(&text);

    scene_make(&s, o);
    fprintf(f, "-- before\n%s-- change\n%s;\n-- plan\n", s.before, s.sql);
    put_plan(f, sqls_explain(s.db, s.sql));
    fprintf(f, "-- stages\n");
    scene_submit(&s);
    go_through(&s, f);
    int rc = instar_change_wait(s.db, s.change, TEST_AWAIT_S * 1000, &info);
    cr_assert_eq(rc, o->error != 0 ? INSTAR_EFAILED : INSTAR_OK, "%s: %s", o->name, info.reason);
    cr_assert_eq(info.error, o->error, "%s: %s", o->name, info.reason);
    if (o->error != 0) {
        fprintf(f, "-- fails\n%s\n", info.reason);
    } else {
        fprintf(f, "-- after\n%s", sqls_schema(s.db, NULL));
    }
    scene_expect(&s, o->error == 0);
    scene_close(&s);
    (void)fclose(f);
    return text;
}

static void compare(const struct operation *o, const char *told)
{
    char path[256];

    (void)snprintf(path, sizeof(path), PLANS "/%s.plan", o->name);
    if (test_env_u64("INSTAR_DDL_WRITE", 0) != 0) {
        test_write_file(path, told, strlen(told));
        return;
    }
    size_t size;
    char *golden = (char *)test_read_file(path, &size);
    if (strlen(told) != size || memcmp(told, golden, size) != 0) {
        test_fail(__FILE__, __LINE__, "%s is not what is done:\n%s", path, told);
    }
    base_free(golden);
}

/* E3, E6. */
Test(ddl_stages, each_is_its_golden_file, .timeout = 3600)
{
    const char *only = getenv("INSTAR_DDL");
    size_t count = 0;

    for (size_t i = 0; i < operations_count; i++) {
        if (only == NULL || strcmp(only, operations[i].name) == 0) {
            char *told = tell(&operations[i]);
            compare(&operations[i], told);
            free(told);
            count++;
        }
    }
    fprintf(stderr, "%zu operations\n", count);
}
