#include "worker/run/nursery.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/array.h"
#include "base/check.h"
#include "base/limits.h"
#include "worker/machine/groups.h"
#include "worker/run/offspring.h"
#include "worker/run/reaper.h"

#define PROCESS_NAME "shardmill-reap" /* as ps and top show it */
#define SOCKET_FD 3

enum order { ORDER_REAPER, ORDER_HOLD, ORDER_GROUPS }; /* one byte, with one descriptor */

/* ---- the process ---- */

struct reapers {
	pid_t *pids;
	unsigned *numbers; /* of their groups */
	unsigned count, room;
	int lock_fd;   /* the last that is to be held; -1: none */
	int groups_fd; /* -1: no groups */
	unsigned next_number;
};

static void on_child_signal(int signo)
{
	(void)signo; /* it ends ppoll */
}

/* Who ends a worker by its name or command line must not hit what cleans up after it. The command line lies
 * in memory from the program's name on. */
static void rename_process(void)
{
	char text[4096];
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	size_t size = 0;

	prctl(PR_SET_NAME, PROCESS_NAME);
	for (ssize_t got = 1; fd >= 0 && got > 0; size += got > 0 ? (size_t)got : 0)
		got = read(fd, text, sizeof text);
	if (fd >= 0)
		close(fd);
	if (size <= strlen(PROCESS_NAME))
		return;
	memset(program_invocation_name, 0, size);
	memcpy(program_invocation_name, PROCESS_NAME, strlen(PROCESS_NAME));
}

/* Signals that are meant for the worker, from a terminal or to a name, must not end what cleans up after it.
 */
static void become_nursery(int fd)
{
	struct sigaction child = {.sa_handler = on_child_signal};
	sigset_t all;
	int null;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	for (int signo = 1; signo < NSIG; signo++)
		signal(signo, SIG_DFL);
	sigaction(SIGCHLD, &child, NULL);
	setsid();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	rename_process();
	if (fd != SOCKET_FD)
		dup3(fd, SOCKET_FD, O_CLOEXEC);
	close_range(SOCKET_FD + 1, ~0u, 0);
	null = open("/dev/null", O_RDWR);
	dup2(null, 0);
	dup2(null, 1);
	close(null);
}

static void make_reaper(struct reapers *reapers, int fd)
{
	pid_t pid = fork();

	if (pid == 0) {
		close(SOCKET_FD);
		reaper_main(fd, group_enter(reapers->groups_fd, reapers->next_number));
	}
	close(fd); /* without a process at the other end, the slot's thread sees it closed */
	if (pid < 0)
		return;
	if (reapers->count == reapers->room) {
		reapers->room =
		    (unsigned)array_room(reapers->room, reapers->count + 1u, UINT_MAX, sizeof *reapers->pids);
		reapers->pids = check_realloc(reapers->pids, reapers->room, sizeof *reapers->pids);
		reapers->numbers = check_realloc(reapers->numbers, reapers->room, sizeof *reapers->numbers);
	}
	reapers->numbers[reapers->count] = reapers->next_number++;
	reapers->pids[reapers->count++] = pid;
}

/* false: the worker has ended. */
static bool take_order(struct reapers *reapers)
{
	char order;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct iovec part = {&order, 1};
	struct msghdr m = {
	    .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct cmsghdr *c;
	int fd;

	if (recvmsg(SOCKET_FD, &m, MSG_CMSG_CLOEXEC) != 1)
		return false;
	c = CMSG_FIRSTHDR(&m);
	if (c == NULL) /* we had no descriptor free for it */
		return true;
	memcpy(&fd, CMSG_DATA(c), sizeof fd);
	if (order == ORDER_REAPER) {
		make_reaper(reapers, fd);
	} else if (order == ORDER_GROUPS) {
		reapers->groups_fd = fd;
	} else {
		if (reapers->lock_fd >= 0)
			close(reapers->lock_fd);
		reapers->lock_fd = fd;
	}
	return true;
}

/* A reaper that was killed leaves us what was below it. Those that we kill leave us their own children, and
 * each end of a child brings us here again. */
static void reap(struct reapers *reapers)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG | __WALL)) > 0)
		for (unsigned i = 0; i < reapers->count; i++)
			if (reapers->pids[i] == pid) {
				group_remove(reapers->groups_fd, reapers->numbers[i]);
				reapers->pids[i] = reapers->pids[--reapers->count];
				reapers->numbers[i] = reapers->numbers[reapers->count];
			}
	offspring_kill(reapers->pids, reapers->count);
}

static _Noreturn void nursery_main(int fd)
{
	struct reapers reapers = {.lock_fd = -1, .groups_fd = -1};
	struct pollfd p = {SOCKET_FD, POLLIN, 0};
	sigset_t others;

	become_nursery(fd);
	sigfillset(&others);
	sigdelset(&others, SIGCHLD);
	for (;;) {
		int n = ppoll(&p, 1, NULL, &others);

		if (n < 0)
			reap(&reapers);
		else if (!take_order(&reapers))
			break;
	}
	while (reapers.count > 0) {
		ppoll(NULL, 0, &(struct timespec){.tv_nsec = 100 * 1000 * 1000}, &others);
		reap(&reapers);
	}
	while (!offspring_end(USEC_PER_SEC, &(struct rusage){0}))
		continue;
	_exit(0);
}

/* ---- the worker's side ---- */

int nursery_open(struct nursery *ret, struct error *reterr)
{
	int ends[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return error_set(reterr, ERR_IO,
				 "cannot make a socket for the process that starts attempts: %s",
				 strerror(errno));
	pid = fork();
	if (pid == 0)
		nursery_main(ends[1]);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return error_set(reterr, ERR_IO, "cannot make the process that starts attempts: %s",
				 strerror(errno));
	}
	*ret = (struct nursery){ends[0], pid};
	return 0;
}

void nursery_close(struct nursery *n)
{
	if (n->fd < 0)
		return;
	close(n->fd);
	while (waitpid(n->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	*n = (struct nursery){.fd = -1};
}

static int send_order(const struct nursery *n, char order, int fd, struct error *reterr)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec part = {&order, 1};
	struct msghdr m = {
	    .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	if (sendmsg(n->fd, &m, MSG_NOSIGNAL) == 1)
		return 0;
	return error_set(reterr, ERR_IO, "cannot reach the process that starts attempts: %s",
			 strerror(errno));
}

int nursery_hold(const struct nursery *n, int fd, struct error *reterr)
{
	return send_order(n, ORDER_HOLD, fd, reterr);
}

int nursery_groups(const struct nursery *n, const char *path, struct error *reterr)
{
	int rc, fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		error_set(reterr, ERR_IO, "cannot open it: %s", strerror(errno));
		return error_where(reterr, "%s", path);
	}
	rc = send_order(n, ORDER_GROUPS, fd, reterr);
	close(fd);
	return rc;
}

int nursery_reaper(const struct nursery *n, int *ret_fd, struct error *reterr)
{
	int ends[2], rc;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return error_set(reterr, ERR_IO, "cannot make a socket for a reaper: %s", strerror(errno));
	rc = send_order(n, ORDER_REAPER, ends[1], reterr);
	close(ends[1]);
	if (rc < 0)
		close(ends[0]);
	else
		*ret_fd = ends[0];
	return rc;
}
