/* Reports as programs wrote them, read back: JSON becomes a tally in its compact form, so that there is one
 * reader that judges numbers. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "jobs/library/finance/report.h"

static int wrong(const char *key, const char *expected, struct error *reterr)
{
	return error_set(reterr, ERR_INVALID, "\"%s\": expected %s", key, expected);
}

static int get_integer(const json_t *object, const char *key, int64_t least, int64_t most, int64_t *ret,
		       struct error *reterr)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_integer(value) || json_integer_value(value) < least || json_integer_value(value) > most)
		return wrong(key, "a whole number within its bounds", reterr);
	*ret = json_integer_value(value);
	return 0;
}

/* 64 bits in a text, as not every JSON reader keeps them in a number. */
static int get_text_u64(const json_t *object, const char *key, int base, uint64_t *ret, struct error *reterr)
{
	const char *text = json_string_value(json_object_get(object, key)), *digits = "0123456789abcdef";
	char *end;

	if (text == NULL || *text == '\0' || strlen(text) > 20 || strspn(text, digits) != strlen(text))
		return wrong(key, "a number in a text", reterr);
	*ret = strtoull(text, &end, base);
	return *end == '\0' ? 0 : wrong(key, "a number in a text", reterr);
}

static int get_date(const json_t *object, const char *key, char date[DATE_SIZE], struct error *reterr)
{
	const char *text = json_string_value(json_object_get(object, key));

	if (text == NULL || strlen(text) != DATE_SIZE - 1 || strspn(text, "0123456789-") != DATE_SIZE - 1)
		return wrong(key, "a date YYYY-MM-DD", reterr);
	memcpy(date, text, DATE_SIZE);
	return 0;
}

static int get_key(const json_t *root, struct tally_key *k, struct error *reterr)
{
	struct {
		const char *key;
		int64_t least, most;
		int64_t value;
	} numbers[] = {
	    {"horizon_days", 1, HORIZON_DAYS_MAX, 0}, {"decay_ppm", 1, DECAY_PPM_MAX, 0},
	    {"assets", 1, PRICE_ASSETS_MAX, 0},	      {"returns", 1, PRICE_DAYS_MAX, 0},
	    {"gross_cents", 1, CENTS_MAX, 0},	      {"total_cents", -CENTS_MAX, CENTS_MAX, 0},
	    {"bin_cents", 1, CENTS_MAX, 0},
	};
	int rc = 0;

	for (size_t i = 0; i < ARRAY_LENGTH(numbers) && rc == 0; i++)
		rc = get_integer(root, numbers[i].key, numbers[i].least, numbers[i].most, &numbers[i].value,
				 reterr);
	if (rc == 0)
		rc = get_text_u64(root, "fingerprint", 16, &k->fingerprint, reterr);
	if (rc == 0)
		rc = get_text_u64(root, "seed", 10, &k->seed, reterr);
	if (rc == 0)
		rc = get_date(root, "from", k->from, reterr);
	if (rc == 0)
		rc = get_date(root, "until", k->until, reterr);
	k->horizon_days = (uint32_t)numbers[0].value;
	k->decay_ppm = (uint32_t)numbers[1].value;
	k->asset_count = (uint32_t)numbers[2].value;
	k->draw_count = (uint32_t)numbers[3].value;
	k->gross_cents = numbers[4].value;
	k->total_cents = numbers[5].value;
	k->bin_cents = (uint64_t)numbers[6].value;
	return rc;
}

/* Row i of a list of rows of whole numbers that are not negative. */
static bool get_row(const json_t *rows, size_t i, size_t width, uint64_t *ret)
{
	const json_t *row = json_array_get(rows, i);

	if (!json_is_array(row) || json_array_size(row) != width)
		return false;
	for (size_t j = 0; j < width; j++) {
		const json_t *value = json_array_get(row, j);

		if (!json_is_integer(value) || json_integer_value(value) < 0)
			return false;
		ret[j] = (uint64_t)json_integer_value(value);
	}
	return true;
}

static int get_ranges(const json_t *root, struct tally *t, struct error *reterr)
{
	const json_t *rows = json_object_get(root, "ranges");
	uint64_t row[2], seen = 0;

	for (size_t i = 0; i < json_array_size(rows); i++) {
		if (!get_row(rows, i, 2, row) || row[1] == 0 || row[0] > SCENARIOS_MAX ||
		    row[1] > SCENARIOS_MAX - row[0])
			return wrong("ranges", "[first, count] of scenarios", reterr);
		if (tally_add_range(t, (struct scenario_range){row[0], row[1]}, reterr) < 0)
			return ERR_INVALID;
		seen += row[1];
	}
	return seen == t->scenario_count ? 0 : wrong("ranges", "as many scenarios as there are", reterr);
}

