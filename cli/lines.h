/* Bytes that a shard has written, shown as lines behind its number as they come. */
#pragma once

#include "cli/terminal.h"

#define LINE_BYTES_MAX 65536u /* a longer one is shown in parts */

struct lines {
	FILE *stream;
	const struct terminal *terminal; /* of stream; borrowed */
	char prefix[96];
	struct buf line; /* begun, not shown yet */
	bool cut;	 /* what was shown last is a part that ended with its piece */
};

/* Shows what is complete. -1: stream takes no more. For client_request.take. */
int lines_take(void *arg, struct bytes piece);
/* There is no more of it: what was begun is a line. */
void lines_end(struct lines *l);
/* A line that no shard wrote, for people. */
void lines_remark(const struct lines *l, const char *text);
void lines_fini(struct lines *l);
