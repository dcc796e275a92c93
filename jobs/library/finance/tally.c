#include "jobs/library/finance/tally.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/check.h"

struct tally *tally_create(void)
{
	return check_calloc(1, sizeof(struct tally));
}

void tally_destroy(struct tally *t)
{
	if (t == NULL)
		return;
	free(t->ranges);
	free(t);
}

void tally_begin(struct tally *t, const struct tally_key *key)
{
	/* A shard's scenarios fill a few hundred of the cells: no need to clear all of them. */
	for (uint32_t i = tally_next(t, 0); i < TALLY_CELLS; i = tally_next(t, i + 1))
		t->cells[i] = (struct tally_cell){0, 0};
	memset(t->filled, 0, sizeof t->filled);
	t->key = *key;
	t->has_key = true;
	t->scenario_count = 0;
	t->worst_cents = t->best_cents = 0;
	t->overflow = false;
	t->range_count = 0;
}

/* The least of 1, 2, 5, 10, 20, … cents with which half of the bins reach the gross value. */
static uint64_t bin_width(int64_t gross_cents)
{
	static const uint8_t next[] = {2, 5, 10};
	uint64_t unit = 1, width = 1;

	for (uint32_t i = 0; width * (TALLY_BINS / 2) < (uint64_t)gross_cents; i++) {
		width = unit * next[i % 3];
		if (i % 3 == 2)
			unit *= 10;
	}
	return width;
}

void tally_key_of(const struct model *m, struct tally_key *ret)
{
	*ret = (struct tally_key){
	    .fingerprint = m->fingerprint,
	    .seed = m->parameters.seed,
	    .horizon_days = m->parameters.horizon_days,
	    .decay_ppm = m->parameters.decay_ppm,
	    .asset_count = m->asset_count,
	    .draw_count = m->draw_count,
	    .total_cents = m->total_cents,
	    .gross_cents = m->gross_cents,
	    .bin_cents = bin_width(m->gross_cents),
	};
	memcpy(ret->from, m->from, DATE_SIZE);
	memcpy(ret->until, m->until, DATE_SIZE);
}

int64_t tally_floor(const struct tally *t, uint32_t cell)
{
	int64_t steps = (int64_t)(cell == 0 ? 1 : cell) - 1 - (int64_t)(TALLY_BINS / 2);

	return steps * (int64_t)t->key.bin_cents;
}

uint32_t tally_cell_of(const struct tally *t, int64_t cents)
{
	int64_t width = (int64_t)t->key.bin_cents, half = width * (int64_t)(TALLY_BINS / 2);

	if (cents < -half)
		return 0;
	if (cents >= half)
		return TALLY_CELLS - 1;
	return 1 + (uint32_t)((uint64_t)(cents + half) / (uint64_t)width);
}

void tally_add(struct tally *t, int64_t cents)
{
	uint32_t number = tally_cell_of(t, cents);
	struct tally_cell *cell = tally_fill(t, number);
	int64_t rest = cents - tally_floor(t, number);

	cell->count++;
	t->overflow |=
	    __builtin_add_overflow(cell->rest_cents, (uint64_t)(rest < 0 ? -rest : rest), &cell->rest_cents);
	if (t->scenario_count == 0 || cents < t->worst_cents)
		t->worst_cents = cents;
	if (t->scenario_count == 0 || cents > t->best_cents)
		t->best_cents = cents;
	t->scenario_count++;
}

static int seen_twice(uint64_t scenario, struct error *reterr)
{
	error_set(reterr, ERR_EXISTS, "scenario %llu is there twice", (unsigned long long)scenario);
	error_help(reterr, "merge each shard's tally once");
	return ERR_EXISTS;
}

