/* A command line becomes the body of POST /v1/jobs. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "cli/submission.h"
#include "tests/support/scratch.h"

static struct submission s;
static struct error e;

static void setup(void)
{
	scratch_make();
	submission_init(&s);
	e = (struct error){0};
}

static void teardown(void)
{
	submission_fini(&s);
	scratch_remove();
}

TestSuite(submission, .init = setup, .fini = teardown);

static void set(json_t **member, const char *text)
{
	json_decref(*member);
	*member = text != NULL ? json_string(text) : NULL;
}

static void expect_body(const char *definition, const char *expected)
{
	json_t *body = NULL;
	char *text;

	cr_assert_eq(submission_body(&s, definition, "/here", &body, &e), 0, "%s: %s", e.where, e.what);
	text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
	cr_assert_str_eq(text, expected);
	free(text);
	json_decref(body);
}

static void expect_refused(const char *definition, const char *where, const char *what)
{
	json_t *body = NULL;

	cr_assert_lt(submission_body(&s, definition, "/here", &body, &e), 0);
	cr_assert_not_null(strstr(e.where, where), "%s: %s", e.where, e.what);
	cr_assert_not_null(strstr(e.what, what), "%s: %s", e.where, e.what);
	cr_assert_null(body);
}

Test(submission, what_stands_behind_two_dashes_is_the_command)
{
	char *argv[] = {"submit", "--array", "1-9", "--", "prog", "--", "{}", NULL};
	int argc = 7;

	cr_assert_eq(submission_take_command(&s, &argc, argv, &e), 0);
	cr_assert_eq(argc, 3);
	cr_assert_null(argv[3]);
	set(&s.command.array, "1-9");
	cr_assert_eq(submission_add_env(&s, "A=b=c", &e), 0);
	cr_assert_eq(submission_add_env(&s, "B=", &e), 0);
	cr_assert_eq(submission_set_gather(&s, "cat -n", &e), 0);
	s.id = "night 7";
	s.priority = "-3";
	expect_body(
	    NULL, "{\"command\":{\"argv\":[\"prog\",\"--\",\"{}\"],\"array\":\"1-9\",\"directory\":\"/here\","
		  "\"env\":{\"A\":\"b=c\",\"B\":\"\"},\"gather\":[\"cat\",\"-n\"]},\"id\":\"night 7\","
		  "\"priority\":-3}");
}

Test(submission, a_directory_that_was_named_stays)
{
	s.command.argv = json_pack("[s]", "true");
	set(&s.command.directory, "/there");
	expect_body(NULL, "{\"command\":{\"argv\":[\"true\"],\"directory\":\"/there\"}}");
}

Test(submission, paths_are_made_whole_where_they_are_typed)
{
	static const struct {
		const char *of, *whole;
	} cases[] = {
	    {"reads.fastq", "file:///here/reads.fastq"}, {"/data/reads.fastq", "file:///data/reads.fastq"},
	    {"file:///data/x", "file:///data/x"},	 {"s3://bucket/key", "s3://bucket/key"},
	    {"{{event.object}}", "{{event.object}}"},
	};
	char expected[256];

	s.command.argv = json_pack("[s]", "true");
	set(&s.command.directory, "there");
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		set(&s.command.of, cases[i].of);
		snprintf(expected, sizeof(expected),
			 "{\"command\":{\"argv\":[\"true\"],\"directory\":\"/here/there\",\"of\":\"%s\"}}",
			 cases[i].whole);
		expect_body(NULL, expected);
	}
}

/* A directory that is gone or cannot be named is told. Leaving it out would run the command elsewhere. */
Test(submission, a_directory_is_never_left_out)
{
	static const char gone[] = "does not exist any more", odd[] = "not UTF-8";
	static const struct {
		const char *here, *directory, *of, *what; /* what: NULL = fine */
	} cases[] = {
	    {NULL, NULL, NULL, gone},	      {NULL, "there", NULL, gone},
	    {NULL, "/there", "a.txt", gone},  {NULL, "/there", "/a.txt", NULL},
	    {"/lab\xe9", NULL, NULL, odd},    {"/lab\xe9", "there", NULL, odd},
	    {"/lab\xe9", "/there", "a", odd}, {"/lab\xe9", "/there", "s3://b/k", NULL},
	    {"/", "there", "a", NULL},
	};

	s.command.argv = json_pack("[s]", "true");
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		json_t *body = NULL;
		int r;

		set(&s.command.directory, cases[i].directory);
		set(&s.command.of, cases[i].of);
		r = submission_body(&s, NULL, cases[i].here, &body, &e);
		cr_expect_eq(r, cases[i].what != NULL ? ERR_INVALID : 0, "%zu", i);
		if (cases[i].what != NULL)
			cr_expect(strstr(e.what, cases[i].what) != NULL && e.help[0] != '\0', "%zu: %s", i,
				  e.what);
		json_decref(body);
	}
}

