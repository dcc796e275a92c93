/* One line an event, whatever the values hold. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/rng.h"

#define SEED 99u

TestSuite(log);

static int fd;

static void setup(void)
{
	fd = memfd_create("log", MFD_CLOEXEC);
	cr_assert_geq(fd, 0);
}

static void teardown(void)
{
	log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, STDERR_FILENO);
	close(fd);
}

/* What was written since the last call; buf_fini it. */
static struct buf written(void)
{
	struct buf out = {0};
	off_t size = lseek(fd, 0, SEEK_END);

	cr_assert_eq(pread(fd, buf_reserve(&out, (size_t)size), (size_t)size, 0), size);
	out.size = (size_t)size;
	cr_assert_eq(ftruncate(fd, 0), 0);
	lseek(fd, 0, SEEK_SET);
	return out;
}

/* A line without its time, which is checked for its shape. */
static const char *behind_time(struct buf *line)
{
	const char *text = buf_text(line);
	static const char shape[] = "dddd-dd-ddTdd:dd:dd.ddddddZ ";

	for (size_t i = 0; shape[i] != '\0'; i++)
		if (shape[i] == 'd')
			cr_assert(text[i] >= '0' && text[i] <= '9', "%s", text);
		else
			cr_assert_eq(text[i], shape[i], "%s", text);
	return text + strlen(shape);
}

Test(log, a_text_line, .init = setup, .fini = teardown)
{
	struct error e = {0};
	char text[ERROR_LINE_MAX];
	struct buf line;

	error_set(&e, ERR_IO, "disk full");
	error_where(&e, "/x");
	log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, fd);
	log_warn("shard failed", log_u64("job", UINT64_MAX), log_i64("code", -1), log_text("key", "a b"),
		 log_text("worker", "w7"), log_flag("late", true), log_duration("after", 1500000),
		 log_text("none", NULL), log_error_field(&e, text, sizeof text));
	line = written();
	cr_assert_str_eq(behind_time(&line),
			 "warn  shard failed job=18446744073709551615 code=-1 key=\"a b\" "
			 "worker=w7 late=true after=1s500ms none=\"\" error=\"/x: disk full\"\n");
	buf_fini(&line);
	log_info("started");
	line = written();
	cr_assert_str_eq(behind_time(&line), "info  started\n");
	buf_fini(&line);
}

Test(log, levels_below_the_least_are_not_written, .init = setup, .fini = teardown)
{
	struct buf line;

	log_configure(LOG_LEVEL_WARN, LOG_FORMAT_TEXT, fd);
	log_debug("a");
	log_info("b");
	log_warn("c");
	log_error("d");
	line = written();
	cr_assert_null(strstr(buf_text(&line), " a\n"));
	cr_assert_null(strstr(buf_text(&line), " b\n"));
	cr_assert(strstr(buf_text(&line), "warn  c\n"));
	cr_assert(strstr(buf_text(&line), "error d\n"));
	buf_fini(&line);
}

Test(log, a_value_cannot_forge_a_line_or_a_field, .init = setup, .fini = teardown)
{
	struct buf line;

	log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, fd);
	log_info("event", log_text("key", "x\n2024-01-01T00:00:00Z error owned"), log_text("id", "1 job=2"),
		 log_text("eq", "a=b"), log_text("esc", "\x1b[2J"), log_bytes("nul", BYTES("a\0b", 3)));
	line = written();
	cr_assert_str_eq(behind_time(&line),
			 "info  event key=\"x\\n2024-01-01T00:00:00Z error owned\" id=\"1 job=2\" "
			 "eq=\"a=b\" esc=\"\\x1b[2J\" nul=\"a\\x00b\"\n");
	buf_fini(&line);
}

