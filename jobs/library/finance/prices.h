/* Price history: a CSV file `date,ASSET,ASSET,…`, a line for each day. Pure.
 *
 * Dates are YYYY-MM-DD and grow; every asset has a price above 0 on every day. What does not keep to
 * that is refused with its line: a made-up price would be a made-up risk. Days on which no market was
 * open have no line, but a gap of more than PRICE_GAP_DAYS_MAX days is taken for lost data. */
#pragma once

#include "base/error.h"
#include "base/types.h"

#define PRICE_ASSETS_MAX 1000u
#define PRICE_DAYS_MIN 30u
#define PRICE_DAYS_MAX 100000u
#define PRICE_GAP_DAYS_MAX 14
#define PRICE_FILE_BYTES_MAX (256ull << 20)
#define ASSET_NAME_MAX 31
#define DATE_SIZE 11 /* with its NUL */

struct price_table {
	uint32_t asset_count;
	uint32_t day_count;
	char (*names)[ASSET_NAME_MAX + 1];
	char (*dates)[DATE_SIZE];
	double *prices; /* day after day, asset_count each */
};

/* name is what errors call the file. *ret belongs to the caller, who calls price_table_fini. */
int price_table_parse(struct bytes text, const char *name, struct price_table *ret,
		      struct error *reterr) MUST_CHECK;
void price_table_fini(struct price_table *t);
/* Index of an asset, or asset_count. */
uint32_t price_table_find(const struct price_table *t, struct bytes asset);
