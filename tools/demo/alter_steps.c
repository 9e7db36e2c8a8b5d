/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the demo alters in place, under the writers: columns come and go, a NOT NULL fails and
 * another holds, an indexed column gets another type, several things at once. The writers name only
 * their own columns, so they must not notice.
 */
#include "director.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const instar_value origin = {.type = INSTAR_TEXT, .bytes = {"import", 6}};
static const instar_value score = {.type = INSTAR_INT8, .i = 0};
static const instar_value level = {.type = INSTAR_INT8, .i = DEMO_LEVEL};

static int alter(struct director *d, const instar_alteration *steps, size_t count,
                 instar_change_info *info)
{
    uint64_t change = 0;
    int rc = instar_alter_table(d->db, DEMO_TABLE, steps, count, NULL, &change);

    return rc != INSTAR_OK ? rc : follow(d, change, info);
}

/* A step that is one alteration. */
static int alter_step(struct director *d, const char *name, const instar_alteration *steps,
                      size_t count, instar_change_info *info)
{
    step_begin(d);
    return step_end_change(d, name, alter(d, steps, count, info));
}

/* How long the change itself took, from its submission to its verdict. */
static void print_duration(const instar_change_info *info)
{
    printf("%s: %.1f ms, whatever the number of rows\n", info->statement,
           (double)(info->finished_us - info->submitted_us) / 1000);
}

int step_add_columns(struct director *d)
{
    instar_column_def with_default = {"demo_origin", INSTAR_TEXT, false, &origin, 0};
    instar_column_def without = {"demo_score", INSTAR_INT8, false, NULL, 0};
    instar_alteration steps[] = {
        {.kind = INSTAR_ALTER_ADD_COLUMN, .column = &with_default},
        {.kind = INSTAR_ALTER_ADD_COLUMN, .column = &without},
        {.kind = INSTAR_ALTER_SET_DEFAULT, .name = "demo_score", .value = &score}};
    instar_change_info info;

    if (alter_step(d, "add two columns, one with a default", steps, 3, &info) != 0) {
        return -1;
    }
    print_duration(&info);
    return 0;
}

/* The score's default came after the column: rows from before hold a null, those that the writers
 * insert do not. */
int step_not_null_fails(struct director *d)
{
    instar_alteration step = {.kind = INSTAR_ALTER_SET_NOT_NULL, .name = "demo_score"};
    instar_change_info info;

    step_begin(d);
    return step_end_failed(d, "set not null, fails, reverts", alter(d, &step, 1, &info), &info,
                           INSTAR_ENOT_NULL);
}

/* Rows from before have the default, and so has every row that was inserted since. */
int step_not_null(struct director *d)
{
    instar_alteration step = {.kind = INSTAR_ALTER_SET_NOT_NULL, .name = "demo_origin"};
    instar_change_info info;

    if (alter_step(d, "set not null", &step, 1, &info) != 0) {
        return -1;
    }
    printf("%" PRIu64 " rows read, none holds a null\n", info.rows_done);
    return 0;
}

/* An index on the score; it is dropped again behind the change of the type. */
static int index_score(struct director *d, bool make)
{
    static const char name[] = "entries_by_score";
    instar_key_column column = {.name = "demo_score"};
    instar_index_def def = {
        .name = name, .table = DEMO_TABLE, .columns = &column, .column_count = 1};
    instar_change_info info;
    uint64_t change = 0;
    int rc = make ? instar_create_index(d->db, &def, NULL, &change)
                  : instar_drop_index(d->db, name, NULL, &change);

    return rc != INSTAR_OK ? rc : follow(d, change, &info);
}

/* No row is rewritten; the index is made anew, and both change in one version. */
int step_type(struct director *d)
{
    instar_column_def text = {"demo_score", INSTAR_TEXT, false, NULL, 0};
    instar_alteration step = {.kind = INSTAR_ALTER_SET_TYPE, .name = "demo_score", .column = &text};
    instar_change_info info;
    int rc = index_score(d, true);

    step_begin(d);
    rc = rc != INSTAR_OK ? rc : alter(d, &step, 1, &info);
    if (step_end_change(d, "another type of an indexed column", rc) != 0) {
        return -1;
    }
    printf("%s: %" PRIu64 " rows read for its index, none rewritten\n", info.statement,
           info.rows_done);
    rc = index_score(d, false);
    return rc == INSTAR_OK ? 0 : wrong_call("dropping the index on the score", rc);
}

int step_several(struct director *d)
{
    instar_column_def added = {"demo_level", INSTAR_INT8, true, &level, 0};
    instar_alteration steps[] = {
        {.kind = INSTAR_ALTER_RENAME_COLUMN, .name = "demo_origin", .new_name = "demo_source"},
        {.kind = INSTAR_ALTER_DROP_COLUMN, .name = "demo_score"},
        {.kind = INSTAR_ALTER_ADD_COLUMN, .column = &added},
        {.kind = INSTAR_ALTER_RENAME_INDEX, .name = "entries_unique", .new_name = "entries_key"}};
    instar_change_info info;

    if (alter_step(d, "rename, drop, add, rename: one change", steps, 4, &info) != 0) {
        return -1;
    }
    print_duration(&info);
    return 0;
}

/* The writers are told by the refusal of the old key, and go on with the new one. */
int step_key(struct director *d)
{
    const instar_key_column key[] = {{.name = "demo_level"}, {.name = "id", .descending = true}};
    instar_alteration steps[] = {
        {.kind = INSTAR_ALTER_DROP_PRIMARY_KEY},
        {.kind = INSTAR_ALTER_ADD_PRIMARY_KEY, .key = key, .key_count = 2}};
    instar_change_info info;

    if (alter_step(d, "another primary key", steps, 2, &info) != 0) {
        return -1;
    }
    printf("%s: %" PRIu64 " rows and all indexes written anew\n", info.statement, info.rows_done);
    return 0;
}

/* What rows held in it is there again, and so is NOT NULL: rows that were inserted meanwhile have
 * the value that it came with. */
int step_undo(struct director *d)
{
    instar_alteration step = {.kind = INSTAR_ALTER_DROP_COLUMN, .name = "demo_level"};
    instar_change_options options;
    instar_change_info info;
    uint64_t drop = 0, undo = 0;
    int rc;

    instar_change_options_init(&options);
    options.undo_window_s = 3600;
    step_begin(d);
    rc = instar_alter_table(d->db, DEMO_TABLE, &step, 1, &options, &drop);
    rc = rc == INSTAR_OK ? follow(d, drop, &info) : rc;
    rc = rc == INSTAR_OK ? instar_change_undo(d->db, drop, NULL, NULL, &undo) : rc;
    rc = rc == INSTAR_OK ? follow(d, undo, &info) : rc;
    if (step_end_change(d, "drop column, undo", rc) != 0) {
        return -1;
    }
    printf("%s: %" PRIu64 " rows read, for its NOT NULL\n", info.statement, info.rows_done);
    return 0;
}

int step_vacuum(struct director *d)
{
    instar_change_info info;
    instar_change_options options;
    uint64_t change = 0;
    int rc;

    instar_change_options_init(&options);
    options.flags = INSTAR_CHANGE_HURRY; /* beside four busy writers it would stand back for long */
    step_begin(d);
    rc = instar_vacuum(d->db, DEMO_TABLE, &options, &change);
    rc = rc == INSTAR_OK ? follow(d, change, &info) : rc;
    if (step_end_change(d, "vacuum, in a hurry", rc) != 0) {
        return -1;
    }
    printf("%" PRIu64 " rows looked at, those of older layouts rewritten\n", info.rows_done);
    return 0;
}
