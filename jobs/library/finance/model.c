#include "jobs/library/finance/model.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "jobs/library/finance/philox.h"

_Static_assert(FLT_EVAL_METHOD == 0, "doubles must be computed as doubles");

#define VECTOR_LANES 8u /* doubles of the widest vectors */
/* An asset loses at most all, and gains at most tenfold in a day: keeps every number finite. */
#define RETURN_MIN (-1.0)
#define RETURN_MAX 10.0
#define PROFIT_CENTS_MAX 9e15 /* below 2^53: a whole number as a double */

/* FNV-1a over 64-bit values, byte by byte from the least: the same on machines of either byte order. */
static uint64_t hash_u64(uint64_t hash, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		hash = (hash ^ ((value >> (8 * i)) & 0xFF)) * 0x100000001B3u;
	return hash;
}

static uint64_t hash_doubles(uint64_t hash, const double *values, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t bits;

		memcpy(&bits, &values[i], sizeof bits);
		hash = hash_u64(hash, bits);
	}
	return hash;
}

static uint64_t fingerprint(const struct model *m)
{
	uint64_t hash = 0xCBF29CE484222325u;

	hash = hash_u64(hash, m->parameters.seed);
	hash = hash_u64(hash, m->parameters.horizon_days);
	hash = hash_u64(hash, m->parameters.decay_ppm);
	hash = hash_u64(hash, m->asset_count);
	hash = hash_u64(hash, m->draw_count);
	hash = hash_doubles(hash, m->shocks, (size_t)m->draw_count * m->stride);
	hash = hash_doubles(hash, m->variance, m->stride);
	return hash_doubles(hash, m->value_cents, m->stride);
}

/* Column i: what each day's return was by the volatility expected for it. */
static void filter(struct model *m, const struct price_table *t, uint32_t asset, uint32_t i)
{
	const double *prices = t->prices + asset;
	size_t step = t->asset_count;
	double variance = 0;

	for (uint32_t day = 0; day < m->draw_count; day++) {
		double change = prices[(day + 1) * step] / prices[day * step] - 1;

		variance += change * change;
	}
	variance /= m->draw_count; /* what was expected of the first day */
	for (uint32_t day = 0; day < m->draw_count; day++) {
		double change = prices[(day + 1) * step] / prices[day * step] - 1;

		m->shocks[(size_t)day * m->stride + i] = variance > 0 ? change / sqrt(variance) : 0;
		variance = m->keep * variance + m->renew * (change * change);
	}
	m->variance[i] = variance;
}

static int take_values(struct model *m, const struct price_table *t, const struct position_list *positions,
		       struct error *reterr)
{
	const double *last = t->prices + (size_t)(t->day_count - 1) * t->asset_count;
	double total = 0, gross = 0;

	for (uint32_t i = 0; i < positions->count; i++) {
		m->value_cents[i] = positions->items[i].quantity * last[positions->items[i].asset] * 100;
		total += m->value_cents[i];
		gross += fabs(m->value_cents[i]);
	}
	if (gross < 1) {
		error_set(reterr, ERR_INVALID, "the portfolio is worth less than 0.01");
		return error_help(reterr, "give quantities that are not 0");
	}
	if (gross > (double)CENTS_MAX) {
		error_set(reterr, ERR_LIMIT, "the portfolio is worth more than %lld", CENTS_MAX / 100);
		error_help(reterr, "give prices in thousands or millions");
		return ERR_LIMIT;
	}
	m->total_cents = llrint(total);
	m->gross_cents = llrint(gross);
	return 0;
}

static double *doubles(size_t count)
{
	double *values = aligned_alloc(64, count * sizeof *values); /* count fills whole lines */

	CHECK(values != NULL);
	memset(values, 0, count * sizeof *values);
	return values;
}

