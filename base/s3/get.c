/* A range of an object, over as many connections as it takes. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/s3/request.h"

#define PIECE_BYTES_MAX ((size_t)1 << 20)

struct reading {
	const struct s3_get *get;
	uint64_t done;
	char etag[S3_ETAG_BYTES_MAX];
	struct s3_problem refused; /* by begin: what came is not what was asked for */
	bool moved;		   /* this connection brought something */
	bool stopped;		   /* by take */
};

static int refuse(struct reading *r, enum s3_fault fault, unsigned status, const char *message)
{
	r->refused = (struct s3_problem){.fault = fault, .status = status};
	snprintf(r->refused.message, sizeof r->refused.message, "%s", message);
	return -1;
}

static int begin(void *arg, const struct s3_answer *a)
{
	struct reading *r = arg;
	uint64_t from = r->get->offset + r->done;

	/* A server that knows no If-Match answers with the new object. */
	if (a->etag[0] == '\0' && (r->etag[0] != '\0' || r->done > 0))
		return refuse(r, S3_REFUSED, a->status,
			      "it sends no ETag that could tell whether the object is the same");
	if (r->etag[0] != '\0' && strcmp(r->etag, a->etag) != 0)
		return refuse(r, S3_CHANGED, 0, "its ETag is another one");
	if (a->status == 206 && (!a->has_range || a->range_first != from))
		return refuse(r, S3_REFUSED, a->status, "it sends other bytes than those asked for");
	if (a->range_total > 0 && a->range_total < r->get->offset + r->get->size)
		return refuse(r, S3_RANGE, a->status, "");
	if (a->status != 206 && from != 0)
		return refuse(r, S3_REFUSED, a->status, "it does not serve ranges");
	if (r->etag[0] == '\0')
		snprintf(r->etag, sizeof r->etag, "%s", a->etag);
	return 0;
}

static int take(void *arg, struct bytes piece)
{
	struct reading *r = arg;
	uint64_t left = r->get->size - r->done;

	if (piece.size > left)
		piece.size = (size_t)left;
	while (piece.size > 0) {
		size_t size = piece.size < PIECE_BYTES_MAX ? piece.size : PIECE_BYTES_MAX;

		if (r->get->take(r->get->arg, BYTES(piece.data, size)) != 0) {
			r->stopped = true;
			return -1;
		}
		r->done += size;
		r->moved = true;
		piece = BYTES(piece.data + size, piece.size - size);
	}
	return r->done == r->get->size ? -1 : 0; /* no more is wanted */
}

/* Takes to the very last byte leave the connection whole. */
static int take_to_end(void *arg, struct bytes piece)
{
	struct reading *r = arg;
	bool exact = piece.size <= r->get->size - r->done;
	int rc = take(arg, piece);

	return exact && !r->stopped ? 0 : rc;
}

static int one_connection(struct s3_client *c, struct reading *r, struct s3_problem *problem,
			  usec_t *ret_asked, struct error *reterr)
{
	const struct s3_request rq = {
	    .method = "GET",
	    .name = r->get->name,
	    .ranged = true,
	    .first = r->get->offset + r->done,
	    .last = r->get->offset + r->get->size - 1,
	    .etag = r->etag,
	    .begin = begin,
	    .take = take_to_end,
	    .arg = r,
	    .cancel = r->get->cancel,
	};
	struct s3_answer answer;
	int rc;

	r->moved = false;
	rc = s3_exchange(c, &rq, &answer, problem, reterr);
	*ret_asked = answer.retry_after_us;
	s3_answer_fini(&answer);
	if (rc == ERR_CLOSED && r->refused.fault != S3_FINE) {
		*problem = r->refused;
		return 0;
	}
	if (rc == ERR_CLOSED && !r->stopped && r->done == r->get->size)
		return 0;
	/* An answer that ends early and says that it was whole. */
	if (rc == 0 && problem->fault == S3_FINE && r->done < r->get->size) {
		problem->fault = S3_BROKEN;
		snprintf(problem->message, sizeof problem->message,
			 "the answer ended %" PRIu64 " bytes early", r->get->size - r->done);
	}
	return rc;
}

int s3_get(struct s3_client *c, const struct s3_get *get, struct error *reterr)
{
	struct reading r = {.get = get};
	struct s3_patience patience = {0};

	snprintf(r.etag, sizeof r.etag, "%s", get->etag != NULL ? get->etag : "");
	while (r.done < get->size) {
		struct s3_problem problem = {0};
		usec_t asked = 0;
		int rc;

		if (get->cancel.cancelled != NULL && get->cancel.cancelled(get->cancel.arg))
			return s3_cancelled(reterr);
		rc = one_connection(c, &r, &problem, &asked, reterr);
		if (rc < 0)
			return rc;
		if (r.done == get->size)
			break;
		if (r.moved)
			patience = (struct s3_patience){0};
		if (!s3_patience_wait(c, &patience, &problem, asked, &get->cancel)) {
			if (problem.fault == S3_NO_OBJECT && get->etag != NULL && get->etag[0] != '\0')
				snprintf(problem.message, sizeof problem.message,
					 "it was there when the job was planned");
			return s3_failed(&problem, "read", get->name, reterr);
		}
	}
	return 0;
}
