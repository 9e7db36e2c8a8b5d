/* SPDX-License-Identifier: Apache-2.0 */
/* main SYSTEM WORKLOAD PLACE [NAME=VALUE…]: one measurement; bench/run puts them together. */
#include "hist.h"
#include "workloads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct driver *const drivers[] = {&instar_driver, &lmdb_driver, &sqlite_driver,
                                               &postgres_driver};

static bool is(const char *word, const char *name)
{
    return strncmp(word, name, strlen(name)) == 0 && word[strlen(name)] == '=';
}

static int set(struct parameters *p, const char *word)
{
    static const char *const works[] = {"insert", "add", "update", "touch"};
    const char *equals = strchr(word, '=');
    uint64_t value = equals != NULL ? strtoull(equals + 1, NULL, 10) : 0;

    if (is(word, "rows")) {
        p->rows = value;
    } else if (is(word, "ms")) {
        p->ms = value;
    } else if (is(word, "processes")) {
        p->processes = (unsigned)value;
    } else if (is(word, "sync")) {
        p->sync = value != 0;
    } else if (is(word, "unique")) {
        p->unique = value != 0;
    } else if (is(word, "online")) {
        p->online = value != 0;
    } else if (is(word, "at_rate")) {
        p->at_rate = value != 0;
    } else if (is(word, "change")) {
        p->change = equals + 1;
    } else if (is(word, "work")) {
        for (unsigned i = 0; i < sizeof(works) / sizeof(works[0]); i++) {
            if (strcmp(works[i], equals + 1) == 0) {
                p->work = (enum work)i;
                return 0;
            }
        }
        fprintf(stderr, "bench: no work '%s': insert, add, update, touch\n", equals + 1);
        return 1;
    } else {
        fprintf(stderr,
                "bench: what is '%s'? rows, ms, processes, sync, unique, online, at_rate, work, "
                "change\n",
                word);
        return 1;
    }
    return 0;
}

static int run(const char *system, const char *name, const struct parameters *p)
{
    const struct driver *driver = NULL;

    if (strcmp(system, "device") == 0) {
        return bench_device(p->place, p->ms);
    }
    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
        driver = strcmp(drivers[i]->name, system) == 0 ? drivers[i] : driver;
    }
    for (const struct workload *w = workloads; driver != NULL && w->name != NULL; w++) {
        if (strcmp(w->name, name) == 0) {
            return w->run(driver, p);
        }
    }
    fprintf(stderr, "bench: no workload '%s' of '%s'\n", name, system);
    return 2;
}

int main(int argc, char **argv)
{
    struct parameters p = {
        .rows = 100000, .ms = 1000, .processes = 1, .sync = true, .work = WORK_UPDATE};

    if (argc == 2 && strcmp(argv[1], "--self-test") == 0) {
        return hist_self_test();
    }
    if (argc < 4) {
        fprintf(stderr, "usage: main SYSTEM WORKLOAD PLACE [NAME=VALUE...] | main --self-test\n");
        return 2;
    }
    p.place = argv[3];
    for (int i = 4; i < argc; i++) {
        if (set(&p, argv[i]) != 0) {
            return 2;
        }
    }
    return run(argv[1], argv[2], &p);
}
