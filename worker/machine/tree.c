#include "worker/machine/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Room for the entries of an empty directory, and for one of a name of 255 bytes. */
#define BLOCK_BYTES 512
/* Each level takes a descriptor. What lies deeper is moved up, and removed from there. */
#define DEPTH_MAX 32

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

/* Ready to be emptied, also when its maker has closed it to us. */
static int open_dir(int parent_fd, const char *name)
{
	int fd = openat(parent_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), opened;
	struct stat st;
	char path[32];

	if (fd < 0)
		return -1;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (fstat(fd, &st) == 0 && (st.st_mode & 0700) != 0700)
		chmod(path, 0700);
	opened = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	close(fd);
	return opened;
}

struct removal {
	int top_fd;
	unsigned moved; /* to the top: names that are free there */
};

static void clear(struct removal *r, int dir_fd, unsigned depth);

/* A directory that is too deep. false: it stays. */
static bool move_up(struct removal *r, int dir_fd, const char *name)
{
	char to[32];

	for (int tries = 0; tries < 1000; tries++) {
		snprintf(to, sizeof to, ".removed-%u", ++r->moved);
		if (renameat2(dir_fd, name, r->top_fd, to, RENAME_NOREPLACE) == 0)
			return true;
		if (errno != EEXIST)
			return false;
	}
	return false;
}

static void remove_entry(struct removal *r, int dir_fd, const char *name, unsigned depth)
{
	int fd;

	if (unlinkat(dir_fd, name, 0) == 0 || unlinkat(dir_fd, name, AT_REMOVEDIR) == 0)
		return;
	fd = open_dir(dir_fd, name);
	if (fd < 0)
		return;
	if (depth < DEPTH_MAX || !move_up(r, dir_fd, name)) {
		if (depth < 2 * DEPTH_MAX)
			clear(r, fd, depth + 1);
		unlinkat(dir_fd, name, AT_REMOVEDIR);
	}
	close(fd);
}

static void clear(struct removal *r, int dir_fd, unsigned depth)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	for (struct dirent *d; (d = readdir(dir)) != NULL;)
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			remove_entry(r, dir_fd, d->d_name, depth);
	closedir(dir);
}

void tree_clear(int dir_fd)
{
	struct removal r = {.top_fd = dir_fd};
	unsigned before;

	if (fchmod(dir_fd, 0700) < 0)
		return;
	do { /* until nothing deep is left that was moved up */
		before = r.moved;
		clear(&r, dir_fd, 1);
	} while (r.moved > before);
}

bool tree_remove(int parent_fd, const char *name)
{
	int fd;

	if (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return true;
	if (errno == ENOTDIR)
		return unlinkat(parent_fd, name, 0) == 0 || errno == ENOENT;
	fd = open_dir(parent_fd, name);
	if (fd < 0)
		return false;
	tree_clear(fd);
	close(fd);
	return unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT;
}
