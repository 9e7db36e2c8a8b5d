/* SPDX-License-Identifier: Apache-2.0 */
/* api/open, api/options: opening, and refusing to, with the reason. */
#include "support/dbs.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A store is private whatever the umask: directory 0700, files 0600. */
Test(api_open, modes)
{
    struct stat st;
    instar *db;

    (void)umask(0);
    db = dbs_open(0);
    expect(stat(dbs_path(), &st) == 0);
    expect_u64(st.st_mode & 07777, 0700);
    expect(stat(test_path("x"), &st) != 0);
    ok(instar_close(db));
    (void)umask(0777);
    db = dbs_open(0);
    ok(instar_close(db));
}

/* A second open in one process is refused, also by another path; it may be opened again after. */
Test(api_open, second_open)
{
    instar *db = dbs_open(0), *again = NULL;

    fails(instar_open(dbs_path(), NULL, &again), INSTAR_EINUSE);
    expect(again == NULL);
    expect(symlink(dbs_path(), test_path("link")) == 0);
    expect(instar_open(test_path("link"), NULL, &again) != INSTAR_OK);
    dbs_make_table(db, "t");
    ok(instar_close(db));
    ok(instar_open(dbs_path(), NULL, &again));
    ok(instar_close(again));
}

/* What is no store is left as it is. */
Test(api_open, not_a_store)
{
    instar_options o = dbs_options();
    instar *db = NULL;

    fails(instar_open(test_path("nothing"), NULL, &db), INSTAR_ENOSTORE);
    expect(mkdir(test_path("full"), 0700) == 0);
    test_write_file(test_path("full/precious"), "x", 1);
    expect(instar_open(test_path("full"), &o, &db) != INSTAR_OK);
    expect(instar_create(test_path("full"), NULL) != INSTAR_OK);
    expect(access(test_path("full/precious"), F_OK) == 0);
    expect(access(test_path("full/data.mdb"), F_OK) != 0);
    test_write_file(test_path("file"), "x", 1);
    expect(instar_open(test_path("file"), &o, &db) != INSTAR_OK);
}

/* Making a store twice is refused. */
Test(api_open, create_twice)
{
    ok(instar_create(test_path("s"), NULL));
    fails(instar_create(test_path("s"), NULL), INSTAR_EEXISTS);
}

/* Each option beyond its limit is named. */
Test(api_options, limits)
{
    instar_options o = dbs_options();
    instar *db = NULL;

    o.segment_bytes = 100000;
    fails(instar_open(dbs_path(), &o, &db), INSTAR_EINVALID);
    expect(strstr(instar_error_text(), "segment_bytes") != NULL);
    o = dbs_options();
    o.lease_ms = 1;
    fails(instar_open(dbs_path(), &o, &db), INSTAR_EINVALID);
    expect(strstr(instar_error_text(), "lease_ms") != NULL);
    o = dbs_options();
    o.flags = 1u << 20;
    fails(instar_open(dbs_path(), &o, &db), INSTAR_EINVALID);
    o = dbs_options();
    o.txn_bytes_max = o.segment_bytes;
    fails(instar_open(dbs_path(), &o, &db), INSTAR_EINVALID);
    o = dbs_options();
    o.struct_size = 1 << 20;
    fails(instar_open(dbs_path(), &o, &db), INSTAR_EINVALID);
}

/* The sizes of transactions and rows depend on each other; rows are smaller by themselves only
 * where nobody said how large they may be. */
Test(api_options, sizes_that_depend)
{
    instar_options o = dbs_options();
    instar *db = NULL;

    o.txn_bytes_max = 4095;
    fails(instar_open(dbs_path(), &o, &db), INSTAR_EINVALID);
    expect(strstr(instar_error_text(), "txn_bytes_max") != NULL);
    o.txn_bytes_max = 4096;
    o.row_bytes_max = 2049;
    fails(instar_open(dbs_path(), &o, &db), INSTAR_EINVALID);
    expect(strstr(instar_error_text(), "row_bytes_max") != NULL);
    o.row_bytes_max = dbs_options().row_bytes_max;
    ok(instar_open(dbs_path(), &o, &db));
    ok(instar_close(db));
}

/* An older program's shorter structure gets defaults for the rest. */
Test(api_options, shorter_structure)
{
    instar_options o = dbs_options();
    instar *db = NULL;

    o.struct_size = (uint32_t)offsetof(instar_options, sort_memory_bytes);
    o.sort_memory_bytes = 1;
    ok(instar_open(dbs_path(), &o, &db));
    ok(instar_close(db));
}

/* A change's options are checked too. */
Test(api_options, of_changes)
{
    instar *db = dbs_open(0);
    instar_change_options o;
    uint64_t id = 7;

    instar_change_options_init(&o);
    o.flags = 1u << 9;
    fails(instar_drop_table(db, "t", &o, &id), INSTAR_EINVALID);
    expect_u64(id, 0);
    instar_change_options_init(&o);
    o.sort_memory_bytes = 5;
    fails(instar_drop_table(db, "t", &o, &id), INSTAR_EINVALID);
    ok(instar_close(db));
}

/* Stat wants to know how large the caller's structure is. */
Test(api_options, of_stat)
{
    instar *db = dbs_open(0);
    instar_stats s = {0};

    fails(instar_stat(db, &s), INSTAR_EINVALID);
    s.struct_size = sizeof(s);
    ok(instar_stat(db, &s));
    expect(s.log_tail >= s.log_durable && s.log_durable >= s.log_applied);
    expect_u64(s.nodes, 1);
    ok(instar_close(db));
}
