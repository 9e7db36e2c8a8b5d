/* SPDX-License-Identifier: Apache-2.0 */
/* COMMENT ON: kept with the table, shown, printed back, and gone with what it is about. */
#include "support/sqls.h"

#include <stdio.h>
#include <string.h>

static bool shows(instar *db, const char *line)
{
    return strstr(sqls_schema(db, "t"), line) != NULL;
}

/* u(id), t(a, b, c) with an index, a UNIQUE, a check and a foreign key; each has a comment. */
static const char make[] =
    "CREATE TABLE u (id int8 PRIMARY KEY);"
    "CREATE TABLE t (a int8 PRIMARY KEY, b int8 REFERENCES u, c text CONSTRAINT t_c UNIQUE,"
    " CONSTRAINT t_pos CHECK (b > 0));"
    "CREATE INDEX t_bc ON t (b, c);"
    "COMMENT ON TABLE t IS 'the table';"
    "COMMENT ON COLUMN t.b IS 'it''s b';"
    "COMMENT ON INDEX t_bc IS E'two\\nlines';"
    "COMMENT ON CONSTRAINT t_c ON t IS 'one of each';"
    "COMMENT ON CONSTRAINT t_pos ON t IS 'above zero';"
    "COMMENT ON CONSTRAINT t_b_fkey ON t IS 'of u';";

/* Each thing has its own; what is printed makes the same again. */
Test(comment, printed_and_read_back)
{
    static const char *const lines[] = {
        "COMMENT ON TABLE t IS 'the table';\n",
        "COMMENT ON COLUMN t.b IS 'it''s b';\n",
        "COMMENT ON INDEX t_bc IS E'two\\x0alines';\n",
        "COMMENT ON CONSTRAINT t_c ON t IS 'one of each';\n",
        "COMMENT ON CONSTRAINT t_pos ON t IS 'above zero';\n",
        "COMMENT ON CONSTRAINT t_b_fkey ON t IS 'of u';\n",
    };
    instar *db = dbs_open(INSTAR_OPEN_CREATE);
    char first[8192];

    ok(sqls_run(db, make));
    for (size_t i = 0; i < BASE_ARRAY_LEN(lines); i++) {
        expect(shows(db, lines[i]));
    }
    snprintf(first, sizeof(first), "%s", sqls_schema(db, "t"));
    ok(sqls_run(db, "ALTER TABLE t DROP CONSTRAINT t_b_fkey; DROP TABLE t"));
    ok(sqls_run(db, first));
    expect(strcmp(first, sqls_schema(db, "t")) == 0);
    ok(instar_close(db));
    db = dbs_open(0);
    expect(strcmp(first, sqls_schema(db, "t")) == 0);
    ok(instar_check(db, NULL, NULL, NULL));
    ok(instar_close(db));
}

static uint64_t count_comments(instar *db)
{
    uint64_t count = 0;

    for (const char *at = sqls_schema(db, "t"); (at = strstr(at, "COMMENT ON")) != NULL; at++) {
        count++;
    }
    return count;
}

/* NULL and '' take it away; what goes takes it along, also when its name comes back. */
Test(comment, gone_with_its_object)
{
    instar *db = dbs_open(INSTAR_OPEN_CREATE);

    ok(sqls_run(db, make));
    ok(sqls_run(db, "COMMENT ON TABLE t IS NULL; COMMENT ON COLUMN t.b IS ''"));
    expect_u64(count_comments(db), 4);
    ok(sqls_run(db, "DROP INDEX t_bc; CREATE INDEX t_bc ON t (b)"));
    expect_u64(count_comments(db), 3);
    ok(sqls_run(db, "ALTER TABLE t DROP CONSTRAINT t_pos, ADD CONSTRAINT t_pos CHECK (b > 0)"));
    expect_u64(count_comments(db), 2);
    ok(sqls_run(db, "ALTER TABLE t DROP CONSTRAINT t_b_fkey"));
    ok(sqls_run(db, "COMMENT ON COLUMN t.c IS 'text'"));
    ok(sqls_run(db, "BEGIN; ALTER TABLE t DROP CONSTRAINT t_c; ALTER TABLE t DROP COLUMN c;"
                    "ALTER TABLE t ADD COLUMN c text; COMMIT"));
    expect_u64(count_comments(db), 0);
    ok(instar_close(db));
}

