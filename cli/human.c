#include "cli/human.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#include "base/text.h"

#define MINUTE_SECONDS 60u
#define HOUR_SECONDS 3600u
#define DAY_SECONDS 86400u

const char *human_count(uint64_t n, char *buf, size_t size)
{
	char digits[24];
	int length = snprintf(digits, sizeof(digits), "%" PRIu64, n);
	size_t used = 0;

	for (int i = 0; i < length && used + 2 < size; i++) {
		if (i > 0 && (length - i) % 3 == 0)
			buf[used++] = ',';
		buf[used++] = digits[i];
	}
	buf[used] = '\0';
	return buf;
}

const char *human_size(uint64_t bytes, char *buf, size_t size)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1024 && unit + 1 < ARRAY_LENGTH(units)) {
		value /= 1024;
		unit++;
	}
	snprintf(buf, size, unit == 0 || value >= 99.95 ? "%.0f %s" : "%.1f %s", value, units[unit]);
	return buf;
}

const char *human_span(usec_t us, char *buf, size_t size)
{
	uint64_t seconds = us > 0 ? (uint64_t)(us / USEC_PER_SEC) : 0;

	if (us < 0)
		us = 0;
	if (us < 100 * USEC_PER_MSEC)
		snprintf(buf, size, "%" PRId64 " ms", us / USEC_PER_MSEC);
	else if (seconds < 10)
		snprintf(buf, size, "%" PRIu64 ".%d s", seconds,
			 (int)(us % USEC_PER_SEC / (100 * USEC_PER_MSEC)));
	else if (seconds < MINUTE_SECONDS)
		snprintf(buf, size, "%" PRIu64 " s", seconds);
	else if (seconds < HOUR_SECONDS)
		snprintf(buf, size, "%" PRIu64 " min %" PRIu64 " s", seconds / MINUTE_SECONDS,
			 seconds % MINUTE_SECONDS);
	else if (seconds < DAY_SECONDS)
		snprintf(buf, size, "%" PRIu64 " h %" PRIu64 " min", seconds / HOUR_SECONDS,
			 seconds % HOUR_SECONDS / MINUTE_SECONDS);
	else
		snprintf(buf, size, "%" PRIu64 " d %" PRIu64 " h", seconds / DAY_SECONDS,
			 seconds % DAY_SECONDS / HOUR_SECONDS);
	return buf;
}

const char *human_ago(usec_t wall_us, usec_t now_wall_us, char *buf, size_t size)
{
	bool ahead = wall_us > now_wall_us;
	uint64_t seconds = (uint64_t)((ahead ? wall_us - now_wall_us : now_wall_us - wall_us) / USEC_PER_SEC);
	const char *unit = "s";
	uint64_t value = seconds;

	if (seconds >= 2 * DAY_SECONDS) {
		value = seconds / DAY_SECONDS;
		unit = "d";
	} else if (seconds >= HOUR_SECONDS) {
		value = seconds / HOUR_SECONDS;
		unit = "h";
	} else if (seconds >= MINUTE_SECONDS) {
		value = seconds / MINUTE_SECONDS;
		unit = "min";
	}
	if (seconds == 0)
		snprintf(buf, size, "just now");
	else if (ahead)
		snprintf(buf, size, "in %" PRIu64 " %s", value, unit);
	else
		snprintf(buf, size, "%" PRIu64 " %s ago", value, unit);
	return buf;
}

const char *human_rate(double per_second, char *buf, size_t size)
{
	char count[HUMAN_TEXT_MAX];

	if (per_second < 1)
		snprintf(buf, size, "%.2f/s", per_second);
	else if (per_second < 10)
		snprintf(buf, size, "%.1f/s", per_second);
	else
		snprintf(buf, size, "%s/s", human_count((uint64_t)per_second, count, sizeof(count)));
	return buf;
}

const char *human_percent(uint64_t part, uint64_t total, char *buf, size_t size)
{
	buf[0] = '\0';
	if (total > 0)
		snprintf(buf, size, "%u %%",
			 part >= total ? 100u : (unsigned)((double)part * 100 / (double)total));
	return buf;
}

