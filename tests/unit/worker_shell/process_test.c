/* Processes start as told, and their whole tree ends with them. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "worker/run/process.h"

extern char **environ;

static struct nursery nursery;
static struct reaper reaper;

static void setup(void)
{
	struct error e;

	cr_assert_eq(nursery_open(&nursery, &e), 0, "%s", e.what);
	reaper_init(&reaper, &nursery);
}

static void teardown(void)
{
	reaper_fini(&reaper);
	nursery_close(&nursery);
}

TestSuite(process, .init = setup, .fini = teardown, .timeout = 60);

static struct process_spec shell(char **argv, const char *script, int out)
{
	argv[0] = (char *)"sh";
	argv[1] = (char *)"-c";
	argv[2] = (char *)(uintptr_t)script;
	argv[3] = NULL;
	return (struct process_spec){.path = "/bin/sh",
				     .argv = argv,
				     .envp = environ,
				     .stdin_fd = -1,
				     .stdout_fd = out,
				     .stderr_fd = -1};
}

static struct process_end run(const char *script, int out, uint64_t file_bytes_max)
{
	char *argv[4];
	struct process_spec spec = shell(argv, script, out);
	struct process p;
	struct process_end end;
	struct error e;
	int code;

	spec.file_bytes_max = file_bytes_max;
	cr_assert_eq(process_start(&reaper, &spec, &p, &code, &e), 0, "%s", e.what);
	process_wait(&p, &end);
	return end;
}

Test(process, exit_codes_and_signals_are_told_apart)
{
	struct process_end end = run("exit 7", -1, 0);

	cr_assert(end.exited);
	cr_assert_eq(end.code, 7);
	end = run("kill -USR1 $$", -1, 0);
	cr_assert_not(end.exited);
	cr_assert_eq(end.code, SIGUSR1);
}

Test(process, what_cannot_be_started_says_why_and_with_which_errno)
{
	char *argv[4];
	struct process_spec spec = shell(argv, "true", -1);
	struct process p;
	struct error e;
	int code = 0;

	spec.path = "/nowhere/prog";
	cr_assert_eq(process_start(&reaper, &spec, &p, &code, &e), ERR_IO);
	cr_assert_eq(code, ENOENT);
	cr_assert_str_eq(e.where, "/nowhere/prog");
	spec = shell(argv, "true", -1);
	spec.directory = "/nowhere";
	cr_assert_eq(process_start(&reaper, &spec, &p, &code, &e), ERR_IO);
	cr_assert_not_null(strstr(e.what, "directory"));
}

Test(process, programs_are_found_by_path_or_refused_in_words)
{
	char path[4096];
	struct error e;

	cr_assert_eq(process_find("sh", path, sizeof path, &e), 0);
	cr_assert_eq(process_find("no-such-program-here", path, sizeof path, &e), ERR_NOT_FOUND);
	cr_assert_not_null(strstr(e.what, "no-such-program-here"));
	cr_assert_eq(process_find("/etc/passwd", path, sizeof path, &e), ERR_DENIED);
	cr_assert_eq(process_find("", path, sizeof path, &e) < 0, true);
}

/* The leader ends at once and leaves a child behind that holds the pipe open for an hour. */
Test(process, children_left_behind_end_with_their_leader)
{
	struct pollfd ended;
	int fds[2];

	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	run("sleep 3600 & exit 0", fds[1], 0);
	close(fds[1]);
	ended = (struct pollfd){fds[0], POLLIN, 0};
	cr_assert_eq(poll(&ended, 1, 10000), 1, "the child still holds the pipe");
	cr_assert(ended.revents & POLLHUP);
}

Test(process, output_beyond_the_bound_ends_it)
{
	char name[] = "/tmp/shardmill-process-XXXXXX";
	int fd = mkostemp(name, O_CLOEXEC);
	struct process_end end = run("exec head -c 100000 /dev/zero", fd, 4096);

	cr_assert_eq(end.exited, false);
	cr_assert_eq(end.code, SIGXFSZ);
	cr_assert_eq(lseek(fd, 0, SEEK_END), 4096);
	unlink(name);
}

Test(process, nothing_of_ours_leaks_into_it)
{
	char name[] = "/tmp/shardmill-process-XXXXXX", text[64] = "", script[128];
	int fd = mkostemp(name, O_CLOEXEC), kept = open("/dev/null", O_RDONLY | O_CLOEXEC);

	signal(SIGPIPE, SIG_IGN);
	cr_assert_geq(kept, 0);
	snprintf(script, sizeof script,
		 "test -e /proc/$$/fd/%d && echo leaked; grep SigIgn /proc/self/status", kept);
	run(script, fd, 0);
	cr_assert_gt(pread(fd, text, sizeof text - 1, 0), 0);
	cr_assert_eq(strncmp(text, "SigIgn:", 7), 0, "%s", text);
	cr_assert_eq(strtoull(text + 7, NULL, 16) & 1ull << (SIGPIPE - 1), 0);
	unlink(name);
}
