/* The sample of sequences is a function of what was seen, never of the order or the cuts. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/rng.h"
#include "jobs/library/genomics/positions.h"
#include "jobs/library/genomics/sample.h"

#define SEEDS 8
#define PARTS 16

static uint64_t draw_hash(struct rng *r, uint32_t kinds)
{
	char text[32];
	int size = snprintf(text, sizeof text, "%llu", (unsigned long long)rng_below(r, kinds));

	return sample_hash((const uint8_t *)text, (size_t)size);
}

static void cr_assert_same(const struct sample *a, const struct sample *b, uint32_t seed)
{
	static struct sample_entry x[SAMPLE_MAX], y[SAMPLE_MAX];
	uint32_t count = sample_sorted(a, x);

	cr_assert_eq(a->level, b->level, "levels %u and %u, seed %u", a->level, b->level, seed);
	cr_assert_eq(count, sample_sorted(b, y), "seed %u", seed);
	cr_assert_arr_eq(x, y, count * sizeof x[0], "seed %u", seed);
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The definition, spelled out: the least level that at most SAMPLE_MAX distinct hashes have. */
static void cr_assert_as_defined(const struct sample *s, uint64_t *hashes, size_t count)
{
	static struct sample_entry entries[SAMPLE_MAX];
	uint32_t level = 0, size = sample_sorted(s, entries), at = 0;
	size_t distinct;

	qsort(hashes, count, sizeof *hashes, compare_u64);
	for (;; level++) {
		distinct = 0;
		for (size_t i = 0; i < count; i++)
			distinct += sample_keeps(level, hashes[i]) && (i == 0 || hashes[i] != hashes[i - 1]);
		if (distinct <= SAMPLE_MAX)
			break;
	}
	cr_assert_eq(s->level, level);
	cr_assert_eq(size, distinct);
	for (size_t i = 0, run; i < count && sample_keeps(level, hashes[i]); i += run) {
		for (run = 1; i + run < count && hashes[i + run] == hashes[i]; run++)
			;
		cr_assert_eq(entries[at].hash, hashes[i]);
		cr_assert_eq(entries[at++].count, run);
	}
	cr_assert_eq(at, size);
}

static void merge_of_parts_is_the_whole(uint32_t seed, uint32_t kinds, size_t count)
{
	struct sample *whole = check_calloc(1, sizeof *whole);
	struct sample *parts = check_calloc(PARTS, sizeof *parts);
	uint64_t *hashes = check_calloc(count, sizeof *hashes);
	uint32_t left = PARTS;
	struct rng r;

	rng_seed(&r, seed);
	for (size_t i = 0; i < count; i++) {
		hashes[i] = draw_hash(&r, kinds);
		sample_add(whole, hashes[i], 1);
		/* Uneven parts: the first ones stay far below the others' level. */
		sample_add(&parts[rng_below(&r, 1 + rng_below(&r, PARTS))], hashes[i], 1);
	}
	while (left > 1) { /* a random tree of merges */
		uint32_t into = (uint32_t)rng_below(&r, left), from;

		do {
			from = (uint32_t)rng_below(&r, left);
		} while (from == into);
		sample_merge(&parts[into], &parts[from]);
		if (into == left - 1)
			parts[from] = parts[into];
		else
			parts[from] = parts[left - 1];
		left--;
	}
	cr_assert_same(&parts[0], whole, seed);
	cr_assert_as_defined(whole, hashes, count);
	free(hashes);
	free(parts);
	free(whole);
}

Test(sample, merge_of_parts_is_the_whole)
{
	static const struct {
		uint32_t kinds;
		size_t count;
	} table[] = {{1, 10}, {100, 5000}, {2048, 20000}, {2300, 20000}, {100000, 100000}};

	for (size_t i = 0; i < ARRAY_LENGTH(table); i++)
		for (uint32_t seed = 1; seed <= SEEDS; seed++)
			merge_of_parts_is_the_whole(seed, table[i].kinds, table[i].count);
}

Test(sample, leading_bits_of_hashes_are_even)
{
	uint32_t by_bits[16] = {0};
	char text[64];

	/* Sequences that differ little, as real ones do. */
	for (uint32_t i = 0; i < 160000; i++) {
		memset(text, 'A', sizeof text);
		for (uint32_t k = 0; k < 10; k++)
			text[40 - k] = "ACGT"[(i >> (2 * k)) & 3];
		by_bits[sample_hash((const uint8_t *)text, 50) >> 60]++;
	}
	/* 10,000 each; five standard deviations of a fair draw are 484. */
	for (uint32_t i = 0; i < 16; i++)
		cr_assert(by_bits[i] > 9500 && by_bits[i] < 10500, "%u of 10000", by_bits[i]);
}

Test(positions, bins_cover_every_position_once)
{
	uint32_t bin = 0;

	for (uint32_t position = 0; position < READ_LENGTH_MAX; position++) {
		uint32_t found = position_bin(position);

		cr_assert(found == bin || found == bin + 1);
		if (found == bin + 1 || position == 0)
			cr_assert_eq(position_bin_first(found), position);
		cr_assert_lt(position, position_bin_first(found + 1));
		bin = found;
	}
	cr_assert_eq(bin, POSITION_BINS - 1);
	cr_assert_eq(position_bin_first(POSITION_BINS), READ_LENGTH_MAX);
	cr_assert_eq(position_bins_of(0), 0);
	cr_assert_eq(position_bins_of(512), 512);
}
