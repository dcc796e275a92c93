/* A report that was damaged on its way is refused before it is added to others. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/rng.h"
#include "jobs/library/genomics/report.h"

static struct adapter_search search;

static struct stats *stats_of(const char *const *sequences, size_t count)
{
	struct stats *s = stats_create();
	struct error error;

	adapter_search_init(&search);
	for (size_t i = 0; i < count; i++) {
		char quality[256];
		size_t length = strlen(sequences[i]);
		struct fastq_record record = {(const uint8_t *)sequences[i], (const uint8_t *)quality,
					      length};

		memset(quality, "#5I"[i % 3], sizeof quality);
		cr_assert_eq(stats_add(s, &search, &record, &error), 0);
	}
	return s;
}

static const char *const SEQUENCES[] = {"ACGTACGTNN", "GGGGGGGGGGGGGG", "TTAGATCGGAAGAGCC", "", "ACGTACGTNN"};

static struct buf json_of(const struct stats *s)
{
	struct buf out = {0};

	report_json(s, &out);
	cr_assert_eq(out.data[out.size - 1], '\n');
	out.size--;
	return out;
}

Test(report, what_is_written_is_read_again)
{
	struct stats *s = stats_of(SEQUENCES, ARRAY_LENGTH(SEQUENCES)), *back = stats_create();
	struct buf json = json_of(s), again;
	struct error error;

	cr_assert_eq(report_parse(buf_bytes(&json), back, &error), 0, "%s", error.what);
	cr_assert_eq(back->reads, 5);
	cr_assert_eq(back->bases, 50);
	cr_assert_eq(back->adapter[ADAPTER_ILLUMINA_UNIVERSAL][2], 1);
	cr_assert_eq(back->adapter[ADAPTER_POLY_G][0], 1);
	again = json_of(back);
	cr_assert_eq(again.size, json.size);
	cr_assert_arr_eq(again.data, json.data, json.size);
	buf_fini(&again);
	buf_fini(&json);
	stats_destroy(back);
	stats_destroy(s);
}

/* json with the first from behind key replaced by to. */
static struct buf changed(struct buf *json, const char *key, const char *from, const char *to)
{
	struct buf out = {0};
	const char *text = buf_text(json), *at = strstr(text, key);

	cr_assert_not_null(at, "%s", key);
	at = strstr(at, from);
	cr_assert_not_null(at, "%s behind %s", from, key);
	buf_append(&out, text, (size_t)(at - text));
	buf_printf(&out, "%s%s", to, at + strlen(from));
	return out;
}

