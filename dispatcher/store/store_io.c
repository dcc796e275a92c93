#include "dispatcher/store/store_io.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int system_openat(int dir_fd, const char *name, int flags, mode_t mode)
{
	return openat(dir_fd, name, flags | O_CLOEXEC, mode);
}

static int system_renameat(int dir_fd, const char *from, const char *to)
{
	return renameat(dir_fd, from, dir_fd, to);
}

static int system_unlinkat(int dir_fd, const char *name)
{
	return unlinkat(dir_fd, name, 0);
}

const struct store_io store_io_system = {
    .openat = system_openat,
    .pread = pread,
    .pwrite = pwrite,
    .fdatasync = fdatasync,
    .fsync = fsync,
    .renameat = system_renameat,
    .unlinkat = system_unlinkat,
    .mkdir = mkdir,
};
