/*
 * Loaded before the C library: of the calls by which files of the data folder
 * are written or brought to the disk, the one with the number FAIL_AT fails, as
 * FAIL_HOW says. It then makes the file FAIL_MARK.
 *
 *   once      EIO, this one call
 *   failing   EIO, this call and each one after it
 *   full      ENOSPC, this call and each write after it
 *   half      half of it is written, and then as above
 *   readonly  EROFS, this call and each write after it
 *   syncs     EIO, each call that waits for the disk; all others succeed
 *
 * With FAIL_WHILE in the place of FAIL_AT and FAIL_MARK, each call that FAIL_HOW
 * is about fails as long as a file of that name is there.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static long calls;

enum kind { WRITES, SYNCS, CUTS };
enum how { GOES_ON, FAILS, FAILS_HALF };

static int error_of(const char *how) {
    if (strcmp(how, "readonly") == 0) {
        return EROFS;
    }
    return strcmp(how, "full") == 0 || strcmp(how, "half") == 0 ? ENOSPC : EIO;
}

/* Whether a call fails that comes when calls fail already. */
static int fails_too(const char *how, enum kind kind) {
    if (strcmp(how, "syncs") == 0) {
        return kind == SYNCS;
    }
    return strcmp(how, "failing") == 0 || (kind == WRITES && strcmp(how, "once") != 0);
}

/* The outcome of one that fails, or goes on. */
static enum how fails_if(int fails, const char *how) {
    errno = fails ? error_of(how) : errno;
    return fails ? FAILS : GOES_ON;
}

static enum how outcome(int fd, enum kind kind) {
    char link[64], path[4096];
    const char *at = getenv("FAIL_AT"), *how = getenv("FAIL_HOW"), *mark = getenv("FAIL_MARK");
    const char *during = getenv("FAIL_WHILE");
    ssize_t length;
    long number;
    int made;

    if (how == NULL || (during == NULL && (at == NULL || mark == NULL))) {
        return GOES_ON;
    }
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0) {
        return GOES_ON;
    }
    path[length] = 0;
    if (strstr(path, "/tokenkit-data/") == NULL) {
        return GOES_ON;
    }
    if (during != NULL) {
        return fails_if(access(during, F_OK) == 0 && fails_too(how, kind), how);
    }
    if (strcmp(how, "syncs") == 0 && kind != SYNCS) {
        return GOES_ON;
    }
    number = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
    if (number < atol(at)) {
        return GOES_ON;
    }
    if (number > atol(at)) {
        return fails_if(fails_too(how, kind), how);
    }
    made = open(mark, O_CREAT | O_WRONLY, 0600);
    if (made >= 0) {
        close(made);
    }
    if (kind == WRITES && strcmp(how, "half") == 0) {
        return FAILS_HALF;
    }
    return fails_if(1, how);
}

/* The C library's own. */
#define REAL(type, name) ((type)dlsym(RTLD_NEXT, name))

ssize_t write(int fd, const void *bytes, size_t count) {
    enum how how = outcome(fd, WRITES);
    if (how == FAILS) {
        return -1;
    }
    return REAL(ssize_t(*)(int, const void *, size_t), "write")(
        fd, bytes, how == FAILS_HALF ? (count + 1) / 2 : count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    enum how how = outcome(fd, WRITES);
    if (how == FAILS) {
        return -1;
    }
    return REAL(ssize_t(*)(int, const void *, size_t, off_t), "pwrite")(
        fd, bytes, how == FAILS_HALF ? (count + 1) / 2 : count, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    enum how how = outcome(fd, WRITES);
    if (how == FAILS) {
        return -1;
    }
    return REAL(ssize_t(*)(int, const void *, size_t, off64_t), "pwrite64")(
        fd, bytes, how == FAILS_HALF ? (count + 1) / 2 : count, at);
}

int fsync(int fd) {
    return outcome(fd, SYNCS) == GOES_ON ? REAL(int (*)(int), "fsync")(fd) : -1;
}

int fdatasync(int fd) {
    return outcome(fd, SYNCS) == GOES_ON ? REAL(int (*)(int), "fdatasync")(fd) : -1;
}

int ftruncate(int fd, off_t length) {
    return outcome(fd, CUTS) == GOES_ON ? REAL(int (*)(int, off_t), "ftruncate")(fd, length) : -1;
}

int ftruncate64(int fd, off64_t length) {
    return outcome(fd, CUTS) == GOES_ON ? REAL(int (*)(int, off64_t), "ftruncate64")(fd, length) : -1;
}
