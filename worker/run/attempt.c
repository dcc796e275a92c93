/* One attempt: its process, and what became of it. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/text.h"
#include "jobs/ids.h"
#include "jobs/plan.h"
#include "worker/run/attempt.h"
#include "worker/run/blame.h"
#include "worker/machine/disk.h"
#include "worker/io/publish.h"

/* How often it is looked at when no control group bounds its memory. */
#define LOOK_FIRST_US (2 * USEC_PER_MSEC)
#define LOOK_LONGEST_US (250 * USEC_PER_MSEC)
/* How often it is looked whether those who have opened its output by name have closed it. */
#define OPENED_LOOK_US (5 * USEC_PER_MSEC)
/* A command that is fed nothing is first looked at after that. */
#define PATIENCE_US USEC_PER_MSEC

static void fail(struct verdict *v, uint8_t kind, int64_t code, const char *why)
{
	v->done = false;
	v->kind = kind;
	v->code = code;
	snprintf(v->why, sizeof v->why, "%s", why);
}

static void fail_error(struct verdict *v, uint8_t kind, int64_t code, const struct error *e)
{
	char line[800];

	fail(v, kind, code, error_text(e, line, sizeof line));
}

static uint64_t output_bound(const struct attempt *a)
{
	uint64_t own = a->work->arm.run->run.output_bytes_max;

	return own != 0 ? own : a->slot->shared->output_bytes_max;
}

static int start(struct attempt *a, struct verdict *v)
{
	struct slot *s = a->slot;
	uint64_t max = output_bound(a);
	struct process_spec spec = {
	    .path = a->path,
	    .argv = a->argv,
	    .envp = a->envp,
	    .directory = a->work->directory,
	    .stdin_fd = a->input.stdin_fd,
	    .stdout_fd = s->output.out.fd,
	    .stderr_fd = s->output.err.fd,
	    .file_bytes_max = max == 0 ? 0 : max + 1, /* one more is one too many */
	    .data_bytes_max = memory_data_bytes(&s->memory),
	    .cgroup_fd = s->memory.procs_fd,
	    .cgroup_dir_fd = s->memory.dir_fd,
	    .patience_us = a->input.feed_fd < 0 ? PATIENCE_US : 0,
	};
	int code = 0;

	memory_group_begin(&s->memory);
	a->started_us = clock_mono_us();
	if (process_start(&s->reaper, &spec, &a->process, &code, &a->why) == 0)
		return 0;
	fail_error(v, blame_start(code), code, &a->why);
	return ERR_IO;
}

static void end_it(struct attempt *a, uint8_t kind, bool stopped)
{
	if (a->ended_for != 0 || a->stopped)
		return;
	a->ended_for = kind;
	a->stopped = stopped;
	process_signal(&a->process, SIGTERM);
	a->kill_at_us = clock_mono_us() + a->slot->shared->kill_grace_us;
}

static void on_wake(struct attempt *a)
{
	uint64_t count;
	ssize_t got = read(a->slot->wake_fd, &count, sizeof count);

	(void)got;
	slot_release_emptied(a->slot);
	if (atomic_load(&a->slot->stop[a->slot->turn]))
		end_it(a, 0, true);
}

static int wait_ms(const struct attempt *a, usec_t deadline_us)
{
	bool ending = a->ended_for != 0 || a->stopped;
	usec_t until = ending ? a->kill_at_us : deadline_us;
	usec_t left;

	if (a->look_at_us < until)
		until = a->look_at_us;
	if (a->output_at_us < until)
		until = a->output_at_us;
	if (until == USEC_NEVER)
		return -1;
	left = until - clock_mono_us();
	if (left <= 0)
		return 0;
	return left > 1000 * USEC_PER_SEC ? 1000000 : (int)(left / USEC_PER_MSEC) + 1;
}

