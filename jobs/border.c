#include "jobs/border.h"

#include <string.h>

#include "base/check.h"

static int search_found(struct border_search *s, uint64_t offset)
{
	s->found = offset;
	return BORDER_FOUND;
}

static int search_past_limit(const struct border_search *s, struct error *reterr)
{
	bool fastq = s->align == ALIGN_FASTQ;

	error_set(reterr, ERR_LIMIT, "expected %s to start within %u bytes behind offset %llu, found none",
		  fastq ? "a FASTQ record (4 lines: @header, sequence, +, quality)" : "a line", s->record_max,
		  (unsigned long long)s->at);
	error_help(reterr,
		   "check that the file is plain %s: compressed files and longer records "
		   "cannot be cut; give the file to one shard instead",
		   fastq ? "4-line FASTQ" : "text");
	return ERR_LIMIT;
}

/* A record starts at offset: at most record_max behind where the search began. */
static int search_record(struct border_search *s, uint64_t offset, struct error *reterr)
{
	if (offset - s->at > s->record_max)
		return search_past_limit(s, reterr);
	return search_found(s, offset);
}

int border_search_init(struct border_search *s, uint8_t align, uint64_t at, uint64_t file_size,
		       uint32_t record_max, struct error *reterr)
{
	uint64_t reach = align == ALIGN_FASTQ ? 2 * (uint64_t)record_max : record_max;

	CHECK(record_max > 0 && record_max <= RECORD_BYTES_MAX);
	memset(s, 0, sizeof(*s));
	s->align = align;
	s->at = at;
	s->file_size = file_size;
	s->record_max = record_max;
	if (align != ALIGN_NONE && align != ALIGN_LINE && align != ALIGN_FASTQ)
		return error_set(reterr, ERR_INVALID, "expected align %s, found number %u",
				 align_kind_names(), align);
	if (at >= file_size)
		return search_found(s, file_size);
	if (at == 0 || align == ALIGN_NONE)
		return search_found(s, at);
	s->limit = file_size - at > reach ? at + reach : file_size;
	s->offset = at - 1;
	return BORDER_NEED_MORE;
}

/* The index-th of the lines since `at`; it is one of the last BORDER_LINES. */
static const struct border_line *line_at(const struct border_search *s, uint32_t index)
{
	CHECK(index < s->line_count && s->line_count - index <= BORDER_LINES);
	return &s->lines[index % BORDER_LINES];
}

/* The rule of border.h, for the line three before the last one. */
static bool record_begins(const struct border_search *s)
{
	uint32_t header = s->line_count - 4;

	return s->line_count >= 4 && line_at(s, header)->first == '@' &&
	       line_at(s, header + 2)->first == '+' &&
	       line_at(s, header + 1)->length == line_at(s, header + 3)->length;
}

/* A line has ended, with an LF or with the file. */
static int line_end(struct border_search *s, struct error *reterr)
{
	struct border_line line = s->line;

	s->in_line = false;
	if (s->cr)
		line.length--;
	/* More blank lines than a rule can look at tell nothing new, and would push out of lines[]
	 * what the end of the file is judged by. */
	if (line.length > 0)
		s->blank_count = 0;
	else if (s->blank_count == 3)
		return BORDER_NEED_MORE;
	else
		s->blank_count++;
	s->lines[s->line_count++ % BORDER_LINES] = line;
	if (record_begins(s))
		return search_record(s, line_at(s, s->line_count - 4)->start, reterr);
	return BORDER_NEED_MORE;
}

/* Some more bytes of a line, its LF not among them. */
static void line_bytes(struct border_search *s, const uint8_t *data, size_t size)
{
	if (!s->in_line || size == 0)
		return;
	if (s->line.length == 0)
		s->line.first = data[0];
	s->line.length += size;
	s->cr = data[size - 1] == '\r';
}

static void line_begin(struct border_search *s)
{
	s->in_line = true;
	s->cr = false;
	s->line = (struct border_line){.start = s->offset};
}

