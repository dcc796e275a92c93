#include "jobs/library/finance/positions.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "jobs/library/finance/csv.h"

#define QUANTITY_MAX 1e12

static int refuse(const struct csv *c, struct error *reterr, const char *help)
{
	(void)csv_where(c, reterr);
	return error_help(reterr, "%s", help);
}

static int read_header(struct csv *c, struct error *reterr)
{
	char quoted[48];
	int rc = csv_next(c, reterr);

	if (rc < 0)
		return rc;
	if (rc == 1 && c->field_count == 2 && bytes_equal(c->fields[0], BYTES_LIT("asset")) &&
	    bytes_equal(c->fields[1], BYTES_LIT("quantity")))
		return 0;
	error_set(reterr, ERR_INVALID, "expected a first line `asset,quantity`, found %s",
		  rc == 0 ? "nothing" : csv_quote(c->fields[0], quoted));
	return refuse(c, reterr, "begin the positions file with that line");
}

/* The known asset that was most likely meant, and how many there are to choose from. */
static int unknown_asset(const struct csv *c, const struct price_table *prices, struct error *reterr)
{
	size_t best = SIZE_MAX;
	const char *meant = NULL;
	char quoted[48];

	for (uint32_t i = 0; i < prices->asset_count; i++) {
		size_t distance = text_distance(c->fields[0], bytes_of(prices->names[i]));

		if (distance < best) {
			best = distance;
			meant = prices->names[i];
		}
	}
	error_set(reterr, ERR_INVALID, "no prices of %s; the price file has %u assets",
		  csv_quote(c->fields[0], quoted), prices->asset_count);
	(void)csv_where(c, reterr);
	return error_help(reterr, "did you mean %s? else add its prices or leave it out", meant);
}

static int read_position(const struct csv *c, const struct price_table *prices, double *quantities,
			 bool *held, struct error *reterr)
{
	char quoted[48];
	uint32_t asset;
	double quantity;

	if (c->field_count != 2) {
		error_set(reterr, ERR_INVALID, "expected 2 fields, asset and quantity, found %u",
			  c->field_count);
		return refuse(c, reterr, "write quantities without separators of thousands");
	}
	asset = price_table_find(prices, c->fields[0]);
	if (asset == prices->asset_count)
		return unknown_asset(c, prices, reterr);
	if (held[asset]) {
		error_set(reterr, ERR_INVALID, "%s is there twice", prices->names[asset]);
		return refuse(c, reterr, "add the two up");
	}
	if (!csv_number(c->fields[1], &quantity) || fabs(quantity) > QUANTITY_MAX) {
		error_set(reterr, ERR_INVALID, "%s: expected a quantity such as 1200 or -300, found %s",
			  prices->names[asset], csv_quote(c->fields[1], quoted));
		return refuse(c, reterr, "write it as a plain number");
	}
	held[asset] = true;
	quantities[asset] = quantity;
	return 0;
}

int positions_parse(struct bytes text, const char *name, const struct price_table *prices,
		    struct position_list *ret, struct error *reterr)
{
	struct csv *c = check_calloc(1, sizeof *c);
	double *quantities = check_calloc(prices->asset_count, sizeof *quantities);
	bool *held = check_calloc(prices->asset_count, sizeof *held);
	struct position_list list = {.items = check_calloc(prices->asset_count, sizeof *list.items)};
	int rc;

	csv_init(c, name, text);
	rc = read_header(c, reterr);
	while (rc >= 0) {
		rc = csv_next(c, reterr);
		if (rc <= 0)
			break;
		rc = read_position(c, prices, quantities, held, reterr);
	}
	for (uint32_t i = 0; i < prices->asset_count; i++)
		if (held[i])
			list.items[list.count++] = (struct position){i, quantities[i]};
	if (rc == 0 && list.count == 0) {
		rc = error_set(reterr, ERR_INVALID, "expected at least one position, found none");
		error_where(reterr, "%s", name);
		error_help(reterr, "add a line ASSET,QUANTITY for each asset that is held");
	}
	if (rc == 0)
		*ret = list;
	else
		free(list.items);
	free(held);
	free(quantities);
	free(c);
	return rc;
}
