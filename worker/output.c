#include "worker/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <utlist.h>

#include "base/buf.h"
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
	*d =
	    (struct output_dir){.path = strdup(path), .worker = *worker, .roll_bytes = roll_bytes, .next = 1};
	CHECK(d->path != NULL);
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->idle, NULL);
	d->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d->notes.fd = -1;
	if (d->fd < 0)
		return io_error(d, "open the directory of", reterr);
	notes_open(&d->notes, d->fd);
	return 0;
}

void output_dir_close(struct output_dir *d)
{
	if (d->path == NULL)
		return;
	CHECK(d->segments == NULL);
	notes_close(&d->notes);
	if (d->fd >= 0)
		close(d->fd);
	rmdir(d->path); /* stays when it holds anything */
	pthread_mutex_destroy(&d->lock);
	pthread_cond_destroy(&d->idle);
	free(d->failed);
	free(d->path);
	*d = (struct output_dir){.fd = -1};
}

/* Segments */

static int open_file(struct output_dir *d, uint32_t segment, const char *kind)
{
	char name[32];

	snprintf(name, sizeof name, "%08u.%s", segment, kind);
	return openat(d->fd, name, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
}

/* Files that nothing was written to go away. */
static void close_file(struct output_dir *d, const struct output_segment *g, int fd, const char *kind)
{
	struct stat st;
	char name[32];

	if (fd < 0)
		return;
	snprintf(name, sizeof name, "%08u.%s", g->number, kind);
	if (fstat(fd, &st) == 0 && st.st_size == 0)
		unlinkat(d->fd, name, 0);
	close(fd);
}

static void destroy_segment(struct output_dir *d, struct output_segment *g)
{
	pthread_mutex_lock(&d->lock);
	notes_give_back(&d->notes, g->place);
	pthread_mutex_unlock(&d->lock);
	close_file(d, g, g->out_fd, "out");
	close_file(d, g, g->err_fd, "err");
	close_file(d, g, g->idx_fd, "idx");
	free(g);
}

static int open_segment(struct output *o, struct error *reterr)
{
	struct output_dir *d = o->dir;
	struct output_segment *g = check_calloc(1, sizeof *g);

	pthread_mutex_lock(&d->lock);
	g->number = d->next++;
	g->place = notes_take(&d->notes);
	pthread_mutex_unlock(&d->lock);
	g->new_names = true;
	g->out_fd = open_file(d, g->number, "out");
	g->err_fd = open_file(d, g->number, "err");
	g->idx_fd = open_file(d, g->number, "idx");
	if (g->out_fd < 0 || g->err_fd < 0 || g->idx_fd < 0) {
		int rc = io_error(d, "make", reterr);

		destroy_segment(d, g);
		return rc;
	}
	pthread_mutex_lock(&d->lock);
	DL_APPEND(d->segments, g);
	pthread_mutex_unlock(&d->lock);
	o->current = g;
	o->torn = o->noted = false;
	return 0;
}

static bool has_failed(const struct output_dir *d, uint32_t number)
{
	for (uint32_t i = 0; i < d->failed_count; i++)
		if (d->failed[i] == number)
			return true;
	return false;
}

static int sync_files(const struct output_dir *d, const struct output_segment *g, bool err, bool new_names,
		      struct error *reterr)
{
	if (fdatasync(g->out_fd) < 0 || (err && fdatasync(g->err_fd) < 0) || fdatasync(g->idx_fd) < 0)
		return io_error(d, "sync", reterr);
	if (new_names && fsync(d->fd) < 0)
		return io_error(d, "sync the directory of", reterr);
	return 0;
}

/* With the lock, which it lets go while it waits for the disk: the slot goes on meanwhile. */
static void sync_segment(struct output_dir *d, struct output_segment *g, struct error *reterr)
{
	bool new_names = g->new_names, err = g->err_dirty;
	int rc;

	if (!g->dirty)
		return;
	g->busy = true;
	g->dirty = g->err_dirty = g->new_names = false;
	pthread_mutex_unlock(&d->lock);
	rc = sync_files(d, g, err, new_names, reterr);
	pthread_mutex_lock(&d->lock);
	if (rc < 0 && !has_failed(d, g->number)) {
		d->failed = check_realloc(d->failed, d->failed_count + 1, sizeof *d->failed);
		d->failed[d->failed_count++] = g->number;
	}
	g->busy = false;
	pthread_cond_broadcast(&d->idle);
}

/* With the lock: an open segment that nobody syncs now; NULL: it is closed. */
static struct output_segment *find_idle(struct output_dir *d, uint32_t number)
{
	struct output_segment *g;

	for (;;) {
		DL_SEARCH_SCALAR(d->segments, g, number, number);
		if (g == NULL || !g->busy)
			return g;
		pthread_cond_wait(&d->idle, &d->lock);
	}
}

int output_sync(struct output_dir *d, const uint32_t *segments, uint32_t count, int *ret_errno,
		struct error *reterr)
{
	struct error e = {0};

	pthread_mutex_lock(&d->lock);
	for (uint32_t i = 0; i < count; i++) {
		struct output_segment *g = find_idle(d, segments[i]);

		if (g != NULL)
			sync_segment(d, g, &e);
		if (has_failed(d, segments[i]) && e.code == ERR_OK) {
			error_set(&e, ERR_IO, "output segment %u could not be synced earlier", segments[i]);
			error_where(&e, "%s", d->path);
		}
	}
	pthread_mutex_unlock(&d->lock);
	if (e.code == ERR_OK)
		return 0;
	*ret_errno = e.code == ERR_LIMIT ? ENOSPC : EIO;
	if (reterr != NULL)
		*reterr = e;
	return e.code;
}

static void close_segment(struct output *o)
{
	struct output_dir *d = o->dir;
	struct output_segment *g = o->current;

	if (g == NULL)
		return;
	pthread_mutex_lock(&d->lock);
	while (g->busy)
		pthread_cond_wait(&d->idle, &d->lock);
	sync_segment(d, g, NULL); /* who asks for it later is told whether that worked */
	DL_DELETE(d->segments, g);
	pthread_mutex_unlock(&d->lock);
	o->current = NULL;
	destroy_segment(d, g);
}

int output_open(struct output *o, struct output_dir *dir, struct error *reterr)
{
	*o = (struct output){.dir = dir};
	return open_segment(o, reterr);
}

void output_close(struct output *o)
{
	if (o->dir != NULL)
		close_segment(o);
	*o = (struct output){0};
}

static int file_size(const struct output *o, int fd, uint64_t *ret, struct error *reterr)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return io_error(o->dir, "look at", reterr);
	*ret = (uint64_t)st.st_size;
	return 0;
}

