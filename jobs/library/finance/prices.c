#include "jobs/library/finance/prices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/check.h"
#include "jobs/library/finance/csv.h"

struct reading {
	struct csv csv;
	struct price_table table;
	uint32_t capacity; /* days */
	int64_t last_day;  /* number of the last date */
};

static bool two_digits(const uint8_t *at, int *ret)
{
	if (at[0] < '0' || at[0] > '9' || at[1] < '0' || at[1] > '9')
		return false;
	*ret = (at[0] - '0') * 10 + (at[1] - '0');
	return true;
}

/* Days since 1970-01-01 in the Gregorian calendar. */
static int64_t day_number(int year, int month, int day)
{
	int64_t y = month > 2 ? year : year - 1, era = y / 400;
	int64_t of_era = y - era * 400, of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool parse_date(struct bytes field, int64_t *ret)
{
	static const uint8_t month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int century, year, month, day;

	if (field.size != 10 || field.data[4] != '-' || field.data[7] != '-' ||
	    !two_digits(field.data, &century) || !two_digits(field.data + 2, &year) ||
	    !two_digits(field.data + 5, &month) || !two_digits(field.data + 8, &day))
		return false;
	year += century * 100;
	if (month < 1 || month > 12 || day < 1)
		return false;
	if (day > month_days[month - 1] &&
	    !(month == 2 && day == 29 && (year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))))
		return false;
	*ret = day_number(year, month, day);
	return true;
}

static int refuse(struct reading *r, struct error *reterr, const char *help)
{
	(void)csv_where(&r->csv, reterr);
	return error_help(reterr, "%s", help);
}

static int read_header(struct reading *r, struct error *reterr)
{
	struct csv *c = &r->csv;
	char quoted[48];
	int rc = csv_next(c, reterr);

	if (rc < 0)
		return rc;
	if (rc == 0 || c->field_count < 2 || c->fields[0].size != 4 ||
	    strncasecmp((const char *)c->fields[0].data, "date", 4) != 0) {
		error_set(reterr, ERR_INVALID, "expected a first line `date,ASSET,ASSET,…`, found %s",
			  rc == 0 ? "nothing" : csv_quote(c->fields[0], quoted));
		return refuse(r, reterr, "begin the price file with a line that names its columns");
	}
	r->table.names = check_calloc(c->field_count, sizeof *r->table.names);
	for (uint32_t i = 1; i < c->field_count; i++) {
		if (c->fields[i].size == 0 || c->fields[i].size > ASSET_NAME_MAX ||
		    memchr(c->fields[i].data, '\0', c->fields[i].size) != NULL) {
			error_set(reterr, ERR_INVALID,
				  "column %u: expected the name of an asset, at most %d bytes, found %s",
				  i + 1, ASSET_NAME_MAX, csv_quote(c->fields[i], quoted));
			return refuse(r, reterr, "name each column in the first line");
		}
		if (price_table_find(&r->table, c->fields[i]) < r->table.asset_count) {
			error_set(reterr, ERR_INVALID, "two columns are named %s",
				  csv_quote(c->fields[i], quoted));
			return refuse(r, reterr, "leave one of them out");
		}
		memcpy(r->table.names[r->table.asset_count++], c->fields[i].data, c->fields[i].size);
	}
	return 0;
}

static int check_date(struct reading *r, int64_t *ret, struct error *reterr)
{
	const struct price_table *t = &r->table;
	char quoted[48];
	int64_t day;

	if (!parse_date(r->csv.fields[0], &day)) {
		error_set(reterr, ERR_INVALID, "expected a date YYYY-MM-DD, found %s",
			  csv_quote(r->csv.fields[0], quoted));
		return refuse(r, reterr, "write the first column as 2001-01-02");
	}
	*ret = day;
	if (t->day_count == 0)
		return 0;
	if (day == r->last_day) {
		error_set(reterr, ERR_INVALID, "%s is there twice", t->dates[t->day_count - 1]);
		return refuse(r, reterr, "leave one of the two lines out");
	}
	if (day < r->last_day) {
		error_set(reterr, ERR_INVALID, "dates must grow: %.10s stands behind %s",
			  (const char *)r->csv.fields[0].data, t->dates[t->day_count - 1]);
		return refuse(r, reterr, "sort the price file by date");
	}
	if (day - r->last_day > PRICE_GAP_DAYS_MAX) {
		error_set(reterr, ERR_INVALID, "a hole of %lld days: no prices between %s and %.10s",
			  (long long)(day - r->last_day - 1), t->dates[t->day_count - 1],
			  (const char *)r->csv.fields[0].data);
		return refuse(r, reterr, "add the days that are missing, or begin the file behind the hole");
	}
	return 0;
}