const char *human_time(usec_t wall_us, char *buf, size_t size)
{
	time_t seconds = (time_t)(wall_us / USEC_PER_SEC);
	struct tm tm;

	buf[0] = '\0';
	if (localtime_r(&seconds, &tm) != NULL)
		strftime(buf, size, "%Y-%m-%d %H:%M:%S %Z", &tm);
	return buf;
}

int human_parse_time(const char *text, usec_t *ret_wall_us)
{
	struct tm tm = {0};
	int used = 0, hours = 0, minutes = 0;
	usec_t fraction = 0;

	if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
		   &tm.tm_min, &tm.tm_sec, &used) != 6)
		return ERR_INVALID;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	text += used;
	if (*text == '.') {
		usec_t scale = USEC_PER_SEC / 10;

		for (text++; *text >= '0' && *text <= '9'; text++, scale /= 10)
			fraction += (*text - '0') * scale;
	}
	if (strcmp(text, "Z") != 0) {
		int end = 0;

		if ((*text != '+' && *text != '-') ||
		    sscanf(text + 1, "%2d:%2d%n", &hours, &minutes, &end) != 2 || text[1 + end] != '\0')
			return ERR_INVALID;
		if (*text == '+') {
			hours = -hours;
			minutes = -minutes;
		}
	}
	*ret_wall_us =
	    ((usec_t)timegm(&tm) + hours * (usec_t)HOUR_SECONDS + minutes * 60) * USEC_PER_SEC + fraction;
	return 0;
}

void human_text(struct buf *out, struct bytes text, bool lines)
{
	while (text.size > 0) {
		uint8_t first = text.data[0];
		size_t length = text_utf8_next(text, NULL);

		if (length == 0)
			length = 1;
		if (first == '"' || first == '\\' || (lines && first == '\n'))
			buf_append(out, text.data, 1);
		else
			text_escape(out, BYTES(text.data, length));
		text = BYTES(text.data + length, text.size - length);
	}
}

static size_t columns_of(uint32_t code)
{
	int width = wcwidth((wchar_t)code);

	return width >= 0 ? (size_t)width : 1;
}

void human_line(struct buf *out, struct bytes text)
{
	const uint8_t *first = text.size > 0 ? memchr(text.data, '\n', text.size) : NULL;
	const uint8_t *last = text.size > 0 ? memrchr(text.data, '\n', text.size) : NULL;

	if (first == NULL) {
		human_text(out, text, false);
		return;
	}
	if (first > text.data && first[-1] == ':') {
		human_text(out, BYTES(text.data, (size_t)(first - text.data)), false);
		buf_printf(out, " ");
	}
	human_text(out, BYTES(last + 1, (size_t)(text.data + text.size - last - 1)), false);
}

void human_lines(struct buf *out, struct bytes text, size_t indent)
{
	for (;;) {
		const uint8_t *end = text.size > 0 ? memchr(text.data, '\n', text.size) : NULL;
		size_t size = end != NULL ? (size_t)(end - text.data) : text.size;

		human_text(out, BYTES(text.data, size), false);
		if (end == NULL)
			return;
		buf_printf(out, "\n%*s", (int)indent, "");
		text = BYTES(end + 1, text.size - size - 1);
	}
}

size_t human_width(struct bytes text)
{
	size_t width = 0;

	while (text.size > 0) {
		uint32_t code = '?';
		size_t length = text_utf8_next(text, &code);

		width += columns_of(code);
		if (length == 0)
			length = 1;
		text = BYTES(text.data + length, text.size - length);
	}
	return width;
}

size_t human_fit(struct bytes text, size_t width)
{
	size_t used = 0;

	while (used < text.size) {
		uint32_t code = '?';
		size_t length = text_utf8_next(BYTES(text.data + used, text.size - used), &code);
		size_t columns = columns_of(code);

		if (columns > width)
			break;
		width -= columns;
		used += length > 0 ? length : 1;
	}
	return used;
}
