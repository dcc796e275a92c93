/* What a tally says: value at risk and expected shortfall. Pure.
 *
 * Of N scenarios the k worst are the tail of a confidence c: k = N * (1 - c), rounded up. Value at risk is
 * the k-th worst loss, expected shortfall the mean of the k worst. Both are made from bins: what lies in
 * bins that are all tail enters exactly, to the cent; in the one bin where the tail ends profits are taken
 * to lie evenly, so that neither figure is off by more than the width of a bin, which the report tells. */
#pragma once

#include "jobs/library/finance/tally.h"

#define REPORT_FORMAT 1
#define REPORT_LEVELS 4
extern const uint32_t report_confidence_permille[REPORT_LEVELS]; /* 950, 975, 990, 995 */

/* Losses are positive. */
struct risk_level {
	uint32_t confidence_permille;
	uint64_t tail_count; /* k */
	int64_t var_cents;
	int64_t shortfall_cents;
	bool beyond; /* value at risk lies beyond the bins and is given as the mean of what does */
};

/* t has scenarios. */
struct risk_level report_level(const struct tally *t, uint32_t confidence_permille);
int64_t report_mean_cents(const struct tally *t);
/* Scenarios below the highest one that was seen which were not. */
uint64_t report_missing(const struct tally *t);

/* For programs: one line of JSON, of integers but for `derived`. report_parse reads it back. */
void report_json(const struct tally *t, struct buf *out);
/* For people. */
void report_text(const struct tally *t, struct buf *out);
/* Adds the tally in a line that report_json wrote. */
int report_parse_into(struct tally *t, struct bytes line, struct error *reterr) MUST_CHECK;
/* Adds what stands at the front of in: tallies in their compact form and lines of JSON, in any mixture.
 * Unless is_all, what is not whole at its end is left for the next time. *ret_used: how far it came, also
 * after an error. When all is in, tally_check judges the sum. */
int report_merge(struct tally *t, struct bytes in, bool is_all, size_t *ret_used,
		 struct error *reterr) MUST_CHECK;
