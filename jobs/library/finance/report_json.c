#include <inttypes.h>
#include <stdio.h>

#include "jobs/library/finance/report.h"

/* "-12.34": as a number, which every JSON reader takes. */
static void put_money(struct buf *out, const char *key, int64_t cents)
{
	uint64_t size = cents < 0 ? -(uint64_t)cents : (uint64_t)cents;

	buf_printf(out, "\"%s\":%s%" PRIu64 ".%02u", key, cents < 0 ? "-" : "", size / 100,
		   (unsigned)(size % 100));
}

static void put_key(const struct tally_key *k, struct buf *out)
{
	buf_printf(out, "\"fingerprint\":\"%016" PRIx64 "\",\"seed\":\"%" PRIu64 "\",", k->fingerprint,
		   k->seed);
	buf_printf(out, "\"horizon_days\":%u,\"decay_ppm\":%u,\"assets\":%u,\"returns\":%u,", k->horizon_days,
		   k->decay_ppm, k->asset_count, k->draw_count);
	buf_printf(out, "\"from\":\"%s\",\"until\":\"%s\",", k->from, k->until);
	buf_printf(out, "\"total_cents\":%" PRId64 ",\"gross_cents\":%" PRId64 ",\"bin_cents\":%" PRIu64,
		   k->total_cents, k->gross_cents, k->bin_cents);
}

static void put_derived(const struct tally *t, struct buf *out)
{
	buf_printf(out, "{");
	put_money(out, "value", t->key.total_cents);
	if (t->scenario_count > 0) {
		buf_printf(out, ",");
		put_money(out, "mean", report_mean_cents(t));
		buf_printf(out, ",");
		put_money(out, "worst", t->worst_cents);
		buf_printf(out, ",");
		put_money(out, "best", t->best_cents);
		buf_printf(out, ",\"missing\":%" PRIu64 ",\"risk\":[", report_missing(t));
		for (int i = 0; i < REPORT_LEVELS; i++) {
			struct risk_level l = report_level(t, report_confidence_permille[i]);

			buf_printf(out, "%s{\"confidence\":%u.%03u,", i > 0 ? "," : "",
				   l.confidence_permille / 1000, l.confidence_permille % 1000);
			put_money(out, "value_at_risk", l.var_cents);
			buf_printf(out, ",");
			put_money(out, "expected_shortfall", l.shortfall_cents);
			buf_printf(out, ",\"tail\":%" PRIu64 ",\"beyond_bins\":%s}", l.tail_count,
				   l.beyond ? "true" : "false");
		}
		buf_printf(out, "]");
	}
	buf_printf(out, "}");
}

void report_json(const struct tally *t, struct buf *out)
{
	const char *comma = "";

	buf_printf(out, "{\"report\":\"finance-var\",\"format\":%d,", REPORT_FORMAT);
	put_key(&t->key, out);
	buf_printf(out, ",\"scenarios\":%" PRIu64 ",\"worst_cents\":%" PRId64 ",\"best_cents\":%" PRId64,
		   t->scenario_count, t->worst_cents, t->best_cents);
	buf_printf(out, ",\"ranges\":[");
	for (uint32_t i = 0; i < t->range_count; i++)
		buf_printf(out, "%s[%" PRIu64 ",%" PRIu64 "]", i > 0 ? "," : "", t->ranges[i].first,
			   t->ranges[i].count);
	buf_printf(out, "],\"cells\":[");
	for (uint32_t i = 0; i < TALLY_CELLS; i++) {
		if (t->cells[i].count == 0)
			continue;
		buf_printf(out, "%s[%u,%" PRIu64 ",%" PRIu64 "]", comma, i, t->cells[i].count,
			   t->cells[i].rest_cents);
		comma = ",";
	}
	buf_printf(out, "],\"derived\":");
	put_derived(t, out);
	buf_printf(out, "}\n");
}
