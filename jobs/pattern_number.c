#include "jobs/pattern_number.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 17		       /* that tell any double from its neighbours */
#define SURE_INTEGER 1000000000000000L /* 10^15: all integers below are their double's shortest text */
#define EXPONENT_MAX 100000L

/* 0.digits × 10^exponent, without zeros at either end. */
struct decimal {
	char digits[DIGITS_MAX];
	uint32_t count;
	long exponent;
	bool fits;
};

static void add_digit(struct decimal *d, char digit, uint32_t *zeros)
{
	if (digit == '0') {
		(*zeros)++; /* they count if another digit follows */
		return;
	}
	if (d->count + *zeros >= DIGITS_MAX) {
		d->fits = false;
		return;
	}
	memset(d->digits + d->count, '0', *zeros);
	d->count += *zeros;
	d->digits[d->count++] = digit;
	*zeros = 0;
}

static struct decimal read_decimal(struct bytes text)
{
	struct decimal d = {.fits = true};
	bool behind_point = false, begun = false;
	uint32_t zeros = 0;
	size_t i = 0;

	for (; i < text.size && text.data[i] != 'e' && text.data[i] != 'E'; i++) {
		char c = (char)text.data[i];

		if (c == '.')
			behind_point = true;
		if (c < '0' || c > '9')
			continue;
		begun = begun || c != '0';
		if (begun)
			add_digit(&d, c, &zeros);
		if (begun && !behind_point)
			d.exponent++;
		if (!begun && behind_point)
			d.exponent--;
	}
	if (i + 1 < text.size) {
		char exponent[32];

		snprintf(exponent, sizeof exponent, "%.*s", (int)(text.size - i - 1),
			 (const char *)text.data + i + 1);
		d.exponent += strtol(exponent, NULL, 10) % EXPONENT_MAX;
	}
	if (d.count == 0)
		d.exponent = 0;
	return d;
}

/* Is the shortest text of `real` this number? */
static bool is_shortest(double real, struct bytes text)
{
	struct decimal wanted = read_decimal(text), shortest;
	char buf[40];

	for (int digits = 1; digits <= DIGITS_MAX; digits++) {
		double back;

		snprintf(buf, sizeof buf, "%.*e", digits - 1, real);
		back = strtod(buf, NULL);
		if (back >= real && back <= real)
			break;
	}
	shortest = read_decimal(bytes_of(buf));
	return wanted.fits && wanted.count == shortest.count && wanted.exponent == shortest.exponent &&
	       memcmp(wanted.digits, shortest.digits, wanted.count) == 0;
}

struct pattern_number pattern_number_of(const json_t *value, struct bytes text)
{
	struct pattern_number n = {.is_integer = json_is_integer(value), .comparable = true};
	char buf[32];

	n.real = json_number_value(value);
	n.integer = json_integer_value(value);
	if (n.is_integer && n.integer < SURE_INTEGER && n.integer > -SURE_INTEGER)
		return n;
	if (n.is_integer) {
		snprintf(buf, sizeof buf, "%" PRId64, n.integer);
		text = bytes_of(buf);
	}
	if (text.size > 0)
		n.comparable = is_shortest(n.real, text);
	return n;
}

bool pattern_number_equal(const struct pattern_number *a, const struct pattern_number *b)
{
	if (a->comparable != b->comparable)
		return false;
	if (!a->comparable && (a->is_integer || b->is_integer))
		return a->is_integer && b->is_integer && a->integer == b->integer;
	return a->real >= b->real && a->real <= b->real;
}
