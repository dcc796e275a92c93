#include "worker/run/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Bytes of stack that the child needs until it becomes another program. */
#define STACK_BYTES ((size_t)32768)

/* The child writes it and we read it: VFORK orders the two. */
struct failure {
	int code;
	const char *step;
};

/* What the child needs; it shares our memory until execve, or has a copy. */
struct child {
	const struct spawn_spec *spec;
	sigset_t mask; /* that the new program starts with: nothing blocked */
	struct failure *failed;
	bool entered; /* it is in its control group already */
};

/* dup2 of a descriptor to another drops close-on-exec. */
static bool place(struct child *c, int to)
{
	int from = c->spec->streams[to];

	c->failed->step = "give it its standard streams";
	if (from < 0 && to == 0)
		return true;
	return dup2(from < 0 ? 0 : from, to) >= 0;
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
	return c->entered || c->spec->cgroup_procs_fd < 0 || write(c->spec->cgroup_procs_fd, "0", 1) == 1;
}

/* Runs in our memory, on its own stack, with every signal blocked: system calls only. Standard input comes
 * last, since until then descriptor 0 is the /dev/null of the other two. */
static int child_main(void *arg)
{
	struct child *c = arg;
	const struct spawn_spec *s = c->spec;

	setsid();
	if (!place(c, 2) || !place(c, 1) || !place(c, 0) || !enter_group(c) || !set_limits(c))
		goto failed;
	c->failed->step = "enter its directory";
	if (s->directory != NULL && chdir(s->directory) < 0)
		goto failed;
	sigprocmask(SIG_SETMASK, &c->mask, NULL);
	c->failed->step = "start it";
	execve(s->path, s->argv, s->envp);
failed:
	c->failed->code = errno;
	return 127; /* clone's own exit: no handler of ours runs on the shared memory */
}

/* A page that a copy of us writes to as well. */
static struct failure *shared_failure(void)
{
	struct failure *f = mmap(NULL, sizeof *f, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return f == MAP_FAILED ? NULL : f;
}

/* Into the group from the start, which costs less than to move there. Like fork: it has a copy of this stack,
 * too. -1: the kernel is older than 5.7, or will not. */
static pid_t clone_into(struct child *c)
{
	struct clone_args args = {.flags = CLONE_VFORK | CLONE_INTO_CGROUP,
				  .exit_signal = SIGCHLD,
				  .cgroup = (uint64_t)c->spec->cgroup_dir_fd};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);

	if (pid == 0) {
		c->entered = true;
		_exit(child_main(c));
	}
	return pid;
}

static pid_t clone_child(struct child *c, bool shared)
{
	static _Alignas(16) uint8_t stack[STACK_BYTES];
	pid_t pid = !shared && c->spec->cgroup_dir_fd >= 0 ? clone_into(c) : -1;

	if (pid > 0)
		return pid;
	return clone(child_main, stack + STACK_BYTES, (shared ? CLONE_VM : 0) | CLONE_VFORK | SIGCHLD, c);
}

pid_t spawn(const struct spawn_spec *spec, int *ret_errno, const char **ret_step)
{
	struct failure failed = {0}, *shared = spec->cgroup_procs_fd >= 0 ? shared_failure() : NULL;
	struct child c = {.spec = spec, .failed = shared != NULL ? shared : &failed};
	sigset_t all, before;
	pid_t pid;

	sigemptyset(&c.mask);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = clone_child(&c, shared == NULL);
	*ret_errno = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (shared != NULL) {
		failed = *shared;
		munmap(shared, sizeof *shared);
	}
	*ret_step = pid < 0 ? "make a process" : failed.step;
	if (pid < 0 || failed.code == 0)
		return pid;
	*ret_errno = failed.code;
	waitpid(pid, NULL, 0);
	return -1;
}
