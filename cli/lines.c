#include "cli/lines.h"

#include <string.h>

#include "cli/human.h"

static void show(const struct lines *l, struct bytes line)
{
	struct buf out = {0};

	terminal_style(l->terminal, &out, STYLE_DIM, bytes_of(l->prefix));
	if (l->terminal->is_terminal)
		human_text(&out, line, false);
	else
		buf_append_bytes(&out, line);
	buf_append(&out, "\n", 1);
	fwrite(out.data, 1, out.size, l->stream);
	buf_fini(&out);
}

static void end_line(struct lines *l)
{
	show(l, buf_bytes(&l->line));
	buf_clear(&l->line);
}

int lines_take(void *arg, struct bytes piece)
{
	struct lines *l = arg;

	if (l->cut && piece.size > 0) { /* its line is shown already */
		bool ends = piece.data[0] == '\n';

		l->cut = false;
		piece = BYTES(piece.data + ends, piece.size - ends);
	}
	while (piece.size > 0) {
		const uint8_t *newline = memchr(piece.data, '\n', piece.size);
		size_t size = newline != NULL ? (size_t)(newline - piece.data) : piece.size;

		if (size > LINE_BYTES_MAX - l->line.size) {
			size = LINE_BYTES_MAX - l->line.size;
			newline = NULL;
		}
		buf_append(&l->line, piece.data, size);
		if (newline != NULL || l->line.size == LINE_BYTES_MAX)
			end_line(l);
		piece = BYTES(piece.data + size + (newline != NULL), piece.size - size - (newline != NULL));
		l->cut = piece.size == 0 && newline == NULL && l->line.size == 0;
	}
	return ferror(l->stream) ? -1 : 0;
}

void lines_end(struct lines *l)
{
	if (l->line.size > 0)
		end_line(l);
	l->cut = false;
}

void lines_remark(const struct lines *l, const char *text)
{
	struct buf out = {0};

	terminal_style(l->terminal, &out, STYLE_DIM, bytes_of(l->prefix));
	terminal_style(l->terminal, &out, STYLE_DIM, bytes_of(text));
	buf_append(&out, "\n", 1);
	fwrite(out.data, 1, out.size, l->stream);
	buf_fini(&out);
}

void lines_fini(struct lines *l)
{
	buf_fini(&l->line);
}
