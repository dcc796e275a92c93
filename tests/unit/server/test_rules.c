/* A directory of rules: good files count, broken ones are told and keep what was good. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "dispatcher/rules.h"
#include "tests/support/scratch.h"

#define GOOD(name, suffix)                                                                                   \
	"version: 1\nname: " name "\non:\n  - pattern:\n      source: [shardmill.bucket]\n"                  \
	"      detail: {object: {key: [{suffix: " suffix "}]}}\nrun: {exec: [echo, hello]}\n"

static char copies[256];
static struct loop *loop;
static struct rules *rules;

static void write_rule(const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "rules/%s", name);
	cr_assert_eq(fs_write_file(scratch_path(path), bytes_of(text), 0644, NULL), 0);
}

static void setup(void)
{
	scratch_make();
	snprintf(copies, sizeof(copies), "%s", scratch_path("copies"));
	log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, -1);
	cr_assert_eq(fs_make_dirs(scratch_path("rules"), 0755, NULL), 0);
	cr_assert_eq(loop_create(&loop, NULL), 0);
}

static void teardown(void)
{
	rules_close(rules);
	loop_destroy(loop);
	scratch_remove();
}

static void open_rules(void)
{
	struct error e = {0};

	cr_assert_eq(rules_open(loop, scratch_path("rules"), copies, &rules, &e), 0, "%s", e.what);
}

static void reload(void)
{
	rules_reload(rules);
	while (rules_are_being_read(rules))
		loop_turn(loop, true);
}

static struct rule_view view(const char *file)
{
	struct rule_view v = {0};

	for (size_t i = 0; i < rules_count(rules); i++) {
		rules_at(rules, i, &v);
		if (strcmp(v.file, file) == 0)
			return v;
	}
	cr_assert_fail("%s is not among the rules", file);
	return v;
}

static struct event event_of(const char *key)
{
	struct event e;
	struct error error = {0};
	json_t *dom = json_pack("{s:s,s:s,s:s,s:s,s:[],s:{s:{s:s}}}", "id", "1", "source", "shardmill.bucket",
				"detail-type", "Object Created", "time", "2026-01-01T00:00:00Z", "resources",
				"detail", "object", "key", key);

	cr_assert_eq(event_from_json(dom, 0, &e, &error), 0, "%s", error.what);
	json_decref(dom);
	return e;
}

static size_t matches(const char *key)
{
	struct event e = event_of(key);
	size_t cursor = 0, count = 0;
	uint32_t rule;

	while (rules_match(rules, NULL, &e, &cursor, &rule) != NULL) {
		rules_note_matched(rules, rule);
		count++;
	}
	event_fini(&e);
	return count;
}

/* Turns until the rules are as many, by the watch alone. */
static void turn_until_count(size_t count)
{
	usec_t deadline = clock_mono_us() + 10 * USEC_PER_SEC;

	while (rules_count(rules) != count && clock_mono_us() < deadline)
		loop_turn(loop, true);
	cr_assert_eq(rules_count(rules), count);
}

Test(rules, good_ones_match_and_broken_ones_are_told, .init = setup, .fini = teardown)
{
	write_rule("a.yaml", GOOD("a", ".fastq"));
	write_rule("b.yml", GOOD("b", ".csv"));
	write_rule("broken.yaml", "version: 1\nname: broken\nrun: {exec: [}\n");
	write_rule("silent.yaml", "version: 1\nname: silent\nrun: {exec: [echo]}\n");
	write_rule("twin.yaml", GOOD("a", ".txt"));
	write_rule(".hidden.yaml", GOOD("hidden", ".fastq"));
	write_rule("README.md", "no rule\n");
	open_rules();

	cr_assert_eq(rules_count(rules), 5);
	cr_assert_eq(view("a.yaml").error->code, ERR_OK);
	cr_assert_eq(view("broken.yaml").error->code, ERR_INVALID);
	cr_assert_not_null(strstr(view("broken.yaml").error->where, "broken.yaml:3:"), "%s",
			   view("broken.yaml").error->where);
	cr_assert_null(view("silent.yaml").definition, "without `on` nothing starts it");
	cr_assert_eq(view("twin.yaml").error->code, ERR_EXISTS);
	cr_assert_eq(matches("x.fastq"), 1);
	cr_assert_eq(matches("x.txt"), 0);
	cr_assert_eq(view("a.yaml").matched, 1);
}

Test(rules, a_broken_change_keeps_the_last_good_version, .init = setup, .fini = teardown)
{
	write_rule("a.yaml", GOOD("a", ".fastq"));
	open_rules();
	write_rule("a.yaml", "version: 1\nname: [\n");
	reload();
	cr_assert_neq(view("a.yaml").error->code, ERR_OK);
	cr_assert_eq(matches("x.fastq"), 1);

	write_rule("a.yaml", GOOD("a", ".bam"));
	reload();
	cr_assert_eq(view("a.yaml").error->code, ERR_OK);
	cr_assert_eq(matches("x.fastq"), 0);
	cr_assert_eq(matches("x.bam"), 1);
}