/* Renames, another type, another primary key and a vacuum leave them where they were. */
Test(comment, stays_through_other_changes)
{
    instar *db = dbs_open(INSTAR_OPEN_CREATE);

    ok(sqls_run(db, make));
    ok(sqls_run(db, "ALTER TABLE t DROP CONSTRAINT t_b_fkey; ALTER TABLE t RENAME b TO d;"
                    "ALTER INDEX t_bc RENAME TO t_dc; ALTER TABLE t RENAME CONSTRAINT t_c TO t_k;"
                    "ALTER TABLE t RENAME CONSTRAINT t_pos TO t_plus;"
                    "ALTER TABLE t ALTER d TYPE int4; ALTER TABLE t ALTER a SET DEFAULT 5"));
    ok(sqls_run(db, "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (c)"));
    expect(shows(db, "COMMENT ON COLUMN t.d IS 'it''s b';\n"));
    expect(shows(db, "COMMENT ON INDEX t_dc IS E'two\\x0alines';\n"));
    expect(shows(db, "COMMENT ON CONSTRAINT t_k ON t IS 'one of each';\n"));
    expect(shows(db, "COMMENT ON CONSTRAINT t_plus ON t IS 'above zero';\n"));
    ok(sqls_run(db, "ALTER TABLE t DROP COLUMN a; VACUUM t"));
    expect_u64(count_comments(db), 5);
    ok(instar_check(db, NULL, NULL, NULL));
    ok(instar_close(db));
}

static void undo(instar *db, const char *drop)
{
    instar_change_options o = scene_options(30000);
    instar_change_info info;
    uint64_t change = 0, back = 0;

    o.undo_window_s = 1000;
    if (drop == NULL) {
        ok(instar_drop_table(db, "t", &o, &change));
    } else {
        ok(alters_submit(db, "t", drop, &o, &change));
    }
    scene_await(db, change, INSTAR_OK, &info);
    ok(instar_change_undo(db, change, NULL, NULL, &back));
    scene_await(db, back, INSTAR_OK, &info);
}

/* What an undo brings back has its comments, without them no others have come. */
Test(comment, comes_back_with_an_undo)
{
    instar *db = dbs_open(INSTAR_OPEN_CREATE);

    ok(sqls_run(db, make));
    ok(sqls_run(db, "ALTER TABLE t ADD COLUMN e int8; COMMENT ON COLUMN t.e IS 'kept'"));
    undo(db, "drop e");
    expect(shows(db, "COMMENT ON COLUMN t.e IS 'kept';\n"));
    expect_u64(count_comments(db), 7);
    undo(db, NULL);
    expect_u64(count_comments(db), 6); /* without the foreign key's */
    ok(instar_close(db));
}

