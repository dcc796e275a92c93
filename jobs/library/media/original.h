/* The video that is cut: a file, or an object of an S3 server. */
#pragma once

#include "base/error.h"

struct local_url;

struct original {
	const char *name;	  /* for people: the URL, or the path that it names; borrowed */
	char *opened;		  /* what libavformat and ffmpeg open: "file:PATH" or an http URL; owned */
	struct local_url *served; /* an object, while it is open here */
};

/* A path, file:///path or s3://bucket/key, not percent-encoded. ERR_INVALID for any other URL. */
int original_open(const char *url, struct original *ret, struct error *reterr) MUST_CHECK;
void original_close(struct original *o); /* accepts one that is all zero */
/* An error of reading it gets its name; what went wrong with an object stands in the place of what
 * libavformat made of it. Returns the code; rc 0 is 0. */
int original_blame(struct original *o, int rc, struct error *reterr);
