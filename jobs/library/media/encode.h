/* One part through ffmpeg. */
#pragma once

#include "jobs/library/media/original.h"
#include "jobs/library/media/part.h"

struct encoding {
	struct original *video;
	struct part part;
	struct ladder ladder;
	const char *preset; /* libx264's */
	const char *audio_bitrate;
};

/* ffmpeg writes NUT to stdout: a stream for each rendition of a video part, or the audio. *ret_exit: as it
 * ended; 128 and its signal. A negative error when it could not be started, or its video could not be read.
 */
int encode_run(const struct encoding *e, int *ret_exit, struct error *reterr) MUST_CHECK;
