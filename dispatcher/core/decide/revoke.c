/* When a worker has nothing to do and nothing is pending, a lease's tail is asked back from a worker that
 * has much left. REVOKE is a request: what comes back comes in a report. */
#include "dispatcher/core/volatile/resource_names.h"
#include "dispatcher/core/volatile/estimate.h"
#include "dispatcher/core/volatile/sessions.h"
#include "dispatcher/core/volatile/shared.h"
#include "dispatcher/core/decide/steps.h"

#define STEALS_PER_STEP 16
#define STEAL_AGAIN_US USEC_PER_SEC /* the same lease */

struct steal {
	struct lease_entry *lease;
	uint32_t keep_end;
	uint64_t left_us; /* of work in the part that is asked back */
};

static bool is_idle(const struct session *s)
{
	return session_takes_leases(s) && !s->alone && !s->reserved &&
	       (s->worker->lease_count == 0 || s->slot_idle);
}

static uint32_t count_idle(const struct dispatcher_core *core)
{
	uint32_t n = 0;

	/* Whoever could take more is hungry: nothing is runnable, so nobody was found to be full. */
	for (const struct session *s = core->hungry; s != NULL && n < STEALS_PER_STEP; s = s->list_next)
		n += is_idle(s);
	return n;
}

/* Half of what a lease holds; all of it when it is short and only waits behind another. */
static struct steal steal_of(const struct dispatcher_core *core, struct lease_entry *lease)
{
	const struct session *s = lease->worker->session;
	const struct job_row *row = job_get(core, lease->job);
	struct steal steal = {.lease = lease};
	struct range last = {0};
	uint32_t count = shard_set_count(&lease->held), first = 0;
	uint64_t ns = estimate_shard_ns(core, row);

	if (ns == 0)
		ns = 1000ull * core->config.default_shard_us;
	/* What is given back would wait for the job's rate once more. */
	if (s == NULL || (row->flags & (JOB_PAUSED | JOB_RATED)) ||
	    (lease->revoked_us != 0 && core->mono_us - lease->revoked_us < STEAL_AGAIN_US))
		return steal;
	shard_set_peek_first(&lease->held, &first);
	if (count >= 2) {
		shard_set_next_range(&lease->held, (uint64_t)first + count / 2, &last);
		steal.keep_end = last.first > first ? last.first : first + 1;
		steal.left_us = count / 2 * ns / 1000;
	} else if (!amounts_fit(&(struct amounts){{0}}, &s->used, &s->offered) &&
		   lease == s->worker->leases->worker_prev && lease->traits.crashes < ALONE_CRASHES) {
		/* It holds more than it can run: its newest lease has not begun. */
		steal.keep_end = first;
		steal.left_us = ns / 1000;
	}
	return steal;
}

/* The best first; ties to the older lease. */
static uint32_t find_steals(struct dispatcher_core *core, struct steal best[], uint32_t max)
{
	struct lease_entry *lease, *next;
	uint32_t n = 0;

	HASH_ITER (hh, core->d.leases, lease, next) {
		struct steal steal = steal_of(core, lease);
		uint32_t at = n;

		if (steal.left_us < (uint64_t)core->config.steal_above_us || steal.left_us == 0)
			continue;
		while (at > 0 && best[at - 1].left_us < steal.left_us)
			at--;
		if (at == max)
			continue;
		if (n < max)
			n++;
		for (uint32_t i = n - 1; i > at; i--)
			best[i] = best[i - 1];
		best[at] = steal;
	}
	return n;
}

static void revoke(struct dispatcher_core *core, const struct steal *steal)
{
	struct session *s = steal->lease->worker->session;

	if (s->revoke == NULL) {
		s->revoke = step_alloc(core, sizeof *s->revoke);
		s->revoke->session = s->id;
		s->revoke->leases.items = step_alloc(core, STEALS_PER_STEP * sizeof(struct revoked));
		effect_send(core, s->peer, MESSAGE_REVOKE, s->revoke, 0);
	}
	s->revoke->leases.items[s->revoke->leases.count++] =
	    (struct revoked){steal->lease->token, steal->keep_end};
	steal->lease->revoked_us = core->mono_us > 0 ? core->mono_us : 1;
}

void step_steal(struct dispatcher_core *core)
{
	struct steal steals[STEALS_PER_STEP];
	uint32_t idle, n;

	if (core->d.leases == NULL || core->hard_count > 0 ||
	    (core->turns.queues.count > 0 && !shared_blocks_all(core))) {
		core->steal_us = USEC_NEVER;
		return;
	}
	if (core->mono_us < core->steal_look_us) { /* looking costs O(sessions + leases): not in each step */
		core->steal_us = core->steal_look_us;
		return;
	}
	core->steal_look_us = core->mono_us + core->config.steal_wait_us;
	core->steal_us = USEC_NEVER;
	idle = count_idle(core);
	if (idle == 0)
		return;
	n = find_steals(core, steals, idle);
	for (uint32_t i = 0; i < n; i++)
		revoke(core, &steals[i]);
	for (uint32_t i = 0; i < n; i++)
		steals[i].lease->worker->session->revoke = NULL;
	/* Nothing worth it: look again, but not as often. */
	core->steal_look_us = core->mono_us + core->config.steal_wait_us * (n > 0 ? 1 : 10);
	core->steal_us = core->steal_look_us;
}
