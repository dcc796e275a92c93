#include "jobs/library/finance/report.h"

#include "base/check.h"

typedef __int128 wide;

const uint32_t report_confidence_permille[REPORT_LEVELS] = {950, 975, 990, 995};

static int64_t divide(wide value, wide by)
{
	wide half = by / 2;

	return (int64_t)((value < 0 ? value - half : value + half) / by);
}

/* The sum of a cell's profits. */
static wide cell_sum(const struct tally *t, uint32_t i)
{
	wide floors = (wide)t->cells[i].count * tally_floor(t, i);

	return i == 0 ? floors - t->cells[i].rest_cents : floors + t->cells[i].rest_cents;
}

static bool is_open(uint32_t cell)
{
	return cell == 0 || cell == TALLY_CELLS - 1;
}

struct risk_level report_level(const struct tally *t, uint32_t confidence_permille)
{
	struct risk_level l = {.confidence_permille = confidence_permille};
	uint64_t before = 0, inside;
	wide sum = 0, width = t->key.bin_cents, count;
	uint32_t i = 0;

	CHECK(t->scenario_count > 0);
	l.tail_count = (t->scenario_count * (1000 - confidence_permille) + 999) / 1000;
	for (; before + t->cells[i].count < l.tail_count; i++) {
		before += t->cells[i].count;
		sum += cell_sum(t, i);
	}
	inside = l.tail_count - before; /* of cell i; at least 1 */
	count = t->cells[i].count;
	if (is_open(i)) {
		l.beyond = i == 0;
		l.var_cents = -divide(cell_sum(t, i), count);
		sum += cell_sum(t, i) * inside / count;
	} else {
		l.var_cents = -(tally_floor(t, i) + divide(width * (2 * (wide)inside - 1), 2 * count));
		sum += inside == t->cells[i].count
			   ? cell_sum(t, i)
			   : (wide)inside * tally_floor(t, i) + width * inside * inside / (2 * count);
	}
	l.shortfall_cents = -divide(sum, l.tail_count);
	return l;
}

int64_t report_mean_cents(const struct tally *t)
{
	wide sum = 0;

	for (uint32_t i = 0; i < TALLY_CELLS; i++)
		sum += cell_sum(t, i);
	return divide(sum, t->scenario_count);
}

uint64_t report_missing(const struct tally *t)
{
	const struct scenario_range *last = t->ranges + t->range_count - 1;

	return t->range_count == 0 ? 0 : last->first + last->count - t->scenario_count;
}
