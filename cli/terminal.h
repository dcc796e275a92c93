/* What stands behind a stream: a terminal with a width and colours, or a pipe. */
#pragma once

#include <stdio.h>

#include "base/buf.h"
#include "base/types.h"

struct terminal {
	bool is_terminal; /* also false for TERM=dumb: nothing is drawn over */
	bool colour;	  /* NO_COLOR (https://no-color.org) is not set */
	bool utf8;
	unsigned width; /* columns; 0: no bound */
};

enum style {
	STYLE_NONE,
	STYLE_GOOD,
	STYLE_BAD,
	STYLE_WARN,
	STYLE_DIM,
	STYLE_BOLD,
};

/* Asks the system. setlocale(LC_CTYPE, "") comes before. */
struct terminal terminal_of(FILE *stream);
/* Appends text in that style, plain where there are no colours. */
void terminal_style(const struct terminal *t, struct buf *out, enum style style, struct bytes text);
/* The style in which a job's word or state, or a worker's state, is shown. */
enum style style_of_word(const char *word);
