/* Loaded into the program with LD_PRELOAD. The calendar jumps by days at every look, back and forth; the steady clock runs
   CLOCK_SPEED times as fast, or in workers moves CLOCK_STEP nanoseconds at every look. The file CLOCK_READ is made when
   either is looked at. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const long DAY = 24 * 60 * 60;

static int is_worker;

__attribute__((constructor)) static void look_who_this_is(int count, char **words) {
    is_worker = count > 1 && !strcmp(words[1], "worker");
}

static void look(void) {
    static atomic_flag looked = ATOMIC_FLAG_INIT;
    const char *path = getenv("CLOCK_READ");
    if (path && !atomic_flag_test_and_set(&looked)) close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
}

static long jump(void) {
    static atomic_int looks;
    look();
    return atomic_fetch_add(&looks, 1) % 2 ? 5 * DAY : -3 * DAY;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static _Atomic long long start, looks;
    look();
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME) now->tv_sec += jump();
    const char *speed = getenv("CLOCK_SPEED");
    const char *step = is_worker ? getenv("CLOCK_STEP") : NULL;
    if (clock == CLOCK_MONOTONIC && (speed || step)) {
        long long real = now->tv_sec * 1000000000LL + now->tv_nsec, none = 0;
        atomic_compare_exchange_strong(&start, &none, real);
        long long passed = step ? atomic_fetch_add(&looks, 1) * atoll(step) : (real - start) * atoll(speed);
        long long shown = start + passed;
        now->tv_sec = shown / 1000000000LL;
        now->tv_nsec = shown % 1000000000LL;
    }
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int result = (int)syscall(SYS_gettimeofday, now, zone);
    now->tv_sec += jump();
    return result;
}

time_t time(time_t *out) {
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    now.tv_sec += jump();
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
