/* SPDX-License-Identifier: Apache-2.0 */
/* What projections name, as others see it. */
#include "support/txns.h"
#include "txn/txn_impl.h"

#include <unistd.h>

#define NOTED 31 /* different ones that a process lists; the others are counted */

static struct store *s;
static struct txn_named *n;

static void setup(void)
{
    s = stores_make(NULL);
    must(txn_named_open(s, &n, &test_err));
}

static void teardown(void)
{
    txn_named_close(n);
    stores_close(s);
}

TestSuite(txn_named, .init = setup, .fini = teardown);

static bool of_table(void *arg, const struct txn_naming *what)
{
    return what->table == ((struct txn_naming *)arg)->table;
}

struct seen {
    struct txn_naming wanted; /* first: what of_table is given */
    size_t holders;
    struct txn_holder last;
};

static void note_holder(void *arg, const struct txn_holder *holder)
{
    struct seen *seen = arg;
    seen->holders++;
    seen->last = *holder;
}

static struct seen list(struct txn_named *by, uint64_t table)
{
    struct seen seen = {.wanted = {.table = table}};
    must(txn_named_list(by, of_table, &seen, note_holder, &test_err));
    return seen;
}

/* Projections of the same columns share an entry, which is there until the last of them is gone. */
Test(txn_named, alike_ones_are_counted)
{
    const struct txn_naming what = {.table = 7, .columns = txn_named_bit(3), .index = 2};
    const struct txn_naming by_another = {.table = 7, .columns = txn_named_bit(3), .index = 4};
    const struct txn_naming of_another = {.table = 8, .columns = txn_named_bit(3), .index = 2};
    expect(list(n, 7).holders == 0);
    uint32_t one = txn_named_note(n, &what);
    expect(txn_named_note(n, &what) == one);
    uint32_t two = txn_named_note(n, &by_another);
    uint32_t three = txn_named_note(n, &of_another);
    expect(one != two && one != three && two != three);
    struct seen seen = list(n, 7);
    expect(seen.holders == 1 && seen.last.pid == (uint32_t)getpid());
    expect_u64(seen.last.projections, 3);
    expect_u64(seen.last.unlisted, 0);
    txn_named_forget(n, one);
    expect_u64(list(n, 7).last.projections, 2);
    txn_named_forget(n, two);
    expect_u64(list(n, 7).last.projections, 1);
    txn_named_forget(n, one);
    expect(list(n, 7).holders == 0);
    expect_u64(list(n, 8).last.projections, 1);
    txn_named_forget(n, three);
    expect(list(n, 8).holders == 0);
}

/* Those for which there is no entry left are counted, whatever they name. */
Test(txn_named, more_than_have_room)
{
    struct txn_naming what = {.table = 7};
    uint32_t at[NOTED + 2];
    for (uint32_t i = 0; i < NOTED + 2; i++) {
        what.index = i;
        at[i] = txn_named_note(n, &what);
    }
    struct seen seen = list(n, 7);
    expect_u64(seen.last.projections, NOTED);
    expect_u64(seen.last.unlisted, 2);
    seen = list(n, 8);
    expect(seen.holders == 1 && seen.last.projections == 0 && seen.last.unlisted == 2);
    txn_named_forget(n, at[NOTED]);
    txn_named_forget(n, at[NOTED + 1]);
    expect(list(n, 8).holders == 0);
    txn_named_forget(n, at[5]);
    what.index = NOTED;
    expect(txn_named_note(n, &what) == at[5]);
    expect_u64(list(n, 7).last.projections, NOTED);
    for (uint32_t i = 0; i < NOTED; i++) {
        txn_named_forget(n, at[i]);
    }
    expect(list(n, 7).holders == 0);
}

/* Columns are known by their ids, a bit each; from the 64th on they share one. */
Test(txn_named, columns_are_bits)
{
    uint64_t all = 0;
    for (uint32_t id = 0; id < 64; id++) {
        expect((all & txn_named_bit(id)) == 0);
        all |= txn_named_bit(id);
    }
    expect(txn_named_bit(64) == txn_named_bit(63) && txn_named_bit(1000) == txn_named_bit(63));
}

/* Whoever has closed names nothing, also where its process goes on and has the store open. */
Test(txn_named, closed_it_names_nothing)
{
    const struct txn_naming what = {.table = 7};
    (void)txn_named_note(n, &what);
    expect(list(n, 7).holders == 1);
    txn_named_close(n);
    must(txn_named_open(s, &n, &test_err));
    expect(list(n, 7).holders == 0);
    txn_named_close(NULL); /* an open that had no memory for it */
}
