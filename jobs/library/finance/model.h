/* What a scenario is made from: history, positions and parameters, in the form that the loop wants.
 * Pure; the same on every machine (below).
 *
 * Filtered historical simulation (G. Barone-Adesi, K. Giannopoulos, L. Vosper, VaR without correlations
 * for portfolios of derivative securities, Journal of Futures Markets 19, 1999; J. Hull, A. White,
 * Incorporating volatility updating into the historical simulation method for VaR, Journal of Risk 1,
 * 1998). A day's return of an asset is divided by the volatility that was expected for that day, an
 * exponentially weighted mean of squares (RiskMetrics, 1996); a scenario draws whole days of these, with
 * replacement, so that what happened together stays together, and multiplies them by the volatility as it
 * develops along the scenario's own path from today on. With decay 1 this is plain historical bootstrap.
 *
 * Returns are ratios of prices less 1, not logarithms: then a scenario needs +, *, / and square roots
 * only, which IEEE 754 rounds in one way. No libm, no contraction to FMA, no change of order (see
 * meson.build): a scenario's profit is the same number of cents everywhere. */
#pragma once

#include "jobs/library/finance/positions.h"
#include "jobs/library/finance/prices.h"

#define HORIZON_DAYS_MAX 250u
#define DECAY_PPM_MAX 1000000u
#define SCENARIOS_MAX 4294967295ull
#define CENTS_MAX 1000000000000000ll /* of a portfolio: 10 million million units */

struct model_parameters {
	uint64_t seed;
	uint32_t horizon_days; /* 1 to HORIZON_DAYS_MAX */
	uint32_t decay_ppm;    /* 1 to DECAY_PPM_MAX; 940000 is 0.94 */
};

/* Cents are hundredths of the price file's unit. */
struct model {
	struct model_parameters parameters;
	uint32_t asset_count; /* that the portfolio holds */
	uint32_t stride;      /* asset_count, filled up for vectors; what fills is worth nothing */
	uint32_t draw_count;  /* days that can be drawn */
	char from[DATE_SIZE], until[DATE_SIZE]; /* first and last date of the history */
	double *shocks;	      /* a row of stride for each day: return by expected volatility */
	double *variance;     /* of tomorrow */
	double *value_cents;  /* of each position; negative: short */
	double *path;	      /* room for a scenario: growth, then variance */
	double keep, renew;   /* the decay, and 1 less it */
	int64_t total_cents;  /* the portfolio */
	int64_t gross_cents;  /* without signs */
	uint64_t fingerprint; /* of all of the above */
	bool borrows;	      /* all but path is another's */
};

/* ERR_INVALID, ERR_LIMIT: a portfolio without value or too large to count. */
int model_create(const struct price_table *prices, const struct position_list *positions,
		 const struct model_parameters *parameters, struct model **ret,
		 struct error *reterr) MUST_CHECK;
/* For another thread: everything shared with m, which has to live longer, but a path of its own. */
struct model *model_share(const struct model *m);
void model_destroy(struct model *m);

/* The profit (or loss, negative) of scenario n, in cents. A function of model and n. */
int64_t model_scenario(struct model *m, uint64_t n);
