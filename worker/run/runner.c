#include "worker/run/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/constants.h"
#include "base/limits.h"
#include "base/text.h"
#include "worker/run/blame.h"
#include "worker/run/runner_impl.h"

#define HELLO_WAIT_US (30 * USEC_PER_SEC)
#define READ_BYTES ((size_t)65536)
#define WORDS_BYTES_MAX ((off_t)1 << 20) /* of its stderr, looked at once a lease */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void forget(struct runner *r)
{
	close_fd(&r->in_fd);
	close_fd(&r->out_fd);
	close_fd(&r->err_fd);
	buf_fini(&r->tx);
	buf_fini(&r->rx);
	arena_fini(&r->arena);
	reaper_fini(&r->reaper);
	memory_group_close(&r->memory);
	scratch_close(&r->scratch);
	free(r);
}

/* Waits until the process has ended, for at most wait_us; true when it has. */
static bool await_end(const struct runner *r, usec_t wait_us)
{
	struct pollfd p = {r->process.end_fd, POLLIN, 0};

	return poll(&p, 1, (int)(wait_us / USEC_PER_MSEC)) > 0;
}

off_t runner_said_end(struct runner *r)
{
	off_t end = lseek(r->err_fd, 0, SEEK_END);

	return r->said_end = end > 0 ? end : 0;
}

/* Of what is too long, the last whole lines. */
void runner_read_said(struct runner *r, off_t from, struct buf *out)
{
	off_t end = runner_said_end(r), begin = from;
	const uint8_t *newline;
	ssize_t got;

	if (end - begin > (off_t)RUNNER_SAID_BYTES)
		begin = end - (off_t)RUNNER_SAID_BYTES;
	if (end <= begin)
		return;
	got = pread(r->err_fd, buf_reserve(out, (size_t)(end - begin)), (size_t)(end - begin), begin);
	out->size += got > 0 ? (size_t)got : 0;
	newline = begin > from && out->size > 0 ? memchr(out->data, '\n', out->size - 1) : NULL;
	if (newline != NULL) {
		out->size -= (size_t)(newline + 1 - out->data);
		memmove(out->data, newline + 1, out->size);
	}
}

bool runner_words_are_long(const struct runner *r)
{
	return r->said_end > WORDS_BYTES_MAX;
}

void runner_trim_words(const struct runner *r)
{
	if (runner_words_are_long(r) && ftruncate(r->err_fd, 0) < 0)
		return; /* it stays long */
}

/* true: it ended by itself. Its pipes are closed a moment before it has ended. */
static bool end_process(struct slot *s, struct runner *r, struct process_end *end)
{
	bool by_itself;

	close_fd(&r->in_fd);
	by_itself = await_end(r, r->failing ? 0 : USEC_PER_SEC);
	if (!by_itself) {
		process_signal(&r->process, SIGTERM);
		if (!await_end(r, s->shared->kill_grace_us)) {
			process_signal(&r->process, SIGKILL);
			memory_group_kill(&r->memory);
		}
	}
	process_wait(&r->process, end);
	return by_itself;
}

enum memory_verdict runner_end_told(struct slot *s, off_t from, struct buf *said, char *ret, size_t size,
				    int *ret_code)
{
	struct runner *r = s->runner;
	enum memory_verdict memory;
	struct process_end end;
	char how[40] = "", words[256];

	*ret_code = 0;
	if (end_process(s, r, &end)) {
		snprintf(how, sizeof how, "%s %d", end.exited ? "exit code" : "signal", end.code);
		*ret_code = end.code;
	}
	runner_read_said(r, from, said);
	text_last_lines(words, sizeof words, buf_bytes(said), WORDS_LINES);
	memory = memory_group_end(&r->memory, how[0] != '\0', words, ret, size);
	if (memory == MEMORY_ENOUGH)
		snprintf(ret, size, "%s%s%s", how, how[0] != '\0' ? text_joint(bytes_of(words), ", ") : "",
			 words);
	s->runner = NULL;
	forget(r);
	return memory;
}

void runner_end(struct slot *s)
{
	struct buf said = {0};
	char words[512];
	int code;

	if (s->runner != NULL)
		(void)runner_end_told(s, 0, &said, words, sizeof words, &code);
	buf_fini(&said);
}

int runner_pidfd(const struct slot *s)
{
	return s->runner != NULL ? s->runner->process.end_fd : -1;
}

