/* A directory whose file system hangs: LD_PRELOADed by tests.
 *
 * While the file that SHARDMILL_HANG_ARMED names is there, calls that reach a file at or below SHARDMILL_HANG
 * (an absolute path without links) wait, and are made when it is gone, as on NFS without its server. In the
 * file's place SHARDMILL_HANG_ARMED with ".met" tells that one waits. */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/fault/calls.h"

static bool is_there(const char *path)
{
	return syscall(SYS_faccessat, AT_FDCWD, path, F_OK) == 0;
}

static bool is_below(const char *path)
{
	const char *root = getenv("SHARDMILL_HANG");
	size_t length = root != NULL ? strlen(root) : 0;

	return length > 0 && strncmp(path, root, length) == 0 &&
	       (path[length] == '\0' || path[length] == '/');
}

static void hang(int fd, const char *path)
{
	const char *armed = getenv("SHARDMILL_HANG_ARMED");
	char link[64], name[4096] = "", met[4096];
	int saved = errno;

	if (armed == NULL || !is_there(armed))
		return;
	if (path == NULL || path[0] != '/') {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		if (fd < 0 || syscall(SYS_readlinkat, AT_FDCWD, link, name, sizeof(name) - 1) < 0)
			name[0] = '\0';
	}
	if (is_below(path != NULL && path[0] == '/' ? path : name)) {
		snprintf(met, sizeof(met), "%s.met", armed);
		syscall(SYS_close, syscall(SYS_openat, AT_FDCWD, met, O_CREAT | O_WRONLY, 0600));
		gate_wait(armed);
	}
	errno = saved;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define WRAP(type, name, parameters, arguments, fd, path)                                                    \
	type name parameters                                                                                 \
	{                                                                                                    \
		hang(fd, path);                                                                              \
		return REAL(name) arguments;                                                                 \
	}

WRAP(int, stat, (const char *path, struct stat *st), (path, st), -1, path)
WRAP(int, stat64, (const char *path, struct stat64 *st), (path, st), -1, path)
WRAP(int, lstat, (const char *path, struct stat *st), (path, st), -1, path)
WRAP(int, lstat64, (const char *path, struct stat64 *st), (path, st), -1, path)
WRAP(int, fstat, (int fd, struct stat *st), (fd, st), fd, NULL)
WRAP(int, fstat64, (int fd, struct stat64 *st), (fd, st), fd, NULL)
WRAP(int, fstatat, (int fd, const char *path, struct stat *st, int flags), (fd, path, st, flags), fd, path)
WRAP(int, fstatat64, (int fd, const char *path, struct stat64 *st, int flags), (fd, path, st, flags), fd,
     path)
WRAP(int, statx, (int fd, const char *path, int flags, unsigned mask, struct statx *st),
     (fd, path, flags, mask, st), fd, path)
WRAP(DIR *, opendir, (const char *path), (path), -1, path)
WRAP(DIR *, fdopendir, (int fd), (fd), fd, NULL)
WRAP(struct dirent *, readdir, (DIR * dir), (dir), dirfd(dir), NULL)
WRAP(struct dirent64 *, readdir64, (DIR * dir), (dir), dirfd(dir), NULL)
WRAP(char *, realpath, (const char *path, char *to), (path, to), -1, path)
WRAP(int, inotify_add_watch, (int fd, const char *path, uint32_t mask), (fd, path, mask), -1, path)

static int open_at(int fd, const char *path, int flags, mode_t mode)
{
	hang(fd, path);
	return (int)syscall(SYS_openat, fd, path, flags, mode);
}

WRAP_OPEN(open, (const char *path, int flags, ...), AT_FDCWD, open_at)
WRAP_OPEN(open64, (const char *path, int flags, ...), AT_FDCWD, open_at)
WRAP_OPEN(openat, (int fd, const char *path, int flags, ...), fd, open_at)
WRAP_OPEN(openat64, (int fd, const char *path, int flags, ...), fd, open_at)
