/* SPDX-License-Identifier: Apache-2.0 */
/* The request of an alter table as bytes, as words, and as the table that is wanted. */
#include "support/alters.h"
#include "support/tables.h"

#include "change/alter_impl.h"

static void encode(const struct alters *a, struct base_buf *out)
{
    struct alter_name names[] = {{0, "t", "größe"}, {3, "i", "j"}};

    must(alter_encode(a->steps, a->count, names, 2, out, &test_err));
}

/* Every kind of step comes back as it was. */
Test(change_alter, round_trip)
{
    static const char text[] = "rename-to u , rename-column a b , rename-index i j , "
                               "add d int8 not-null default 7 , add e text , if drop c , "
                               "set-default b it's , drop-default b , set-not-null b , "
                               "drop-not-null b";
    struct alters a;
    struct base_buf bytes = {0};
    struct alter_request back;
    char before[RECORD_STATEMENT_MAX];
    char after[RECORD_STATEMENT_MAX];

    alters_parse(&a, text);
    encode(&a, &bytes);
    must(alter_decode(base_buf_slice(&bytes), &back, &test_err));
    expect_u64(back.step_count, a.count);
    alter_describe("My Table", a.steps, a.count, before, sizeof(before));
    alter_describe("My Table", back.steps, back.step_count, after, sizeof(after));
    cr_assert_str_eq(before, after);
    cr_assert_str_eq(after,
                     "ALTER TABLE \"My Table\" RENAME TO u, RENAME COLUMN a TO b, RENAME INDEX i "
                     "TO j, ADD COLUMN d int8 NOT NULL DEFAULT 7, ADD COLUMN e text, DROP COLUMN "
                     "IF EXISTS c, ALTER COLUMN b SET DEFAULT 'it''s', ALTER COLUMN b DROP "
                     "DEFAULT, ALTER COLUMN b SET NOT NULL, ALTER COLUMN b DROP NOT NULL");
    expect_u64(back.name_count, 2);
    cr_assert_str_eq(back.names[0].new, "größe");
    expect(back.names[1].index == 3 && strcmp(back.names[1].old, "i") == 0);
    base_arena_free(&back.arena);
    base_buf_free(&bytes);
}

/* A comment stands as a statement of its own, and so does what comes behind it. */
Test(change_alter, steps_behind_a_comment)
{
    const instar_value yes = {.type = INSTAR_BOOL, .b = true};
    const instar_column_def column = {.name = "d", .type = INSTAR_BOOL, .default_value = &yes};
    const instar_alteration steps[] = {{.kind = INSTAR_ALTER_DROP_COLUMN, .name = "c"},
                                       {.kind = INSTAR_ALTER_COMMENT_TABLE, .comment = "x"},
                                       {.kind = INSTAR_ALTER_ADD_COLUMN, .column = &column},
                                       {.kind = INSTAR_ALTER_SET_DEFAULT, .name = "b"}};
    char words[RECORD_STATEMENT_MAX];

    alter_describe("t", steps, 4, words, sizeof(words));
    cr_assert_str_eq(words, "ALTER TABLE t DROP COLUMN c; COMMENT ON TABLE t IS 'x'; ALTER TABLE t "
                            "ADD COLUMN d bool DEFAULT true, ALTER COLUMN b SET DEFAULT NULL");
}

/* A foreign key comes back as it was, with all of its parts; bytes that are cut or changed are
 * refused or harmless. */
