#include "dispatcher/dedup/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/crc32c.h"
#include "base/limits.h"
#include "dispatcher/dedup/key_format.h"

_Static_assert(sizeof(struct key_entry) == 32, "an entry is as it stands in the file");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files of keys are little endian");

char *key_file_path(const char *dir, uint32_t number)
{
	size_t size = strlen(dir) + 32;
	char *path = check_calloc(1, size);

	snprintf(path, size, "%s/%08" PRIx32 ".keys", dir, number);
	return path;
}

/* Large ones in large pages: a look is to cost one miss, and not one more for the page. */
uint64_t *key_filter_create(uint64_t blocks)
{
	size_t size = blocks * KEY_FILTER_BLOCK_BYTES, align = KEY_FILTER_BLOCK_BYTES;
	uint64_t *words;

	if (size >= 4 * MIB)
		align = 2 * MIB;
	size = (size + align - 1) / align * align;
	words = aligned_alloc(align, size);
	CHECK(words != NULL);
	if (align > KEY_FILTER_BLOCK_BYTES)
		(void)madvise(words, size, MADV_HUGEPAGE);
	memset(words, 0, size);
	return words;
}

/* ---- open ---- */

static int damaged(const char *what, struct error *reterr)
{
	error_set(reterr, ERR_CORRUPT, "a file of keys is damaged: %s", what);
	return ERR_CORRUPT;
}

static int read_all(int fd, void *data, size_t size, uint64_t offset, struct error *reterr)
{
	for (size_t got = 0; got < size;) {
		ssize_t n = pread(fd, (uint8_t *)data + got, size - got, (off_t)(offset + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set(reterr, ERR_IO, "a file of keys cannot be read: %m");
		if (n == 0)
			return damaged("it ends too early", reterr);
		got += (size_t)n;
	}
	return 0;
}

static int read_header(struct key_file *f, struct key_header *h, struct error *reterr)
{
	struct stat st;
	int rc = read_all(f->fd, h, sizeof(*h), 0, reterr);

	if (rc < 0)
		return rc;
	if (memcmp(h->magic, KEY_MAGIC, sizeof(h->magic)) != 0 ||
	    h->crc != crc32c(0, h, offsetof(struct key_header, crc)))
		return damaged("its header is not as it was written", reterr);
	if (h->version != KEY_VERSION)
		return error_set(reterr, ERR_VERSION, "a file of keys is of version %u, this build reads %u",
				 h->version, KEY_VERSION);
	f->keys = h->keys;
	f->first_us = h->first_us;
	f->last_us = h->last_us;
	f->block_count = h->block_count;
	f->filter_blocks = h->filter_blocks;
	f->bytes = key_filter_offset(f->block_count) + f->filter_blocks * KEY_FILTER_BLOCK_BYTES +
		   f->block_count * sizeof(uint64_t);
	if (fstat(f->fd, &st) < 0 || (uint64_t)st.st_size != f->bytes)
		return damaged("its size is not what its header says", reterr);
	return 0;
}

static int read_index(struct key_file *f, uint32_t crc, struct error *reterr)
{
	size_t filter_bytes = f->filter_blocks * KEY_FILTER_BLOCK_BYTES,
	       firsts_bytes = f->block_count * sizeof(uint64_t);
	uint64_t at = key_filter_offset(f->block_count);
	int rc;

	f->filter = key_filter_create(f->filter_blocks);
	f->firsts = check_calloc(f->block_count + 1, sizeof(uint64_t));
	rc = read_all(f->fd, f->filter, filter_bytes, at, reterr);
	if (rc == 0)
		rc = read_all(f->fd, f->firsts, firsts_bytes, at + filter_bytes, reterr);
	if (rc == 0 && crc32c(crc32c(0, f->filter, filter_bytes), f->firsts, firsts_bytes) != crc)
		rc = damaged("its filter is not as it was written", reterr);
	return rc;
}

int key_file_open(const char *dir, uint32_t number, struct key_file **ret, struct error *reterr)
{
	char *path = key_file_path(dir, number);
	struct key_file *f = check_calloc(1, sizeof(*f));
	struct key_header h;
	int rc = 0;

	f->references = 1;
	f->number = number;
	f->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (f->fd < 0)
		rc = error_set(reterr, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO,
			       errno == ENOENT ? "a file of keys is missing"
					       : "a file of keys cannot be opened: %m");
	if (rc == 0)
		rc = read_header(f, &h, reterr);
	if (rc == 0)
		rc = read_index(f, h.index_crc, reterr);
	if (rc < 0) {
		(void)error_where(reterr, "%s", path);
		key_file_unref(f);
	} else {
		*ret = f;
	}
	free(path);
	return rc;
}

struct key_file *key_file_ref(struct key_file *f)
{
	atomic_fetch_add(&f->references, 1);
	return f;
}

void key_file_unref(struct key_file *f)
{
	if (f == NULL || atomic_fetch_sub(&f->references, 1) > 1)
		return;
	if (f->fd >= 0)
		close(f->fd);
	free(f->filter);
	free(f->firsts);
	free(f);
}

/* ---- look ---- */

int key_file_read_block(struct key_file *f, uint64_t block, struct key_entry *ret, uint32_t *ret_count,
			struct error *reterr)
{
	struct key_block b;
	int rc = read_all(f->fd, &b, sizeof(b), KEY_BLOCK_BYTES * (1 + block), reterr);

	if (rc == 0 && (b.crc != crc32c(0, (uint8_t *)&b + sizeof(b.crc), sizeof(b) - sizeof(b.crc)) ||
			b.count > KEY_BLOCK_ENTRIES))
		rc = damaged("a block is not as it was written", reterr);
	if (rc < 0) {
		atomic_store(&f->is_unreadable, true);
		return error_where(reterr, "%08" PRIx32 ".keys, block %" PRIu64, f->number, block);
	}
	memcpy(ret, b.entries, b.count * sizeof(*ret));
	*ret_count = b.count;
	return 0;
}

/* The last block whose first key is below; 0 when there is none. */
static uint64_t block_before(const struct key_file *f, uint64_t hi)
{
	uint64_t low = 0, high = f->block_count;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (f->firsts[middle] < hi)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? low - 1 : 0;
}

int key_file_find(struct key_file *f, uint64_t hi, uint64_t lo, struct key_entry *ret, struct error *reterr)
{
	struct key_entry entries[KEY_BLOCK_ENTRIES];

	for (uint64_t b = block_before(f, hi); b < f->block_count && f->firsts[b] <= hi; b++) {
		uint32_t count;
		int rc = key_file_read_block(f, b, entries, &count, reterr);

		if (rc < 0)
			return rc;
		for (uint32_t i = 0; i < count; i++)
			if (entries[i].hi == hi && entries[i].lo == lo) {
				*ret = entries[i];
				return 0;
			}
	}
	return ERR_NOT_FOUND;
}
