/* A file system that lacks something: FSYNC_FOLDER and FLOCK are the errors of fsync of a folder and of flock. With KEEP_OPEN a file
   that is removed while this process has it open stays until it is closed, as on NFS. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
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

/* Where a removed file stays, by the descriptor that keeps it. */
static char kept[1024][4096];

int unlinkat(int folder, const char *name, int flags) {
    struct stat removed, open;
    int is_file = getenv("KEEP_OPEN") && !(flags & AT_REMOVEDIR) &&
                  fstatat(folder, name, &removed, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(removed.st_mode);
    for (int file = 0; is_file && file < 1024; file++) {
        if (fstat(file, &open) == 0 && open.st_ino == removed.st_ino && open.st_dev == removed.st_dev) {
            char other[64], place[64];
            snprintf(other, sizeof other, ".nfs%016lx", (unsigned long)removed.st_ino);
            snprintf(place, sizeof place, "/proc/self/fd/%d", file);
            if (renameat(folder, name, folder, other) < 0) return -1;
            ssize_t length = readlink(place, kept[file], sizeof kept[file] - 1);
            kept[file][length < 0 ? 0 : length] = 0;
            return 0;
        }
    }
    return syscall(SYS_unlinkat, folder, name, flags);
}

int close(int file) {
    if (file >= 0 && file < 1024 && kept[file][0]) {
        syscall(SYS_unlink, kept[file]);
        kept[file][0] = 0;
    }
    return syscall(SYS_close, file);
}
