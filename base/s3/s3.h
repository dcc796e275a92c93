/* Objects of an S3 server: read, looked at, written, listed. Requests are signed with AWS SigV4 (sign.h).
 *
 * A client is shared by all threads of a program: each call takes a connection of its own, which is kept for
 * the next. Calls block. They go on over lost connections, SlowDown and 5xx, waiting longer from try to try
 * (base/s3/fault.h), until nothing has come for patience_us; a call that gives up says what stood in its way.
 * Errors name the object and what to do; s3_error_is_final tells those that no other try can mend.
 *
 * A call with `cancelled` asks it at least once a second, and ends with ERR_CLOSED when it says true. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/s3/fault.h"
#include "base/s3/name.h"

#define S3_ETAG_BYTES_MAX 128u

enum s3_style {
	S3_STYLE_AUTO, /* path style when an endpoint is named, else the bucket is a part of the host */
	S3_STYLE_PATH,
	S3_STYLE_HOST,
};

/* NULL or "" is "not said"; then AWS's own variables and the profile's settings count. */
struct s3_options {
	const char *endpoint; /* else AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, endpoint_url; else AWS itself */
	const char *region;   /* else AWS_REGION, AWS_DEFAULT_REGION, region; else us-east-1 */
	const char *ca_file;  /* else AWS_CA_BUNDLE, ca_bundle; else the system's */
	enum s3_style style;
	usec_t patience_us; /* 0 = one try */
};

struct s3_client;

/* ERR_INVALID: the endpoint is no http(s)://host[:port]. Nothing is asked of anybody yet. */
int s3_client_create(const struct s3_options *options, struct s3_client **ret,
		     struct error *reterr) MUST_CHECK;
void s3_client_destroy(struct s3_client *c); /* NULL is fine; no call is in work */

struct s3_cancel {
	bool (*cancelled)(void *arg); /* NULL = never */
	void *arg;
};

/* Reading. size bytes from offset on, each once and in order, over as many connections as it takes. */
struct s3_get {
	const struct s3_name *name;
	const char *etag; /* pinned, without quotes; "" = that of the first answer */
	uint64_t offset, size;
	/* Gets the bytes, in pieces of at most 1 MiB; may block; anything but 0 ends the call (ERR_CLOSED).
	 */
	int (*take)(void *arg, struct bytes piece);
	void *arg;
	struct s3_cancel cancel;
};
int s3_get(struct s3_client *c, const struct s3_get *get, struct error *reterr) MUST_CHECK;

/* Looking. */
struct s3_head {
	uint64_t size_bytes;
	char etag[S3_ETAG_BYTES_MAX]; /* without quotes */
};
int s3_head(struct s3_client *c, const struct s3_name *name, struct s3_cancel cancel, struct s3_head *ret,
	    struct error *reterr) MUST_CHECK;

/* Writing: size bytes of a file from offset on, or bytes. The object is there whole, or as it was before. */
struct s3_put {
	const struct s3_name *name;
	struct bytes bytes;
	int fd; /* < 0: bytes; a regular file */
	uint64_t offset, size;
	const char *type;    /* NULL = application/octet-stream */
	uint64_t part_bytes; /* larger ones go in parts of this size (>= 5 MiB); 0 = 64 MiB */
	struct s3_cancel cancel;
};
#define S3_PART_BYTES_MIN (5 * MIB)
#define S3_PARTS_MAX 10000u
int s3_put(struct s3_client *c, const struct s3_put *put, struct error *reterr) MUST_CHECK;
/* One that is not there is fine. */
int s3_delete(struct s3_client *c, const struct s3_name *name, struct error *reterr) MUST_CHECK;

/* Listing: every key that begins with name->key, in the server's order. */
struct s3_entry {
	struct bytes key;
	uint64_t size_bytes;
	const char *etag; /* without quotes */
};
struct s3_list {
	const struct s3_name *name;
	int (*take)(void *arg, const struct s3_entry *entry); /* anything but 0 ends the call (ERR_CLOSED) */
	void *arg;
	struct s3_cancel cancel;
};
int s3_list(struct s3_client *c, const struct s3_list *list, struct error *reterr) MUST_CHECK;
