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

static uint64_t share_SUM(uint64_t sum, uint64_t part, uint64_t whole)
{
	return sum / whole * part + sum % whole * part / whole;
}

static uint64_t share_MAX(uint64_t max, uint64_t part, uint64_t whole)
{
	(void)part;
	(void)whole;
	return max;
}

void totals_share(struct totals *t, uint64_t part, uint64_t whole)
{
#define TOTAL(name, add, json, form, doc) t->name = share_##add(t->name, part, whole);
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
