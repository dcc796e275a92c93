/* The command line, the environment and the file meet. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/options.h"
#include "tests/support/scratch.h"

static struct params params;
static struct buf out;
static struct error e;
static int first;
static char last_extra[64];

static int set_extra(void *arg, const char *value, struct error *reterr)
{
	if (value != NULL && strcmp(value, "bad") == 0)
		return error_set(reterr, ERR_INVALID, "expected a range, found bad");
	snprintf(last_extra, sizeof last_extra, "%s=%s", (const char *)arg, value != NULL ? value : "");
	return 0;
}

static const struct options_extra extras[] = {
    {'\0', "array", "RANGE", "Shards to run.", set_extra, "array"},
    {'q', "quiet", NULL, "Say less.", set_extra, "quiet"},
    {'o', "out", "FILE", "Where to.", set_extra, "out"},
};

static const struct options_spec spec = {
    .program = "mill-test",
    .synopsis = "[OPTION]... FILE",
    .summary = "try the options",
    .scopes = PARAM_SCOPE_DISPATCHER,
    .extras = extras,
    .extra_count = ARRAY_LENGTH(extras),
};

static char *no_environment[] = {NULL};

/* Words parted by blanks, as argv behind the program's name. */
static int parse_with(const struct options_spec *s, const char *line, char *const *environment)
{
	static char text[512];
	static char *argv[32];
	int argc = 0;

	params_fini(&params);
	buf_clear(&out);
	e = (struct error){0};
	snprintf(text, sizeof text, "mill-test %s", line);
	for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " "))
		argv[argc++] = word;
	argv[argc] = NULL;
	return options_parse(s, &params, argc, argv, environment, &first, &out, &e);
}

static int parse(const char *line)
{
	return parse_with(&spec, line, no_environment);
}

static void setup(void)
{
	scratch_make();
	params_init(&params, PARAM_SCOPE_ALL);
}

static void teardown(void)
{
	params_fini(&params);
	buf_fini(&out);
	scratch_remove();
}

TestSuite(options, .init = setup, .fini = teardown);

Test(options, flags_of_all_shapes)
{
	cr_assert_eq(parse("--heartbeat=1s file --lease-time 2s --init --bucket=/a --bucket /b "
			   "--array=1-3 --quiet"),
		     OPTIONS_RUN, "%s: %s", e.where, e.what);
	cr_assert_eq(params_duration_us(&params, PARAM_HEARTBEAT), USEC_PER_SEC);
	cr_assert_eq(params_duration_us(&params, PARAM_LEASE_TIME), 2 * USEC_PER_SEC);
	cr_assert(params_bool(&params, PARAM_INIT));
	cr_assert_eq(params_list_count(&params, PARAM_BUCKET), 2);
	cr_assert_str_eq(last_extra, "quiet=");
	cr_assert_eq(first, 10);
	cr_assert_eq(parse("-o - -q"), OPTIONS_RUN, "%s: %s", e.where, e.what);
	cr_assert_str_eq(last_extra, "quiet=");
	cr_assert_eq(parse("-qo/x"), OPTIONS_RUN, "%s: %s", e.where, e.what);
	cr_assert_str_eq(last_extra, "out=/x");
	cr_assert_eq(parse("--init=no -- --heartbeat"), OPTIONS_RUN);
	cr_assert_not(params_bool(&params, PARAM_INIT));
	cr_assert_eq(first, 3);
}

Test(options, what_stands_behind_a_command_is_the_commands)
{
	struct options_spec stopping = spec;

	stopping.stop_at_argument = true;
	cr_assert_eq(parse_with(&stopping, "--quiet prog --heartbeat=x -v", no_environment), OPTIONS_RUN,
		     "%s", e.what);
	cr_assert_eq(first, 2);
}

