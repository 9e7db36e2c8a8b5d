/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees that nobody reads: those between their cut and their fold-end. What commits write to them
 * needs no node in a memtable, and an index's entries come at random places, where a node is dear:
 * a third of a commit.
 *
 * Why nothing is missed: a memtable has what is not yet in the trees, for readers. Whoever reads
 * the tree does so at a version that was published when fold-end had been executed, in its turn or
 * before (ahead.c), and at a snapshot of LMDB from after that (the delta would be invisible in an
 * older one in any case). So every operation before fold-end is in the tree itself; those after it
 * get their nodes again.
 * Folding and validation read the log, not the memtables.
 *
 * The list is under the writer lock. A tree leaves it before the record with its fold-end can be
 * seen, and enters it after the record with its cut: whoever dies in between leaves too short a
 * list, which costs time and nothing else. Recovery leaves them out in the same way (rebuild.c): a
 * memtable has no room for what it was never asked to hold. The list is empty after it.
 */
#include "store/control.h"
#include "store/log.h"

static uint64_t load(const struct store_control *ctl, int i)
{
    return atomic_load_explicit(&ctl->unread[i], memory_order_relaxed);
}

static void replace(struct store_control *ctl, uint64_t old, uint64_t new)
{
    for (int i = 0; i < CONTROL_UNREAD_MAX; i++) {
        if (load(ctl, i) == old) {
            atomic_store_explicit(&ctl->unread[i], new, memory_order_relaxed);
            return;
        }
    }
}

/* A place holds the tree's number and one; 0: free. */
static bool has(const struct store_control *ctl, uint64_t tree)
{
    for (int i = 0; i < CONTROL_UNREAD_MAX; i++) {
        if (load(ctl, i) == tree + 1) {
            return true;
        }
    }
    return false;
}

static bool any(const struct store_control *ctl)
{
    uint64_t all = 0;
    for (int i = 0; i < CONTROL_UNREAD_MAX; i++) {
        all |= load(ctl, i);
    }
    return all != 0;
}

void unread_before(struct store_control *ctl, const struct append *a)
{
    struct base_reader body = base_reader(a->body);
    struct record_op op;
    while (a->kind == RECORD_TREE_OP && record_body_next(&body, &op, NULL) == 0) {
        if (op.op == RECORD_TREE + STORE_TREE_FOLD_END || op.op == RECORD_TREE + STORE_TREE_DROP) {
            replace(ctl, op.tree + 1, 0);
        }
    }
}

void unread_after(struct store_control *ctl, const struct append *a)
{
    struct base_reader body = base_reader(a->body);
    struct record_op op;
    while (a->kind == RECORD_TREE_OP && record_body_next(&body, &op, NULL) == 0) {
        if (op.op == RECORD_TREE + STORE_TREE_BEGIN_BUILD && !has(ctl, op.tree)) {
            replace(ctl, 0, op.tree + 1); /* when it is full, this one gets its nodes */
        }
    }
}

void unread_fill(const struct store_control *ctl, struct segment *seg, const struct append *a,
                 uint64_t start, uint64_t end)
{
    size_t from = 0;
    for (size_t i = 0; any(ctl) && i < a->plan_count; i++) {
        if (has(ctl, a->plan[i].tree)) {
            memtable_fill(seg, a->plan + from, i - from, start, end);
            from = i + 1;
        }
    }
    memtable_fill(seg, a->plan + from, a->plan_count - from, start, end);
}
