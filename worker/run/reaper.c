#include "worker/run/reaper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/array.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/limits.h"
#include "worker/machine/groups.h"
#include "worker/run/offspring.h"
#include "worker/run/reaper_protocol.h"
#include "worker/run/spawn.h"

/* Processes that we have not ended by ourselves in this time are ended by their control group. */
#define ALONE_WAIT_US (100 * 1000)
/* Processes that take longer to die are reported as left. */
#define END_WAIT_US (10 * USEC_PER_SEC)

struct reaper {
	int fd;
	int group_fd;		  /* of the group that it is in; -1: none */
	int leader_group_fd;	  /* of the attempt's own, which bounds its memory; -1: none */
	pid_t leader;		  /* of the attempt in work; 0: none */
	bool ended;		  /* the leader has */
	bool told;		  /* that it has started */
	bool more;		  /* children may have ended that are not reaped yet */
	struct timespec patience; /* for that */
	int status;
	struct rusage usage;
	char *text; /* of the last START */
	size_t text_room;
	char **list;
	size_t list_room;
};

static void answer(const struct reaper *r, struct reaper_reply *reply)
{
	/* A slot's thread that is gone hears nothing, and the next read tells us. */
	(void)send(r->fd, reply, sizeof *reply, MSG_NOSIGNAL);
}

/* The process runs, and has not ended at once. */
static void tell_started(struct reaper *r)
{
	struct reaper_reply reply = {.kind = REAPER_STARTED, .pid = r->leader};

	if (r->leader == 0 || r->told)
		return;
	r->told = true;
	answer(r, &reply);
}

/* Splits the text into its parts, of which there are `count`. false: the sender's mistake. */
static bool split(struct reaper *r, size_t bytes, size_t count)
{
	char *at = r->text, *end = r->text + bytes;

	ARRAY_RESERVE(r->list, r->list_room, count + 2);
	for (size_t i = 0; i < count; i++) {
		char *nul = memchr(at, '\0', (size_t)(end - at));

		if (nul == NULL)
			return false;
		r->list[i] = at;
		at = nul + 1;
	}
	return at == end;
}

static bool receive_text(struct reaper *r, size_t bytes)
{
	ARRAY_RESERVE(r->text, r->text_room, bytes);
	return recv(r->fd, r->text, bytes, MSG_WAITALL) == (ssize_t)bytes;
}

/* The list becomes path, directory, arguments, NULL, environment, NULL. */
static void start(struct reaper *r, const struct reaper_request *q, const int fds[REAPER_FDS])
{
	struct reaper_reply reply = {.kind = REAPER_NOT_STARTED};
	struct spawn_spec spec = {.streams = {fds[REAPER_STDIN], fds[REAPER_STDOUT], fds[REAPER_STDERR]},
				  .file_bytes_max = q->file_bytes_max,
				  .data_bytes_max = q->data_bytes_max,
				  .cgroup_procs_fd = fds[REAPER_CGROUP_PROCS],
				  .cgroup_dir_fd = fds[REAPER_CGROUP_DIR]};
	size_t count = (size_t)2 + q->argc + q->envc;
	const char *step = "";
	int code = 0;

	CHECK(r->leader == 0 && split(r, q->bytes, count));
	memmove(r->list + 2 + q->argc + 1, r->list + 2 + q->argc, q->envc * sizeof *r->list);
	r->list[2 + q->argc] = r->list[count + 1] = NULL;
	spec.path = r->list[0];
	spec.directory = q->has_directory ? r->list[1] : NULL;
	spec.argv = r->list + 2;
	spec.envp = r->list + 2 + q->argc + 1;
	r->usage = (struct rusage){0};
	r->ended = r->told = false;
	r->patience = (struct timespec){.tv_nsec = (long)q->patience_us * 1000};
	r->leader = spawn(&spec, &code, &step);
	if (r->leader > 0) {
		if (q->patience_us == 0)
			tell_started(r);
		return;
	}
	r->leader = 0;
	reply.code = code;
	snprintf(reply.step, sizeof reply.step, "%s", step);
	answer(r, &reply);
}

/* What fails here leaves the attempt where the worker's main thread may run, which is no failure. */
static void bind_as(const struct reaper_binding *b)
{
	(void)syscall(SYS_sched_setaffinity, 0, sizeof b->cpus, b->cpus); /* refused when all zero */
	if (b->policy >= 0)
		(void)syscall(SYS_set_mempolicy, b->policy, b->policy == 0 ? NULL : b->nodes,
			      b->policy == 0 ? 0 : 8 * sizeof b->nodes);
}

