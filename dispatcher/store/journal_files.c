/* Reading and writing files, in whole and with words for what goes wrong. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dispatcher/store/journal_private.h"

#define ZERO_PIECE_BYTES ((size_t)(1 * MIB))

void segment_name(uint64_t number, char name[SEGMENT_NAME_SIZE])
{
	snprintf(name, SEGMENT_NAME_SIZE, "%020llu.segment", (unsigned long long)number);
}

int store_error(const struct journal *j, const char *verb, const char *name, struct error *reterr)
{
	int e = errno;
	bool no_space = e == ENOSPC || e == EDQUOT || e == EFBIG;
	bool no_room = no_space || e == EMFILE || e == ENFILE || e == ENOMEM;

	error_set(reterr, no_room ? ERR_LIMIT : ERR_IO, "cannot %s: %s", verb, strerror(e));
	error_where(reterr, "%s/%s", j->dir, name);
	if (no_space)
		error_help(reterr, "make room on the file system of the state directory");
	return no_room ? ERR_LIMIT : ERR_IO;
}

int store_read(const struct journal *j, int fd, const char *name, struct bytes into, uint64_t offset,
	       struct error *reterr)
{
	size_t done = 0;

	while (done < into.size) {
		ssize_t n =
		    j->io->pread(fd, (uint8_t *)into.data + done, into.size - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return store_error(j, "read", name, reterr);
		if (n == 0) {
			error_set(reterr, ERR_CORRUPT, "expected %zu bytes at byte %llu, found %zu",
				  into.size, (unsigned long long)offset, done);
			error_where(reterr, "%s/%s", j->dir, name);
			return ERR_CORRUPT;
		}
		done += (size_t)n;
	}
	return 0;
}

int store_write(const struct journal *j, int fd, const char *name, struct bytes from, uint64_t offset,
		struct error *reterr)
{
	size_t done = 0;

	while (done < from.size) {
		ssize_t n = j->io->pwrite(fd, from.data + done, from.size - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO;
		if (n <= 0)
			return store_error(j, "write", name, reterr);
		done += (size_t)n;
	}
	return 0;
}

int store_zero(const struct journal *j, int fd, const char *name, uint64_t first, uint64_t end,
	       struct error *reterr)
{
	static const uint8_t zeros[ZERO_PIECE_BYTES];

	while (first < end) {
		uint64_t size = end - first < sizeof zeros ? end - first : sizeof zeros;
		int rc = store_write(j, fd, name, BYTES(zeros, (size_t)size), first, reterr);

		if (rc < 0)
			return rc;
		if (j->io->fdatasync(fd) < 0)
			return store_error(j, "sync", name, reterr);
		first += size;
	}
	return 0;
}

int store_sync_dir(const struct journal *j, struct error *reterr)
{
	return j->io->fsync(j->dir_fd) < 0 ? store_error(j, "sync the directory", "", reterr) : 0;
}

int segment_load(const struct journal *j, uint64_t number, struct buf *into, struct error *reterr)
{
	char name[SEGMENT_NAME_SIZE];
	off_t size;
	int fd, rc;

	segment_name(number, name);
	fd = j->io->openat(j->dir_fd, name, O_RDONLY, 0);
	if (fd < 0)
		return store_error(j, "open", name, reterr);
	size = lseek(fd, 0, SEEK_END);
	if (size < 0 || (uint64_t)size > SEGMENT_BYTES_MAX) {
		close(fd);
		error_set(reterr, ERR_CORRUPT, "a segment of %lld bytes is not possible", (long long)size);
		error_where(reterr, "%s/%s", j->dir, name);
		return ERR_CORRUPT;
	}
	buf_clear(into);
	buf_reserve(into, (size_t)size);
	into->size = (size_t)size;
	rc = store_read(j, fd, name, buf_bytes(into), 0, reterr);
	close(fd);
	return rc;
}
