/* What is wrong with a text that a person wrote, each with its place in it. Pure.
 *
 *   fastq.yaml:7:12: expected a duration like 90s or 1h30m, found "10x"
 *     timeout: 10x
 *              ^
 *     help: … */
#pragma once

#include "base/buf.h"
#include "base/error.h"

#define PROBLEMS_MAX 20 /* more are counted, not written */

/* A place: both from 1, the column in characters. line 0 = nowhere in particular. */
struct place {
	uint32_t line;
	uint32_t column;
};

struct problems {
	const char *file;  /* borrowed; what people call the text */
	struct bytes text; /* borrowed */
	struct buf report; /* all of them, as above */
	struct error first;
	struct place first_at;
	uint32_t count;
};

void problems_init(struct problems *p, const char *file, struct bytes text);
void problems_fini(struct problems *p);
/* Returns code. help may be NULL. */
int problems_add(struct problems *p, struct place at, enum error_code code, const char *help, const char *fmt,
		 ...) PRINTF_LIKE(5, 6);
/* e says what; at says where. */
int problems_add_error(struct problems *p, struct place at, const struct error *e);
/* The report, NUL-terminated. */
const char *problems_text(struct problems *p);
