/* shard: {numbers: "1,5,9-20:2"}: shard n stands for the n-th number of a row of numbers and ranges. The plan
 * holds the parts as they are written, so that a worker that does not know the kind cannot take it for
 * another. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/text.h"
#include "jobs/number_range.h"
#include "jobs/plan.h"
#include "jobs/plan_kind.h"

#define PARTS_MAX 1024 /* numbers and ranges of one plan */
#define TOLD_PARTS 5

static void part_write(const struct number_range *p, struct buf *out)
{
	if (out->size > 0)
		buf_append(out, ",", 1);
	number_range_write(p, out);
}

/* The text up to the next comma; at moves behind it, and behind the text's size at the end. */
static struct bytes next_text(struct bytes text, size_t *at)
{
	size_t first = *at;
	const uint8_t *comma = memchr(text.data + first, ',', text.size - first);
	size_t end = comma != NULL ? (size_t)(comma - text.data) : text.size;

	*at = end + 1;
	return BYTES(text.data + first, end - first);
}

/* ---- a number that stands twice ---- */

/* The greatest common divisor of a and b, and x with a x = it, modulo b. */
static __int128 divisor(__int128 a, __int128 b, __int128 *x)
{
	__int128 before = 1, now = 0;

	while (b != 0) {
		__int128 times = a / b, rest = a % b, next = before - times * now;

		a = b;
		b = rest;
		before = now;
		now = next;
	}
	*x = before;
	return a;
}

/* The least number that both have: two congruences (the Chinese remainder theorem), and the ends. */
static bool both_have(const struct number_range *a, const struct number_range *b, int64_t *ret)
{
	const struct number_range *later = a->first > b->first ? a : b, *other = later == a ? b : a;
	__int128 inverse, common = divisor(later->step, other->step, &inverse), apart, steps, period, n;

	apart = (__int128)other->first - later->first;
	if (apart % common != 0)
		return false;
	period = other->step / common;
	steps = apart / common % period * (inverse % period) % period;
	if (steps < 0)
		steps += period;
	n = later->first + steps * later->step;
	if (n > later->last || n > other->last)
		return false;
	*ret = (int64_t)n;
	return true;
}

static int check_twice(const struct number_range parts[], uint32_t count, struct error *reterr)
{
	int64_t n;

	for (uint32_t i = 0; i + 1 < count; i++)
		if (both_have(&parts[count - 1], &parts[i], &n))
			return error_set(reterr, ERR_INVALID, "the number %lld stands in it twice",
					 (long long)n);
	return 0;
}

/* ---- from a definition to a plan ---- */

/* All parts of the text, which is written again to `out` unless that is NULL; how many shards they are. */
static int read_parts(struct bytes text, uint64_t *shards, struct buf *out, struct error *reterr)
{
	struct number_range parts[PARTS_MAX];
	uint32_t count = 0;
	char found[60];

	*shards = 0;
	for (size_t at = 0; at <= text.size;) {
		struct bytes part = next_text(text, &at);
		int rc;

		if (count == PARTS_MAX)
			return error_set(reterr, ERR_LIMIT, "more than %d numbers and ranges", PARTS_MAX);
		if (!number_range_read(part, &parts[count]))
			return error_set(
			    reterr, ERR_INVALID,
			    "expected numbers and ranges such as 5, 9-20 or 9-20:2 between commas, "
			    "found %s",
			    text_quote(found, sizeof found, part));
		*shards += number_range_count(&parts[count]);
		if (*shards > SHARDS_MAX)
			return error_set(reterr, ERR_LIMIT, "%llu shards; at most %llu are allowed",
					 (unsigned long long)*shards, SHARDS_MAX);
		rc = check_twice(parts, ++count, reterr);
		if (rc < 0)
			return rc;
		if (out != NULL)
			part_write(&parts[count - 1], out);
	}
	return 0;
}

static int parse(const struct bytes texts[], struct arena *arena, struct shard_section *s,
		 struct error *reterr)
{
	struct buf text = {0};
	uint64_t shards;
	int rc = read_parts(texts[0], &shards, &text, reterr);

	s->items.items = arena_alloc(arena, sizeof *s->items.items);
	CHECK(s->items.items != NULL);
	s->items.items[0].text = arena_copy(arena, buf_bytes(&text));
	s->items.count = 1;
	s->count = (uint32_t)shards;
	buf_fini(&text);
	return rc;
}

