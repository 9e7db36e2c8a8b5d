/* SPDX-License-Identifier: Apache-2.0 */
/*
 * torture: a user's own program, and the power cut at each write that the engine makes for it.
 *
 * The program runs once, with recorder.so loaded before the C library: it puts down every change of
 * a file below one directory, and how much the program had printed by then. From that, the walk of
 * the power-cut tests (tests/support/powercut.h) makes what a disk may hold after a power cut, and
 * the user's own check is run on each. Nothing of it is in the library: the program is recorded
 * with the very one that it will run with.
 */
#ifndef INSTAR_TORTURE_H
#define INSTAR_TORTURE_H

#include <stdint.h>

/* How the recorder learns what to do. */
#define TORTURE_ROOT "INSTAR_TORTURE_ROOT" /* the directory */
#define TORTURE_WORK "INSTAR_TORTURE_WORK" /* where these lie: */
#define TORTURE_TRACE "trace"
#define TORTURE_OUTPUT "output" /* what the program prints */
#define TORTURE_OWNER "owner"   /* struct torture_owner, shared */

/* The last mark of a trace. Bytes printed are marked as powercut.h marks promises. */
enum { TORTURE_ENDED = 100 };

/* One process is recorded. */
struct torture_owner {
    _Atomic int32_t pid;    /* the first that changes something there */
    _Atomic int32_t other;  /* one that came later: then the record is not whole */
    _Atomic int32_t closed; /* the record is written */
};

/* Exit codes; 0: each look was good. */
enum { TORTURE_FOUND = 1, TORTURE_USAGE = 2, TORTURE_BROKEN = 3 };

extern uint64_t torture_seed;

#endif
