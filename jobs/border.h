/* Record borders: where a worker's byte range really begins and ends. Pure: bytes in, an offset out.
 *
 * A `bytes` plan cuts a file every so many bytes, without reading it. cut(x) is the first record that
 * starts at or after x (0 for x = 0; the file's size when no record starts there any more). The shard
 * [first, end) of the plan is the bytes [cut(first), cut(end)) of the file. Whether a record starts at
 * a position is decided by the file alone, not by where the search began; so, for any bytes at all,
 * all shards together are the file, in order, each byte once. cut(first) >= end means that no record
 * starts in the shard: cut(end) is the same, the range is empty, and the shard is done.
 *
 * A record starts
 *   none   at every byte
 *   line   behind each '\n' (a line without one at the file's end is a record too)
 *   fastq  at a line that begins with '@', whose second next begins with '+', and whose first and third
 *          next are equally long (a CR before the LF is not counted).
 *
 * Why that is right for 4-line FASTQ (Cock et al. 2010, doi:10.1093/nar/gkp1137): header @, sequence,
 * plus line +, quality. Sequences hold letters, '*', '-' and '.', so that they begin with neither '@'
 * nor '+'. Of the four lines only header and quality can begin with '@'; the second next of a quality
 * line is the sequence of the next record, which does not begin with '+'. So no file of this shape is
 * cut wrongly, whatever its quality lines hold; the lengths only keep what is not FASTQ from passing
 * for it. What remains: a file whose sequences begin with '+' is not FASTQ, and is not recognised.
 *
 * At the end of the file lines may be missing: the last record is truncated. It stays one record,
 * which the shard that its header belongs to receives, with all that is there, so that its tool sees
 * and reports it. Blank lines at the very end do not count. Of a line that begins with '@' and
 *   3 lines behind it: a header if the second next begins with '+' (its quality is cut short)
 *   2 lines:           a header if the second next begins with '+'
 *   1 line:            a header unless that one begins with '@' (then that is one, and this is quality)
 *   0 lines:           a header if the second line before it begins with '+' (before a quality line
 *                      that is the sequence). Only for this a search may have to go back.
 *
 * What does not look like a record stays with the one before it: nothing is skipped. */
#pragma once

#include "base/error.h"
#include "base/limits.h"
#include "jobs/kinds.h"

/* Beside the negative enum error_code. */
enum border_result {
	BORDER_NEED_MORE = 0, /* read on at offset */
	BORDER_FOUND = 1,     /* found is cut(at) */
};

/* The last lines; of more than three blank ones in a row only three are kept. */
#define BORDER_LINES 8

struct border_line {
	uint64_t start;	 /* of a line that is not blank */
	uint64_t length; /* without CR LF */
	uint8_t first;	 /* 0 when it is blank */
};

/* One search. No heap. The caller reads offset and found; the rest is the search's own. */
struct border_search {
	uint64_t offset; /* where in the file the next block begins */
	uint64_t found;	 /* after BORDER_FOUND */
	uint64_t at;
	uint64_t file_size;
	uint64_t limit; /* how far it reads */
	uint32_t record_max;
	uint8_t align; /* enum align_kind */
	bool behind;   /* it has gone back for the two lines before `last` */
	bool in_line;  /* offset is in a line that began at or after at */
	bool cr;       /* that line's last byte so far is a CR */
	uint8_t blank_count;
	uint32_t line_count;
	struct border_line line;		/* the one being read */
	struct border_line lines[BORDER_LINES]; /* by line_count % BORDER_LINES */
	struct border_line last;
};

/* The search for cut(at). No record is longer than record_max bytes (1..RECORD_BYTES_MAX): none of the file's
 * starts further than that behind at, else the search fails. BORDER_FOUND when no byte has to be read,
 * ERR_INVALID when align is none of enum align_kind. */
int border_search_init(struct border_search *s, uint8_t align, uint64_t at, uint64_t file_size,
		       uint32_t record_max, struct error *reterr) MUST_CHECK;
/* The bytes at offset, as many as are at hand; what lies behind the border or the file's size is not
 * looked at. offset then moves behind them. It begins at at - 1 (whether a record starts at `at` is told
 * by the byte before), and goes back at most once, by at most record_max before the last line of a
 * FASTQ file. At most 2 record_max + 1 bytes are read, then record_max more if it goes back.
 * An empty block says that the file has ended: ERR_INVALID, it is shorter than it was when planned.
 * ERR_LIMIT: no record starts within record_max; the text is for the shard's user. */
int border_search_feed(struct border_search *s, struct bytes block, struct error *reterr) MUST_CHECK;
