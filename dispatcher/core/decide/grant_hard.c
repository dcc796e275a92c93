/* Shards that are leased by themselves: those that took workers with them, or met trouble on each, run alone
 * on one, so that it is known who caused it; those that ran out of memory get more. Few, and looked at only
 * when something changed for them. */
#include "dispatcher/core/volatile/resource_names.h"
#include "dispatcher/core/decide/grant.h"
#include "dispatcher/core/volatile/limits.h"
#include "dispatcher/core/volatile/runnable.h"
#include "dispatcher/core/volatile/sessions.h"
#include "dispatcher/core/volatile/shared.h"
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/volatile/trouble.h"

#define HARD_JOBS_PER_STEP 64

static bool is_alone(struct traits traits)
{
	return traits.crashes >= ALONE_CRASHES;
}

/* The first shard of the job that is hard, and is to be alone on a worker or not. */
static struct candidate first_hard(const struct dispatcher_core *core, const struct run *run, bool alone)
{
	struct candidate c = {0};

	for (uint32_t i = 0; i < run->special_count; i++)
		if (runnable_is_hard(run->special[i].shards, run->special[i].traits) &&
		    is_alone(run->special[i].traits) == alone) {
			c = (struct candidate){.shards = run->special[i].shards,
					       .traits = run->special[i].traits};
			c.shards.count = 1;
			return c;
		}
	if (alone && trouble_next_returned(run, true, &c.shards)) {
		c.shards.count = 1;
		return c;
	}
	for (uint32_t i = 0; i < run->delayed_count && run->delayed[i].due_wall_us <= steady_us(core); i++)
		if (run->delayed[i].traits.doublings > 0 && is_alone(run->delayed[i].traits) == alone) {
			shard_set_next_range(&run->delayed[i].shards, 0, &c.shards);
			c.traits = run->delayed[i].traits;
			c.shards.count = 1;
			return c;
		}
	return c;
}

static bool could_fit(const struct session *s, const struct shape *shape, const struct amounts *need)
{
	struct amounts nothing = {{0}};

	return session_takes_leases(s) && session_knows(s, shape) && amounts_fit(&nothing, need, &s->offered);
}

/* As much more memory as some worker has at all. */
static uint8_t possible_doublings(const struct dispatcher_core *core, const struct shape *shape,
				  uint8_t wanted)
{
	for (uint8_t n = wanted; n > 0; n--) {
		struct amounts need = amounts_doubled(&shape->need, n);

		for (const struct session *s = core->sessions; s != NULL; s = s->hh.next)
			if (could_fit(s, shape, &need))
				return n;
	}
	return 0;
}

/* For a shard that is not alone, a busy worker will do: those that have work ahead never have a free slot at
 * the moment that one looks. */
static struct session *find_session(struct dispatcher_core *core, const struct shape *shape,
				    const struct amounts *need, bool alone)
{
	struct session *least = NULL, *reserved = NULL, *soonest = NULL;

	for (struct session *s = core->sessions; s != NULL; s = s->hh.next) {
		if (!could_fit(s, shape, need) || s->alone)
			continue;
		if (!alone && !s->reserved && amounts_fit(&s->used, need, &s->offered))
			return s;
		if (alone && s->worker->lease_count == 0)
			return s;
		if (!alone && !s->reserved && session_may_hold_more(core, s) &&
		    (soonest == NULL || s->worker->load_ns < soonest->worker->load_ns))
			soonest = s;
		if (s->reserved)
			reserved = s;
		if (least == NULL || s->worker->leased_shards < least->worker->leased_shards)
			least = s;
	}
	/* None is empty: one gets nothing new until it is. */
	if (alone && reserved == NULL && least != NULL)
		least->reserved = core->set_apart = true;
	return soonest;
}

static bool grant_one(struct dispatcher_core *core, uint64_t job, bool alone)
{
	struct job_row *row = job_get_live(core, job);
	struct candidate c = first_hard(core, row->run, alone);
	struct shape *shape = job_shape(core, row);
	struct amounts need;
	struct grant_round g;
	struct session *s;

	if (!(row->live_flags & JOB_HARD) || limits_room(core, row) == 0) /* no more of it may run now */
		return false;
	if (c.shards.count == 0 || shared_room(core, shape) == 0)
		return false;
	c.traits.doublings = possible_doublings(core, shape, c.traits.doublings);
	need = amounts_doubled(&shape->need, c.traits.doublings);
	s = find_session(core, shape, &need, alone);
	if (s == NULL)
		return false;
	grant_open(core, &g, s);
	grant_add(&g, job, row, c, NULL);
	grant_close(&g);
	s->alone = alone;
	s->reserved = false;
	core->set_apart = core->set_apart || alone;
	return true;
}

static bool somebody_waits_alone(const struct dispatcher_core *core)
{
	for (uint32_t i = 0; i < core->hard_count; i++)
		if (first_hard(core, job_get_live(core, core->hard[i])->run, true).shards.count > 0)
			return true;
	return false;
}

/* A worker is alone as long as it holds what it was left alone for; reserved while somebody waits. */
static void release_sessions(struct dispatcher_core *core)
{
	bool waits = core->set_apart && somebody_waits_alone(core);

	core->set_apart = false;
	for (struct session *s = core->sessions; s != NULL; s = s->hh.next) {
		bool was = s->alone || s->reserved;

		if (s->alone && s->worker->lease_count == 0)
			s->alone = false;
		if (s->reserved && (!waits || !session_takes_leases(s)))
			s->reserved = false;
		if (was && !s->alone && !s->reserved)
			session_is_hungry(core, s);
		core->set_apart = core->set_apart || s->alone || s->reserved;
	}
}

void grant_hard(struct dispatcher_core *core)
{
	if (!core->hard_dirty || (core->hard_count == 0 && !core->set_apart))
		return;
	core->hard_dirty = false;
	release_sessions(core);
	for (uint32_t i = 0, looked = 0; i < core->hard_count && looked < HARD_JOBS_PER_STEP; looked++) {
		uint64_t job = core->hard[i];

		/* Those that wait for an empty worker first: the others may not have one that is kept for
		 * them. */
		while (grant_one(core, job, true) || grant_one(core, job, false))
			;
		if (i < core->hard_count && core->hard[i] == job)
			i++;
	}
	core->hard_dirty = false;
}
