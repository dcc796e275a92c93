#include "jobs/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define SHOWN_CHARS_MAX 100 /* of a source line */

void problems_init(struct problems *p, const char *file, struct bytes text)
{
	*p = (struct problems){.file = file, .text = text};
}

void problems_fini(struct problems *p)
{
	buf_fini(&p->report);
}

static struct bytes find_line(struct bytes text, uint32_t line)
{
	size_t first = 0, end;

	for (uint32_t at = 1; at < line; at++) {
		const uint8_t *newline =
		    first < text.size ? memchr(text.data + first, '\n', text.size - first) : NULL;

		if (newline == NULL)
			return BYTES(NULL, 0);
		first = (size_t)(newline - text.data) + 1;
	}
	for (end = first; end < text.size && text.data[end] != '\n'; end++)
		;
	if (end > first && text.data[end - 1] == '\r')
		end--;
	return BYTES(text.data + first, end - first);
}

/* The line, cut around the column when it is long, and a caret below the column. Tabs are repeated in
 * front of the caret, so that it stands right whatever their width; other controls become '?'. */
static void show_line(struct buf *out, struct bytes line, uint32_t column)
{
	uint32_t from = column > SHOWN_CHARS_MAX * 3 / 4 ? column - SHOWN_CHARS_MAX / 2 : 1;
	struct buf caret = {0};
	uint32_t at = 1;

	buf_append(out, "    ", 4);
	buf_append(&caret, "    ", 4);
	for (size_t i = 0; i < line.size && at < from + SHOWN_CHARS_MAX; at++) {
		uint32_t code = '?';
		size_t length = text_utf8_next(BYTES(line.data + i, line.size - i), &code);
		bool shown =
		    length > 0 && (code == '\t' || (code >= 0x20 && code < 0x7f) ||
				   (code >= 0xa0 && (code < 0x2000 || code > 0x206f) && code != 0xfeff));

		if (at >= from) {
			if (shown)
				buf_append(out, line.data + i, length);
			else
				buf_append(out, "?", 1);
			if (at < column)
				buf_append(&caret, code == '\t' ? "\t" : " ", 1);
		}
		i += length > 0 ? length : 1;
	}
	for (; at < column && at < from + SHOWN_CHARS_MAX; at++)
		buf_append(&caret, " ", 1);
	buf_append(out, "\n", 1);
	buf_append_bytes(out, buf_bytes(&caret));
	buf_append(out, "^\n", 2);
	buf_fini(&caret);
}

static int add(struct problems *p, struct place at, const struct error *e)
{
	struct error full = *e;

	if (at.line > 0)
		error_where(&full, "%s:%u:%u", p->file, at.line, at.column);
	else
		error_where(&full, "%s", p->file);
	if (p->count++ == 0) {
		p->first = full;
		p->first_at = at;
	}
	if (p->count > PROBLEMS_MAX)
		return full.code;
	buf_printf(&p->report, "%s: %s\n", full.where, full.what);
	if (at.line > 0)
		show_line(&p->report, find_line(p->text, at.line), at.column);
	if (full.help[0] != '\0')
		buf_printf(&p->report, "  help: %s\n", full.help);
	return full.code;
}

int problems_add(struct problems *p, struct place at, enum error_code code, const char *help, const char *fmt,
		 ...)
{
	struct error e = {.code = code};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(e.what, sizeof e.what, fmt, ap);
	va_end(ap);
	if (help != NULL)
		snprintf(e.help, sizeof e.help, "%s", help);
	return add(p, at, &e);
}

int problems_add_error(struct problems *p, struct place at, const struct error *e)
{
	return add(p, at, e);
}

const char *problems_text(struct problems *p)
{
	if (p->count > PROBLEMS_MAX) {
		buf_printf(&p->report, "… and %u more\n", p->count - PROBLEMS_MAX);
		p->count = PROBLEMS_MAX;
	}
	return buf_text(&p->report);
}
