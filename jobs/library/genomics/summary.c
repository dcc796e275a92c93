#include "jobs/library/genomics/summary.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Counts end at 2^53 and their sums over qualities at 2^60: products need more than 64 bits. */
typedef unsigned __int128 wide;

uint64_t ratio(uint64_t part, uint64_t whole, uint32_t factor)
{
	if (whole == 0)
		return RATIO_NONE;
	return (uint64_t)(((wide)part * factor * 200 + whole) / ((wide)whole * 2));
}

const char *ratio_text(uint64_t value, const char *none, char text[24])
{
	if (value == RATIO_NONE)
		snprintf(text, 24, "%s", none);
	else
		snprintf(text, 24, "%" PRIu64 ".%02u", value / 100, (unsigned)(value % 100));
	return text;
}

uint64_t sum_counts(const uint64_t *counts, size_t count)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += counts[i];
	return sum;
}

static uint32_t quantile(const uint64_t *histogram, uint64_t count, uint32_t rank_percent)
{
	uint64_t below = 0;
	uint32_t q = 0;

	for (; q < QUALITIES - 1; q++) {
		below += histogram[q];
		if ((wide)below * 100 >= (wide)count * rank_percent)
			break;
	}
	return q;
}

static void quality_histogram(const struct stats *s, uint32_t first, uint32_t end, uint64_t ret[QUALITIES])
{
	memset(ret, 0, QUALITIES * sizeof *ret);
	for (uint32_t bin = first; bin < end; bin++)
		for (uint32_t q = 0; q < QUALITIES; q++)
			ret[q] += s->quality[bin][q];
}

struct quality_summary summary_quality(const struct stats *s, uint32_t first, uint32_t end)
{
	struct quality_summary m = {0};
	uint64_t histogram[QUALITIES];

	quality_histogram(s, first, end, histogram);
	for (uint32_t q = 0; q < QUALITIES; q++) {
		m.count += histogram[q];
		m.sum += histogram[q] * q;
	}
	if (m.count == 0)
		return m;
	m.q10 = quantile(histogram, m.count, 10);
	m.q25 = quantile(histogram, m.count, 25);
	m.q50 = quantile(histogram, m.count, 50);
	m.q75 = quantile(histogram, m.count, 75);
	m.q90 = quantile(histogram, m.count, 90);
	return m;
}

static void summarize_bases(const struct stats *s, struct summary *ret)
{
	uint64_t by_code[BASE_CODES] = {0}, called;

	for (uint32_t bin = 0; bin < POSITION_BINS; bin++)
		for (uint32_t code = 0; code < BASE_CODES; code++)
			by_code[code] += s->base[bin][code];
	called = s->bases - by_code[BASE_N];
	ret->gc = percent(by_code[BASE_G] + by_code[BASE_C], called);
	ret->n = percent(by_code[BASE_N], s->bases);
}

void summary_of(const struct stats *s, struct summary *ret)
{
	uint64_t histogram[QUALITIES], sum = 0;

	memset(ret, 0, sizeof *ret);
	quality_histogram(s, 0, POSITION_BINS, histogram);
	for (uint32_t q = 0; q < QUALITIES; q++)
		sum += histogram[q] * q;
	for (uint32_t q = QUALITIES; q-- > 0;)
		if (histogram[q] > 0)
			ret->quality_min = q;
	for (uint32_t q = 0; q < QUALITIES; q++)
		if (histogram[q] > 0)
			ret->quality_max = q;
	ret->mean_length = ratio(s->bases, s->reads, 1);
	ret->mean_quality = ratio(sum, s->bases, 1);
	ret->q20 = percent(sum_counts(histogram + 20, QUALITIES - 20), s->bases);
	ret->q30 = percent(sum_counts(histogram + 30, QUALITIES - 30), s->bases);
	summarize_bases(s, ret);
	for (int id = 0; id < ADAPTER_COUNT; id++)
		ret->adapter[id] = percent(sum_counts(s->adapter[id], POSITION_BINS), s->reads);
	for (uint32_t i = 0; i < SAMPLE_SLOTS; i++)
		ret->sampled_reads += s->sample.slots[i].count;
	ret->sampled_distinct = s->sample.size;
	ret->duplicates = percent(ret->sampled_reads - ret->sampled_distinct, ret->sampled_reads);
}

bool summary_looks_phred64(const struct summary *m)
{
	return m->quality_min >= '@' - QUALITY_FIRST && m->quality_max > 'K' - QUALITY_FIRST &&
	       m->quality_max <= 'j' - QUALITY_FIRST;
}

const char *const duplication_names[DUPLICATION_LEVELS] = {
    "1", "2", "3", "4", "5", "6", "7", "8", "9", "10-49", "50-99", "100-499", "500-999", "1000+",
};

void summary_duplication(const struct stats *s, uint64_t ret_reads[DUPLICATION_LEVELS])
{
	static const uint64_t starts[] = {10, 50, 100, 500, 1000};

	memset(ret_reads, 0, DUPLICATION_LEVELS * sizeof *ret_reads);
	for (uint32_t i = 0; i < SAMPLE_SLOTS; i++) {
		uint64_t count = s->sample.slots[i].count;
		size_t level = 0;

		if (count == 0)
			continue;
		if (count < 10) {
			level = (size_t)count - 1;
		} else {
			while (level < ARRAY_LENGTH(starts) && count >= starts[level])
				level++;
			level += 8;
		}
		ret_reads[level] += count;
	}
}
