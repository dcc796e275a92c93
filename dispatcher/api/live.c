#include "dispatcher/api/live.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"

#define ENTRIES_LOOKED_AT 4096
#define OFFSET_MAX (UINT64_MAX / 4) /* a note that names more is none */

/* A worker's directory, open. */
struct view {
	int dir_fd, notes_fd;
};

/* Shards may put there what they like: nothing that would make the reader wait, or leads elsewhere. */
static int open_regular(int dir_fd, const char *name, uint64_t *size_ret)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		*size_ret = (uint64_t)st.st_size;
		return fd;
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

static void view_close(struct view *v)
{
	if (v->notes_fd >= 0)
		close(v->notes_fd);
	if (v->dir_fd >= 0)
		close(v->dir_fd);
}

/* False: it has no notes, or cannot be seen. view_close is due in any case. */
static bool view_open(struct view *v, const char *output_dir, const struct uuid *worker)
{
	char id[33], path[4096];
	uint64_t size;

	uuid_text(worker, id);
	snprintf(path, sizeof(path), "%s/%s", output_dir, id);
	*v = (struct view){.notes_fd = -1};
	v->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (v->dir_fd >= 0)
		v->notes_fd = open_regular(v->dir_fd, OUTPUT_NOTES_NAME, &size);
	return v->notes_fd >= 0;
}

static size_t read_some(int fd, void *to, size_t size, uint64_t offset)
{
	ssize_t got;

	do {
		got = pread(fd, to, size, (off_t)offset);
	} while (got < 0 && errno == EINTR);
	return got > 0 ? (size_t)got : 0;
}

static bool decode(const uint8_t raw[OUTPUT_NOTE_BYTES], struct output_note *ret)
{
	struct output_note n;

	if (output_note_decode(raw, &n) < 0 || n.segment == 0 || n.out_offset > OFFSET_MAX ||
	    n.err_offset > OFFSET_MAX)
		return false;
	*ret = n;
	return true;
}

static size_t read_notes(const struct view *v, struct live_note ret[], size_t max)
{
	size_t room = (size_t)OUTPUT_NOTES_MAX * OUTPUT_NOTE_BYTES, count = 0, size;
	uint8_t *raw = check_calloc(1, room);

	size = read_some(v->notes_fd, raw, room, 0);
	for (size_t at = 0; at + OUTPUT_NOTE_BYTES <= size && count < max; at += OUTPUT_NOTE_BYTES) {
		ret[count].place = (uint32_t)(at / OUTPUT_NOTE_BYTES);
		count += decode(raw + at, &ret[count].note);
	}
	free(raw);
	return count;
}

/* Nothing but the attempt wrote to its segment while the note stood there. */
static bool still_stands(const struct view *v, const struct live_note *n)
{
	uint8_t raw[OUTPUT_NOTE_BYTES], expected[OUTPUT_NOTE_BYTES];

	output_note_encode(&n->note, expected);
	return read_some(v->notes_fd, raw, sizeof(raw), (uint64_t)n->place * OUTPUT_NOTE_BYTES) ==
		   sizeof(raw) &&
	       memcmp(raw, expected, sizeof(raw)) == 0;
}

static int open_segment(const struct view *v, uint32_t segment, const char *kind, uint64_t *size_ret)
{
	char name[32];

	snprintf(name, sizeof(name), "%08u.%s", segment, kind);
	return open_regular(v->dir_fd, name, size_ret);
}

/* The last one of the shard, among the last `most` of the index. */
static bool find_entry(const struct view *v, uint32_t segment, struct token token, uint32_t shard,
		       uint64_t most, struct output_entry *ret)
{
	uint64_t end = 0, at;
	int fd = open_segment(v, segment, "idx", &end);
	bool found = false;

	if (fd < 0)
		return false;
	end -= end % OUTPUT_ENTRY_BYTES;
	for (at = end; at > 0 && end - at < most * OUTPUT_ENTRY_BYTES && !found;) {
		uint8_t raw[OUTPUT_ENTRY_BYTES];
		struct output_entry e;

		at -= OUTPUT_ENTRY_BYTES;
		if (read_some(fd, raw, sizeof(raw), at) != sizeof(raw) || output_entry_decode(raw, &e) < 0)
			continue;
		found = e.token.epoch == token.epoch && e.token.lease == token.lease && e.shard == shard;
		if (found)
			*ret = e;
	}
	close(fd);
	return found;
}

