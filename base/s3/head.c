#include <stdio.h>

#include "base/s3/request.h"

static int nothing(void *arg, struct bytes piece)
{
	(void)arg;
	(void)piece;
	return -1;
}

/* An answer to HEAD has no body to say why; one to GET has. */
static int explain(struct s3_client *c, const struct s3_name *name, struct s3_cancel cancel,
		   struct s3_problem *problem)
{
	const struct s3_request rq = {.method = "GET",
				      .name = name,
				      .ranged = true,
				      .first = 0,
				      .last = 0,
				      .take = nothing,
				      .cancel = cancel};
	struct s3_problem why = {0};
	struct s3_answer answer;
	int rc = s3_exchange(c, &rq, &answer, &why, NULL);

	s3_answer_fini(&answer);
	if (rc == 0 && why.fault != S3_FINE && why.code[0] != '\0')
		*problem = why;
	return rc;
}

int s3_head(struct s3_client *c, const struct s3_name *name, struct s3_cancel cancel, struct s3_head *ret,
	    struct error *reterr)
{
	const struct s3_request rq = {.method = "HEAD", .name = name, .cancel = cancel};
	struct s3_patience patience = {0};
	struct s3_problem problem = {0};
	struct s3_answer answer;

	for (;;) {
		int rc = s3_exchange(c, &rq, &answer, &problem, reterr);

		s3_answer_fini(&answer);
		if (rc < 0)
			return rc;
		if (problem.fault == S3_FINE)
			break;
		if (s3_patience_wait(c, &patience, &problem, answer.retry_after_us, &cancel)) {
			if (cancel.cancelled != NULL && cancel.cancelled(cancel.arg))
				return s3_cancelled(reterr);
			continue;
		}
		if (problem.status != 0)
			(void)explain(c, name, cancel, &problem);
		return s3_failed(&problem, "look at", name, reterr);
	}
	if (!answer.has_length) { /* to take it for empty would lose all of it */
		problem = (struct s3_problem){.fault = S3_REFUSED, .status = answer.status};
		snprintf(problem.message, sizeof problem.message, "it does not tell the object's size");
		return s3_failed(&problem, "look at", name, reterr);
	}
	ret->size_bytes = answer.length;
	snprintf(ret->etag, sizeof ret->etag, "%s", answer.etag);
	return 0;
}
