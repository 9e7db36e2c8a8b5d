/* SPDX-License-Identifier: Apache-2.0 */
/*
 * data.mdb as the checker reads it before LMDB may: any bytes are walked to an end, with findings
 * or without, and nothing outside the file is believed in.
 *
 * Input: the file.
 */
#define _GNU_SOURCE
#include "store/pages.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int count(void *arg, uint64_t page, const char *text)
{
    base_assert(text != NULL);
    (void)page;
    return ++*(uint64_t *)arg > 1000 ? INSTAR_ECANCELLED : 0;
}

static int note(void *arg, struct base_slice key, struct base_slice value)
{
    (void)arg;
    (void)base_hash64(value.data, value.size, base_hash64(key.data, key.size, 0));
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t findings = 0;
    int fd = memfd_create("pages", MFD_CLOEXEC);
    for (int shallow = 0; fd >= 0 && shallow < 2; shallow++) {
        struct pages p = {
            .fd = fd, .shallow = shallow != 0, .fn = count, .entry = note, .arg = &findings};
        findings = 0;
        if (os_pwrite(fd, data, size, 0) == 0 && pages_metas(&p, NULL) == 0) {
            int rc = pages_walk(&p, NULL);
            base_assert(rc == 0 || rc == INSTAR_ECANCELLED || rc == INSTAR_ENOMEM);
        }
        base_assert(p.findings == findings);
    }
    (void)close(fd);
    return 0;
}
