#include "tests/fuzz/border_play.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

int border_cut(struct bytes file, uint8_t align, uint64_t at, uint32_t record_max, struct rng *r,
	       size_t block_max, uint64_t *ret, struct error *reterr)
{
	struct border_search s;
	int result = border_search_init(&s, align, at, file.size, record_max, reterr);
	bool back = false;

	CHECK(result != BORDER_NEED_MORE || s.offset == at - 1);
	while (result == BORDER_NEED_MORE) {
		uint64_t offset = s.offset;
		size_t size = 1 + (size_t)rng_below(r, block_max);
		uint8_t *block;

		CHECK(offset < file.size && offset <= at + 2 * (uint64_t)record_max);
		if (size > file.size - offset)
			size = (size_t)(file.size - offset);
		/* A copy of just this size: a sanitizer sees what is read beyond it. */
		block = check_calloc(size, 1);
		memcpy(block, file.data + offset, size);
		result = border_search_feed(&s, BYTES(block, size), reterr);
		free(block);
		if (result == BORDER_NEED_MORE && s.offset != offset + size) {
			CHECK(s.offset < offset + size && align == ALIGN_FASTQ && !back);
			back = true;
		}
	}
	if (result < 0)
		return result;
	CHECK(s.found >= at || at > file.size);
	CHECK(s.found <= file.size);
	CHECK(s.found == file.size || s.found - at <= record_max);
	*ret = s.found;
	return 0;
}

struct line {
	size_t start;
	size_t length; /* without CR LF */
};

/* The file's lines; what follows the last LF is one only if there is something. */
static struct line *split_lines(struct bytes file, size_t *count)
{
	struct line *lines = check_calloc(file.size + 1, sizeof(*lines));
	size_t n = 0, start = 0;

	for (size_t i = 0; i <= file.size; i++) {
		size_t length = i - start;

		if (i < file.size ? file.data[i] != '\n' : length == 0)
			continue;
		if (length > 0 && file.data[i - 1] == '\r')
			length--;
		lines[n++] = (struct line){start, length};
		start = i + 1;
	}
	*count = n;
	return lines;
}

static char line_first(struct bytes file, const struct line *line)
{
	return line->length > 0 ? (char)file.data[line->start] : ' ';
}

static bool fastq_starts(struct bytes file, const struct line *lines, size_t count, size_t i)
{
	size_t text_count = count;

	if (line_first(file, &lines[i]) != '@')
		return false;
	if (i + 3 < count && line_first(file, &lines[i + 2]) == '+' &&
	    lines[i + 1].length == lines[i + 3].length)
		return true;
	while (lines[text_count - 1].length == 0)
		text_count--;
	switch (text_count - i) {
	case 4:
	case 3:
		return line_first(file, &lines[i + 2]) == '+';
	case 2:
		return line_first(file, &lines[i + 1]) != '@';
	case 1:
		return i >= 2 && line_first(file, &lines[i - 2]) == '+';
	default:
		return false;
	}
}

uint8_t *border_starts(struct bytes file, uint8_t align)
{
	uint8_t *starts = check_calloc(file.size, 1);
	size_t count;
	struct line *lines = split_lines(file, &count);

	if (align == ALIGN_NONE && file.size > 0)
		memset(starts, 1, file.size);
	for (size_t i = 0; i < count && align != ALIGN_NONE; i++)
		starts[lines[i].start] = align == ALIGN_LINE || fastq_starts(file, lines, count, i);
	free(lines);
	return starts;
}

uint64_t border_play(struct bytes file, uint8_t align, uint64_t step, uint32_t record_max, bool strict,
		     struct rng *r)
{
	uint8_t *starts = border_starts(file, align);
	uint64_t expected = 0, filled_count = 0, cut_before = 0;
	size_t block_max = 1 + (size_t)rng_below(r, 1 + rng_below(r, file.size + 8));

	for (uint64_t at = 0; at < file.size + step; at += step) {
		struct error e = {0};
		uint64_t cut;
		int code = border_cut(file, align, at, record_max, r, block_max, &cut, &e);

		if (expected < at)
			expected = at < file.size ? at : file.size;
		while (at > 0 && expected < file.size && !starts[expected])
			expected++;
		if (code != 0) {
			CHECK(code == ERR_LIMIT && e.what[0] != '\0' && e.help[0] != '\0');
			CHECK(!strict);
			continue;
		}
		/* Ranges that begin where the one before ends, from 0 to the file's size, are the
		 * file, each byte once: that cuts do not go back is all that is left to show. */
		CHECK(cut == expected && cut >= cut_before);
		filled_count += cut > cut_before;
		cut_before = cut;
	}
	CHECK(!strict || cut_before == file.size);
	free(starts);
	return filled_count;
}
