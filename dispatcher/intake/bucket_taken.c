#include "dispatcher/intake/bucket_taken.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/fs.h"

#define VERSION 1u
#define SLOTS_MIN 64u
#define REWRITE_MIN 4096u /* keys in the file that are of no use, before it is worth writing anew */
#define FILE_BYTES_MAX ((size_t)TAKEN_MAX * 4 * sizeof(uint64_t))
#define MARK UINT64_C(1) /* the lowest bit of a slot; keys are told apart by the others */

static const char magic[8] = {'m', 'i', 'l', 'l', 't', 'a', 'k', 'n'};

struct header {
	char magic[8];
	uint32_t version;
	uint32_t zero;
};

struct frame_head {
	uint32_t count;
	uint32_t crc;
};

/* What is on its way to the file. */
struct taken_write {
	bool begun, made;
	bool whole;    /* in the file's place, else behind what it holds */
	bool replaced; /* it stands there */
	struct buf out;
	size_t key_count;   /* in it */
	struct buf pending; /* of these */
	int fd;		    /* of the new file, to append to */
	int rc;
	struct error error;
};

struct taken {
	char *path; /* NULL: in memory only */
	int fd;
	uint64_t *slots; /* 0 = free; a power of two, probed one after the other */
	size_t slot_count, count;
	uint64_t mark;	    /* of what the sweep has met */
	uint64_t file_keys; /* that the file holds, also of no use */
	bool file_lacks;    /* something could not be appended: the file has to be written anew */
	struct buf pending; /* keys, as the file holds them */
	struct buf image; /* the whole file as it is to be, without what became pending since; empty: none */
	size_t image_keys;
	struct buf image_pending; /* what was pending when it was made */
	struct taken_write write;
};

/* ---- the table ---- */

static uint64_t normal(uint64_t key)
{
	key &= ~MARK;
	return key != 0 ? key : 2;
}

/* Where the key is, or the free slot where it would go. */
static size_t slot_of(const struct taken *s, uint64_t key)
{
	size_t mask = s->slot_count - 1;
	size_t at = (size_t)(key >> 1) & mask;

	while (s->slots[at] != 0 && (s->slots[at] & ~MARK) != key)
		at = (at + 1) & mask;
	return at;
}

static void table_make(struct taken *s, size_t keys)
{
	s->slot_count = SLOTS_MIN;
	while (s->slot_count * 6 / 10 <= keys)
		s->slot_count *= 2;
	s->slots = check_calloc(s->slot_count, sizeof(*s->slots));
}

/* Into a table of the right size; only those with this mark, or all. */
static void table_remake(struct taken *s, size_t keys, bool all)
{
	uint64_t *old = s->slots;
	size_t old_count = s->slot_count;

	table_make(s, keys);
	s->count = 0;
	for (size_t i = 0; i < old_count; i++) {
		if (old[i] == 0 || (!all && (old[i] & MARK) != s->mark))
			continue;
		s->slots[slot_of(s, old[i] & ~MARK)] = old[i];
		s->count++;
	}
	free(old);
}

size_t taken_count(const struct taken *s)
{
	return s->count;
}

bool taken_is_full(const struct taken *s)
{
	return s->count >= TAKEN_MAX;
}

bool taken_has(const struct taken *s, uint64_t key)
{
	return s->slots[slot_of(s, normal(key))] != 0;
}

bool taken_mark(struct taken *s, uint64_t key)
{
	size_t at = slot_of(s, normal(key));

	if (s->slots[at] == 0)
		return false;
	s->slots[at] = (s->slots[at] & ~MARK) | s->mark;
	return true;
}

void taken_add(struct taken *s, uint64_t key)
{
	if (taken_mark(s, key) || taken_is_full(s))
		return;
	if (s->count + 1 > s->slot_count * 6 / 10)
		table_remake(s, s->count * 2, true);
	s->slots[slot_of(s, normal(key))] = normal(key) | s->mark;
	s->count++;
}

/* Keys behind the gap that would not be found any more move into it. */
void taken_remove(struct taken *s, uint64_t key)
{
	size_t mask = s->slot_count - 1, gap = slot_of(s, normal(key));

	if (s->slots[gap] == 0)
		return;
	s->slots[gap] = 0;
	s->count--;
	for (size_t at = (gap + 1) & mask; s->slots[at] != 0; at = (at + 1) & mask) {
		size_t home = (size_t)(s->slots[at] >> 1) & mask;

		if (((at - home) & mask) < ((at - gap) & mask))
			continue;
		s->slots[gap] = s->slots[at];
		s->slots[at] = 0;
		gap = at;
	}
}