/* Between BEGIN and COMMIT it may be about what the same change makes. */
Test(comment, one_of_several_statements)
{
    instar *db = dbs_open(INSTAR_OPEN_CREATE);
    instar_change_info info;
    uint64_t change;

    ok(sqls_run(db, make));
    ok(sqls_run(db, "BEGIN; ALTER TABLE t ADD COLUMN e int8 CONSTRAINT t_e CHECK (e > 1);"
                    "CREATE UNIQUE INDEX t_ei ON t (e); COMMENT ON INDEX t_ei IS 'new';"
                    "COMMENT ON COLUMN t.e IS 'e'; COMMENT ON CONSTRAINT t_e ON t IS 'check';"
                    "DROP INDEX t_bc; COMMENT ON TABLE t IS 'another'; COMMIT"));
    expect(shows(db, "COMMENT ON INDEX t_ei IS 'new';\n"));
    expect(shows(db, "COMMENT ON COLUMN t.e IS 'e';\n"));
    expect(shows(db, "COMMENT ON CONSTRAINT t_e ON t IS 'check';\n"));
    expect(shows(db, "COMMENT ON TABLE t IS 'another';\n"));
    expect(!shows(db, "t_bc"));
    ok(sqls_run(db, "BEGIN; ALTER TABLE t ADD CONSTRAINT t_f CHECK (b < 100);"
                    "COMMENT ON CONSTRAINT t_f ON t IS 'f'; COMMIT"));
    expect(shows(db, "COMMENT ON CONSTRAINT t_f ON t IS 'f';\n"));
    ok(instar_alter_table(
        db, "t",
        (instar_alteration[]){
            {.kind = INSTAR_ALTER_RENAME_COLUMN, .name = "e", .new_name = "f"},
            {.kind = INSTAR_ALTER_COMMENT_COLUMN, .name = "f", .comment = "it's"}},
        2, NULL, &change));
    scene_await(db, change, INSTAR_OK, &info);
    expect(strcmp(info.statement, "ALTER TABLE t RENAME COLUMN e TO f; COMMENT ON COLUMN t.f IS "
                                  "'it''s'") == 0);
    ok(instar_close(db));
}

/* What cannot be is refused by name; what is so already is nothing to do. */
Test(comment, refused_and_nothing_to_do)
{
    static const struct {
        const char *text, *words;
        int code;
    } bad[] = {
        {"COMMENT ON TABLE x IS 'x'", "x", INSTAR_EUNKNOWN},
        {"COMMENT ON COLUMN t.x IS 'x'", "table \"t\" has no column \"x\"", INSTAR_EUNKNOWN},
        {"COMMENT ON INDEX x IS 'x'", "\"x\"", INSTAR_EUNKNOWN},
        {"COMMENT ON CONSTRAINT x ON t IS 'x'", "no constraint \"x\"", INSTAR_EUNKNOWN},
        {"COMMENT ON CONSTRAINT t_pkey ON t IS 'x'", "a primary key has no comment",
         INSTAR_EINVALID},
        {"COMMENT ON VIEW v IS 'x'", "not supported: COMMENT", INSTAR_EINVALID},
        {"COMMENT ON COLUMN s.t.b IS 'x'", "a name with a schema", INSTAR_EINVALID},
    };
    instar *db = dbs_open(INSTAR_OPEN_CREATE);
    char large[INSTAR_COMMENT_BYTES_MAX + 2];
    uint64_t change = 1;

    ok(sqls_run(db, make));
    for (size_t i = 0; i < BASE_ARRAY_LEN(bad); i++) {
        fails(sqls_run(db, bad[i].text), bad[i].code);
        if (!sqls_say(bad[i].words)) {
            test_fail(__FILE__, __LINE__, "%s: %s", bad[i].text, sqls_words());
        }
    }
    ok(instar_comment_index(db, "t_bc", "two\nlines", NULL, &change));
    expect_u64(change, 0);
    fails(instar_comment_index(db, "t_bc", "\xff", NULL, &change), INSTAR_EENCODING);
    memset(large, 'x', sizeof(large));
    large[sizeof(large) - 1] = '\0';
    fails(instar_comment_index(db, "t_bc", large, NULL, &change), INSTAR_ELIMIT);
    expect(strstr(instar_error_text(), "comment on index \"t_bc\": 4097 bytes") != NULL);
    ok(instar_comment_index(db, "t_bc", large + 1, NULL, &change));
    scene_await(db, change, INSTAR_OK, NULL);
    expect(strstr(sqls_explain(db, "COMMENT ON INDEX t_bc IS 'x'"), "metadata only") != NULL);
    expect(strstr(sqls_explain(db, "BEGIN; COMMENT ON TABLE t IS 'x';"
                                   "COMMENT ON COLUMN t.b IS 'x'; COMMIT"),
                  "metadata only: no row is read") != NULL);
    ok(instar_close(db));
}
