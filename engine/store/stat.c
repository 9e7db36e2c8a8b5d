/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at trees and at the store as a whole. */
#include "store/admit.h"
#include "store/log.h"
#include "store/snapshot.h"

#include <stdio.h>
#include <string.h>

static int tree_stat(struct trees *t, struct trees_read *read, uint64_t tree,
                     struct store_tree_stat *out, struct base_err *err)
{
    char name[TREES_META_MAX];
    struct base_slice bytes;
    struct trees_state st;
    struct trees_stat data;
    struct trees_stat delta = {0};
    struct trees_usage usage;
    trees_state_name(name, tree);
    int rc = trees_read_meta(read, name, &bytes, err);
    if (rc == INSTAR_ENOTFOUND) {
        return 0;
    }
    if (rc == 0) {
        rc = trees_state_decode(bytes, tree, &st, err);
    }
    if (rc != 0 || (st.stage != TREES_LIVE && st.stage != TREES_BUILDING)) {
        return rc;
    }
    rc = trees_read_stat(read, trees_data(tree), &data, err);
    if (rc == 0 && st.delta) {
        rc = trees_read_stat(read, trees_delta(tree), &delta, err);
    }
    if (rc == 0) {
        out->exists = true;
        out->building = st.stage == TREES_BUILDING;
        out->entries = data.entries;
        out->delta_entries = delta.entries;
        trees_usage_get(t, &usage);
        out->bytes = (data.pages + delta.pages) * usage.page_bytes;
    }
    return rc;
}

int store_tree_stat(struct store *s, uint64_t tree, struct store_tree_stat *stat_out,
                    struct base_err *err)
{
    struct trees_read *read;
    *stat_out = (struct store_tree_stat){0};
    int rc = trees_read_begin(s->trees, &read, err);
    if (rc == 0) {
        rc = tree_stat(s->trees, read, tree, stat_out, err);
        trees_read_end(s->trees, read);
    }
    return rc;
}

int store_tree_guess(struct store *s, uint64_t tree, struct store_tree_stat *stat_out,
                     struct base_err *err)
{
    struct snapshot snap;
    *stat_out = (struct store_tree_stat){0};
    int rc = snapshot_take(s, store_tail(s), &snap, err);
    if (rc != 0) {
        return rc;
    }
    rc = tree_stat(s->trees, snap.read, tree, stat_out, err);
    for (size_t i = 0; rc == 0 && i < snap.pins.count; i++) {
        struct memtable_guess g = memtable_guess(snap.pins.seg[i], tree, snapshot_lo(&snap, tree));
        stat_out->entries += g.puts;
        stat_out->entries -= g.deletes < stat_out->entries ? g.deletes : stat_out->entries;
        stat_out->bytes += g.bytes;
    }
    snapshot_release(s, &snap);
    return rc;
}

/* fn gets a tree's state until it returns another value than 0. */
static int each_tree(struct trees_read *read,
                     int (*fn)(void *arg, uint64_t tree, const struct trees_state *st), void *arg,
                     struct base_err *err)
{
    struct trees_cursor *cursor;
    struct base_slice key = base_slice("!s", 2);
    struct base_slice value;
    struct trees_state st;
    uint64_t tree;
    int done = 0;
    int rc = trees_cursor_open_main(read, &cursor, err);
    if (rc != 0) {
        return rc;
    }
    rc = trees_cursor_move(cursor, TREES_AT_LEAST, &key, &value, err);
    while (rc == 0 && done == 0 && trees_state_id(key, &tree)) {
        rc = trees_state_decode(value, tree, &st, err);
        if (rc == 0) {
            done = fn(arg, tree, &st);
            rc = trees_cursor_move(cursor, TREES_NEXT, &key, &value, err);
        }
    }
    trees_cursor_close(cursor);
    return rc != 0 && rc != INSTAR_END ? rc : done;
}

struct lister {
    int (*fn)(void *arg, uint64_t tree, bool dead);
    void *arg;
};

static int list_one(void *arg, uint64_t tree, const struct trees_state *st)
{
    const struct lister *l = arg;
    if (st->stage == TREES_EMPTIED) {
        return 0;
    }
    return l->fn(l->arg, tree, st->stage == TREES_DEAD);
}

static int add_building(void *arg, uint64_t tree, const struct trees_state *st)
{
    return st->stage != TREES_BUILDING || base_buf_add_u64(arg, tree) ? 0 : INSTAR_ENOMEM;
}

int trees_list_building(struct store *s, struct base_buf *ids_out, struct base_err *err)
{
    struct trees_read *read;
    base_buf_clear(ids_out);
    int rc = trees_read_begin(s->trees, &read, err);
    if (rc == 0) {
        const struct trees_mark *m = trees_read_mark(read);
        rc = each_tree(read, add_building, ids_out, err);
        for (size_t i = 0; rc == 0 && i < m->ahead_count; i++) {
            rc = base_buf_add_u64(ids_out, m->ahead[i].tree) ? 0 : INSTAR_ENOMEM;
        }
        trees_read_end(s->trees, read);
    }
    return rc == INSTAR_ENOMEM ? base_err_set(err, rc, "no memory to list the trees") : rc;
}

int store_tree_list(struct store *s, int (*fn)(void *arg, uint64_t tree, bool dead), void *arg,
                    struct base_err *err)
{
    struct lister l = {.fn = fn, .arg = arg};
    struct trees_read *read;
    int rc = trees_read_begin(s->trees, &read, err);
    if (rc == 0) {
        rc = each_tree(read, list_one, &l, err);
        trees_read_end(s->trees, read);
    }
    return rc;
}

static int count_one(void *arg, uint64_t tree, const struct trees_state *st)
{
    (void)tree;
    *(uint64_t *)arg += st->stage == TREES_LIVE || st->stage == TREES_BUILDING;
    return 0;
}

void store_stat(struct store *s, instar_stats *stats_out)
{
    instar_stats *st = stats_out;
    const struct store_control *ctl = s->ctl;
    struct trees_usage usage;
    struct trees_read *read;
    struct store_node nodes[1];
    uint32_t struct_size = st->struct_size;
    *st = (instar_stats){.struct_size = struct_size};
    trees_usage_get(s->trees, &usage);
    st->durability = s->options.durability;
    st->log_tail = store_tail(s);
    st->log_durable = store_durable(s);
    st->log_applied = store_applied(s);
    /* What goes upward and is ahead is read last. */
    uint64_t unfolded = segment_base(st->log_applied, s->segment_bytes);
    uint64_t first = segment_base(control_load(&ctl->floor), s->segment_bytes);
    uint64_t last = control_load(&ctl->prepared);
    st->log_segments = (last - first) / s->segment_bytes + 1;
    st->log_bytes = st->log_segments * s->segment_bytes;
    st->tree_bytes = usage.used_bytes;
    st->readers = trees_readers_open(s->trees);
    if (trees_read_begin(s->trees, &read, NULL) == 0) {
        (void)each_tree(read, count_one, &st->tree_count, NULL);
        trees_read_end(s->trees, read);
    }
    st->commits = atomic_load(&ctl->commits);
    st->flushes = atomic_load(&ctl->flushes);
    st->conflicts = atomic_load(&ctl->conflicts);
    st->shared_bytes = ctl->size + ((last - unfolded) / s->segment_bytes + 1) * ctl->mem_bytes;
    st->commit_limit = admit_rate(s);
    st->nodes = (uint32_t)store_node_list(s, nodes, 1);
    snprintf(st->format, sizeof st->format, "%u", FORMAT_VERSION);
    snprintf(st->runtime_path, sizeof st->runtime_path, "%s", s->runtime_path);
}
