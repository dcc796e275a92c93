/* shard: {count: 100 | 1-1000 | 1-1000:2}: shard n stands for the number start + step * n. */
#include <stdio.h>

#include "base/limits.h"
#include "base/text.h"
#include "jobs/number_range.h"
#include "jobs/plan.h"
#include "jobs/plan_kind.h"

struct plan plan_by_number(uint32_t shard_count)
{
	return (struct plan){.kind = PLAN_COUNT, .step = 1, .shard_count = shard_count};
}

struct shard_section shard_section_default(void)
{
	return (struct shard_section){.kind = PLAN_COUNT, .planner = PLANNER_PURE, .step = 1, .count = 1};
}

int64_t plan_count_value(const struct plan *p, uint32_t shard)
{
	return p->start + p->step * (int64_t)shard;
}

/* "N", "A-B", "A-B:STEP" as arrays are written in batch systems; B is included. */
static bool parse_range(struct bytes text, int64_t *first, int64_t *last, int64_t *step)
{
	size_t at = 0;

	*step = 1;
	if (!number_digits(text, &at, first))
		return false;
	if (at == text.size) {
		*last = *first - 1;
		*first = 0;
		return true;
	}
	if (text.data[at++] != '-' || !number_digits(text, &at, last))
		return false;
	if (at < text.size && (text.data[at++] != ':' || !number_digits(text, &at, step)))
		return false;
	return at == text.size;
}

static int parse(const struct bytes texts[], struct arena *arena, struct shard_section *s,
		 struct error *reterr)
{
	int64_t first, last, step;
	char found[100];

	(void)arena;
	if (!parse_range(texts[0], &first, &last, &step))
		return ERR_INVALID;
	text_quote(found, sizeof found, texts[0]);
	if (last < first && first > 0) {
		error_set(reterr, ERR_INVALID, "the first is behind the last in %s", found);
		return error_help(reterr, "write %lld-%lld", (long long)last, (long long)first);
	}
	if (last < first || step == 0)
		return error_set(reterr, ERR_INVALID, "expected %s, found %s",
				 last < first ? "at least one shard" : "a step of at least 1", found);
	if ((last - first) / step >= (int64_t)SHARDS_MAX)
		return error_set(reterr, ERR_LIMIT, "%lld shards; at most %llu are allowed",
				 (long long)((last - first) / step) + 1, SHARDS_MAX);
	s->start = first;
	s->count = (uint32_t)((last - first) / step + 1);
	s->step = s->count == 1 ? 1 : step; /* one shard takes no step: one spelling */
	return 0;
}

static void write(const struct shard_section *s, struct plan_facts *ret)
{
	int64_t last = s->start + s->step * (int64_t)(s->count - 1);

	if (s->start == 0 && s->step == 1)
		fact_number(ret, "count", s->count);
	else if (s->step == 1)
		fact_printf(ret, "count", "%lld-%lld", (long long)s->start, (long long)last);
	else
		fact_printf(ret, "count", "%lld-%lld:%lld", (long long)s->start, (long long)last,
			    (long long)s->step);
}

static void cut(const struct shard_section *s, struct plan *ret)
{
	ret->start = s->start;
	ret->step = s->step;
	ret->shard_count = s->count;
}

static int validate(const struct plan *p, struct error *reterr)
{
	int64_t span, last;

	if (p->step == 0 && p->shard_count > 1)
		return error_set(reterr, ERR_INVALID,
				 "a count plan with step 0 gives every shard the same value");
	if (__builtin_mul_overflow(p->step, (int64_t)p->shard_count, &span) ||
	    __builtin_add_overflow(p->start, span, &last))
		return error_set(reterr, ERR_LIMIT, "values from %lld in steps of %lld pass 64 bits",
				 (long long)p->start, (long long)p->step);
	return 0;
}

static void sentence(const struct plan *p, bool at_least, struct buf *out)
{
	(void)at_least;
	if (p->shard_count == 1) {
		buf_printf(out, "one shard, as nothing says how to cut it");
		return;
	}
	buf_printf(out, "%u shards, with the numbers %lld to %lld", p->shard_count, (long long)p->start,
		   (long long)plan_count_value(p, p->shard_count - 1));
	if (p->step > 1)
		buf_printf(out, " in steps of %lld", (long long)p->step);
}

static void runner(const struct plan *p, struct plan_facts *ret)
{
	fact_number(ret, "start", p->start);
	fact_number(ret, "step", p->step);
}

static bool find(const struct plan *p, int64_t number, uint32_t *ret_shard)
{
	__int128 apart = (__int128)number - p->start;

	if (p->step == 0 || apart % p->step != 0 || apart / p->step < 0 || apart / p->step >= p->shard_count)
		return false;
	*ret_shard = (uint32_t)(apart / p->step);
	return true;
}

static void numbers(const struct plan *p, struct range shards, struct buf *out)
{
	buf_printf(out, "%lld", (long long)plan_count_value(p, shards.first));
	if (shards.count > 1)
		buf_printf(out, "-%lld", (long long)plan_count_value(p, (uint32_t)(range_end(shards) - 1)));
	if (shards.count > 1 && p->step != 1)
		buf_printf(out, ":%lld", (long long)p->step);
}

const struct plan_row plan_row_count = {
    .kind = PLAN_COUNT,
    .input = PLAN_INPUT_NONE,
    .planner = PLANNER_PURE,
    .column = "NUMBER",
    .keys = {{.name = "count",
	      .form = SHARD_TEXT,
	      .expected = "a number of shards, or a range such as 1-1000 or 1-1000:2",
	      .help = "0-based numbers come from 1000, others from a range",
	      .parse = parse,
	      .write = write}},
    .cut = cut,
    .validate = validate,
    .sentence = sentence,
    .preview = plan_number_preview,
    .number = plan_count_value,
    .find = find,
    .numbers = numbers,
    .names = {"shard.value"},
    .expand = plan_number_expand,
    .environment = plan_number_environment,
    .runner = runner,
};
