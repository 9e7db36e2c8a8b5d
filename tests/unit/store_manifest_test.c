/* SPDX-License-Identifier: Apache-2.0 */
/* The manifest of a backup: it comes back as it was written, and one that cannot be is refused. */
#include "store/backup.h"
#include "support/stores.h"

#include <unistd.h>

#define LO 4096
#define LOG_BYTES 10000
#define TREES_BYTES (2 * BACKUP_CHUNK + 1) /* three sums */

static int dir_fd;

static void setup(void)
{
    expect(os_open_dir(test_dir(), &dir_fd) == 0);
}

static void teardown(void)
{
    os_close(dir_fd);
}

TestSuite(store_manifest, .init = setup, .fini = teardown);

static void make(struct backup_manifest *m)
{
    static const uint64_t sums[] = {11, 12, 13};
    static const struct backup_moment moments[] = {{-5, LO + 10}, {1000, LO + LOG_BYTES}};
    *m = (struct backup_manifest){.format = {.log_id = {1},
                                             .instance_id = {2},
                                             .segment_bytes = 64 << 10,
                                             .map_bytes = 1 << 20,
                                             .trees_max = 16,
                                             .lease_slots = 64,
                                             .readers_max = 64,
                                             .nodes_max = 2},
                                  .lo = LO,
                                  .first = LO + 10,
                                  .end = LO + LOG_BYTES};
    m->files[BACKUP_FILE_TREES].size = TREES_BYTES;
    m->files[BACKUP_FILE_LOG].size = LOG_BYTES;
    expect(base_buf_add(&m->files[BACKUP_FILE_TREES].sums, sums, sizeof sums));
    expect(base_buf_add(&m->files[BACKUP_FILE_LOG].sums, sums, sizeof sums[0]));
    expect(base_buf_add(&m->moments, moments, sizeof moments));
}

/* The code of reading what is written of it, which it takes. */
static int written_and_read(struct backup_manifest *m, struct backup_manifest *back)
{
    must(manifest_write(dir_fd, m, &test_err));
    manifest_free(m);
    base_err_clear(&test_err);
    int rc = manifest_read(dir_fd, "place", back, &test_err);
    expect(unlink(test_path("manifest")) == 0);
    return rc;
}

Test(store_manifest, comes_back)
{
    struct backup_manifest m;
    struct backup_manifest back;
    make(&m);
    must(written_and_read(&m, &back));
    make(&m);
    expect(memcmp(&back.format, &m.format, sizeof m.format) == 0);
    expect(back.lo == m.lo && back.first == m.first && back.end == m.end);
    for (size_t i = 0; i < BACKUP_FILES; i++) {
        expect_u64(back.files[i].size, m.files[i].size);
        expect(
            base_slice_eq(base_buf_slice(&back.files[i].sums), base_buf_slice(&m.files[i].sums)));
    }
    expect_u64(manifest_moments(&back), 2);
    expect(manifest_moment(&back, 0).us == -5 && manifest_moment(&back, 1).lsn == m.end);
    manifest_free(&m);
    manifest_free(&back);
}

/* Where it begins and ends may be one: a backup of a store in which nothing was done since. */
Test(store_manifest, without_log)
{
    struct backup_manifest m;
    struct backup_manifest back;
    make(&m);
    m.first = m.end = m.lo;
    m.files[BACKUP_FILE_LOG].size = 0;
    base_buf_clear(&m.files[BACKUP_FILE_LOG].sums);
    must(written_and_read(&m, &back));
    manifest_free(&back);
}

/* Positions and sizes that do not follow from each other, each alone, under a checksum that holds.
 */
Test(store_manifest, contradictions_are_damage)
{
    for (int what = 0; what < 5; what++) {
        struct backup_manifest m;
        struct backup_manifest back;
        make(&m);
        switch (what) {
        case 0:
            m.first = m.lo - 1;
            break;
        case 1:
            m.first = m.end + 1;
            break;
        case 2:
            m.lo++;
            break;
        case 3:
            m.end--;
            break;
        default:
            m.files[BACKUP_FILE_TREES].size = 0;
            base_buf_clear(&m.files[BACKUP_FILE_TREES].sums);
            break;
        }
        must_fail(written_and_read(&m, &back), INSTAR_ECORRUPT);
        expect(strstr(test_err.text, "contradict") != NULL);
    }
}
