#include "worker/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"

/* Written by the child, read by us: VFORK orders the two. */
struct child_failure {
	int code;
	const char *step;
};

/* What the child needs; it shares our memory until execve, or has a copy. */
struct child {
	const struct process_spec *spec;
	sigset_t mask; /* that the new program starts with: nothing blocked */
	int null_fd;
	struct child_failure *failed;
	bool entered; /* it is in its control group already */
};

static int try_executable(const char *path, struct error *reterr)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return error_set(reterr, ERR_NOT_FOUND, "no program `%s`: %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode) || access(path, X_OK) < 0)
		return error_set(reterr, ERR_DENIED, "`%s` is there, but cannot be executed", path);
	return 0;
}

int process_find(const char *name, char *ret, size_t size, struct error *reterr)
{
	const char *dirs = getenv("PATH");
	int found = ERR_NOT_FOUND;

	if (strchr(name, '/') != NULL) {
		if ((size_t)snprintf(ret, size, "%s", name) >= size)
			return error_set(reterr, ERR_LIMIT, "the program's path is longer than %zu bytes",
					 size);
		return try_executable(name, reterr);
	}
	if (dirs == NULL || dirs[0] == '\0')
		dirs = "/usr/local/bin:/usr/bin:/bin";
	for (const char *end; found != 0 && *dirs != '\0'; dirs = *end ? end + 1 : end) {
		int rc;

		end = strchrnul(dirs, ':');
		if ((size_t)snprintf(ret, size, "%.*s/%s", (int)(end - dirs), dirs, name) >= size)
			continue;
		rc = try_executable(ret, reterr);
		if (rc == 0 || rc == ERR_DENIED)
			found = rc;
		if (rc == 0)
			return 0;
	}
	if (found == ERR_NOT_FOUND) {
		error_set(reterr, ERR_NOT_FOUND, "no program `%s` in the worker's PATH", name);
		error_help(reterr, "install it on this machine, or give its path in `exec`");
	}
	return found;
}

/* dup2 of a descriptor to another drops close-on-exec. */
static bool place(struct child *c, int from, int to)
{
	if (dup2(from < 0 ? c->null_fd : from, to) >= 0)
		return true;
	c->failed->step = "give it its standard streams";
	return false;
}

static bool set_limits(struct child *c)
{
	struct rlimit fsize = {c->spec->file_bytes_max, c->spec->file_bytes_max};
	struct rlimit data = {c->spec->data_bytes_max, c->spec->data_bytes_max};

	c->failed->step = "bound its files";
	if (c->spec->file_bytes_max != 0 && setrlimit(RLIMIT_FSIZE, &fsize) < 0)
		return false;
	c->failed->step = "bound its memory";
	return c->spec->data_bytes_max == 0 || setrlimit(RLIMIT_DATA, &data) == 0;
}

static bool enter_group(struct child *c)
{
	c->failed->step = "put it into its control group";
	return c->entered || c->spec->cgroup_fd <= 0 || write(c->spec->cgroup_fd, "0", 1) == 1;
}

/* Runs in our memory, on its own stack, with every signal blocked: system calls only. */
static int child_main(void *arg)
{
	struct child *c = arg;
	const struct process_spec *s = c->spec;

	setsid();
	signal(SIGPIPE, SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);
	if (!place(c, s->stdin_fd, 0) || !place(c, s->stdout_fd, 1) || !place(c, s->stderr_fd, 2) ||
	    !enter_group(c) || !set_limits(c))
		goto failed;
	c->failed->step = "enter its directory";
	if (s->directory != NULL && chdir(s->directory) < 0)
		goto failed;
	close_range(3, ~0u, CLOSE_RANGE_CLOEXEC); /* what a library opened for itself */
	sigprocmask(SIG_SETMASK, &c->mask, NULL);
	c->failed->step = "start it";
	execve(s->path, s->argv, s->envp);
failed:
	c->failed->code = errno;
	return 127; /* clone's own exit: no handler of ours runs on the shared memory */
}

/* /dev/null, opened once, above the standard streams; -1 when it cannot be. */
static int null_descriptor(void)
{
	static _Atomic int kept = -1;
	int fd = atomic_load(&kept), none = -1, low;

	if (fd >= 0)
		return fd;
	low = open("/dev/null", O_RDWR | O_CLOEXEC);
	fd = fcntl(low, F_DUPFD_CLOEXEC, 3);
	if (low >= 0)
		close(low);
	if (fd < 0 || atomic_compare_exchange_strong(&kept, &none, fd))
		return fd;
	close(fd); /* another thread was faster */
	return none;
}

