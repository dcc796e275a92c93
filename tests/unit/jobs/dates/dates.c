/* shard: {dates: {from: 2026-01-01, to: 2026-12-31, every: 1d}}: shard n stands for a day. A plan kind of the
 * tests: all that a kind is, in one file. */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/text.h"
#include "base/units.h"
#include "jobs/plan_kind.h"

#define DAY_TEXT_MAX 40
#define DAY_US (86400 * (int64_t)1000000)

/* Days since 1970-01-01, and back: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms". */
static int64_t day_of(int64_t y, unsigned m, unsigned d)
{
	int64_t era;
	unsigned of_era, of_year;

	y -= m <= 2;
	era = y / 400;
	of_year = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
	of_era = (unsigned)(y - era * 400);
	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void print_day(int64_t day, char buf[static DAY_TEXT_MAX])
{
	int64_t from_0 = day + 719468, era = from_0 / 146097;
	unsigned in_era = (unsigned)(from_0 - era * 146097);
	unsigned year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	unsigned in_year = in_era - (365 * year + year / 4 - year / 100);
	unsigned part = (5 * in_year + 2) / 153, month = part < 10 ? part + 3 : part - 9;

	snprintf(buf, DAY_TEXT_MAX, "%04u-%02u-%02u", (unsigned)(era * 400 + year + (month <= 2)) % 10000,
		 month, in_year - (153 * part + 2) / 5 + 1);
}

static bool take_day(struct bytes text, int64_t *ret)
{
	char copy[16] = "", again[DAY_TEXT_MAX];
	unsigned y, m, d;

	if (text.size != 10)
		return false;
	memcpy(copy, text.data, 10);
	if (sscanf(copy, "%4u-%2u-%2u", &y, &m, &d) != 3 || m < 1 || m > 12)
		return false;
	*ret = day_of(y, m, d);
	print_day(*ret, again);
	return strcmp(copy, again) == 0;
}

static int parse(const struct bytes texts[], struct arena *arena, struct shard_section *s,
		 struct error *reterr)
{
	char found[60];
	int64_t from, to, every;

	(void)arena;
	for (int i = 0; i < 2; i++)
		if (!take_day(texts[i], i == 0 ? &from : &to))
			return error_set(reterr, ERR_INVALID, "expected a day such as 2026-01-31, found %s",
					 text_quote(found, sizeof found, texts[i]));
	if (units_parse_duration(texts[2], &every, reterr) < 0)
		return ERR_INVALID;
	if (every == 0 || every % DAY_US != 0)
		return error_set(reterr, ERR_INVALID, "expected whole days, found %s",
				 text_quote(found, sizeof found, texts[2]));
	if (to < from)
		return ERR_INVALID;
	s->start = from;
	s->step = every / DAY_US;
	s->count = (uint32_t)((to - from) / s->step + 1);
	return 0;
}

static void write(const struct shard_section *s, struct plan_facts *ret)
{
	char day[DAY_TEXT_MAX];

	print_day(s->start, day);
	fact_printf(ret, "from", "%s", day);
	print_day(s->start + s->step * (int64_t)(s->count - 1), day);
	fact_printf(ret, "to", "%s", day);
	fact_printf(ret, "every", "%lldd", (long long)s->step);
}

static void cut(const struct shard_section *s, struct plan *ret)
{
	ret->start = s->start;
	ret->step = s->step;
	ret->shard_count = s->count;
}

static int validate(const struct plan *p, struct error *reterr)
{
	if (p->start < 0 || p->step < 1 || p->step > 100000 || p->shard_count > 3000000)
		return error_set(reterr, ERR_INVALID, "expected days of the years from 1970 to 9999");
	return 0;
}

static void tell(const struct plan_shard *s, const char *name, struct plan_facts *ret)
{
	char day[DAY_TEXT_MAX];

	print_day(s->plan->start + s->plan->step * (int64_t)s->shard, day);
	fact_printf(ret, name, "%s", day);
}

static void sentence(const struct plan *p, bool at_least, struct buf *out)
{
	(void)at_least;
	buf_printf(out, "%u shards, one for each day", p->shard_count);
	if (p->step > 1)
		buf_printf(out, " of those that are %lld apart", (long long)p->step);
}

static void preview(const struct plan_shard *s, struct plan_facts *ret)
{
	tell(s, "value", ret);
}

static void expand(const struct plan_shard *s, struct plan_facts *ret)
{
	tell(s, "shard.value", ret);
	tell(s, "shard.date", ret);
}

static void environment(const struct plan_shard *s, struct plan_facts *ret)
{
	tell(s, "SHARDMILL_VALUE", ret);
}

const struct plan_row plan_row_dates = {
    .kind = PLAN_DATES,
    .input = PLAN_INPUT_NONE,
    .planner = PLANNER_PURE,
    .column = "DAY",
    .keys = {{.name = "dates",
	      .form = SHARD_TEXT,
	      .members = {"from", "to", "every"},
	      .expected = "a first day and a last one that is not before it",
	      .parse = parse,
	      .write = write}},
    .cut = cut,
    .validate = validate,
    .sentence = sentence,
    .preview = preview,
    .names = {"shard.value", "shard.date"},
    .expand = expand,
    .environment = environment,
};
