#include "tests/sim/coverage.h"

#include <string.h>

/* A fault counts as fresh for so long: its consequences (a timeout, a reconnect, a restart) come
 * within seconds. */
#define FRESH_US (5 * USEC_PER_SEC)

static const char *const row_texts[] = {
#define ROW(name, text) text,
#include "tests/sim/coverage.def"
#undef ROW
};

static const char *const fault_texts[] = {
#define FAULT(name, text, doc) text,
#include "tests/sim/coverage.def"
#undef FAULT
};

static const struct impossible {
	enum cover_row row;
	enum cover_fault fault;
	const char *reason;
} impossibles[] = {
#define IMPOSSIBLE(row, fault, reason) {ROW_##row, FAULT_##fault, reason},
#include "tests/sim/coverage.def"
#undef IMPOSSIBLE
    {ROW_COUNT, FAULT_COUNT, NULL},
};

void coverage_begin(struct coverage *c)
{
	for (size_t f = 0; f < FAULT_COUNT; f++)
		c->fresh_until_us[f] = -1;
}

void coverage_fault(struct coverage *c, enum cover_fault fault, usec_t until_us)
{
	if (c->fresh_until_us[fault] < until_us + FRESH_US)
		c->fresh_until_us[fault] = until_us + FRESH_US;
}

void coverage_hit(struct coverage *c, enum cover_row row, usec_t now_us)
{
	c->totals[row]++;
	for (size_t f = 0; f < FAULT_COUNT; f++)
		if (c->fresh_until_us[f] >= now_us)
			c->cells[row][f]++;
}

void coverage_add(struct coverage *to, const struct coverage *from)
{
	for (size_t r = 0; r < ROW_COUNT; r++) {
		to->totals[r] += from->totals[r];
		for (size_t f = 0; f < FAULT_COUNT; f++)
			to->cells[r][f] += from->cells[r][f];
	}
}

const char *coverage_impossible(enum cover_row row, enum cover_fault fault)
{
	for (const struct impossible *i = impossibles; i->reason != NULL; i++)
		if (i->row == row && i->fault == fault)
			return i->reason;
	return NULL;
}

static void print_count(uint64_t count, FILE *out)
{
	if (count < 100000)
		fprintf(out, " %11llu", (unsigned long long)count);
	else
		fprintf(out, " %10lluk", (unsigned long long)(count / 1000));
}

void coverage_print(const struct coverage *c, FILE *out)
{
	fprintf(out, "%-36s %11s", "transition", "all");
	for (size_t f = 0; f < FAULT_COUNT; f++)
		fprintf(out, " %11s", fault_texts[f]);
	fputc('\n', out);
	for (size_t r = 0; r < ROW_COUNT; r++) {
		fprintf(out, "%-36s", row_texts[r]);
		print_count(c->totals[r], out);
		for (size_t f = 0; f < FAULT_COUNT; f++) {
			if (coverage_impossible((enum cover_row)r, (enum cover_fault)f))
				fprintf(out, " %11s", "-");
			else
				print_count(c->cells[r][f], out);
		}
		fputc('\n', out);
	}
	for (const struct impossible *i = impossibles; i->reason != NULL; i++)
		fprintf(out, "impossible: %s x %s: %s\n", row_texts[i->row], fault_texts[i->fault],
			i->reason);
}

uint32_t coverage_holes(const struct coverage *c, FILE *out)
{
	uint32_t holes = 0;

	for (size_t r = 0; r < ROW_COUNT; r++)
		for (size_t f = 0; f < FAULT_COUNT; f++) {
			if (c->cells[r][f] > 0 || coverage_impossible((enum cover_row)r, (enum cover_fault)f))
				continue;
			holes++;
			if (out != NULL)
				fprintf(out, "never reached: %s x %s\n", row_texts[r], fault_texts[f]);
		}
	return holes;
}
