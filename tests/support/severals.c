/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of several tables, and what there is to be seen of them. */
#include "support/severals.h"

#include <instar_sql.h>
#include <stdio.h>
#include <string.h>

const struct several_case severals_cases[] = {
    /* New tables alone: nobody is waited for. */
    {"CREATE TABLE n (id int8 PRIMARY KEY, m int8); CREATE TABLE m (id int8 PRIMARY KEY, n int8 "
     "REFERENCES n); ALTER TABLE n ADD FOREIGN KEY (m) REFERENCES m; CREATE INDEX n_i ON n (id, m)",
     {"change.submitted"},
     {"change.public"}},
    /* One that refers to a table that is there, beside one that goes. */
    {"CREATE TABLE n (id int8 PRIMARY KEY, p int8 REFERENCES p, m int8); CREATE TABLE m (id int8 "
     "PRIMARY KEY); ALTER TABLE n ADD FOREIGN KEY (m) REFERENCES m; DROP TABLE d",
     {"change.submitted", "change.hidden"},
     {"change.public", "change.purged"}},
    /* Names, and rows that are looked at. */
    {"ALTER TABLE c RENAME COLUMN w TO x; ALTER TABLE p RENAME TO q; ALTER TABLE c ALTER x SET NOT "
     "NULL; ALTER TABLE q ADD CHECK (v > 0); CREATE TABLE n (id int8 PRIMARY KEY)",
     {"change.submitted", "change.enforcing", "change.validated"},
     {"change.public", "change.retired"}},
    /* All of it. */
    {"CREATE TABLE n (id int8 PRIMARY KEY, p int8 REFERENCES p, m int8);"
     "CREATE TABLE m (id int8 PRIMARY KEY); ALTER TABLE n ADD FOREIGN KEY (m) REFERENCES m;"
     "ALTER TABLE c ADD COLUMN x int8 DEFAULT 5, ALTER COLUMN w SET NOT NULL;"
     "CREATE INDEX c_x ON c (x, w); DROP INDEX c_w; DROP TABLE d;"
     "ALTER TABLE p RENAME COLUMN v TO z; ALTER TABLE p ADD CONSTRAINT p_z UNIQUE (z);"
     "ALTER TABLE c ADD COLUMN m int8 REFERENCES m",
     {"change.submitted", "change.delete_only", "change.write_only", "change.cut", "build.snapshot",
      "change.fold_end", "change.enforcing", "change.validated"},
     {"change.public", "change.lowered", "change.absent", "change.purged"}},
};
const size_t severals_count = BASE_ARRAY_LEN(severals_cases);

void severals_make_tables(instar *db)
{
    ok(sqls_run(db, "CREATE TABLE p (id int8 PRIMARY KEY, v int8);"
                    "CREATE TABLE c (id int8 PRIMARY KEY, p int8 REFERENCES p, w int8);"
                    "CREATE TABLE d (id int8 PRIMARY KEY, p int8 REFERENCES p);"
                    "CREATE INDEX c_w ON c (w)"));
    ok(moves_run(db, "insert p 1,10 ; insert p 2,20 ; insert p 3,30 ; insert c 1,1,7 ; insert c "
                     "2,2,8 ; insert d 1,1"));
}

uint64_t severals_submit(instar *db, const char *sql)
{
    char text[2048];
    instar_sql_error error;
    instar_sql *read = NULL;
    uint64_t change = 0;

    (void)snprintf(text, sizeof(text), "BEGIN; %s; COMMIT", sql);
    if (instar_sql_read(text, strlen(text), NULL, &read, &error) != INSTAR_OK ||
        instar_sql_submit(db, read, 0, &change, &error) != INSTAR_OK) {
        test_fail(__FILE__, __LINE__, "%s: %s", sql, error.text);
    }
    instar_sql_free(read);
    return change;
}

static int add_table(void *arg, const instar_table_info *info)
{
    char text[4096];
    FILE *f = arg;

    (void)instar_sql_format_table(info, text, sizeof(text));
    fputs(text, f);
    (void)instar_sql_format_fkeys(info, text, sizeof(text));
    fputs(text, f);
    return 0;
}

const char *severals_schema(instar *db)
{
    static char text[16384];
    FILE *f = fmemopen(text, sizeof(text), "w");

    ok(instar_table_list(db, NULL, add_table, f));
    (void)fclose(f);
    return text;
}

const char *severals_rows(instar *db)
{
    static char text[4096];
    char p[1024];

    (void)snprintf(p, sizeof(p), "%s", sqls_scan(db, "p", "id", NULL, NULL));
    (void)snprintf(text, sizeof(text), "%s | %s", p, sqls_scan(db, "c", "id,p", NULL, NULL));
    return text;
}

static int count_table(void *arg, const instar_table_info *info)
{
    (void)info;
    ++*(size_t *)arg;
    return 0;
}

size_t severals_tables(instar *db)
{
    size_t count = 0;

    ok(instar_table_list(db, NULL, count_table, &count));
    return count;
}
