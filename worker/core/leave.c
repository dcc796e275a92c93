/* Leaving: drained, aborted, refused. */
#include "worker/core/state.h"

#include <stdio.h>

static void leave(struct worker_core *c, enum worker_exit code, struct bytes why)
{
	struct worker_effect *e = worker_effect_push(c, WORKER_EXIT);

	e->exit.code = code;
	e->exit.why = why;
	c->link = WORKER_ENDED;
}

void worker_leave_drain(struct worker_core *c)
{
	struct held *l, *tmp;

	if (c->draining)
		return;
	c->draining = true;
	c->report_wanted = true;
	HASH_ITER (hh, c->leases, l, tmp)
		if (!l->killed)
			worker_held_trim(c, l);
}

static void stop_all(struct worker_core *c)
{
	struct held *l, *tmp;
	struct part *p;

	HASH_ITER (hh, c->leases, l, tmp)
		DL_FOREACH2(l->parts, p, lease_next)
	if (p->place == PART_ARMED)
		worker_slot_stop(c, p);
}

void worker_leave_abort(struct worker_core *c)
{
	if (c->aborting)
		return;
	worker_leave_drain(c);
	c->aborting = true;
	c->abort_us = c->now_us + c->config.abort_wait_us;
	stop_all(c);
}

void worker_leave_refused(struct worker_core *c, struct bytes why)
{
	stop_all(c);
	leave(c, WORKER_EXIT_REFUSED, worker_effect_bytes(c, why));
}

static void leave_in_session(struct worker_core *c, enum worker_exit code, struct bytes why)
{
	if (c->link == WORKER_IN_SESSION) {
		struct bye *m = worker_effect_send(c, MESSAGE_BYE, sizeof(*m));

		m->session = c->session;
	}
	leave(c, code, why);
}

void worker_leave_settle(struct worker_core *c)
{
	char why[128];

	if (c->draining && c->leases == NULL) {
		leave_in_session(c, WORKER_EXIT_DRAINED,
				 BYTES_LIT("drained: all that it held is acknowledged"));
	} else if (c->aborting && c->now_us >= c->abort_us) {
		snprintf(why, sizeof(why), "aborted: %u leases are not acknowledged", HASH_COUNT(c->leases));
		leave_in_session(c, WORKER_EXIT_ABORTED, worker_effect_bytes(c, bytes_of(why)));
	}
}

usec_t worker_leave_deadline(const struct worker_core *c)
{
	return c->aborting ? c->abort_us : USEC_NEVER;
}
