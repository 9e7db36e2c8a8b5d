/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of changes as bytes, when there is no memory for the next of them; and the tree in which
 * records stand, when something else stands there. */
#include "change/build_impl.h"
#include "change/compound_impl.h"
#include "change/rekey_impl.h"
#include "change/several_impl.h"
#include "change/undo_impl.h"
#include "support/stores.h"

#include <stdio.h>

#define CORPUS "fuzz/corpus/change"
#define WHAT_CHECKPOINT 17 /* as the fuzz target has it */

static bool refuse(size_t size)
{
    (void)size;
    return false;
}

/* It is full behind each byte, in turn. */
static void fill_up(const char *name, int (*encode)(const void *request, struct base_buf *out),
                    const void *request)
{
    struct base_buf whole = {0};

    cr_assert_eq(encode(request, &whole), 0, "%s", name);
    for (size_t size = 0; size < whole.size; size++) {
        struct base_buf out = {.data = base_alloc_zero(1, size + 1), .capacity = size};
        base_alloc_hook = refuse;
        int rc = encode(request, &out);
        base_alloc_hook = NULL;
        cr_assert_eq(rc, INSTAR_ENOMEM, "%s, room for %d bytes: %d", name, (int)size, rc);
        base_buf_free(&out);
    }
    base_buf_free(&whole);
}

static int encode_alter(const void *request, struct base_buf *out)
{
    const struct alter_request *r = request;
    return alter_encode(r->steps, r->step_count, r->names, r->name_count, out, NULL);
}

static int encode_compound(const void *request, struct base_buf *out)
{
    const struct compound_request *r = request;
    return compound_encode(r->statements, r->count, r->renames.names, r->renames.name_count, out,
                           NULL);
}

static int encode_several(const void *request, struct base_buf *out)
{
    return several_encode(request, out, NULL);
}

static int encode_rekey(const void *request, struct base_buf *out)
{
    return rekey_encode(request, out, NULL);
}

static int encode_undo(const void *request, struct base_buf *out)
{
    return undo_columns_encode(request, out, NULL);
}

static int encode_checkpoint(const void *request, struct base_buf *out)
{
    return checkpoint_encode(request, out, NULL);
}

static bool fill_up_kind(const char *name, unsigned kind, struct base_slice bytes)
{
    static union {
        struct alter_request alter;
        struct compound_request compound;
        struct several_request several;
        struct rekey_request rekey;
        struct undo_columns undo;
        struct checkpoint checkpoint;
    } u;
    bool done = false;

    switch (kind) {
    case CHANGE_ALTER_TABLE:
        done = alter_decode(bytes, &u.alter, NULL) == 0;
        if (done) {
            fill_up(name, encode_alter, &u);
        }
        base_arena_free(&u.alter.arena);
        break;
    case CHANGE_COMPOUND:
        done = compound_decode(bytes, &u.compound, NULL) == 0;
        if (done) {
            fill_up(name, encode_compound, &u);
        }
        compound_free(&u.compound);
        break;
    case CHANGE_SEVERAL:
        done = several_decode(bytes, &u.several, NULL) == 0;
        if (done) {
            fill_up(name, encode_several, &u);
        }
        several_free(&u.several);
        break;
    case CHANGE_REKEY:
        done = rekey_decode(bytes, &u.rekey, NULL) == 0;
        if (done) {
            fill_up(name, encode_rekey, &u);
        }
        break;
    case CHANGE_UNDO:
        done = undo_columns_decode(bytes, &u.undo, NULL) == 0;
        if (done) {
            fill_up(name, encode_undo, &u);
        }
        undo_columns_free(&u.undo);
        break;
    case WHAT_CHECKPOINT:
        done = checkpoint_decode(bytes, &u.checkpoint, NULL) == 0;
        if (done) {
            fill_up(name, encode_checkpoint, &u);
        }
        break;
    default:
        break;
    }
    return done;
}

