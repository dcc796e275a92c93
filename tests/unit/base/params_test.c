/* One table, four places where a value may come from: who wins, and what is refused where. */
#include <criterion/criterion.h>
#include <ctype.h>
#include <string.h>

#include "base/params.h"

TestSuite(params);

static struct params params;

static void setup(void)
{
	params_init(&params, PARAM_SCOPE_DISPATCHER);
}

static void teardown(void)
{
	params_fini(&params);
}

static int set_file(const char *text, struct error *e)
{
	return params_set_file(&params, "mill.conf", bytes_of(text), e);
}

Test(params, the_table_is_sound)
{
	static const char *const ids[] = {
#define PARAM(id, ...) #id,
#include "base/params.def"
	};

	for (int i = 0; i < PARAM_COUNT; i++) {
		const struct param_info *info = param_info((enum param_id)i);
		size_t doc_length = strlen(info->doc);
		enum param_id found = PARAM_COUNT;

		cr_expect_eq(strlen(info->name), strlen(ids[i]));
		for (size_t k = 0; info->name[k] != '\0'; k++)
			cr_expect_eq(info->name[k], tolower(ids[i][k]), "%s", ids[i]);
		cr_expect(param_find(bytes_of(info->name), &found, NULL) == 0 && (int)found == i);
		cr_expect_neq(info->scopes, 0, "%s is nobody's", info->name);
		cr_expect(doc_length > 10 && info->doc[doc_length - 1] == '.', "%s", info->name);
		cr_expect_eq(info->type == PARAM_TYPE_CHOICE, info->choices[0] != '\0');
		cr_expect_eq(info->type == PARAM_TYPE_BOOL, info->placeholder[0] == '\0', "%s", info->name);
		cr_expect_eq(info->min_text[0] == '\0', info->max_text[0] == '\0', "%s: one bound",
			     info->name);
	}
}

Test(params, bounds_themselves_are_taken_and_one_step_beyond_is_not, .init = setup, .fini = teardown)
{
	for (int i = 0; i < PARAM_COUNT; i++) {
		const struct param_info *info = param_info((enum param_id)i);

		if (info->min_text[0] == '\0')
			continue;
		cr_expect_eq(params_set(&params, (enum param_id)i, bytes_of(info->min_text), PARAM_FROM_FLAG,
					"--x", NULL),
			     0, "%s", info->name);
		cr_expect_eq(params_set(&params, (enum param_id)i, bytes_of(info->max_text), PARAM_FROM_FLAG,
					"--x", NULL),
			     0, "%s", info->name);
	}
}

Test(params, defaults_have_their_types, .init = setup, .fini = teardown)
{
	struct error e = {0};

	cr_assert_eq(params_duration_us(&params, PARAM_HEARTBEAT), 2 * USEC_PER_SEC);
	cr_assert_eq(params_size_bytes(&params, PARAM_JOURNAL_SEGMENT), 64u << 20);
	cr_assert_eq(params_int(&params, PARAM_DEDUP_MAX), 4194304);
	cr_assert_eq(params_choice(&params, PARAM_PIN), 0);
	cr_assert_eq(params_cpus_milli(&params, PARAM_CPUS), 0);
	cr_assert_eq(params_bool(&params, PARAM_INIT), false);
	cr_assert_str_eq(params_text(&params, PARAM_LISTEN), "tcp://127.0.0.1:7170");
	cr_assert_str_eq(params_text(&params, PARAM_STATE_DIR), "");
	cr_assert_eq(params_list_count(&params, PARAM_BUCKET), 0);
	cr_assert_not(params_is_set(&params, PARAM_HEARTBEAT));
	cr_assert_eq(params_check(&params, &e), 0, "%s", e.what);
}

Test(params, the_stronger_source_wins_in_any_order, .init = setup, .fini = teardown)
{
	static const char *const texts[] = {"1s", "3s", "4s", "5s"};

	/* All orders of file, environment and flag. */
	static const enum param_from orders[][3] = {{1, 2, 3}, {1, 3, 2}, {2, 1, 3},
						    {2, 3, 1}, {3, 1, 2}, {3, 2, 1}};

	for (size_t i = 0; i < ARRAY_LENGTH(orders); i++) {
		for (size_t k = 0; k < 3; k++)
			cr_assert_eq(params_set(&params, PARAM_HEARTBEAT, bytes_of(texts[orders[i][k]]),
						orders[i][k], "here", NULL),
				     0);
		cr_assert_eq(params_duration_us(&params, PARAM_HEARTBEAT), 5 * USEC_PER_SEC);
		params_fini(&params);
		params_init(&params, PARAM_SCOPE_DISPATCHER);
	}
}

