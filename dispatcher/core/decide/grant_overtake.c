/* Whoever ranks before what its own queue holds ahead takes that one's turn. Leases that are held ahead are
 * charged to their queue already, so that the queue's turn does not come for as long as they last; but the
 * worker lets the first by rank have the turn, whoever's it was (worker/core/line.c). A queue is looked at
 * from when somebody comes first into its line until nothing behind was found for a while. */
#include "dispatcher/core/decide/grant.h"

#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/volatile/sessions.h"
#include "dispatcher/core/volatile/turns.h"
#include "jobs/rank.h"

struct taker {
	const struct session *session;
};

static bool takes(const void *ctx, const struct shape *shape)
{
	const struct taker *t = ctx;
	static const struct amounts nothing;

	return !shape->is_shared && session_knows(t->session, shape) &&
	       amounts_fit(&nothing, &shape->need, &t->session->offered);
}

static bool holds_behind(const struct session *s, const struct queue *q, const struct rank *rank)
{
	const struct lease_entry *lease;

	DL_FOREACH2(s->worker->leases, lease, worker_next)
	if (lease->charge.key != NULL && lease->charge.key->queue == q &&
	    rank_compare_in_queue(rank, &lease->rank) < 0)
		return true;
	return false;
}

/* Of the queue, on this session. */
static void overtake(struct grant_round *g, struct queue *q)
{
	struct dispatcher_core *core = g->core;
	const struct session *s = g->session;

	for (;;) {
		const struct turn_entry *e = turns_next_of(q, takes, &(struct taker){s});
		struct rank rank;

		if (e == NULL)
			return;
		rank = turns_rank(core, e);
		if (!holds_behind(s, q, &rank))
			return;
		turns_overtake(core, q);
		if (!grant_may_be_sent_before(core, s, e))
			return;
		grant_from(g, e);
	}
}

void grant_overtaking(struct grant_round *g)
{
	struct dispatcher_core *core = g->core;

	if (core->turns.overtake_until_us < core->mono_us || g->session->wire < WIRE_VERSION_RANK)
		return;
	for (uint32_t i = 0; i < core->queue_count; i++)
		if (core->queues[i] != NULL && core->queues[i]->overtake_until_us >= core->mono_us)
			overtake(g, core->queues[i]);
}
