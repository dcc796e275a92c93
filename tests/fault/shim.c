/* Fails one system call of one program: LD_PRELOADed by tests/fault/fault.py.
 *
 * SHARDMILL_FAULT=PROGRAM:CALL:ERRNO:FIRST:COUNT makes the calls number FIRST to FIRST+COUNT-1 of that name
 * fail with that errno, in processes that run PROGRAM only. The calls are counted from when the file
 * SHARDMILL_FAULT_ARMED is there, in the eight bytes of that file, which all processes of the program share.
 * ERRNO 0: the call waits until that file is gone, as on a disk that hangs, and is made then.
 */
/* Each name as it is: no open that is open64. */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "tests/fault/calls.h"

static char call[32];
static int error_number;
static uint64_t first, count;
static _Atomic uint64_t *counter; /* NULL: not armed */

/* By bare system calls: what it needs itself must not be counted. */
static void arm(void)
{
	const char *path = getenv("SHARDMILL_FAULT_ARMED");
	int fd = path == NULL ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
	void *page;

	if (fd < 0)
		return;
	page = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	syscall(SYS_close, fd);
	if (page != MAP_FAILED)
		counter = page;
}

__attribute__((constructor)) static void read_fault(void)
{
	const char *text = getenv("SHARDMILL_FAULT");
	char program[64];

	if (text == NULL ||
	    sscanf(text, "%63[^:]:%31[^:]:%d:%lu:%lu", program, call, &error_number, &first, &count) != 5 ||
	    strcmp(program, program_invocation_short_name) != 0)
		call[0] = '\0';
}

static bool fails(const char *name)
{
	uint64_t n;

	if (strcmp(name, call) != 0)
		return false;
	if (counter == NULL)
		arm();
	if (counter == NULL)
		return false;
	n = atomic_fetch_add(counter, 1) + 1;
	if (n < first || n >= first + count)
		return false;
	if (error_number == 0) {
		gate_wait(getenv("SHARDMILL_FAULT_ARMED"));
		return false;
	}
	errno = error_number;
	return true;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define WRAP(type, name, parameters, arguments)                                                              \
	type name parameters                                                                                 \
	{                                                                                                    \
		static __typeof__(&name) real;                                                               \
                                                                                                             \
		if (fails(#name))                                                                            \
			return -1;                                                                           \
		if (real == NULL)                                                                            \
			real = REAL(name);                                                                   \
		return real arguments;                                                                       \
	}

WRAP(int, mkdirat, (int fd, const char *path, mode_t mode), (fd, path, mode))
WRAP(int, mkdir, (const char *path, mode_t mode), (path, mode))
WRAP(int, pipe2, (int fds[2], int flags), (fds, flags))
WRAP(int, socketpair, (int domain, int type, int protocol, int fds[2]), (domain, type, protocol, fds))
WRAP(int, eventfd, (unsigned int value, int flags), (value, flags))
WRAP(pid_t, fork, (void), ())
WRAP(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
WRAP(ssize_t, pread, (int fd, void *data, size_t size, off_t at), (fd, data, size, at))
WRAP(ssize_t, copy_file_range, (int in, off_t *in_at, int out, off_t *out_at, size_t size, unsigned flags),
     (in, in_at, out, out_at, size, flags))
WRAP(int, fdatasync, (int fd), (fd))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, ftruncate, (int fd, off_t size), (fd, size))
WRAP(int, fstat, (int fd, struct stat *st), (fd, st))
WRAP(int, renameat, (int from_fd, const char *from, int to_fd, const char *to), (from_fd, from, to_fd, to))
WRAP(int, linkat, (int from_fd, const char *from, int to_fd, const char *to, int flags),
     (from_fd, from, to_fd, to, flags))

/* Of files only: an eventfd or a socket does not run out of disk. */
ssize_t write(int fd, const void *data, size_t size)
{
	struct stat st;

	if (syscall(SYS_fstat, fd, &st) == 0 && S_ISREG(st.st_mode) && fails("write"))
		return -1;
	return syscall(SYS_write, fd, data, size);
}

int clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
	static __typeof__(&clone) real;

	if (fails("clone"))
		return -1;
	if (real == NULL)
		real = REAL(clone);
	return real(fn, stack, flags, arg, NULL, NULL, NULL);
}

/* Names that the C library has twice are counted as one. */
ssize_t pwrite64(int fd, const void *data, size_t size, off_t at)
{
	return pwrite(fd, data, size, at);
}

ssize_t pread64(int fd, void *data, size_t size, off_t at)
{
	return pread(fd, data, size, at);
}

int ftruncate64(int fd, off_t size)
{
	return ftruncate(fd, size);
}

int fstat64(int fd, struct stat64 *st)
{
	return fstat(fd, (struct stat *)st);
}

static int open_at(int fd, const char *path, int flags, mode_t mode)
{
	/* Only a file that is made needs room. */
	if ((error_number != ENOSPC || (flags & (O_CREAT | __O_TMPFILE)) != 0) && fails("open"))
		return -1;
	return (int)syscall(SYS_openat, fd, path, flags, mode);
}

WRAP_OPEN(open, (const char *path, int flags, ...), AT_FDCWD, open_at)
WRAP_OPEN(open64, (const char *path, int flags, ...), AT_FDCWD, open_at)
WRAP_OPEN(openat, (int fd, const char *path, int flags, ...), fd, open_at)
WRAP_OPEN(openat64, (int fd, const char *path, int flags, ...), fd, open_at)
