/* One attempt: its process, and what became of it. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "jobs/plan.h"
#include "worker/tree.h"
#include "worker/attempt.h"
#include "worker/publish.h"
#include "worker/strays.h"

/* How often it is looked at when no control group bounds its memory. */
#define LOOK_FIRST_US (2 * USEC_PER_MSEC)
#define LOOK_LONGEST_US (250 * USEC_PER_MSEC)

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
	uint64_t written = s->output.out_size > s->output.err_size ? s->output.out_size : s->output.err_size;
	struct process_spec spec = {
	    .path = a->path,
	    .argv = a->argv,
	    .envp = a->envp,
	    .directory = a->work->directory,
	    .stdin_fd = a->input.stdin_fd,
	    .stdout_fd = s->output.current->out_fd,
	    .stderr_fd = s->output.current->err_fd,
	    .file_bytes_max = max == 0 ? 0 : written + max + 1, /* one more is one too many */
	    .data_bytes_max = memory_data_bytes(&s->memory),
	    .cgroup_fd = s->memory.procs_fd,
	    .cgroup_dir_fd = s->memory.dir_fd,
	    .stack = s->stack,
	};
	int code = 0;

	memory_group_begin(&s->memory);
	slot_set_id(s, s->attempt_id, a->id);
	if (process_start(&spec, &a->process, &code, &a->why) == 0)
		return 0;
	slot_set_id(s, s->attempt_id, "");
	fail_error(v, FAILURE_START, code, &a->why);
	return ERR_IO;
}

static void end_it(struct attempt *a, uint8_t kind, bool stopped)
{
	if (a->ended_for != 0 || a->stopped)
		return;
	a->ended_for = kind;
	a->stopped = stopped;
	process_kill_tree(a->process.pid, SIGTERM);
	a->kill_at_us = clock_mono_us() + a->slot->shared->kill_grace_us;
}

static void on_wake(struct attempt *a)
{
	uint64_t count;
	ssize_t got = read(a->slot->wake_fd, &count, sizeof count);

	(void)got;
	slot_release_other(a->slot);
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
	if (until == USEC_NEVER)
		return -1;
	left = until - clock_mono_us();
	if (left <= 0)
		return 0;
	return left > 1000 * USEC_PER_SEC ? 1000000 : (int)(left / USEC_PER_MSEC) + 1;
}

static void on_time(struct attempt *a, usec_t deadline_us)
{
	usec_t now = clock_mono_us();

	if (now >= a->look_at_us) {
		memory_look(&a->slot->memory, a->process.pid);
		a->look_every_us =
		    a->look_every_us < LOOK_LONGEST_US / 2 ? 2 * a->look_every_us : LOOK_LONGEST_US;
		a->look_at_us = now + a->look_every_us;
	}
	if ((a->ended_for != 0 || a->stopped) && now >= a->kill_at_us) {
		process_kill_tree(a->process.pid, SIGKILL);
		memory_group_kill(&a->slot->memory);
		a->kill_at_us = USEC_NEVER;
	} else if (now >= deadline_us) {
		end_it(a, FAILURE_TIMEOUT, false);
	}
}

/* Until the leader has ended: feeds it, ends it in time or when it is told to. */
static void watch(struct attempt *a, usec_t deadline_us)
{
	a->look_every_us = LOOK_FIRST_US;
	a->look_at_us =
	    memory_wants_looks(&a->slot->memory) ? clock_mono_us() + a->look_every_us : USEC_NEVER;
	for (;;) {
		struct pollfd fds[3] = {{a->process.pidfd, POLLIN, 0}, {a->slot->wake_fd, POLLIN, 0}};
		int n;

		attempt_read_ahead(a);
		fds[2].fd = input_poll(&a->input, &fds[2].events);
		n = poll(fds, 3, wait_ms(a, deadline_us));

		if (n > 0 && fds[0].revents != 0)
			break;
		if (n > 0 && fds[1].revents != 0)
			on_wake(a);
		if (n > 0 && fds[2].revents != 0 && input_feed(&a->input, &a->why) < 0)
			end_it(a, FAILURE_INPUT, false);
		on_time(a, deadline_us);
	}
	process_wait(&a->process, &a->end);
	strays_end_attempt(a->slot->adopted_fd, a->id);
	slot_set_id(a->slot, a->slot->attempt_id, "");
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
	v->output_bytes = 0;
	v->wrote = output_keep_failed(&a->slot->output, a->work->arm.token, a->shard,
				      a->work->arm.run->run.durable_output);
}

