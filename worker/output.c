#include "worker/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/fs.h"

static int io_error(const struct output_dir *d, const char *verb, struct error *reterr)
{
	int code = errno;

	error_set(reterr, code == ENOSPC ? ERR_LIMIT : ERR_IO, "cannot %s an output segment: %s", verb,
		  strerror(code));
	error_where(reterr, "%s", d->path);
	if (code == ENOSPC)
		error_help(reterr, "free space on that disk; the shard is tried again");
	return code == ENOSPC ? ERR_LIMIT : ERR_IO;
}

int output_dir_open(struct output_dir *d, const char *root, const struct uuid *worker, uint64_t roll_bytes,
		    struct error *reterr)
{
	char path[4096], id[33];
	int rc;

	uuid_text(worker, id);
	snprintf(path, sizeof path, "%s/%s", root, id);
	rc = fs_make_dirs(path, 0755, reterr);
	if (rc < 0)
		return rc;
	*d = (struct output_dir){.path = strdup(path), .worker = *worker, .roll_bytes = roll_bytes};
	CHECK(d->path != NULL);
	atomic_init(&d->next, 1);
	d->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return d->fd < 0 ? io_error(d, "open the directory of", reterr) : 0;
}

void output_dir_close(struct output_dir *d)
{
	if (d->fd > 0)
		close(d->fd);
	if (d->path != NULL)
		rmdir(d->path); /* stays when it holds anything */
	free(d->path);
	*d = (struct output_dir){.fd = -1};
}

static int open_file(struct output_dir *d, uint32_t segment, const char *kind)
{
	char name[32];

	snprintf(name, sizeof name, "%08u.%s", segment, kind);
	return openat(d->fd, name, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
}

static int open_segment(struct output *o, struct error *reterr)
{
	o->segment = atomic_fetch_add(&o->dir->next, 1);
	o->out_fd = open_file(o->dir, o->segment, "out");
	o->err_fd = open_file(o->dir, o->segment, "err");
	o->idx_fd = open_file(o->dir, o->segment, "idx");
	o->out_size = o->err_size = 0;
	o->new_names = true;
	o->torn = false;
	if (o->out_fd < 0 || o->err_fd < 0 || o->idx_fd < 0)
		return io_error(o->dir, "make", reterr);
	return 0;
}

/* Segments that nothing was written to leave no files. */
static void close_segment(struct output *o)
{
	static const char *const kinds[] = {"out", "err", "idx"};
	int fds[] = {o->out_fd, o->err_fd, o->idx_fd};
	struct stat st;
	char name[32];

	for (size_t i = 0; i < ARRAY_LENGTH(fds); i++) {
		bool empty = fds[i] >= 0 && fstat(fds[i], &st) == 0 && st.st_size == 0;

		if (fds[i] >= 0)
			close(fds[i]);
		snprintf(name, sizeof name, "%08u.%s", o->segment, kinds[i]);
		if (empty)
			unlinkat(o->dir->fd, name, 0);
	}
	o->out_fd = o->err_fd = o->idx_fd = -1;
}

int output_open(struct output *o, struct output_dir *dir, struct error *reterr)
{
	*o = (struct output){.dir = dir, .out_fd = -1, .err_fd = -1, .idx_fd = -1};
	pthread_mutex_init(&o->lock, NULL);
	return open_segment(o, reterr);
}

void output_close(struct output *o)
{
	if (o->dir == NULL)
		return;
	close_segment(o);
	pthread_mutex_destroy(&o->lock);
	*o = (struct output){0};
}

static int sync_locked(struct output *o, struct error *reterr)
{
	if (o->dirty && (fdatasync(o->out_fd) < 0 || fdatasync(o->err_fd) < 0 || fdatasync(o->idx_fd) < 0))
		return io_error(o->dir, "sync", reterr);
	if (o->dirty && o->new_names && fsync(o->dir->fd) < 0)
		return io_error(o->dir, "sync the directory of", reterr);
	if (o->dirty)
		o->new_names = false;
	o->dirty = false;
	return 0;
}

/* The slot goes on while we wait for the disk: on duplicates, which a new segment does not close. */
int output_sync(struct output *o, struct error *reterr)
{
	int fds[3], dir_fd = -1, rc = 0;

	pthread_mutex_lock(&o->lock);
	if (!o->dirty) {
		pthread_mutex_unlock(&o->lock);
		return 0;
	}
	fds[0] = fcntl(o->out_fd, F_DUPFD_CLOEXEC, 3);
	fds[1] = fcntl(o->err_fd, F_DUPFD_CLOEXEC, 3);
	fds[2] = fcntl(o->idx_fd, F_DUPFD_CLOEXEC, 3);
	if (o->new_names)
		dir_fd = o->dir->fd;
	o->dirty = o->new_names = false;
	pthread_mutex_unlock(&o->lock);
	for (size_t i = 0; i < ARRAY_LENGTH(fds); i++) {
		if (rc == 0 && (fds[i] < 0 || fdatasync(fds[i]) < 0))
			rc = io_error(o->dir, "sync", reterr);
		if (fds[i] >= 0)
			close(fds[i]);
	}
	if (rc == 0 && dir_fd >= 0 && fsync(dir_fd) < 0)
		rc = io_error(o->dir, "sync the directory of", reterr);
	if (rc < 0) {
		pthread_mutex_lock(&o->lock);
		o->dirty = o->new_names = true;
		pthread_mutex_unlock(&o->lock);
	}
	return rc;
}

static int file_size(const struct output *o, int fd, uint64_t *ret, struct error *reterr)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return io_error(o->dir, "look at", reterr);
	*ret = (uint64_t)st.st_size;
	return 0;
}

