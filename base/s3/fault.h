/* What an S3 server's refusal means, and whether another try can help. Pure.
 * Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, and what Ceph sends. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/rng.h"

enum s3_fault {
	S3_FINE,
	S3_BROKEN,    /* no whole answer came: the connection */
	S3_BUSY,      /* 5xx, 429, SlowDown, RequestTimeout: asked to come again */
	S3_STALE_KEY, /* the session's credentials have expired: with new ones it may work */
	S3_NO_OBJECT,
	S3_NO_BUCKET,
	S3_NO_UPLOAD, /* a multipart upload that the server does not know */
	S3_DENIED,
	S3_BAD_KEY, /* the server does not know the access key, or the secret is another */
	S3_CLOCK,   /* our clock and the server's are too far apart */
	S3_REGION,  /* the bucket is elsewhere */
	S3_TRUST,   /* its certificate is not one that we trust */
	S3_CHANGED, /* If-Match: the object is another one now */
	S3_RANGE,   /* there are no such bytes */
	S3_LIBRARY, /* libcurl itself refuses the request: no server was asked */
	S3_REFUSED, /* any other 4xx, or an answer that makes no sense */
};

#define S3_CODE_BYTES_MAX 64u

struct s3_problem {
	enum s3_fault fault;
	unsigned status;	      /* 0 = no answer */
	char code[S3_CODE_BYTES_MAX]; /* the server's, e.g. NoSuchKey; "" = not said */
	char message[200];	      /* the server's, or libcurl's; may be "" */
	char region[40];	      /* of the bucket, when the server told it */
};

/* From an answer's status and body, which may be empty (HEAD). 2xx is S3_FINE. */
void s3_problem_read(unsigned status, struct bytes body, struct s3_problem *ret);
/* A retry, of the same request or with new credentials, can help. */
bool s3_fault_is_passing(enum s3_fault fault);
/* Fills reterr: what was asked for, of which url, what came, what to do. verb: "read", "write". Returns the
 * code: ERR_NOT_FOUND, ERR_DENIED, ERR_INVALID (changed, region, refused): final; ERR_BUSY, ERR_IO: not. */
int s3_problem_error(const struct s3_problem *p, const char *verb, struct bytes url, struct error *reterr);
/* Of a code that came from this folder: the same call will fail again, whoever makes it. */
bool s3_error_is_final(int code);

/* How long to wait before try `tries` + 1 (tries >= 1): uniform in [0, min(cap, base * 2^(tries-1))], but not
 * less than the server asked for. */
#define S3_RETRY_BASE_US (50 * USEC_PER_MSEC)
#define S3_RETRY_CAP_US (5 * USEC_PER_SEC)
usec_t s3_retry_wait_us(unsigned tries, usec_t asked_us, struct rng *rng);
