/* One part through ffmpeg. */
#pragma once

#include "jobs/library/media/part.h"

struct encoding {
	const char *path;
	struct part part;
	struct ladder ladder;
	const char *preset; /* libx264's */
	const char *audio_bitrate;
};

/* Becomes ffmpeg, which writes NUT to stdout: a stream for each rendition of a video part, or the audio.
 * Does not return unless it fails: ERR_NOT_FOUND, ERR_IO. */
int encode_exec(const struct encoding *e, struct error *reterr) MUST_CHECK;