/* Also when somebody waits to open one of its files by name. */
static void look_at_output(struct attempt *a)
{
	struct output *o = &a->slot->output;
	struct home *home = a->slot->shared->home;
	struct signalfd_siginfo info;
	uint64_t aside, max = output_bound(a);
	bool opened;
	usec_t now;

	while (read(a->slot->opened_fd, &info, sizeof info) > 0)
		;
	aside = output_look(o, home->fd);
	if (max != 0 && aside > max)
		end_it(a, FAILURE_OUTPUT_MAX, false);
	now = clock_mono_us();
	a->output_at_us = disk_look(&home->disk, home->fd, now);
	opened = (o->out.asks && !o->out.leased) || (o->err.asks && !o->err.leased);
	if (opened && a->output_at_us > now + OPENED_LOOK_US)
		a->output_at_us = now + OPENED_LOOK_US;
}

static void on_time(struct attempt *a, usec_t deadline_us)
{
	usec_t now = clock_mono_us();

	if (now >= a->output_at_us)
		look_at_output(a);
	if (now >= a->look_at_us) {
		memory_look(&a->slot->memory, a->process.pid);
		a->look_every_us =
		    a->look_every_us < LOOK_LONGEST_US / 2 ? 2 * a->look_every_us : LOOK_LONGEST_US;
		a->look_at_us = now + a->look_every_us;
	}
	if ((a->ended_for != 0 || a->stopped) && now >= a->kill_at_us) {
		process_signal(&a->process, SIGKILL);
		memory_group_kill(&a->slot->memory);
		a->kill_at_us = USEC_NEVER;
	} else if (now >= deadline_us) {
		end_it(a, FAILURE_TIMEOUT, false);
	}
}

/* Until all its processes have ended: feeds it, ends it in time or when it is told to. */
static void watch(struct attempt *a, usec_t deadline_us)
{
	struct home *home = a->slot->shared->home;
	bool left;

	a->output_at_us = disk_look(&home->disk, home->fd, a->started_us);
	a->look_every_us = LOOK_FIRST_US;
	a->look_at_us =
	    memory_wants_looks(&a->slot->memory) ? clock_mono_us() + a->look_every_us : USEC_NEVER;
	while (!a->process.has_ended) {
		struct pollfd fds[4] = {{a->process.end_fd, POLLIN, 0},
					{a->slot->wake_fd, POLLIN, 0},
					{-1, 0, 0},
					{a->slot->opened_fd, POLLIN, 0}};
		int n;

		attempt_read_ahead(a);
		fds[2].fd = input_poll(&a->input, &fds[2].events);
		n = poll(fds, 4, wait_ms(a, deadline_us));

		if (n > 0 && fds[0].revents != 0)
			break;
		if (n > 0 && fds[1].revents != 0)
			on_wake(a);
		if (n > 0 && fds[2].revents != 0 && input_feed(&a->input, &a->why) < 0)
			end_it(a, FAILURE_INPUT, false);
		if (n > 0 && fds[3].revents != 0)
			look_at_output(a);
		on_time(a, deadline_us);
	}
	process_wait(&a->process, &a->end);
	left = output_end(&a->slot->output, a->slot->shared->home->fd);
	if (left)
		log_warn("a process that an attempt left behind still has the attempt's output open: what it "
			 "writes from now on is lost",
			 log_text("attempt", a->id));
}

static uint8_t exit_verdict(const struct run_spec *run, uint32_t code)
{
	for (uint32_t i = 0; i < run->exit_rules.count; i++) {
		const struct exit_rule *rule = &run->exit_rules.items[i];

		if (code >= rule->first && code <= rule->last)
			return rule->verdict;
	}
	return code == 0 ? VERDICT_SUCCESS : VERDICT_RETRY;
}

static void keep_failed(struct attempt *a, struct verdict *v)
{
	struct output_kept kept;

	if (output_keep(&a->slot->output, a->work->arm.token, a->shard, a->work->arm.run->run.durable_output,
			&kept, NULL) == 0)
		v->segment = kept.segment;
}

