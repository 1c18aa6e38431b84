/* A file system that lacks something: FSYNC_FOLDER and FLOCK are the errors of fsync of a folder and of flock. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fault(const char *name) {
    const char *error = getenv(name);
    return error ? atoi(error) : 0;
}

int fsync(int file) {
    struct stat found;
    int error = fault("FSYNC_FOLDER");
    if (error && fstat(file, &found) == 0 && S_ISDIR(found.st_mode)) {
        errno = error;
        return -1;
    }
    return syscall(SYS_fsync, file);
}

int flock(int file, int operation) {
    int error = fault("FLOCK");
    if (error) {
        errno = error;
        return -1;
    }
    return syscall(SYS_flock, file, operation);
}
