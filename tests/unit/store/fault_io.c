#include "tests/unit/store/fault_io.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

#define SECTOR_BYTES 512
#define SECTORS_MAX 8192
#define CHANGES_MAX 64
#define NAME_SIZE 64

struct sector {
	ino_t ino;
	off_t offset;
	int fd; /* ours */
	bool lost;
	uint8_t old[SECTOR_BYTES];
};

/* A rename (from -> to) or an unlink (from, to empty). `kept` is a link to what it replaced. */
struct change {
	int dir_fd;
	char from[NAME_SIZE], to[NAME_SIZE], kept[NAME_SIZE];
};

static struct {
	uint64_t calls, at;
	enum fault_kind kind;
	int error;
	struct sector sectors[SECTORS_MAX];
	size_t sector_count;
	struct change changes[CHANGES_MAX];
	size_t change_count;
	unsigned kept_count;
} disk;

void fault_arm(uint64_t nth, enum fault_kind kind, int error)
{
	disk.calls = 0;
	disk.at = nth;
	disk.kind = kind;
	disk.error = error;
}

bool fault_was_hit(void)
{
	return disk.at != 0 && disk.calls >= disk.at;
}

/* Counts the call. Negative: it fails. *last: the power goes while it is made. */
static int called(bool *last)
{
	disk.calls++;
	*last = disk.kind == FAULT_POWER && disk.calls == disk.at;
	if (disk.at == 0 || disk.calls < disk.at || (disk.kind == FAULT_ONCE && disk.calls > disk.at))
		return 0;
	errno = disk.error;
	return -1;
}

static ino_t inode(int fd)
{
	struct stat st;

	CHECK(fstat(fd, &st) == 0);
	return st.st_ino;
}

static struct sector *find(ino_t ino, off_t offset)
{
	for (size_t i = 0; i < disk.sector_count; i++)
		if (disk.sectors[i].ino == ino && disk.sectors[i].offset == offset)
			return &disk.sectors[i];
	return NULL;
}

static void forget_sector(size_t i)
{
	close(disk.sectors[i].fd);
	disk.sectors[i] = disk.sectors[--disk.sector_count];
}

static void remember_sectors(int fd, size_t size, off_t offset)
{
	ino_t ino = inode(fd);
	off_t first = offset / SECTOR_BYTES * SECTOR_BYTES;

	for (off_t at = first; at < offset + (off_t)size; at += SECTOR_BYTES) {
		struct sector *s = find(ino, at);

		if (s == NULL) {
			CHECK(disk.sector_count < SECTORS_MAX);
			s = &disk.sectors[disk.sector_count++];
			*s = (struct sector){.ino = ino, .offset = at, .fd = dup(fd)};
			CHECK(s->fd >= 0 && pread(fd, s->old, SECTOR_BYTES, at) >= 0);
		}
		s->lost = false;
	}
}

static int sync_file(int fd, bool fails)
{
	ino_t ino = inode(fd);

	for (size_t i = disk.sector_count; i-- > 0;) {
		if (disk.sectors[i].ino != ino)
			continue;
		if (fails)
			disk.sectors[i].lost = true;
		else if (!disk.sectors[i].lost)
			forget_sector(i);
	}
	return fails ? -1 : 0;
}

static void forget_changes(void)
{
	for (size_t i = 0; i < disk.change_count; i++) {
		if (disk.changes[i].kept[0] != '\0')
			unlinkat(disk.changes[i].dir_fd, disk.changes[i].kept, 0);
		close(disk.changes[i].dir_fd);
	}
	disk.change_count = 0;
}

static void remember_change(int dir_fd, const char *from, const char *to)
{
	struct change *c;
	const char *replaced = to[0] != '\0' ? to : from;

	CHECK(disk.change_count < CHANGES_MAX);
	c = &disk.changes[disk.change_count++];
	*c = (struct change){.dir_fd = dup(dir_fd)};
	snprintf(c->from, sizeof c->from, "%s", from);
	snprintf(c->to, sizeof c->to, "%s", to);
	snprintf(c->kept, sizeof c->kept, "kept-%u", disk.kept_count++);
	if (linkat(dir_fd, replaced, dir_fd, c->kept, 0) < 0)
		c->kept[0] = '\0';
}

static void undo_change(const struct change *c)
{
	int dir_fd = c->dir_fd;

	if (c->to[0] != '\0')
		CHECK(renameat(dir_fd, c->to, dir_fd, c->from) == 0);
	if (c->kept[0] != '\0')
		CHECK(renameat(dir_fd, c->kept, dir_fd, c->to[0] != '\0' ? c->to : c->from) == 0);
	close(dir_fd);
}

