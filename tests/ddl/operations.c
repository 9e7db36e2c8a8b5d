/* SPDX-License-Identifier: Apache-2.0 */
/* The operations. */
#include "ddl/operations.h"

#include <instar.h>

/* A table to which t can refer: d of its rows is 1 to 3. */
#define PARENT "CREATE TABLE p (a int8 PRIMARY KEY, b int8)"
#define NOT_VALID "ALTER TABLE t ADD CONSTRAINT k CHECK (b > 10) NOT VALID"
#define CHECKED "ALTER TABLE t ADD CONSTRAINT k CHECK (b > 10)"
#define KEPT "WITH (undo_window_s = 3600)"
/* Rows from before the column have a value in it that others have, too. */
#define UNIQUE_WITH_MISSING \
    "ALTER TABLE t ADD f int8 DEFAULT 5; ALTER TABLE t ADD CONSTRAINT t_u UNIQUE (b, f)"

const struct operation operations[] = {
    /* tables */
    {"create_table", .sql = "CREATE TABLE n (a int8 PRIMARY KEY, b int8 NOT NULL, c text UNIQUE)",
     .alone = true},
    {"create_table_without_key", .sql = "CREATE TABLE n (a int8 UNIQUE, b int8)", .alone = true},
    {"create_table_that_refers", .setup = PARENT,
     .sql = "CREATE TABLE n (a int8 PRIMARY KEY, d int8 REFERENCES p)", .alone = true},
    {"drop_table", .sql = "DROP TABLE t", .alone = true},
    {"drop_table_kept", .sql = "DROP TABLE t " KEPT, .alone = true},
    {"rename_table", .sql = "ALTER TABLE t RENAME TO u"},
    {"undo_drop_table", .setup = "DROP TABLE t " KEPT, .sql = "UNDO CHANGE %llu", .alone = true},
    {"undo_drop_table_by_another_name", .setup = "DROP TABLE t " KEPT,
     .sql = "UNDO CHANGE %llu RENAME TO u", .alone = true},
    {"vacuum_of_types",
     .setup = "CREATE INDEX t_c ON t (c); ALTER TABLE t ALTER c TYPE int4 USING length(c)",
     .sql = "VACUUM t", .rewrites = true, .alone = true},
    {"vacuum_of_kept_column", .setup = "ALTER TABLE t DROP COLUMN e " KEPT, .sql = "VACUUM t",
     .rewrites = true, .alone = true},
    {"vacuum_of_nothing", .sql = "VACUUM t", .rewrites = true, .alone = true},
    {"vacuum", .setup = "ALTER TABLE t ADD COLUMN f int8 DEFAULT 5, DROP COLUMN e",
     .sql = "VACUUM t", .rewrites = true, .alone = true},
    /* columns */
    {"add_column", .sql = "ALTER TABLE t ADD COLUMN f int8"},
    {"add_column_default", .sql = "ALTER TABLE t ADD COLUMN f int8 DEFAULT 5"},
    {"add_column_not_null", .sql = "ALTER TABLE t ADD COLUMN f text NOT NULL DEFAULT 'ff'"},
    {"add_column_checked", .sql = "ALTER TABLE t ADD COLUMN f int8 DEFAULT 5 CHECK (f > 4)"},
    {"add_column_unique", .sql = "ALTER TABLE t ADD COLUMN f int8 UNIQUE"},
    /* U5: from enforcing on the second row with it is a duplicate. */
    {"add_column_unique_default", .sql = "ALTER TABLE t ADD COLUMN f int8 DEFAULT 5 UNIQUE",
     .error = INSTAR_EUNIQUE},
    {"drop_column", .sql = "ALTER TABLE t DROP COLUMN e"},
    {"drop_column_kept", .sql = "ALTER TABLE t DROP COLUMN e " KEPT},
    {"drop_and_add_column", .sql = "ALTER TABLE t DROP COLUMN e, ADD COLUMN e int8 DEFAULT 1"},
    {"undo_drop_column", .setup = "ALTER TABLE t DROP COLUMN e " KEPT, .sql = "UNDO CHANGE %llu",
     .alone = true},
    {"undo_drop_column_not_null",
     .setup = "ALTER TABLE t ALTER c SET NOT NULL; ALTER TABLE t DROP COLUMN c " KEPT,
     .sql = "UNDO CHANGE %llu", .alone = true, .error = INSTAR_ENOT_NULL},
    {"undo_drop_column_without_not_null",
     .setup = "ALTER TABLE t ALTER c SET NOT NULL; ALTER TABLE t DROP COLUMN c " KEPT,
     .sql = "UNDO CHANGE %llu DROP NOT NULL", .alone = true},
    {"undo_drop_column_by_another_name", .setup = "ALTER TABLE t DROP COLUMN e " KEPT,
     .sql = "UNDO CHANGE %llu RENAME TO g", .alone = true},
    {"drop_column_with_unique", .setup = UNIQUE_WITH_MISSING,
     .sql = "ALTER TABLE t DROP CONSTRAINT t_u, DROP COLUMN f"},
    {"drop_column_with_index", .sql = "BEGIN; DROP INDEX t_b; ALTER TABLE t DROP b; COMMIT"},
    {"rename_column", .sql = "ALTER TABLE t RENAME COLUMN b TO bb"},
    {"set_default", .sql = "ALTER TABLE t ALTER COLUMN b SET DEFAULT 77"},
    {"change_default", .sql = "ALTER TABLE t ALTER COLUMN d SET DEFAULT 3"},
    {"drop_default", .sql = "ALTER TABLE t ALTER COLUMN d DROP DEFAULT"},
    {"set_not_null", .sql = "ALTER TABLE t ALTER COLUMN c SET NOT NULL"},
    {"set_not_null_on_nulls", .sql = "ALTER TABLE t ALTER COLUMN e SET NOT NULL",
     .error = INSTAR_ENOT_NULL},
    {"drop_not_null", .setup = "ALTER TABLE t ALTER COLUMN c SET NOT NULL",
     .sql = "ALTER TABLE t ALTER COLUMN c DROP NOT NULL"},
    /* types */
    {"widen_type", .setup = "ALTER TABLE t ADD COLUMN f int4 DEFAULT 5",
     .sql = "ALTER TABLE t ALTER COLUMN f TYPE int8"},
    {"widen_type_of_index", .setup = "ALTER TABLE t ALTER COLUMN b TYPE int4",
     .sql = "ALTER TABLE t ALTER COLUMN b TYPE int8"},
    {"widen_text", .setup = "ALTER TABLE t ALTER COLUMN c TYPE varchar(12)",
     .sql = "ALTER TABLE t ALTER COLUMN c TYPE text"},
    {"same_type", .sql = "ALTER TABLE t ALTER COLUMN b TYPE int8"},
    {"narrow_type", .sql = "ALTER TABLE t ALTER COLUMN b TYPE int2"},
    {"narrow_type_of_key", .sql = "ALTER TABLE t ALTER COLUMN a TYPE int2"},
    {"narrow_text", .sql = "ALTER TABLE t ALTER COLUMN c TYPE varchar(12)"},
    {"narrow_text_that_is_longer", .sql = "ALTER TABLE t ALTER COLUMN c TYPE varchar(2)",
     .error = INSTAR_ERANGE},
    {"number_to_text", .sql = "ALTER TABLE t ALTER COLUMN d TYPE text"},
    {"type_using", .sql = "ALTER TABLE t ALTER COLUMN c TYPE int4 USING length(c)"},
    {"type_using_same_type", .sql = "ALTER TABLE t ALTER COLUMN d TYPE int8 USING d * 10"},
    {"type_of_index", .sql = "ALTER TABLE t ALTER COLUMN b TYPE text"},
    {"type_of_indexes",
     .setup = "CREATE UNIQUE INDEX t_u ON t (b) INCLUDE (d); CREATE INDEX t_i ON t (c) WHERE d > 1",
     .sql = "ALTER TABLE t ALTER COLUMN d TYPE int4"},
    {"type_using_of_index", .setup = "CREATE INDEX t_c ON t (c)",
     .sql = "ALTER TABLE t ALTER COLUMN c TYPE int4 USING length(c)"},
    {"type_using_of_unique_index", .setup = "CREATE UNIQUE INDEX t_c ON t (c)",
     .sql = "ALTER TABLE t ALTER COLUMN c TYPE int4 USING length(c)", .error = INSTAR_EUNIQUE},
    {"type_of_key", .sql = "ALTER TABLE t ALTER COLUMN a TYPE text"},
    {"type_of_key_and_more", .setup = "ALTER TABLE t ALTER COLUMN a TYPE text",
     .sql =
         "BEGIN; ALTER TABLE t ALTER COLUMN a TYPE int4 USING a::int4, ALTER COLUMN b TYPE text; "
         "CREATE UNIQUE INDEX t_i ON t (c); COMMIT"},
    {"widen_type_of_checked", .setup = "ALTER TABLE t ADD COLUMN f int4 DEFAULT 5 CHECK (f > 4)",
     .sql = "ALTER TABLE t ALTER COLUMN f TYPE int8"},
    {"narrow_type_beside_index",
     .sql = "BEGIN; ALTER TABLE t ALTER c TYPE varchar(12); CREATE INDEX t_i ON t (d); COMMIT"},
    /* checks */
    {"add_check", .sql = CHECKED},
    {"add_check_without_name", .sql = "ALTER TABLE t ADD CHECK (length(c) > 2)"},
    {"add_check_that_rows_break", .sql = "ALTER TABLE t ADD CONSTRAINT k CHECK (b > 20)",
     .error = INSTAR_ECHECK},
    {"add_check_not_valid", .sql = NOT_VALID},
    {"validate_check", .setup = NOT_VALID, .sql = "ALTER TABLE t VALIDATE CONSTRAINT k"},
    {"validate_check_that_rows_break",
     .setup = "ALTER TABLE t ADD CONSTRAINT k CHECK (b > 20) NOT VALID",
     .sql = "ALTER TABLE t VALIDATE CONSTRAINT k", .error = INSTAR_ECHECK},
    {"drop_check", .setup = CHECKED, .sql = "ALTER TABLE t DROP CONSTRAINT k"},
    {"rename_check", .setup = CHECKED, .sql = "ALTER TABLE t RENAME CONSTRAINT k TO kk"},
    /* unique */
    {"add_unique", .sql = "ALTER TABLE t ADD CONSTRAINT t_u UNIQUE (b) INCLUDE (c)"},
    {"add_unique_over_duplicates", .sql = "ALTER TABLE t ADD CONSTRAINT t_u UNIQUE (d)",
     .error = INSTAR_EUNIQUE},
    {"drop_unique", .setup = "ALTER TABLE t ADD CONSTRAINT t_u UNIQUE (b)",
     .sql = "ALTER TABLE t DROP CONSTRAINT t_u"},
    {"rename_unique", .setup = "ALTER TABLE t ADD CONSTRAINT t_u UNIQUE (b)",
     .sql = "ALTER TABLE t RENAME CONSTRAINT t_u TO t_v"},
    /* indexes */
    {"create_index", .sql = "CREATE INDEX t_i ON t (c)"},
    {"create_index_on_several", .sql = "CREATE INDEX t_i ON t (d, c, b)"},
    {"create_index_descending",
     .sql = "CREATE INDEX t_i ON t (e DESC NULLS LAST, b ASC NULLS FIRST)"},
    {"create_index_partial", .sql = "CREATE INDEX t_i ON t (b) WHERE d > 1"},
    {"create_index_covering", .sql = "CREATE INDEX t_i ON t (d) INCLUDE (c, e)"},
    {"create_index_on_expression", .sql = "CREATE INDEX t_i ON t (lower(e), (b % 7) DESC)"},
    {"create_unique_index", .sql = "CREATE UNIQUE INDEX t_i ON t (b DESC)"},
    {"create_unique_index_partial", .sql = "CREATE UNIQUE INDEX t_i ON t (b) WHERE d > 1"},
    {"create_unique_index_over_duplicates", .sql = "CREATE UNIQUE INDEX t_i ON t (d)",
     .error = INSTAR_EUNIQUE},
    {"drop_index", .sql = "DROP INDEX t_b"},
    {"drop_unique_index", .setup = "CREATE UNIQUE INDEX t_i ON t (b)", .sql = "DROP INDEX t_i"},
    {"rename_index", .sql = "ALTER INDEX t_b RENAME TO t_bb"},
    {"replace_index", .sql = "BEGIN; DROP INDEX t_b; CREATE INDEX t_i ON t (b, c); COMMIT"},
    {"create_two_indexes", .sql = "BEGIN; CREATE INDEX t_i ON t (c); CREATE UNIQUE INDEX t_u ON t "
                                  "(b) INCLUDE (e) WHERE d > 0; COMMIT"},
    /* keys */
    {"add_primary_key", .sql = "ALTER TABLE t ADD PRIMARY KEY (b)", .keyless = true},
    {"change_primary_key", .sql = "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b, a)"},
    {"change_primary_key_over_duplicates",
     .sql = "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (d)", .error = INSTAR_EUNIQUE},
    {"drop_primary_key", .sql = "ALTER TABLE t DROP CONSTRAINT t_pkey", .rewrites = true},
    {"add_primary_key_and_column",
     .sql = "ALTER TABLE t ADD COLUMN f int8 DEFAULT 5, ADD PRIMARY KEY (b)", .keyless = true},
    {"change_primary_key_and_more", .setup = "ALTER TABLE t ADD CONSTRAINT t_u UNIQUE (c)",
     .sql = "BEGIN; ALTER TABLE t DROP CONSTRAINT t_pkey, ADD COLUMN f int8 DEFAULT 5, ADD PRIMARY "
            "KEY (b, a), DROP COLUMN e; CREATE INDEX t_i ON t (d, f) INCLUDE (c); DROP INDEX t_b; "
            "COMMIT"},
    {"change_primary_key_and_fail",
     .sql = "BEGIN; ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b); CREATE UNIQUE INDEX "
            "t_i ON t (d); COMMIT",
     .error = INSTAR_EUNIQUE},
    {"drop_primary_key_and_more",
     .sql = "BEGIN; ALTER TABLE t DROP CONSTRAINT t_pkey, ADD COLUMN f int8 DEFAULT 5; CREATE "
            "UNIQUE INDEX t_i ON t (b, f); COMMIT",
     .rewrites = true},
    /* references */
    {"add_reference", .setup = PARENT "; CREATE INDEX t_d ON t (d)",
     .sql = "ALTER TABLE t ADD CONSTRAINT r FOREIGN KEY (d) REFERENCES p"},
    {"add_reference_with_index", .setup = PARENT,
     .sql = "ALTER TABLE t ADD CONSTRAINT r FOREIGN KEY (d) REFERENCES p (a) ON DELETE RESTRICT"},
    {"add_reference_to_nothing", .setup = PARENT,
     .sql = "ALTER TABLE t ADD CONSTRAINT r FOREIGN KEY (b) REFERENCES p",
     .error = INSTAR_EREFERENCE},
    {"add_reference_not_valid", .setup = PARENT "; CREATE INDEX t_d ON t (d)",
     .sql = "ALTER TABLE t ADD CONSTRAINT r FOREIGN KEY (d) REFERENCES p NOT VALID"},
    {"validate_reference",
     .setup = PARENT "; ALTER TABLE t ADD CONSTRAINT r FOREIGN KEY (d) REFERENCES p NOT VALID",
     .sql = "ALTER TABLE t VALIDATE CONSTRAINT r"},
    {"drop_reference",
     .setup = PARENT "; ALTER TABLE t ADD CONSTRAINT r FOREIGN KEY (d) REFERENCES p",
     .sql = "ALTER TABLE t DROP CONSTRAINT r"},
    {"narrow_type_of_reference",
     .setup = PARENT "; ALTER TABLE t ADD CONSTRAINT r FOREIGN KEY (d) REFERENCES p",
     .sql = "ALTER TABLE t ALTER COLUMN d TYPE int4"},
    {"narrow_type_of_referenced_key",
     .setup = "ALTER TABLE t ADD CONSTRAINT r FOREIGN KEY (d) REFERENCES t",
     .sql = "ALTER TABLE t ALTER COLUMN a TYPE int4"},
    /* comments */
    {"comment_on_table", .sql = "COMMENT ON TABLE t IS 'what there is'"},
    {"comment_on_column", .sql = "COMMENT ON COLUMN t.b IS 'a number'"},
    {"comment_on_index", .sql = "COMMENT ON INDEX t_b IS 'by number'"},
    {"comment_on_check", .setup = CHECKED, .sql = "COMMENT ON CONSTRAINT k ON t IS 'above ten'"},
    {"comment_no_more", .setup = "COMMENT ON TABLE t IS 'what there is'",
     .sql = "COMMENT ON TABLE t IS NULL"},
    /* several in one change */
    {"alter_names_and_columns",
     .sql =
         "BEGIN; ALTER TABLE t ALTER c SET NOT NULL; ALTER TABLE t RENAME b TO bb; ALTER TABLE t "
         "ADD f int8 DEFAULT 5, DROP e; COMMIT"},
    {"alter_check_and_its_column",
     .sql = "BEGIN; ALTER TABLE t ADD CHECK (b > 10) NOT VALID; ALTER TABLE t VALIDATE CONSTRAINT "
            "t_b_check; ALTER TABLE t RENAME b TO bb; COMMIT"},
    {"alter_two_checks", .sql =
                             "ALTER TABLE t ADD f int8 DEFAULT 5, ADD CHECK (f > 4), ALTER c SET "
                             "NOT NULL"},
    {"alter_type_and_check",
     .sql =
         "BEGIN; ALTER TABLE t ALTER b TYPE int4; ALTER TABLE t RENAME b TO bb; ALTER TABLE t ADD "
         "CHECK (bb > 10), ALTER bb SET NOT NULL; COMMIT"},
    {"alter_type_of_new_column", .sql = "ALTER TABLE t ADD f int4 DEFAULT 5, ALTER f TYPE int8"},
    {"alter_type_and_add", .sql = "ALTER TABLE t ALTER c TYPE int4 USING length(c), ADD f int8"},
    {"alter_names_and_fail",
     .sql =
         "BEGIN; ALTER TABLE t RENAME TO u; ALTER INDEX t_b RENAME TO u_b; ALTER TABLE u ALTER e "
         "SET NOT NULL; ALTER TABLE u ADD f int8; COMMIT",
     .error = INSTAR_ENOT_NULL},
    {"several", .sql = "BEGIN; ALTER TABLE t ADD COLUMN f int8 DEFAULT 7, ALTER COLUMN c SET NOT "
                       "NULL; CREATE UNIQUE INDEX t_i ON t (b, f); DROP INDEX t_b; ALTER TABLE t "
                       "RENAME COLUMN e TO g; COMMIT"},
    {"several_of_which_one_fails",
     .sql = "BEGIN; ALTER TABLE t ADD COLUMN f int8 DEFAULT 7; ALTER TABLE t RENAME COLUMN "
            "c TO g; CREATE UNIQUE INDEX t_i ON t (d); DROP INDEX t_b; COMMIT",
     .error = INSTAR_EUNIQUE},
    /* several tables in one change */
    {"create_and_alter_table", .sql = "BEGIN; CREATE TABLE n (a int8 PRIMARY KEY, b int8); "
                                      "ALTER TABLE t ADD f int8 DEFAULT 5; COMMIT"},
    {"create_and_index_table",
     .sql = "BEGIN; CREATE TABLE n (a int8 PRIMARY KEY, c text); CREATE UNIQUE INDEX n_c ON n (c); "
            "CREATE UNIQUE INDEX t_i ON t (b); ALTER TABLE t ALTER c SET NOT NULL; COMMIT"},
    {"drop_and_alter_table", .setup = PARENT,
     .sql = "BEGIN; DROP TABLE p; ALTER TABLE t DROP e, ALTER c SET NOT NULL; COMMIT"},
    {"alter_two_tables", .setup = PARENT,
     .sql = "BEGIN; ALTER TABLE t RENAME b TO bb; ALTER TABLE p ADD f int8 DEFAULT 5, ALTER b SET "
            "NOT NULL; COMMIT"},
    {"alter_and_index_two_tables", .setup = PARENT,
     .sql = "BEGIN; CREATE INDEX t_i ON t (c); CREATE UNIQUE INDEX p_i ON p (b); DROP INDEX t_b; "
            "ALTER TABLE p RENAME TO q; COMMIT"},
    {"create_two_tables_that_refer",
     .sql = "BEGIN; CREATE TABLE m (a int8 PRIMARY KEY); CREATE TABLE n (a int8 PRIMARY KEY, d "
            "int8 REFERENCES m); COMMIT"},
    {"create_table_that_is_referred_to", .setup = PARENT,
     .sql = "BEGIN; CREATE TABLE m (a int8 PRIMARY KEY); ALTER TABLE p ADD d int8 REFERENCES m; "
            "COMMIT"},
    {"alter_types_of_two_tables", .setup = PARENT,
     .sql = "BEGIN; ALTER TABLE t ALTER b TYPE text; ALTER TABLE p ALTER b TYPE int4; COMMIT"},
    {"narrow_types_of_two_tables", .setup = PARENT "; CREATE UNIQUE INDEX p_b ON p (b)",
     .sql = "BEGIN; ALTER TABLE t ALTER c TYPE varchar(12); ALTER TABLE p ALTER b TYPE int8 USING "
            "b * 10; COMMIT"},
    {"alter_two_tables_and_refer", .setup = PARENT,
     .sql = "BEGIN; ALTER TABLE t ADD CONSTRAINT r FOREIGN KEY (d) REFERENCES p; ALTER TABLE p "
            "RENAME b TO bb; COMMIT"},
    {"alter_two_tables_and_fail", .setup = PARENT,
     .sql = "BEGIN; ALTER TABLE p ADD f int8 DEFAULT 5; CREATE INDEX p_b ON p (b); ALTER TABLE t "
            "ALTER e SET NOT NULL; COMMIT",
     .error = INSTAR_ENOT_NULL},
    {"create_and_drop_tables_and_fail", .setup = PARENT,
     .sql = "BEGIN; DROP TABLE p; CREATE TABLE n (a int8 PRIMARY KEY, b int8); CREATE UNIQUE INDEX "
            "t_i ON t (d); COMMIT",
     .error = INSTAR_EUNIQUE},
};
const size_t operations_count = sizeof(operations) / sizeof(operations[0]);
