#include "cli/words.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"

#define BLANKS " \t\n"

static int refuse(const char *text, const char *at, const char *what, struct error *reterr)
{
	error_set(reterr, ERR_INVALID, "%s at byte %zu of %.200s", what, (size_t)(at - text) + 1, text);
	error_help(reterr, "a shell is only run when you write one: sh -c '…'");
	return ERR_INVALID;
}

static void add_word(struct words *w, struct buf *word)
{
	w->items = check_realloc(w->items, w->count + 2, sizeof(*w->items));
	w->items[w->count] = strdup(buf_text(word));
	CHECK(w->items[w->count] != NULL);
	w->items[++w->count] = NULL;
	buf_clear(word);
}

/* *at stands on the opening quote; moves behind the closing one. */
static int take_quoted(const char *text, const char **at, struct buf *word, struct error *reterr)
{
	const char *open = *at, *p = open + 1;
	char quote = *open;

	for (; *p != quote; p++) {
		if (*p == '\0')
			return refuse(text, open, "a quote is not closed", reterr);
		if (quote == '"' && (*p == '$' || *p == '`'))
			return refuse(text, p, "only a shell expands this", reterr);
		if (quote == '"' && *p == '\\' && p[1] != '\0' && strchr("\"\\$`", p[1]) != NULL)
			p++;
		buf_append(word, p, 1);
	}
	*at = p + 1;
	return 0;
}

/* One word; *at stands on its first byte, and moves behind its last. */
static int take_word(const char *text, const char **at, struct buf *word, struct error *reterr)
{
	int r = 0;

	while (r == 0 && **at != '\0' && strchr(BLANKS, **at) == NULL) {
		if (**at == '\'' || **at == '"') {
			r = take_quoted(text, at, word, reterr);
			continue;
		}
		if (strchr("|<>;&$`", **at) != NULL)
			return refuse(text, *at, "this takes a shell", reterr);
		if (**at == '\\') {
			(*at)++;
			if (**at == '\0')
				return refuse(text, *at - 1, "a backslash has nothing behind it", reterr);
		}
		buf_append(word, (*at)++, 1);
	}
	return r;
}

int words_split(const char *text, struct words *ret, struct error *reterr)
{
	struct words w = {0};
	struct buf word = {0};
	const char *at = text + strspn(text, BLANKS);
	int r = 0;

	while (r == 0 && *at != '\0') {
		r = take_word(text, &at, &word, reterr);
		if (r == 0)
			add_word(&w, &word);
		at += strspn(at, BLANKS);
	}
	if (r == 0 && w.count == 0)
		r = error_set(reterr, ERR_INVALID, "expected a command, found no word");
	buf_fini(&word);
	if (r == 0)
		*ret = w;
	else
		words_fini(&w);
	return r;
}

void words_fini(struct words *w)
{
	for (size_t i = 0; i < w->count; i++)
		free(w->items[i]);
	free(w->items);
	*w = (struct words){0};
}
