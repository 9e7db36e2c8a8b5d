/* SPDX-License-Identifier: Apache-2.0 */
/* A map that is nearly full keeps its last room for what makes more of it. */
#include "support/stores.h"

#include <stdio.h>
#include <string.h>

#define T 3

/* What is written when the map is nearly full is refused; deletes are not. */
Test(store_room, deletes_when_the_map_is_nearly_full)
{
    static char value[8000];
    instar_options o = stores_options();
    int written = 0;
    int rc = 0;
    o.segment_bytes = (uint64_t)64 << 10;
    o.txn_bytes_max = o.segment_bytes / 4;
    o.map_bytes = (uint64_t)16 << 20;
    struct store *s = stores_make_tree(&o, T);
    memset(value, 'v', sizeof(value) - 1);
    while (rc == 0) {
        char key[16];
        struct store_txn *t = stores_begin(s, 0);
        (void)snprintf(key, sizeof(key), "%d", written);
        stores_put(t, T, key, value);
        rc = store_txn_commit(t, NULL, NULL, &test_err);
        written += rc == 0;
        expect(written < 4000);
    }
    expect(rc == INSTAR_EMAPFULL);
    struct store_txn *t = stores_begin(s, 0);
    stores_delete(t, T, "0");
    stores_commit(t);
    stores_read(s, T, "0", NULL);
    stores_close(s);
}
