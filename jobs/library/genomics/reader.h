/* FASTQ records from a stream: four lines each, LF or CRLF, the last newline may be missing
 * (P. Cock et al., "The Sanger FASTQ file format", Nucleic Acids Research 38:1767, 2010; sequences
 * broken over several lines are refused).
 *
 * Reads in large blocks and hands out views into its buffer: no allocation and no copy a record.
 * Memory: RECORD_BYTES_MAX + READER_BLOCK_BYTES, whatever the input. Empty lines behind the last
 * record are let pass; an input without records is fine. */
#pragma once

#include "base/error.h"
#include "base/limits.h"
#include "base/types.h"

#define READER_BLOCK_BYTES (256 * KIB)

/* Valid until the next call for this reader. */
struct fastq_record {
	const uint8_t *sequence;
	const uint8_t *quality; /* as long as the sequence, characters as found */
	size_t length;
};

struct reader {
	int fd; /* the caller's, not closed here */
	bool eof;
	const char *name; /* the caller's; for messages */
	uint8_t *data;
	size_t begin, end;	/* bytes not yet handed out */
	uint64_t begin_offset;	/* of data[begin] in the input */
	uint64_t record_number; /* of the record last handed out, from 1 */
	uint64_t record_offset; /* its first byte in the input, from 0 */
};

void reader_init(struct reader *r, int fd, const char *name);
void reader_fini(struct reader *r);
/* 1: a record; 0: the input has ended; ERR_INVALID: not FASTQ; ERR_LIMIT: a record is longer than
 * RECORD_BYTES_MAX; ERR_IO. Texts name the record's number and its offset. */
int reader_next(struct reader *r, struct fastq_record *ret_record, struct error *reterr) MUST_CHECK;
/* Put input, record number and offset of the record last handed out into an error; returns code. */
int reader_where(const struct reader *r, struct error *reterr);
