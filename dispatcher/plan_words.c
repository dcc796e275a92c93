#include "dispatcher/plan_words.h"

#include "jobs/plan.h"

void plan_sentence(const struct definition *d, const struct plan *plan, bool at_least, struct buf *out)
{
	bool listed = d->body.items_planner != 0;

	if (listed)
		buf_printf(out, "one shard makes the list of items; how many shards come of it is known "
				"when it has run");
	else
		plan_row(plan->kind)->sentence(plan, at_least, out);
	if (d->body.phases.count > (listed ? 2u : 1u))
		buf_printf(out, "; what they write is gathered");
}
