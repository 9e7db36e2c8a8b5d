/* SPDX-License-Identifier: Apache-2.0 */
/* main SYSTEM WORKLOAD PLACE [NAME=VALUE…]: one measurement; bench/run puts them together. */
#include "hist.h"
#include "mix.h"
#include "selftest.h"
#include "workloads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct driver *const drivers[] = {&instar_driver,  &lmdb_driver,
                                               &sqlite_driver,  &postgres_driver,
                                               &rocksdb_driver, &wiredtiger_driver};

static bool is(const char *word, const char *name)
{
    return strncmp(word, name, strlen(name)) == 0 && word[strlen(name)] == '=';
}

static int set(struct parameters *p, const char *word)
{
    const struct {
        const char *name;
        uint64_t *number;
        bool *yes;
    } names[] = {{"rows", &p->rows, NULL},     {"ms", &p->ms, NULL},
                 {"rate", &p->rate, NULL},     {"sort_mib", &p->sort_mib, NULL},
                 {"settle", &p->settle, NULL}, {"sync", NULL, &p->sync},
                 {"unique", NULL, &p->unique}, {"online", NULL, &p->online},
                 {"hurry", NULL, &p->hurry},   {"at_rate", NULL, &p->at_rate}};
    const char *equals = strchr(word, '=');
    uint64_t value = equals != NULL ? strtoull(equals + 1, NULL, 10) : 0;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (is(word, names[i].name)) {
            if (names[i].number != NULL) {
                *names[i].number = value;
            } else {
                *names[i].yes = value != 0;
            }
            return 0;
        }
    }
    if (is(word, "processes")) {
        p->processes = (unsigned)value;
    } else if (is(word, "change")) {
        p->change = equals + 1;
    } else if (is(word, "work")) {
        return work_named(equals + 1, &p->work);
    } else {
        fprintf(stderr, "bench: what is '%s'? work, change, processes", word);
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            fprintf(stderr, ", %s", names[i].name);
        }
        fputc('\n', stderr);
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
        .rows = 100000, .ms = 1000, .settle = 2, .processes = 1, .sync = true, .work = WORK_INSERT};

    if (argc == 2 && strcmp(argv[1], "--self-test") == 0) {
        return hist_self_test() != 0 || mix_self_test() != 0 || workers_self_test() != 0;
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
