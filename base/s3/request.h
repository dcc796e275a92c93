/* One signed request and its answer; what the calls of s3.h are made of. */
#pragma once

#include "base/s3/credentials.h"
#include "base/s3/s3.h"

#define S3_ANSWER_BYTES_MAX ((size_t)16 << 20) /* of XML: 1,000 entries with long keys */

struct s3_answer {
	unsigned status; /* 0: none came */
	char etag[S3_ETAG_BYTES_MAX];
	uint64_t length;
	bool has_length;
	bool has_range; /* Content-Range; its total may be 0: not told */
	uint64_t range_first, range_total;
	usec_t retry_after_us;
	char region[40];
	struct buf body; /* unless `take` got it */
};

struct s3_request {
	const char *method;
	const struct s3_name *name;
	const struct s3_query *query; /* sorted */
	size_t query_count;
	const struct s3_put *body; /* what is sent: its bytes or file; NULL = nothing */
	bool ranged;
	uint64_t first, last; /* bytes asked for, both included */
	const char *etag;     /* If-Match; "" or NULL = none */
	/* Both may be NULL. Of a 2xx: begin is called once, before the first byte; anything but 0 from either
	 * ends the exchange. */
	int (*begin)(void *arg, const struct s3_answer *answer);
	int (*take)(void *arg, struct bytes piece);
	void *arg;
	struct s3_cancel cancel;
};

/* One try. 0, and what came of it in *ret_problem (S3_FINE when it was answered with 2xx) and *ret_answer;
 * ERR_CLOSED: begin, take or cancel ended it; else there are no credentials. s3_answer_fini is due always. */
int s3_exchange(struct s3_client *c, const struct s3_request *rq, struct s3_answer *ret_answer,
		struct s3_problem *ret_problem, struct error *reterr) MUST_CHECK;
void s3_answer_fini(struct s3_answer *a);

/* How long somebody has tried in vain. */
struct s3_patience {
	unsigned tries;
	usec_t since_us; /* mono; of the first failure in a row */
};
/* After a failure: waits and returns true when another try is due; false when it makes no sense any more. */
bool s3_patience_wait(struct s3_client *c, struct s3_patience *p, const struct s3_problem *problem,
		      usec_t asked_us, const struct s3_cancel *cancel);
/* Tries until it is fine or nothing helps; then an error in words with this verb. */
int s3_request(struct s3_client *c, const struct s3_request *rq, const char *verb, struct s3_answer *ret,
	       struct error *reterr) MUST_CHECK;
/* The problem as an error that names the object. */
int s3_failed(const struct s3_problem *p, const char *verb, const struct s3_name *name, struct error *reterr);
int s3_cancelled(struct error *reterr);