/* A page that a copy of us writes to as well. */
static struct child_failure *shared_failure(void)
{
	struct child_failure *f =
	    mmap(NULL, sizeof *f, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return f == MAP_FAILED ? NULL : f;
}

/* Into the group from the start, which costs less than to move there. Like fork: it has a copy of this stack,
 * too. -1: the kernel is older than 5.7, or will not. */
static pid_t clone_into(struct child *c, int *ret_pidfd)
{
	struct clone_args args = {.flags = CLONE_VFORK | CLONE_PIDFD | CLONE_INTO_CGROUP,
				  .pidfd = (uint64_t)(uintptr_t)ret_pidfd,
				  .exit_signal = SIGCHLD,
				  .cgroup = (uint64_t)c->spec->cgroup_dir_fd};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);

	if (pid == 0) {
		c->entered = true;
		_exit(child_main(c));
	}
	return pid;
}

static pid_t clone_child(struct child *c, bool shared, int *ret_pidfd)
{
	pid_t pid = !shared && c->spec->cgroup_dir_fd > 0 ? clone_into(c, ret_pidfd) : -1;

	if (pid > 0)
		return pid;
	return clone(child_main, (uint8_t *)c->spec->stack + PROCESS_STACK_BYTES,
		     (shared ? CLONE_VM : 0) | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, c, ret_pidfd);
}

int process_start(const struct process_spec *spec, struct process *ret, int *ret_errno, struct error *reterr)
{
	struct child_failure failed = {0}, *shared = spec->cgroup_fd > 0 ? shared_failure() : NULL;
	struct child c = {
	    .spec = spec, .null_fd = null_descriptor(), .failed = shared != NULL ? shared : &failed};
	struct process p = {-1, -1};
	sigset_t all, before;
	int code;

	/* Streams must not lie on 0..2: placing one would cover the next. */
	CHECK(spec->stdin_fd < 0 || spec->stdin_fd > 2);
	CHECK((spec->stdout_fd < 0 || spec->stdout_fd > 2) && (spec->stderr_fd < 0 || spec->stderr_fd > 2));
	sigemptyset(&c.mask);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	p.pid = clone_child(&c, shared == NULL, &p.pidfd);
	code = errno;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (shared != NULL) {
		failed = *shared;
		munmap(shared, sizeof *shared);
	}
	if (p.pid >= 0)
		code = failed.code;
	if (code == 0) {
		*ret = p;
		return 0;
	}
	if (p.pid > 0) {
		waitpid(p.pid, NULL, 0);
		close(p.pidfd);
	}
	*ret_errno = code;
	error_set(reterr, ERR_IO, "cannot %s: %s", p.pid < 0 ? "make a process" : failed.step,
		  strerror(code));
	return error_where(reterr, "%s", spec->path);
}

static void add_time(struct timeval *to, const struct timeval *from)
{
	to->tv_sec += from->tv_sec;
	to->tv_usec += from->tv_usec;
}

static void add_usage(struct rusage *to, const struct rusage *from)
{
	add_time(&to->ru_utime, &from->ru_utime);
	add_time(&to->ru_stime, &from->ru_stime);
	if (from->ru_maxrss > to->ru_maxrss)
		to->ru_maxrss = from->ru_maxrss;
}

void process_wait(struct process *p, struct process_end *ret)
{
	struct rusage usage;
	struct process_end end = {0};
	siginfo_t info;
	int status = 0;

	/* First without reaping, so that the number stays the group's while its rest is ended. */
	while (waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED | WNOWAIT) < 0)
		CHECK(errno == EINTR);
	process_kill_tree(p->pid, SIGKILL);
	while (wait4(p->pid, &status, 0, &end.usage) < 0)
		CHECK(errno == EINTR);
	/* A subreaper is handed the rest of the group: when it is reaped, nobody of it writes any more. */
	while (wait4(-p->pid, NULL, 0, &usage) > 0)
		add_usage(&end.usage, &usage);
	close(p->pidfd);
	p->pidfd = -1;
	end.exited = WIFEXITED(status);
	end.code = end.exited ? WEXITSTATUS(status) : WTERMSIG(status);
	*ret = end;
}

void process_kill_tree(pid_t leader, int sig)
{
	kill(-leader, sig);
}
