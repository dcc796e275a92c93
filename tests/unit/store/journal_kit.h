/* A directory with a journal of records that anybody can check: record n says so, and how long it is
 * follows from n. */
#pragma once

#include "dispatcher/store/journal.h"
#include "dispatcher/store/store_io.h"

struct kit {
	char dir[64];	  /* a temporary directory */
	char journal[96]; /* journal/ in it */
	struct journal_options options;
	struct journal *j; /* NULL when it is not open */
	struct error error;
};

#define KIT_SEGMENT_BYTES (16 * FRAME_BLOCK_BYTES)

/* A fresh directory; the options say create, small segments and no threads. */
void kit_begin(struct kit *k);
void kit_end(struct kit *k);
/* journal_open, a replay that checks all, journal_start. Negative as they are; the journal is closed. */
int kit_open(struct kit *k) MUST_CHECK;
/* The same, and it must be well. */
void kit_reopen(struct kit *k);
void kit_close(struct kit *k);

/* Submits `count` records; the lsn of the last. */
uint64_t kit_write(struct kit *k, uint32_t epoch, uint32_t count, bool alone);
/* Waits, on the journal's descriptor, until lsn is durable or the journal has failed. */
void kit_wait(struct kit *k, uint64_t lsn);
/* Bytes of the records [first, first + count). */
void kit_records(uint64_t first, uint32_t count, struct buf *out);
/* Replays from `from` and checks each record; *ret_last is the last one seen, from - 1 if there was none. */
int kit_replay(struct kit *k, uint64_t from, uint64_t *ret_last) MUST_CHECK;

/* Files of the journal */
void kit_path(const struct kit *k, const char *name, char *ret, size_t size);
void kit_segment_path(const struct kit *k, uint64_t number, char *ret, size_t size);
bool kit_exists(const struct kit *k, uint64_t number);
/* Flips one bit. */
void kit_flip(const struct kit *k, uint64_t number, uint64_t byte);
void kit_read(const struct kit *k, uint64_t number, struct buf *ret);
/* Fails the test unless k->error's text has the words. */
void kit_says(const struct kit *k, const char *words);
