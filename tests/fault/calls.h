/* What the preloaded libraries of this folder share: the open calls, and a gate at which a call waits. */
#pragma once

#include <fcntl.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Returns once nobody holds a lock (flock(2), LOCK_EX) on the file, or when there is no such file. */
static inline void gate_wait(const char *path)
{
	long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);

	if (fd < 0)
		return;
	syscall(SYS_flock, fd, LOCK_SH);
	syscall(SYS_close, fd);
}

/* name: open, openat and their kin; `call` gets (fd, path, flags, mode). */
#define WRAP_OPEN(name, parameters, fd, call)                                                                \
	int name parameters                                                                                  \
	{                                                                                                    \
		va_list list;                                                                                \
		mode_t mode;                                                                                 \
                                                                                                             \
		va_start(list, flags);                                                                       \
		mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(list, mode_t) : 0;                           \
		va_end(list);                                                                                \
		return call(fd, path, flags, mode);                                                          \
	}
