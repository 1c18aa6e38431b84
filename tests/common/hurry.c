/* Loaded into the program with LD_PRELOAD: whoever sleeps is awake after a twentieth of the time. */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct timespec shorter(const struct timespec *time) {
    long long nanoseconds = (time->tv_sec * 1000000000LL + time->tv_nsec) / 20;
    return (struct timespec){nanoseconds / 1000000000LL, nanoseconds % 1000000000LL};
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *left) {
    struct timespec short_time = shorter(time);
    return (int)syscall(SYS_clock_nanosleep, clock, flags, flags & TIMER_ABSTIME ? time : &short_time, left);
}

int nanosleep(const struct timespec *time, struct timespec *left) {
    return clock_nanosleep(CLOCK_MONOTONIC, 0, time, left);
}
