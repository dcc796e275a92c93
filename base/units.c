#include "base/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/text.h"

struct unit {
	const char *name;
	uint64_t scale;
};

/* Largest first: the formatter goes down the list, the parser wants this order. */
static const struct unit duration_units[] = {
    {"d", 86400000000u}, {"h", 3600000000u}, {"m", 60000000u}, {"s", 1000000u}, {"ms", 1000u}, {"us", 1u},
};

/* In the order in which the formatter tries them. */
static const struct unit size_units[] = {
    {"PiB", 1ull << 50},   {"TiB", 1ull << 40}, {"GiB", 1ull << 30},
    {"MiB", 1ull << 20},   {"KiB", 1ull << 10}, {"PB", 1000000000000000},
    {"TB", 1000000000000}, {"GB", 1000000000},	{"MB", 1000000},
    {"kB", 1000},	   {"KB", 1000},	{"B", 1},
};

#define FRACTION_DIGITS_MAX 9u
#define SHOWN_MAX 10000u /* nobody types more of a unit: 97656250KiB */

struct number {
	uint64_t whole;
	uint64_t fraction; /* of 10^fraction_digits */
	unsigned fraction_digits;
};

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static void advance(struct bytes *rest, size_t count)
{
	*rest = BYTES(rest->data + count, rest->size - count);
}

/* "12", "1.5": takes it from *rest. Returns NULL or the reason why it is none. */
static const char *take_number(struct bytes *rest, struct number *ret)
{
	struct number n = {0};

	if (rest->size == 0 || !is_digit(rest->data[0]))
		return rest->size > 0 && rest->data[0] == '-' ? "it must not be negative"
							      : "a number must come first";
	while (rest->size > 0 && is_digit(rest->data[0])) {
		uint64_t digit = (uint64_t)(rest->data[0] - '0');

		if (n.whole > (UINT64_MAX - digit) / 10)
			return "the number is too large";
		n.whole = n.whole * 10 + digit;
		advance(rest, 1);
	}
	if (rest->size > 0 && rest->data[0] == '.') {
		advance(rest, 1);
		if (rest->size == 0 || !is_digit(rest->data[0]))
			return "digits must follow the point";
		while (rest->size > 0 && is_digit(rest->data[0])) {
			if (n.fraction_digits == FRACTION_DIGITS_MAX)
				return "it has more than 9 digits behind the point";
			n.fraction = n.fraction * 10 + (uint64_t)(rest->data[0] - '0');
			n.fraction_digits++;
			advance(rest, 1);
		}
	}
	*ret = n;
	return NULL;
}

/* *sum += n * scale, exactly; the sum stays <= max. Returns NULL or the reason why not. */
static const char *add_scaled(uint64_t *sum, struct number n, uint64_t scale, uint64_t max)
{
	unsigned __int128 part = (unsigned __int128)n.fraction * scale;
	unsigned __int128 total = (unsigned __int128)n.whole * scale;
	uint64_t tens = 1;

	for (unsigned i = 0; i < n.fraction_digits; i++)
		tens *= 10;
	if (part % tens != 0)
		return "it is finer than the smallest step";
	total += part / tens + *sum;
	if (total > max)
		return "it is too large";
	*sum = (uint64_t)total;
	return NULL;
}

/* The unit that *rest begins with (letters and %), or NULL; takes it from *rest. */
static const struct unit *take_unit(struct bytes *rest, const struct unit *units, size_t count)
{
	size_t length = 0;

	while (length < rest->size && rest->data[length] != '.' && !is_digit(rest->data[length]))
		length++;
	for (size_t i = 0; i < count; i++) {
		if (strlen(units[i].name) == length && memcmp(units[i].name, rest->data, length) == 0) {
			advance(rest, length);
			return &units[i];
		}
	}
	return NULL;
}

static int refuse(struct error *reterr, struct bytes text, const char *expected, const char *reason)
{
	char found[80];

	error_set(reterr, ERR_INVALID, "expected %s, found %s: %s", expected,
		  text_quote(found, sizeof found, text), reason);
	return ERR_INVALID;
}

