/* Encoded parts put together again, without encoding anything. */
#pragma once

#include "jobs/library/media/part.h"
#include "jobs/library/media/source.h"

struct stitched {
	uint32_t parts;
	uint64_t frames; /* of one rendition */
};

/* Writes one rendition as MP4: its stream of each video part, in order, and the audio. ERR_CORRUPT when parts
 * do not fit: frames that are missing, other settings, times that go back. */
int stitch_rendition(const struct stretches *parts, uint32_t rendition, const char *path,
		     struct stitched *ret, struct error *reterr) MUST_CHECK;