void fault_power_cut(struct rng *r)
{
	size_t stay = rng_below(r, disk.change_count + 1);

	while (disk.change_count > stay)
		undo_change(&disk.changes[--disk.change_count]);
	for (size_t i = 0; i < disk.sector_count; i++) {
		const struct sector *s = &disk.sectors[i];

		if (s->lost || rng_chance(r, 500000))
			CHECK(pwrite(s->fd, s->old, SECTOR_BYTES, s->offset) == SECTOR_BYTES);
	}
	fault_reset();
}

void fault_reset(void)
{
	forget_changes();
	while (disk.sector_count > 0)
		forget_sector(0);
	fault_arm(0, FAULT_ONCE, 0);
}

static int fault_openat(int dir_fd, const char *name, int flags, mode_t mode)
{
	bool last;

	if (called(&last) < 0)
		return -1;
	return store_io_system.openat(dir_fd, name, flags, mode);
}

static ssize_t fault_pread(int fd, void *buf, size_t size, off_t offset)
{
	bool last;

	if (called(&last) < 0)
		return -1;
	return pread(fd, buf, size, offset);
}

static ssize_t fault_pwrite(int fd, const void *buf, size_t size, off_t offset)
{
	bool last;
	int rc = called(&last);
	ssize_t n;

	if (rc < 0 && !last)
		return -1;
	remember_sectors(fd, size, offset);
	n = pwrite(fd, buf, size, offset);
	if (rc < 0) {
		errno = disk.error;
		return -1;
	}
	return n;
}

static int fault_fdatasync(int fd)
{
	bool last;
	int rc = called(&last);

	sync_file(fd, rc < 0);
	if (rc < 0)
		errno = disk.error;
	return rc;
}

static int fault_fsync(int fd)
{
	struct stat st;
	bool last;

	CHECK(fstat(fd, &st) == 0);
	if (!S_ISDIR(st.st_mode))
		return fault_fdatasync(fd);
	if (called(&last) < 0)
		return -1;
	forget_changes();
	return 0;
}

static int fault_renameat(int dir_fd, const char *from, const char *to)
{
	bool last;
	int rc = called(&last);

	if (rc < 0 && !last)
		return -1;
	remember_change(dir_fd, from, to);
	CHECK(renameat(dir_fd, from, dir_fd, to) == 0);
	errno = disk.error;
	return rc;
}

static int fault_unlinkat(int dir_fd, const char *name)
{
	bool last;
	int rc = called(&last);

	if (rc < 0 && !last)
		return -1;
	if (faccessat(dir_fd, name, F_OK, 0) == 0) {
		remember_change(dir_fd, name, "");
		CHECK(unlinkat(dir_fd, name, 0) == 0);
	} else if (rc == 0) {
		errno = ENOENT;
		return -1;
	}
	errno = disk.error;
	return rc;
}

static int fault_mkdir(const char *path, mode_t mode)
{
	bool last;

	if (called(&last) < 0)
		return -1;
	return mkdir(path, mode);
}

/* The journal's threads take turns. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

#define IN_TURN(type, name, params, args)                                                                    \
	static type turn_##name params                                                                       \
	{                                                                                                    \
		type rc;                                                                                     \
                                                                                                             \
		pthread_mutex_lock(&turn);                                                                   \
		rc = fault_##name args;                                                                      \
		pthread_mutex_unlock(&turn);                                                                 \
		return rc;                                                                                   \
	}

IN_TURN(int, openat, (int dir_fd, const char *name, int flags, mode_t mode), (dir_fd, name, flags, mode))
IN_TURN(ssize_t, pread, (int fd, void *buf, size_t size, off_t offset), (fd, buf, size, offset))
IN_TURN(ssize_t, pwrite, (int fd, const void *buf, size_t size, off_t offset), (fd, buf, size, offset))
IN_TURN(int, fdatasync, (int fd), (fd))
IN_TURN(int, fsync, (int fd), (fd))
IN_TURN(int, renameat, (int dir_fd, const char *from, const char *to), (dir_fd, from, to))
IN_TURN(int, unlinkat, (int dir_fd, const char *name), (dir_fd, name))
IN_TURN(int, mkdir, (const char *path, mode_t mode), (path, mode))

const struct store_io fault_io = {
    .openat = turn_openat,
    .pread = turn_pread,
    .pwrite = turn_pwrite,
    .fdatasync = turn_fdatasync,
    .fsync = turn_fsync,
    .renameat = turn_renameat,
    .unlinkat = turn_unlinkat,
    .mkdir = turn_mkdir,
};