Test(change_alter, foreign_key)
{
    const char *const columns[] = {"b", "größe"};
    const char *const theirs[] = {"x", "y"};
    instar_fkey_def def = {.name = "k",
                           .columns = columns,
                           .column_count = 2,
                           .parent = "My Table",
                           .parent_columns = theirs,
                           .parent_column_count = 2,
                           .on_update = INSTAR_FKEY_RESTRICT,
                           .not_valid = true};
    const instar_alteration steps[] = {{.kind = INSTAR_ALTER_ADD_FOREIGN_KEY, .fkey = &def},
                                       {.kind = INSTAR_ALTER_VALIDATE_CONSTRAINT, .name = "k"}};
    struct base_buf bytes = {0};
    struct alter_request back;
    struct test_random chance = test_random(1);
    char words[RECORD_STATEMENT_MAX];

    must(alter_encode(steps, 2, NULL, 0, &bytes, &test_err));
    must(alter_decode(base_buf_slice(&bytes), &back, &test_err));
    alter_describe("t", back.steps, back.step_count, words, sizeof(words));
    cr_assert_str_eq(words,
                     "ALTER TABLE t ADD CONSTRAINT k FOREIGN KEY (b, \"größe\") REFERENCES \"My "
                     "Table\" (x, y) ON UPDATE RESTRICT NOT VALID, VALIDATE CONSTRAINT k");
    expect(back.steps[0].fkey->not_valid && back.steps[1].fkey == NULL);
    base_arena_free(&back.arena);
    for (int i = 0; i < 20000; i++) {
        size_t at = test_random_below(&chance, bytes.size);
        uint8_t before = bytes.data[at];
        bytes.data[at] = (uint8_t)test_random_next(&chance);
        size_t size = i % 4 == 0 ? at : bytes.size;
        int rc = alter_decode(base_slice(bytes.data, size), &back, NULL);
        expect(rc == 0 || rc == INSTAR_ECORRUPT);
        alter_describe("t", back.steps, back.step_count, words, sizeof(words));
        base_arena_free(&back.arena);
        bytes.data[at] = before;
    }
    base_buf_free(&bytes);
}

/* A long statement is cut to its room between two characters; the request is not. */
Test(change_alter, long_statement_is_cut)
{
    struct alters a;
    char value_text[80];
    char text[RECORD_STATEMENT_MAX];

    for (size_t i = 0; i < 80; i += 2) {
        memcpy(value_text + i, "ö", 2);
    }
    instar_value value = {.type = INSTAR_TEXT, .bytes = {value_text, 80}};
    instar_column_def def = {"c", INSTAR_TEXT, false, &value, 0};
    for (a.count = 0; a.count < ALTERS_STEPS_MAX; a.count++) {
        a.steps[a.count] = (instar_alteration){.kind = INSTAR_ALTER_ADD_COLUMN, .column = &def};
    }
    alter_describe("t", a.steps, a.count, text, sizeof(text));
    expect(strlen(text) >= sizeof(text) - 3);
    expect(base_utf8_valid(text, strlen(text)));
}

/* Bytes cut short, or with any byte changed: refused, or something that can be done to a table. */
Test(change_alter, damaged_bytes_are_refused_or_harmless)
{
    struct alters a;
    struct base_buf bytes = {0};
    struct alter_request back;
    struct test_random chance = test_random(1);
    struct catalog_table *t = tables_make("t", "a int8, b int8, c text", "a");
    struct catalog_table *target;

    alters_parse(&a,
                 "add d int8 not-null default 7 , set-default b 3 , rename-column c x , drop x");
    encode(&a, &bytes);
    for (size_t size = 0; size < bytes.size; size++) {
        cr_assert_eq(alter_decode(base_slice(bytes.data, size), &back, NULL), INSTAR_ECORRUPT);
        base_arena_free(&back.arena);
    }
    for (int i = 0; i < 20000; i++) {
        size_t at = test_random_below(&chance, bytes.size);
        uint8_t before = bytes.data[at];
        bytes.data[at] = (uint8_t)test_random_next(&chance);
        if (alter_decode(base_buf_slice(&bytes), &back, NULL) == 0 &&
            alter_target(t, back.steps, back.step_count, &target, NULL) == 0) {

            int rc = target != NULL ? catalog_alter_finish(t, target, &test_err) : 0;

            struct base_buf out = {0};
            if (rc == 0 && target != NULL) {
                must(catalog_table_encode(target, &out, &test_err));
            }
            base_buf_free(&out);
            catalog_table_free(target);
        }
        base_arena_free(&back.arena);
        bytes.data[at] = before;
    }
    catalog_table_free(t);
    base_buf_free(&bytes);
}

/* A NOT NULL for which the plan has no validation, because it held when the change was submitted,
 * is not published when it does not hold any more. */
Test(change_alter, not_null_that_was_taken_back_meanwhile)
{
    struct catalog_table *t = tables_make("t", "a int8, b int8", "a");
    struct alters a;
    struct catalog_table *target;

    alters_parse(&a, "set-not-null b");
    must(alter_target(t, a.steps, a.count, &target, &test_err));
    must_fail(catalog_alter_finish(t, target, &test_err), INSTAR_ESTATE);
    expect(strstr(test_err.text, "ask for it again") != NULL);
    catalog_table_free(target);
    catalog_table_free(t);
}