static void fail_output(struct attempt *a, struct verdict *v)
{
	fail_error(v, FAILURE_OUTPUT, publish_error_is_final(a->why.code) ? FAILURE_CODE_FINAL : 0, &a->why);
}

static void keep_done(struct attempt *a, struct verdict *v)
{
	const struct output_rules rules = {a->work->arm.run->run.durable_output, output_bound(a)};

	/* First where people look for it: a success that is reported is there. */
	if (attempt_publish(a, rules.bytes_max, false) < 0) {
		v->stopped = a->stopped;
		fail_output(a, v);
		if (!a->stopped)
			keep_failed(a, v);
		return;
	}
	v->done = output_commit(&a->slot->output, a->work->arm.token, a->shard, &rules, &v->output_bytes,
				&a->why) == 0;
	v->wrote = v->done && v->output_bytes > 0;
	if (v->done)
		return;
	fail_error(v, FAILURE_OUTPUT, 0, &a->why);
	keep_failed(a, v);
}

/* Also when it went on without the process that was ended, and ended well. */
static void fail_memory(struct attempt *a, struct verdict *v, enum memory_verdict memory, const char *why)
{
	if (memory == MEMORY_SHORT)
		fail(v, FAILURE_OOM, (int64_t)a->slot->memory_bytes, why);
	else
		fail(v, FAILURE_SIGNAL, SIGKILL, why);
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
	v->cpu_us = process_end_cpu_us(&a->end);
	v->max_rss_bytes = process_end_max_rss_bytes(&a->end);
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
	if (good) {
		keep_done(a, v);
		return;
	}
	keep_failed(a, v);
	if (a->ended_for == FAILURE_INPUT)
		fail_error(v, FAILURE_INPUT, attempt_input_code(a), &a->why);
	else if (a->ended_for == FAILURE_TIMEOUT)
		fail(v, FAILURE_TIMEOUT, run->timeout_us, words);
	else if (a->end.exited)
		fail(v, FAILURE_EXIT, a->end.code, words);
	else if (a->end.code == SIGXFSZ)
		fail(v, FAILURE_OUTPUT, a->end.code,
		     "it wrote more than its bound (output_max): to a stream, or to a file");
	else
		fail(v, FAILURE_SIGNAL, a->end.code, words);
}

/* A shard of a bytes plan in which no record starts is done: there is nothing to run on. */
static bool has_no_records(const struct attempt *a)
{
	const struct plan *p = &a->work->arm.parameters->plan;

	return p->kind == PLAN_BYTES && a->input.ranged && a->input.first_byte >= a->input.end &&
	       p->shard_count > 1;
}

/* Everything before the process; what fails here is the shard's failure. 1: done without one. */
static int prepare(struct attempt *a, struct verdict *v)
{
	const struct input_request rq = attempt_input_request(a);

	if (a->work->failed != 0) {
		fail_error(v, a->work->failed_kind, a->work->failed_code, &a->work->why);
		return a->work->failed;
	}
	if (input_open(&rq, &a->input, &a->why) < 0) {
		fail_error(v, FAILURE_INPUT, attempt_input_code(a), &a->why);
		v->stopped = a->stopped;
		return ERR_IO;
	}
	if (has_no_records(a)) {
		v->done = attempt_publish(a, 0, true) == 0;
		v->stopped = a->stopped;
		if (!v->done)
			fail_output(a, v);
		return 1;
	}
	if (attempt_build_command(a) < 0) {
		fail_error(v, FAILURE_START, ENOENT, &a->why);
		return ERR_INVALID;
	}
	if (output_begin(&a->slot->output, &a->why) < 0) {
		fail_error(v, FAILURE_OUTPUT, 0, &a->why);
		return ERR_IO;
	}
	output_note_attempt(&a->slot->output, a->work->arm.token, a->shard);
	return start(a, v);
}

/* The next attempt finds the directory empty. */
static void tidy(const struct attempt *a)
{
	if (a->work->directory == a->slot->scratch && !tree_is_empty(a->slot->scratch_fd))
		tree_clear(a->slot->scratch);
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
	tidy(&a);
	v.run_us = clock_mono_us() - begun;
	*ret = v;
}
