/* SPDX-License-Identifier: Apache-2.0 */
/* Scans over pages that lead to the wrong place, or to one place twice: no key is handed out twice
 * or out of its turn, and no walk goes round for ever. */
#include "support/stores.h"

#include <stdio.h>

#define T 3
#define KEYS 3000
#define PAGE 4096u
#define BRANCH 1
#define LEAF 2
#define OFFSETS 16u /* of a page's nodes, two bytes each, up to what stands at 12 */

static struct store *s;

static void begin(void)
{
    s = stores_make_tree(NULL, T);
    for (int i = 0; i < KEYS;) {
        struct store_txn *t = stores_begin(s, 0);
        for (int k = 0; k < 100; k++, i++) {
            char key[24];
            (void)snprintf(key, sizeof(key), "key%05d", i);
            stores_put(t, T, key, "a value that takes some room");
        }
        stores_commit(t);
    }
    stores_fold(s);
    stores_close(s);
}

static unsigned nodes_of(const uint8_t *page)
{
    return (base_get_u16(page + 12) - OFFSETS) / 2u;
}

static uint8_t *node_of(uint8_t *page, unsigned at)
{
    return page + base_get_u16(page + OFFSETS + (size_t)2 * at);
}

/* The third child of a branch is its second one: number, flags behind it. */
static bool lead_twice(uint8_t *page)
{
    if (base_get_u16(page + 10) != BRANCH || nodes_of(page) < 3) {
        return false;
    }
    memcpy(node_of(page, 2), node_of(page, 1), 6);
    return true;
}

/* The node behind the tenth of a leaf is the tenth. */
static bool stand_twice(uint8_t *page)
{
    if (base_get_u16(page + 10) != LEAF || nodes_of(page) < 20) {
        return false;
    }
    memcpy(page + OFFSETS + 22, page + OFFSETS + 20, 2);
    return true;
}

/* Two neighbours of a leaf have changed places. */
static bool swap_two(uint8_t *page)
{
    uint8_t first[2];
    if (base_get_u16(page + 10) != LEAF || nodes_of(page) < 20) {
        return false;
    }
    memcpy(first, page + OFFSETS + 20, 2);
    memcpy(page + OFFSETS + 20, page + OFFSETS + 22, 2);
    memcpy(page + OFFSETS + 22, first, 2);
    return true;
}

/* All pages of that kind, also those that are no part of a tree any more. */
static void damage(bool (*one)(uint8_t *page))
{
    char path[300];
    size_t size;
    int count = 0;
    (void)snprintf(path, sizeof(path), "%s/data.mdb", stores_path());
    uint8_t *bytes = test_read_file(path, &size);
    for (size_t at = 2 * PAGE; at + PAGE <= size; at += PAGE) {
        uint8_t *page = bytes + at;
        unsigned lower = base_get_u16(page + 12);
        bool in_use = base_get_u64(page) == at / PAGE && lower > OFFSETS + 2 && lower < PAGE &&
                      memcmp(node_of(page, 1) + 8, "key", 3) == 0;
        count += in_use && one(page);
    }
    expect(count > 0);
    test_write_file(path, bytes, size);
    base_free(bytes);
    s = stores_open(NULL);
}

static void walk(bool reverse)
{
    struct store_range range = {.reverse = reverse};
    struct store_cursor *cursor;
    struct base_slice key, value;
    char last[24] = "";
    int rc, count = 0;
    struct store_txn *t = stores_begin(s, STORE_TXN_READONLY);
    must(store_cursor_open(t, T, &range, STORE_READ_NORMAL, &cursor, &test_err));
    while ((rc = store_cursor_next(cursor, &key, &value, &test_err)) == 0) {
        char now[24] = "";
        expect(key.size < sizeof(now) && ++count <= KEYS);
        memcpy(now, key.data, key.size);
        expect(last[0] == '\0' || (reverse ? strcmp(now, last) < 0 : strcmp(now, last) > 0));
        memcpy(last, now, sizeof(last));
    }
    expect(rc == INSTAR_ECORRUPT && strstr(test_err.text, "not in its turn") != NULL);
    expect(strstr(test_err.text, "data.mdb: page") != NULL);
    base_err_clear(&test_err);
    store_cursor_close(cursor);
    store_txn_abort(t);
}

Test(store_walk, stops_where_a_key_is_not_in_its_turn)
{
    static bool (*const ways[])(uint8_t * page) = {lead_twice, stand_twice, swap_two};
    for (size_t i = 0; i < BASE_ARRAY_LEN(ways); i++) {
        begin();
        damage(ways[i]);
        walk(false);
        walk(true);
        stores_close(s);
        test_remove(stores_path());
    }
}
