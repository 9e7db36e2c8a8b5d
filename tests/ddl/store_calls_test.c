/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each operation while the store refuses each call of the layers above it, on each path of calls,
 * with the codes that it may give: a page that cannot be read, no snapshot or tree to be had, a
 * lost race, a disk or a map without room. Its functions are bent at link time (--wrap) in this
 * one program. A call that was refused has done nothing; a commit that was refused has ended its
 * transaction.
 */
#define _GNU_SOURCE
#include "ddl/cases.h"
#include "ddl/refusals.h"
#include "store/store.h"
#include "support/moves.h"
#include "support/sqls.h"

#include <instar_sql.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SHARE 24
#define SHARE_OF_ASKED 4
#else
#define SHARE 1
#define SHARE_OF_ASKED 1
#endif
#define OWN 2 /* calls: refused, and the function */

/* One of these, each for a place of its own; 0: go on. */
static int refused(struct base_err *err, const char *what, const int *codes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (refusals_is_new((uint64_t)-codes[i], OWN)) {
            return base_err_set(err, codes[i], "%s: the test says so", what);
        }
    }
    return 0;
}

/* BENT(function, (its parameters), (their names), what it does when it is refused, codes…) */
#define BENT(function, parameters, names, end, ...)                     \
    int __real_##function parameters;                                   \
    int __wrap_##function parameters;                                   \
    int __wrap_##function parameters                                    \
    {                                                                   \
        static const int codes[] = {__VA_ARGS__};                       \
        int rc = refused(err, #function, codes, BASE_ARRAY_LEN(codes)); \
        if (rc != 0) {                                                  \
            end;                                                        \
        }                                                               \
        return rc != 0 ? rc : __real_##function names;                  \
    }

BENT(store_txn_begin,
     (struct store * s, unsigned flags, struct store_txn **txn_out, struct base_err *err),
     (s, flags, txn_out, err), *txn_out = NULL, INSTAR_EBUSY, INSTAR_ESLOTS)
BENT(store_txn_get,
     (struct store_txn * t, uint64_t tree, struct base_slice key, enum store_read how,
      struct base_slice *value_out, struct base_err *err),
     (t, tree, key, how, value_out, err), *value_out = (struct base_slice){0}, INSTAR_ECORRUPT)
BENT(store_txn_put,
     (struct store_txn * t, uint64_t tree, struct base_slice key, struct base_slice value,
      struct base_err *err),
     (t, tree, key, value, err), (void)0, INSTAR_ELIMIT)
BENT(store_txn_delete,
     (struct store_txn * t, uint64_t tree, struct base_slice key, struct base_err *err),
     (t, tree, key, err), (void)0, INSTAR_ELIMIT)
BENT(store_txn_tree_op,
     (struct store_txn * t, enum store_tree_op op, uint64_t tree, struct base_err *err),
     (t, op, tree, err), (void)0, INSTAR_ELIMIT)
BENT(store_txn_commit,
     (struct store_txn * t, const struct store_commit *how, uint64_t *lsn_out,
      struct base_err *err),
     (t, how, lsn_out, err), store_txn_abort(t), INSTAR_ECONFLICT, INSTAR_ESNAPSHOT_TOO_OLD,
     INSTAR_ENOSPACE)
BENT(store_cursor_open,
     (struct store_txn * t, uint64_t tree, const struct store_range *range, enum store_read how,
      struct store_cursor **cursor_out, struct base_err *err),
     (t, tree, range, how, cursor_out, err), *cursor_out = NULL, INSTAR_ECORRUPT)
BENT(store_cursor_next,
     (struct store_cursor * c, struct base_slice *key_out, struct base_slice *value_out,
      struct base_err *err),
     (c, key_out, value_out, err), (void)0, INSTAR_ECORRUPT)
BENT(store_wait_applied,
     (struct store * s, uint64_t lsn, enum store_urge how, uint64_t deadline_ns,
      struct base_err *err),
     (s, lsn, how, deadline_ns, err), (void)0, INSTAR_EMAPFULL)
BENT(store_build_claim, (struct store * s, uint64_t tree, uint64_t token, struct base_err *err),
     (s, tree, token, err), (void)0, INSTAR_ESLOTS, INSTAR_EIO)
BENT(store_bulk_begin,
     (struct store * s, uint64_t tree, uint64_t token, bool hurry, struct store_bulk **bulk_out,
      struct base_err *err),
     (s, tree, token, hurry, bulk_out, err), *bulk_out = NULL, INSTAR_EMAPFULL)
BENT(store_bulk_append,
     (struct store_bulk * b, struct base_slice key, struct base_slice value, uint64_t hash,
      struct base_err *err),
     (b, key, value, hash, err), (void)0, INSTAR_EMAPFULL)
BENT(store_bulk_last, (struct store_bulk * b, struct base_slice *key_out, struct base_err *err),
     (b, key_out, err), *key_out = base_slice(NULL, 0), INSTAR_EIO)
BENT(store_bulk_progress, (struct store_bulk * b, struct base_slice progress, struct base_err *err),
     (b, progress, err), (void)0, INSTAR_EMAPFULL)
BENT(store_bulk_commit, (struct store_bulk * b, struct base_err *err), (b, err),
     store_bulk_abort(b), INSTAR_EIO)
BENT(store_build_progress,
     (struct store * s, uint64_t tree, struct base_buf *progress_out, struct base_err *err),
     (s, tree, progress_out, err), (void)0, INSTAR_ECORRUPT)
BENT(store_build_fold,
     (struct store * s, uint64_t tree, uint64_t token, bool hurry, uint64_t *left_out,
      struct base_err *err),
     (s, tree, token, hurry, left_out, err), (void)0, INSTAR_EMAPFULL)
BENT(store_build_settle, (struct store * s, uint64_t tree, uint64_t token, struct base_err *err),
     (s, tree, token, err), (void)0, INSTAR_EIO)
BENT(store_tree_stat,
     (struct store * s, uint64_t tree, struct store_tree_stat *stat_out, struct base_err *err),
     (s, tree, stat_out, err), (void)0, INSTAR_ECORRUPT)
BENT(store_spill_create, (struct store * s, const char *name, int *fd_out, struct base_err *err),
     (s, name, fd_out, err), *fd_out = -1, INSTAR_ENOSPACE)
BENT(store_spill_open, (struct store * s, const char *name, int *fd_out, struct base_err *err),
     (s, name, fd_out, err), *fd_out = -1, INSTAR_EIO)

static bool may_end(int code)
{
    static const int codes[] = {INSTAR_EBUSY,    INSTAR_ESLOTS,    INSTAR_ECORRUPT,
                                INSTAR_ELIMIT,   INSTAR_ECONFLICT, INSTAR_ESNAPSHOT_TOO_OLD,
                                INSTAR_ENOSPACE, INSTAR_EMAPFULL,  INSTAR_EIO};

    for (size_t i = 0; i < BASE_ARRAY_LEN(codes); i++) {
        if (code == codes[i]) {
            return true;
        }
    }
    return false;
}

/* E1. */
Test(ddl_store_calls, refused_at_each_place, .timeout = 3600)
{
    refusals_run(&(struct refusals){.share = SHARE, .runners = true, .may_end = may_end});
}

/* ---- statements that find little to do ------------------------------------------------------ */

#define OWN_OF_MEMORY 2 /* calls: the hook, and the allocator */
#define A_FEW 3
#define VACUUM_EVERY 64 /* attempts: a change that turns back may leave layouts of its table */
#define PARENT                              \
    "CREATE TABLE p (a int8 PRIMARY KEY); " \
    "ALTER TABLE t ADD CONSTRAINT r FOREIGN KEY (d) REFERENCES p"
#define CREATES_I "CREATE INDEX i ON t (b) WITH (pause = on)"
#define CREATES_N "CREATE TABLE n (a int8 PRIMARY KEY) WITH (pause = on)"
#define DROPS_T_B "DROP INDEX t_b WITH (pause = on)"
#define KEPT "WITH (undo_window_s = 3600)"
#define COMPOUND "BEGIN; DROP INDEX t_b; CREATE INDEX j ON t (c) WITH (pause = on); COMMIT"

/* %llu is the number of the change before. held: it stands still meanwhile. */
static const struct {
    const char *setup, *sql, *held;
} asked[] = {
    {NULL, "CREATE INDEX IF NOT EXISTS t_b ON t (b)", NULL},
    {NULL, "CREATE INDEX IF NOT EXISTS t_b ON t (c)", NULL},
    {NULL, "CREATE INDEX t_b ON t (b)", NULL},
    {NULL, "CREATE TABLE IF NOT EXISTS v (a int8, b int8)", NULL},
    {NULL, "CREATE TABLE IF NOT EXISTS v (a int8, b int4)", NULL},
    {NULL, "CREATE TABLE t_b (a int8)", NULL},
    {NULL, "CREATE TABLE n (a int8 PRIMARY KEY, b int8 UNIQUE, c int8 UNIQUE REFERENCES v (a))",
     NULL},
    {NULL, "ALTER TABLE t ADD COLUMN IF NOT EXISTS b int8, DROP COLUMN IF EXISTS x", NULL},
    {NULL, "ALTER TABLE IF EXISTS nothing ADD x int8", NULL},
    {NULL, "ALTER TABLE v DROP CONSTRAINT IF EXISTS v_pkey", NULL},
    {NULL, "ALTER TABLE t DROP CONSTRAINT IF EXISTS nothing, ADD UNIQUE (c)", NULL},
    {NULL, "ALTER TABLE t ADD y int8, ADD UNIQUE (y), ADD FOREIGN KEY (y) REFERENCES t", NULL},
    {NULL, "ALTER TABLE t ADD FOREIGN KEY (d) REFERENCES v (a)", NULL},
    {NULL, "DROP INDEX IF EXISTS nothing", NULL},
    {NULL, "DROP TABLE t_b", NULL},
    {NULL, "DROP INDEX nothing", NULL},
    {NULL,
     "BEGIN; ALTER TABLE IF EXISTS nothing ADD x int8; CREATE INDEX IF NOT EXISTS t_b ON t "
     "(b); DROP TABLE IF EXISTS nothing; CREATE TABLE IF NOT EXISTS v (a int8, b int8); "
     "ALTER TABLE t ADD COLUMN IF NOT EXISTS y int8; DROP INDEX IF EXISTS nothing; COMMIT",
     NULL},
    {NULL,
     "BEGIN; CREATE TABLE n (a int8 PRIMARY KEY, b int8 REFERENCES t); CREATE INDEX n_b2 ON "
     "n (b); ALTER TABLE n ADD UNIQUE (b), ADD CHECK (b > 0); COMMENT ON INDEX n_b2 IS 'x'; "
     "ALTER TABLE t ADD g int8 REFERENCES n; COMMIT",
     NULL},
    {PARENT, "DROP TABLE p", NULL},
    {PARENT, "DROP TABLE t", NULL},
    {PARENT, "BEGIN; DROP TABLE t; DROP TABLE p; COMMIT", NULL},
    {PARENT, "BEGIN; DROP TABLE p; ALTER TABLE t DROP CONSTRAINT r; COMMIT", NULL},
    {PARENT "; CREATE INDEX t_d2 ON t (d)", "DROP INDEX t_d2", NULL},
    {PARENT, "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b)", NULL},
    {PARENT, "ALTER TABLE t DROP CONSTRAINT r, ADD CONSTRAINT r FOREIGN KEY (b) REFERENCES p",
     NULL},
    {PARENT, "ALTER TABLE t DROP COLUMN d", NULL},
    {PARENT "; DROP TABLE t " KEPT, "UNDO CHANGE %llu", NULL},
    {"DROP TABLE t " KEPT "; CREATE TABLE t (a int8)", "UNDO CHANGE %llu RENAME TO u", NULL},
    {"BEGIN; CREATE INDEX t_c ON t (c); DROP INDEX t_b; ALTER TABLE t DROP COLUMN e " KEPT
     "; COMMIT",
     "UNDO CHANGE %llu", NULL},
    {"ALTER TABLE t DROP COLUMN e " KEPT "; ALTER TABLE t ADD e int8", "UNDO CHANGE %llu", NULL},
    {"ALTER TABLE t DROP COLUMN e " KEPT "; DROP TABLE t " KEPT, "UNDO CHANGE %llu", NULL},
    {NULL, "UNDO CHANGE %llu", NULL},
    {NULL, "CANCEL CHANGE %llu", NULL},
    {NULL, "PAUSE CHANGE %llu", NULL},
    {NULL, "ALTER TABLE v DROP CONSTRAINT v_pkey, ADD UNIQUE (a)", NULL},
    {NULL, "ALTER TABLE v DROP CONSTRAINT IF EXISTS v_pkey, ADD UNIQUE (a)", NULL},
    {"ALTER TABLE v ADD CONSTRAINT v_pkey UNIQUE (a)", "ALTER TABLE v DROP CONSTRAINT v_pkey",
     NULL},
    {"ALTER TABLE v ADD CONSTRAINT v_pkey CHECK (a > 0)", "ALTER TABLE v DROP CONSTRAINT v_pkey",
     NULL},
    {"ALTER TABLE t ADD CONSTRAINT self FOREIGN KEY (d) REFERENCES t",
     "ALTER TABLE t DROP CONSTRAINT self, DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b)", NULL},
    {"ALTER TABLE t ADD CONSTRAINT self FOREIGN KEY (d) REFERENCES t",
     "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b)", NULL},
    {NULL,
     "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b), ADD FOREIGN KEY (d) "
     "REFERENCES t",
     NULL},
    {NULL,
     "BEGIN; ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b); ALTER TABLE v ADD g "
     "int8; COMMIT",
     NULL},
    {PARENT,
     "BEGIN; ALTER TABLE p ADD g int8; ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY "
     "KEY (b), DROP COLUMN e; COMMIT",
     NULL},
    {NULL, "ALTER TABLE t ALTER b TYPE int2, ALTER d TYPE int4", NULL},
    {NULL, "ALTER TABLE t ALTER b TYPE int2, ADD CHECK (a > 1), ALTER e SET NOT NULL", NULL},
    {"CREATE UNIQUE INDEX t_u ON t (b, c)",
     "ALTER TABLE t ALTER c TYPE varchar(20), ADD UNIQUE (a)", NULL},
    {PARENT "; ALTER TABLE t DROP CONSTRAINT r",
     "BEGIN; ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE p DROP CONSTRAINT p_pkey; COMMIT",
     NULL},
    {NULL, "BEGIN; ALTER TABLE t ADD x int8; ALTER TABLE IF EXISTS t ADD y int8; COMMIT", NULL},
    {"CREATE INDEX t_b_key ON t (c)", "ALTER TABLE t ADD UNIQUE (b)", NULL},
    {NULL, "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (a DESC)", NULL},
    {"CREATE TABLE n_d_fkey (a int8); CREATE TABLE n_b_key (a int8); CREATE TABLE n_d_idx (a "
     "int8)",
     "CREATE TABLE n (a int8 PRIMARY KEY, b int8 UNIQUE, d int8 REFERENCES t)", NULL},
    {"CREATE TABLE n_b_key (a int8)", "CREATE TABLE n (b int8, CONSTRAINT n_b_key UNIQUE (b))",
     NULL},
    {"CREATE TABLE n_b_key (a int8)",
     "CREATE TABLE n (b int8 UNIQUE, c int8, CONSTRAINT n_b_key1 CHECK (c > 0), CONSTRAINT "
     "n_b_key2 UNIQUE (c))",
     NULL},
    {NULL, "VACUUM nothing", NULL},
    {NULL, "CREATE INDEX i ON t (b)", CREATES_I},
    {NULL, "CREATE INDEX IF NOT EXISTS i ON t (c)", CREATES_I},
    {NULL, "CREATE INDEX IF NOT EXISTS i ON v (b)", CREATES_I},
    {NULL, "CREATE TABLE IF NOT EXISTS i (a int8)", CREATES_I},
    {NULL, "COMMENT ON INDEX i IS 'x'", CREATES_I},
    {NULL, "BEGIN; CREATE INDEX IF NOT EXISTS i ON t (b); CREATE INDEX j ON t (c); COMMIT",
     CREATES_I},
    {NULL, "BEGIN; DROP INDEX i; CREATE INDEX j ON t (c); COMMIT", CREATES_I},
    {NULL, "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b)", CREATES_I},
    {NULL, "CREATE TABLE n (a int8)", CREATES_N},
    {NULL, "CREATE TABLE IF NOT EXISTS n (a int4)", CREATES_N},
    {NULL, "CREATE INDEX IF NOT EXISTS n ON t (b)", CREATES_N},
    {NULL, "ALTER TABLE n ADD x int8", CREATES_N},
    {NULL, "ALTER TABLE t ADD FOREIGN KEY (d) REFERENCES n", CREATES_N},
    {NULL, "BEGIN; CREATE TABLE IF NOT EXISTS n (a int8); ALTER TABLE t ADD y int8; COMMIT",
     CREATES_N},
    {NULL, "BEGIN; DROP TABLE n; ALTER TABLE t ADD y int8; COMMIT", CREATES_N},
    {NULL, "DROP INDEX t_b", DROPS_T_B},
    {NULL, "CREATE INDEX t_b ON t (b)", DROPS_T_B},
    {NULL, "ALTER INDEX t_b RENAME TO x", DROPS_T_B},
    {NULL, "BEGIN; DROP INDEX t_b; CREATE INDEX x ON t (b); COMMIT", DROPS_T_B},
    {NULL, "ALTER TABLE t ALTER b TYPE text", DROPS_T_B},
    {"ALTER TABLE t ADD CONSTRAINT t_u UNIQUE (c)", "ALTER TABLE t RENAME CONSTRAINT t_u TO w",
     "ALTER TABLE t RENAME CONSTRAINT t_u TO x WITH (pause = on)"},
    {"ALTER TABLE t ADD CONSTRAINT t_u UNIQUE (c)", "ALTER TABLE t DROP CONSTRAINT t_u",
     "ALTER TABLE t RENAME CONSTRAINT t_u TO x WITH (pause = on)"},
    {NULL, "ALTER TABLE t RENAME TO x", "ALTER TABLE v RENAME TO x WITH (pause = on)"},
    {NULL, "UNDO CHANGE %llu", "DROP TABLE t WITH (undo_window_s = 3600, pause = on)"},
    {"ALTER TABLE t DROP COLUMN e", "VACUUM t", NULL},
    {NULL, "BEGIN; ALTER INDEX nothing RENAME TO x; ALTER TABLE t ADD y int8; COMMIT", NULL},
    {NULL,
     "BEGIN; CREATE INDEX i ON t (c); ALTER INDEX i RENAME TO j; ALTER TABLE v ADD x int8; "
     "COMMIT",
     NULL},
    {NULL, "BEGIN; ALTER TABLE t_b ADD x int8; ALTER TABLE v ADD y int8; COMMIT", NULL},
    {NULL, "ALTER TABLE t ADD y int8, ADD FOREIGN KEY (a) REFERENCES t", NULL},
    {NULL, "ALTER TABLE t ALTER a TYPE text, DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b)", NULL},
    {NULL, "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b), DROP COLUMN a", NULL},
    {NULL,
     "BEGIN; ALTER TABLE t ALTER b TYPE int2, ADD UNIQUE (c); ALTER TABLE v ADD g int8; COMMIT",
     NULL},
    {NULL,
     "BEGIN; CREATE TABLE m (a int8 PRIMARY KEY); CREATE TABLE n (a int8 REFERENCES t); COMMIT",
     NULL},
    {NULL,
     "BEGIN; CREATE TABLE n (b int8, CONSTRAINT n_b_key CHECK (b > 0)); ALTER TABLE n ADD UNIQUE "
     "(b); COMMIT",
     NULL},
    {NULL,
     "BEGIN; CREATE TABLE n (b int8); CREATE INDEX n_b_key ON n (b); ALTER TABLE n ADD UNIQUE (b); "
     "COMMIT",
     NULL},
    {"CREATE TABLE p (a int8 PRIMARY KEY)",
     "BEGIN; ALTER TABLE t ADD FOREIGN KEY (d) REFERENCES p; ALTER TABLE p RENAME TO q; COMMIT",
     NULL},
    {PARENT, "BEGIN; DROP TABLE p; CREATE TABLE n (a int8 REFERENCES t); COMMIT", NULL},
    {PARENT, "BEGIN; DROP TABLE p; ALTER TABLE t ADD x int8; COMMIT", NULL},
    {NULL, "BEGIN; CREATE TABLE IF NOT EXISTS v (a int8); ALTER TABLE t ADD y int8; COMMIT",
     "DROP TABLE v WITH (pause = on)"},
    {NULL,
     "BEGIN; ALTER TABLE t ADD x int8; CREATE INDEX j ON t (c); ALTER TABLE IF EXISTS t ADD y "
     "int8; COMMIT",
     NULL},
    {"CREATE INDEX t_b_key ON t (c)",
     "BEGIN; DROP INDEX t_b_key; ALTER TABLE t ADD UNIQUE (b); COMMIT", NULL},
    {"ALTER TABLE t ADD CONSTRAINT t_b_key CHECK (b > 0)", "ALTER TABLE t ADD UNIQUE (b)", NULL},
    {NULL, "ALTER TABLE t ALTER a TYPE int8 USING a + 1", NULL},
    {"CREATE TABLE m (a numeric(10, 2) PRIMARY KEY)", "ALTER TABLE m ALTER a TYPE numeric(10, 4)",
     NULL},
    {"CREATE TABLE p (a int8 PRIMARY KEY)",
     "ALTER TABLE t ADD FOREIGN KEY (b) REFERENCES p, ADD FOREIGN KEY (a) REFERENCES p", NULL},
    {NULL, "ALTER TABLE t ADD CHECK (a > 100), ADD CHECK (b > 200)", NULL},
    {NULL,
     "BEGIN; CREATE TABLE m (a int8 PRIMARY KEY); ALTER TABLE t ADD FOREIGN KEY (d) REFERENCES m; "
     "COMMIT",
     NULL},
    {"CREATE TABLE m (a int8, b text, PRIMARY KEY (a, b))",
     "ALTER TABLE t ADD FOREIGN KEY (b, c) REFERENCES m", NULL},
    {NULL, "BEGIN; CREATE TABLE n (b int8); ALTER TABLE n ADD CHECK (b > 0); COMMIT", NULL},
    {NULL, "DROP TABLE IF EXISTS nothing", NULL},
    {"CREATE TABLE n_d_idx (a int8)",
     "CREATE TABLE n (a int8 PRIMARY KEY, b int8 REFERENCES t, d int8 REFERENCES t)", NULL},
    {NULL, "CREATE INDEX j ON t (c)", COMPOUND},
    {NULL, "CREATE INDEX t_b ON t (b)", COMPOUND},
};

struct asking {
    instar *db;
    const char *text;
    int code;
    char words[1024];
    uint64_t change;
};

/* In a thread that may be refused something. */
static void *ask(void *arg)
{
    struct asking *a = arg;
    instar_sql_error error = {0};
    instar_sql *sql = NULL;

    (void)pthread_setname_np(pthread_self(), "instar-asking");
    a->change = 0;
    a->code = instar_sql_read(a->text, strlen(a->text), NULL, &sql, &error);
    if (a->code == INSTAR_OK) {
        a->code = instar_sql_submit(a->db, sql, 0, &a->change, &error);
    }
    instar_sql_free(sql);
    (void)snprintf(a->words, sizeof(a->words), "%s", error.text);
    return NULL;
}

/* The verdict: the submission's, or that of the change. */
static int ask_and_wait(struct asking *a)
{
    instar_change_info info;
    pthread_t thread;

    expect(pthread_create(&thread, NULL, ask, a) == 0);
    expect(pthread_join(thread, NULL) == 0);
    if (a->code == INSTAR_OK && a->change != 0) {
        a->code = instar_change_wait(a->db, a->change, TEST_AWAIT_S * 1000, &info);
        (void)snprintf(a->words, sizeof(a->words), "%.1000s", info.reason);
        a->code = a->code == INSTAR_EFAILED ? info.error : a->code;
    }
    return a->code;
}

/* The last change of a script, whose others have ended. */
static uint64_t submit_all(instar *db, const char *text)
{
    instar_sql *sql = NULL;
    uint64_t change = 0;

    ok(instar_sql_read(text, strlen(text), NULL, &sql, NULL));
    for (size_t i = 0; i < instar_sql_count(sql); i++) {
        ok(instar_change_wait(db, change, TEST_AWAIT_S * 1000, NULL));
        ok(instar_sql_submit(db, sql, i, &change, NULL));
    }
    instar_sql_free(sql);
    return change;
}

struct course {
    instar *db;
    uint64_t change;          /* the last of the setup, or that which is held */
    uint64_t held;            /* 0: none */
    struct test_child holder; /* has it: nothing is refused there */
};

static void hold(struct test_child *self, void *arg)
{
    instar_change_info info;

    test_until_told(self);
    instar *db = dbs_open(0);
    uint64_t change = submit_all(db, arg);
    do {
        (void)instar_change_wait(db, change, 5, &info);
    } while (info.owner_pid != (uint32_t)getpid());
    test_send(self, change);
    test_until_told(self);
    ok(instar_close(db));
}

/* A new store. */
static void begin(size_t i, struct course *c)
{
    char text[256];

    *c = (struct course){.held = 0};
    test_remove(dbs_path());
    if (asked[i].held != NULL) {
        (void)snprintf(text, sizeof(text), "%s", asked[i].held);
        test_fork(&c->holder, hold, text);
    }
    c->db = dbs_open(0);
    ok(sqls_run(c->db, OPERATIONS_TABLE));
    ok(sqls_run(c->db, "CREATE TABLE v (a int8, b int8)"));
    ok(alters_insert(c->db, "t", "a,b,c,d", "1,11,x1,null"));
    ok(alters_insert(c->db, "t", "a,b,c,d", "2,100000,x2,null"));
    c->change = asked[i].setup != NULL ? submit_all(c->db, asked[i].setup) : 1;
    ok(instar_change_wait(c->db, c->change, TEST_AWAIT_S * 1000, NULL));
    if (asked[i].held != NULL) {
        ok(instar_close(c->db)); /* or its own runner might take it */
        test_send(&c->holder, 0);
        c->change = c->held = test_receive(&c->holder);
        c->db = dbs_open(0);
    }
}

static void end(struct course *c)
{
    if (c->held != 0) {
        ok(instar_change_cancel(c->db, c->held));
        fails(instar_change_wait(c->db, c->held, TEST_AWAIT_S * 1000, NULL), INSTAR_ECANCELLED);
        test_send(&c->holder, 0);
        test_wait_ok(&c->holder);
    }
    dbs_check_sound(c->db);
    ok(instar_close(c->db));
}

static bool refuse_memory(size_t size)
{
    (void)size;
    return !refusals_is_new(0, OWN_OF_MEMORY);
}

static bool may_end_or_memory(int code)
{
    return code == INSTAR_ENOMEM || may_end(code);
}

/* As often as it takes. A change that was cancelled by its own refusal is none: it is asked for
 * again. */
static bool try_asked(size_t i)
{
    static const struct refusals refusals = {.may_end = may_end_or_memory};
    static char wanted[SQLS_SCHEMA], got[SQLS_SCHEMA], text[1024];
    struct asking a = {.text = text};
    uint64_t before = refusals_count();
    unsigned attempts = 0;
    struct course c;

    begin(i, &c);
    a.db = c.db;
    (void)snprintf(text, sizeof(text), asked[i].sql, (unsigned long long)c.change);
    int code = ask_and_wait(&a);
    (void)snprintf(wanted, SQLS_SCHEMA, "%s", sqls_schema(a.db, NULL));
    end(&c);
    begin(i, &c);
    a.db = c.db;
    base_alloc_hook = refuse_memory;
    do {
        refusals_arm(&refusals, A_FEW);
        (void)ask_and_wait(&a);
        refusals_arm(&refusals, 0);
        cr_assert(a.code == INSTAR_OK || a.words[0] != '\0', "%s: %s without words", text,
                  instar_error_name(a.code));
        if (++attempts % VACUUM_EVERY == 0 && c.held == 0) {
            int rc = sqls_run(c.db, "VACUUM t");
            expect(rc == INSTAR_OK || rc == INSTAR_EUNKNOWN); /* t is gone in some of them */
        }
    } while (a.code != code && may_end_or_memory(a.code));
    base_alloc_hook = NULL;
    cr_assert_eq(a.code, code, "%s: %s in place of %s: %s", text, instar_error_name(a.code),
                 instar_error_name(code), a.words);
    (void)snprintf(got, SQLS_SCHEMA, "%s", sqls_schema(a.db, NULL));
    cr_assert_str_eq(got, wanted, "%s: the schema is\n%snot\n%s", text, got, wanted);
    end(&c);
    return refusals_count() != before;
}

/* Memory, too. */
Test(ddl_store_calls, statements_that_find_little_to_do, .timeout = 3600)
{
    for (size_t i = 0; i < BASE_ARRAY_LEN(asked); i++) {
        if (cases_take(asked[i].sql, SHARE_OF_ASKED)) {
            while (try_asked(i)) {
            }
        }
    }
    fprintf(stderr, "%d places\n", (int)refusals_count());
    cases_end();
}
