#include "jobs/effort.h"

#include "base/check.h"

bool effort_press(struct effort *into, const struct effort *next)
{
	if ((uint64_t)into->first + into->count != next->first || into->kind != next->kind ||
	    into->code != next->code || next->count > UINT32_MAX - into->count)
		return false;
	into->count += next->count;
	into->sum = true;
	if (next->start_wall_us < into->start_wall_us)
		into->start_wall_us = next->start_wall_us;
	totals_add(&into->totals, &next->totals);
	return true;
}

bool effort_join(struct effort *into, const struct effort *next)
{
	return into->sum && next->sum && effort_press(into, next);
}

struct effort effort_part(const struct effort *e, struct range r)
{
	struct range part = range_intersect((struct range){e->first, e->count}, r);
	struct effort ret = *e;

	CHECK(part.count > 0);
	ret.first = part.first;
	ret.count = part.count;
	if (part.count < e->count)
		totals_share(&ret.totals, part.count, e->count);
	return ret;
}
