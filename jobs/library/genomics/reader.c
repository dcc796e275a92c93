#include "jobs/library/genomics/reader.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

#define READER_CAPACITY (RECORD_BYTES_MAX + READER_BLOCK_BYTES)

void reader_init(struct reader *r, int fd, const char *name)
{
	*r = (struct reader){.fd = fd, .name = name, .data = check_calloc(READER_CAPACITY, 1)};
}

void reader_fini(struct reader *r)
{
	free(r->data);
	*r = (struct reader){.fd = -1};
}

int reader_where(const struct reader *r, struct error *reterr)
{
	return error_where(reterr, "%s: record %" PRIu64 " at byte %" PRIu64, r->name, r->record_number,
			   r->record_offset);
}

/* Keeps what is not handed out yet and reads about one more block behind it. */
static int fill(struct reader *r, struct error *reterr)
{
	size_t kept = r->end - r->begin, want;

	memmove(r->data, r->data + r->begin, kept);
	r->begin = 0;
	r->end = kept;
	want = kept + READER_BLOCK_BYTES;
	CHECK(want <= READER_CAPACITY);
	while (r->end < want) {
		ssize_t got = read(r->fd, r->data + r->end, want - r->end);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			error_set(reterr, ERR_IO, "cannot read: %s", strerror(errno));
			error_where(reterr, "%s", r->name);
			return ERR_IO;
		}
		if (got == 0) {
			r->eof = true;
			break;
		}
		r->end += (size_t)got;
	}
	return 0;
}

static const char *byte_text(uint8_t byte, char text[8])
{
	if (byte == '\n' || byte == '\r')
		return "an empty line";
	if (isprint(byte))
		snprintf(text, 8, "'%c'", byte);
	else
		snprintf(text, 8, "0x%02x", byte);
	return text;
}

static int bad_start(struct reader *r, const uint8_t *at, size_t size, struct error *reterr)
{
	char text[8];
	int code =
	    error_set(reterr, ERR_INVALID, "expected '@' at the start of a record's first line, found %s",
		      byte_text(at[0], text));

	if (size >= 2 && at[0] == 0x1f && at[1] == 0x8b)
		error_help(reterr, "this is gzip: zcat FILE | fastq-qc");
	else if (at[0] == '>')
		error_help(reterr, "this looks like FASTA, which has no qualities");
	else if (r->record_number > 1)
		error_help(reterr, "a record is four lines: @name, sequence, +, quality");
	else
		error_help(reterr, "is this FASTQ, cut at a record's start?");
	reader_where(r, reterr);
	return code;
}

static int bad_plus(struct reader *r, uint8_t found, struct error *reterr)
{
	char text[8];
	int code = error_set(reterr, ERR_INVALID, "expected '+' at the start of the third line, found %s",
			     byte_text(found, text));

	error_help(reterr, "sequence and quality have to be one line each");
	reader_where(r, reterr);
	return code;
}

static int bad_lengths(struct reader *r, size_t bases, size_t qualities, struct error *reterr)
{
	int code = error_set(reterr, ERR_INVALID,
			     "sequence and quality are not equally long: %zu bases, %zu qualities", bases,
			     qualities);

	error_help(reterr, "was this input damaged, or cut inside a record?");
	reader_where(r, reterr);
	return code;
}

static int too_long(struct reader *r, struct error *reterr)
{
	int code = error_set(reterr, ERR_LIMIT, "the record is longer than %llu bytes",
			     (unsigned long long)RECORD_BYTES_MAX);

	error_help(reterr, "longer reads are not supported");
	reader_where(r, reterr);
	return code;
}

/* A line's end is not in the buffer: read on (0), unless there is nothing more to read. */
static int line_unfinished(struct reader *r, int line, struct error *reterr)
{
	int code = 0;

	if (r->end - r->begin > RECORD_BYTES_MAX)
		return too_long(r, reterr);
	if (r->eof) {
		code = error_set(reterr, ERR_INVALID,
				 "the record is cut short: the input ends in line %d of 4", line);
		error_help(reterr, "was the upload or the copy of this file complete?");
		reader_where(r, reterr);
	}
	return code;
}

/* Bytes of a line that ends at stop, without the CR of CRLF. */
static size_t line_length(const uint8_t *line, const uint8_t *stop)
{
	return (size_t)(stop - line) - (stop > line && stop[-1] == '\r' ? 1 : 0);
}

/* 1: a record of *ret_size bytes is in the buffer; 0: more bytes are needed; negative: bad. */
static int scan(struct reader *r, struct fastq_record *ret_record, size_t *ret_size, struct error *reterr)
{
	const uint8_t *start = r->data + r->begin, *end = r->data + r->end;
	const uint8_t *sequence, *plus, *quality, *stop, *next;
	size_t length, quality_length;

	if (*start != '@')
		return bad_start(r, start, (size_t)(end - start), reterr);
	stop = memchr(start, '\n', (size_t)(end - start));
	if (stop == NULL)
		return line_unfinished(r, 1, reterr);
	sequence = stop + 1;
	stop = memchr(sequence, '\n', (size_t)(end - sequence));
	if (stop == NULL)
		return line_unfinished(r, 2, reterr);
	length = line_length(sequence, stop);
	plus = stop + 1;
	if (plus == end)
		return line_unfinished(r, 3, reterr);
	if (*plus != '+')
		return bad_plus(r, *plus, reterr);
	stop = memchr(plus, '\n', (size_t)(end - plus));
	if (stop == NULL)
		return line_unfinished(r, 3, reterr);

	/* The fourth line may begin with '@' or '+': it is known by its place alone. */
	quality = stop + 1;
	stop = memchr(quality, '\n', (size_t)(end - quality));
	if (stop == NULL && !r->eof)
		return 0;
	next = stop != NULL ? stop + 1 : end;
	quality_length = line_length(quality, stop != NULL ? stop : end);
	if (stop == NULL && quality_length < length)
		return line_unfinished(r, 4, reterr);
	if (quality_length != length)
		return bad_lengths(r, length, quality_length, reterr);
	*ret_record = (struct fastq_record){sequence, quality, length};
	*ret_size = (size_t)(next - start);
	return 1;
}

/* At the place of a record stands an empty line: fine when nothing but empty lines follows. */
static int skip_empty_lines(struct reader *r, struct error *reterr)
{
	for (;;) {
		while (r->begin < r->end) {
			if (r->data[r->begin] != '\n' && r->data[r->begin] != '\r')
				return bad_start(r, (const uint8_t *)"\n", 1, reterr);
			r->begin++;
		}
		if (r->eof)
			return 0;
		int code = fill(r, reterr);

		if (code < 0)
			return code;
	}
}

int reader_next(struct reader *r, struct fastq_record *ret_record, struct error *reterr)
{
	size_t size = 0;

	r->record_number++;
	r->record_offset = r->begin_offset;
	for (;;) {
		int code = 0;

		if (r->begin < r->end) {
			if (r->data[r->begin] == '\n' || r->data[r->begin] == '\r')
				return skip_empty_lines(r, reterr);
			code = scan(r, ret_record, &size, reterr);
		} else if (r->eof) {
			return 0;
		}
		if (code < 0)
			return code;
		if ((code > 0 ? size : r->end - r->begin) > RECORD_BYTES_MAX)
			return too_long(r, reterr);
		if (code > 0)
			break;
		code = fill(r, reterr);
		if (code < 0)
			return code;
	}
	r->begin += size;
	r->begin_offset += size;
	return 1;
}
