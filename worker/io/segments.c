#include "worker/io/segments.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utlist.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/fs.h"
#include "jobs/ids.h"
#include "worker/io/segments_impl.h"
#include "worker/io/stream.h"

#define OPEN_MAX 32 /* retired segments that wait for their sync */

static const char *const kinds[SEGMENT_FILES] = {"out", "err", "idx"};

int segments_error(const struct output_dir *d, const char *verb, struct error *reterr)
{
	int code = errno;
	bool full = code == ENOSPC || code == EDQUOT;

	error_set(reterr, full ? ERR_BUSY : ERR_IO, "cannot %s an output segment: %s", verb, strerror(code));
	error_where(reterr, "%s", d->path);
	if (full)
		error_help(reterr, "free space on that disk; the shard is tried again");
	return full ? ERR_BUSY : ERR_IO;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Somebody may have removed the directory, or put another in its place: it is made again. */
static int ensure_dir(struct output_dir *d, struct error *reterr)
{
	struct stat by_name, ours;
	int fd, rc;

	if (d->fd >= 0 && stat(d->path, &by_name) == 0 && fstat(d->fd, &ours) == 0 &&
	    is_same(&by_name, &ours))
		return 0;
	rc = fs_make_dirs(d->path, 0755, reterr);
	if (rc < 0)
		return rc;
	fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return segments_error(d, "open the directory of", reterr);
	if (d->fd < 0) {
		d->fd = fd;
		return 0;
	}
	dup3(fd, d->fd, O_CLOEXEC);
	close(fd);
	return 0;
}

int output_dir_open(struct output_dir *d, const char *root, const struct uuid *worker, uint64_t roll_bytes,
		    struct error *reterr)
{
	char path[4096], id[UUID_TEXT_BYTES];

	uuid_text(worker, id);
	snprintf(path, sizeof path, "%s/%s", root, id);
	*d = (struct output_dir){
	    .path = strdup(path), .fd = -1, .worker = *worker, .roll_bytes = roll_bytes, .next = 1};
	CHECK(d->path != NULL);
	pthread_mutex_init(&d->lock, NULL);
	pthread_mutex_init(&d->index_lock, NULL);
	recent_init(&d->recent);
	pthread_cond_init(&d->idle, NULL);
	return ensure_dir(d, reterr);
}

static void name_of(const struct output_segment *g, int file, char ret[32])
{
	snprintf(ret, 32, "%08u.%s", g->number, kinds[file]);
}

/* Files that nothing was written to go away. */
static void destroy_segment(struct output_dir *d, struct output_segment *g)
{
	for (int f = 0; f < SEGMENT_FILES; f++) {
		struct stat st;
		char name[32];

		name_of(g, f, name);
		if (g->fds[f] < 0)
			continue;
		if (fstat(g->fds[f], &st) == 0 && st.st_size == 0)
			unlinkat(d->fd, name, 0);
		else if (f == SEGMENT_IDX) /* if it cannot be marked, it is kept for longer */
			(void)!fchmod(g->fds[f], 0644 | OUTPUT_INDEX_CLOSED);
		close(g->fds[f]);
	}
	free(g);
}

void segments_end_if_over(struct output_dir *d, struct output_segment *g)
{
	bool dirty = g->dirty[SEGMENT_OUT] || g->dirty[SEGMENT_ERR] || g->dirty[SEGMENT_IDX];

	if (!g->retired || g->writers > 0 || g->busy || dirty)
		return;
	DL_DELETE(d->segments, g);
	destroy_segment(d, g);
}

void output_dir_close(struct output_dir *d)
{
	if (d->path == NULL)
		return;
	pthread_mutex_lock(&d->lock);
	d->current = NULL;
	while (d->segments != NULL) {
		struct output_segment *g = d->segments;

		CHECK(g->writers == 0 && !g->busy);
		g->retired = true;
		segments_sync_one(d, g, NULL);
		segments_end_if_over(d, g);
	}
	pthread_mutex_unlock(&d->lock);
	if (d->fd >= 0)
		close(d->fd);
	rmdir(d->path); /* stays when it holds anything */
	pthread_mutex_destroy(&d->lock);
	pthread_mutex_destroy(&d->index_lock);
	recent_fini(&d->recent);
	pthread_cond_destroy(&d->idle);
	free(d->failed);
	free(d->path);
	*d = (struct output_dir){.fd = -1};
}

bool segments_has_failed(const struct output_dir *d, uint32_t number)
{
	for (uint32_t i = 0; i < d->failed_count; i++)
		if (d->failed[i] == number)
			return true;
	return false;
}

void segments_add_failed(struct output_dir *d, uint32_t number)
{
	if (segments_has_failed(d, number))
		return;
	d->failed = check_realloc(d->failed, d->failed_count + 1, sizeof *d->failed);
	d->failed[d->failed_count++] = number;
}

bool segments_are_there(const struct output_dir *d, const struct output_segment *g,
			const bool files[SEGMENT_FILES])
{
	for (int f = 0; f < SEGMENT_FILES; f++) {
		struct stat by_name, ours;
		char name[32], path[4200];

		if (!files[f])
			continue;
		name_of(g, f, name);
		snprintf(path, sizeof path, "%s/%s", d->path, name);
		if (lstat(path, &by_name) < 0 || fstat(g->fds[f], &ours) < 0 || !is_same(&by_name, &ours))
			return false;
	}
	return true;
}

/* A new segment, in the list, with one writer. given[f]: a file without a name that becomes its f; -1: it
 * gets an empty one. ERR_NOT_FOUND: it cannot be linked here. With the lock. */
static int make_segment(struct output_dir *d, const int given[SEGMENT_FILES], struct output_segment **ret,
			struct error *reterr)
{
	struct output_segment *g;
	int rc = ensure_dir(d, reterr);

	if (rc < 0)
		return rc;
	g = check_calloc(1, sizeof *g);
	g->number = d->next++;
	g->writers = 1;
	g->new_names = true;
	g->made_us = clock_mono_us();
	for (int f = 0; f < SEGMENT_FILES; f++)
		g->fds[f] = -1;
	for (int f = 0; f < SEGMENT_FILES && rc == 0; f++) {
		char name[32], path[32];

		name_of(g, f, name);
		snprintf(path, sizeof path, "/proc/self/fd/%d", given[f]);
		if (given[f] < 0)
			g->fds[f] = openat(d->fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		else if (fchmod(given[f], 0644) == 0 &&
			 linkat(AT_FDCWD, path, d->fd, name, AT_SYMLINK_FOLLOW) == 0)
			g->fds[f] = fcntl(given[f], F_DUPFD_CLOEXEC, 3);
		if (g->fds[f] < 0)
			rc = segments_error(d, "make", reterr);
		if (g->fds[f] < 0 && given[f] >= 0)
			rc = ERR_NOT_FOUND;
	}
	if (rc < 0) {
		destroy_segment(d, g);
		return rc;
	}
	DL_APPEND(d->segments, g);
	*ret = g;
	return 0;
}

static bool wants_successor(const struct output_dir *d, const struct output_segment *g)
{
	bool old = d->roll_age_us > 0 && clock_mono_us() - g->made_us >= d->roll_age_us;

	return old || g->torn || g->ends[SEGMENT_OUT] >= d->roll_bytes ||
	       g->ends[SEGMENT_ERR] >= d->roll_bytes || segments_has_failed(d, g->number);
}

static bool has_room(const struct output_segment *g, const struct output_place *p)
{
	return p->out_length <= INT64_MAX - g->ends[SEGMENT_OUT] &&
	       p->err_length <= INT64_MAX - g->ends[SEGMENT_ERR];
}

static void give_place(struct output_segment *g, struct output_place *p)
{
	p->segment = g;
	p->number = g->number;
	p->out_offset = g->ends[SEGMENT_OUT];
	p->err_offset = g->ends[SEGMENT_ERR];
	g->ends[SEGMENT_OUT] += p->out_length;
	g->ends[SEGMENT_ERR] += p->err_length;
}

int segments_lend(struct output_dir *d, struct output_place *p, struct error *reterr)
{
	static const int none[SEGMENT_FILES] = {-1, -1, -1};
	struct output_segment *g;
	int rc = 0;

	pthread_mutex_lock(&d->lock);
	g = d->current;
	if (g != NULL && (wants_successor(d, g) || !has_room(g, p))) {
		d->current = NULL;
		g->retired = true;
		segments_end_if_over(d, g);
	}
	if (d->current == NULL) {
		rc = make_segment(d, none, &d->current, reterr);
		if (rc == 0)
			give_place(d->current, p);
	} else {
		d->current->writers++;
		give_place(d->current, p);
	}
	pthread_mutex_unlock(&d->lock);
	return rc;
}

int segments_adopt(struct output_dir *d, int out_fd, int err_fd, struct output_place *p, struct error *reterr)
{
	const int given[SEGMENT_FILES] = {out_fd, err_fd, -1};
	struct output_segment *g = NULL;
	int rc;

	pthread_mutex_lock(&d->lock);
	rc = make_segment(d, given, &g, reterr);
	if (rc == 0) {
		g->retired = true;
		give_place(g, p);
	}
	pthread_mutex_unlock(&d->lock);
	return rc;
}

int segments_fill(struct output_dir *d, const struct output_place *p, int file, int from_fd,
		  uint32_t *crc_ret, struct error *reterr)
{
	uint64_t offset = file == SEGMENT_OUT ? p->out_offset : p->err_offset;
	uint64_t length = file == SEGMENT_OUT ? p->out_length : p->err_length;
	uint32_t crc = 0;

	if (!stream_copy(from_fd, 0, length, p->segment->fds[file], offset, &crc))
		return segments_error(d, "write", reterr);
	*crc_ret = crc;
	return 0;
}

int segments_write(struct output_dir *d, const struct output_place *p, int file, struct bytes bytes,
		   struct error *reterr)
{
	bool err = file == SEGMENT_ERR;

	CHECK(bytes.size == (err ? p->err_length : p->out_length));
	return stream_write(p->segment->fds[file], bytes, err ? p->err_offset : p->out_offset)
		   ? 0
		   : segments_error(d, "write", reterr);
}

/* Also when they are there, but somebody has cut them. */
static bool all_fit(const struct output_segment *g, const struct output_entry *entries, uint32_t count)
{
	struct stat out, err;

	if (fstat(g->fds[SEGMENT_OUT], &out) < 0 || fstat(g->fds[SEGMENT_ERR], &err) < 0)
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (!output_entry_fits(&entries[i], (uint64_t)out.st_size, (uint64_t)err.st_size))
			return false;
	return true;
}

/* A half-written entry would shift all that follow: it is cut off again. */
static int append_index(struct output_dir *d, struct output_segment *g, struct bytes raw,
			struct error *reterr)
{
	int rc = 0;

	pthread_mutex_lock(&d->index_lock);
	if (g->torn)
		rc = error_set(reterr, ERR_IO, "an output index could not be written before this");
	else if (stream_write(g->fds[SEGMENT_IDX], raw, g->ends[SEGMENT_IDX]))
		g->ends[SEGMENT_IDX] += raw.size;
	else {
		rc = segments_error(d, "write the index of", reterr);
		if (ftruncate(g->fds[SEGMENT_IDX], (off_t)g->ends[SEGMENT_IDX]) < 0)
			g->torn = true;
	}
	pthread_mutex_unlock(&d->index_lock);
	return rc;
}

static int refuse(struct output_dir *d, struct output_segment *g, struct error *reterr)
{
	pthread_mutex_lock(&d->lock);
	segments_add_failed(d, g->number);
	pthread_mutex_unlock(&d->lock);
	error_set(reterr, ERR_IO, "the files of output segment %u were removed, replaced or cut", g->number);
	error_help(reterr, "leave that directory to its worker; the shard is tried again");
	return error_where(reterr, "%s", d->path);
}

static void mark_dirty(struct output_dir *d, const struct output_place *p)
{
	pthread_mutex_lock(&d->lock);
	p->segment->dirty[SEGMENT_OUT] |= p->out_length > 0;
	p->segment->dirty[SEGMENT_ERR] |= p->err_length > 0;
	p->segment->dirty[SEGMENT_IDX] = true;
	pthread_mutex_unlock(&d->lock);
}

int segments_commit(struct output_dir *d, const struct output_place *p, const struct output_entry *entries,
		    uint32_t count, bool durable, struct error *reterr)
{
	const bool files[SEGMENT_FILES] = {p->out_length > 0, p->err_length > 0, true};
	struct output_segment *g = p->segment;
	struct buf raw = {0};
	int rc;

	if (!all_fit(g, entries, count) || !segments_are_there(d, g, files))
		return refuse(d, g, reterr);
	for (uint32_t i = 0; i < count; i++) {
		output_entry_encode(&entries[i], buf_reserve(&raw, OUTPUT_ENTRY_BYTES));
		raw.size += OUTPUT_ENTRY_BYTES;
	}
	rc = append_index(d, g, buf_bytes(&raw), reterr);
	buf_fini(&raw);
	if (rc == 0 && durable)
		mark_dirty(d, p);
	return rc;
}

/* The last place in a file is free again when nothing was kept there: on a full disk, that is room. */
static void take_back(struct output_segment *g, int file, uint64_t offset, uint64_t length)
{
	if (length > 0 && g->ends[file] == offset + length && ftruncate(g->fds[file], (off_t)offset) == 0)
		g->ends[file] = offset;
}

/* Retired segments that nobody asks to sync do not gather. Lets the lock go. */
static void end_some(struct output_dir *d)
{
	struct output_segment *g, *next;
	uint32_t count;

	DL_COUNT(d->segments, g, count);
	if (count <= OPEN_MAX)
		return;
	for (g = d->segments; g != NULL; g = next) {
		next = g->next;
		if (!g->retired || g->writers > 0 || g->busy)
			continue;
		segments_sync_one(d, g, NULL); /* who asks for it later is told whether that worked */
		segments_end_if_over(d, g);
		return;
	}
}

void segments_give_back(struct output_dir *d, struct output_place *p, bool committed)
{
	struct output_segment *g = p->segment;

	if (g == NULL)
		return;
	pthread_mutex_lock(&d->lock);
	if (!committed) {
		take_back(g, SEGMENT_OUT, p->out_offset, p->out_length);
		take_back(g, SEGMENT_ERR, p->err_offset, p->err_length);
	}
	g->writers--;
	segments_end_if_over(d, g);
	end_some(d);
	pthread_mutex_unlock(&d->lock);
	p->segment = NULL;
}
