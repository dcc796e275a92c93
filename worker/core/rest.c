/* Rest: a worker that could not start an attempt, or could not keep its output, takes no leases for a while.
 * What it has not begun goes back at once; what runs goes on. Each rest that follows without a success
 * between them is twice as long. */
#include "worker/core/state.h"

void worker_rest_wanted(struct worker_core *c)
{
	c->rest_wanted = true;
}

/* Trouble that what still runs meets during a rest makes it no longer. */
static void begin(struct worker_core *c)
{
	struct held *l, *tmp;

	if (c->rest_until_us != 0)
		return;
	c->rest_us = c->rest_us == 0 ? c->config.rest_us : 2 * c->rest_us;
	if (c->rest_us > c->config.rest_max_us)
		c->rest_us = c->config.rest_max_us;
	c->rest_until_us = c->now_us + c->rest_us;
	c->report_wanted = c->report_soon = true; /* it offers nothing now */
	HASH_ITER (hh, c->leases, l, tmp)
		if (!l->killed)
			worker_held_trim(c, l);
}

void worker_rest_settle(struct worker_core *c)
{
	if (c->rest_wanted)
		begin(c);
	c->rest_wanted = false;
	if (c->rest_until_us != 0 && c->now_us >= c->rest_until_us) {
		c->rest_until_us = 0;
		c->report_wanted = true;
	}
}

void worker_rest_succeeded(struct worker_core *c)
{
	if (c->rest_until_us == 0)
		c->rest_us = 0;
}

bool worker_is_resting(const struct worker_core *c)
{
	return c->rest_until_us != 0;
}

usec_t worker_rest_deadline(const struct worker_core *c)
{
	return c->rest_until_us != 0 ? c->rest_until_us : USEC_NEVER;
}
