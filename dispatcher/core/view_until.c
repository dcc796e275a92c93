#include "dispatcher/core/view_until.h"

#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/durable/shards.h"
#include "dispatcher/core/volatile/estimate.h"

/* Of the lease's shard in work; false: nobody knows. */
static bool shard_until(const struct dispatcher_core *core, const struct lease_entry *lease,
			struct view_until *ret)
{
	const struct job_row *row = job_get_live(core, lease->job);
	usec_t ran = core->mono_us - lease->since_us;
	uint64_t least, most;

	if (row == NULL || row->phase != lease->phase || lease->shape == NULL ||
	    !estimate_shard_span(core, row, &least, &most))
		return false;
	least /= 1000;
	most /= 1000;
	*ret = (struct view_until){.known = true,
				   .late = (uint64_t)ran >= most,
				   .least_us = least > (uint64_t)ran ? (usec_t)least - ran : 0,
				   .most_us = most > (uint64_t)ran ? (usec_t)most - ran : 0};
	return true;
}

void until_lease(const struct dispatcher_core *core, const struct lease_entry *lease, struct view_until *ret)
{
	struct view_until u;

	if (!shard_until(core, lease, &u))
		return;
	if (!ret->known) {
		*ret = u;
		return;
	}
	ret->least_us = u.least_us < ret->least_us ? u.least_us : ret->least_us;
	if (!u.late && (ret->late || u.most_us < ret->most_us))
		ret->most_us = u.most_us; /* of those that are late, nobody knows */
	ret->late = ret->late && u.late;
}

void until_job(const struct dispatcher_core *core, uint64_t job, struct view_until *ret)
{
	const struct job_row *row = job_get_live(core, job);
	struct view_until first = {0};
	uint64_t least, most, rounds, running, done, dead;

	*ret = (struct view_until){0};
	if (row == NULL || row->run == NULL || row->run->leases == NULL ||
	    !estimate_shard_span(core, row, &least, &most))
		return;
	until_lease(core, row->run->leases, &first);
	if (!first.known)
		return;
	running = 0;
	for (const struct lease_entry *l = row->run->leases; l != NULL; l = l->job_next)
		running++; /* a lease's shards follow one another */
	done = shard_set_count(&row->run->done);
	dead = shards_dead_count(row->run);
	rounds = (row->shard_count - done - dead + running - 1) / running;
	if (rounds > 1 && most / 1000 > (uint64_t)USEC_PER_SEC * 86400 * 3650 / rounds)
		return;
	rounds -= rounds > 0;
	*ret = first;
	ret->late = first.late && rounds == 0;
	ret->least_us += (usec_t)(rounds * (least / 1000));
	ret->most_us += (usec_t)(rounds * (most / 1000));
}