/* ---- the file ---- */

static int fail(const struct taken *s, const char *what, struct error *reterr)
{
	error_set(reterr, ERR_IO, "%s: %s", what, strerror(errno));
	return error_where(reterr, "%s", s->path);
}

static void put_frame(struct buf *out, const uint8_t *keys, size_t count)
{
	size_t size = count * sizeof(uint64_t);
	struct frame_head head = {htole32((uint32_t)count), htole32(crc32c(0, keys, size))};

	buf_append(out, &head, sizeof(head));
	buf_append(out, keys, size);
}

static int append_fd_open(const struct taken *s, int *ret, struct error *reterr)
{
	*ret = open(s->path, O_WRONLY | O_APPEND | O_CLOEXEC);
	return *ret < 0 ? fail(s, "the list of files that were taken cannot be written", reterr) : 0;
}

static void move_buf(struct buf *to, struct buf *from)
{
	buf_fini(to);
	*to = *from;
	*from = (struct buf){0};
}

/* The whole file, of what is in the table. */
static void make_image(struct taken *s)
{
	struct header header = {.version = htole32(VERSION)};
	struct buf keys = {0};

	memcpy(header.magic, magic, sizeof(magic));
	buf_clear(&s->image);
	buf_append(&s->image, &header, sizeof(header));
	for (size_t i = 0; i < s->slot_count; i++) {
		uint64_t key = htole64(s->slots[i] & ~MARK);

		if (key != 0)
			buf_append(&keys, &key, sizeof(key));
	}
	s->image_keys = keys.size / sizeof(uint64_t);
	if (keys.size > 0)
		put_frame(&s->image, keys.data, s->image_keys);
	buf_fini(&keys);
	buf_append_bytes(&s->image_pending, buf_bytes(&s->pending));
	buf_clear(&s->pending);
}

bool taken_write_begin(struct taken *s)
{
	struct taken_write *w = &s->write;

	if (w->begun || s->path == NULL || (s->image.size == 0 && (s->pending.size == 0 || s->file_lacks)))
		return false;
	*w = (struct taken_write){.begun = true, .whole = s->image.size > 0, .fd = -1};
	if (w->whole) {
		w->key_count = s->image_keys;
		move_buf(&w->out, &s->image);
		move_buf(&w->pending, &s->image_pending);
	} else {
		w->key_count = s->pending.size / sizeof(uint64_t);
		move_buf(&w->pending, &s->pending);
		put_frame(&w->out, w->pending.data, w->key_count);
	}
	return true;
}

void taken_write_make(struct taken *s)
{
	struct taken_write *w = &s->write;
	ssize_t n;

	w->made = true;
	if (w->whole) {
		w->rc = fs_write_file(s->path, buf_bytes(&w->out), 0640, &w->error);
		w->replaced = w->rc == 0;
		if (w->replaced)
			w->rc = append_fd_open(s, &w->fd, &w->error);
		return;
	}
	n = write(s->fd, w->out.data, w->out.size);
	if (n == (ssize_t)w->out.size)
		return;
	errno = n < 0 ? errno : ENOSPC;
	w->rc = fail(s, "the list of files that were taken cannot be written", &w->error);
}

/* A frame that was written in part would hide all that is behind it. Then the keys wait for the whole new
 * file of the next sweep's end. (Not now: the table also has keys that taken_keep was not called for.) */
int taken_write_end(struct taken *s, bool *ret_whole, struct error *reterr)
{
	struct taken_write *w = &s->write;
	int r = w->rc;

	if (r == 0 && w->whole) {
		if (s->fd >= 0)
			close(s->fd);
		s->fd = w->fd;
		s->file_keys = w->key_count;
		s->file_lacks = false;
	} else if (r == 0) {
		s->file_keys += w->key_count;
	} else {
		s->file_lacks = s->file_lacks || !w->whole || w->replaced;
		buf_append_bytes(&w->pending, buf_bytes(&s->pending));
		move_buf(&s->pending, &w->pending);
		if (reterr != NULL)
			*reterr = w->error;
	}
	*ret_whole = r == 0 && w->whole;
	buf_fini(&w->out);
	buf_fini(&w->pending);
	*w = (struct taken_write){0};
	return r;
}

int taken_flush(struct taken *s, struct error *reterr)
{
	bool whole;
	int r = 0;

	while (r == 0 && taken_write_begin(s)) {
		taken_write_make(s);
		r = taken_write_end(s, &whole, reterr);
	}
	return r;
}

