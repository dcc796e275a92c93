/* Where a video can be cut. */
#pragma once

#include "jobs/library/media/original.h"
#include "jobs/library/media/part.h"

/* One line a part: video from key frame to key frame, each at least `seconds` long but the last, then the
 * audio, if there is any. ERR_NOT_FOUND, ERR_IO (it cannot be read), ERR_INVALID (no video), ERR_CORRUPT
 * (no key frame, no times). */
int plan_parts(struct original *video, double seconds, struct buf *out, struct error *reterr) MUST_CHECK;
