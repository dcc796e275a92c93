/* The files of a watched directory that were taken already, each as a key of 64 bits, so that each is taken
 * once: whatever its times are, over restarts, and while a folder or the directory itself comes and goes.
 *
 * Keys live in memory (8 bytes each, in a table that is at most 60 % full) and in a file that only grows
 * until it is written anew: new keys are appended without a sync, so that kill -9 loses none. Should a crash
 * of the machine lose some, their files are offered once more, and the core's deduplication knows them.
 *
 * The file (version 1, little-endian): "milltakn", u32 version, u32 zero; then frames of u32 count,
 * u32 crc32c of the keys, count keys of u64.
 *
 * A sweep forgets files that are gone: between taken_sweep_begin and taken_sweep_end each file that is there
 * is marked.
 *
 * Thread: the loop's, but for taken_open, taken_close and taken_write_make: any, one at a time. */
#pragma once

#include "base/error.h"
#include "base/types.h"

#define TAKEN_MAX (1u << 24)

struct taken;

enum taken_state {
	TAKEN_WHOLE,   /* all that was written is known */
	TAKEN_MISSING, /* there was no file: it was made, and is empty */
	TAKEN_DAMAGED, /* only what stands before the damage is known */
};

/* path NULL: in memory only. The file is made when there is none. ERR_VERSION, ERR_IO. */
int taken_open(const char *path, struct taken **ret, enum taken_state *ret_state,
	       struct error *reterr) MUST_CHECK;
void taken_close(struct taken *s); /* writes what is pending; NULL is fine */

size_t taken_count(const struct taken *s);
/* No more keys can be added: TAKEN_MAX are there. */
bool taken_is_full(const struct taken *s);
bool taken_has(const struct taken *s, uint64_t key);
/* As taken_has, and tells the sweep that its file is there. */
bool taken_mark(struct taken *s, uint64_t key);
/* In memory only, until taken_keep; nothing happens when it is there or when the table is full. */
void taken_add(struct taken *s, uint64_t key);
void taken_remove(struct taken *s, uint64_t key);
/* The key, added before, is to be written by the next taken_flush. */
void taken_keep(struct taken *s, uint64_t key);
bool taken_is_pending(const struct taken *s);
/* Writes all that is pending, or the whole file; none may be under way. */
int taken_flush(struct taken *s, struct error *reterr) MUST_CHECK;

/* The same in steps, of which taken_write_make alone waits for the disk. Between begin and end the list may
 * be used, but not be flushed. False: there is nothing to write, or a write is under way. */
bool taken_write_begin(struct taken *s);
void taken_write_make(struct taken *s);
/* *ret_whole: the file holds what the last sweep's end left, and no other. */
int taken_write_end(struct taken *s, bool *ret_whole, struct error *reterr) MUST_CHECK;

void taken_sweep_begin(struct taken *s);
/* Forgets what was not marked since. The next write is of the whole file when most of it is of no use, or
 * when `anew` says so: with all keys that are in memory now, so that no key may be waiting for taken_keep. */
void taken_sweep_end(struct taken *s, bool anew);
