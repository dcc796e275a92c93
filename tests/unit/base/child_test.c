#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/child.h"
#include "base/fs.h"
#include "tests/support/scratch.h"

TestSuite(child, .init = scratch_make, .fini = scratch_remove, .timeout = 20);

static struct child start(const char *script, const char *record, const char *note)
{
	char *argv[] = {"sh", "-c", (char *)script, NULL};
	char *envp[] = {"PATH=/usr/bin:/bin", NULL};
	struct child_spec spec = {.program = "/bin/sh",
				  .argv = argv,
				  .envp = envp,
				  .log_path = scratch_path("log"),
				  .record_path = record,
				  .note = note};
	struct child c;
	struct error e;

	cr_assert_eq(child_start(&spec, &c, &e), 0, "%s", e.what);
	return c;
}

static struct child_end wait_end(struct child *c)
{
	struct pollfd p = {.fd = c->pidfd, .events = POLLIN};
	struct child_end end;

	cr_assert_eq(poll(&p, 1, 10000), 1, "the child did not end");
	cr_assert(child_reap(c, &end));
	return end;
}

Test(child, ends_are_told)
{
	static const struct {
		const char *script;
		const char *text;
	} cases[] = {
	    {"exit 0", "exit code 0"}, {"exit 7", "exit code 7"}, {"kill -9 $$", "signal 9 (Killed)"}};
	char text[64];

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct child c = start(cases[i].script, NULL, NULL);
		struct child_end end = wait_end(&c);

		cr_expect_str_eq(child_end_text(&end, text, sizeof text), cases[i].text);
		child_close(&c);
	}
}

Test(child, leads_a_session_and_appends_to_its_log)
{
	struct child c;
	struct buf log = {0};
	char expected[64];

	for (int i = 0; i < 2; i++) {
		c = start("ps -o pid=,sid= -p $$ | tr -s ' ' | sed 's/^ //'", NULL, NULL);
		snprintf(expected, sizeof expected, "%d %d\n", c.pid, c.pid);
		wait_end(&c);
	}
	cr_assert_eq(fs_read_file(scratch_path("log"), 4096, &log, NULL), 0);
	cr_expect_str_eq(strchr(buf_text(&log), '\n') + 1, expected);
	buf_fini(&log);
	child_close(&c);
}

Test(child, a_log_that_has_grown_is_put_aside)
{
	const char *log = scratch_path("log");
	struct buf text = {0};
	struct child c;

	cr_assert_eq(fs_write_file(log, BYTES_LIT("old"), 0600, NULL), 0);
	cr_assert_eq(truncate(log, CHILD_LOG_BYTES_MAX), 0);
	c = start("echo at the bound", NULL, NULL);
	wait_end(&c);
	child_close(&c);
	cr_expect_neq(access(scratch_path("log.1"), F_OK), 0);
	c = start("echo new", NULL, NULL);
	wait_end(&c);
	child_close(&c);
	cr_expect_eq(access(scratch_path("log.1"), F_OK), 0);
	cr_assert_eq(fs_read_file(log, 100, &text, NULL), 0);
	cr_expect_str_eq(buf_text(&text), "new\n");
	buf_fini(&text);
}

/* A starter dies; who comes after it finds the child by its record, and sees its end. */
Test(child, a_stranger_adopts_it_by_its_record)
{
	const char *record = scratch_path("record");
	struct child c = start("exec sleep 60", record, "cores: 0-3\nplace: 1\n"), found;
	struct buf note = {0};
	struct child_end end;
	struct error e;

	cr_assert_eq(child_adopt(record, &found, &note, &e), 0, "%s", e.what);
	cr_expect_str_eq(buf_text(&note), "cores: 0-3\nplace: 1\n");
	cr_expect_eq(found.pid, c.pid);
	cr_expect_eq(found.started, c.started);
	cr_expect_not(child_reap(&found, &end));
	cr_assert_eq(child_note(record, &found, "worker: 12\n", &e), 0);
	child_signal(&found, SIGKILL);
	end = wait_end(&found);
	cr_expect_not(end.known, "it is not the stranger's child");
	child_close(&found);
	buf_clear(&note);
	cr_expect_eq(child_adopt(record, &found, &note, &e), ERR_NOT_FOUND, "a corpse was adopted");
	cr_expect_str_eq(buf_text(&note), "worker: 12\n");
	wait_end(&c);
	cr_expect_eq(child_adopt(record, &found, NULL, &e), ERR_NOT_FOUND);
	child_close(&c);
	buf_fini(&note);
}

Test(child, records_that_do_not_name_a_living_process)
{
	static const struct {
		const char *text;
		int expected;
	} cases[] = {
	    {"", ERR_CORRUPT},
	    {"pid: 1\n", ERR_CORRUPT},
	    {"boot: x\npid: 1\nstarted: 1", ERR_CORRUPT},
	    {"boot: x\npid: 1\nstarted: 1\n", ERR_NOT_FOUND}, /* of another boot */
	};
	struct child c = {.pidfd = -1};
	struct error e;

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		const char *path = scratch_path("record");

		cr_assert_eq(fs_write_file(path, bytes_of(cases[i].text), 0600, &e), 0);
		cr_expect_eq(child_adopt(path, &c, NULL, &e), cases[i].expected, "case %zu", i);
	}
	cr_expect_eq(child_adopt(scratch_path("none"), &c, NULL, &e), ERR_NOT_FOUND);
	/* Its id is ours, but we did not start then: the id was used again. */
	cr_expect_eq(child_open(getpid(), 1, &c, &e), ERR_NOT_FOUND);
	cr_expect_eq(child_open(0, 0, &c, &e), ERR_NOT_FOUND);
	cr_assert_eq(child_open(getpid(), 0, &c, &e), 0);
	child_close(&c);
}

Test(child, a_program_that_cannot_start_says_why)
{
	char *argv[] = {"x", NULL}, *envp[] = {NULL};
	struct child_spec spec = {.program = scratch_path("no-such-program"),
				  .argv = argv,
				  .envp = envp,
				  .record_path = scratch_path("record")};
	struct child c;
	struct error e;

	cr_expect_eq(child_start(&spec, &c, &e), ERR_NOT_FOUND);
	cr_expect_str_eq(e.what, "cannot start it: No such file or directory");
	cr_expect_neq(access(spec.record_path, F_OK), 0, "its record stays behind");
	spec.log_path = scratch_path("no/such/log");
	cr_expect_eq(child_start(&spec, &c, &e), ERR_NOT_FOUND);
	cr_expect_str_eq(e.what, "cannot open its log: No such file or directory");
	cr_expect_eq(waitpid(-1, NULL, WNOHANG), -1, "a corpse stays behind");
}

Test(child, programs_are_found_by_path)
{
	char path[4096];
	struct error e;

	cr_assert_eq(child_find_program("sh", "no-folder", path, sizeof path, &e), 0, "%s", e.what);
	cr_expect_eq(access(path, X_OK), 0);
	cr_expect_eq(child_find_program("no-such-program", "no-folder", path, sizeof path, &e),
		     ERR_NOT_FOUND);
}
