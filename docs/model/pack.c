/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A state in few bits, and one form for all states that differ only in names.
 *
 * Which row is called 0, which value is called 1 and which node is called A makes no difference to
 * any rule. So a state is packed under each renaming of rows and values, with the nodes and their
 * transactions in the order of their bits, and the least of these keys stands for all.
 */
#include "model.h"

#include <assert.h>
#include <string.h>

enum { RENAMINGS_MAX = 12, ENTRY_SETS = 1 << (VALUES * ROWS_MAX), WRITE_BITS = 5 };

struct renaming {
    unsigned row[ROWS_MAX]; /* the row that comes at this place */
    unsigned value[VALUES + 1];
    unsigned char set[ENTRY_SETS];
};

static struct renaming renamings[RENAMINGS_MAX];
static unsigned renamings_count;
static unsigned words;

/* ---- Bits -------------------------------------------------------------------------------------
 */

struct bits {
    struct key key;
    unsigned at;
};

static inline void put(struct bits *b, uint64_t value, unsigned width)
{
    unsigned word = b->at / 64, shift = b->at % 64;
    b->key.word[word] |= value << shift;
    if (shift + width > 64)
        b->key.word[word + 1] |= value >> (64 - shift);
    b->at += width;
}

static unsigned get(struct bits *b, unsigned width)
{
    unsigned word = b->at / 64, shift = b->at % 64;
    uint64_t value = b->key.word[word] >> shift;
    if (shift + width > 64)
        value |= b->key.word[word + 1] << (64 - shift);
    b->at += width;
    return (unsigned)(value & ((1u << width) - 1));
}

/* ---- Renamings --------------------------------------------------------------------------------
 */

static void fill_sets(struct renaming *r)
{
    for (unsigned set = 0; set < ENTRY_SETS; set++) {
        entries renamed = 0;
        for (unsigned k = 0; k < config.bounds.rows; k++)
            for (unsigned v = 1; v <= VALUES; v++)
                if (set & entry(v, r->row[k]))
                    renamed |= entry(r->value[v], k);
        r->set[set] = (unsigned char)renamed;
    }
}

static void add_renaming(unsigned a, unsigned b, unsigned c, bool swap)
{
    struct renaming *r = &renamings[renamings_count++];
    *r = (struct renaming){.row = {a, b, c}, .value = {0, swap ? 2 : 1, swap ? 1 : 2}};
    fill_sets(r);
}

static void init_renamings(void)
{
    unsigned rows = config.bounds.rows;
    renamings_count = 0;
    for (unsigned a = 0; a < ROWS_MAX; a++)
        for (unsigned b = 0; b < ROWS_MAX; b++)
            for (unsigned c = 0; c < ROWS_MAX; c++) {
                bool is_order = a != b && b != c && a != c;
                bool is_small = (rows > 2 || c == 2) && (rows > 1 || b == 1);
                if (!is_order || !is_small)
                    continue;
                add_renaming(a, b, c, false);
                add_renaming(a, b, c, true);
            }
}

/* ---- Parts ------------------------------------------------------------------------------------
 */

static uint64_t pack_writes(const struct write write[ROWS_MAX], const struct renaming *r)
{
    uint64_t bits = 0;
    for (unsigned k = 0; k < config.bounds.rows; k++) {
        const struct write *w = &write[r->row[k]];
        if (w->written)
            bits |= (uint64_t)(1 | r->value[w->old] << 1 | r->value[w->new] << 3)
                    << (k * WRITE_BITS);
    }
    return bits;
}

static void unpack_writes(struct bits *b, struct write write[ROWS_MAX])
{
    for (unsigned k = 0; k < config.bounds.rows; k++) {
        write[k].written = get(b, 1);
        write[k].old = get(b, 2);
        write[k].new = get(b, 2);
    }
}

static unsigned write_bits(void)
{
    return config.bounds.rows * WRITE_BITS;
}

