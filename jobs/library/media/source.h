/* Where encoded parts lie: stretches of files, one a part, in order. */
#pragma once

#include <libavformat/avformat.h>

#include "base/error.h"

struct stretch {
	char *path;
	int64_t offset, length;
};

struct stretches {
	struct stretch *items;
	size_t count, capacity;
};

void stretches_add(struct stretches *s, const char *path, int64_t offset, int64_t length);
void stretches_fini(struct stretches *s);
/* Reads a gather's manifest: JSON lines with path, offset and length. */
int stretches_read(struct stretches *s, const char *manifest, struct error *reterr) MUST_CHECK;

/* A part, open for demuxing. */
struct source {
	AVFormatContext *in;
	AVIOContext *io;
	int fd;
	int64_t first, at, end;
};

int source_open(struct source *s, const struct stretch *from, struct error *reterr) MUST_CHECK;
void source_close(struct source *s); /* accepts one that is all zero */
