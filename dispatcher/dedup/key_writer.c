/* A file of keys is written from its front to its end, then its header. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/crc32c.h"
#include "dispatcher/dedup/key_format.h"

#define BUFFERED_BLOCKS 64u

struct key_writer {
	struct key_file *file;
	char *path;
	struct key_block block;				   /* that is being filled */
	uint8_t buffer[BUFFERED_BLOCKS * KEY_BLOCK_BYTES]; /* whole ones */
	uint32_t buffered;
	uint64_t offset; /* of the buffer in the file */
	size_t firsts_room;
};

static int write_all(struct key_writer *w, const void *data, size_t size, uint64_t offset,
		     struct error *reterr)
{
	for (size_t put = 0; put < size;) {
		ssize_t n =
		    pwrite(w->file->fd, (const uint8_t *)data + put, size - put, (off_t)(offset + put));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			error_set(reterr, ERR_IO, "a file of keys cannot be written: %m");
			return error_where(reterr, "%s", w->path);
		}
		put += (size_t)n;
	}
	return 0;
}

int key_writer_open(const char *dir, uint32_t number, uint64_t keys, struct key_writer **ret,
		    struct error *reterr)
{
	struct key_writer *w = check_calloc(1, sizeof(*w));
	struct key_file *f = check_calloc(1, sizeof(*f));

	w->file = f;
	w->path = key_file_path(dir, number);
	w->offset = KEY_BLOCK_BYTES;
	f->references = 1;
	f->number = number;
	f->filter_blocks = key_filter_blocks(keys);
	f->filter = key_filter_create(f->filter_blocks);
	f->fd = open(w->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (f->fd < 0) {
		error_set(reterr, ERR_IO, "a file of keys cannot be made: %m");
		(void)error_where(reterr, "%s", w->path);
		key_writer_abort(w);
		return ERR_IO;
	}
	*ret = w;
	return 0;
}

static int flush(struct key_writer *w, struct error *reterr)
{
	size_t size = w->buffered * KEY_BLOCK_BYTES;
	int rc = write_all(w, w->buffer, size, w->offset, reterr);

	w->offset += size;
	w->buffered = 0;
	return rc;
}

static int end_block(struct key_writer *w, struct error *reterr)
{
	struct key_block *b = &w->block;

	if (b->count == 0)
		return 0;
	b->crc = crc32c(0, (const uint8_t *)b + sizeof(b->crc), sizeof(*b) - sizeof(b->crc));
	memcpy(w->buffer + w->buffered * KEY_BLOCK_BYTES, b, sizeof(*b));
	ARRAY_GROW(w->file->firsts, w->firsts_room, w->file->block_count);
	w->file->firsts[w->file->block_count++] = b->entries[0].hi;
	*b = (struct key_block){0};
	return ++w->buffered == BUFFERED_BLOCKS ? flush(w, reterr) : 0;
}

int key_writer_add(struct key_writer *w, const struct key_entry *e, struct error *reterr)
{
	struct key_mask mask = key_mask_of(e->hi, e->lo);

	w->block.entries[w->block.count++] = *e;
	w->file->keys++;
	key_filter_add(w->file->filter, w->file->filter_blocks, &mask);
	return w->block.count == KEY_BLOCK_ENTRIES ? end_block(w, reterr) : 0;
}

uint64_t key_writer_bytes(const struct key_writer *w)
{
	return w->offset;
}

static int write_index(struct key_writer *w, struct error *reterr)
{
	struct key_file *f = w->file;
	size_t filter_bytes = f->filter_blocks * KEY_FILTER_BLOCK_BYTES,
	       firsts_bytes = f->block_count * sizeof(uint64_t);
	struct key_block header = {0};
	struct key_header h = {.version = KEY_VERSION,
			       .keys = f->keys,
			       .first_us = f->first_us,
			       .last_us = f->last_us,
			       .block_count = f->block_count,
			       .filter_blocks = f->filter_blocks};
	int rc = write_all(w, f->filter, filter_bytes, w->offset, reterr);

	if (rc == 0)
		rc = write_all(w, f->firsts, firsts_bytes, w->offset + filter_bytes, reterr);
	f->bytes = w->offset + filter_bytes + firsts_bytes;
	memcpy(h.magic, KEY_MAGIC, sizeof(h.magic));
	h.index_crc = crc32c(crc32c(0, f->filter, filter_bytes), f->firsts, firsts_bytes);
	h.crc = crc32c(0, &h, offsetof(struct key_header, crc));
	memcpy(&header, &h, sizeof(h));
	return rc == 0 ? write_all(w, &header, sizeof(header), 0, reterr) : rc;
}

int key_writer_close(struct key_writer *w, usec_t first_us, usec_t last_us, struct key_file **ret,
		     struct error *reterr)
{
	int rc = end_block(w, reterr);

	w->file->first_us = first_us;
	w->file->last_us = last_us;
	if (rc == 0)
		rc = flush(w, reterr);
	if (rc == 0)
		rc = write_index(w, reterr);
	if (rc == 0 && fsync(w->file->fd) < 0) {
		error_set(reterr, ERR_IO, "a file of keys cannot be synced: %m");
		rc = error_where(reterr, "%s", w->path);
	}
	if (rc < 0) {
		key_writer_abort(w);
		return rc;
	}
	*ret = w->file;
	free(w->path);
	free(w);
	return 0;
}

void key_writer_abort(struct key_writer *w)
{
	if (w == NULL)
		return;
	if (w->file->fd >= 0)
		(void)unlink(w->path);
	key_file_unref(w->file);
	free(w->path);
	free(w);
}
