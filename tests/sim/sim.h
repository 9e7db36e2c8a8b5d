/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim: several processes of the engine, of whose threads one runs at a time, chosen by a seed, in a
 * time that only the scheduler moves. README.md says how and why.
 *
 * All that the scheduler knows lies in memory that the processes share, and belongs to the thread
 * whose turn it is: there is no lock. Thread 0 is the director, in the process of the test: it
 * starts and kills nodes while everybody else stands still.
 */
#ifndef INSTAR_SIM_H
#define INSTAR_SIM_H

#include "support/history.h"

#define SIM_NODES 3
#define SIM_THREADS 96
#define SIM_DIRECTOR 0
#define SIM_NEVER UINT64_MAX
#define SIM_WORDS 600

#define SIM_NS_PER_MS UINT64_C(1000000)
#define SIM_NS_PER_S UINT64_C(1000000000)

enum sim_state { SIM_FREE = 0, SIM_READY, SIM_WAITING, SIM_ENDED };

/* What a thread waits for: a place in a file, the same in all processes, or in one's own memory. */
struct sim_key {
    uint64_t where; /* 0: nobody wakes it */
    uint64_t at;
};
#define SIM_SHARED 1 /* a bit of `where`: a place in a file */
#define SIM_ENDS 2   /* `where` of the end of a thread */

struct sim_thread {
    _Atomic uint32_t turn; /* 1: run */
    uint32_t state;        /* enum sim_state */
    uint32_t node;
    uint32_t group;        /* of a futex */
    uint32_t slow;         /* chosen so many times less often */
    uint32_t stall_one_in; /* before a step in so many it stands still */
    bool timed_out;
    struct sim_key key;
    uint64_t until_ns; /* waits no longer */
};

struct sim_node {
    uint32_t pid; /* as the engine sees it; the next one has another */
    bool lives;
    uint64_t frozen_until_ns; /* 0: it is not */
    uint64_t back_ns;         /* dead: when it is started again */
};

/* Why the director has its turn. */
enum sim_call {
    SIM_CALL_NONE = 0, /* its time has come */
    SIM_CALL_STEP,     /* so many steps are done */
    SIM_CALL_STUCK,    /* nobody can go on, and nobody waits for a time */
    SIM_CALL_LONG,     /* it does not end */
    SIM_CALL_END,      /* a node has ended */
    SIM_CALL_DIED,     /* a process is gone that should not be: died_pid */
    SIM_CALL_HANGS     /* a thread keeps its turn for ever */
};

#define SIM_BEGIN_NS (1000 * SIM_NS_PER_S) /* not 0: the engine takes that for never */

struct sim {
    struct sim_thread threads[SIM_THREADS];
    struct sim_node nodes[SIM_NODES];
    uint32_t running;
    uint32_t call;    /* enum sim_call */
    uint32_t ended;   /* SIM_CALL_END: the node that has ended */
    int32_t died_pid; /* SIM_CALL_DIED: as the kernel knows it, and how */
    int32_t died_status;
    uint32_t high;    /* threads beyond it were never there */
    uint64_t steps;   /* operations so far */
    uint64_t turns;   /* of them, those after which another thread went on */
    uint64_t at_step; /* when the director wants its turn */
    uint64_t steps_max;
    uint64_t now_ns;
    uint64_t trace; /* hash of all steps: who, what, when */
    struct test_random choice;
    struct test_random bytes; /* what the engine gets for random */
    /* Chosen by the seed. */
    uint32_t switch_one_in;        /* a step in so many is followed by another thread's */
    uint32_t leap_one_in;          /* a turn in so many comes only when the next wait has ended */
    uint32_t stalls_percent;       /* of the threads, before some of whose steps they stand still */
    uint64_t stall_ns;             /* for up to so long, mostly for less */
    uint32_t tick_ns;              /* a step takes up to so long */
    uint64_t trace_from, trace_to; /* steps that are told on stderr */
    char words[SIM_WORDS];         /* what is wrong, "": nothing */
};

/* NULL outside of a simulation. */
extern struct sim *sim;

/* ---- the scheduler (sched.c) --------------------------------------------------------------- */

/* All anew, for this number; the calling thread becomes the director. */
void sim_begin(uint64_t seed);
void sim_finish(void);
/* Is this thread one of those that are scheduled? The director is not. */
bool sim_is_scheduled(void);
uint32_t sim_node(void);

/* One operation: the place where others may go on. `detail` goes into the trace. */
void sim_step(const char *what, uint64_t detail);
/* Sleep until somebody wakes this key, at most until that time; false: nobody did. */
bool sim_wait(struct sim_key key, uint32_t group, uint64_t until_ns);
/* How many were woken: at most `count`, chosen by chance, of those that have a bit in common. */
int sim_wake(struct sim_key key, uint32_t group, int count);

/* A thread of this node is there, and ready: its number. */
uint32_t sim_thread_new(uint32_t node);
/* The calling thread is that one: returns when it has its turn. */
void sim_thread_enter(uint32_t thread);
/* It has ended, others go on. */
void sim_thread_leave(void);
/* The calling thread is the node's last: the director goes on. Nothing of the node runs after. */
void sim_node_leave(void) __attribute__((noreturn));
/* Somebody found something wrong: it is kept, and this process ends. */
void sim_fail(const char *fmt, ...) BASE_PRINTF(1, 2) __attribute__((noreturn));

/* The director's turn to give away, until at_step or its time has come, or somebody calls. */
enum sim_call sim_direct(uint64_t until_ns);
/* The node is gone: its threads too, and who waits for a lock looks again. */
void sim_node_forget(uint32_t node);

/* ---- one world (world.c) ------------------------------------------------------------------- */

struct sim_result {
    uint64_t worlds; /* 1 */
    uint64_t steps, turns, trace;
    uint64_t lived_ns; /* in the world's time */
    uint64_t commits, changes, kills, freezes;
    uint64_t failed;       /* the number of the world in which something is wrong */
    char words[SIM_WORDS]; /* what, "": nothing */
};
/* A store to begin with, made once for all worlds of this process, which has a number among those
 * that simulate beside it. */
void sim_make_template(uint32_t lane);
void sim_leave_template(void);
const char *sim_path(void); /* of a world's store */
void sim_run_world(uint64_t seed, struct sim_result *result_out);

/* A world in which one process does no more than this. */
void sim_try(uint64_t seed, void (*fn)(void *arg), void *arg, struct sim_result *result_out);

/* ---- what nodes do (node.c) ---------------------------------------------------------------- */

#define SIM_GRANTS 64

/* What was seen of the grants of a slot; 0: nothing. */
struct sim_grants {
    uint64_t expired; /* this one's time was over, and the mutex was held by whoever saw that */
    uint64_t wanted;  /* this one was in use, and wanted */
};

struct sim_job {
    struct history *history;
    _Atomic uint64_t changes;      /* that came to a verdict */
    _Atomic uint32_t changes_left; /* to be begun */
    _Atomic bool changing[SIM_NODES];
    bool builds_only; /* changes are indexes that come and go */
    uint32_t lease_ms;
    uint32_t change_limit_ms; /* a change takes no longer */
    uint32_t fence_ms; /* and waits so long for those who hold it up; UINT32_MAX: as it would */
    uint32_t build_workers;
    uint64_t pause_ns; /* the longest, between two transactions of a client */
    struct sim_grants grants[SIM_GRANTS];
};
/* The life of a process: clients, and a thread that changes the schema. */
void sim_node_main(struct sim_job *job, uint32_t node);
void sim_node_make(void);
void sim_node_check(struct sim_job *job);

#endif
