/* The journal's bytes: segments and frames; encoding, recovery and checks. Pure: bytes in, frames or
 * a precise error out. The simulator, the fuzzer and the dispatcher run this same code.
 *
 * A segment is a fixed number of bytes, zeros until they are written. Its first block of 4 KiB is
 * the header; then one frame a commit, each on a fresh block, so that no write touches acknowledged
 * bytes. What the last frame of a block leaves over is zero, and so is all behind the last frame.
 * lsn counts records, from 1; a frame bears the lsn of its first record. Numbers are little endian:
 *
 *   header  0 magic "shmillSG" | 8 format u32 | 12 seed u32 | 16 cluster 2 x u64 | 32 first lsn u64
 *           40 segment bytes u64 | 48 epoch u32 | 52 previous crc u32 | 56 zero u32 | 60 crc u32
 *   frame   0 magic "smFR" | 4 crc u32 | 8 payload bytes u32 | 12 record count u32 | 16 lsn u64
 *           24 epoch u32 | 28 previous crc u32 | 32 payload: msgpack records, see records.def
 *
 * A header's crc covers its bytes 0..59. A frame's covers its bytes 8..31 and the payload, seeded by
 * the segment's random seed (no bytes that a user brings can look like a frame of this segment), and
 * names the crc of the frame before it, also across segments: frames cannot be swapped or left out.
 *
 * One commit is in flight at a time, and it is durable before the next is written. So after a crash
 * at most the last frame is incomplete (a torn tail: nobody was told of it), and everything else
 * that is not as it was written is damage, which recovery refuses in words. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/limits.h"

#define FRAME_BLOCK_BYTES ((size_t)4096)
#define FRAME_HEADER_BYTES ((size_t)32)
/* 2: records have the fields of version 4 (records.def), and there are records 20 to 23. 3: records have the
 * fields of version 6, and there is record 24; definitions may give their commands stdin, shards may wait for
 * those of another job. 4: items of a list that are alike are written as what differs (codec.h), and there is
 * record 25, so that keys of events may stand in files beside the journal. */
#define FRAME_FORMAT_VERSION 4u
/* Bounds of a segment's size, which is a multiple of FRAME_BLOCK_BYTES. */
#define SEGMENT_BYTES_MIN (2 * FRAME_BLOCK_BYTES)
#define SEGMENT_BYTES_MAX ((size_t)(1 * GIB))

struct frame_segment {
	uint64_t cluster_hi, cluster_lo;
	uint64_t first_lsn;	/* of the first record that it holds or will hold */
	uint64_t segment_bytes; /* of the whole segment, header included */
	uint32_t seed;		/* random, of this segment */
	uint32_t epoch;		/* of the frame before it; 0 = there was none */
	uint32_t prev_crc;	/* of the frame before it; 0 = there was none */
	uint32_t format;	/* as it was read; what is written is FRAME_FORMAT_VERSION */
};

/* Where a journal stands: what the next frame continues. */
struct frame_chain {
	uint64_t lsn;	   /* of the next record */
	uint32_t prev_crc; /* of the last frame; 0 = none yet */
	uint32_t epoch;	   /* of the last frame when read; to be written into the next: it may grow */
};

struct frame {
	uint64_t lsn; /* of its first record */
	uint32_t record_count;
	uint32_t epoch;
	struct bytes payload; /* inside the segment's bytes */
	uint64_t offset;      /* in the segment */
	uint64_t size_bytes;  /* whole blocks */
};

/* The bytes a frame takes, in whole blocks. */
size_t frame_size_bytes(size_t payload_bytes);
/* The largest payload that any frame of such a segment can hold: FRAME_BYTES_MAX at most. */
size_t frame_payload_bytes_max(uint64_t segment_bytes);

/* Appends the header's block. A new segment continues a chain: first_lsn = chain.lsn, epoch and
 * prev_crc as in the chain. */
void frame_segment_encode(const struct frame_segment *s, struct buf *out);
/* Appends one frame, a whole number of blocks, and moves the chain behind it. 1 <= record_count,
 * payload.size <= FRAME_BYTES_MAX; whether it fits into the segment is the caller's to see. */
void frame_encode(struct frame_chain *chain, uint32_t seed, struct bytes payload, uint32_t record_count,
		  struct buf *out);

/* What the reader knows before it opens a segment. */
struct frame_expect {
	uint64_t cluster_hi, cluster_lo;
	bool is_first;		  /* the oldest segment that is left: the chain is not known */
	bool is_last;		  /* only here may a torn tail be */
	struct frame_chain chain; /* where the segment before it ended */
};

enum frame_status {
	FRAME_OK,      /* *ret is the next frame */
	FRAME_END,     /* the rest is zero */
	FRAME_TORN,    /* the last commit did not come to its end: see cursor.torn_*; reterr tells */
	FRAME_DAMAGED, /* bytes are not as they were written: reterr says where and what is lost */
};

/* Reading a segment. The fields may be read; they change with frame_next. */
struct frame_cursor {
	struct bytes bytes;
	struct frame_segment segment;
	struct frame_chain chain; /* behind the frames read so far: append continues it */
	uint64_t offset;	  /* of the next frame; where append continues */
	bool is_last;
	uint64_t torn_first, torn_end; /* after TORN: zero and sync these bytes before the first append */
	uint64_t lost_first, lost_end; /* after DAMAGED: lsns [first, end) that going on would lose, as far as
					* this segment shows; equal when no record is */
};

/* Read a header without anything to expect (its own crc is checked): which segment is this? Of the
 * bytes only the first block is looked at; their size is that of the whole segment.
 * ERR_CORRUPT, or ERR_VERSION for a format that this build does not know. */
int frame_segment_decode(struct bytes bytes, struct frame_segment *ret, struct error *reterr) MUST_CHECK;
/* Begin: `bytes` is the whole segment and outlives the cursor. ERR_CORRUPT (damaged, cut off, or not
 * the segment that follows), ERR_VERSION, ERR_DENIED for another cluster's journal. */
int frame_recover(struct frame_cursor *c, struct bytes bytes, const struct frame_expect *expect,
		  struct error *reterr) MUST_CHECK;
/* The next frame in order. Anything but FRAME_OK is the end: later calls say the same. */
enum frame_status frame_next(struct frame_cursor *c, struct frame *ret, struct error *reterr) MUST_CHECK;
