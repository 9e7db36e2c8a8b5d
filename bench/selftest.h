/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INSTAR_BENCH_SELFTEST_H
#define INSTAR_BENCH_SELFTEST_H

/* At a fixed rate a stall is felt by all that came meanwhile, and a failure is not lost. 0: so it
 * is. */
int workers_self_test(void);

#endif