int tally_add_range(struct tally *t, struct scenario_range r, struct error *reterr)
{
	uint32_t at = t->range_count;
	struct scenario_range *before, *behind;

	if (r.count == 0)
		return 0;
	while (at > 0 && t->ranges[at - 1].first > r.first)
		at--;
	before = at > 0 ? &t->ranges[at - 1] : NULL;
	behind = at < t->range_count ? &t->ranges[at] : NULL;
	if (before != NULL && before->first + before->count > r.first)
		return seen_twice(r.first, reterr);
	if (behind != NULL && r.first + r.count > behind->first)
		return seen_twice(behind->first, reterr);
	if (before != NULL && before->first + before->count == r.first) {
		before->count += r.count;
		if (behind != NULL && before->first + before->count == behind->first) {
			before->count += behind->count;
			memmove(behind, behind + 1, (t->range_count - at - 1) * sizeof *behind);
			t->range_count--;
		}
		return 0;
	}
	if (behind != NULL && r.first + r.count == behind->first) {
		behind->first = r.first;
		behind->count += r.count;
		return 0;
	}
	if (t->range_count == TALLY_RANGES_MAX)
		return error_set(reterr, ERR_LIMIT, "more than %u holes between scenarios", TALLY_RANGES_MAX);
	ARRAY_GROW(t->ranges, t->range_capacity, t->range_count);
	memmove(&t->ranges[at + 1], &t->ranges[at], (t->range_count - at) * sizeof *t->ranges);
	t->ranges[at] = r;
	t->range_count++;
	return 0;
}

static int check_overflow(const struct tally *t, struct error *reterr)
{
	if (!t->overflow)
		return 0;
	error_set(reterr, ERR_LIMIT, "a sum of profits does not fit into 64 bits");
	error_help(reterr, "give prices in thousands or millions");
	return ERR_LIMIT;
}

int tally_run(struct tally *t, struct model *m, struct scenario_range r, struct error *reterr)
{
	for (uint64_t n = r.first; n < r.first + r.count; n++)
		tally_add(t, model_scenario(m, n));
	if (check_overflow(t, reterr) < 0)
		return ERR_LIMIT;
	return tally_add_range(t, r, reterr);
}

int tally_expect(struct tally *t, const struct tally_key *key, struct error *reterr)
{
	const struct tally_key *k = &t->key;
	const char *what;

	if (!t->has_key) {
		t->key = *key;
		t->has_key = true;
		return 0;
	}
	if (k->fingerprint == key->fingerprint && k->bin_cents == key->bin_cents)
		return 0;
	what = k->seed != key->seed		      ? "seeds"
	       : k->horizon_days != key->horizon_days ? "horizons"
	       : k->decay_ppm != key->decay_ppm	      ? "decays"
	       : k->asset_count != key->asset_count || k->gross_cents != key->gross_cents ||
		       k->total_cents != key->total_cents
		   ? "positions or last prices"
		   : "price histories or positions";
	error_set(reterr, ERR_INVALID, "tallies of different %s do not add up", what);
	return error_help(reterr,
			  "if a file was changed while its job ran, run the job again and let it rest");
}

int tally_merge(struct tally *t, const struct tally *from, struct error *reterr)
{
	int rc = tally_expect(t, &from->key, reterr);

	for (uint32_t i = 0; i < from->range_count && rc == 0; i++)
		rc = tally_add_range(t, from->ranges[i], reterr);
	if (rc < 0 || from->scenario_count == 0)
		return rc;
	for (uint32_t i = tally_next(from, 0); i < TALLY_CELLS; i = tally_next(from, i + 1)) {
		struct tally_cell *cell = tally_fill(t, i);

		cell->count += from->cells[i].count;
		t->overflow |=
		    __builtin_add_overflow(cell->rest_cents, from->cells[i].rest_cents, &cell->rest_cents);
	}
	if (t->scenario_count == 0 || from->worst_cents < t->worst_cents)
		t->worst_cents = from->worst_cents;
	if (t->scenario_count == 0 || from->best_cents > t->best_cents)
		t->best_cents = from->best_cents;
	t->scenario_count += from->scenario_count;
	t->overflow |= from->overflow;
	return check_overflow(t, reterr);
}