Test(report, damage_is_told)
{
	static const struct {
		const char *key, *from, *to;
		enum error_code code;
		const char *words;
	} table[] = {
	    {"\"report\"", "fastq-qc", "fastq", ERR_INVALID, "\"report\""},
	    {"\"format\"", "1", "7", ERR_VERSION, "format 1, found 7"},
	    {"\"reads\"", "5", "6", ERR_CORRUPT, "reads of all lengths"},
	    {"\"reads\"", "5", "-5", ERR_INVALID, "\"reads\""},
	    {"\"reads\"", "5", "5.0", ERR_INVALID, "\"reads\""},
	    {"\"reads\"", "5", "9007199254740993", ERR_INVALID, "\"reads\""},
	    {"\"reads\"", "5", "99999999999999999999", ERR_INVALID, "not JSON"},
	    {"\"bases\"", "50", "51", ERR_CORRUPT, "bases of all positions"},
	    {"\"length_min\"", "0", "1", ERR_CORRUPT, "lengths"},
	    {"\"length_max\"", "16", "17", ERR_INVALID, "\"quality\""},
	    {"\"length_max\"", "16", "1000000", ERR_INVALID, "\"length_max\""},
	    {"\"lengths\"", "[0,", "[1,", ERR_CORRUPT, "lengths"},
	    {"\"lengths\"", "[0,", "[100000,", ERR_INVALID, "\"lengths\""},
	    {"\"lengths\"", "[0,", "[-1,", ERR_INVALID, "\"lengths\""},
	    {"\"mean_quality\"", "[", "[\"0\",", ERR_INVALID, "\"mean_quality\""},
	    {"\"mean_quality\"", "1", "3", ERR_CORRUPT, "mean qualities"},
	    {"\"gc\"", "1]", "9007199254740992]", ERR_CORRUPT, "G+C"},
	    {"\"quality\"", "[", "[[],", ERR_INVALID, "\"quality\""},
	    {"\"composition\"", "[2,", "[1,", ERR_CORRUPT, "qualities of a position"},
	    {"\"composition\"", "[2,", "[1,1,", ERR_INVALID, "\"composition\""},
	    {"\"poly_g\"", "[0,1]", "[0,9]", ERR_CORRUPT, "poly-G"},
	    {"\"poly_g\"", "poly_g", "poly_x", ERR_INVALID, "\"poly_g\""},
	    {"\"poly_g\"", "[0,1]", "[591,1,1]", ERR_INVALID, "\"poly_g\""},
	    {"\"poly_g\"", "[0,1]", "[0,-600]", ERR_INVALID, "\"poly_g\""},
	    {"\"level\"", "0", "60", ERR_INVALID, "\"sequences\""},
	    {"\"level\"", "0", "64", ERR_INVALID, "\"level\""},
	    {"\"sequences\"", "{\"", "{\"0", ERR_INVALID, "\"sequences\""},
	    {"\"sequences\"", "{\"", "{\"X", ERR_INVALID, "\"sequences\""},
	    {"\"sequences\"", ":{", ":{\"1\":0,", ERR_INVALID, "\"sequences\""},
	    {"\"sequences\"", ":{", ":{\"1\":1,", ERR_CORRUPT, "reads of the sample"},
	    {"\"sequences\"", ":{", ":{\"1\":1,\"1\":1,", ERR_INVALID, "not JSON"},
	};
	struct stats *s = stats_of(SEQUENCES, ARRAY_LENGTH(SEQUENCES)), *back = stats_create();
	struct buf json = json_of(s);

	for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
		struct buf bad = changed(&json, table[i].key, table[i].from, table[i].to);
		struct error error = {0};
		int code = report_parse(buf_bytes(&bad), back, &error);

		cr_assert_eq(code, table[i].code, "%s → %s behind %s: code %d, %s", table[i].from,
			     table[i].to, table[i].key, code, error.what);
		cr_assert_not_null(strstr(error.what, table[i].words), "%s: %s", table[i].words, error.what);
		buf_fini(&bad);
	}
	buf_fini(&json);
	stats_destroy(back);
	stats_destroy(s);
}

/* Whatever a store does to a report: an error or a report whose counts agree, never a crash. */
Test(report, random_damage_never_gets_by_unchecked)
{
	struct stats *s = stats_of(SEQUENCES, ARRAY_LENGTH(SEQUENCES)), *back = stats_create();
	struct buf json = json_of(s);
	uint32_t refused = 0;
	struct rng r;

	rng_seed(&r, 99);
	for (uint32_t i = 0; i < 3000; i++) {
		size_t at = (size_t)rng_below(&r, json.size);
		uint8_t kept = json.data[at];

		json.data[at] = (uint8_t)rng_u64(&r);
		if (report_parse(buf_bytes(&json), back, NULL) < 0)
			refused++;
		else
			cr_assert_eq(stats_check(back, NULL), 0, "seed 99, step %u", i);
		json.data[at] = kept;
	}
	cr_assert_gt(refused, 1000);
	buf_fini(&json);
	stats_destroy(back);
	stats_destroy(s);
}

Test(report, sums_end_where_json_readers_lose_digits)
{
	struct stats *into = stats_create(), *from = stats_create();
	struct error error;

	into->reads = from->reads = COUNT_MAX / 2 + 1;
	cr_assert_eq(stats_merge(into, from, &error), ERR_LIMIT);
	cr_assert_eq(into->reads, COUNT_MAX / 2 + 1, "unchanged");
	stats_destroy(from);
	stats_destroy(into);
}

Test(report, the_longest_report_is_within_its_bound)
{
	struct stats *s = stats_create();
	struct buf out = {0};
	struct rng r;

	rng_seed(&r, 5);
	memset(s, 0xff, offsetof(struct stats, sample));
	s->length_max = READ_LENGTH_MAX - 1;
	for (uint32_t i = 0; i < SAMPLE_MAX; i++)
		sample_add(&s->sample, rng_u64(&r), COUNT_MAX);
	/* Counts of 20 digits here, of at most 16 in a true report. */
	report_json(s, &out);
	cr_assert_lt(out.size, REPORT_BYTES_MAX);
	buf_fini(&out);
	stats_destroy(s);
}
