/* The system calls that the store makes, in a table, so that tests can let the N-th of them fail.
 * Each behaves as its namesake: -1 and errno. */
#pragma once

#include <sys/types.h>

struct store_io {
	int (*openat)(int dir_fd, const char *name, int flags, mode_t mode);
	ssize_t (*pread)(int fd, void *buf, size_t size, off_t offset);
	ssize_t (*pwrite)(int fd, const void *buf, size_t size, off_t offset);
	int (*fdatasync)(int fd);
	int (*fsync)(int fd); /* also of directories */
	int (*renameat)(int dir_fd, const char *from, const char *to);
	int (*unlinkat)(int dir_fd, const char *name);
	int (*mkdir)(const char *path, mode_t mode);
};

extern const struct store_io store_io_system;