/* A dispatcher is started over a file that somebody broke meanwhile. */
Test(rules, the_last_good_version_outlives_a_restart, .init = setup, .fini = teardown)
{
	write_rule("a.yaml", GOOD("a", ".fastq"));
	open_rules();
	cr_assert_eq(rules_are_ready(rules, NULL), 0);
	rules_close(rules);
	write_rule("a.yaml", "version: 1\nname: [\n");
	open_rules();
	cr_assert_neq(view("a.yaml").error->code, ERR_OK);
	cr_assert_eq(matches("x.fastq"), 1);
	cr_assert_eq(rules_are_ready(rules, NULL), 0);

	write_rule("a.yaml", GOOD("a", ".bam"));
	reload();
	cr_assert_eq(view("a.yaml").error->code, ERR_OK);
	cr_assert_eq(matches("x.bam"), 1);

	cr_assert_eq(unlink(scratch_path("rules/a.yaml")), 0);
	reload();
	rules_close(rules);
	write_rule("a.yaml", "version: 1\nname: [\n");
	open_rules();
	cr_assert_null(view("a.yaml").definition, "what was removed is not remembered");
}

/* What stands in the way of each rule, and goes. */
Test(rules, while_one_cannot_be_read_nothing_is_ready, .init = setup, .fini = teardown)
{
	struct error e = {0};

	write_rule("a.yaml", GOOD("a", ".fastq"));
	write_rule("b.yaml", "version: 1\nname: [\n");
	open_rules();
	cr_assert_eq(rules_are_ready(rules, &e), ERR_CLOSED);
	cr_assert_str_eq(e.where, "b.yaml");
	cr_assert_eq(unlink(scratch_path("rules/b.yaml")), 0);
	reload();
	cr_assert_eq(rules_are_ready(rules, NULL), 0);

	cr_assert_eq(symlink("/nowhere/at/all", scratch_path("rules/c.yaml")), 0);
	reload();
	cr_assert_eq(rules_are_ready(rules, &e), ERR_CLOSED, "a link that leads nowhere is no rule less");
	cr_assert_str_eq(e.where, "c.yaml");
}

Test(rules, a_directory_that_is_replaced_is_read, .init = setup, .fini = teardown)
{
	write_rule("a.yaml", GOOD("a", ".fastq"));
	open_rules();
	cr_assert_eq(rename(scratch_path("rules"), scratch_path("old")), 0);
	cr_assert_eq(fs_make_dirs(scratch_path("rules"), 0755, NULL), 0);
	write_rule("b.yaml", GOOD("b", ".bam"));
	write_rule("c.yaml", GOOD("c", ".bam"));
	turn_until_count(2);
	cr_assert_eq(matches("x.bam"), 2);
	write_rule("d.yaml", GOOD("d", ".bam"));
	turn_until_count(3);
}

/* Whoever changes a file while a look is under way gets another look. */
Test(rules, a_change_during_a_look_is_read, .init = setup, .fini = teardown)
{
	write_rule("a.yaml", GOOD("a", ".fastq"));
	open_rules();
	rules_reload(rules);
	write_rule("a.yaml", GOOD("a", ".bam"));
	write_rule("b.yaml", GOOD("b", ".bam"));
	cr_assert_eq(matches("x.fastq"), 1, "what is there goes on until the look has ended");
	reload();
	cr_assert_eq(rules_count(rules), 2);
	cr_assert_eq(matches("x.bam"), 2);
	rules_reload(rules);
	rules_close(rules); /* it ends the look, and keeps what is good */
	write_rule("b.yaml", "version: 1\nname: [\n");
	open_rules();
	cr_assert_eq(matches("x.bam"), 2);
}

Test(rules, a_file_that_is_renamed_keeps_its_name_as_a_rule, .init = setup, .fini = teardown)
{
	write_rule("b.yaml", GOOD("a", ".fastq"));
	open_rules();
	cr_assert_eq(rename(scratch_path("rules/b.yaml"), scratch_path("rules/a.yaml")), 0);
	reload();
	cr_assert_eq(view("a.yaml").error->code, ERR_OK);
	cr_assert_eq(matches("x.fastq"), 1);
}

Test(rules, come_and_go_with_their_files, .init = setup, .fini = teardown)
{
	open_rules();
	cr_assert_eq(rules_count(rules), 0);
	write_rule("a.yaml", GOOD("a", ".fastq"));
	turn_until_count(1);
	cr_assert_eq(matches("x.fastq"), 1);
	cr_assert_eq(unlink(scratch_path("rules/a.yaml")), 0);
	turn_until_count(0);
	cr_assert_eq(matches("x.fastq"), 0);
}

Test(rules, a_missing_directory_is_an_error, .init = setup, .fini = teardown)
{
	struct error e = {0};

	cr_assert_neq(rules_open(loop, scratch_path("nowhere"), copies, &rules, &e), 0);
	cr_assert_not_null(strstr(e.where, "nowhere"));
	cr_assert_eq(rules_open(loop, "", copies, &rules, &e), 0, "no directory, no rules");
}
