/* One segment in memory, and what was written into it. */
#pragma once

#include "base/rng.h"
#include "jobs/frame.h"

#define JOURNAL_FRAMES_MAX 64

struct journal {
	struct buf bytes; /* the segment */
	struct frame_segment segment;
	struct frame_chain chain;
	size_t end;	    /* where the next frame goes */
	size_t written_end; /* one past the last payload byte */
	size_t frame_count;
	size_t offsets[JOURNAL_FRAMES_MAX]; /* of frames in the segment */
	uint64_t lsns[JOURNAL_FRAMES_MAX];
	uint32_t counts[JOURNAL_FRAMES_MAX];
	uint32_t epochs[JOURNAL_FRAMES_MAX];
	struct buf payloads[JOURNAL_FRAMES_MAX];
};

void journal_begin(struct journal *j, size_t segment_bytes, uint64_t first_lsn);
void journal_end(struct journal *j);
/* A new segment in place of the last, which it continues. */
void journal_next_segment(struct journal *j);
/* A commit of random bytes, none of them zero. */
void journal_write(struct journal *j, struct rng *r, size_t payload_bytes, uint32_t record_count);
/* One of random size; false when it does not fit any more. */
bool journal_write_random(struct journal *j, struct rng *r);
/* 20 records in 9 commits over two epochs, three of them longer than a block. */
void journal_write_twenty(struct journal *j);
/* The number of the frame that the byte belongs to; frame_count behind the last. */
size_t journal_frame_at(const struct journal *j, size_t byte);

struct outcome {
	int refused; /* of frame_recover; 0 = it was not */
	enum frame_status status;
	size_t frames;
	struct frame_cursor cursor;
	struct error error;
};

/* Reads all frames and asserts that each is as it was written, in order. */
struct outcome journal_recover(const struct journal *j, bool is_last);
