/* The structured log: one line an event, written whole by one write(2), for people or programs.
 *
 *   text  2024-05-01T12:00:00.000000Z warn  shard failed job=12 shard=7 kind=exit key="a b"
 *   json  {"time":"…","level":"warn","message":"shard failed","job":12,"shard":7,…}
 *
 * The message is a fixed sentence without values; what varies are fields, whose usual keys are
 * job, phase, shard, worker, token, error. Values may be hostile: whatever could end the line or
 * drive a terminal is escaped (base/text.h), and a value is cut at LOG_VALUE_MAX bytes.
 *
 * Threads: log_configure first, in one thread; log_write from any. It never fails and never
 * blocks on anything but the descriptor; what cannot be written is dropped. */
#pragma once

#include "base/error.h"
#include "base/types.h"

#define LOG_VALUE_MAX 1024u /* bytes of one value, before escaping */
#define LOG_FIELDS_MAX 32u

/* The order is that of the parameter log_level's choices. (Not LOG_DEBUG: syslog.h has it.) */
enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };
/* The order is that of the parameter log_format's choices. */
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

enum log_field_type {
	LOG_FIELD_END,
	LOG_FIELD_BYTES,
	LOG_FIELD_I64,
	LOG_FIELD_U64,
	LOG_FIELD_BOOL,
	LOG_FIELD_DURATION,
};

struct log_field {
	enum log_field_type type;
	const char *key; /* [a-z_]+, ours */
	union {
		struct bytes bytes;
		int64_t i64;
		uint64_t u64;
	};
};

static inline struct log_field log_bytes(const char *key, struct bytes value)
{
	return (struct log_field){.type = LOG_FIELD_BYTES, .key = key, .bytes = value};
}

/* NULL is written as an empty text. */
static inline struct log_field log_text(const char *key, const char *value)
{
	return log_bytes(key, bytes_of(value != NULL ? value : ""));
}

static inline struct log_field log_i64(const char *key, int64_t value)
{
	return (struct log_field){.type = LOG_FIELD_I64, .key = key, .i64 = value};
}

static inline struct log_field log_u64(const char *key, uint64_t value)
{
	return (struct log_field){.type = LOG_FIELD_U64, .key = key, .u64 = value};
}

static inline struct log_field log_flag(const char *key, bool value)
{
	return (struct log_field){.type = LOG_FIELD_BOOL, .key = key, .u64 = value};
}

/* In text "1.5s"-like (base/units.h); in JSON a number of microseconds: name the key *_us. */
static inline struct log_field log_duration(const char *key, usec_t value)
{
	return (struct log_field){.type = LOG_FIELD_DURATION, .key = key, .i64 = value};
}

/* An error as one field, "error"; text must outlive the call: give a buffer of ERROR_LINE_MAX. */
static inline struct log_field log_error_field(const struct error *e, char *buf, size_t size)
{
	return log_text("error", error_text(e, buf, size));
}

/* Until then: text, LOG_LEVEL_INFO, descriptor 2. The descriptor stays the caller's. */
void log_configure(enum log_level least, enum log_format format, int fd);
bool log_enabled(enum log_level level);
/* fields end with one of type LOG_FIELD_END; use the macros. */
void log_write(enum log_level level, const char *message, const struct log_field *fields);
/* Keeps what strangers can cause from filling the log: LOG_QUOTA_MAX lines a second. All zero at first. */
#define LOG_QUOTA_MAX 10u
struct log_quota {
	usec_t since_us;
	uint32_t count;
	uint64_t withheld;
};
/* May a line be written now (mono)? *ret_withheld: how many were not since the last one that was. */
bool log_quota_take(struct log_quota *q, usec_t now_us, uint64_t *ret_withheld);
/* For check_set_hook: what must hold and did not, as a line of level error. */
void log_check_failed(const char *file, int line, const char *func, const char *cond);

/* log_info("worker registered", log_u64("worker", id), log_text("pool", pool)); */
#define log_at(level, message, ...)                                                                          \
	do {                                                                                                 \
		if (log_enabled(level))                                                                      \
			log_write(level, message,                                                            \
				  (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}});                \
	} while (0)
#define log_debug(message, ...) log_at(LOG_LEVEL_DEBUG, message __VA_OPT__(, ) __VA_ARGS__)
#define log_info(message, ...) log_at(LOG_LEVEL_INFO, message __VA_OPT__(, ) __VA_ARGS__)
#define log_warn(message, ...) log_at(LOG_LEVEL_WARN, message __VA_OPT__(, ) __VA_ARGS__)
#define log_error(message, ...) log_at(LOG_LEVEL_ERROR, message __VA_OPT__(, ) __VA_ARGS__)