static unsigned txn_bits(void)
{
    return 8 + write_bits();
}

static uint64_t pack_txn(const struct txn *t, const struct renaming *r)
{
    if (t->phase == IDLE)
        return 0;
    return t->phase | t->version << 2 | r->value[t->looks_for] << 5 | t->stale << 7 |
           pack_writes(t->write, r) << 8;
}

static void unpack_txn(struct bits *b, struct txn *t)
{
    t->phase = get(b, 2);
    t->version = get(b, 3);
    t->looks_for = get(b, 2);
    t->stale = get(b, 1);
    unpack_writes(b, t->write);
}

static unsigned slots_of(unsigned node)
{
    return (config.bounds.txns + NODES - 1 - node) / NODES;
}

/* A node's lease and transactions, these in the order of their bits. */
static uint64_t pack_node(const struct model *m, unsigned node, const struct renaming *r)
{
    unsigned slots = slots_of(node);
    uint64_t low = slots > 0 ? pack_txn(&m->txn[node], r) : 0;
    uint64_t high = slots > 1 ? pack_txn(&m->txn[node + NODES], r) : 0;
    if (low > high && slots > 1) {
        uint64_t swap = low;
        low = high;
        high = swap;
    }
    uint64_t bits = low;
    if (slots > 1)
        bits |= high << txn_bits();
    return bits << VERSIONS_MAX | m->lease[node];
}

static void pack_nodes(struct bits *b, const struct model *m, const struct renaming *r)
{
    uint64_t node[NODES] = {pack_node(m, 0, r), pack_node(m, 1, r)};
    unsigned first = slots_of(0) == slots_of(1) && node[1] < node[0] ? 1 : 0;
    put(b, node[first], VERSIONS_MAX + slots_of(0) * txn_bits());
    put(b, node[1 - first], VERSIONS_MAX + slots_of(1) * txn_bits());
}

static void unpack_nodes(struct bits *b, struct model *m)
{
    for (unsigned n = 0; n < NODES; n++) {
        m->lease[n] = get(b, VERSIONS_MAX);
        for (unsigned i = n; i < config.bounds.txns; i += NODES)
            unpack_txn(b, &m->txn[i]);
    }
}

static void pack_log(struct bits *b, const struct model *m, const struct renaming *r)
{
    put(b, m->pending, 3);
    put(b, m->durable, 3);
    put(b, m->version_lo, 3);
    for (unsigned i = 0; i < m->pending; i++) {
        const struct record *record = &m->log[i];
        put(b, record->kind | record->stage << 3, 6);
        if (config.tags)
            put(b, record->version, 3);
        put(b, pack_writes(record->write, r), write_bits());
    }
}

static void unpack_log(struct bits *b, struct model *m)
{
    m->pending = get(b, 3);
    m->durable = get(b, 3);
    m->version_lo = get(b, 3);
    for (unsigned i = 0; i < m->pending; i++) {
        m->log[i].kind = get(b, 3);
        m->log[i].stage = get(b, 3);
        m->log[i].version = config.tags ? get(b, 3) : 0;
        unpack_writes(b, m->log[i].write);
    }
}

static unsigned set_bits(void)
{
    return VALUES * config.bounds.rows;
}

static void pack_table(struct bits *b, const struct model *m, const struct renaming *r)
{
    for (unsigned k = 0; k < config.bounds.rows; k++) {
        unsigned image = m->image[r->row[k]];
        put(b, r->value[m->row[r->row[k]]], 2);
        put(b, image ? 1 + r->value[image - 1] : 0, 2);
        put(b, m->loaded >> r->row[k] & 1, 1);
        if (config.tags)
            put(b, m->tag[r->row[k]], 3);
    }
    put(b, r->set[m->tree], set_bits());
    put(b, r->set[m->delta_put], set_bits());
    put(b, r->set[m->delta_delete], set_bits());
    put(b, m->mode | m->purged << 2, 3);
}

