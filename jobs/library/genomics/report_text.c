#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "jobs/library/genomics/report.h"
#include "jobs/library/genomics/summary.h"

#define BAR_WIDTH 50
#define ROWS_MAX 24 /* of one plot */

/* Plots have at most ROWS_MAX rows of indices [first, end). Where bins get wider than one position
 * (from bend on), rows begin anew: half of them show what lies before, half what lies behind. */
static uint32_t row_end(uint32_t at, uint32_t first, uint32_t end, uint32_t bend)
{
	uint32_t rows = ROWS_MAX, step;

	if (first < bend && bend < end) {
		rows /= 2;
		if (at < bend)
			end = bend;
		else
			first = bend;
	}
	step = (end - first + rows - 1) / rows;
	return at + step < end ? at + step : end;
}

/* Ends a line, without the blanks before its end. */
static void put_line_end(struct buf *out)
{
	while (out->size > 0 && out->data[out->size - 1] == ' ')
		out->size--;
	buf_printf(out, "\n");
}

static void put_bar(struct buf *out, uint64_t part, uint64_t most)
{
	char bar[BAR_WIDTH + 1];
	/* Anything above nothing shows. */
	size_t width = part == 0 || most == 0 ? 0 : (size_t)(ratio(part, most, BAR_WIDTH) / 100);

	if (part > 0 && width == 0)
		width = 1;
	memset(bar, '#', width);
	bar[width] = '\0';
	buf_printf(out, "%s", bar);
	put_line_end(out);
}

/* "7", or "5-9". */
static const char *range_text(uint32_t first, uint32_t last, char text[32])
{
	if (first >= last)
		snprintf(text, 32, "%u", first);
	else
		snprintf(text, 32, "%u-%u", first, last);
	return text;
}

/* The first value that an index of a histogram stands for; of count, where the last one ends. */
typedef uint32_t value_fn(uint32_t index);

static uint32_t value_itself(uint32_t index)
{
	return index;
}

/* lengths[] is indexed by the number of bins that a read uses. */
static uint32_t value_length(uint32_t index)
{
	return index == 0 ? 0 : position_bin_first(index - 1) + 1;
}

static void put_histogram(struct buf *out, const char *title, const uint64_t *counts, uint32_t count,
			  uint32_t bend, value_fn *value)
{
	uint64_t most = 0;
	uint32_t first = 0;
	char text[32];

	while (count > 0 && counts[count - 1] == 0)
		count--;
	while (first < count && counts[first] == 0)
		first++;
	for (uint32_t at = first, end; at < count; at = end) {
		end = row_end(at, first, count, bend);
		uint64_t sum = sum_counts(counts + at, end - at);

		most = sum > most ? sum : most;
	}
	buf_printf(out, "\n%s\n", title);
	for (uint32_t at = first, end; at < count; at = end) {
		end = row_end(at, first, count, bend);
		uint64_t sum = sum_counts(counts + at, end - at);

		buf_printf(out, "  %13s %12" PRIu64 "  ", range_text(value(at), value(end) - 1, text), sum);
		put_bar(out, sum, most);
	}
}

static void put_head(struct buf *out, const struct stats *s, const struct summary *m)
{
	char a[24], b[24];

	buf_printf(out, "FASTQ quality: %" PRIu64 " reads, %" PRIu64 " bases\n\n", s->reads, s->bases);
	buf_printf(out, "  length        %u to %u, mean %s\n", s->length_min, s->length_max,
		   ratio_text(m->mean_length, "-", a));
	buf_printf(out, "  quality       %u to %u, mean %s\n", m->quality_min, m->quality_max,
		   ratio_text(m->mean_quality, "-", a));
	buf_printf(out, "  Q20, Q30      %s %%, %s %% of bases\n", ratio_text(m->q20, "-", a),
		   ratio_text(m->q30, "-", b));
	buf_printf(out, "  G+C           %s %%\n", ratio_text(m->gc, "-", a));
	buf_printf(out, "  not called    %s %% (N)\n", ratio_text(m->n, "-", a));
	buf_printf(out, "  duplicates    %s %% of reads", ratio_text(m->duplicates, "-", a));
	if (s->sample.level > 0)
		buf_printf(out, ", estimated: one sequence in 2^%u counted, %" PRIu64 " reads",
			   s->sample.level, m->sampled_reads);
	buf_printf(out, "\n");
	if (summary_looks_phred64(m))
		buf_printf(out, "\n  The qualities look like Phred+64 (Illumina 1.3 to 1.7); they "
				"were read as Phred+33 and are 31 too high.\n");
}

/* One line a group of positions: "  [==|===]  " from the 10th to the 90th percentile. */
static void put_box(struct buf *out, const struct quality_summary *q, uint32_t highest)
{
	char box[QUALITIES + 1];

	memset(box, ' ', sizeof box);
	for (uint32_t i = q->q10; i <= q->q90; i++)
		box[i] = '-';
	for (uint32_t i = q->q25; i <= q->q75; i++)
		box[i] = '=';
	box[q->q25] = '[';
	box[q->q75] = ']';
	box[q->q50] = '|';
	buf_printf(out, "%.*s", (int)highest + 1, box);
	put_line_end(out);
}

