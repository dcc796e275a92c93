#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/text.h"
#include "base/units.h"

static enum log_level least_level = LOG_LEVEL_INFO;
static enum log_format line_format = LOG_FORMAT_TEXT;
static int line_fd = STDERR_FILENO;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_configure(enum log_level least, enum log_format format, int fd)
{
	least_level = least;
	line_format = format;
	line_fd = fd;
}

bool log_enabled(enum log_level level)
{
	return level >= least_level;
}

static void add_time(struct buf *out, usec_t wall_us)
{
	time_t seconds = (time_t)(wall_us / USEC_PER_SEC);
	char text[40] = "";
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	buf_printf(out, "%s.%06dZ", text, (int)(wall_us % USEC_PER_SEC));
}

/* Text that needs no quotes: it cannot be taken for a number's or a field's end. */
static bool is_plain(struct bytes b)
{
	for (size_t i = 0; i < b.size; i++)
		if (b.data[i] <= ' ' || b.data[i] >= 0x7f || b.data[i] == '"' || b.data[i] == '\\' ||
		    b.data[i] == '=')
			return false;
	return b.size > 0;
}

static void add_bytes(struct buf *out, struct bytes b, bool json)
{
	bool cut = b.size > LOG_VALUE_MAX;

	if (cut) {
		/* Not through a character: at most three bytes of one stand before the cut. */
		size_t keep = LOG_VALUE_MAX;

		while (keep > LOG_VALUE_MAX - 3 && (b.data[keep] & 0xc0) == 0x80)
			keep--;
		b.size = keep;
	}
	if (!json && !cut && is_plain(b)) {
		buf_append_bytes(out, b);
		return;
	}
	buf_append(out, "\"", 1);
	if (json)
		text_escape_json(out, b);
	else
		text_escape(out, b);
	buf_printf(out, "%s\"", cut ? "…" : "");
}

static void add_value(struct buf *out, const struct log_field *field, bool json)
{
	char text[UNITS_TEXT_MAX];

	switch (field->type) {
	case LOG_FIELD_BYTES:
		add_bytes(out, field->bytes, json);
		break;
	case LOG_FIELD_DURATION:
		if (!json) {
			buf_printf(out, "%s", units_format_duration(field->i64, text, sizeof text));
			break;
		}
		buf_printf(out, "%" PRId64, field->i64);
		break;
	case LOG_FIELD_I64:
		buf_printf(out, "%" PRId64, field->i64);
		break;
	case LOG_FIELD_U64:
		buf_printf(out, "%" PRIu64, field->u64);
		break;
	case LOG_FIELD_BOOL:
		buf_printf(out, "%s", field->u64 ? "true" : "false");
		break;
	case LOG_FIELD_END:
		break;
	}
}

static void write_all(struct bytes line)
{
	while (line.size > 0) {
		ssize_t done = write(line_fd, line.data, line.size);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return; /* nowhere to tell it */
		line = BYTES(line.data + done, line.size - (size_t)done);
	}
}

void log_write(enum log_level level, const char *message, const struct log_field *fields)
{
	bool json = line_format == LOG_FORMAT_JSON;
	int saved_errno = errno;
	struct buf line = {0};

	CHECK(level < ARRAY_LENGTH(level_names));
	buf_printf(&line, json ? "{\"time\":\"" : "");
	add_time(&line, clock_wall_us());
	if (json) {
		buf_printf(&line, "\",\"level\":\"%s\",\"message\":", level_names[level]);
		add_bytes(&line, bytes_of(message), true);
	} else {
		buf_printf(&line, " %-5s ", level_names[level]);
		text_escape(&line, bytes_of(message));
	}
	for (size_t i = 0; fields[i].type != LOG_FIELD_END; i++) {
		CHECK(i < LOG_FIELDS_MAX);
		buf_printf(&line, json ? ",\"%s\":" : " %s=", fields[i].key);
		add_value(&line, &fields[i], json);
	}
	buf_printf(&line, json ? "}\n" : "\n");
	write_all(buf_bytes(&line));
	buf_fini(&line);
	errno = saved_errno;
}

void log_check_failed(const char *file, int line, const char *func, const char *cond)
{
	log_error("this must hold", log_text("condition", cond), log_text("file", file),
		  log_i64("line", line), log_text("function", func));
}

bool log_quota_take(struct log_quota *q, usec_t now_us, uint64_t *ret_withheld)
{
	if (q->count == 0 || now_us - q->since_us >= USEC_PER_SEC) {
		q->since_us = now_us;
		q->count = 0;
	}
	if (q->count >= LOG_QUOTA_MAX) {
		q->withheld++;
		return false;
	}
	q->count++;
	*ret_withheld = q->withheld;
	q->withheld = 0;
	return true;
}
