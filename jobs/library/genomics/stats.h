/* What is counted over reads. Pure.
 *
 * Every field is a sum, a minimum or a maximum over reads, or a sample that does not depend on
 * their order (sample.h): merging the statistics of parts gives exactly those of the whole, in any
 * order and any grouping. Percentages, means and quantiles are made from these integers when a
 * report is written (summary.h), never before.
 *
 * Memory: one struct of about 0.7 MB, whatever the input. Owner: the caller. */
#pragma once

#include "base/error.h"
#include "base/types.h"
#include "jobs/library/genomics/adapters.h"
#include "jobs/library/genomics/positions.h"
#include "jobs/library/genomics/reader.h"
#include "jobs/library/genomics/sample.h"

#define QUALITY_FIRST '!' /* Phred+33: '!' is 0, '~' is 93 */
#define QUALITIES 94u
#define QUALITY_ROW 96u /* QUALITIES, rounded up for whole cache lines */
#define BASE_ROW 8u	/* BASE_CODES + the invalid one, rounded up */
/* No count passes this: the largest integer that every JSON reader keeps. */
#define COUNT_MAX (UINT64_C(1) << 53)

struct stats {
	uint64_t reads;
	uint64_t bases;
	uint32_t length_min; /* 0 without reads */
	uint32_t length_max;
	uint64_t quality[POSITION_BINS][QUALITY_ROW]; /* bases by position and Phred quality */
	uint64_t base[POSITION_BINS][BASE_ROW];	      /* bases by position and enum base_code */
	uint64_t lengths[POSITION_BINS + 1];	      /* reads by position_bins_of(length) */
	uint64_t mean_quality[QUALITIES];	      /* non-empty reads by mean quality, rounded down */
	uint64_t gc[101]; /* reads by G+C percent of A, C, G, T, rounded half up */
	uint64_t adapter[ADAPTER_COUNT][POSITION_BINS]; /* reads by where it first occurs */
	struct sample sample;				/* of the sequences of non-empty reads */
};

struct stats *stats_create(void);
void stats_destroy(struct stats *s); /* may be NULL */
void stats_clear(struct stats *s);
/* Count a read. ERR_INVALID when a letter is no base or a character no Phred+33 quality: s is then
 * of no more use. The caller adds where. */
int stats_add(struct stats *s, const struct adapter_search *search, const struct fastq_record *record,
	      struct error *reterr) MUST_CHECK;
/* ERR_LIMIT when the sum passes COUNT_MAX: into is unchanged. Both have passed stats_check. */
int stats_merge(struct stats *into, const struct stats *from, struct error *reterr) MUST_CHECK;
/* Do the counts agree with each other? ERR_CORRUPT when not: a report was damaged. */
int stats_check(const struct stats *s, struct error *reterr) MUST_CHECK;
