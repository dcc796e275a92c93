#include "worker/tree.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Room for `.` and `..` and one more entry of any name: a block that holds only those two is the whole. */
#define BLOCK_BYTES 512

bool tree_is_empty(int dir_fd)
{
	_Alignas(struct dirent64) uint8_t block[BLOCK_BYTES];
	long got;

	if (lseek(dir_fd, 0, SEEK_SET) < 0)
		return false;
	got = syscall(SYS_getdents64, dir_fd, block, sizeof block);
	for (long at = 0; at < got;) {
		const struct dirent64 *d = (const void *)(block + at);

		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			return false;
		at += d->d_reclen;
	}
	return got >= 0;
}

/* A directory that its maker closed to us is opened again. */
static int open_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)ftw;
	if ((type == FTW_D || type == FTW_DNR) && (st->st_mode & 0700) != 0700)
		chmod(path, 0700);
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	if (ftw->level > 0)
		remove(path);
	return 0;
}

static void remove_all(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void open_all(const char *path)
{
	nftw(path, open_one, 16, FTW_PHYS);
}

void tree_clear(const char *path)
{
	remove_all(path);
	open_all(path);
	remove_all(path);
}

bool tree_remove(const char *path)
{
	remove_all(path);
	if (rmdir(path) == 0 || errno == ENOENT)
		return true;
	open_all(path);
	remove_all(path);
	return rmdir(path) == 0;
}