Test(params, a_weaker_value_is_judged_although_it_loses, .init = setup, .fini = teardown)
{
	struct error e = {0};

	cr_assert_eq(params_set(&params, PARAM_HEARTBEAT, BYTES_LIT("5s"), PARAM_FROM_FLAG, "--x", &e), 0);
	cr_assert_lt(set_file("heartbeat: soon\n", &e), 0);
	cr_assert_str_eq(e.where, "mill.conf:1:12");
}

Test(params, a_file_as_people_write_it, .init = setup, .fini = teardown)
{
	struct error e = {0};
	int r = set_file("# the mill\r\n"
			 "\n"
			 "heartbeat: 500ms   # quick\n"
			 "  pin : off\n"
			 "state-dir:/srv/mill#1\n"
			 "history: \" a # \\\"b\\\\ \"  # quoted\n"
			 "bucket: /srv/in\n"
			 "bucket: /srv/more in here\t \n"
			 "init: true\n"
			 "api_listen: \"\"\n"
			 "cpus: 0.5", /* no newline, and a worker's: judged, not used */
			 &e);

	cr_assert_eq(r, 0, "%s: %s", e.where, e.what);
	cr_assert_eq(params_duration_us(&params, PARAM_HEARTBEAT), 500000);
	cr_assert_eq(params_choice(&params, PARAM_PIN), 2);
	cr_assert_str_eq(params_text(&params, PARAM_STATE_DIR), "/srv/mill#1");
	cr_assert_str_eq(params_text(&params, PARAM_HISTORY), " a # \"b\\ ");
	cr_assert_eq(params_list_count(&params, PARAM_BUCKET), 2);
	cr_assert_str_eq(params_list_at(&params, PARAM_BUCKET, 0), "/srv/in");
	cr_assert_str_eq(params_list_at(&params, PARAM_BUCKET, 1), "/srv/more in here");
	cr_assert(params_bool(&params, PARAM_INIT));
	cr_assert(params_is_set(&params, PARAM_API_LISTEN));
}