Test(options, wrong_flags_say_which_and_what_to_do)
{
	static const struct {
		const char *line, *where, *text;
	} cases[] = {
	    {"--hartbeat=1s", "--hartbeat", "did you mean --heartbeat?"},
	    {"--pin=on", "--pin", "not one that `"},
	    {"--heartbeat=1", "--heartbeat", "a unit must follow"},
	    {"--heartbeat=", "--heartbeat", "a number must come first"},
	    {"--heartbeat", "--heartbeat", "expected a value"},
	    {"--de=1", "--de", "more than one option begins so"},
	    {"--quiet=1", "--quiet=1", "expected no value"},
	    {"-o", "-o", "expected a value"},
	    {"--array=bad", "--array bad", "expected a range"},
	    {"--arry=1", "--arry", "did you mean --array?"},
	    {"-x", "-x", "there is no such option"},
	    {"--", "", ""},
	    {"--man=html", "--man", "expected roff or markdown"},
	    {"--worker-timeout=1s", "--worker-timeout", "heartbeat must be at most"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		char line[1024];
		int r = parse(cases[i].line);

		cr_assert_eq(r < 0, cases[i].where[0] != '\0', "%s", cases[i].line);
		if (r == 0)
			continue;
		cr_expect_str_eq(e.where, cases[i].where, "%s: %s", cases[i].line, e.where);
		cr_expect(strstr(error_text(&e, line, sizeof line), cases[i].text), "%s: %s", cases[i].line,
			  line);
	}
}

Test(options, a_file_below_the_environment_below_a_flag)
{
	static char file[400], flag[400],
	    *environment[] = {file, "SHARDMILL_LEASE_TIME=2s", "SHARDMILL_HEARTBEAT=2s", NULL};
	const char *path = scratch_path("mill.conf");
	char where[400];

	cr_assert_eq(fs_write_file(path,
				   BYTES_LIT("lease_time: 1s\nheartbeat: 1s\n"
					     "adopt_wait: 1s\n"),
				   0600, &e),
		     0);
	snprintf(file, sizeof file, "SHARDMILL_CONFIG=%s", path);
	cr_assert_eq(parse_with(&spec, "--heartbeat=3s --params", environment), OPTIONS_DONE, "%s: %s",
		     e.where, e.what);
	cr_assert_eq(params_duration_us(&params, PARAM_ADOPT_WAIT), 1 * USEC_PER_SEC);
	cr_assert_eq(params_duration_us(&params, PARAM_LEASE_TIME), 2 * USEC_PER_SEC);
	cr_assert_eq(params_duration_us(&params, PARAM_HEARTBEAT), 3 * USEC_PER_SEC);
	snprintf(where, sizeof where, "adopt_wait = 1s  # file %s:3:13\n", path);
	cr_assert(strstr(buf_text(&out), where), "%s", buf_text(&out));
	cr_assert(strstr(buf_text(&out), "heartbeat = 3s  # flag --heartbeat\n"));
	cr_assert(strstr(buf_text(&out), "lease_time = 2s  # environment SHARDMILL_LEASE_TIME\n"));

	snprintf(flag, sizeof flag, "--config=%s", scratch_path("none"));
	cr_assert_eq(parse_with(&spec, flag, environment), ERR_NOT_FOUND);
	cr_assert(strstr(e.help, "--config"));
	cr_assert_eq(fs_write_file(path, BYTES_LIT("\nlease_time: x\n"), 0600, &e), 0);
	cr_assert_eq(parse_with(&spec, "", environment), ERR_INVALID);
	cr_assert(strstr(e.where, "mill.conf:2:13"), "%s", e.where);
}

Test(options, help_and_manual_hold_all_options)
{
	cr_assert_eq(parse("--help --heartbeat=1s"), OPTIONS_DONE);
	cr_assert(strstr(buf_text(&out), "Usage: mill-test [OPTION]... FILE\n"));
	cr_assert(strstr(buf_text(&out), "--array=RANGE"));
	cr_assert(strstr(buf_text(&out), "--heartbeat=TIME"));
	cr_assert_eq(parse("-h"), OPTIONS_DONE);
	cr_assert_eq(parse("--version"), OPTIONS_DONE);
	cr_assert(strncmp(buf_text(&out), "mill-test 0.", 12) == 0);
	cr_assert_eq(parse("--man"), OPTIONS_DONE);
	cr_assert(strncmp(buf_text(&out), ".TH MILL\\-TEST 1 ", 17) == 0, "%s", buf_text(&out));
	cr_assert(strstr(buf_text(&out), "\nmill\\-test \\- "));
	cr_assert(strstr(buf_text(&out), "\\fB\\-\\-array\\fR=\\fI"));
	cr_assert_eq(parse("--man=markdown"), OPTIONS_DONE);
	cr_assert(strncmp(buf_text(&out), "# mill-test\n", 12) == 0);
}

Test(options, help_breaks_long_paragraphs_between_words)
{
	struct options_spec wordy = {.program = "mill-test", .synopsis = "FILE", .summary = "mill"};
	const char *whole = "Short lines stay.\n\n", *cursor, *kept;
	size_t words = 0;
	char text[512];
	struct buf help = {0};

	snprintf(text, sizeof text, "%s", whole);
	for (int i = 0; i < 40; i++)
		snprintf(text + strlen(text), sizeof text - strlen(text), "%smillstone", i > 0 ? " " : "");
	wordy.details = text;
	options_write_help(&wordy, &help);
	kept = strstr(buf_text(&help), "\nShort lines stay.\n\nmillstone millstone ");
	cr_assert(kept != NULL, "%s", buf_text(&help));
	for (cursor = kept; (cursor = strstr(cursor, "millstone")) != NULL; cursor += 9, words++)
		cr_expect(cursor[9] == ' ' || cursor[9] == '\n', "a word goes on: %.20s", cursor);
	cr_expect_eq(words, 40u);
	for (cursor = buf_text(&help); *cursor != '\0'; cursor += strcspn(cursor, "\n") + 1)
		cr_expect(strcspn(cursor, "\n") <= 104, "too wide: %.120s", cursor);
	buf_fini(&help);
}

Test(options, an_error_says_which_value_was_typed)
{
	static const struct {
		const char *value, *where;
	} cases[] = {
	    {NULL, "--of"},
	    {"", "--of \"\""},
	    {"5-1", "--of 5-1"},
	    {"a b", "--of \"a b\""},
	    {"\033[2J", "--of \"\\x1b[2J\""},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		e = (struct error){.code = ERR_INVALID};
		options_where("of", cases[i].value, &e);
		cr_expect_str_eq(e.where, cases[i].where);
	}
}

Test(options, a_program_that_takes_options_only_refuses_the_rest)
{
	struct options_spec only = spec;

	only.options_only = true;
	cr_assert_lt(parse_with(&only, "--quiet prog", no_environment), 0);
	cr_expect_str_eq(e.what, "expected options only, found \"prog\"");
}