int output_begin(struct output *o, struct error *reterr)
{
	int rc = file_size(o, o->out_fd, &o->out_size, reterr);

	if (rc == 0)
		rc = file_size(o, o->err_fd, &o->err_size, reterr);
	if (rc < 0 || (!o->torn && o->out_size < o->dir->roll_bytes && o->err_size < o->dir->roll_bytes))
		return rc;
	pthread_mutex_lock(&o->lock);
	rc = sync_locked(o, reterr);
	if (rc == 0) {
		close_segment(o);
		rc = open_segment(o, reterr);
	}
	pthread_mutex_unlock(&o->lock);
	return rc;
}

static int checksum(struct output *o, uint64_t offset, uint64_t length, uint32_t *ret, struct error *reterr)
{
	static _Thread_local uint8_t block[65536];
	uint32_t crc = 0;

	while (length > 0) {
		size_t want = length < sizeof block ? (size_t)length : sizeof block;
		ssize_t got = pread(o->out_fd, block, want, (off_t)offset);

		if (got <= 0)
			return io_error(o->dir, "read", reterr);
		crc = crc32c(crc, block, (size_t)got);
		offset += (uint64_t)got;
		length -= (uint64_t)got;
	}
	*ret = crc;
	return 0;
}

/* A half-written entry would shift all that follow: it is cut off again. */
static int append_entry(struct output *o, const uint8_t raw[OUTPUT_ENTRY_BYTES], struct error *reterr)
{
	off_t before = lseek(o->idx_fd, 0, SEEK_END);
	int rc;

	if (write(o->idx_fd, raw, OUTPUT_ENTRY_BYTES) == OUTPUT_ENTRY_BYTES) {
		o->dirty = true;
		return 0;
	}
	rc = io_error(o->dir, "write the index of", reterr);
	if (before < 0 || ftruncate(o->idx_fd, before) < 0)
		o->torn = true;
	return rc;
}

int output_commit(struct output *o, struct token token, uint32_t shard, uint64_t *bytes_ret,
		  struct error *reterr)
{
	struct output_entry e = {
	    .token = token, .shard = shard, .out_offset = o->out_size, .err_offset = o->err_size};
	uint8_t raw[OUTPUT_ENTRY_BYTES];
	uint64_t out_end = 0, err_end = 0;
	int rc = file_size(o, o->out_fd, &out_end, reterr);

	if (rc == 0)
		rc = file_size(o, o->err_fd, &err_end, reterr);
	if (rc < 0)
		return rc;
	e.out_length = out_end - o->out_size;
	e.err_length = err_end - o->err_size;
	*bytes_ret = e.out_length;
	if (e.out_length == 0 && e.err_length == 0)
		return 0;
	rc = checksum(o, e.out_offset, e.out_length, &e.out_crc, reterr);
	if (rc < 0)
		return rc;
	output_entry_encode(&e, raw);
	pthread_mutex_lock(&o->lock);
	rc = append_entry(o, raw, reterr);
	pthread_mutex_unlock(&o->lock);
	return rc;
}

static int write_all(struct output *o, struct bytes b, struct error *reterr)
{
	while (b.size > 0) {
		ssize_t put = write(o->out_fd, b.data, b.size);

		if (put <= 0)
			return io_error(o->dir, "write", reterr);
		b = BYTES(b.data + put, b.size - (size_t)put);
	}
	return 0;
}

int output_append(struct output *o, struct token token, uint32_t shard, struct bytes bytes,
		  struct error *reterr)
{
	uint64_t written;
	int rc = output_begin(o, reterr);

	if (rc == 0)
		rc = write_all(o, bytes, reterr);
	return rc < 0 ? rc : output_commit(o, token, shard, &written, reterr);
}

void output_abandon(struct output *o, char *last_words, size_t size)
{
	char tail[512];
	struct stat st;
	off_t from;
	ssize_t got;
	char *line;

	last_words[0] = '\0';
	if (fstat(o->err_fd, &st) < 0 || (uint64_t)st.st_size <= o->err_size)
		return;
	from = st.st_size - (off_t)o->err_size > (off_t)sizeof tail - 1 ? st.st_size - (off_t)sizeof tail + 1
									: (off_t)o->err_size;
	got = pread(o->err_fd, tail, sizeof tail - 1, from);
	while (got > 0 && (tail[got - 1] == '\n' || tail[got - 1] == '\r' || tail[got - 1] == '\0'))
		got--;
	if (got <= 0)
		return;
	tail[got] = '\0';
	line = memrchr(tail, '\n', (size_t)got);
	snprintf(last_words, size, "%s", line == NULL ? tail : line + 1);
}
