#include "cli/terminal.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static unsigned width_of(int fd)
{
	struct winsize size;

	if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
		return 80;
	return size.ws_col;
}

struct terminal terminal_of(FILE *stream)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	struct terminal t = {.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0};
	int fd = fileno(stream);

	if (fd < 0 || !isatty(fd))
		return t;
	t.width = width_of(fd);
	t.is_terminal = term != NULL && strcmp(term, "dumb") != 0;
	t.colour = t.is_terminal && (no_color == NULL || no_color[0] == '\0');
	return t;
}

void terminal_style(const struct terminal *t, struct buf *out, enum style style, struct bytes text)
{
	static const char *const codes[] = {
	    [STYLE_NONE] = "",	 [STYLE_GOOD] = "32", [STYLE_BAD] = "31",
	    [STYLE_WARN] = "33", [STYLE_DIM] = "2",   [STYLE_BOLD] = "1",
	};
	bool coloured = t->colour && style != STYLE_NONE && text.size > 0;

	if (coloured)
		buf_printf(out, "\033[%sm", codes[style]);
	buf_append_bytes(out, text);
	if (coloured)
		buf_printf(out, "\033[0m");
}

enum style style_of_word(const char *word)
{
	static const struct {
		const char *word;
		enum style style;
	} styles[] = {
	    {"succeeded", STYLE_GOOD},	{"running", STYLE_BOLD},   {"gathering", STYLE_BOLD},
	    {"failed", STYLE_BAD},	{"cancelled", STYLE_WARN}, {"paused", STYLE_WARN},
	    {"quarantined", STYLE_BAD}, {"draining", STYLE_WARN},  {"resting", STYLE_BAD},
	    {"busy", STYLE_BOLD},	{"leased", STYLE_BOLD},	   {"dead", STYLE_BAD},
	    {"delayed", STYLE_WARN},	{"done", STYLE_GOOD},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(styles); i++)
		if (strcmp(styles[i].word, word) == 0)
			return styles[i].style;
	return STYLE_NONE;
}