/* Where the next attempt's output begins. */
static int measure(struct output *o, struct error *reterr)
{
	int rc = file_size(o, o->current->out_fd, &o->out_size, reterr);

	return rc < 0 ? rc : file_size(o, o->current->err_fd, &o->err_size, reterr);
}

static bool wants_new_segment(const struct output *o)
{
	struct output_dir *d = o->dir;
	bool failed;

	if (o->current == NULL || o->torn || o->out_size >= d->roll_bytes || o->err_size >= d->roll_bytes)
		return true;
	pthread_mutex_lock(&d->lock);
	failed = has_failed(d, o->current->number);
	pthread_mutex_unlock(&d->lock);
	return failed;
}

int output_begin(struct output *o, struct error *reterr)
{
	int rc = o->current != NULL ? measure(o, reterr) : 0;

	if (rc < 0 || !wants_new_segment(o))
		return rc;
	close_segment(o);
	o->out_size = o->err_size = 0;
	return open_segment(o, reterr); /* when it fails, the next attempt tries again */
}

void output_note_attempt(struct output *o, struct token token, uint32_t shard)
{
	const struct output_note note = {.token = token,
					 .shard = shard,
					 .segment = o->current->number,
					 .out_offset = o->out_size,
					 .err_offset = o->err_size};

	notes_write(&o->dir->notes, o->current->place, &note);
	o->noted = true;
}

/* What comes is of no attempt that anybody may look at. */
static void unnote(struct output *o)
{
	if (o->noted)
		notes_write(&o->dir->notes, o->current->place, NULL);
	o->noted = false;
}

