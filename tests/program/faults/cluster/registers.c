/* For User Mode Linux on processors whose registers are larger than it knows (AMX): Linux wants them set as a whole. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* Not on the stack, which is a kernel's; there is only one processor. */
static char registers[65536];

long ptrace(enum __ptrace_request request, ...) {
    va_list arguments;
    va_start(arguments, request);
    pid_t pid = va_arg(arguments, pid_t);
    void *address = va_arg(arguments, void *);
    void *data = va_arg(arguments, void *);
    va_end(arguments);
    struct iovec all = {registers, sizeof registers}, *known = data;
    if (request == PTRACE_SETREGSET && (long)address == NT_X86_XSTATE &&
        syscall(SYS_ptrace, PTRACE_GETREGSET, pid, address, &all) == 0 && known->iov_len < all.iov_len) {
        memcpy(registers, known->iov_base, known->iov_len);
        data = &all;
    }
    /* The kernel stores what is asked for, the C library returns it. */
    long asked, is_question = request >= PTRACE_PEEKTEXT && request <= PTRACE_PEEKUSER;
    long result = syscall(SYS_ptrace, request, pid, address, is_question ? &asked : data);
    if (!is_question || result < 0) return result;
    errno = 0;
    return asked;
}