Test(submission, lines_of_a_long_file_are_never_left_out)
{
	const char *lines = scratch_path("lines");
	struct buf text = {0};
	json_t *body = NULL;

	for (int i = 0; i < 20000; i++)
		buf_printf(&text, "%d\n", i);
	cr_assert_eq(fs_write_file(lines, buf_bytes(&text), 0644, &e), 0);
	buf_fini(&text);
	cr_assert_eq(chdir(scratch_path("")), 0);
	s.command.argv = json_pack("[s]", "true");
	set(&s.command.directory, "/there");
	s.each_line = "lines";
	cr_expect_eq(submission_body(&s, NULL, "/lab\xe9", &body, &e), ERR_INVALID);
	cr_expect_not_null(strstr(e.what, "not UTF-8"), "%s", e.what);
	cr_assert_eq(submission_body(&s, NULL, "/{{here}}", &body, &e), 0, "%s", e.what);
	cr_expect_str_eq(json_string_value(json_object_get(json_object_get(body, "command"), "lines")),
			 "file:///{{{{here}}/lines");
	json_decref(body);
}

Test(submission, an_error_of_the_api_names_the_option)
{
	static const struct {
		const char *where, *option;
	} cases[] = {
	    {"command.array", "--array 5-1"},
	    {"command.timeout", "--timeout \"1 s\""},
	    {"command.env.2A", "--env 2A"},
	    {"command.gather[0]", "--gather"},
	    {"command.argv[1]", "the command's word \"{{x}}\""},
	    {"name", "--name tonight"},
	    {"priority", "--priority 7"},
	    {"id", "--id \"a b\""},
	    {"event.detail", "--event e.json: detail"},
	    {"else", "else"},
	    {"", ""},
	};

	s.command.argv = json_pack("[s,s]", "prog", "{{x}}");
	set(&s.command.array, "5-1");
	set(&s.command.timeout, "1 s");
	s.name = "tonight";
	s.priority = "7";
	s.id = "a b";
	s.event = "e.json";
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct error told = {.code = ERR_INVALID, .what = "x"};

		error_where(&told, "%s", cases[i].where);
		submission_name_options(&s, &told);
		cr_expect_str_eq(told.where, cases[i].option);
		cr_expect_str_eq(told.what, "x");
	}
}

Test(submission, bytes_want_something_to_cut)
{
	s.command.argv = json_pack("[s]", "true");
	set(&s.command.bytes, "1MiB");
	expect_refused(NULL, "--bytes 1MiB", "--of");
}

Test(submission, a_definition_goes_as_it_stands_with_its_event)
{
	const char *definition = scratch_path("job.yaml"), *event = scratch_path("event.json");
	char expected[512];

	cr_assert_eq(fs_write_file(definition, BYTES_LIT("version: 1\n# é\n"), 0644, &e), 0);
	cr_assert_eq(fs_write_file(event, BYTES_LIT("{\"id\":\"1\"}"), 0644, &e), 0);
	s.event = event;
	s.name = "tonight";
	snprintf(expected, sizeof(expected),
		 "{\"definition\":\"version: 1\\n# "
		 "é\\n\",\"event\":{\"id\":\"1\"},\"file\":\"%s\",\"name\":\"tonight\"}",
		 definition);
	expect_body(definition, expected);
}

/* It is sent, for the dispatcher to refuse as a definition. */
Test(submission, an_empty_definition_is_one)
{
	const char *definition = scratch_path("job.yaml");
	char expected[512];
	struct buf out = {0};
	json_t *body = NULL;

	cr_assert_eq(fs_write_file(definition, BYTES_LIT(""), 0644, &e), 0);
	snprintf(expected, sizeof(expected), "{\"definition\":\"\",\"file\":\"%s\"}", definition);
	expect_body(definition, expected);
	cr_assert_eq(submission_body(&s, definition, "/here", &body, &e), 0);
	submission_explain(body, &out);
	cr_expect_not_null(strstr(buf_text(&out), "job.yaml"), "%s", buf_text(&out));
	buf_fini(&out);
	json_decref(body);
}

Test(submission, neither_nor_both_are_refused)
{
	expect_refused(NULL, "", "expected a definition, or a command behind --");
	s.command.argv = json_pack("[s]", "true");
	expect_refused("job.yaml", "", "found both");
}

Test(submission, options_of_a_command_are_not_for_a_definition)
{
	set(&s.command.array, "9");
	expect_refused("job.yaml", "--array", "a definition says it itself");
	set(&s.command.array, NULL);
	cr_assert_eq(submission_add_env(&s, "A=b", &e), 0);
	expect_refused("job.yaml", "--env", "a definition says it itself");
}

Test(submission, wrong_values_say_where)
{
	const char *event = scratch_path("event.json");
	char *no_command[] = {"submit", "--", NULL};
	int argc = 2;

	cr_assert_eq(submission_take_command(&s, &argc, no_command, &e), ERR_INVALID);
	cr_assert_eq(submission_add_env(&s, "=b", &e), ERR_INVALID);
	cr_assert_eq(submission_add_env(&s, "novalue", &e), ERR_INVALID);
	cr_assert_eq(submission_add_env(&s, "A=\xff", &e), ERR_INVALID);
	cr_assert_eq(submission_set_gather(&s, "a | b", &e), ERR_INVALID);
	s.command.argv = json_pack("[s]", "true");
	s.priority = "high";
	expect_refused(NULL, "--priority high", "expected a whole number");
	s.priority = NULL;
	cr_assert_eq(fs_write_file(event, BYTES_LIT("{\n \"a\": }"), 0644, &e), 0);
	s.event = event;
	expect_refused(NULL, ":2:", "expected an event as JSON");
	s.event = "/nonexistent";
	expect_refused(NULL, "/nonexistent", "");
	s.event = NULL;
	s.name = "\xff";
	expect_refused(NULL, "--name", "UTF-8");
}
