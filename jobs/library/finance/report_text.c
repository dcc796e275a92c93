#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "jobs/library/finance/report.h"

#define ROWS_MAX 20u
#define BAR_WIDTH 50u
#define FIGURE_SIZE 40

/* Digits in groups of three. */
static const char *grouped(uint64_t value, char ret[FIGURE_SIZE])
{
	char digits[24], *to = ret;
	int count = snprintf(digits, sizeof digits, "%" PRIu64, value);

	for (int i = 0; i < count; i++) {
		if (i > 0 && (count - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = '\0';
	return ret;
}

static const char *money(int64_t cents, char ret[FIGURE_SIZE])
{
	uint64_t size = cents < 0 ? -(uint64_t)cents : (uint64_t)cents;
	char whole[FIGURE_SIZE];

	snprintf(ret, FIGURE_SIZE, "%s%.28s.%02u", cents < 0 ? "-" : "", grouped(size / 100, whole),
		 (unsigned)(size % 100));
	return ret;
}

/* Of the gross value, in hundredths of a percent. */
static const char *share(const struct tally *t, int64_t cents, char ret[FIGURE_SIZE])
{
	__int128 size = cents < 0 ? -(__int128)cents : cents;
	uint64_t part = (uint64_t)((size * 10000 + t->key.gross_cents / 2) / t->key.gross_cents);

	snprintf(ret, FIGURE_SIZE, "%s%" PRIu64 ".%02u %%", cents < 0 && part > 0 ? "-" : "", part / 100,
		 (unsigned)(part % 100));
	return ret;
}

/* The cell of the n-th worst scenario, n from 1. */
static uint32_t cell_of_rank(const struct tally *t, uint64_t n)
{
	uint64_t seen = 0;
	uint32_t i = 0;

	for (; seen + t->cells[i].count < n; i++)
		seen += t->cells[i].count;
	return i;
}

static uint64_t count_cells(const struct tally *t, uint32_t first, uint32_t end)
{
	uint64_t count = 0;

	for (uint32_t i = first; i < end; i++)
		count += t->cells[i].count;
	return count;
}

static void put_row(const char *label, uint64_t count, uint64_t most, struct buf *out)
{
	char bar[BAR_WIDTH + 1], figure[FIGURE_SIZE];
	size_t width = (size_t)((__int128)count * BAR_WIDTH / (most > 0 ? most : 1));

	width = width == 0 && count > 0 ? 1 : width > BAR_WIDTH ? BAR_WIDTH : width;
	memset(bar, '#', width);
	bar[width] = '\0';
	buf_printf(out, "  %24s  %14s%s%s\n", label, grouped(count, figure), width > 0 ? "  " : "", bar);
}

/* All but one in a thousand at either end in rows of equal width, the ends in a row each. */
static void put_histogram(const struct tally *t, struct buf *out)
{
	uint64_t end_count = t->scenario_count / 1000 + 1, most = 0;
	uint32_t first = cell_of_rank(t, end_count);
	uint32_t last = cell_of_rank(t, t->scenario_count - end_count + 1), step;
	char label[2 * FIGURE_SIZE], figure[FIGURE_SIZE];

	first = first == 0 ? 1 : first;
	last = last < first ? first : last > TALLY_BINS ? TALLY_BINS : last;
	step = (last - first + ROWS_MAX) / ROWS_MAX;
	for (uint32_t at = first; at <= last; at += step)
		if (count_cells(t, at, at + step < TALLY_CELLS ? at + step : TALLY_CELLS - 1) > most)
			most = count_cells(t, at, at + step < TALLY_CELLS ? at + step : TALLY_CELLS - 1);
	buf_printf(out, "\n  %24s  %14s\n", "profit from", "scenarios");
	put_row("less", count_cells(t, 0, first), most, out);
	for (; first <= last; first += step) {
		uint32_t end = first + step < TALLY_CELLS ? first + step : TALLY_CELLS - 1;

		snprintf(label, sizeof label, "%s", money(tally_floor(t, first), figure));
		put_row(label, count_cells(t, first, end), most, out);
	}
	put_row("more", count_cells(t, first < TALLY_CELLS ? first : TALLY_CELLS - 1, TALLY_CELLS), most,
		out);
}

static void put_line(const struct tally *t, const char *what, int64_t cents, struct buf *out)
{
	char figure[FIGURE_SIZE], part[FIGURE_SIZE];

	buf_printf(out, "  %-12s%22s  %9s\n", what, money(cents, figure), share(t, cents, part));
}

void report_text(const struct tally *t, struct buf *out)
{
	const struct tally_key *k = &t->key;
	char a[FIGURE_SIZE], b[FIGURE_SIZE], c[FIGURE_SIZE], d[FIGURE_SIZE];

	buf_printf(out, "Value at risk over %u day%s, %s scenarios\n\n", k->horizon_days,
		   k->horizon_days == 1 ? "" : "s", grouped(t->scenario_count, a));
	buf_printf(out, "  history     %s to %s, %u returns of %u assets\n", k->from, k->until, k->draw_count,
		   k->asset_count);
	buf_printf(out, "  parameters  seed %" PRIu64 ", decay %u.%06u, inputs %016" PRIx64 "\n", k->seed,
		   k->decay_ppm / DECAY_PPM_MAX, k->decay_ppm % DECAY_PPM_MAX, k->fingerprint);
	put_line(t, "value", k->total_cents, out);
	if (t->scenario_count == 0)
		return;
	put_line(t, "mean profit", report_mean_cents(t), out);
	put_line(t, "worst", t->worst_cents, out);
	put_line(t, "best", t->best_cents, out);
	if (report_missing(t) > 0)
		buf_printf(out, "  %s scenarios are missing: their shards failed\n",
			   grouped(report_missing(t), a));
	buf_printf(out, "\n  %10s  %20s  %9s  %20s\n", "confidence", "value at risk", "",
		   "expected shortfall");
	for (int i = 0; i < REPORT_LEVELS; i++) {
		struct risk_level l = report_level(t, report_confidence_permille[i]);

		buf_printf(out, "  %6u.%u %%  %20s  %9s  %20s  %9s%s\n", l.confidence_permille / 10,
			   l.confidence_permille % 10, money(l.var_cents, a), share(t, l.var_cents, b),
			   money(l.shortfall_cents, c), share(t, l.shortfall_cents, d),
			   l.beyond ? "  (beyond the bins)" : "");
	}
	buf_printf(out, "\n  shares are of the gross value; figures are good to the width of a bin, %s\n",
		   money((int64_t)k->bin_cents, a));
	put_histogram(t, out);
}
