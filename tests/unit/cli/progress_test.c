/* A job of 1,000 shards is watched, in virtual time. */
#include <criterion/criterion.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "cli/human.h"
#include "cli/progress.h"

static struct progress progress;
static struct buf out;

static void setup(void)
{
	setlocale(LC_CTYPE, "C.UTF-8");
	progress = (struct progress){0};
}

static void teardown(void)
{
	buf_fini(&out);
}

TestSuite(progress, .init = setup, .fini = teardown);

static struct progress_state state_of(uint64_t done)
{
	struct progress_state s = {.job = 12, .shards = 1000, .done = done, .leased = 8, .sealed = true};

	strcpy(s.name, "qc");
	strcpy(s.word, "running");
	strcpy(s.phase, "shards");
	return s;
}

static void note(int64_t seconds, uint64_t done)
{
	struct progress_state s = state_of(done);

	progress_note(&progress, seconds * USEC_PER_SEC, &s);
}

static const char *line(unsigned width)
{
	const struct terminal t = {.is_terminal = true, .width = width, .utf8 = true};

	buf_clear(&out);
	progress_line(&progress, &t, &out);
	return buf_text(&out);
}

Test(progress, at_first_nothing_is_promised)
{
	note(0, 0);
	cr_assert_eq(progress_rate(&progress), 0);
	cr_assert_str_eq(line(60), "job 12 qc ░░░░░░░░░░░░░░░░░░░░░░░░░░  0 %  0/1,000  8 leased");
}

Test(progress, the_rate_tells_what_is_left)
{
	note(0, 0);
	note(2, 500);
	cr_assert_float_eq(progress_rate(&progress), 250, 0.01);
	cr_assert_not_null(strstr(line(100), "  50 %  500/1,000  2.0 s left  250/s  8 leased"), "%s",
			   line(100));
	cr_assert_not_null(strstr(line(100), "████████████████░░░░░░░░░░░░░░░░"), "%s", line(100));
}

Test(progress, the_rate_follows_the_last_seconds)
{
	for (int64_t second = 0; second <= 100; second++)
		note(second, second < 50 ? (uint64_t)second * 10 : 500 + (uint64_t)(second - 50) * 2);
	cr_assert_float_eq(progress_rate(&progress), 2, 0.01);
}

Test(progress, many_looks_a_second_still_span_the_window)
{
	struct progress_state s;

	for (int64_t tick = 0; tick <= 200; tick++) { /* 20 s, ten looks each */
		s = state_of((uint64_t)tick);
		progress_note(&progress, tick * 100 * USEC_PER_MSEC, &s);
	}
	cr_assert_float_eq(progress_rate(&progress), 10, 0.01);
	cr_assert_leq(progress.samples[progress.first].mono_us, 8 * USEC_PER_SEC);
}

Test(progress, a_stalled_job_has_no_end_in_sight)
{
	for (int64_t second = 0; second <= 40; second++)
		note(second, 500);
	cr_assert_eq(progress_rate(&progress), 0);
	cr_assert_null(strstr(line(100), "left"));
}

Test(progress, another_phase_begins_anew)
{
	struct progress_state s = state_of(0);

	note(0, 0);
	note(2, 1000);
	strcpy(s.phase, "gather");
	strcpy(s.word, "gathering");
	s.shards = 1;
	progress_note(&progress, 3 * USEC_PER_SEC, &s);
	cr_assert_eq(progress_rate(&progress), 0);
	cr_assert_not_null(strstr(line(100), "  gathering  0 %  0/1"), "%s", line(100));
}

Test(progress, no_line_is_wider_than_the_terminal)
{
	struct progress_state s = state_of(123);

	snprintf(s.name, sizeof(s.name), "a-name-that-somebody-must-have-taken-great-pride-in-once");
	s.dead = 7;
	s.sealed = false;
	note(0, 0);
	progress_note(&progress, USEC_PER_SEC, &s);
	for (unsigned width = 1; width < 200; width++)
		cr_expect_leq(human_width(bytes_of(line(width))), width, "%u: %s", width, line(width));
	cr_assert_not_null(strstr(line(120), "13 %  130/1,000+  7 dead"), "%s", line(120));
}

Test(progress, a_dispatcher_that_is_away_is_told)
{
	note(0, 0);
	note(2, 500);
	progress.away = true;
	cr_assert_not_null(strstr(line(100), "the dispatcher is away; waiting for it"));
	cr_assert_null(strstr(line(100), "left"));
	note(9, 600);
	cr_assert_null(strstr(line(100), "away"));
}

Test(progress, the_last_line_tells_how_it_went)
{
	const struct terminal t = {0};
	struct progress_state s = state_of(998);

	s.ended = true;
	s.dead = 2;
	s.took_us = 4 * USEC_PER_SEC;
	strcpy(s.word, "failed");
	strcpy(s.why, "2 of 1,000 shards are dead");
	progress_note(&progress, 0, &s);
	progress_end_line(&progress, &t, false, &out);
	cr_assert_str_eq(buf_text(&out), "job 12 qc failed: 998 of 1,000 shards in 4.0 s (249/s), 2 dead; "
					 "2 of 1,000 shards are dead");
}

Test(progress, a_job_whose_planning_failed_is_not_said_to_have_had_shards)
{
	const struct terminal t = {0};
	struct progress_state s = state_of(0);

	s.ended = true;
	s.shards = 0;
	s.took_us = 1500 * USEC_PER_MSEC;
	strcpy(s.word, "failed");
	strcpy(s.why, "planning: exit 4");
	progress_note(&progress, 0, &s);
	progress_end_line(&progress, &t, false, &out);
	cr_assert_str_eq(buf_text(&out),
			 "job 12 qc failed before it had shards, after 1.5 s; planning: exit 4");
	buf_clear(&out);
	strcpy(s.word, "succeeded");
	s.why[0] = '\0';
	progress_note(&progress, 0, &s);
	progress_end_line(&progress, &t, false, &out);
	cr_assert_str_eq(buf_text(&out), "job 12 qc succeeded: 0 of 0 shards in 1.5 s");
}

Test(progress, a_long_reason_is_told_to_its_end)
{
	static const struct terminal t = {.width = 80, .utf8 = true};
	struct progress_state s = state_of(998);

	s.ended = true;
	strcpy(s.word, "failed");
	memset(s.why, 'y', 600);
	strcpy(s.why + 600, "No such file or directory");
	progress_note(&progress, 0, &s);
	progress_end_line(&progress, &t, false, &out);
	cr_assert(strstr(buf_text(&out), "yNo such file or directory") != NULL, "%s", buf_text(&out));
}

Test(progress, nothing_is_drawn_where_there_is_no_terminal)
{
	FILE *file = tmpfile();

	note(0, 10);
	progress_show(&progress, USEC_PER_SEC, file);
	progress_hide(&progress, file);
	cr_assert_eq(ftell(file), 0);
	fclose(file);
}