Test(log, json_lines_parse_and_keep_the_values, .init = setup, .fini = teardown)
{
	struct buf line;
	json_t *root;

	log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON, fd);
	log_info("say \"x\"", log_u64("job", 12), log_i64("n", -3), log_flag("ok", false),
		 log_text("key", "a\n\"b\"\\ \xe2\x80\xae"), log_duration("wait_us", 1500),
		 log_text("raw", "\xff"));
	line = written();
	cr_assert_eq(strchr(buf_text(&line), '\n'), buf_text(&line) + line.size - 1);
	root = json_loadb((const char *)line.data, line.size, JSON_ALLOW_NUL, NULL);
	cr_assert_not_null(root, "%s", buf_text(&line));
	cr_assert_str_eq(json_string_value(json_object_get(root, "message")), "say \"x\"");
	cr_assert_str_eq(json_string_value(json_object_get(root, "level")), "info");
	cr_assert_eq(json_integer_value(json_object_get(root, "job")), 12);
	cr_assert_eq(json_integer_value(json_object_get(root, "n")), -3);
	cr_assert(json_is_false(json_object_get(root, "ok")));
	cr_assert_str_eq(json_string_value(json_object_get(root, "key")), "a\n\"b\"\\ \xe2\x80\xae");
	cr_assert_eq(json_integer_value(json_object_get(root, "wait_us")), 1500);
	cr_assert_str_eq(json_string_value(json_object_get(root, "raw")), "\\xff");
	json_decref(root);
	buf_fini(&line);
}

Test(log, a_long_value_is_cut_between_characters, .init = setup, .fini = teardown)
{
	for (size_t lead = 0; lead < 4; lead++) {
		struct buf value = {0}, line;
		json_t *root;
		const char *text;

		log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON, fd);
		for (size_t i = 0; i < lead; i++)
			buf_append(&value, "x", 1);
		while (value.size < 2 * LOG_VALUE_MAX)
			buf_append(&value, "\xf0\x9f\xa7\xac", 4);
		log_info("long", log_bytes("value", buf_bytes(&value)));
		line = written();
		root = json_loadb((const char *)line.data, line.size, JSON_ALLOW_NUL, NULL);
		cr_assert_not_null(root);
		text = json_string_value(json_object_get(root, "value"));
		cr_assert_null(strstr(text, "\\x"), "cut through a character");
		cr_assert(strlen(text) <= LOG_VALUE_MAX + 3 && strlen(text) > LOG_VALUE_MAX - 4);
		json_decref(root);
		buf_fini(&line);
		buf_fini(&value);
	}
}

Test(log, any_bytes_stay_one_line_in_both_formats, .init = setup, .fini = teardown)
{
	struct rng r;

	rng_seed(&r, SEED);
	for (int i = 0; i < 2000; i++) {
		uint8_t data[64];
		struct bytes value = BYTES(data, rng_below(&r, sizeof data + 1));
		bool json = rng_chance(&r, 500000);
		struct buf line;

		for (size_t k = 0; k < value.size; k++)
			data[k] = (uint8_t)rng_u64(&r);
		log_configure(LOG_LEVEL_INFO, json ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT, fd);
		log_info("event", log_bytes("value", value));
		line = written();
		for (size_t k = 0; k + 1 < line.size; k++)
			cr_assert(line.data[k] >= 0x20 && line.data[k] != 0x7f, "seed %u, round %d", SEED, i);
		cr_assert_eq(line.data[line.size - 1], '\n');
		if (json) {
			json_t *root = json_loadb((const char *)line.data, line.size, JSON_ALLOW_NUL, NULL);

			cr_assert_not_null(root, "seed %u, round %d: %s", SEED, i, buf_text(&line));
			json_decref(root);
		}
		buf_fini(&line);
	}
}

Test(log, errno_survives_and_a_closed_descriptor_is_no_failure, .init = setup, .fini = teardown)
{
	log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, 9999);
	errno = EXDEV;
	log_error("nobody reads this");
	cr_assert_eq(errno, EXDEV);
}

Test(log, a_flood_of_lines_is_cut_and_counted)
{
	struct log_quota q = {0};
	uint64_t withheld = 99;
	usec_t now = 5 * USEC_PER_SEC;

	for (uint32_t i = 0; i < LOG_QUOTA_MAX; i++) {
		cr_assert(log_quota_take(&q, now + i, &withheld));
		cr_assert_eq(withheld, 0);
	}
	for (uint32_t i = 0; i < 1000; i++)
		cr_assert_not(log_quota_take(&q, now + USEC_PER_SEC - 1, &withheld));
	cr_assert(log_quota_take(&q, now + USEC_PER_SEC, &withheld));
	cr_assert_eq(withheld, 1000);
	cr_assert(log_quota_take(&q, now + USEC_PER_SEC, &withheld));
	cr_assert_eq(withheld, 0);
}