static int checksum(struct output *o, uint64_t offset, uint64_t length, uint32_t *ret, struct error *reterr)
{
	static _Thread_local uint8_t block[65536];
	uint32_t crc = 0;

	while (length > 0) {
		size_t want = length < sizeof block ? (size_t)length : sizeof block;
		ssize_t got = pread(o->current->out_fd, block, want, (off_t)offset);

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
static int append_entries(struct output *o, struct bytes raw, struct error *reterr)
{
	int fd = o->current->idx_fd, rc;
	off_t before = lseek(fd, 0, SEEK_END);

	if (o->torn)
		return error_set(reterr, ERR_IO, "an output index could not be written before this");
	if (write(fd, raw.data, raw.size) == (ssize_t)raw.size)
		return 0;
	rc = io_error(o->dir, "write the index of", reterr);
	if (before < 0 || ftruncate(fd, before) < 0)
		o->torn = true;
	return rc;
}

static void mark_dirty(struct output *o, bool has_err)
{
	pthread_mutex_lock(&o->dir->lock);
	o->current->dirty = true;
	o->current->err_dirty |= has_err;
	pthread_mutex_unlock(&o->dir->lock);
}

static int check_bound(uint64_t out, uint64_t err, uint64_t max, struct error *reterr)
{
	if (max == 0 || (out <= max && err <= max))
		return 0;
	return error_set(reterr, ERR_LIMIT, "it wrote more than its bound of %llu bytes (output_max)",
			 (unsigned long long)max);
}

int output_extent(const struct output *o, uint64_t bytes_max, uint64_t *offset_ret, uint64_t *length_ret,
		  struct error *reterr)
{
	uint64_t end = 0;
	int rc = file_size(o, o->current->out_fd, &end, reterr);

	if (rc == 0)
		rc = check_bound(end - o->out_size, 0, bytes_max, reterr);
	if (rc < 0)
		return rc;
	*offset_ret = o->out_size;
	*length_ret = end - o->out_size;
	return 0;
}

int output_commit(struct output *o, struct token token, uint32_t shard, const struct output_rules *rules,
		  uint64_t *bytes_ret, struct error *reterr)
{
	struct output_entry e = {
	    .token = token, .shard = shard, .out_offset = o->out_size, .err_offset = o->err_size};
	uint8_t raw[OUTPUT_ENTRY_BYTES];
	uint64_t out_end = 0, err_end = 0;
	int rc = file_size(o, o->current->out_fd, &out_end, reterr);

	if (rc == 0)
		rc = file_size(o, o->current->err_fd, &err_end, reterr);
	if (rc < 0)
		return rc;
	e.out_length = out_end - o->out_size;
	e.err_length = err_end - o->err_size;
	*bytes_ret = e.out_length + e.err_length;
	if (*bytes_ret == 0)
		return 0;
	rc = check_bound(e.out_length, e.err_length, rules->bytes_max, reterr);
	if (rc == 0)
		rc = checksum(o, e.out_offset, e.out_length, &e.out_crc, reterr);
	if (rc < 0)
		return rc;
	output_entry_encode(&e, raw);
	rc = append_entries(o, BYTES(raw, sizeof raw), reterr);
	if (rc == 0 && rules->durable)
		mark_dirty(o, e.err_length > 0);
	return rc;
}

static int write_all(struct output *o, struct bytes b, struct error *reterr)
{
	while (b.size > 0) {
		ssize_t put = write(o->current->out_fd, b.data, b.size);

		if (put <= 0)
			return io_error(o->dir, "write", reterr);
		b = BYTES(b.data + put, b.size - (size_t)put);
	}
	return 0;
}

int output_check(struct bytes bytes, const struct output_rules *rules, struct error *reterr)
{
	return check_bound(bytes.size, 0, rules->bytes_max, reterr);
}

int output_append(struct output *o, struct token token, const struct shard_output *outputs, uint32_t count,
		  const struct output_rules *rules, struct error *reterr)
{
	struct buf data = {0}, entries = {0};
	int rc = measure(o, reterr);

	unnote(o);
	for (uint32_t i = 0; i < count && rc == 0; i++) {
		struct output_entry e = {.token = token,
					 .shard = outputs[i].shard,
					 .out_offset = o->out_size + data.size,
					 .out_length = outputs[i].bytes.size,
					 .err_offset = o->err_size,
					 .out_crc = crc32c(0, outputs[i].bytes.data, outputs[i].bytes.size)};

		buf_append_bytes(&data, outputs[i].bytes);
		output_entry_encode(&e, buf_reserve(&entries, OUTPUT_ENTRY_BYTES));
		entries.size += OUTPUT_ENTRY_BYTES;
	}
	if (rc == 0)
		rc = write_all(o, buf_bytes(&data), reterr);
	if (rc == 0 && count > 0)
		rc = append_entries(o, buf_bytes(&entries), reterr);
	if (rc == 0 && count > 0 && rules->durable)
		mark_dirty(o, false);
	buf_fini(&data);
	buf_fini(&entries);
	return rc;
}

/* The last line of a text that ends anywhere. */
static void last_line(char *text, size_t size, char *ret, size_t room)
{
	char *line;

	while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == '\r' || text[size - 1] == '\0'))
		size--;
	text[size] = '\0';
	line = memrchr(text, '\n', size);
	snprintf(ret, room, "%s", line == NULL ? text : line + 1);
}

/* As the command saw it: for root also what is reserved for root. */
static bool disk_is_full(const struct output *o)
{
	struct statvfs v;

	if (fstatvfs(o->current->out_fd, &v) < 0 || v.f_blocks == 0)
		return false;
	return (geteuid() == 0 ? v.f_bfree : v.f_bavail) == 0;
}

static void read_last_words(const struct output *o, uint64_t end, char *ret, size_t size)
{
	char tail[512];
	uint64_t most = sizeof tail - 1, from = end - o->err_size > most ? end - most : o->err_size;
	ssize_t got = pread(o->current->err_fd, tail, sizeof tail - 1, (off_t)from);

	if (got > 0)
		last_line(tail, (size_t)got, ret, size);
}

bool output_keep_failed(struct output *o, struct token token, uint32_t shard, bool durable)
{
	const struct output_rules rules = {.durable = durable};
	uint64_t bytes = 0;

	return output_commit(o, token, shard, &rules, &bytes, NULL) == 0 && bytes > 0;
}

void output_last_words(const struct output *o, char *last_words, size_t size)
{
	struct stat st;
	size_t used;

	last_words[0] = '\0';
	if (fstat(o->current->err_fd, &st) == 0 && (uint64_t)st.st_size > o->err_size)
		read_last_words(o, (uint64_t)st.st_size, last_words, size);
	if (!disk_is_full(o))
		return;
	used = strlen(last_words);
	snprintf(last_words + used, size - used, "%sthe disk of its output is full: %s", used > 0 ? "; " : "",
		 o->dir->path);
}
