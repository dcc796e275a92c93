/* AWS Signature Version 4 for S3: the value of a request's Authorization header. Pure.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 *
 * We sign by ourselves because libcurl cannot on every version: 8.14 and later refuse their own signature
 * together with CURLOPT_PATH_AS_IS, without which a key like "a/../b" names another object. */
#pragma once

#include "base/buf.h"
#include "base/s3/credentials.h"
#include "base/types.h"

struct s3_header {
	const char *name;  /* as it is sent */
	const char *value; /* "": the header is left out */
};

struct s3_signing {
	const char *method;
	const char *url; /* of s3_url: path and query are signed as they stand there */
	const char *region;
	const char *time;	 /* that of x-amz-date */
	const char *body_sha256; /* that of x-amz-content-sha256 */
	/* All headers that are signed, sorted by name in lower case; among them host and every x-amz-… that
	 * is sent. */
	const struct s3_header *headers;
	size_t header_count;
};

/* Appends "AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…". */
void s3_sign(struct buf *out, const struct s3_signing *s, const struct s3_keys *keys);

#define S3_TIME_BYTES sizeof "20130524T000000Z"
void s3_signing_time(usec_t wall_us, char ret[S3_TIME_BYTES]);
/* Appends the Host header's value for a URL: without a port that is the scheme's own. */
void s3_signing_host(struct buf *out, const char *url);