int units_parse_duration(struct bytes text, usec_t *ret_us, struct error *reterr)
{
	static const char expected[] = "a duration such as 90s, 1h30m or 250ms";
	const struct unit *last = NULL;
	struct bytes rest = text;
	uint64_t sum = 0;

	if (text.size == 1 && text.data[0] == '0') {
		*ret_us = 0;
		return 0;
	}
	do {
		const struct unit *unit;
		struct number n;
		const char *reason = take_number(&rest, &n);

		if (reason != NULL)
			return refuse(reterr, text, expected, reason);
		if (rest.size == 0)
			return refuse(reterr, text, expected,
				      "a unit must follow the number: d, h, m, s, ms or us");
		unit = take_unit(&rest, duration_units, ARRAY_LENGTH(duration_units));
		if (unit == NULL)
			return refuse(reterr, text, expected, "the units are d, h, m, s, ms and us");
		if (last != NULL && unit <= last)
			return refuse(reterr, text, expected, "larger units come first, and each only once");
		last = unit;
		reason = add_scaled(&sum, n, unit->scale, (uint64_t)USEC_NEVER - 1);
		if (reason != NULL)
			return refuse(reterr, text, expected, reason);
	} while (rest.size > 0);
	*ret_us = (usec_t)sum;
	return 0;
}

int units_parse_size(struct bytes text, uint64_t *ret_bytes, struct error *reterr)
{
	static const char expected[] = "a size such as 512, 64MiB or 1GB";
	const struct unit bytes_unit = {"", 1};
	const struct unit *unit = &bytes_unit;
	struct bytes rest = text;
	uint64_t sum = 0;
	struct number n;
	const char *reason = take_number(&rest, &n);

	if (reason != NULL)
		return refuse(reterr, text, expected, reason);
	if (rest.size > 0)
		unit = take_unit(&rest, size_units, ARRAY_LENGTH(size_units));
	if (unit == NULL || rest.size > 0)
		return refuse(reterr, text, expected,
			      "the units are B, KiB, MiB, GiB, TiB, PiB (1024) and kB, MB, GB, TB, "
			      "PB (1000)");
	reason = add_scaled(&sum, n, unit->scale, UINT64_MAX);
	if (reason != NULL)
		return refuse(reterr, text, expected, reason);
	*ret_bytes = sum;
	return 0;
}

int units_parse_cpus(struct bytes text, uint32_t *ret_milli, struct error *reterr)
{
	static const char expected[] = "a number of cpus such as 2 or 0.5";
	struct bytes rest = text;
	uint64_t sum = 0;
	struct number n;
	const char *reason = take_number(&rest, &n);

	if (reason == NULL && rest.size > 0)
		reason = "nothing may follow the number";
	if (reason == NULL)
		reason = add_scaled(&sum, n, 1000, UINT32_MAX);
	if (reason != NULL)
		return refuse(reterr, text, expected, reason);
	*ret_milli = (uint32_t)sum;
	return 0;
}

int units_parse_percent(struct bytes text, uint32_t *ret_ppm, struct error *reterr)
{
	static const char expected[] = "a percentage such as 2% or 0.5%";
	struct bytes rest = text;
	uint64_t sum = 0;
	struct number n;
	const char *reason = take_number(&rest, &n);

	if (reason == NULL && (rest.size != 1 || rest.data[0] != '%'))
		reason = "a number and then % is all it may hold";
	if (reason == NULL)
		reason = add_scaled(&sum, n, UNITS_PERCENT_PPM, 100 * UNITS_PERCENT_PPM);
	if (reason != NULL)
		return refuse(reterr, text, expected, reason);
	*ret_ppm = (uint32_t)sum;
	return 0;
}

const char *units_format_duration(usec_t us, char *buf, size_t size)
{
	uint64_t left = us < 0 ? 0 - (uint64_t)us : (uint64_t)us;
	size_t used = 0;

	CHECK(size >= UNITS_TEXT_MAX);
	if (us == USEC_NEVER || us == 0) {
		snprintf(buf, size, "%s", us == 0 ? "0s" : "never");
		return buf;
	}
	if (us < 0)
		buf[used++] = '-';
	for (size_t i = 0; i < ARRAY_LENGTH(duration_units); i++) {
		const struct unit *unit = &duration_units[i];

		if (left / unit->scale > 0)
			used += (size_t)snprintf(buf + used, size - used, "%llu%s",
						 (unsigned long long)(left / unit->scale), unit->name);
		left %= unit->scale;
	}
	return buf;
}

