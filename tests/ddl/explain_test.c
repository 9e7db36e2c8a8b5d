/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EXPLAIN of each operation, and of some that say more, while memory is refused at each place that
 * asks for any: it says that there was none, or what it says otherwise.
 */
#define _GNU_SOURCE
#include "ddl/operations.h"
#include "ddl/refusals.h"
#include "support/moves.h"
#include "support/sqls.h"

#include <instar_sql.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define OWN 2 /* calls: the hook, and the allocator */
#define A_FEW 2
#define TOLD 4096

static const char *const more[] = {
    "CREATE INDEX i ON w (truth, id)",
    "CREATE INDEX i ON w (data, (num + 1)) WITH (sort_memory_bytes = 1048576)",
    "BEGIN; ALTER TABLE w ADD COLUMN y int8; CREATE INDEX i ON w (y, truth); COMMIT",
    "BEGIN; ALTER TABLE w RENAME TO v; ALTER TABLE v ADD CHECK (num > 0); CREATE INDEX i ON v "
    "(num); COMMIT",
    "BEGIN; CREATE TABLE v (a int8); ALTER TABLE w ALTER num SET NOT NULL; DROP TABLE p; COMMIT",
    "BEGIN; ALTER TABLE w ADD UNIQUE (num); ALTER TABLE p ADD UNIQUE (b); COMMIT",
    "BEGIN; ALTER TABLE w DROP CONSTRAINT w_pkey, ADD PRIMARY KEY (num); DROP INDEX w_num; COMMIT",
    "BEGIN; ALTER TABLE w DROP CONSTRAINT w_pkey, ADD PRIMARY KEY (num); CREATE INDEX i ON w "
    "(truth); ALTER TABLE w ADD y int8; COMMIT",
    "BEGIN; ALTER INDEX w_num RENAME TO v; COMMENT ON INDEX v IS 'v'; COMMIT",
    "BEGIN; ALTER TABLE w DROP CONSTRAINT w_pkey, ADD PRIMARY KEY (num); DROP INDEX w_num; ALTER "
    "TABLE p DROP CONSTRAINT p_pkey, ADD PRIMARY KEY (b); COMMIT",
    "ALTER TABLE w DROP CONSTRAINT w_pkey, ADD PRIMARY KEY (num)",
    "ALTER TABLE w DROP CONSTRAINT w_u, DROP COLUMN data, ALTER num TYPE text",
    "ALTER TABLE w ADD FOREIGN KEY (num) REFERENCES p, ADD FOREIGN KEY (id) REFERENCES nothing",
    "ALTER TABLE w ADD y int8 UNIQUE, ADD UNIQUE (truth)",
    "ALTER TABLE x DROP CONSTRAINT x_b, ALTER a SET NOT NULL",
    "ALTER TABLE x DROP COLUMN b",
    "DROP INDEX w_num",
    "DROP INDEX nothing",
    "ALTER TABLE nothing ADD x int8",
    "VACUUM w"};

static instar *begin(void)
{
    instar *db = dbs_open(0);

    ok(sqls_run(db, OPERATIONS_TABLE));
    ok(sqls_run(db, "CREATE TABLE p (a int8 PRIMARY KEY, b int8);"
                    "CREATE TABLE w (id uuid PRIMARY KEY, truth bool, data bytea, num int8, "
                    "CONSTRAINT w_u UNIQUE (num, truth)); CREATE INDEX w_num ON w (num);"
                    "ALTER TABLE w ADD z int8 DEFAULT 5; ALTER TABLE w DROP z;"
                    "CREATE TABLE x (a int8 PRIMARY KEY, b int8, CONSTRAINT x_b UNIQUE (b));"
                    "CREATE TABLE y (a int8 REFERENCES x (b))"));
    ok(alters_insert(db, "t", "a,b,c,d", "1,11,x1,2"));
    /* The row is in the trees, whose entries are counted, when the last process has closed. */
    ok(instar_close(db));
    return dbs_open(0);
}

struct asking {
    instar *db;
    const instar_sql *sql;
    char told[TOLD];
    int code;
    char words[sizeof(((instar_sql_error *)NULL)->text)];
};

static int add_line(void *arg, const char *line)
{
    char *told = arg;
    size_t used = strlen(told);

    (void)snprintf(told + used, TOLD - used, "%s\n", line);
    return 0;
}

/* A thread of the test's own is spared. */
static void *ask(void *arg)
{
    struct asking *a = arg;
    instar_sql_error error = {0};

    (void)pthread_setname_np(pthread_self(), "instar-explain");
    a->told[0] = '\0';
    a->code = instar_sql_explain(a->db, a->sql, 0, add_line, a->told, &error);
    (void)snprintf(a->words, sizeof(a->words), "%s", error.text);
    return NULL;
}

static void ask_in_a_thread(struct asking *a)
{
    pthread_t thread;

    expect(pthread_create(&thread, NULL, ask, a) == 0);
    expect(pthread_join(thread, NULL) == 0);
}

static bool refuse_new(size_t size)
{
    (void)size;
    return !refusals_is_new(0, OWN);
}

static void try(instar *db, const char *text)
{
    static const struct refusals refusals = {.share = 1};
    static char wanted[TOLD];
    struct asking a = {.db = db};
    instar_sql *sql = NULL;
    uint64_t before;

    instar_sql_error error;
    int rc = instar_sql_read(text, strlen(text), NULL, &sql, &error);
    cr_assert_eq(rc, INSTAR_OK, "%s: %s", text, error.text);
    a.sql = sql;
    ask_in_a_thread(&a);
    int code = a.code;
    (void)snprintf(wanted, sizeof(wanted), "%s", a.told);
    do {
        before = refusals_count();
        refusals_arm(&refusals, A_FEW);
        base_alloc_hook = refuse_new;
        ask_in_a_thread(&a);
        base_alloc_hook = NULL;
        cr_assert(a.code == code || (a.code == INSTAR_ENOMEM && a.words[0] != '\0'), "%s: %s, %s",
                  text, instar_error_name(a.code), a.words);
        cr_assert(a.code != code || refusals_count() != before || strcmp(a.told, wanted) == 0,
                  "%s: %s", text, a.told);
    } while (refusals_count() != before);
    instar_sql_free(sql);
}

Test(ddl_explain, memory_is_refused_at_each_place, .timeout = 600)
{
    instar *db = begin();

    for (size_t i = 0; i < operations_count; i++) {
        if (strstr(operations[i].sql, "%llu") == NULL) {
            try(db, operations[i].sql);
        }
    }
    for (size_t i = 0; i < BASE_ARRAY_LEN(more); i++) {
        try(db, more[i]);
    }
    fprintf(stderr, "%d places\n", (int)refusals_count());
    ok(instar_close(db));
}
