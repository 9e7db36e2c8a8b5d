/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ThreadSanitizer does not know pthread_mutex_clocklock, and would take what such a lock guards for
 * unguarded. It knows pthread_mutex_timedlock: the same by the wall clock.
 */
#include <pthread.h>
#include <time.h>

#define NS_PER_S 1000000000

static struct timespec now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t;
}

int pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock, const struct timespec *until)
{
    struct timespec here = now(clock), wall = now(CLOCK_REALTIME);
    wall.tv_sec += until->tv_sec - here.tv_sec;
    wall.tv_nsec += until->tv_nsec - here.tv_nsec;
    wall.tv_sec += wall.tv_nsec < 0 ? -1 : wall.tv_nsec >= NS_PER_S ? 1 : 0;
    wall.tv_nsec += wall.tv_nsec < 0 ? NS_PER_S : wall.tv_nsec >= NS_PER_S ? -NS_PER_S : 0;
    return pthread_mutex_timedlock(mutex, &wall);
}