static void let_go(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Ends all that is below us. */
static bool end_all(struct reaper *r, usec_t wait_us)
{
	usec_t until = clock_mono_us() + wait_us;
	bool left = false, ended;

	while (!(ended = offspring_end(ALONE_WAIT_US, &r->usage)) && clock_mono_us() < until) {
		if (r->leader_group_fd >= 0)
			group_kill(r->leader_group_fd);
		left = left || (r->group_fd >= 0 && group_leave(r->group_fd));
		if (left)
			group_kill(r->group_fd);
	}
	if (left && !group_return(r->group_fd))
		let_go(&r->group_fd); /* it would hold nobody any more */
	return ended;
}

static void signal_leader(const struct reaper *r, int signo)
{
	if (r->leader > 0 && !r->ended)
		kill(-r->leader, signo);
}

static void take_fds(struct msghdr *m, uint32_t mask, int ret[REAPER_FDS])
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	size_t at = 0;

	for (int i = 0; i < REAPER_FDS; i++) {
		ret[i] = -1;
		if ((mask & 1u << i) == 0)
			continue;
		CHECK(c != NULL && c->cmsg_len >= CMSG_LEN((at + 1) * sizeof(int)));
		memcpy(&ret[i], CMSG_DATA(c) + at++ * sizeof(int), sizeof(int));
	}
}

/* false: the other end is closed. */
static bool serve(struct reaper *r)
{
	struct reaper_request q;
	struct reaper_binding binding;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(REAPER_FDS * sizeof(int))];
	struct iovec part = {&q, sizeof q};
	struct msghdr m = {
	    .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	int fds[REAPER_FDS];

	if (recvmsg(r->fd, &m, MSG_CMSG_CLOEXEC | MSG_WAITALL) != (ssize_t)sizeof q)
		return false;
	take_fds(&m, q.fds, fds);
	if (q.kind == REAPER_SIGNAL) {
		signal_leader(r, q.signal);
	} else if (q.kind == REAPER_BIND) {
		if (recv(r->fd, &binding, sizeof binding, MSG_WAITALL) != (ssize_t)sizeof binding)
			return false;
		bind_as(&binding);
	} else {
		if (!receive_text(r, q.bytes))
			return false;
		start(r, &q, fds);
		if (r->leader > 0) {
			r->leader_group_fd = fds[REAPER_CGROUP_DIR];
			fds[REAPER_CGROUP_DIR] = -1;
		}
	}
	for (int i = 0; i < REAPER_FDS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return true;
}

/* Reaps whoever has ended, until the leader has. */
static void reap(struct reaper *r)
{
	struct rusage usage;
	unsigned reaped = 0;
	int status;
	pid_t pid;

	for (; reaped < OFFSPRING_REAPED_MAX && (r->leader == 0 || !r->ended); reaped++) {
		pid = wait4(-1, &status, WNOHANG | __WALL, &usage);
		if (pid <= 0)
			break;
		offspring_add_usage(&r->usage, &usage);
		if (pid == r->leader) {
			r->ended = true;
			r->status = status;
		}
	}
	r->more = reaped == OFFSPRING_REAPED_MAX;
}

static void on_child(struct reaper *r)
{
	struct reaper_reply reply = {.kind = REAPER_ENDED};

	reap(r);
	if (r->leader == 0 || !r->ended) {
		tell_started(r);
		return;
	}
	/* What the leader's group has left is our child by now, too. */
	reply.left = !end_all(r, END_WAIT_US);
	r->more = false;
	reply.pid = r->leader;
	reply.status = r->status;
	reply.usage = r->usage;
	r->leader = 0;
	let_go(&r->leader_group_fd);
	answer(r, &reply);
}

_Noreturn void reaper_main(int socket_fd, int group_fd)
{
	struct reaper r = {.fd = socket_fd, .group_fd = group_fd, .leader_group_fd = -1};
	struct pollfd p = {socket_fd, POLLIN, 0};
	const struct timespec at_once = {0};
	sigset_t others;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	sigfillset(&others);
	sigdelset(&others, SIGCHLD);
	for (;;) {
		bool waits = r.leader != 0 && !r.told;
		int n = ppoll(&p, 1, r.more ? &at_once : waits ? &r.patience : NULL, &others);

		if (n < 0 || (n == 0 && r.more))
			on_child(&r);
		else if (n == 0)
			tell_started(&r);
		else if (!serve(&r))
			break;
	}
	while (!end_all(&r, USEC_PER_SEC))
		continue;
	_exit(0);
}
