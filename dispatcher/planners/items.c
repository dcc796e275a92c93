/* The lines of a file, or of what a plan phase wrote, as items, frozen into a plan blob. Empty lines are no
 * items; a newline (or CR LF) ends a line, and the last one may lack it. Of json-lines each has to be one
 * JSON value. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fs.h"
#include "dispatcher/planners/blobs.h"
#include "dispatcher/planners/plan_task.h"
#include "jobs/file_tag.h"
#include "jobs/json.h"
#include "jobs/kinds.h"
#include "jobs/plan_blob.h"

#define PIECE_ITEMS_MAX 65536
#define PIECE_BYTES_MAX (4 * MIB)
#define READ_BYTES (256 * KIB)
#define OBJECT_READ_BYTES (4 * MIB)

/* Where a piece ended: the next one, or the next try, goes on from there. */
struct cursor {
	uint64_t offset; /* in the file */
	uint64_t line;	 /* lines before it */
	uint64_t items;
	uint64_t blob_bytes;
	char tag[FILE_TAG_BYTES_MAX]; /* of the file: it must not change meanwhile */
};

struct freezer {
	struct plan_task *task;
	char path[4096];
	char name[BLOB_NAME_BYTES];
	bool is_output;	     /* of a plan phase, not a file */
	uint64_t first, end; /* of what is read in the file */
	int in_fd, blob_fd;
	bool is_object; /* in a bucket; If-Match pins its content */
	struct s3_name object;
	struct s3_head head;
	struct cursor cursor;
	struct buf in; /* read, from cursor.offset on */
	size_t taken;  /* of it */
	bool at_end;
	struct plan_blob_writer writer;
	struct buf out; /* blocks of the piece */
	uint32_t piece_items;
	bool final; /* what failed will fail again */
};

static int fail(struct freezer *f, bool final, struct error *reterr, enum error_code code, const char *what)
{
	f->final = final;
	error_set(reterr, code, "%s", what);
	return error_where(reterr, "%.200s:%" PRIu64, f->path, f->cursor.line);
}

static int fail_errno(struct freezer *f, struct error *reterr, const char *what, const char *path)
{
	f->final = false;
	error_set(reterr, error_code_of_errno(errno), "%s: %s", what, strerror(errno));
	return error_where(reterr, "%.200s", path);
}

/* The dispatcher's own trouble, whatever it is. */
static int fail_keep(struct freezer *f, struct error *reterr, const char *path)
{
	f->final = false;
	error_set(reterr, ERR_EXHAUSTED, "the items cannot be kept: %s", strerror(errno));
	return error_where(reterr, "%.200s", path);
}

