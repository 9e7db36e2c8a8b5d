/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that share one piece of work, started for it and joined after it. */
#include "change/build_impl.h"

#define POLL_NS 20000000u

struct shared {
    const struct crew *crew;
    struct os_plain_mutex lock;
    struct os_cond cond;
    unsigned running;
    int rc;
    struct base_err err;
};
struct member {
    struct shared *sh;
    unsigned number;
    struct os_thread thread;
};

static void *member_main(void *arg)
{
    struct member *m = arg;
    struct shared *sh = m->sh;
    struct base_err err = {0};
    int rc = sh->crew->work(sh->crew->arg, m->number, &err);

    os_plain_lock(&sh->lock);
    bool first = rc != 0 && sh->rc == 0;
    if (first) {
        sh->rc = rc;
        sh->err = err;
    }
    sh->running--;
    os_cond_wake_all(&sh->cond);
    os_plain_unlock(&sh->lock);
    if (first) {
        sh->crew->halt(sh->crew->arg);
    }
    return NULL;
}

/* Until all have ended; asks now and then whether to go on. */
static int watch(struct shared *sh, struct base_err *err)
{
    int rc = 0;

    os_plain_lock(&sh->lock);
    while (sh->running > 0) {
        if (os_cond_wait(&sh->cond, &sh->lock, POLL_NS) == 0 || rc != 0) {
            continue;
        }
        os_plain_unlock(&sh->lock);
        rc = sh->crew->poll(sh->crew->arg, err);
        if (rc != 0) {
            sh->crew->halt(sh->crew->arg);
        }
        os_plain_lock(&sh->lock);
    }
    os_plain_unlock(&sh->lock);
    return rc;
}

unsigned crew_workers(const struct job *j, uint64_t useful)
{
    uint64_t wanted = atomic_load(&j->workers);

    wanted = wanted != 0 ? wanted : store_options(j->store)->build_workers;
    wanted = wanted != 0 ? wanted : os_cpu_count();
    wanted = wanted < useful ? wanted : useful;
    return wanted < GAPS_WORKERS_MAX ? (unsigned)wanted : GAPS_WORKERS_MAX;
}

int crew_run(const struct crew *crew, struct base_err *err)
{
    struct shared sh = {.crew = crew};
    struct member members[GAPS_WORKERS_MAX];
    unsigned started = 0;
    int rc = 0;

    base_assert(crew->workers > 0 && crew->workers <= GAPS_WORKERS_MAX);
    os_plain_init(&sh.lock);
    os_cond_init(&sh.cond);
    while (started < crew->workers) {
        struct member *m = &members[started];
        *m = (struct member){.sh = &sh, .number = started};
        os_plain_lock(&sh.lock);
        sh.running++;
        os_plain_unlock(&sh.lock);
        rc = os_thread_start(&m->thread, crew->name, member_main, m);
        if (rc != 0) {
            rc = base_err_errno(err, rc, "starting a thread");
            os_plain_lock(&sh.lock);
            sh.running--;
            os_plain_unlock(&sh.lock);
            crew->halt(crew->arg);
            break;
        }
        started++;
    }
    if (rc == 0) {
        rc = watch(&sh, err);
    }
    for (unsigned i = 0; i < started; i++) {
        os_thread_join(&members[i].thread);
    }
    if (rc == 0 && sh.rc != 0) {
        rc = sh.rc;
        *err = sh.err;
    }
    os_cond_destroy(&sh.cond);
    os_plain_destroy(&sh.lock);
    return rc;
}
