/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clocks: the clocks of a machine on which several processes of a test run, beside real time: the
 * wall clock is set, the machine sleeps, time runs slowly; and a process may see another time since
 * the start than others do, as in a time namespace.
 */
#ifndef INSTAR_TEST_CLOCKS_H
#define INSTAR_TEST_CLOCKS_H

#include <stdint.h>

#define CLOCKS_HOUR_NS (INT64_C(3600) * 1000000000)

struct clocks;
/* Shared with forks. They run like the real ones at first. */
struct clocks *clocks_new(void);
/* This process, and those that it forks, see them from now on; time since the start by so much
 * ahead. Before a store is opened. */
void clocks_attach(struct clocks *c, int64_t ahead_ns);
/* One process at a time moves them. */
void clocks_sleep(struct clocks *c, uint64_t ns);      /* the machine: time since the start leaps */
void clocks_set_wall(struct clocks *c, int64_t by_ns); /* the wall clock alone */
void clocks_slow(struct clocks *c, unsigned by_two);   /* runs 2^by_two times as slowly; 0: well */

#endif