static void fail_publish(struct attempt *a, struct verdict *v)
{
	fail_error(v, blame_error(FAILURE_PUBLISH, &a->why),
		   publish_error_is_final(a->why.code) ? FAILURE_CODE_FINAL : 0, &a->why);
}

/* The worker's trouble, unless a disk of that size could never hold it. fd: of a file or directory there. */
static void fail_output(struct attempt *a, struct verdict *v, int fd, const char *path)
{
	const struct output *o = &a->slot->output;

	if (a->why.code == ERR_BUSY && disk_is_too_small(fd, o->out.size + o->err.size, &a->why)) {
		error_where(&a->why, "%s", path);
		fail_error(v, FAILURE_OUTPUT_MAX, 0, &a->why);
	} else {
		fail_error(v, FAILURE_OUTPUT, 0, &a->why);
	}
}

static void keep_done(struct attempt *a, struct verdict *v)
{
	struct output *o = &a->slot->output;
	struct output_kept kept;

	if (output_check_bound(o, output_bound(a), &a->why) < 0) {
		fail_error(v, FAILURE_OUTPUT_MAX, 0, &a->why);
		keep_failed(a, v);
		return;
	}
	/* First where people look for it: a success that is reported is there. */
	if (attempt_publish(a, false) < 0) {
		v->stopped = a->stopped;
		fail_publish(a, v);
		if (!a->stopped)
			keep_failed(a, v);
		return;
	}
	v->done = output_keep(o, a->work->arm.token, a->shard, a->work->arm.run->run.durable_output, &kept,
			      &a->why) == 0;
	if (!v->done) {
		fail_output(a, v, o->dir->fd, o->dir->path);
		return;
	}
	v->segment = kept.segment;
	v->totals.output_bytes = kept.bytes;
}

/* Its disk was full while it wrote, or a part is missing: no success, whatever it says. */
static bool is_output_lost(struct attempt *a)
{
	struct home *home = a->slot->shared->home;
	bool was_full = disk_was_full(&home->disk, a->started_us);

	return output_check_whole(&a->slot->output, was_full, home->fd, home->path, &a->why) < 0;
}

static void fail_lost_output(struct attempt *a, struct verdict *v, const char *words)
{
	const struct home *home = a->slot->shared->home;
	char line[sizeof v->why], last[140];

	fail_output(a, v, home->fd, home->path);
	text_last_lines(last, sizeof last, bytes_of(words), 1);
	if (last[0] != '\0') {
		snprintf(line, sizeof line, "%.250s; %s", v->why, last);
		memcpy(v->why, line, sizeof line);
	}
	keep_failed(a, v);
}

/* Also when it went on without the process that was ended, and ended well. */
static void fail_memory(struct attempt *a, struct verdict *v, enum memory_verdict memory, const char *why)
{
	if (memory == MEMORY_SHORT)
		fail(v, FAILURE_OOM, (int64_t)a->slot->memory_bytes, why);
	else
		fail(v, FAILURE_SIGNAL, SIGKILL, why);
	attempt_publish_failed(a);
	keep_failed(a, v);
}

