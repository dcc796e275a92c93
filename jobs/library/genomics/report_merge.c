#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "jobs/library/genomics/report.h"

#define READ_BYTES (64 * KIB)

/* Reads more; 0 at the end of the input. */
static ssize_t read_more(int fd, struct buf *line, const char *name, struct error *reterr)
{
	uint8_t *room = buf_reserve(line, READ_BYTES);
	ssize_t got;

	do {
		got = read(fd, room, READ_BYTES);
	} while (got < 0 && errno == EINTR);
	if (got < 0) {
		error_set(reterr, ERR_IO, "cannot read: %s", strerror(errno));
		error_where(reterr, "%s", name);
		return ERR_IO;
	}
	line->size += (size_t)got;
	return got;
}

static bool is_empty(struct bytes line)
{
	for (size_t i = 0; i < line.size; i++)
		if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r')
			return false;
	return true;
}

static int merge_line(struct bytes line, struct stats *scratch, struct stats *into, struct error *reterr)
{
	int code;

	if (is_empty(line))
		return 0;
	code = report_parse(line, scratch, reterr);
	if (code == 0)
		code = stats_merge(into, scratch, reterr);
	if (code < 0)
		error_help(reterr, "--merge reads what fastq-qc --json wrote, one report a line");
	return code;
}

/* Merges every whole line of the buffer and keeps the rest. */
static int merge_lines(struct buf *input, bool eof, const char *name, uint64_t *number, struct stats *scratch,
		       struct stats *into, struct error *reterr)
{
	size_t at = 0;
	int code = 0;

	while (code == 0 && at < input->size) {
		const uint8_t *line = input->data + at;
		const uint8_t *stop = memchr(line, '\n', input->size - at);
		size_t size = stop != NULL ? (size_t)(stop - line) : input->size - at;

		if (stop == NULL && !eof && size <= REPORT_BYTES_MAX)
			break;
		++*number;
		if (size > REPORT_BYTES_MAX)
			code = error_set(reterr, ERR_LIMIT, "a report is longer than %llu bytes",
					 (unsigned long long)REPORT_BYTES_MAX);
		else
			code = merge_line(BYTES(line, size), scratch, into, reterr);
		at += size + (stop != NULL ? 1 : 0);
	}
	if (code < 0) {
		error_where(reterr, "%s: line %" PRIu64, name, *number);
		return code;
	}
	if (at > 0)
		memmove(input->data, input->data + at, input->size - at);
	input->size -= at;
	return 0;
}

int report_merge_stream(int fd, const char *name, struct stats *into, struct error *reterr)
{
	struct stats *scratch = stats_create();
	struct buf input = {0};
	uint64_t number = 0;
	ssize_t got;
	int code = 0;

	do {
		got = read_more(fd, &input, name, reterr);
		code =
		    got < 0 ? (int)got : merge_lines(&input, got == 0, name, &number, scratch, into, reterr);
	} while (code == 0 && got > 0);
	buf_fini(&input);
	stats_destroy(scratch);
	return code;
}
