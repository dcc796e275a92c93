#include "jobs/totals.h"

static void add_SUM(uint64_t *to, uint64_t from)
{
	*to += from;
}

static void add_MAX(uint64_t *to, uint64_t from)
{
	if (from > *to)
		*to = from;
}

void totals_add(struct totals *to, const struct totals *from)
{
#define TOTAL(name, add, json, form, doc) add_##add(&to->name, from->name);
	TOTALS_ALL(TOTAL)
#undef TOTAL
}

static uint64_t since_SUM(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

static uint64_t since_MAX(uint64_t now, uint64_t before)
{
	return now > before ? now : before;
}

struct totals totals_since(const struct totals *now, const struct totals *before)
{
	struct totals t;

#define TOTAL(name, add, json, form, doc) t.name = since_##add(now->name, before->name);
	TOTALS_ALL(TOTAL)
#undef TOTAL
	return t;
}