static void write(const struct shard_section *s, struct plan_facts *ret)
{
	fact_text(ret, "numbers", s->items.items[0].text);
}

static void cut(const struct shard_section *s, struct plan *ret)
{
	ret->items = s->items;
	ret->shard_count = s->count;
}

static int validate(const struct plan *p, struct error *reterr)
{
	uint64_t shards;
	int rc;

	if (p->items.count != 1)
		return error_set(reterr, ERR_INVALID, "expected one text of numbers, found %u",
				 p->items.count);
	rc = read_parts(p->items.items[0].text, &shards, NULL, reterr);
	if (rc == 0 && shards != p->shard_count)
		return error_set(reterr, ERR_INVALID, "%u shards are named, but %llu numbers", p->shard_count,
				 (unsigned long long)shards);
	return rc;
}

/* ---- what a shard is ---- */

static struct bytes text_of(const struct plan *p)
{
	return p->items.count > 0 ? p->items.items[0].text : BYTES(NULL, 0);
}

static int64_t value_of(const struct plan *p, uint32_t shard)
{
	struct bytes text = text_of(p);
	uint64_t left = shard;
	struct number_range part;

	for (size_t at = 0; at < text.size && number_range_read(next_text(text, &at), &part);) {
		if (left < number_range_count(&part))
			return part.first + (int64_t)left * part.step;
		left -= number_range_count(&part);
	}
	return 0; /* validate refuses such a plan */
}

static bool find(const struct plan *p, int64_t number, uint32_t *ret_shard)
{
	struct bytes text = text_of(p);
	uint64_t before = 0;
	struct number_range part;

	for (size_t at = 0; at < text.size && number_range_read(next_text(text, &at), &part);) {
		if (number >= part.first && number <= part.last && (number - part.first) % part.step == 0) {
			*ret_shard =
			    (uint32_t)(before + (uint64_t)(number - part.first) / (uint64_t)part.step);
			return true;
		}
		before += number_range_count(&part);
	}
	return false;
}

static void numbers(const struct plan *p, struct range shards, struct buf *out)
{
	uint64_t before = 0, end = range_end(shards);
	struct bytes text = text_of(p);
	struct buf all = {0};
	struct number_range part;

	for (size_t at = 0; at < text.size && number_range_read(next_text(text, &at), &part);) {
		uint64_t count = number_range_count(&part),
			 from = shards.first > before ? shards.first - before : 0,
			 to = end > before ? end - before : 0;

		before += count;
		if (to > count)
			to = count;
		if (from >= to)
			continue;
		part.last = part.first + (int64_t)(to - 1) * part.step;
		part.first += (int64_t)from * part.step;
		part_write(&part, &all);
	}
	buf_append_bytes(out, buf_bytes(&all));
	buf_fini(&all);
}

static void sentence(const struct plan *p, bool at_least, struct buf *out)
{
	struct bytes text = text_of(p);
	size_t at = 0;

	(void)at_least;
	buf_printf(out, "%u shard%s, with the number%s ", p->shard_count, p->shard_count == 1 ? "" : "s",
		   p->shard_count == 1 ? "" : "s");
	for (int i = 0; i < TOLD_PARTS && at < text.size; i++) {
		buf_printf(out, "%s", i > 0 ? ", " : "");
		buf_append_bytes(out, next_text(text, &at));
	}
	if (at < text.size)
		buf_printf(out, ", … %lld", (long long)value_of(p, p->shard_count - 1));
}

static void runner(const struct plan *p, struct plan_facts *ret)
{
	fact_text(ret, "numbers", text_of(p));
}

const struct plan_row plan_row_numbers = {
    .kind = PLAN_NUMBERS,
    .input = PLAN_INPUT_NONE,
    .planner = PLANNER_PURE,
    .column = "NUMBER",
    .keys = {{.name = "numbers",
	      .form = SHARD_TEXT,
	      .expected = "numbers and ranges such as 1,5,9-20:2",
	      .parse = parse,
	      .write = write}},
    .cut = cut,
    .validate = validate,
    .sentence = sentence,
    .preview = plan_number_preview,
    .number = value_of,
    .find = find,
    .numbers = numbers,
    .names = {"shard.value"},
    .expand = plan_number_expand,
    .environment = plan_number_environment,
    .runner = runner,
};
