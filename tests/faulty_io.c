/* See faulty_io.h. */
#include "faulty_io.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static enum faulty_io kind;
static bool armed;
static unsigned failing, calls;

void faulty_io_arm(enum faulty_io how, unsigned n)
{
    kind = how;
    failing = n;
    calls = 0;
    armed = true;
}

unsigned faulty_io_disarm(void)
{
    armed = false;
    return calls;
}

const char *faulty_io_name(enum faulty_io how)
{
    static const char *const names[FAULTY_KINDS] = {"nothing", "ENOSPC", "EIO", "EIO once",
                                                    "a short write", "kill before", "kill after"};
    return names[how];
}

static long kill_self(void)
{
    return syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
}

/* Is this call to go wrong? Once one has, all do: a disk that is full stays so. */
static bool fails(void)
{
    if (!armed)
        return false;
    calls++;
    if (kind == FAULTY_KILL_BEFORE && calls == failing)
        kill_self();
    if (kind == FAULTY_IO_ONCE)
        return calls == failing;
    return kind >= FAULTY_NO_SPACE && kind <= FAULTY_SHORT && calls >= failing;
}

static long done(long result)
{
    if (armed && kind == FAULTY_KILL_AFTER && calls == failing)
        kill_self();
    return result;
}

static int failure(void)
{
    errno = kind == FAULTY_NO_SPACE ? ENOSPC : EIO;
    return -1;
}

/* The first write that fails writes half when it is to be short; then the disk is full. */
static bool is_short(size_t size)
{
    return kind == FAULTY_SHORT && calls == failing && size > 1;
}

/* They are seen by what the program loads. */
#pragma GCC visibility push(default)

#define WRITES(call, short_call, size)                                                             \
    (!fails() ? done(call) : is_short(size) ? (short_call) : failure())

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    return (ssize_t)WRITES(syscall(SYS_pwrite64, fd, data, size, at),
                           syscall(SYS_pwrite64, fd, data, size / 2, at), size);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t at)
{
    return pwrite(fd, data, size, at);
}

ssize_t write(int fd, const void *data, size_t size)
{
    if (fd <= STDERR_FILENO)
        return syscall(SYS_write, fd, data, size);
    return (ssize_t)WRITES(syscall(SYS_write, fd, data, size),
                           syscall(SYS_write, fd, data, size / 2), size);
}

ssize_t writev(int fd, const struct iovec *parts, int n)
{
    return (ssize_t)WRITES(syscall(SYS_writev, fd, parts, n),
                           syscall(SYS_writev, fd, parts, n / 2), (size_t)n);
}

ssize_t pwritev(int fd, const struct iovec *parts, int n, off_t at)
{
    return (ssize_t)WRITES(syscall(SYS_pwritev, fd, parts, n, at, 0),
                           syscall(SYS_pwritev, fd, parts, n / 2, at, 0), (size_t)n);
}

#define CALL(call) (int)(!fails() ? done(call) : failure())

int fdatasync(int fd)
{
    return CALL(syscall(SYS_fdatasync, fd));
}

int fsync(int fd)
{
    return CALL(syscall(SYS_fsync, fd));
}

int msync(void *at, size_t size, int flags)
{
    return CALL(syscall(SYS_msync, at, size, flags));
}

int ftruncate(int fd, off_t size)
{
    return CALL(syscall(SYS_ftruncate, fd, size));
}

int fallocate(int fd, int mode, off_t at, off_t size)
{
    return CALL(syscall(SYS_fallocate, fd, mode, at, size));
}

int rename(const char *from, const char *to)
{
    return CALL(syscall(SYS_rename, from, to));
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    return CALL(syscall(SYS_renameat2, from_dir, from, to_dir, to, flags));
}

#pragma GCC visibility pop