static int tag_of(struct freezer *f, char tag[FILE_TAG_BYTES_MAX], struct error *reterr)
{
	struct stat st;

	if (f->is_output) { /* what won stays as it is; the segment around it grows */
		snprintf(tag, FILE_TAG_BYTES_MAX, "output");
		return 0;
	}
	if (f->is_object) {
		snprintf(tag, FILE_TAG_BYTES_MAX, "%.63s", f->head.etag);
		return 0;
	}
	if (fstat(f->in_fd, &st) < 0)
		return fail_errno(f, reterr, "the list of items cannot be read", f->path);
	if (!S_ISREG(st.st_mode))
		return fail(f, true, reterr, ERR_INVALID, "the list of items is no regular file");
	file_tag((uint64_t)st.st_ino, (uint64_t)st.st_size,
		 (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec, tag);
	return 0;
}

static int open_object(struct freezer *f, struct error *reterr)
{
	size_t size;
	int r = plan_task_head(f->task, &f->object, &f->head, &f->final, reterr);

	snprintf(f->path, sizeof(f->path), "%.*s", (int)f->task->plan.url.size,
		 (const char *)f->task->plan.url.data);
	if (r < 0)
		return r;
	f->is_object = true;
	f->end = f->head.size_bytes;
	size = strlen(f->head.etag);
	if (size == 0 || size >= FILE_TAG_BYTES_MAX || strchr(f->head.etag, ' ') != NULL)
		return fail(f, true, reterr, ERR_INVALID, "the list's eTag is none that can be pinned");
	return 0;
}

static int open_list(struct freezer *f, struct error *reterr)
{
	int r;

	f->final = true;
	if (f->is_output) {
		snprintf(f->path, sizeof(f->path), "what the plan phase wrote");
		f->first = f->task->output_offset;
		f->end = f->first + f->task->output_length;
		f->final = false;
		r = plan_output_check(f->task, reterr);
		f->in_fd = f->task->output_fd;
		f->task->output_fd = -1;
		return r;
	}
	if (plan_task_is_object(f->task))
		return open_object(f, reterr);
	f->end = INT64_MAX;
	r = plan_task_path(f->task, f->path, sizeof(f->path), reterr);
	if (r < 0)
		return r;
	f->in_fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (f->in_fd < 0)
		return fail_errno(f, reterr, "the list of items cannot be read", f->path);
	return 0;
}

static int open_input(struct freezer *f, struct error *reterr)
{
	char tag[FILE_TAG_BYTES_MAX];
	char text[256] = "";
	struct bytes c = f->task->cursor;
	int r = open_list(f, reterr);

	if (r < 0)
		return r;
	r = tag_of(f, tag, reterr);
	if (r < 0)
		return r;
	if (c.size == 0) {
		memcpy(f->cursor.tag, tag, sizeof(tag));
		return 0;
	}
	if (c.size < sizeof(text))
		memcpy(text, c.data, c.size);
	if (sscanf(text, "1 %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %63s", &f->cursor.offset,
		   &f->cursor.line, &f->cursor.items, &f->cursor.blob_bytes, f->cursor.tag) != 5)
		return fail(f, true, reterr, ERR_CORRUPT, "the planner's cursor cannot be read");
	if (strcmp(tag, f->cursor.tag) != 0)
		return fail(f, true, reterr, ERR_INVALID, "the list changed while it was being read");
	return 0;
}

static int open_blob(struct freezer *f, struct error *reterr)
{
	char path[4200];

	if (f->task->preview != NULL)
		return 0;
	blob_name(f->task->job, f->task->phase, f->name);
	snprintf(path, sizeof(path), "%s/%s", f->task->plans_dir, f->name);
	f->blob_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	if (f->blob_fd < 0 || ftruncate(f->blob_fd, (off_t)f->cursor.blob_bytes) < 0)
		return fail_keep(f, reterr, path);
	return fs_sync_dir(f->task->plans_dir, reterr) < 0 ? fail_keep(f, reterr, f->task->plans_dir) : 0;
}

/* The piece so far becomes durable, then is told. */
static int end_piece(struct freezer *f, struct error *reterr)
{
	struct buf cursor = {0};
	struct cursor *c = &f->cursor;
	uint64_t at = c->blob_bytes;

	if (f->task->preview != NULL) {
		c->items += f->piece_items;
		f->piece_items = 0;
		return 0;
	}
	plan_blob_take(&f->writer, &f->out);
	if (f->piece_items == 0)
		return 0;
	for (size_t done = 0; done < f->out.size;) {
		ssize_t n = pwrite(f->blob_fd, f->out.data + done, f->out.size - done, (off_t)(at + done));

		if (n < 0 && errno != EINTR)
			return fail_keep(f, reterr, f->name);
		done += n > 0 ? (size_t)n : 0;
	}
	if (fdatasync(f->blob_fd) < 0)
		return fail_keep(f, reterr, f->name);
	at += f->out.size;
	c->blob_bytes = (at + PLAN_BLOB_BLOCK_BYTES - 1) / PLAN_BLOB_BLOCK_BYTES * PLAN_BLOB_BLOCK_BYTES;
	c->items += f->piece_items;
	buf_printf(&cursor, "1 %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %s", c->offset, c->line,
		   c->items, c->blob_bytes, c->tag);
	plan_task_piece(f->task, f->piece_items, bytes_of(f->name), buf_bytes(&cursor));
	buf_fini(&cursor);
	buf_clear(&f->out);
	f->piece_items = 0;
	return 0;
}

/* The first ones, and in a ring the last ones. */
static void note_item(struct freezer *f, struct bytes line)
{
	uint64_t n = f->cursor.items + f->piece_items;
	struct plan_preview *preview = f->task->preview;
	struct buf *last = &preview->last[n % PLAN_PREVIEW_ITEMS];

	buf_clear(last);
	buf_append_bytes(last, line);
	if (n < PLAN_PREVIEW_ITEMS)
		buf_append_bytes(&preview->first[n], line);
	preview->plan.shard_count = (uint32_t)(n + 1);
}

static int take_item(struct freezer *f, struct bytes line, struct error *reterr)
{
	if (line.size > 0 && line.data[line.size - 1] == '\r')
		line.size--;
	if (line.size == 0)
		return 0;
	if (f->cursor.items + f->piece_items >= SHARDS_MAX)
		return fail(f, true, reterr, ERR_LIMIT, "the list has more items than a phase has shards");
	if (f->task->planner == PLANNER_JSON_LINES) {
		struct error e = {0};
		json_t *value = json_read(line, ITEM_BYTES_MAX, EVENT_DEPTH_MAX, &e);

		if (value == NULL)
			return fail(f, true, reterr, ERR_INVALID, e.what);
		json_decref(value);
	}
	if (f->task->preview != NULL) {
		note_item(f, line);
	} else if (!plan_blob_add(&f->writer, line)) {
		size_t filled;

		plan_blob_take(&f->writer, &f->out);
		filled = f->out.size % PLAN_BLOB_BLOCK_BYTES;
		if (filled > 0)
			buf_append_zeros(&f->out, PLAN_BLOB_BLOCK_BYTES - filled);
		CHECK(plan_blob_add(&f->writer, line));
	}
	f->piece_items++;
	if (f->piece_items == PIECE_ITEMS_MAX || f->out.size >= PIECE_BYTES_MAX)
		return end_piece(f, reterr);
	return 0;
}

static int take_piece(void *arg, struct bytes piece)
{
	buf_append_bytes(arg, piece);
	return 0;
}

static int fill_from_object(struct freezer *f, struct error *reterr)
{
	uint64_t at = f->cursor.offset + f->in.size, left = at < f->end ? f->end - at : 0;
	const struct s3_get get = {
	    .name = &f->object,
	    .etag = f->cursor.tag,
	    .offset = at,
	    .size = left < OBJECT_READ_BYTES ? left : OBJECT_READ_BYTES,
	    .take = take_piece,
	    .arg = &f->in,
	    .cancel = plan_task_cancel(f->task),
	};
	int r = s3_get(f->task->s3, &get, reterr);

	f->final = s3_error_is_final(r);
	f->at_end = r == 0 && get.size == left;
	return r;
}

static int fill(struct freezer *f, struct error *reterr)
{
	uint64_t at, left;
	uint8_t *room;
	ssize_t n = 0;

	if (f->taken > 0)
		memmove(f->in.data, f->in.data + f->taken, f->in.size - f->taken);
	f->in.size -= f->taken;
	f->taken = 0;
	if (f->is_object)
		return fill_from_object(f, reterr);
	room = buf_reserve(&f->in, READ_BYTES);
	at = f->first + f->cursor.offset + f->in.size;
	left = at < f->end ? f->end - at : 0;
	do {
		if (left > 0)
			n = pread(f->in_fd, room, left < READ_BYTES ? left : READ_BYTES, (off_t)at);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return fail_errno(f, reterr, "the list of items cannot be read", f->path);
	if (n == 0 && left > 0 && f->is_output)
		return fail(f, false, reterr, ERR_CORRUPT, "the list became shorter while it was being read");
	f->in.size += (size_t)n;
	f->at_end = n == 0;
	return 0;
}

/* All whole lines of what was read, and at the end of the file what is left. */
static int take_lines(struct freezer *f, struct error *reterr)
{
	for (;;) {
		const uint8_t *start = f->in.data + f->taken;
		size_t left = f->in.size - f->taken;
		const uint8_t *newline = left > 0 ? memchr(start, '\n', left) : NULL;
		size_t size = newline != NULL ? (size_t)(newline - start) : left;
		int r;

		if (newline == NULL && !(f->at_end && left > 0)) {
			if (left > ITEM_BYTES_MAX + 1)
				break;
			return 0;
		}
		f->cursor.line++;
		if (size > ITEM_BYTES_MAX + 1)
			break;
		f->taken += size + (newline != NULL);
		f->cursor.offset += size + (newline != NULL);
		r = size > ITEM_BYTES_MAX && start[size - 1] != '\r'
			? ERR_LIMIT
			: take_item(f, BYTES(start, size), reterr);
		if (r == ERR_LIMIT && size > ITEM_BYTES_MAX)
			break;
		if (r < 0)
			return r;
	}
	return fail(f, true, reterr, ERR_LIMIT, "a line is longer than an item may be (64 KiB)");
}

static int freeze(struct freezer *f, struct error *reterr)
{
	char tag[FILE_TAG_BYTES_MAX];
	int r = open_input(f, reterr);

	if (r == 0)
		r = open_blob(f, reterr);
	f->writer.first = (uint32_t)f->cursor.items;
	while (r == 0 && !f->at_end && !f->task->stop) {
		if (f->task->preview != NULL && f->cursor.offset >= PLAN_PREVIEW_BYTES_MAX) {
			f->task->preview->at_least = true;
			break;
		}
		r = fill(f, reterr);
		if (r == 0)
			r = take_lines(f, reterr);
	}
	if (r == 0)
		r = end_piece(f, reterr);
	if (r == 0)
		r = tag_of(f, tag, reterr);
	if (r == 0 && strcmp(tag, f->cursor.tag) != 0)
		r = fail(f, true, reterr, ERR_INVALID, "the list changed while it was being read");
	return r;
}

void planner_items(struct plan_task *t)
{
	struct freezer f = {.task = t, .is_output = t->phase > 0, .in_fd = -1, .blob_fd = -1};
	struct plan unchanged = {0};
	struct error e = {0};

	if (freeze(&f, &e) < 0)
		plan_task_failed(t, f.final, &e);
	else
		plan_task_sealed(t, &unchanged);
	if (f.in_fd >= 0)
		close(f.in_fd);
	if (f.blob_fd >= 0)
		close(f.blob_fd);
	buf_fini(&f.in);
	buf_fini(&f.out);
	plan_blob_writer_fini(&f.writer);
}