static int get_cells(const json_t *root, struct tally *t, struct error *reterr)
{
	const json_t *rows = json_object_get(root, "cells");
	uint64_t row[3], seen = 0;

	for (size_t i = 0; i < json_array_size(rows); i++) {
		if (!get_row(rows, i, 3, row) || row[0] >= TALLY_CELLS || row[1] == 0 ||
		    row[1] > t->scenario_count - seen || t->cells[row[0]].count > 0)
			return wrong("cells", "[cell, count, rest], each cell once", reterr);
		*tally_fill(t, (uint32_t)row[0]) = (struct tally_cell){row[1], row[2]};
		seen += row[1];
	}
	if (!json_is_array(rows) || seen != t->scenario_count)
		return wrong("cells", "as many scenarios as there are", reterr);
	return 0;
}

static int get_tally(const json_t *root, struct tally *t, struct error *reterr)
{
	int64_t format = 0, scenarios = 0;
	int rc;

	if (!json_is_string(json_object_get(root, "report")) ||
	    strcmp(json_string_value(json_object_get(root, "report")), "finance-var") != 0)
		return error_set(reterr, ERR_INVALID, "expected a report of finance-var");
	if (get_integer(root, "format", 1, INT32_MAX, &format, reterr) < 0)
		return ERR_INVALID;
	if (format != REPORT_FORMAT)
		return error_set(reterr, ERR_VERSION, "format %lld; this build reads %d", (long long)format,
				 REPORT_FORMAT);
	rc = get_key(root, &t->key, reterr);
	if (rc == 0)
		rc = get_integer(root, "scenarios", 0, (int64_t)SCENARIOS_MAX, &scenarios, reterr);
	if (rc == 0)
		rc = get_integer(root, "worst_cents", INT64_MIN, INT64_MAX, &t->worst_cents, reterr);
	if (rc == 0)
		rc = get_integer(root, "best_cents", t->worst_cents, INT64_MAX, &t->best_cents, reterr);
	if (rc < 0)
		return rc;
	t->has_key = true;
	t->scenario_count = (uint64_t)scenarios;
	rc = get_ranges(root, t, reterr);
	if (rc == 0)
		rc = get_cells(root, t, reterr);
	return rc == 0 ? tally_check(t, reterr) : rc;
}

int report_parse_into(struct tally *t, struct bytes line, struct error *reterr)
{
	struct tally *one = tally_create();
	json_error_t where;
	json_t *root = json_loadb((const char *)line.data, line.size, JSON_REJECT_DUPLICATES, &where);
	int rc;

	if (root == NULL)
		rc = error_set(reterr, ERR_INVALID, "expected JSON: %s at byte %d", where.text,
			       where.position);
	else
		rc = get_tally(root, one, reterr);
	if (rc == 0)
		rc = tally_merge(t, one, reterr);
	json_decref(root);
	tally_destroy(one);
	return rc;
}

/* Bytes of the tally or line that begins here; 0 when it is not whole. */
static size_t size_of_next(struct bytes in)
{
	const uint8_t *newline;

	if (in.data[0] != '{')
		return tally_size(in);
	newline = memchr(in.data, '\n', in.size);
	return newline != NULL ? (size_t)(newline - in.data) : 0;
}

int report_merge(struct tally *t, struct bytes in, bool is_all, size_t *ret_used, struct error *reterr)
{
	size_t at = 0, used;
	int rc = 0;

	while (at < in.size && rc == 0) {
		struct bytes rest = BYTES(in.data + at, in.size - at);

		if (rest.data[0] == '\n') {
			at++;
			continue;
		}
		used = size_of_next(rest);
		if (used == 0 && !is_all)
			break;
		if (rest.data[0] != '{')
			rc = tally_decode_into(t, rest, &used, reterr);
		else
			rc = report_parse_into(t, BYTES(rest.data, used > 0 ? used : rest.size), reterr);
		at += used > 0 ? used : rest.size;
		if (rc < 0)
			at = (size_t)(rest.data - in.data);
	}
	*ret_used = at;
	return rc;
}
