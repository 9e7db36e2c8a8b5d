/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Before something is destroyed one is told which processes have projections that name it: from
 * when they were prepared until they are freed, or the process ends in whatever way.
 */
#include "support/compounds.h"
#include "support/sqls.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define READY 1

/* t(a, b, c), an index t_b on b, and u of the same columns. */
static void make(void)
{
    instar *db = dbs_open(0);

    dbs_make_table(db, "t");
    dbs_make_table(db, "u");
    ok(dbs_index(db, "t_b", "t", "b", false, NULL));
    ok(instar_close(db));
}

/* A process with projections: "t a,b" of columns, "t_b c" by an index. */
struct program {
    const char *const *wants;
    size_t count;
    bool frees; /* before it says that it is ready */
};

static instar_projection *prepare(instar *db, const char *want)
{
    char table[8];
    char columns[32];
    const char *names[4];
    char *rest = columns;
    size_t count = 0;
    instar_projection *p;

    expect(sscanf(want, "%7s %31s", table, columns) == 2);
    while (rest != NULL) {
        names[count++] = strsep(&rest, ",");
    }
    bool by_index = strchr(table, '_') != NULL;
    ok(instar_projection_prepare(db, by_index ? "t" : table, names, count, by_index ? table : NULL,
                                 &p));
    return p;
}

static void hold(struct test_child *self, void *arg)
{
    const struct program *program = arg;
    instar_projection *list[64];
    instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);

    for (size_t i = 0; i < program->count; i++) {
        list[i] = prepare(db, program->wants[i]);
    }
    for (size_t i = 0; program->frees && i < program->count; i++) {
        instar_projection_free(list[i]);
    }
    test_send(self, READY);
    test_until_told(self);
    for (size_t i = 0; !program->frees && i < program->count; i++) {
        instar_projection_free(list[i]);
    }
    ok(instar_close(db));
}

static void begin(struct test_child *child, const struct program *program)
{
    test_fork(child, hold, (void *)(uintptr_t)program);
    test_await(child, READY);
}

static void end(struct test_child *child)
{
    test_send(child, 0);
    test_wait_ok(child);
}

static instar_estimate ask(instar *db, const instar_statement *statement)
{
    instar_estimate e;

    ok(instar_estimate_cost(db, statement, 1, NULL, &e));
    return e;
}

static instar_estimate ask_drop_column(instar *db, const char *name)
{
    instar_alteration step = {.kind = INSTAR_ALTER_DROP_COLUMN, .name = name};

    return ask(db, &(instar_statement){.kind = INSTAR_STATEMENT_ALTER_TABLE,
                                       .name = "t",
                                       .steps = &step,
                                       .step_count = 1});
}

/* Each is named for what it holds, and nobody for what nobody names. */
Test(holders, who_names_what_goes)
{
    static const char *const some[] = {"t a,c", "t a,c", "u a,b"};
    static const char *const index[] = {"t_b a"};
    struct test_child first;
    struct test_child second;
    instar_column_def text = {.name = "b", .type = INSTAR_TEXT};
    instar_alteration retype = {.kind = INSTAR_ALTER_SET_TYPE, .name = "b", .column = &text};

    make();
    begin(&first, &(struct program){some, 3, false});
    begin(&second, &(struct program){index, 1, false});
    instar *db = dbs_open(0);
    instar_estimate e = ask_drop_column(db, "c");
    expect_u64(e.holder_count, 1);
    expect_u64(e.holders[0].pid, (uint64_t)first.pid);
    expect_u64(e.holders[0].projections, 2);
    expect_u64(e.holders[0].unlisted, 0);
    expect(e.holders[0].age_ms < TEST_AWAIT_S * 1000);
    expect_u64(ask_drop_column(db, "b").holder_count, 0);
    e = ask(db, &(instar_statement){.kind = INSTAR_STATEMENT_DROP_INDEX, .name = "t_b"});
    expect_u64(e.holder_count, 1);
    expect_u64(e.holders[0].pid, (uint64_t)second.pid);
    e = ask(db, &(instar_statement){.kind = INSTAR_STATEMENT_DROP_TABLE, .name = "t"});
    expect_u64(e.holder_count, 2);
    e = ask(db, &(instar_statement){.kind = INSTAR_STATEMENT_DROP_TABLE, .name = "u"});
    expect_u64(e.holder_count, 1);
    expect_u64(e.holders[0].projections, 1);
    const instar_alteration drop_c = {.kind = INSTAR_ALTER_DROP_COLUMN, .name = "c"};
    const instar_statement both[] = {
        {.kind = INSTAR_STATEMENT_DROP_INDEX, .name = "t_b"},
        {.kind = INSTAR_STATEMENT_ALTER_TABLE, .name = "t", .steps = &drop_c, .step_count = 1}};
    ok(instar_estimate_cost(db, both, 2, NULL, &e));
    expect_u64(e.holder_count, 2);
    /* One that is not destructive asks nobody; another type is, and its index is made anew. */
    e = ask(db, &(instar_statement){.kind = INSTAR_STATEMENT_VACUUM, .name = "t"});
    expect_u64(e.holder_count, 0);
    instar_projection *own = prepare(db, "t b");
    e = ask(db, &(instar_statement){.kind = INSTAR_STATEMENT_ALTER_TABLE,
                                    .name = "t",
                                    .steps = &retype,
                                    .step_count = 1});
    expect_u64(e.holder_count, 1);
    expect_u64(e.holders[0].pid, (uint64_t)getpid());
    expect_u64(e.remade, 1);
    expect_u64(e.remade_unique, 0);
    instar_projection_free(own);
    end(&first);
    expect_u64(ask_drop_column(db, "c").holder_count, 0);
    end(&second);
    ok(instar_close(db));
}