static void receive_some(struct runner *r)
{
	ssize_t n = read(r->out_fd, buf_reserve(&r->rx, READ_BYTES), READ_BYTES);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		r->closed = true;
	r->rx.size += n > 0 ? (size_t)n : 0;
	r->looks++;
}

/* It has ended, or closed a pipe: what it said before that is still to be read. */
static void receive_rest(struct runner *r)
{
	size_t before;

	do {
		before = r->rx.size;
		receive_some(r);
	} while (r->rx.size > before && r->rx.size < 2 * FRAME_BYTES_MAX);
	r->closed = true;
}

static void send_some(struct runner *r)
{
	ssize_t n = write(r->in_fd, r->tx.data + r->tx_sent, r->tx.size - r->tx_sent);

	if (n < 0 && errno != EAGAIN)
		receive_rest(r);
	r->tx_sent += n > 0 ? (size_t)n : 0;
	if (r->tx_sent == r->tx.size) {
		buf_clear(&r->tx);
		r->tx_sent = 0;
	}
}

/* Takes a whole message out of rx: 1, 0 when there is none yet, or an error. */
static int next_message(struct runner *r, struct runner_message *m, struct error *reterr)
{
	size_t used = 0;
	int rc;

	arena_reset(&r->arena);
	rc = runner_decode(BYTES(r->rx.data + r->rx_taken, r->rx.size - r->rx_taken), r->format, &r->arena, m,
			   &used, reterr);
	if (rc <= 0 && r->rx_taken > 0) {
		memmove(r->rx.data, r->rx.data + r->rx_taken, r->rx.size - r->rx_taken);
		r->rx.size -= r->rx_taken;
		r->rx_taken = 0;
	}
	if (rc > 0)
		r->rx_taken += used;
	return rc;
}

static void take_wake(struct slot *s)
{
	uint64_t count;
	ssize_t got = read(s->wake_fd, &count, sizeof count);

	(void)got;
	slot_release_emptied(s);
}

static int wait_ms(usec_t left)
{
	return left <= 0 ? 0 : left > 1000 * USEC_PER_SEC ? 1000000 : (int)(left / USEC_PER_MSEC) + 1;
}

int runner_receive(struct slot *s, usec_t deadline_us, runner_stopped_fn *stopped, void *arg,
		   struct runner_message *m, struct error *reterr)
{
	struct runner *r = s->runner;
	bool expired = false;

	for (;;) {
		struct pollfd fds[4] = {{s->wake_fd, POLLIN, 0},
					{r->out_fd, POLLIN, 0},
					{r->tx.size > r->tx_sent ? r->in_fd : -1, POLLOUT, 0},
					{r->process.end_fd, POLLIN, 0}};
		int rc = next_message(r, m, reterr);
		usec_t left = deadline_us == USEC_NEVER ? USEC_NEVER : deadline_us - clock_mono_us();

		if (rc != 0)
			return rc;
		if (r->closed)
			return error_set(reterr, ERR_CLOSED, "the runner ended in the middle of its work");
		if (expired)
			return error_set(reterr, ERR_TIMEOUT, "the runner does not answer");
		expired = left <= 0; /* what has come by now still counts */
		if (poll(fds, 4, left == USEC_NEVER ? -1 : wait_ms(left)) <= 0)
			continue;
		if (fds[0].revents != 0)
			take_wake(s);
		if (fds[0].revents != 0 && stopped(arg))
			return error_set(reterr, ERR_CLOSED, "stopped");
		if (fds[3].revents != 0)
			receive_rest(r);
		else if (fds[1].revents != 0)
			receive_some(r);
		if (!r->closed && fds[2].revents != 0)
			send_some(r);
	}
}

static int say_hello(struct slot *s, runner_stopped_fn *stopped, void *arg, struct error *reterr)
{
	struct runner *r = s->runner;
	struct runner_message m;
	int rc;

	runner_encode_hello(&s->shared->worker, s->number, r->format, &r->tx);
	rc = runner_receive(s, clock_mono_us() + HELLO_WAIT_US, stopped, arg, &m, reterr);
	if (rc == ERR_TIMEOUT)
		return error_set(reterr, ERR_INVALID, "the runner says no hello within 30 s");
	if (rc < 0)
		return rc;
	r->runs_max = m.runs;
	return m.type == RUNNER_HELLO
		   ? 0
		   : error_set(reterr, ERR_INVALID, "the runner's first message is no hello");
}

