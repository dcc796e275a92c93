#include "jobs/library/genomics/report.h"

#include "jobs/library/genomics/summary.h"

/* A report has some ten thousand numbers: formatted by hand. */
static void put_number(struct buf *out, uint64_t value)
{
	uint8_t digits[20];
	size_t i = sizeof digits;

	do {
		digits[--i] = (uint8_t)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	buf_append(out, digits + i, sizeof digits - i);
}

static void put_text(struct buf *out, const char *text)
{
	buf_append_bytes(out, bytes_of(text));
}

static void put_key(struct buf *out, const char *key)
{
	buf_printf(out, "\"%s\":", key);
}

static void put_field(struct buf *out, const char *key, uint64_t value)
{
	put_key(out, key);
	put_number(out, value);
	put_text(out, ",");
}

static void put_ratio(struct buf *out, const char *key, uint64_t value)
{
	char text[24];

	put_key(out, key);
	put_text(out, ratio_text(value, "null", text));
	put_text(out, ",");
}

/* A list's elements are put with a comma behind each; the last comma makes room for the end. */
static void put_end(struct buf *out, const char *end)
{
	if (out->size > 0 && out->data[out->size - 1] == ',')
		out->size--;
	put_text(out, end);
}

static void put_row(struct buf *out, const uint64_t *counts, size_t count)
{
	size_t first = 0, zeros = 0;

	while (count > 0 && counts[count - 1] == 0)
		count--;
	while (first < count && counts[first] == 0)
		first++;
	put_text(out, "[");
	if (first < count) {
		put_number(out, first);
		put_text(out, ",");
	}
	for (size_t i = first; i < count; i++) {
		if (counts[i] == 0) {
			zeros++;
			continue;
		}
		if (zeros > 0) {
			put_text(out, "-");
			put_number(out, zeros);
			put_text(out, ",");
			zeros = 0;
		}
		put_number(out, counts[i]);
		put_text(out, ",");
	}
	put_end(out, "],");
}

static void put_row_field(struct buf *out, const char *key, const uint64_t *counts, size_t count)
{
	put_key(out, key);
	put_row(out, counts, count);
}

static void put_positions(struct buf *out, const struct stats *s)
{
	uint32_t bins = position_bins_of(s->length_max);

	put_key(out, "quality");
	put_text(out, "[");
	for (uint32_t bin = 0; bin < bins; bin++)
		put_row(out, s->quality[bin], QUALITIES);
	put_end(out, "],");
	put_key(out, "composition");
	put_text(out, "[");
	for (uint32_t bin = 0; bin < bins; bin++) {
		put_text(out, "[");
		for (uint32_t code = 0; code < BASE_CODES; code++) {
			put_number(out, s->base[bin][code]);
			put_text(out, ",");
		}
		put_end(out, "],");
	}
	put_end(out, "],");
}

static void put_sample(struct buf *out, const struct sample *sample)
{
	struct sample_entry entries[SAMPLE_MAX];
	uint32_t count = sample_sorted(sample, entries);

	put_text(out, "\"sample\":{");
	put_field(out, "level", sample->level);
	put_text(out, "\"sequences\":{");
	for (uint32_t i = 0; i < count; i++) {
		buf_printf(out, "\"%llx\":", (unsigned long long)entries[i].hash);
		put_number(out, entries[i].count);
		put_text(out, ",");
	}
	put_end(out, "}},");
}

/* What readers of the report want to have ready; merging makes it anew. */
static void put_derived(struct buf *out, const struct stats *s)
{
	struct summary m;

	summary_of(s, &m);
	put_text(out, "\"derived\":{");
	put_ratio(out, "mean_length", m.mean_length);
	put_ratio(out, "mean_quality", m.mean_quality);
	put_ratio(out, "q20_percent", m.q20);
	put_ratio(out, "q30_percent", m.q30);
	put_ratio(out, "gc_percent", m.gc);
	put_ratio(out, "n_percent", m.n);
	put_ratio(out, "duplicate_percent", m.duplicates);
	put_text(out, "\"adapter_percent\":{");
	for (int id = 0; id < ADAPTER_COUNT; id++)
		put_ratio(out, adapter_table[id].key, m.adapter[id]);
	put_end(out, "},");
	put_key(out, "position_columns");
	put_text(out, "[\"first\",\"last\",\"bases\",\"sum\",\"p10\",\"p25\",\"p50\",\"p75\",\"p90\"],");
	put_key(out, "positions");
	put_text(out, "[");
	for (uint32_t bin = 0; bin < position_bins_of(s->length_max); bin++) {
		struct quality_summary q = summary_quality(s, bin, bin + 1);
		uint64_t row[] = {
		    position_bin_first(bin) + 1,
		    position_bin_first(bin + 1),
		    q.count,
		    q.sum,
		    q.q10,
		    q.q25,
		    q.q50,
		    q.q75,
		    q.q90,
		};

		put_text(out, "[");
		for (size_t i = 0; i < ARRAY_LENGTH(row); i++) {
			put_number(out, row[i]);
			put_text(out, ",");
		}
		put_end(out, "],");
	}
	put_end(out, "]}");
}

void report_json(const struct stats *s, struct buf *out)
{
	buf_printf(out, "{\"report\":\"%s\",\"format\":%d,", REPORT_NAME, REPORT_FORMAT);
	put_field(out, "reads", s->reads);
	put_field(out, "bases", s->bases);
	put_field(out, "length_min", s->length_min);
	put_field(out, "length_max", s->length_max);
	put_row_field(out, "lengths", s->lengths, ARRAY_LENGTH(s->lengths));
	put_row_field(out, "mean_quality", s->mean_quality, QUALITIES);
	put_row_field(out, "gc", s->gc, ARRAY_LENGTH(s->gc));
	put_positions(out, s);
	put_text(out, "\"adapters\":{");
	for (int id = 0; id < ADAPTER_COUNT; id++)
		put_row_field(out, adapter_table[id].key, s->adapter[id], POSITION_BINS);
	put_end(out, "},");
	put_sample(out, &s->sample);
	put_derived(out, s);
	put_text(out, "}\n");
}