static void unpack_table(struct bits *b, struct model *m)
{
    for (unsigned k = 0; k < config.bounds.rows; k++) {
        m->row[k] = get(b, 2);
        m->image[k] = get(b, 2);
        m->loaded |= get(b, 1) << k;
        m->tag[k] = config.tags ? get(b, 3) : 0;
    }
    m->tree = get(b, set_bits());
    m->delta_put = get(b, set_bits());
    m->delta_delete = get(b, set_bits());
    m->mode = get(b, 2);
    m->purged = get(b, 1);
}

static void pack_change(struct bits *b, const struct model *m, const struct renaming *r)
{
    put(b, m->version, 3);
    for (unsigned v = 0; v <= m->version; v++)
        put(b, m->stage[v], 3);
    put(b, m->plan | m->step << 4 | m->verdict << 8, 10);
    put(b, m->since, 3);
    put(b, m->commits_left, 4);
    if (!config.unique)
        return;
    put(b, r->set[m->checked], set_bits());
    put(b, r->set[m->found], set_bits());
    for (unsigned v = 1; v <= VALUES; v++)
        put(b, m->duplicate >> r->value[v] & 1, 1);
}

static void unpack_change(struct bits *b, struct model *m)
{
    m->version = get(b, 3);
    for (unsigned v = 0; v <= m->version; v++)
        m->stage[v] = get(b, 3);
    m->plan = get(b, 4);
    m->step = get(b, 4);
    m->verdict = get(b, 2);
    m->since = get(b, 3);
    m->commits_left = get(b, 4);
    if (!config.unique)
        return;
    m->checked = get(b, set_bits());
    m->found = get(b, set_bits());
    for (unsigned v = 1; v <= VALUES; v++)
        m->duplicate |= get(b, 1) << v;
}

/* ---- The whole --------------------------------------------------------------------------------
 */

static void pack_rest(struct bits *b, const struct model *m, const struct renaming *r)
{
    pack_nodes(b, m, r);
    pack_log(b, m, r);
    pack_change(b, m, r);
}

/* The longest key has a full log and the last version. */
static void measure(void)
{
    struct model m = {.version = VERSIONS_MAX - 1, .pending = config.bounds.pending};
    struct bits b = {.at = 0};
    pack_table(&b, &m, &renamings[0]);
    pack_rest(&b, &m, &renamings[0]);
    words = (b.at + 63) / 64;
    assert(words <= KEY_WORDS);
}

void pack_init(void)
{
    init_renamings();
    measure();
}

unsigned pack_words(void)
{
    return words;
}

static bool is_less(const struct key *a, const struct key *b)
{
    for (unsigned w = 0; w < words; w++)
        if (a->word[w] != b->word[w])
            return a->word[w] < b->word[w];
    return false;
}

/*
 * The table's part comes first and fits in one word. Mostly one renaming alone makes it least; only
 * where several do, the rest decides.
 */
void pack(const struct model *m, struct key *key)
{
    struct bits table[RENAMINGS_MAX];
    uint64_t least = UINT64_MAX;
    for (unsigned i = 0; i < renamings_count; i++) {
        table[i] = (struct bits){.at = 0};
        pack_table(&table[i], m, &renamings[i]);
        if (table[i].key.word[0] < least)
            least = table[i].key.word[0];
    }
    bool is_first = true;
    for (unsigned i = 0; i < renamings_count; i++) {
        struct bits b = table[i];
        if (b.key.word[0] != least)
            continue;
        pack_rest(&b, m, &renamings[i]);
        if (is_first || is_less(&b.key, key))
            *key = b.key;
        is_first = false;
    }
}

void unpack(const struct key *key, struct model *m)
{
    struct bits b = {.key = *key};
    memset(m, 0, sizeof(*m));
    unpack_table(&b, m);
    unpack_nodes(&b, m);
    unpack_log(&b, m);
    unpack_change(&b, m);
}
