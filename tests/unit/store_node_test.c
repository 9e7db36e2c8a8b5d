/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes: who has the store open, and who is dead. */
#include "store/control.h"
#include "store/log.h"
#include "support/stores.h"

#include <signal.h>

static void stay(struct test_child *self, void *arg)
{
    (void)arg;
    struct store *s = stores_open(NULL);
    test_send(self, store_node_self(s));
    test_send(self, store_node_nonce(s));
    test_await(self, 1);
    stores_close(s);
}

struct other {
    struct test_child child;
    uint32_t index;
    uint64_t nonce;
};

static void start(struct other *o)
{
    test_fork(&o->child, stay, NULL);
    o->index = (uint32_t)test_receive(&o->child);
    o->nonce = test_receive(&o->child);
}

/* Each open has a number and a nonce of its own; whoever closes is gone at once. */
Test(store_node, come_and_go)
{
    struct store *s = stores_make(NULL);
    struct store_node nodes[4];
    struct other a;
    struct other b;
    start(&a);
    start(&b);
    expect(a.index != b.index && a.nonce != b.nonce);
    expect(a.index != store_node_self(s) && a.nonce != store_node_nonce(s));
    expect_u64(store_node_list(s, nodes, 4), 3);
    for (int i = 0; i < 3; i++) {
        expect(nodes[i].alive && store_node_alive(s, nodes[i].index, nodes[i].nonce));
    }
    expect(!store_node_alive(s, a.index, b.nonce));
    expect(!store_node_alive(s, 1000000, a.nonce));
    test_send(&a.child, 1);
    test_wait_ok(&a.child);
    expect(!store_node_alive(s, a.index, a.nonce));
    expect_u64(store_node_list(s, nodes, 1), 2);
    test_send(&b.child, 1);
    test_wait_ok(&b.child);
    stores_close(s);
}

/* A killed process is told by its lock, wakes who waits for its leases, and what it kept goes. */
Test(store_node, the_killed)
{
    struct store *s = stores_make(NULL);
    struct other a;
    start(&a);
    uint32_t seen = store_event_seen(s, STORE_EVENT_LEASE);
    atomic_store(&s->ctl->nodes[a.index].write_snapshot, 5);
    store_node_reap(s);
    expect(store_node_alive(s, a.index, a.nonce));
    test_kill(&a.child, SIGKILL);
    store_node_reap(s);
    expect(!store_node_alive(s, a.index, a.nonce));
    expect(store_event_seen(s, STORE_EVENT_LEASE) != seen);
    expect_u64(atomic_load(&s->ctl->nodes[a.index].write_snapshot), UINT64_MAX);
    start(&a);
    expect(store_node_alive(s, a.index, a.nonce));
    test_send(&a.child, 1);
    test_wait_ok(&a.child);
    stores_close(s);
}

/* A stopped process is not dead. */
Test(store_node, the_stopped)
{
    struct store *s = stores_make(NULL);
    struct other a;
    start(&a);
    test_kill(&a.child, SIGSTOP);
    store_node_reap(s);
    expect(store_node_alive(s, a.index, a.nonce));
    test_kill(&a.child, SIGCONT);
    test_send(&a.child, 1);
    test_wait_ok(&a.child);
    stores_close(s);
}

/* There are as many as the store was made for; a dead one's place is free for the next. */
Test(store_node, all_slots_taken)
{
    instar_options o = stores_options();
    struct store *second;
    struct other a;
    o.nodes_max = 2;
    struct store *s = stores_make(&o);
    start(&a);
    struct test_child child;
    (void)second;
    test_fork(&child, stay, NULL);
    expect(test_wait(&child) == TEST_FAILED); /* its text is that of ESLOTS */
    test_kill(&a.child, SIGKILL);
    start(&a);
    test_send(&a.child, 1);
    test_wait_ok(&a.child);
    stores_close(s);
}
