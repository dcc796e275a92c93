/* What is made of a video: parts that are encoded one by one, and the renditions of a ladder. */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

#define RENDITIONS_MAX 8

/* One rung: the picture's height, and libx264's constant rate factor. */
struct rendition {
	uint32_t height; /* pixels, even; the width keeps the shape */
	uint32_t crf;	 /* 0..51, less is better */
};

struct ladder {
	struct rendition items[RENDITIONS_MAX];
	uint32_t count;
};

/* "720:21,480:23,360:24". ERR_INVALID in words. */
int ladder_parse(const char *text, struct ladder *ret, struct error *reterr) MUST_CHECK;

/* A part: frames from one key frame up to another, or all of the audio. As one line of JSON it is an item
 * of the job, and so it comes back to `encode`. */
struct part {
	bool is_audio;
	uint32_t number; /* of a video part, from 0 */
	/* Presentation times in the stream's time base: frames in [start, end); end INT64_MAX: to the last.
	 */
	int64_t start, end;
	uint32_t frames;
	int time_base_num, time_base_den;
	double seek; /* seconds: reading from here, a decoder sees the part's first key frame or one before */
};

/* NUT knows no negative times, and AAC begins before 0: the encoder is primed. In parts audio is later by
 * this much, which is a whole number of samples at any rate. */
#define AUDIO_OFFSET_SECONDS 10

void part_write(const struct part *p, struct buf *out);
/* ERR_INVALID in words. */
int part_parse(const char *text, struct part *ret, struct error *reterr) MUST_CHECK;