/* The keys of one frame; false: it is damaged, or cut off. */
static bool take_frame(struct taken *s, struct bytes *in)
{
	struct frame_head head;
	size_t count, size;

	if (in->size < sizeof(head))
		return false;
	memcpy(&head, in->data, sizeof(head));
	count = le32toh(head.count);
	size = count * sizeof(uint64_t);
	if (size > in->size - sizeof(head) || crc32c(0, in->data + sizeof(head), size) != le32toh(head.crc))
		return false;
	for (size_t i = 0; i < count; i++) {
		uint64_t key;

		memcpy(&key, in->data + sizeof(head) + i * sizeof(key), sizeof(key));
		taken_add(s, le64toh(key));
	}
	s->file_keys += count;
	*in = BYTES(in->data + sizeof(head) + size, in->size - sizeof(head) - size);
	return true;
}

static int take_file(struct taken *s, struct bytes in, enum taken_state *ret_state, struct error *reterr)
{
	struct header header;

	*ret_state = TAKEN_DAMAGED;
	if (in.size < sizeof(header))
		return 0;
	memcpy(&header, in.data, sizeof(header));
	if (memcmp(header.magic, magic, sizeof(magic)) != 0)
		return 0;
	if (le32toh(header.version) != VERSION) {
		error_set(reterr, ERR_VERSION,
			  "the list of files that were taken has version %u; this build reads %u",
			  le32toh(header.version), VERSION);
		return error_where(reterr, "%s", s->path);
	}
	in = BYTES(in.data + sizeof(header), in.size - sizeof(header));
	while (in.size > 0)
		if (!take_frame(s, &in))
			return 0;
	*ret_state = TAKEN_WHOLE;
	return 0;
}

static int load(struct taken *s, enum taken_state *ret_state, struct error *reterr)
{
	struct buf text = {0};
	struct error e = {0};
	int r = fs_read_file(s->path, FILE_BYTES_MAX, &text, &e);

	*ret_state = TAKEN_MISSING;
	if (r == 0)
		r = take_file(s, buf_bytes(&text), ret_state, &e);
	else if (r == ERR_NOT_FOUND)
		r = 0;
	buf_fini(&text);
	if (r < 0 && reterr != NULL)
		*reterr = e;
	return r;
}

int taken_open(const char *path, struct taken **ret, enum taken_state *ret_state, struct error *reterr)
{
	struct taken *s = check_calloc(1, sizeof(*s));
	int r = 0;

	s->fd = -1;
	table_make(s, 0);
	if (path != NULL) {
		s->path = strdup(path);
		CHECK(s->path != NULL);
		r = load(s, ret_state, reterr);
		if (r == 0 && *ret_state != TAKEN_WHOLE)
			make_image(s);
		if (r == 0)
			r = *ret_state == TAKEN_WHOLE ? append_fd_open(s, &s->fd, reterr)
						      : taken_flush(s, reterr);
	}
	if (r < 0)
		taken_close(s);
	else
		*ret = s;
	return r;
}

void taken_close(struct taken *s)
{
	bool whole;

	if (s == NULL)
		return;
	if (s->write.begun && !s->write.made)
		taken_write_make(s);
	if (s->write.begun)
		(void)!taken_write_end(s, &whole,
				       NULL); /* what is lost is offered again, and known by its key */
	if (s->fd >= 0) {
		(void)!taken_flush(s, NULL);
		close(s->fd);
	}
	buf_fini(&s->pending);
	buf_fini(&s->image);
	buf_fini(&s->image_pending);
	free(s->slots);
	free(s->path);
	free(s);
}

void taken_keep(struct taken *s, uint64_t key)
{
	uint64_t stored = htole64(normal(key));

	if (s->path != NULL && taken_has(s, key))
		buf_append(&s->pending, &stored, sizeof(stored));
}

bool taken_is_pending(const struct taken *s)
{
	return s->pending.size > 0;
}

void taken_sweep_begin(struct taken *s)
{
	s->mark ^= MARK;
}

void taken_sweep_end(struct taken *s, bool anew)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->slot_count; i++)
		kept += s->slots[i] != 0 && (s->slots[i] & MARK) == s->mark;
	if (kept < s->count)
		table_remake(s, kept, false);
	if (s->path != NULL && (anew || s->file_lacks || s->file_keys > 2 * s->count + REWRITE_MIN))
		make_image(s);
}