/* Requests of the fuzz corpus: ENOMEM wherever it strikes. */
Test(change_encode, no_memory_for_the_next_byte)
{
    char **names;
    size_t count, done = 0;
    int dir;

    must(os_open_dir(CORPUS, &dir));
    must(os_list_dir(dir, &names, &count));
    for (size_t i = 0; i < count; i++) {
        char path[512];
        size_t size;
        (void)snprintf(path, sizeof(path), CORPUS "/%s", names[i]);
        uint8_t *data = test_read_file(path, &size);
        if (size > 2) {
            done += fill_up_kind(names[i], data[1], base_slice(data + 2, size - 2));
        }
        base_free(data);
        base_free(names[i]);
    }
    base_free(names);
    os_close(dir);
    cr_assert(done >= 12, "%d requests", (int)done);
}

static unsigned left; /* requests that are granted */

static bool grant_some(size_t size)
{
    (void)size;
    return left > 0 && left-- > 0;
}

/* What rows have broken, of which there is much: no memory for it is not damage. */
Test(change_encode, no_memory_for_a_sample)
{
    struct change_record r = {.id = 7};
    struct base_buf words = {0};
    instar_change_failure failure;
    int rc = INSTAR_ENOMEM;

    for (int i = 0; i < 250; i++) {
        expect(base_buf_add_u8(&words, 'x'));
    }
    for (int i = 0; i < 200; i++) {
        failure_add(&r.failure, INSTAR_FAILURE_UNIQUE, "t_u", &words, &words);
    }
    for (unsigned granted = 0; rc != 0; granted++) {
        struct base_arena arena = {0};
        left = granted;
        base_alloc_hook = grant_some;
        rc = failure_get(&r, &arena, &failure, &test_err);
        base_alloc_hook = NULL;
        expect(granted > 1 || rc != 0); /* it is more than one piece */
        cr_assert(rc == 0 || rc == INSTAR_ENOMEM, "%d: %s", rc, test_err.text);
        base_err_clear(&test_err);
        expect(rc != 0 || failure.sample_count == 200);
        base_arena_free(&arena);
    }
    base_buf_free(&words);
    record_free(&r);
}

/* ---- the tree of records -------------------------------------------------------------------- */

static int see_marker(void *arg, const struct record_marker *marker)
{
    (void)arg;
    (void)marker;
    return 0;
}

static int see_record(void *arg, const struct change_record *r)
{
    (void)arg;
    (void)r;
    return 0;
}

static int see_kept(void *arg, const struct record_kept *kept)
{
    (void)arg;
    (void)kept;
    return 0;
}

enum list { MARKERS, RECORDS, KEPT };

static int list_all(struct store_txn *t, enum list which)
{
    const enum store_read how = STORE_READ_UNTRACKED;

    return which == MARKERS   ? record_markers(t, UINT64_MAX, how, see_marker, NULL, &test_err)
           : which == RECORDS ? record_list(t, false, see_record, NULL, &test_err)
                              : record_list_kept(t, how, see_kept, NULL, &test_err);
}

/* What is no record and no marker is told as damage, whichever list meets it. */
Test(change_encode, strangers_in_the_tree_of_records)
{
    static const struct {
        enum list which;
        uint8_t first; /* of the key, whose other bytes but the last are the same or 0 */
        size_t key_size, value_size;
    } strangers[] = {{MARKERS, 0, 15, 16},  {MARKERS, 0, 16, 8}, {MARKERS, 0, 16, 17},
                     {MARKERS, 0, 16, 400}, {RECORDS, 1, 9, 16}, {KEPT, 0xff, 15, 16},
                     {KEPT, 0xff, 16, 15},  {RECORDS, 1, 8, 16}};
    static const uint8_t value[400];
    struct store *s = stores_make(NULL);

    stores_tree_op(s, STORE_TREE_CREATE, CATALOG_CHANGE_TREE);
    for (size_t i = 0; i < BASE_ARRAY_LEN(strangers); i++) {
        uint8_t key[16] = {0};
        memset(key, strangers[i].first, strangers[i].first == 0xff ? 8 : 1);
        key[strangers[i].key_size - 1] = 7;
        struct store_txn *t = stores_begin(s, STORE_TXN_SYNC);
        must(list_all(t, strangers[i].which));
        must(store_txn_put(t, CATALOG_CHANGE_TREE, base_slice(key, strangers[i].key_size),
                           base_slice(value, strangers[i].value_size), &test_err));
        must_fail(list_all(t, strangers[i].which), INSTAR_ECORRUPT);
        expect(test_err.text[0] != '\0');
        base_err_clear(&test_err);
        store_txn_abort(t);
    }
    stores_close(s);
}
