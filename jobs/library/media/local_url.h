/* An object of an S3 server under a URL of this machine, for programs that read http and seek in it: ffmpeg.
 *
 * Served on loopback, on a port and under a path that nobody can guess, to whoever asks there, until it is
 * closed. Ranges are read from the server as they are asked for, a window at a time; the object's ETag is
 * pinned. Settings and credentials come from AWS's usual variables and files (base/s3/s3.h). */
#pragma once

#include "base/error.h"

struct local_url;

/* ERR_NOT_FOUND, ERR_DENIED, … in words that name the object. */
int local_url_open(const char *s3_url, struct local_url **ret, struct error *reterr) MUST_CHECK;
void local_url_close(struct local_url *u); /* NULL is fine */
const char *local_url_text(const struct local_url *u);
/* Why a reader was cut off: the first error that the server met; 0 when there was none. */
int local_url_failed(struct local_url *u, struct error *reterr);