static void put_quality(struct buf *out, const struct stats *s, const struct summary *m)
{
	uint32_t bins = position_bins_of(s->length_max);
	char position[32], mean[24];

	buf_printf(out, "\nQuality by position: - 10th to 90th percentile, [=] quartiles, | median\n"
			"       position   mean  median  0");
	for (uint32_t q = 10; q <= m->quality_max; q += 10)
		buf_printf(out, "%10u", q);
	buf_printf(out, "\n");
	for (uint32_t bin = 0, end; bin < bins; bin = end) {
		end = row_end(bin, 0, bins, POSITION_SINGLES);
		struct quality_summary q = summary_quality(s, bin, end);

		buf_printf(out, "  %13s %6s  %6u  ",
			   range_text(position_bin_first(bin) + 1, position_bin_first(end), position),
			   ratio_text(ratio(q.sum, q.count, 1), "-", mean), q.q50);
		put_box(out, &q, m->quality_max);
	}
}

static void put_composition(struct buf *out, const struct stats *s)
{
	uint32_t bins = position_bins_of(s->length_max);
	char position[32], text[24];

	buf_printf(out, "\nBases by position, percent\n"
			"       position       A       C       G       T       N\n");
	for (uint32_t bin = 0, end; bin < bins; bin = end) {
		end = row_end(bin, 0, bins, POSITION_SINGLES);
		uint64_t by_code[BASE_CODES] = {0};

		for (uint32_t i = bin; i < end; i++)
			for (uint32_t code = 0; code < BASE_CODES; code++)
				by_code[code] += s->base[i][code];
		buf_printf(out, "  %13s",
			   range_text(position_bin_first(bin) + 1, position_bin_first(end), position));
		for (uint32_t code = 0; code < BASE_CODES; code++)
			buf_printf(
			    out, " %7s",
			    ratio_text(percent(by_code[code], sum_counts(by_code, BASE_CODES)), "-", text));
		buf_printf(out, "\n");
	}
}

/* Cumulative: what of the reads holds the adapter at or before a tenth, two tenths, … of the
 * positions. */
static void put_adapters(struct buf *out, const struct stats *s, const struct summary *m)
{
	static const char shades[] = " .:-=+*#%@"; /* a tenth of all reads each */
	uint32_t bins = position_bins_of(s->length_max);
	char text[24];

	buf_printf(out,
		   "\nAdapters: reads that hold the first %d bases; by position, a shade of "
		   "\"%s\" for each 10 %%\n",
		   ADAPTER_LENGTH, shades);
	for (int id = 0; id < ADAPTER_COUNT; id++) {
		char line[BAR_WIDTH + 1] = {0};
		uint64_t seen = 0;
		uint32_t bin = 0;

		for (uint32_t i = 0; i < BAR_WIDTH; i++) {
			for (; bin < (uint64_t)bins * (i + 1) / BAR_WIDTH; bin++)
				seen += s->adapter[id][bin];
			uint64_t shade = s->reads > 0 ? ratio(seen, s->reads, 10) / 100 : 0;

			line[i] = shades[shade > 9 ? 9 : shade];
			if (seen > 0 && line[i] == ' ')
				line[i] = '.';
		}
		buf_printf(out, "  %-21s  %s  %10" PRIu64 "  %6s %%  |%s|\n", adapter_table[id].name,
			   adapter_table[id].sequence, sum_counts(s->adapter[id], POSITION_BINS),
			   ratio_text(m->adapter[id], "-", text), line);
	}
}

static void put_duplication(struct buf *out, const struct stats *s, const struct summary *m)
{
	uint64_t reads[DUPLICATION_LEVELS];
	char text[24];

	summary_duplication(s, reads);
	buf_printf(out, "\nReads by how often their sequence occurs, percent%s\n",
		   s->sample.level > 0 ? " (of the sample)" : "");
	for (int i = 0; i < DUPLICATION_LEVELS; i++) {
		if (reads[i] == 0)
			continue;
		buf_printf(out, "  %13s %12s  ", duplication_names[i],
			   ratio_text(percent(reads[i], m->sampled_reads), "-", text));
		put_bar(out, reads[i], m->sampled_reads);
	}
}

void report_text(const struct stats *s, struct buf *out)
{
	struct summary m;

	summary_of(s, &m);
	put_head(out, s, &m);
	if (s->bases == 0)
		return;
	put_quality(out, s, &m);
	put_histogram(out, "Reads by mean quality", s->mean_quality, QUALITIES, QUALITIES, value_itself);
	put_histogram(out, "Reads by G+C percent", s->gc, ARRAY_LENGTH(s->gc), ARRAY_LENGTH(s->gc),
		      value_itself);
	put_histogram(out, "Reads by length", s->lengths, ARRAY_LENGTH(s->lengths), POSITION_SINGLES + 1,
		      value_length);
	put_composition(out, s);
	put_adapters(out, s, &m);
	put_duplication(out, s, &m);
}
