#include "worker/io/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"

#define BLOCK_BYTES ((size_t)65536)
#define LEASE_TRIES 200 /* at once: whoever opened it by name has mostly closed it again */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void ask_lease(struct stream *s)
{
	s->leased = fcntl(s->fd, F_SETLEASE, F_WRLCK) == 0;
	s->asks = s->leased || errno == EAGAIN;
}

/* SIGIO goes to this thread, which alone reads it. */
static void own_signals(const struct stream *s)
{
	static _Thread_local pid_t me;
	struct f_owner_ex owner = {F_OWNER_TID, me != 0 ? me : (me = gettid())};

	fcntl(s->fd, F_SETOWN_EX, &owner);
}

static int make_named(int dir_fd)
{
	static _Atomic unsigned made;
	char name[32];
	int fd;

	snprintf(name, sizeof name, ".stream-%u", atomic_fetch_add(&made, 1));
	fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0)
		unlinkat(dir_fd, name, 0);
	return fd;
}

static int make_file(int dir_fd, bool *ret_linkable)
{
	int fd = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	*ret_linkable = fd >= 0;
	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
		fd = make_named(dir_fd);
	return fd;
}

static int use(struct stream *s, int fd, bool linkable, int *ret_errno)
{
	*ret_errno = errno;
	*s = STREAM_NONE;
	s->fd = fd;
	s->linkable = linkable;
	if (fd < 0)
		return ERR_IO;
	own_signals(s);
	ask_lease(s);
	return 0;
}

int stream_begin(struct stream *s, int dir_fd, int *ret_errno)
{
	bool linkable;
	int fd;

	if (s->fd >= 0)
		return 0;
	fd = make_file(dir_fd, &linkable);
	return use(s, fd, linkable, ret_errno);
}

int stream_begin_named(struct stream *s, int dir_fd, int *ret_errno)
{
	return use(s, make_named(dir_fd), false, ret_errno);
}

static uint64_t size_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

bool stream_write(int fd, struct bytes bytes, uint64_t to)
{
	while (bytes.size > 0) {
		ssize_t put = pwrite(fd, bytes.data, bytes.size, (off_t)to);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return false;
		bytes = BYTES(bytes.data + put, bytes.size - (size_t)put);
		to += (uint64_t)put;
	}
	return true;
}

bool stream_copy(int from_fd, uint64_t from, uint64_t size, int to_fd, uint64_t to, uint32_t *crc)
{
	static _Thread_local uint8_t block[BLOCK_BYTES];

	while (size > 0) {
		size_t want = size < sizeof block ? (size_t)size : sizeof block;
		ssize_t got = pread(from_fd, block, want, (off_t)from);

		if (got < 0 && errno == EINTR)
			continue;
		if (got == 0)
			errno = EPIPE;
		if (got <= 0 || (to_fd >= 0 && !stream_write(to_fd, BYTES(block, (size_t)got), to)))
			return false;
		if (crc != NULL)
			*crc = crc32c(*crc, block, (size_t)got);
		from += (uint64_t)got;
		to += (uint64_t)got;
		size -= (uint64_t)got;
	}
	return true;
}

/* Copies what the file has behind what was put aside before. */
static bool put_aside(struct stream *s, int dir_fd)
{
	uint64_t size = size_of(s->fd);
	bool linkable;

	if (size == 0)
		return true;
	if (s->aside_fd < 0)
		s->aside_fd = make_file(dir_fd, &linkable);
	if (s->aside_fd < 0 || !stream_copy(s->fd, 0, size, s->aside_fd, s->aside_size, NULL)) {
		s->failed = errno;
		return false;
	}
	s->aside_size += size;
	return true;
}

/* Somebody waits to open it for writing. What is there moves away, so that it is kept once whether or not the
 * open truncates; and what the attempt writes through its own descriptor is added to what the other one
 * writes, not put over it. */
static void make_way(struct stream *s, int dir_fd)
{
	int flags = fcntl(s->fd, F_GETFL);

	if (size_of(s->fd) == 0 || !put_aside(s, dir_fd))
		return;
	if (ftruncate(s->fd, 0) < 0)
		s->failed = errno;
	if (flags >= 0)
		fcntl(s->fd, F_SETFL, flags | O_APPEND);
}

void stream_look(struct stream *s, int dir_fd)
{
	if (s->fd < 0 || !s->asks)
		return;
	if (s->leased) {
		int type = fcntl(s->fd, F_GETLEASE);

		if (type == F_WRLCK)
			return;
		if (type == F_UNLCK)
			make_way(s, dir_fd);
		fcntl(s->fd, F_SETLEASE, F_UNLCK); /* it goes on */
		s->leased = false;
	}
	for (int i = 0; i < LEASE_TRIES && !s->leased; i++) {
		sched_yield();
		ask_lease(s);
	}
}

/* /proc/self/fd, opened once: to look all of that up takes as long as the rest. -1: there is none. */
static int own_descriptors(void)
{
	static _Atomic int kept = -1;
	int fd = atomic_load(&kept), none = -1;

	if (fd >= 0)
		return fd;
	fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || atomic_compare_exchange_strong(&kept, &none, fd))
		return fd;
	close(fd); /* another thread was faster */
	return none;
}

/* A description that is nobody's but ours: the one before may live on in a process that was left behind. */
static bool open_anew(struct stream *s)
{
	char name[16];
	int fd;

	snprintf(name, sizeof name, "%d", s->fd);
	fd = openat(own_descriptors(), name, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return false;
	close(s->fd);
	s->fd = fd;
	own_signals(s);
	return true;
}

/* One file of the two parts. */
static void join(struct stream *s, int dir_fd)
{
	bool joined = s->aside_fd >= 0 && put_aside(s, dir_fd);

	if (s->aside_fd < 0)
		return;
	s->size = s->aside_size;
	if (!joined)
		return; /* and it has failed */
	close(s->fd);
	s->fd = s->aside_fd;
	s->aside_fd = -1;
	s->linkable = false;
}

void stream_end(struct stream *s, int dir_fd)
{
	struct stat st;
	bool own;

	if (s->leased)
		fcntl(s->fd, F_SETLEASE, F_UNLCK);
	own = open_anew(s);
	if (s->asks)
		ask_lease(s);
	s->held = !own || !s->leased;
	if (fstat(s->fd, &st) < 0)
		st = (struct stat){0};
	s->size = (uint64_t)st.st_size;
	s->as_new = st.st_size == 0 && st.st_blocks == 0 && (st.st_mode & 07777) == 0600;
	join(s, dir_fd);
}

void stream_reset(struct stream *s)
{
	if (s->fd < 0 || s->held || !s->as_new || s->size > 0 || s->failed != 0)
		stream_close(s);
}

void stream_close(struct stream *s)
{
	close_fd(&s->fd);
	close_fd(&s->aside_fd);
	*s = STREAM_NONE;
}

int64_t stream_read(const struct stream *s, uint64_t from, void *to, size_t size)
{
	if (from > INT64_MAX - size)
		return 0;
	if (s->aside_fd >= 0 && from < s->aside_size) {
		uint64_t left = s->aside_size - from;

		return pread(s->aside_fd, to, left < size ? (size_t)left : size, (off_t)from);
	}
	if (s->aside_fd >= 0)
		from -= s->aside_size;
	return s->fd < 0 ? 0 : pread(s->fd, to, size, (off_t)from);
}

uint64_t stream_written(const struct stream *s)
{
	struct stat st;

	if (s->fd < 0 || fstat(s->fd, &st) < 0)
		return s->aside_size;
	return s->aside_size + (uint64_t)st.st_size;
}
