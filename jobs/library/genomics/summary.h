/* Percentages, means and quantiles, made from integers. Pure.
 *
 * Numbers with decimals are fixed-point integers in hundredths, rounded half up, in both kinds of
 * report: no floating point, so that every machine and every order of merging prints the same. */
#pragma once

#include "base/buf.h"
#include "base/types.h"
#include "jobs/library/genomics/stats.h"

/* "not a number" of ratios over nothing: null in JSON, "-" in text. */
#define RATIO_NONE UINT64_MAX

/* Hundredths of factor * part / whole; RATIO_NONE when whole is 0. The quotient is < 2^60. */
uint64_t ratio(uint64_t part, uint64_t whole, uint32_t factor);
static inline uint64_t percent(uint64_t part, uint64_t whole)
{
	return ratio(part, whole, 100);
}
/* "12.34", or none for RATIO_NONE; returns text. */
const char *ratio_text(uint64_t value, const char *none, char text[24]);

/* Phred qualities of a group of bases. */
struct quality_summary {
	uint64_t count;
	uint64_t sum;
	/* The least quality that at least so many percent of the bases do not pass (nearest rank).
	 */
	uint32_t q10, q25, q50, q75, q90;
};

/* Of the bins [first, end). */
struct quality_summary summary_quality(const struct stats *s, uint32_t first, uint32_t end);
uint64_t sum_counts(const uint64_t *counts, size_t count);

struct summary {
	uint64_t mean_length;		   /* hundredths */
	uint64_t mean_quality;		   /* hundredths */
	uint64_t q20, q30;		   /* percent of bases of at least this quality, hundredths */
	uint64_t gc, n;			   /* percent of A+C+G+T; percent of bases, hundredths */
	uint32_t quality_min, quality_max; /* 0 without bases */
	uint64_t adapter[ADAPTER_COUNT];   /* percent of reads, hundredths */
	/* Of the sample: reads, and how many of them repeat an earlier one; percent, hundredths. */
	uint64_t sampled_reads, sampled_distinct, duplicates;
};

void summary_of(const struct stats *s, struct summary *ret);

/* Do the qualities look like Phred+64, read as Phred+33? Illumina 1.3 to 1.7 wrote '@' (0) to 'h'
 * (40); what Illumina writes in Phred+33 ends at 'K' (42), and begins far below '@'. */
bool summary_looks_phred64(const struct summary *m);

/* How often sequences of the sample occur: reads in sequences that occur 1, 2, …, 9, 10-49, 50-99,
 * 100-499, 500-999, 1000 and more times. */
#define DUPLICATION_LEVELS 14
extern const char *const duplication_names[DUPLICATION_LEVELS];
void summary_duplication(const struct stats *s, uint64_t ret_reads[DUPLICATION_LEVELS]);