/* An attempt that has ended has its entry, the segment's last as long as the note stands. */
static bool has_entry(const struct view *v, const struct output_note *n, struct output_entry *ret)
{
	struct output_entry e;

	if (!find_entry(v, n->segment, n->token, n->shard, 1, &e) || e.out_offset != n->out_offset ||
	    e.err_offset != n->err_offset)
		return false;
	*ret = e;
	return true;
}

static uint64_t stream_size(const struct view *v, const struct output_note *n, bool err)
{
	uint64_t begin = err ? n->err_offset : n->out_offset, size = 0;
	struct output_entry e;
	int fd = open_segment(v, n->segment, err ? "err" : "out", &size);

	if (fd < 0)
		return 0;
	close(fd);
	if (has_entry(v, n, &e))
		return err ? e.err_length : e.out_length;
	return size > begin ? size - begin : 0;
}

size_t live_notes(const char *output_dir, const struct uuid *worker, struct live_note ret[], size_t max)
{
	struct view v;
	size_t count;

	count = view_open(&v, output_dir, worker) ? read_notes(&v, ret, max) : 0;
	view_close(&v);
	return count;
}

bool live_sizes(const char *output_dir, const struct uuid *worker, const struct live_note *n,
		uint64_t *out_ret, uint64_t *err_ret)
{
	uint64_t out, err;
	struct view v;
	bool good;

	good = view_open(&v, output_dir, worker);
	out = good ? stream_size(&v, &n->note, false) : 0;
	err = good ? stream_size(&v, &n->note, true) : 0;
	good = good && still_stands(&v, n);
	view_close(&v);
	if (good) {
		*out_ret = out;
		*err_ret = err;
	}
	return good;
}

static bool find_note(const struct view *v, const struct live_query *q, struct live_note *ret)
{
	struct live_note *notes = check_calloc(OUTPUT_NOTES_MAX, sizeof(*notes));
	size_t count = read_notes(v, notes, OUTPUT_NOTES_MAX);
	bool found = false;

	for (size_t i = 0; i < count && !found; i++) {
		const struct output_note *n = &notes[i].note;

		found = n->token.epoch == q->token.epoch && n->token.lease == q->token.lease &&
			n->shard == q->shard;
		if (found)
			*ret = notes[i];
	}
	free(notes);
	return found;
}

/* Of a stream that begins at `begin` of its segment. */
static size_t read_stream(const struct view *v, uint32_t segment, const struct live_query *q, uint64_t begin,
			  char *ret, size_t max)
{
	uint64_t size;
	int fd = open_segment(v, segment, q->err ? "err" : "out", &size);
	size_t got = 0;

	if (fd < 0)
		return 0;
	if (q->from <= OFFSET_MAX && begin <= OFFSET_MAX)
		got = read_some(fd, ret, max, begin + q->from);
	close(fd);
	return got;
}

/* What is behind the end of a stream of `length` bytes is not its own. */
static size_t cut(uint64_t length, uint64_t from, size_t got)
{
	if (from >= length)
		return 0;
	return got < length - from ? got : (size_t)(length - from);
}

int live_read(const char *output_dir, const struct uuid *worker, const struct live_query *q, char *ret,
	      size_t max, size_t *size_ret)
{
	struct output_entry e;
	struct live_note n;
	struct view v;
	size_t got = 0;
	bool good;

	good = view_open(&v, output_dir, worker) && find_note(&v, q, &n);
	if (good) {
		got = read_stream(&v, n.note.segment, q, q->err ? n.note.err_offset : n.note.out_offset, ret,
				  max);
		if (has_entry(&v, &n.note, &e))
			got = cut(q->err ? e.err_length : e.out_length, q->from, got);
		good = still_stands(&v, &n);
	}
	view_close(&v);
	if (!good)
		return ERR_NOT_FOUND;
	*size_ret = got;
	return 0;
}

int live_read_ended(const char *output_dir, const struct uuid *worker, uint32_t segment,
		    const struct live_query *q, char *ret, size_t max, size_t *size_ret)
{
	struct output_entry e;
	struct view v;
	size_t got;
	bool good;

	(void)view_open(&v, output_dir, worker); /* its notes may be gone with it */
	good = v.dir_fd >= 0 && find_entry(&v, segment, q->token, q->shard, ENTRIES_LOOKED_AT, &e);
	if (good) {
		got = read_stream(&v, segment, q, q->err ? e.err_offset : e.out_offset, ret, max);
		*size_ret = cut(q->err ? e.err_length : e.out_length, q->from, got);
	}
	view_close(&v);
	return good ? 0 : ERR_NOT_FOUND;
}
