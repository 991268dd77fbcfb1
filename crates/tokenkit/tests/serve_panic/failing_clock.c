/*
 * Loaded before the C library: after a thread has received bytes that hold
 * "x-clock-fails-at: N;" the monotonic clock fails it at the Nth look, once. No
 * program reckons with that: Rust's own `Instant::now` panics.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

static const char sign[] = "x-clock-fails-at: ";
/* Looks until it fails; 0 is never. */
static __thread int left;

/* The C library's own. */
#define REAL(type, name) ((type)dlsym(RTLD_NEXT, name))

ssize_t recv(int fd, void *bytes, size_t count, int flags) {
    typedef ssize_t (*type)(int, void *, size_t, int);
    ssize_t got = REAL(type, "recv")(fd, bytes, count, flags);
    size_t length = sizeof sign - 1;
    if (got > (ssize_t)length) {
        const char *found = memmem(bytes, (size_t)got, sign, length);
        const char *end = (const char *)bytes + got;
        if (found != NULL && memchr(found, ';', (size_t)(end - found)) != NULL) {
            left = atoi(found + length);
        }
    }
    return got;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    typedef int (*type)(clockid_t, struct timespec *);
    if (clock == CLOCK_MONOTONIC && left > 0 && --left == 0) {
        errno = EINVAL;
        return -1;
    }
    return REAL(type, "clock_gettime")(clock, time);
}