int model_create(const struct price_table *prices, const struct position_list *positions,
		 const struct model_parameters *parameters, struct model **ret, struct error *reterr)
{
	struct model *m = check_calloc(1, sizeof *m);
	int rc;

	CHECK(parameters->horizon_days >= 1 && parameters->horizon_days <= HORIZON_DAYS_MAX);
	CHECK(parameters->decay_ppm >= 1 && parameters->decay_ppm <= DECAY_PPM_MAX);
	CHECK(prices->day_count >= 2 && positions->count >= 1);
	m->parameters = *parameters;
	m->asset_count = positions->count;
	m->stride = (positions->count + VECTOR_LANES - 1) / VECTOR_LANES * VECTOR_LANES;
	m->draw_count = prices->day_count - 1;
	m->keep = (double)parameters->decay_ppm / DECAY_PPM_MAX;
	m->renew = 1 - m->keep;
	memcpy(m->from, prices->dates[0], DATE_SIZE);
	memcpy(m->until, prices->dates[prices->day_count - 1], DATE_SIZE);
	m->shocks = doubles((size_t)m->draw_count * m->stride);
	m->variance = doubles(m->stride);
	m->value_cents = doubles(m->stride);
	m->path = doubles(2 * (size_t)m->stride);
	for (uint32_t i = 0; i < positions->count; i++)
		filter(m, prices, positions->items[i].asset, i);
	rc = take_values(m, prices, positions, reterr);
	if (rc < 0) {
		model_destroy(m);
		return rc;
	}
	m->fingerprint = fingerprint(m);
	*ret = m;
	return 0;
}

struct model *model_share(const struct model *m)
{
	struct model *other = check_calloc(1, sizeof *other);

	*other = *m;
	other->borrows = true;
	other->path = doubles(2 * (size_t)m->stride);
	return other;
}

void model_destroy(struct model *m)
{
	if (m == NULL)
		return;
	if (!m->borrows) {
		free(m->shocks);
		free(m->variance);
		free(m->value_cents);
	}
	free(m->path);
	free(m);
}

/* Each line of the loop is for all assets on their own, so that it may run in vectors of any width. */
static void one_day(const double *restrict shocks, double *restrict growth, double *restrict variance,
		    uint32_t stride, double keep, double renew)
{
	for (uint32_t i = 0; i < stride; i++) {
		double change = shocks[i] * sqrt(variance[i]);

		change = change > RETURN_MIN ? change : RETURN_MIN;
		change = change < RETURN_MAX ? change : RETURN_MAX;
		growth[i] *= 1 + change;
		variance[i] = keep * variance[i] + renew * (change * change);
	}
}

int64_t model_scenario(struct model *m, uint64_t n)
{
	const uint32_t key[2] = {(uint32_t)m->parameters.seed, (uint32_t)(m->parameters.seed >> 32)};
	uint32_t counter[4] = {(uint32_t)n, (uint32_t)(n >> 32), 0, 0}, words[4];
	double *growth = m->path, *variance = m->path + m->stride, profit = 0;

	for (uint32_t i = 0; i < m->stride; i++)
		growth[i] = 1;
	memcpy(variance, m->variance, m->stride * sizeof *variance);
	for (uint32_t day = 0; day < m->parameters.horizon_days; day++) {
		uint32_t drawn;

		if (day % 4 == 0) {
			counter[2] = day / 4;
			philox4x32(counter, key, words);
		}
		/* By multiplication: some days are drawn more often than others by at most one in
		 * 2^32 / draw_count, which no number of scenarios taken here could show. */
		drawn = (uint32_t)((uint64_t)words[day % 4] * m->draw_count >> 32);
		one_day(m->shocks + (size_t)drawn * m->stride, growth, variance, m->stride, m->keep,
			m->renew);
	}
	for (uint32_t i = 0; i < m->asset_count; i++)
		profit += m->value_cents[i] * (growth[i] - 1);
	profit = profit > -PROFIT_CENTS_MAX ? profit : -PROFIT_CENTS_MAX;
	profit = profit < PROFIT_CENTS_MAX ? profit : PROFIT_CENTS_MAX;
	return llrint(profit);
}