Test(params, a_wrong_file_says_where_and_changes_nothing, .init = setup, .fini = teardown)
{
	static const struct {
		const char *text, *where, *what;
	} cases[] = {
	    {"heartbeat 2s\n", "mill.conf:1:1", "expected `name: value`"},
	    {"\n  : 2s\n", "mill.conf:2:3", "expected `name: value`"},
	    {"- heartbeat\n", "mill.conf:1:1", "expected `name: value`"},
	    {"hartbeat: 2s\n", "mill.conf:1:1", "no parameter \"hartbeat\""},
	    {"heartbeat:\n", "mill.conf:1:11", "expected a value"},
	    {"heartbeat:   # soon\n", "mill.conf:1:14", "expected a value"},
	    {"heartbeat: 2\n", "mill.conf:1:12", "a unit must follow"},
	    {"heartbeat: 1ms\n", "mill.conf:1:12", "at least 10ms"},
	    {"heartbeat: 2h\n", "mill.conf:1:12", "at most 1h"},
	    {"#\n#\npin: maybe\n", "mill.conf:3:6", "expected one of auto|on|off"},
	    {"pin: aut\n", "mill.conf:1:6", "expected one of auto|on|off"},
	    {"init: maybe\n", "mill.conf:1:7", "expected yes or no"},
	    {"dedup_max: 1e6\n", "mill.conf:1:12", "expected a whole number"},
	    {"dedup_max: 99999999999999999999\n", "mill.conf:1:12", "expected a whole number"},
	    {"dedup_max: -1\n", "mill.conf:1:12", "expected a whole number"},
	    {"journal_segment: 1MiB\n", "mill.conf:1:18", "at least 16MiB"},
	    {"journal_segment: 9EiB\n", "mill.conf:1:18", "the units are"},
	    {"cpus: lots\n", "mill.conf:1:7", "a number must come first"},
	    {"pin: on\npin: off\n", "mill.conf:2:1", "set already, in line 1"},
	    {"history: \"open\n", "mill.conf:1:10", "closing quote"},
	    {"history: \"a\\n\"\n", "mill.conf:1:12", "behind a backslash"},
	    {"history: \"a\" b\n", "mill.conf:1:14", "nothing behind the closing quote"},
	    {"history: a\x01\n", "mill.conf:1:10", "no control characters"},
	    {"bucket: \"\"\n", "mill.conf:1:9", "must name a path"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct error e = {0};
		struct buf text = {0};

		/* A good line before must not count either. */
		buf_printf(&text, "%s", cases[i].text);
		buf_printf(&text, "lease_time: 7s\n");
		cr_assert_lt(set_file(buf_text(&text), &e), 0, "taken: %s", cases[i].text);
		buf_fini(&text);
		cr_expect_str_eq(e.where, cases[i].where, "%s gave %s", cases[i].text, e.where);
		cr_expect(strstr(e.what, cases[i].what), "%s gave %s", cases[i].text, e.what);
		cr_expect_not(params_is_set(&params, PARAM_LEASE_TIME));
		cr_expect_not(params_is_set(&params, PARAM_PIN));
	}
}

Test(params, bounds_on_what_a_file_may_hold, .init = setup, .fini = teardown)
{
	struct error e = {0};
	struct buf text = {0};

	buf_append_zeros(&text, PARAMS_FILE_MAX + 1);
	cr_assert_eq(params_set_file(&params, "f", buf_bytes(&text), &e), ERR_LIMIT);
	buf_clear(&text);
	buf_printf(&text, "history: ");
	memset(buf_reserve(&text, PARAMS_TEXT_MAX + 1), 'x', PARAMS_TEXT_MAX + 1);
	text.size += PARAMS_TEXT_MAX + 1;
	cr_assert_eq(params_set_file(&params, "f", buf_bytes(&text), &e), ERR_LIMIT);
	buf_clear(&text);
	for (unsigned i = 0; i < PARAMS_LIST_MAX; i++)
		buf_printf(&text, "bucket: /%u\n", i);
	cr_assert_eq(params_set_file(&params, "f", buf_bytes(&text), &e), 0, "%s", e.what);
	buf_printf(&text, "bucket: /one-more\n");
	cr_assert_eq(params_set_file(&params, "f", buf_bytes(&text), &e), ERR_LIMIT);
	buf_fini(&text);
}

Test(params, the_environment_and_names_that_are_not_ours, .init = setup, .fini = teardown)
{
	char *const good[] = {"SHARDMILL_HEARTBEAT=1s",
			      "SHARDMILL_JOB=12",
			      "SHARDMILL_heartbeat=x",
			      "SHARDMILL_",
			      "SHARDMILL_=",
			      "PATH=/bin",
			      "SHARDMILL_BUCKET=/a::/b:",
			      "SHARDMILL_DEDUP-MAX=x",
			      NULL};
	char *const bad[] = {"SHARDMILL_LEASE_TIME=", NULL};
	struct error e = {0};

	cr_assert_eq(params_set_env(&params, good, &e), 0, "%s %s", e.where, e.what);
	cr_assert_eq(params_duration_us(&params, PARAM_HEARTBEAT), USEC_PER_SEC);
	cr_assert_eq(params_list_count(&params, PARAM_BUCKET), 2);
	cr_assert_str_eq(params_list_at(&params, PARAM_BUCKET, 1), "/b");
	cr_assert_eq(params_set_env(&params, bad, &e), ERR_INVALID);
	cr_assert_str_eq(e.where, "SHARDMILL_LEASE_TIME");
}

Test(params, every_one_has_a_variable, .init = setup, .fini = teardown)
{
	for (unsigned id = 0; id < PARAM_COUNT; id++) {
		struct buf entry = {0};
		char *environ_array[2] = {NULL, NULL};

		/* A value that is wrong for each that is not a text: who hears it says so. */
		buf_printf(&entry, "SHARDMILL_%s=\x01?", param_info(id)->name);
		for (char *at = (char *)entry.data; *at != '='; at++)
			*at = (char)toupper((unsigned char)*at);
		environ_array[0] = (char *)(uintptr_t)buf_text(&entry);
		cr_assert(params_set_env(&params, environ_array, NULL) < 0 || params_is_set(&params, id),
			  "%s is not heard", environ_array[0]);
		buf_fini(&entry);
	}
}

Test(params, a_list_of_a_stronger_source_replaces, .init = setup, .fini = teardown)
{
	char *const environ_array[] = {"SHARDMILL_BUCKET=/env", NULL};

	cr_assert_eq(set_file("bucket: /a\nbucket: /b\n", NULL), 0);
	cr_assert_eq(params_set_env(&params, environ_array, NULL), 0);
	cr_assert_eq(params_list_count(&params, PARAM_BUCKET), 1);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(
		    params_set(&params, PARAM_BUCKET, BYTES_LIT("/flag"), PARAM_FROM_FLAG, "--bucket", NULL),
		    0);
	cr_assert_eq(params_list_count(&params, PARAM_BUCKET), 2);
	cr_assert_str_eq(params_list_at(&params, PARAM_BUCKET, 0), "/flag");
}

Test(params, what_must_hold_between_parameters, .init = setup, .fini = teardown)
{
	struct error e = {0};

	cr_assert_eq(set_file("worker_timeout: 1s\n", &e), 0);
	cr_assert_eq(params_check(&params, &e), ERR_INVALID);
	cr_assert_str_eq(e.where, "mill.conf:1:17");
	cr_assert_str_eq(e.what, "heartbeat must be at most worker_timeout, found 2s and 1s");
}

/* A worker cannot say what the dispatcher's timeout is: its highest heartbeat is no contradiction. */
Test(params, another_programs_parameters_contradict_nothing)
{
	struct params worker;
	struct error e = {0};

	params_init(&worker, PARAM_SCOPE_WORKER);
	cr_assert_eq(
	    params_set(&worker, PARAM_HEARTBEAT, BYTES_LIT("1h"), PARAM_FROM_FLAG, "--heartbeat", &e), 0);
	cr_assert_eq(params_check(&worker, &e), 0, "%s", e.what);
	cr_assert_eq(
	    params_set(&worker, PARAM_REPORT_DELAY_MIN, BYTES_LIT("10s"), PARAM_FROM_FLAG, "--x", &e), 0);
	cr_assert_eq(params_check(&worker, &e), ERR_INVALID, "both are a worker's");
	params_fini(&worker);
}

Test(params, a_misspelt_name_is_guessed)
{
	static const struct {
		const char *name, *help;
	} cases[] = {
	    {"hearbeat", "did you mean heartbeat?"},
	    {"worker_time_out", "did you mean worker_timeout?"},
	    {"utterly_else", "--help lists them"},
	    {"", "--help lists them"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		enum param_id id = PARAM_COUNT;
		struct error e = {0};

		cr_assert_eq(param_find(bytes_of(cases[i].name), &id, &e), ERR_NOT_FOUND);
		cr_expect_str_eq(e.help, cases[i].help, "%s", cases[i].name);
	}
}

Test(params, a_dump_reads_back_as_the_same_values, .init = setup, .fini = teardown)
{
	struct buf dump = {0};

	cr_assert_eq(set_file("heartbeat: 1500ms\nhistory: /h.db\n", NULL), 0);
	params_dump(&params, &dump);
	cr_assert(strstr(buf_text(&dump), "heartbeat = 1s500ms  # file mill.conf:1:12\n"));
	cr_assert(strstr(buf_text(&dump), "history = /h.db  # file mill.conf:2:10\n"));
	cr_assert(strstr(buf_text(&dump), "lease_time = 100ms  # default\n"));
	cr_assert(strstr(buf_text(&dump), "\nbucket = # default\n"));
	cr_assert_null(strstr(buf_text(&dump), "cpus ="), "that is a worker's");
	buf_fini(&dump);
	for (int i = 0; i < PARAM_COUNT; i++) {
		struct buf value = {0};

		params_format(&params, (enum param_id)i, &value);
		if (param_info((enum param_id)i)->type != PARAM_TYPE_PATHS)
			cr_expect_eq(params_set(&params, (enum param_id)i, buf_bytes(&value), PARAM_FROM_FLAG,
						NULL, NULL),
				     0, "%s", buf_text(&value));
		buf_fini(&value);
	}
}

Test(params, help_and_manual_come_from_the_table)
{
	struct buf out = {0};

	params_write_help(PARAM_SCOPE_WORKER, &out);
	cr_assert(strstr(buf_text(&out), "  --heartbeat=TIME\n      How often"));
	cr_assert(strstr(buf_text(&out), "Default: 2s; 10ms to 1h."));
	cr_assert(strstr(buf_text(&out), "  --pin=auto|on|off\n"));
	cr_assert_null(strstr(buf_text(&out), "--state-dir"));
	for (const char *line = buf_text(&out), *end; (end = strchr(line, '\n')) != NULL; line = end + 1)
		cr_expect_leq(end - line, 79, "%.*s", (int)(end - line), line);
	buf_clear(&out);
	params_write_roff(PARAM_SCOPE_DISPATCHER, &out);
	cr_assert(strstr(buf_text(&out), ".TP\n.B \\-\\-state\\-dir=DIR\nDirectory of the"));
	cr_assert(strstr(buf_text(&out), ".B \\-\\-init\n"));
	buf_clear(&out);
	params_write_markdown(PARAM_SCOPE_ALL, &out);
	cr_assert(strstr(buf_text(&out), "| `heartbeat` | `--heartbeat=TIME` | 2s | 10ms to 1h |"));
	cr_assert(strstr(buf_text(&out), "`--pin=auto\\|on\\|off`"));
	buf_fini(&out);
}