/* No line follows: is one of the last four the header of a truncated record? */
static int file_end(struct border_search *s, struct error *reterr)
{
	uint32_t last = s->line_count - s->blank_count - 1, line;

	if (s->line_count == s->blank_count)
		return search_found(s, s->file_size);
	for (line = last < 3 ? 0 : last - 3; line < last; line++) {
		const struct border_line *header = line_at(s, line);
		bool begins = line + 1 == last ? line_at(s, line + 1)->first != '@'
					       : line_at(s, line + 2)->first == '+';

		if (header->first == '@' && begins)
			return search_record(s, header->start, reterr);
	}
	s->last = *line_at(s, last);
	if (s->last.first != '@')
		return search_found(s, s->file_size);
	if (last >= 2)
		return line_at(s, last - 2)->first == '+' ? search_record(s, s->last.start, reterr)
							  : search_found(s, s->file_size);
	/* The line that tells lies before `at`. Its own first byte is what counts, so that reading
	 * begins one byte before it at the latest. */
	s->behind = true;
	s->in_line = false;
	s->line_count = 0;
	s->offset = s->last.start > s->record_max ? s->last.start - s->record_max : 0;
	s->limit = s->last.start;
	if (s->offset == 0)
		line_begin(s);
	return BORDER_NEED_MORE;
}

/* Back at the last line, with the lines before it. */
static int behind_end(struct border_search *s, struct error *reterr)
{
	if (s->line_count >= 2)
		return line_at(s, s->line_count - 2)->first == '+' ? search_record(s, s->last.start, reterr)
								   : search_found(s, s->file_size);
	/* Fewer than two lines in record_max bytes, or in the whole file before it: in the latter
	 * case this is no FASTQ file, and the line stays with what is before it. */
	return s->last.start <= s->record_max ? search_found(s, s->file_size) : search_past_limit(s, reterr);
}

static int search_line_ended(struct border_search *s, struct error *reterr)
{
	if (s->align == ALIGN_LINE)
		return search_record(s, s->offset, reterr);
	if (!s->in_line)
		return BORDER_NEED_MORE;
	if (!s->behind)
		return line_end(s, reterr);
	s->lines[s->line_count++ % BORDER_LINES] = s->line;
	return BORDER_NEED_MORE;
}

static int search_limit(struct border_search *s, struct error *reterr)
{
	if (s->behind)
		return behind_end(s, reterr);
	if (s->limit < s->file_size)
		return search_past_limit(s, reterr);
	if (s->align == ALIGN_LINE)
		return search_found(s, s->file_size);
	if (s->in_line && s->line.length > 0) {
		int r = line_end(s, reterr);

		if (r != BORDER_NEED_MORE)
			return r;
	}
	return file_end(s, reterr);
}

int border_search_feed(struct border_search *s, struct bytes block, struct error *reterr)
{
	CHECK(s->offset < s->limit);
	if (block.size == 0) {
		error_set(reterr, ERR_INVALID, "expected a file of %llu bytes, found its end at %llu",
			  (unsigned long long)s->file_size, (unsigned long long)s->offset);
		error_help(reterr, "it has become shorter since the job was planned: submit it again");
		return ERR_INVALID;
	}
	if (block.size > s->limit - s->offset)
		block.size = (size_t)(s->limit - s->offset);
	while (block.size > 0) {
		const uint8_t *newline = memchr(block.data, '\n', block.size);
		size_t size = newline != NULL ? (size_t)(newline - block.data) : block.size;
		int r;

		line_bytes(s, block.data, size);
		s->offset += size;
		if (newline == NULL)
			break;
		s->offset++;
		size++;
		r = search_line_ended(s, reterr);
		if (r != BORDER_NEED_MORE)
			return r;
		line_begin(s);
		block.data += size;
		block.size -= size;
	}
	return s->offset == s->limit ? search_limit(s, reterr) : BORDER_NEED_MORE;
}