const char *units_format_size(uint64_t bytes, char *buf, size_t size)
{
	CHECK(size >= UNITS_TEXT_MAX);
	for (size_t i = 0; bytes > 0 && i + 1 < ARRAY_LENGTH(size_units); i++) {
		if (bytes % size_units[i].scale == 0) {
			snprintf(buf, size, "%llu%s", (unsigned long long)(bytes / size_units[i].scale),
				 size_units[i].name);
			return buf;
		}
	}
	snprintf(buf, size, "%llu", (unsigned long long)bytes);
	return buf;
}

const char *units_show_size(uint64_t bytes, char *buf, size_t size)
{
	const struct unit *best = NULL;

	CHECK(size >= UNITS_TEXT_MAX);
	if (bytes < KIB) {
		snprintf(buf, size, "%llu bytes", (unsigned long long)bytes);
		return buf;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(size_units); i++) {
		const struct unit *u = &size_units[i];
		bool binary = u->scale % KIB == 0 && strchr(u->name, 'i') != NULL;

		if (bytes % u->scale == 0 && bytes / u->scale < SHOWN_MAX &&
		    (binary || u->scale >= 1000000)) {
			snprintf(buf, size, "%llu%s", (unsigned long long)(bytes / u->scale), u->name);
			return buf;
		}
		if (binary && best == NULL && bytes >= u->scale)
			best = u;
	}
	snprintf(buf, size, "%.4g%s", (double)bytes / (double)best->scale, best->name);
	return buf;
}

/* value / 10^digits without trailing zeros, then suffix. */
static const char *format_decimal(uint32_t value, uint32_t tens, int digits, const char *suffix, char *buf,
				  size_t size)
{
	uint32_t fraction = value % tens;

	CHECK(size >= UNITS_TEXT_MAX);
	while (digits > 0 && fraction % 10 == 0) {
		fraction /= 10;
		digits--;
	}
	if (digits == 0)
		snprintf(buf, size, "%u%s", value / tens, suffix);
	else
		snprintf(buf, size, "%u.%0*u%s", value / tens, digits, fraction, suffix);
	return buf;
}

const char *units_format_cpus(uint32_t milli, char *buf, size_t size)
{
	return format_decimal(milli, 1000, 3, "", buf, size);
}

const char *units_format_percent(uint32_t ppm, char *buf, size_t size)
{
	return format_decimal(ppm, UNITS_PERCENT_PPM, 4, "%", buf, size);
}

bool units_take_number(const char **at, uint64_t max, uint64_t *ret)
{
	const char *p = *at;
	uint64_t value = 0;

	for (; is_digit((uint8_t)*p); p++) {
		uint64_t digit = (uint64_t)(*p - '0');

		if (digit > max || value > (max - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	if (p == *at)
		return false;
	*at = p;
	*ret = value;
	return true;
}

int units_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret, struct error *reterr)
{
	const char *at = text;
	uint64_t value = 0;
	char found[80];

	if (units_take_number(&at, max, &value) && *at == '\0' && value >= min) {
		*ret = value;
		return 0;
	}
	text_quote(found, sizeof(found), bytes_of(text));
	if (min == 0 && max == UINT64_MAX)
		return error_set(reterr, ERR_INVALID, "expected a whole number, found %s", found);
	return error_set(reterr, ERR_INVALID, "expected a number from %" PRIu64 " to %" PRIu64 ", found %s",
			 min, max, found);
}

bool units_take_range(const char *text, uint64_t max, uint64_t *ret_first, uint64_t *ret_last)
{
	const char *at = text;
	uint64_t first, last;

	if (!units_take_number(&at, max, &first))
		return false;
	last = first;
	if (*at == '-') {
		at++;
		if (!units_take_number(&at, max, &last))
			return false;
	}
	if (*at != '\0')
		return false;
	*ret_first = first;
	*ret_last = last;
	return true;
}
