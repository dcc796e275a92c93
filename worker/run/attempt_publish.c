/* The result of an attempt, put to where its definition says. */
#include <stdatomic.h>

#include "base/log.h"
#include "jobs/result.h"
#include "jobs/plan.h"
#include "worker/run/attempt.h"
#include "worker/io/publish.h"

/* Between two steps of a transfer: is the attempt given up? */
static bool is_given_up(void *arg)
{
	struct attempt *a = arg;

	slot_release_emptied(a->slot);
	if (atomic_load(&a->slot->stop[a->slot->turn]))
		a->stopped = true;
	return a->stopped;
}

/* out: the stream; NULL: nothing. */
static int put(struct attempt *a, struct buf *url, const struct stream *out)
{
	const struct slot_shared *shared = a->slot->shared;
	struct publication p = {
	    .url = buf_text(url),
	    .fd = out == NULL ? -1 : out->fd,
	    .size = out == NULL ? 0 : out->size,
	    .attempt = a->id,
	    .s3 = shared->s3,
	    .cancel = {is_given_up, a},
	};

	return publish(&p, &a->why);
}

static int publish_result(struct attempt *a, const struct stream *out)
{
	const struct worker_arm *arm = &a->work->arm;
	const struct plan *plan = &arm->parameters->plan;
	struct template_values values = attempt_values(a);
	struct buf url = {0};
	int rc = result_url(arm->definition->output, &arm->definition->value_names, &values,
			    plan_gathers(plan), a->shard, &url, &a->why);

	if (rc == 0)
		rc = put(a, &url, out);
	buf_fini(&url);
	return rc;
}

/* A file for what it has written to one of its streams. */
static int publish_stream(struct attempt *a, struct bytes place, const struct stream *from)
{
	struct template_values values = attempt_values(a);
	struct buf url = {0};
	int rc;

	if (place.size == 0)
		return 0;
	rc = result_stream_url(place, &a->work->arm.definition->value_names, &values, &url, &a->why);
	if (rc == 0)
		rc = put(a, &url, from);
	buf_fini(&url);
	return rc;
}

static int publish_streams(struct attempt *a, const struct result_streams *streams, bool nothing)
{
	const struct output *o = &a->slot->output;
	int rc = publish_stream(a, streams->out, nothing ? NULL : &o->out);

	return rc < 0 ? rc : publish_stream(a, streams->err, nothing ? NULL : &o->err);
}

int attempt_publish(struct attempt *a, bool nothing)
{
	const struct worker_arm *arm = &a->work->arm;
	struct result_streams streams;

	if (arm->definition == NULL || !result_is_made(arm->definition, arm->run, &arm->parameters->plan))
		return 0;
	if (result_streams_read(arm->definition->output, &streams))
		return publish_streams(a, &streams, nothing);
	return publish_result(a, nothing ? NULL : &a->slot->output.out);
}

void attempt_publish_failed(struct attempt *a)
{
	const struct worker_arm *arm = &a->work->arm;
	struct error why = a->why; /* of the failure, which counts */
	struct result_streams streams;

	if (arm->definition == NULL || !result_streams_read(arm->definition->output, &streams) ||
	    !result_is_made(arm->definition, arm->run, &arm->parameters->plan))
		return;
	if (publish_streams(a, &streams, false) < 0)
		log_warn("cannot write the files of an attempt that has failed", log_text("attempt", a->id),
			 log_text("why", a->why.what));
	a->why = why;
}
