#include "worker/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "worker/runner_impl.h"

#define HELLO_WAIT_US (30 * USEC_PER_SEC)
#define READ_BYTES ((size_t)65536)

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
	free(r);
}

/* Waits until the process has ended, for at most wait_us; true when it has. */
static bool await_end(const struct runner *r, usec_t wait_us)
{
	struct pollfd p = {r->process.pidfd, POLLIN, 0};

	return poll(&p, 1, (int)(wait_us / USEC_PER_MSEC)) > 0;
}

void runner_end(struct slot *s)
{
	struct runner *r = s->runner;
	struct process_end end;

	if (r == NULL)
		return;
	close_fd(&r->in_fd);
	if (r->failing || !await_end(r, USEC_PER_SEC)) {
		process_kill_tree(r->process.pid, SIGTERM);
		if (!await_end(r, s->shared->kill_grace_us))
			process_kill_tree(r->process.pid, SIGKILL);
	}
	process_wait(&r->process, &end);
	atomic_store(&s->runner_leader, 0);
	s->runner = NULL;
	forget(r);
}

void runner_last_words(const struct runner *r, char *ret, size_t size)
{
	char tail[512];
	off_t end = lseek(r->err_fd, 0, SEEK_END);
	ssize_t got = pread(r->err_fd, tail, sizeof tail - 1,
			    end > (off_t)sizeof tail - 1 ? end - (off_t)sizeof tail + 1 : 0);
	char *line;

	while (got > 0 && (tail[got - 1] == '\n' || tail[got - 1] == '\0'))
		got--;
	tail[got > 0 ? got : 0] = '\0';
	line = strrchr(tail, '\n');
	snprintf(ret, size, "%s", line == NULL ? tail : line + 1);
}

/* Moves what can be moved now. ERR_CLOSED: the runner closed a pipe, or ended. */
static int transfer(struct runner *r, short in_events, short out_events)
{
	ssize_t n;

	if (in_events != 0 && r->tx.size > r->tx_sent) {
		n = write(r->in_fd, r->tx.data + r->tx_sent, r->tx.size - r->tx_sent);
		if (n < 0 && errno != EAGAIN)
			return ERR_CLOSED;
		r->tx_sent += n > 0 ? (size_t)n : 0;
		if (r->tx_sent == r->tx.size) {
			buf_clear(&r->tx);
			r->tx_sent = 0;
		}
	}
	if (out_events != 0) {
		n = read(r->out_fd, buf_reserve(&r->rx, READ_BYTES), READ_BYTES);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return ERR_CLOSED;
		r->rx.size += n > 0 ? (size_t)n : 0;
	}
	return 0;
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

int runner_receive(struct slot *s, usec_t deadline_us, struct runner_message *m, struct error *reterr)
{
	struct runner *r = s->runner;

	for (;;) {
		struct pollfd fds[3] = {
		    {s->wake_fd, POLLIN, 0}, {r->out_fd, POLLIN, 0}, {r->in_fd, POLLOUT, 0}};
		int rc = next_message(r, m, reterr), wait = -1;
		usec_t left = deadline_us - clock_mono_us();

		if (rc != 0)
			return rc;
		if (deadline_us != USEC_NEVER)
			wait = left <= 0		    ? 0
			       : left > 1000 * USEC_PER_SEC ? 1000000
							    : (int)(left / USEC_PER_MSEC) + 1;
		if (r->tx.size == r->tx_sent)
			fds[2].fd = -1;
		rc = poll(fds, 3, wait);
		if (rc == 0 && left <= 0)
			return error_set(reterr, ERR_TIMEOUT, "the runner does not answer");
		if (rc > 0 && fds[0].revents != 0) {
			uint64_t count;
			ssize_t got = read(s->wake_fd, &count, sizeof count);

			(void)got;
			slot_release_other(s);
			if (atomic_load(&s->stop[s->turn]))
				return error_set(reterr, ERR_CLOSED, "stopped");
		}
		if (rc > 0 && transfer(r, fds[2].revents, fds[1].revents) < 0)
			return error_set(reterr, ERR_CLOSED, "the runner ended in the middle of its work");
	}
}

static int say_hello(struct slot *s, struct error *reterr)
{
	struct runner *r = s->runner;
	struct runner_message m;
	int rc;

	runner_encode_hello(&s->shared->worker, s->number, r->format, &r->tx);
	rc = runner_receive(s, clock_mono_us() + HELLO_WAIT_US, &m, reterr);
	if (rc < 0)
		return rc;
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

static int start_process(struct slot *s, struct runner *r, const struct work *w,
			 const struct runner_command *c, struct error *reterr)
{
	char path[4200];
	int child[2] = {-1, -1}, code = 0, rc;
	struct process_spec spec;

	snprintf(path, sizeof path, "%s/runner.stderr", s->scratch);
	r->err_fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (r->err_fd < 0)
		return error_set(reterr, ERR_IO, "cannot write %s: %s", path, strerror(errno));
	unlink(path);
	rc = make_pipes(r, child, reterr);
	if (rc < 0)
		return rc;
	spec = (struct process_spec){
	    .path = c->path,
	    .argv = c->argv,
	    .envp = c->envp,
	    .directory = w->arm.run->run.directory.size > 0 ? c->directory : s->scratch,
	    .stdin_fd = child[0],
	    .stdout_fd = child[1],
	    .stderr_fd = r->err_fd,
	    .stack = s->stack,
	};
	atomic_store(&s->starting, true);
	rc = process_start(&spec, &r->process, &code, reterr);
	if (rc == 0)
		atomic_store(&s->runner_leader, r->process.pid);
	atomic_store(&s->starting, false);
	close_fd(&child[0]);
	close_fd(&child[1]);
	return rc;
}

bool runner_serves(const struct slot *s, const struct work *w)
{
	const struct runner *r = s->runner;

	return r != NULL && r->phase == w->arm.phase &&
	       bytes_equal(BYTES(r->sha256, sizeof r->sha256), w->arm.definition->sha256);
}

int runner_start(struct slot *s, struct work *w, const struct runner_command *c, struct error *reterr)
{
	struct runner *r;
	int rc;

	runner_end(s);
	r = check_calloc(1, sizeof *r);
	r->in_fd = r->out_fd = r->err_fd = -1;
	r->format = w->arm.run->run.format;
	r->phase = w->arm.phase;
	if (w->arm.definition->sha256.size == sizeof r->sha256)
		memcpy(r->sha256, w->arm.definition->sha256.data, sizeof r->sha256);
	arena_init(&r->arena, 0);
	rc = start_process(s, r, w, c, reterr);
	if (rc < 0) {
		forget(r);
		return rc;
	}
	s->runner = r;
	rc = say_hello(s, reterr);
	if (rc < 0) {
		r->failing = true;
		error_where(reterr, "%s", c->path);
	}
	return rc;
}