static bool is_hole(struct bytes field)
{
	static const char *const names[] = {"", "NA", "N/A", "NaN", "nan", "null", "-", "#N/A"};

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		if (bytes_equal(field, bytes_of(names[i])))
			return true;
	return false;
}

static int read_prices(struct reading *r, double *prices, struct error *reterr)
{
	const struct csv *c = &r->csv;

	for (uint32_t i = 0; i < r->table.asset_count; i++) {
		struct bytes field = c->fields[i + 1];
		char quoted[48];

		if (is_hole(field)) {
			error_set(reterr, ERR_INVALID, "%s has no price on %.10s", r->table.names[i],
				  (const char *)c->fields[0].data);
			return refuse(r, reterr,
				      "fill it in, or leave out that day for all assets, or the asset");
		}
		if (!csv_number(field, &prices[i])) {
			error_set(reterr, ERR_INVALID, "%s: expected a price such as 43.38, found %s",
				  r->table.names[i], csv_quote(field, quoted));
			return refuse(r, reterr, "write prices as plain decimal numbers");
		}
		if (prices[i] < 1e-9 || prices[i] > 1e12) {
			error_set(reterr, ERR_INVALID, "%s: expected a price above 0, found %s",
				  r->table.names[i], csv_quote(field, quoted));
			return refuse(r, reterr, "correct it: returns are ratios of prices");
		}
	}
	return 0;
}

static int read_day(struct reading *r, struct error *reterr)
{
	struct price_table *t = &r->table;
	int64_t day = 0;
	int rc;

	if (r->csv.field_count != t->asset_count + 1) {
		error_set(reterr, ERR_INVALID, "expected %u fields as in the first line, found %u",
			  t->asset_count + 1, r->csv.field_count);
		return refuse(r, reterr, "the line is cut short or has a comma too many; write it again");
	}
	rc = check_date(r, &day, reterr);
	if (rc < 0)
		return rc;
	if (t->day_count == PRICE_DAYS_MAX) {
		error_set(reterr, ERR_LIMIT, "more than %u days", PRICE_DAYS_MAX);
		(void)refuse(r, reterr, "begin the history later");
		return ERR_LIMIT;
	}
	if (t->day_count == r->capacity) {
		r->capacity = (uint32_t)array_room(r->capacity, r->capacity + 1, PRICE_DAYS_MAX, DATE_SIZE);
		t->dates = check_realloc(t->dates, r->capacity, sizeof *t->dates);
		t->prices = check_realloc(t->prices, r->capacity, t->asset_count * sizeof *t->prices);
	}
	rc = read_prices(r, t->prices + (size_t)t->day_count * t->asset_count, reterr);
	if (rc < 0)
		return rc;
	memcpy(t->dates[t->day_count], r->csv.fields[0].data, DATE_SIZE - 1);
	t->dates[t->day_count++][DATE_SIZE - 1] = '\0';
	r->last_day = day;
	return 0;
}

int price_table_parse(struct bytes text, const char *name, struct price_table *ret, struct error *reterr)
{
	struct reading *r = check_calloc(1, sizeof *r);
	int rc;

	csv_init(&r->csv, name, text);
	rc = read_header(r, reterr);
	while (rc >= 0) {
		rc = csv_next(&r->csv, reterr);
		if (rc <= 0)
			break;
		rc = read_day(r, reterr);
	}
	if (rc == 0 && r->table.day_count < PRICE_DAYS_MIN) {
		rc = error_set(reterr, ERR_INVALID, "expected prices of at least %u days, found %u",
			       PRICE_DAYS_MIN, r->table.day_count);
		error_where(reterr, "%s", name);
		error_help(reterr, "scenarios are drawn from history: give more of it");
	}
	if (rc == 0)
		*ret = r->table;
	else
		price_table_fini(&r->table);
	free(r);
	return rc;
}

void price_table_fini(struct price_table *t)
{
	free(t->names);
	free(t->dates);
	free(t->prices);
	*t = (struct price_table){0};
}

uint32_t price_table_find(const struct price_table *t, struct bytes asset)
{
	uint32_t i = 0;

	while (i < t->asset_count && !bytes_equal(bytes_of(t->names[i]), asset))
		i++;
	return i;
}
