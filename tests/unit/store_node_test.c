/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes: who has the store open, and who is dead. */
#include "store/control.h"
#include "store/log.h"
#include "support/stores.h"

#include <signal.h>

#define GO 1
#define END 2

static void stay(struct test_child *self, void *arg)
{
    (void)arg;
    test_await(self, GO);
    struct store *s = stores_open(NULL);
    test_send(self, store_node_self(s));
    test_send(self, store_node_nonce(s));
    test_await(self, END);
    stores_close(s);
}

struct other {
    struct test_child child;
    uint32_t index;
    uint64_t nonce;
};

/* Forked while this process has no other threads: sanitizers need that. */
static void fork_others(struct other *others, size_t count)
{
    stores_path();
    for (size_t i = 0; i < count; i++) {
        test_fork(&others[i].child, stay, NULL);
    }
}

static void start(struct other *o)
{
    test_send(&o->child, GO);
    o->index = (uint32_t)test_receive(&o->child);
    o->nonce = test_receive(&o->child);
}

static void end(struct other *o)
{
    test_send(&o->child, END);
    test_wait_ok(&o->child);
}

/* Each open has a number and a nonce of its own; whoever closes is gone at once. */
Test(store_node, come_and_go)
{
    struct store_node nodes[4];
    struct other others[2];
    fork_others(others, 2);
    struct store *s = stores_make(NULL);
    start(&others[0]);
    start(&others[1]);
    struct other a = others[0];
    struct other b = others[1];
    expect(a.index != b.index && a.nonce != b.nonce);
    expect(a.index != store_node_self(s) && a.nonce != store_node_nonce(s));
    expect_u64(store_node_list(s, nodes, 4), 3);
    for (int i = 0; i < 3; i++) {
        expect(nodes[i].alive && store_node_alive(s, nodes[i].index, nodes[i].nonce));
    }
    expect(!store_node_alive(s, a.index, b.nonce));
    expect(!store_node_alive(s, 1000000, a.nonce));
    end(&a);
    expect(!store_node_alive(s, a.index, a.nonce));
    expect_u64(store_node_list(s, nodes, 1), 2);
    end(&b);
    stores_close(s);
}

/* A killed process is told by its lock, wakes who waits for its leases, and what it kept goes. */
Test(store_node, the_killed)
{
    struct other others[2];
    fork_others(others, 2);
    struct store *s = stores_make(NULL);
    start(&others[0]);
    struct other a = others[0];
    uint32_t seen = store_event_seen(s, STORE_EVENT_LEASE);
    atomic_store(&s->ctl->nodes[a.index].write_snapshot, 5);
    store_node_reap(s);
    expect(store_node_alive(s, a.index, a.nonce));
    test_kill(&a.child, SIGKILL);
    store_node_reap(s);
    expect(!store_node_alive(s, a.index, a.nonce));
    expect(store_event_seen(s, STORE_EVENT_LEASE) != seen);
    expect_u64(atomic_load(&s->ctl->nodes[a.index].write_snapshot), UINT64_MAX);
    start(&others[1]);
    expect(store_node_alive(s, others[1].index, others[1].nonce));
    end(&others[1]);
    stores_close(s);
}

/* A stopped process is not dead. */
Test(store_node, the_stopped)
{
    struct other a;
    fork_others(&a, 1);
    struct store *s = stores_make(NULL);
    start(&a);
    test_kill(&a.child, SIGSTOP);
    store_node_reap(s);
    expect(store_node_alive(s, a.index, a.nonce));
    test_kill(&a.child, SIGCONT);
    end(&a);
    stores_close(s);
}

/* There are as many as the store was made for; a dead one's place is free for the next. */
Test(store_node, all_slots_taken)
{
    instar_options o = stores_options();
    struct other others[3];
    fork_others(others, 3);
    o.nodes_max = 2;
    struct store *s = stores_make(&o);
    start(&others[0]);
    test_send(&others[1].child, GO);
    expect(test_wait(&others[1].child) == TEST_FAILED); /* its text is that of ESLOTS */
    test_kill(&others[0].child, SIGKILL);
    start(&others[2]);
    end(&others[2]);
    stores_close(s);
}
