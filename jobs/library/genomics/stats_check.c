/* A report comes back from a store and over a network: what it says is compared with itself before
 * it is added to others, where a wrong number could no longer be found. */
#include "jobs/library/genomics/stats.h"

#include <inttypes.h>

/* Stops above COUNT_MAX, so that the sum cannot wrap around. */
static uint64_t sum_of(const uint64_t *counts, size_t count)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < count && sum <= COUNT_MAX; i++)
		sum += counts[i] <= COUNT_MAX ? counts[i] : COUNT_MAX + 1;
	return sum;
}

static int disagree(struct error *reterr, const char *what, uint64_t found, const char *relation,
		    uint64_t expected)
{
	return error_set(reterr, ERR_CORRUPT,
			 "the counts do not agree: %s add up to %" PRIu64 ", expected %s%" PRIu64, what,
			 found, relation, expected);
}

static int check_positions(const struct stats *s, struct error *reterr)
{
	uint64_t bases = 0, before = COUNT_MAX;

	for (uint32_t bin = 0; bin < POSITION_BINS; bin++) {
		uint64_t qualities = sum_of(s->quality[bin], QUALITIES);
		uint64_t called = sum_of(s->base[bin], BASE_CODES);

		if (qualities != called)
			return disagree(reterr, "qualities of a position", qualities, "as many as bases, ",
					called);
		if (bin < POSITION_SINGLES && qualities > before)
			return disagree(reterr, "qualities of a position", qualities,
					"no more than at the position before, ", before);
		before = qualities;
		bases += qualities;
		if (bases > COUNT_MAX)
			break;
	}
	if (bases != s->bases)
		return disagree(reterr, "bases of all positions", bases, "", s->bases);
	return 0;
}

static int check_lengths(const struct stats *s, struct error *reterr)
{
	uint64_t reads = sum_of(s->lengths, ARRAY_LENGTH(s->lengths));
	bool ends_filled;

	if (reads != s->reads)
		return disagree(reterr, "reads of all lengths", reads, "", s->reads);
	if (s->length_min > s->length_max || s->length_max >= READ_LENGTH_MAX)
		return error_set(reterr, ERR_CORRUPT, "the counts do not agree: lengths from %u to %u",
				 s->length_min, s->length_max);
	if (s->reads == 0)
		return s->length_max == 0 ? 0 : disagree(reterr, "reads", 0, "more than ", 0);
	ends_filled = s->lengths[position_bins_of(s->length_min)] > 0 &&
		      s->lengths[position_bins_of(s->length_max)] > 0;
	for (uint32_t i = 0; i < ARRAY_LENGTH(s->lengths); i++)
		if (s->lengths[i] > 0 &&
		    (i < position_bins_of(s->length_min) || i > position_bins_of(s->length_max)))
			ends_filled = false;
	if (!ends_filled)
		return error_set(reterr, ERR_CORRUPT, "the counts do not agree: lengths are not %u to %u",
				 s->length_min, s->length_max);
	return 0;
}

int stats_check(const struct stats *s, struct error *reterr)
{
	uint64_t nonempty, sampled = 0;
	int code;

	if (s->reads > COUNT_MAX || s->bases > COUNT_MAX)
		return error_set(reterr, ERR_LIMIT, "more than 2^53 reads or bases");
	code = check_lengths(s, reterr);
	if (code == 0)
		code = check_positions(s, reterr);
	if (code < 0)
		return code;
	nonempty = s->reads - s->lengths[0];
	if (sum_of(s->mean_quality, QUALITIES) != nonempty)
		return disagree(reterr, "reads of all mean qualities", sum_of(s->mean_quality, QUALITIES), "",
				nonempty);
	if (sum_of(s->gc, ARRAY_LENGTH(s->gc)) > nonempty)
		return disagree(reterr, "reads of all G+C contents", sum_of(s->gc, ARRAY_LENGTH(s->gc)),
				"at most ", nonempty);
	for (int id = 0; id < ADAPTER_COUNT; id++)
		if (sum_of(s->adapter[id], POSITION_BINS) > nonempty)
			return disagree(reterr, adapter_table[id].name, sum_of(s->adapter[id], POSITION_BINS),
					"at most ", nonempty);
	for (uint32_t i = 0; i < SAMPLE_SLOTS && sampled <= nonempty; i++)
		sampled += s->sample.slots[i].count;
	if (sampled > nonempty || (s->sample.level == 0 && sampled != nonempty))
		return disagree(reterr, "reads of the sample", sampled,
				s->sample.level == 0 ? "" : "at most ", nonempty);
	return 0;
}
