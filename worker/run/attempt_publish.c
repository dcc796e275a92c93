/* The result of an attempt, put to where its definition says. */
#include <stdatomic.h>

#include "jobs/result.h"
#include "jobs/plan.h"
#include "worker/run/attempt.h"
#include "worker/io/publish.h"

/* Between two steps of a transfer: is the attempt given up? */
static bool is_given_up(void *arg)
{
	struct attempt *a = arg;

	slot_release_other(a->slot);
	if (atomic_load(&a->slot->stop[a->slot->turn]))
		a->stopped = true;
	return a->stopped;
}

static int put(struct attempt *a, struct buf *url, bool nothing)
{
	const struct slot_shared *shared = a->slot->shared;
	const struct stream *out = &a->slot->output.out;
	struct publication p = {
	    .url = buf_text(url),
	    .fd = nothing ? -1 : out->fd,
	    .size = nothing ? 0 : out->size,
	    .attempt = a->id,
	    .s3 = shared->s3,
	    .cancel = {is_given_up, a},
	};

	return publish(&p, &a->why);
}

int attempt_publish(struct attempt *a, bool nothing)
{
	const struct worker_arm *arm = &a->work->arm;
	const struct plan *plan = &arm->parameters->plan;
	struct template_values values = attempt_values(a);
	struct buf url = {0};
	int rc;

	if (arm->definition == NULL || !result_is_made(arm->definition, arm->run, plan))
		return 0;
	rc = result_url(arm->definition->output, &arm->definition->value_names, &values, plan_gathers(plan),
			a->shard, &url, &a->why);
	if (rc == 0)
		rc = put(a, &url, nothing);
	buf_fini(&url);
	return rc;
}
