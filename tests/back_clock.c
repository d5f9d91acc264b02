/*
 * Preloaded into a program: the wall clock goes BACK_CLOCK seconds behind. What is deleted in an
 * old store would otherwise be purged, as it should be, once its date has come.
 */
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *ret_time)
{
    const char *back = getenv("BACK_CLOCK");
    int rv = (int)syscall(SYS_clock_gettime, clock, ret_time);
    if (rv == 0 && clock == CLOCK_REALTIME && back != NULL)
        ret_time->tv_sec -= strtol(back, NULL, 10);
    return rv;
}