/* Freed ones name nothing, nor do those of a process that was killed, nor those of whoever gets its
 * place. */
Test(holders, freed_and_killed_ones_are_gone)
{
    static const char *const some[] = {"t a,c"};
    static const char *const others[] = {"u a"};
    const struct program programs[] = {{some, 1, true}, {some, 1, false}, {others, 1, false}};
    struct test_child keeper; /* so that what is shared lives on */
    struct test_child child;

    make();
    begin(&keeper, &(struct program){others, 1, false});
    for (size_t i = 0; i < BASE_ARRAY_LEN(programs); i++) {
        begin(&child, &programs[i]);
        instar *db = dbs_open(INSTAR_OPEN_NO_RUNNER);
        bool names = i == 1;
        expect_u64(ask_drop_column(db, "c").holder_count, names);
        if (names) {
            test_kill(&child, SIGKILL);
            expect_u64(ask_drop_column(db, "c").holder_count, 0);
        }
        ok(instar_close(db));
        if (!names) {
            end(&child);
        }
    }
    end(&keeper);
}

/* A process with more different ones than it can tell of may name anything, and says so. */
Test(holders, more_than_can_be_told)
{
    char texts[40][24];
    const char *many[40];
    char name[16];
    struct test_child child;

    make();
    instar *db = dbs_open(0);
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "x%d", i);
        char step[32];
        snprintf(step, sizeof(step), "add %s int8", name);
        ok(alters_run(db, "t", step));
        snprintf(texts[i], sizeof(texts[i]), "t %s", name);
        many[i] = texts[i];
    }
    ok(instar_close(db));
    begin(&child, &(struct program){many, 40, false});
    db = dbs_open(0);
    instar_estimate e = ask_drop_column(db, "x3");
    expect_u64(e.holder_count, 1);
    expect_u64(e.holders[0].projections, 1);
    expect_u64(e.holders[0].unlisted, 9);
    e = ask_drop_column(db, "x39");
    expect_u64(e.holder_count, 1);
    expect_u64(e.holders[0].projections, 0);
    expect_u64(e.holders[0].unlisted, 9);
    end(&child);
    expect_u64(ask_drop_column(db, "x39").holder_count, 0);
    ok(instar_close(db));
}

/* EXPLAIN tells it in words. */
Test(holders, explain_tells_them)
{
    static const char *const some[] = {"t a,c"};
    struct test_child child;
    char words[64];

    make();
    begin(&child, &(struct program){some, 1, false});
    instar *db = dbs_open(0);
    snprintf(words, sizeof(words), ", process %d, for ", (int)child.pid);
    const char *text = sqls_explain(db, "ALTER TABLE t DROP COLUMN c");
    cr_assert(strstr(text, "named by node ") != NULL && strstr(text, words) != NULL, "%s", text);
    text = sqls_explain(db, "ALTER TABLE t ALTER b TYPE text");
    cr_assert(strstr(text, "1 index of a column that changes its type") != NULL, "%s", text);
    cr_assert(strstr(text, "named by") == NULL, "%s", text);
    end(&child);
    ok(instar_close(db));
}
