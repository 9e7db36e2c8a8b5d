/* SPDX-License-Identifier: Apache-2.0 */
/* ddl/heap, ddl/worker: libpg_query gets no memory, and the next text is read as any other. */
#include "ddl/ddl_impl.h"
#include "support/test.h"

#include <instar_sql.h>
#include <string.h>

static const char good[] = "CREATE TABLE n (a int8 PRIMARY KEY, b text DEFAULT 'x' UNIQUE)";

static int read_sql(const char *text, instar_sql_error *error)
{
    instar_sql *sql = NULL;
    int rc = instar_sql_read(text, strlen(text), NULL, &sql, error);
    expect((rc == INSTAR_OK) == (sql != NULL));
    instar_sql_free(sql);
    return rc;
}

static bool grant_others(size_t size)
{
    return size < 8000 || size > 10000; /* but libpg_query's own blocks */
}

/* libpg_query is left half way, so that the next text is read by a new thread. */
static void end_thread(void)
{
    ddl_alloc_hook = grant_others;
    int rc = read_sql(good, NULL);
    ddl_alloc_hook = NULL;
    cr_assert_eq(rc, INSTAR_ENOMEM);
}

/* Each request in turn, once or from then on, until there is none; the number of those refused. */
static uint64_t refuse_each(const char *text, int otherwise, bool sticky, bool anew)
{
    uint64_t nth = 1, fired = 1;
    for (; fired > 0; nth++) {
        instar_sql_error error = {.code = INSTAR_OK};
        if (anew) {
            end_thread();
        }
        test_shortage_set(&(struct test_shortage){.nth = nth, .sticky = sticky, .all = true});
        int rc = read_sql(text, &error);
        fired = test_shortage_fired();
        test_shortage_set(NULL);
        if (rc != (fired > 0 ? INSTAR_ENOMEM : otherwise) || error.code != rc ||
            (fired > 0 && strcmp(error.text, "out of memory") != 0)) {
            test_fail(__FILE__, __LINE__, "request %llu: %s: %s", (unsigned long long)nth,
                      instar_error_name(rc), error.text);
        }
        expect(read_sql(good, NULL) == INSTAR_OK);
    }
    return nth - 2;
}

/* Whatever libpg_query is at, the text is refused for want of memory, with these words. */
Test(ddl_heap, each_request_is_refused)
{
    for (int sticky = 0; sticky < 2; sticky++) {
        uint64_t kept = refuse_each(good, INSTAR_OK, sticky != 0, false);
        expect(refuse_each(good, INSTAR_OK, sticky != 0, true) > kept);
        expect(refuse_each("CREATE TABLE n (a int8 b)", INSTAR_EINVALID, sticky != 0, false) > 4);
    }
}

/* A statement behind others: the place of the refusal is its own. */
Test(ddl_heap, place_of_the_statement)
{
    instar_sql_error error = {.code = INSTAR_OK};
    uint64_t of_second = 0;
    for (uint64_t nth = 1; nth < 20; nth++) {
        test_shortage_set(&(struct test_shortage){.nth = nth, .all = true});
        int rc = read_sql("DROP TABLE a;\nDROP TABLE b", &error);
        test_shortage_set(NULL);
        of_second += rc == INSTAR_ENOMEM && error.line == 2 && error.column == 1;
    }
    expect(of_second > 0);
}

/* A thread that ends gives back all that libpg_query had, and the next one begins anew: as often as
 * one likes. */
Test(ddl_heap, again_and_again)
{
    for (int i = 0; i < 300; i++) {
        end_thread();
        cr_assert_eq(read_sql(good, NULL), INSTAR_OK);
    }
}
