#include "cli/up/daemon.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fs.h"

#define WAIT_FIRST_US (100 * USEC_PER_MSEC)
#define WAIT_MOST_US (10 * USEC_PER_SEC)
#define STABLE_US (10 * USEC_PER_SEC)	/* after so long the next wait is the first again */
#define LOG_BYTES_MAX ((off_t)16 << 20) /* beyond it, the next start puts it aside */
#define COMM_BYTES 15

extern char **environ;

static void try_start(struct daemon *d);

static void tell(struct daemon *d, enum daemon_event event)
{
	d->on_event(d, event, d->arg);
}

static void try_later(struct daemon *d)
{
	d->wait_us = d->wait_us == 0 ? WAIT_FIRST_US : 2 * d->wait_us;
	if (d->wait_us > WAIT_MOST_US)
		d->wait_us = WAIT_MOST_US;
	d->retry_us = d->wait_us;
	loop_timer_set(d->loop, &d->timer, loop_now_us(d->loop) + d->wait_us);
}

static void on_timer(struct loop *loop, void *arg)
{
	(void)loop;
	try_start(arg);
}

static void on_end(struct loop *loop, uint32_t events, void *arg)
{
	struct daemon *d = arg;

	(void)events;
	if (!child_reap(&d->child, &d->end))
		return;
	loop_remove(loop, &d->watch);
	child_close(&d->child);
	d->retry_us = 0;
	if (d->wanted) {
		d->ends++;
		if (loop_now_us(loop) - d->begun_us >= STABLE_US)
			d->wait_us = 0;
		try_later(d);
	}
	tell(d, DAEMON_ENDED);
}

static bool is_called(pid_t pid, const char *comm)
{
	char path[64], expected[COMM_BYTES + 2];
	struct buf text = {0};
	bool same;

	snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
	snprintf(expected, sizeof expected, "%.*s\n", COMM_BYTES, comm);
	same = fs_read_file(path, 256, &text, NULL) == 0 && strcmp(buf_text(&text), expected) == 0;
	buf_fini(&text);
	return same;
}

/* 1: it runs, and is ours to watch now. 0: nobody holds the lock. */
static int adopt(struct daemon *d, struct error *reterr)
{
	pid_t holder = 0;
	int fd, rc = fs_lock_file(d->lock_path, &fd, &holder, reterr);

	if (rc == 0) {
		close(fd);
		return 0;
	}
	if (rc != ERR_EXISTS || holder == 0)
		return rc;
	rc = child_open(holder, 0, &d->child, reterr);
	if (rc < 0)
		return rc;
	if (is_called(holder, d->comm))
		return 1;
	child_close(&d->child);
	error_set(reterr, ERR_EXISTS, "process %d holds its lock and is no %s", (int)holder, d->comm);
	return error_where(reterr, "%s", d->lock_path);
}

static int start(struct daemon *d, struct error *reterr)
{
	const struct child_spec spec = {
	    .program = d->program, .argv = d->argv, .envp = environ, .log_path = d->log_path};

	return child_start(&spec, &d->child, reterr);
}

static void try_start(struct daemon *d)
{
	int rc = adopt(d, &d->why);
	bool found = rc == 1;

	if (rc == 0)
		rc = start(d, &d->why);
	if (rc >= 0) {
		d->watch.fn = on_end;
		d->watch.arg = d;
		rc = loop_add(d->loop, &d->watch, d->child.pidfd, EPOLLIN, &d->why);
	}
	if (rc < 0) {
		child_close(&d->child);
		try_later(d);
		tell(d, DAEMON_FAILED);
		return;
	}
	d->begun_us = loop_now_us(d->loop);
	d->retry_us = 0;
	tell(d, found ? DAEMON_ADOPTED : DAEMON_STARTED);
}

void daemon_start(struct daemon *d, struct loop *loop)
{
	d->loop = loop;
	d->child = (struct child){.pidfd = -1};
	d->timer.fn = on_timer;
	d->timer.arg = d;
	d->wanted = true;
	try_start(d);
}

bool daemon_runs(const struct daemon *d)
{
	return d->child.pidfd >= 0;
}

void daemon_stop(struct daemon *d, int signo)
{
	d->wanted = false;
	d->retry_us = 0;
	if (d->loop != NULL)
		loop_timer_unset(d->loop, &d->timer);
	if (daemon_runs(d))
		child_signal(&d->child, signo);
}

void daemon_leave(struct daemon *d)
{
	if (d->loop == NULL)
		return;
	loop_timer_unset(d->loop, &d->timer);
	loop_remove(d->loop, &d->watch);
	child_close(&d->child);
}
