/* What an object is called: s3://bucket/key, and the URL that a server knows it by. Pure.
 *
 * Keys stand as they are everywhere but in a URL. There every byte but RFC 3986's unreserved ones and
 * the slashes between path segments is %XX with capital digits: the canonical form that SigV4 signs
 * (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html), so that
 * what is sent and what is signed are the same text. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/limits.h"

#define S3_BUCKET_BYTES_MAX 255u

struct s3_name {
	char bucket[S3_BUCKET_BYTES_MAX + 1];
	char key[KEY_BYTES_MAX + 1]; /* "" = the bucket itself */
};

/* Where objects are served. */
struct s3_place {
	const char *endpoint; /* "https://host[:port]", no slash at its end; "" = AWS's own of the region */
	const char *region;
	bool path_style; /* the bucket is the first segment of the path, not a part of the host's name */
};

/* One parameter of a query. */
struct s3_query {
	const char *name;
	struct bytes value;
};

/* s3://bucket/key. ERR_INVALID, ERR_LIMIT in words that name the url. */
int s3_name_parse(struct bytes url, struct s3_name *ret, struct error *reterr) MUST_CHECK;
/* A bucket's name that can stand in a host's name and a path. */
bool s3_bucket_is_fine(struct bytes bucket);

/* Appends text with what is not unreserved as %XX; slashes stay when keep_slash. */
void s3_encode(struct buf *out, struct bytes text, bool keep_slash);
/* Appends the whole URL. The query must be sorted by name; a value that is empty is written "name=". */
void s3_url(struct buf *out, const struct s3_place *place, const struct s3_name *name,
	    const struct s3_query *query, size_t count);
/* Takes the quotes off an ETag header's value; what is too long for size gives "". */
void s3_etag_bare(struct bytes header, char *ret, size_t size);