static int make_pipes(struct runner *r, int child[2], struct error *reterr)
{
	int to[2] = {-1, -1}, from[2] = {-1, -1};

	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0) {
		close_fd(&to[0]);
		close_fd(&to[1]);
		return error_set(reterr, ERR_IO, "cannot make the runner's pipes: %s", strerror(errno));
	}
	fcntl(to[1], F_SETFL, O_NONBLOCK);
	fcntl(from[0], F_SETFL, O_NONBLOCK);
	r->in_fd = to[1];
	r->out_fd = from[0];
	child[0] = to[0];
	child[1] = from[1];
	return 0;
}

/* Where it starts, unless the definition says; and its stderr, which needs no name. */
static int make_scratch(const struct slot *s, struct runner *r, struct error *reterr)
{
	int rc = scratch_open(&r->scratch, s->shared->home, s->number, "-runner", reterr);

	if (rc < 0)
		return rc;
	r->err_fd = openat(r->scratch.fd, "stderr",
			   O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (r->err_fd < 0) {
		error_set(reterr, ERR_IO, "cannot make the runner's stderr: %s", strerror(errno));
		return error_where(reterr, "%s", r->scratch.path);
	}
	unlinkat(r->scratch.fd, "stderr", 0);
	return 0;
}

static int start_process(struct slot *s, struct runner *r, const struct work *w,
			 const struct runner_command *c, struct error *reterr)
{
	int child[2] = {-1, -1}, code = 0, rc = make_scratch(s, r, reterr);
	struct process_spec spec;

	if (rc == 0)
		rc = make_pipes(r, child, reterr);
	if (rc < 0)
		return rc;
	memory_group_open(&r->memory, s->shared->memory, r->scratch.name, s->memory_bytes);
	spec = (struct process_spec){
	    .path = c->path,
	    .argv = c->argv,
	    .envp = c->envp,
	    .directory = w->arm.run->run.directory.size > 0 ? w->directory : r->scratch.path,
	    .stdin_fd = child[0],
	    .stdout_fd = child[1],
	    .stderr_fd = r->err_fd,
	    .data_bytes_max = memory_data_bytes(&r->memory),
	    .cgroup_fd = r->memory.procs_fd,
	    .cgroup_dir_fd = r->memory.dir_fd,
	};
	memory_group_begin(&r->memory);
	rc = process_start(&r->reaper, &spec, &r->process, &code, reterr);
	if (rc < 0 && blame_start(code) == FAILURE_NO_PROGRAM)
		rc = error_set(reterr, ERR_NOT_FOUND, "cannot start %s: %s", c->path, strerror(code));
	close_fd(&child[0]);
	close_fd(&child[1]);
	return rc;
}

bool runner_fits(const struct runner *r, const struct worker_arm *arm)
{
	return arm->run->run.kind == RUN_RUNNER && r->phase == arm->phase &&
	       (!r->per_job || r->job == arm->job) &&
	       bytes_equal(BYTES(r->sha256, sizeof r->sha256), arm->definition->sha256);
}

bool runner_serves(const struct slot *s, const struct work *w)
{
	const struct runner *r = s->runner;

	return r != NULL && !r->closed && !await_end(r, 0) && runner_fits(r, &w->arm);
}

int runner_start(struct slot *s, struct work *w, const char *id, runner_stopped_fn *stopped, void *arg,
		 struct error *reterr)
{
	struct runner_command c;
	struct runner *r;
	int rc;

	runner_end(s);
	rc = work_make_command(w, s);
	if (rc < 0) {
		*reterr = w->why;
		return rc;
	}
	rc = attempt_command(s, w, id, &c, reterr);
	if (rc < 0)
		return rc;
	r = check_calloc(1, sizeof *r);
	r->in_fd = r->out_fd = r->err_fd = r->process.end_fd = -1;
	reaper_init(&r->reaper, s->shared->nursery);
	r->format = w->arm.run->run.format;
	r->phase = w->arm.phase;
	r->job = w->arm.job;
	r->per_job = w->per_job;
	if (w->arm.definition->sha256.size == sizeof r->sha256)
		memcpy(r->sha256, w->arm.definition->sha256.data, sizeof r->sha256);
	arena_init(&r->arena, 0);
	rc = start_process(s, r, w, &c, reterr);
	if (rc < 0) {
		forget(r);
		return rc;
	}
	s->runner = r;
	rc = say_hello(s, stopped, arg, reterr);
	if (rc < 0) {
		r->failing = rc != ERR_CLOSED;
		error_where(reterr, "%s", c.path);
	}
	return rc;
}