static void judge(struct attempt *a, struct verdict *v)
{
	const struct run_spec *run = &a->work->arm.run->run;
	bool good =
	    a->ended_for == 0 && a->end.exited && exit_verdict(run, (uint32_t)a->end.code) == VERDICT_SUCCESS;
	char words[sizeof v->why - 1], why[sizeof v->why];
	enum memory_verdict memory;

	v->stopped = a->stopped;
	process_end_totals(&a->end, &v->totals);
	if (good)
		words[0] = '\0';
	else
		output_last_words(&a->slot->output, words, sizeof words);
	memory = memory_group_end(&a->slot->memory, !good && a->ended_for == 0, words, why, sizeof why);
	if (a->stopped)
		return;
	if (memory != MEMORY_ENOUGH) {
		fail_memory(a, v, memory, why);
		return;
	}
	if (a->ended_for == 0 && is_output_lost(a)) {
		fail_lost_output(a, v, words);
		return;
	}
	if (good) {
		v->code = a->end.code;
		keep_done(a, v);
		return;
	}
	attempt_publish_failed(a);
	keep_failed(a, v);
	if (a->ended_for == FAILURE_INPUT)
		fail_error(v, blame_error(FAILURE_INPUT, &a->why), attempt_input_code(a), &a->why);
	else if (a->ended_for == FAILURE_TIMEOUT)
		fail(v, FAILURE_TIMEOUT, run->timeout_us, words);
	else if (a->ended_for == FAILURE_OUTPUT_MAX)
		fail(v, FAILURE_OUTPUT_MAX, 0, "it wrote more than its bound (output_max)");
	else if (a->end.exited)
		fail(v, FAILURE_EXIT, a->end.code, words);
	else if (a->end.code == SIGXFSZ)
		fail(v, FAILURE_OUTPUT_MAX, a->end.code,
		     "it wrote more than its bound (output_max): to a stream, or to a file");
	else
		fail(v, FAILURE_SIGNAL, a->end.code, words);
}

/* A part of an object in which no record starts is done: there is nothing to run on. */
static bool has_no_records(const struct attempt *a)
{
	const struct plan *p = &a->work->arm.parameters->plan;

	return a->input.ranged && a->input.first_byte >= a->input.end && p->shard_count > 1;
}

/* Everything before the process; what fails here is the shard's failure. 1: done without one. */
static int prepare(struct attempt *a, struct verdict *v)
{
	struct slot *s = a->slot;
	struct input_request rq;

	if (a->work->failed != 0) {
		fail_error(v, a->work->failed_kind, a->work->failed_code, &a->work->why);
		return a->work->failed;
	}
	if (scratch_ready(&s->scratch, &a->why) < 0) {
		fail_error(v, FAILURE_START, EACCES, &a->why);
		return ERR_IO;
	}
	rq = attempt_input_request(a);
	if (input_open(&rq, &a->input, &a->why) < 0) {
		fail_error(v, blame_error(FAILURE_INPUT, &a->why), attempt_input_code(a), &a->why);
		v->stopped = a->stopped;
		return ERR_IO;
	}
	if (has_no_records(a)) {
		v->done = attempt_publish(a, true) == 0;
		v->stopped = a->stopped;
		if (!v->done)
			fail_publish(a, v);
		return 1;
	}
	if (attempt_open_stdin(a) < 0) {
		fail_error(v, blame_error(FAILURE_INPUT, &a->why), 0, &a->why);
		return ERR_IO;
	}
	if (attempt_build_command(a) < 0) {
		fail_error(v, FAILURE_NO_PROGRAM, ENOENT, &a->why);
		return ERR_INVALID;
	}
	if (output_begin(&s->output, s->shared->home->fd, a->work->arm.token, a->shard, &a->why) < 0) {
		error_where(&a->why, "%s", s->shared->home->path);
		fail_error(v, FAILURE_OUTPUT, 0, &a->why);
		return ERR_IO;
	}
	return start(a, v);
}

void attempt_run(struct slot *s, struct work *w, uint32_t shard, struct verdict *ret)
{
	struct attempt a = {
	    .slot = s, .work = w, .shard = shard, .has_shard = true, .input = ATTEMPT_NO_INPUT};
	usec_t begun = clock_mono_us(), timeout = w->arm.run->run.timeout_us;
	struct verdict v = {0};

	arena_reset(&s->arena);
	attempt_id_text(w->arm.token, shard, a.id);
	if (prepare(&a, &v) == 0) {
		input_started(&a.input);
		watch(&a, timeout == 0 ? USEC_NEVER : begun + timeout);
		judge(&a, &v);
	}
	input_close(&a.input);
	output_done(&s->output);
	scratch_tidy(&s->scratch);
	v.totals.run_us = (uint64_t)(clock_mono_us() - begun);
	*ret = v;
}
