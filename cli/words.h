/* A command written as one text, cut into its words. Pure. */
#pragma once

#include "base/error.h"
#include "base/types.h"

struct words {
	char **items; /* argv; ends with NULL */
	size_t count;
};

/* Words are parted by blanks; '…', "…" and a backslash work as in a shell, and nothing else does: no
 * shell is run. ERR_INVALID: a quote that is not closed, what only a shell could do (| > < ; & $ `
 * outside of single quotes), no word at all. On success words_fini is due. */
int words_split(const char *text, struct words *ret, struct error *reterr) MUST_CHECK;
void words_fini(struct words *w);
