/* A file of deduplication keys: sorted, never changed once it is whole, and synced. Its filter and the first
 * key of each block are held in memory (11 bits a key). Numbers are little endian:
 *
 *   header  0 magic "shmillDK" | 8 version u32 | 12 zero | 16 keys u64 | 24 first bucket i64 | 32 last i64
 *           40 blocks u64 | 48 blocks of the filter u64 | 56 crc of the filter and the firsts u32
 *           60 crc of bytes 0..59 | zeros up to 4096
 *   block   0 crc of bytes 4..4095 u32 | 4 keys u32 | 8 zeros | 32 up to 127 entries of 32 bytes: the key 2 x
 *           u64, upper half first, first job u64, jobs u32, start of the key's bucket in seconds u32
 *   then the filter (key_filter.h), and the upper half of each block's first key, u64 each
 *
 * Blocks; for threads of the readers, but for what says otherwise. */
#pragma once

#include <stdatomic.h>

#include "base/error.h"
#include "dispatcher/dedup/key_filter.h"

#define KEY_BLOCK_BYTES 4096u
#define KEY_BLOCK_ENTRIES 127u

/* As it stands in the file. */
struct key_entry {
	uint64_t hi, lo;
	uint64_t job;
	uint32_t job_count;
	uint32_t bucket_s; /* rounded up */
};

struct key_file {
	_Atomic uint32_t references;
	uint32_t number; /* its name */
	int fd;
	uint64_t keys, bytes;
	usec_t first_us, last_us; /* starts of the first and the last bucket in it */
	uint64_t block_count, filter_blocks;
	uint64_t *filter, *firsts;
	_Atomic bool is_unreadable; /* a block of it was: it is merged with no other. Any thread */
};

static inline uint32_t key_bucket_s(usec_t bucket_us)
{
	return (uint32_t)((bucket_us + USEC_PER_SEC - 1) / USEC_PER_SEC);
}

/* "DIR/0000002a.keys"; to be freed. */
char *key_file_path(const char *dir, uint32_t number) MUST_CHECK;
/* ERR_NOT_FOUND: it is not there. ERR_CORRUPT, ERR_IO. */
int key_file_open(const char *dir, uint32_t number, struct key_file **ret, struct error *reterr) MUST_CHECK;
/* Any thread. */
struct key_file *key_file_ref(struct key_file *f);
void key_file_unref(struct key_file *f); /* NULL is fine */
/* Never blocks. Any thread. */
static inline bool key_file_may_have(const struct key_file *f, const struct key_mask *mask)
{
	return key_filter_may_have(f->filter, f->filter_blocks, mask);
}
/* ERR_NOT_FOUND without words: it does not have the key. */
int key_file_find(struct key_file *f, uint64_t hi, uint64_t lo, struct key_entry *ret,
		  struct error *reterr) MUST_CHECK;
/* The keys of a block, KEY_BLOCK_ENTRIES at most. */
int key_file_read_block(struct key_file *f, uint64_t block, struct key_entry *ret, uint32_t *ret_count,
			struct error *reterr) MUST_CHECK;

/* ---- writing ---- */

struct key_writer;

/* keys: at most so many come. */
int key_writer_open(const char *dir, uint32_t number, uint64_t keys, struct key_writer **ret,
		    struct error *reterr) MUST_CHECK;
/* In order, each key once. */
int key_writer_add(struct key_writer *w, const struct key_entry *e, struct error *reterr) MUST_CHECK;
uint64_t key_writer_bytes(const struct key_writer *w);
/* The file is whole and synced, but for its name in the directory; the writer is gone, also on error. */
int key_writer_close(struct key_writer *w, usec_t first_us, usec_t last_us, struct key_file **ret,
		     struct error *reterr) MUST_CHECK;
/* It goes, and its file with it. NULL is fine. */
void key_writer_abort(struct key_writer *w);
