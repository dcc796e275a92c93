/* Control groups of attempts: <parent>/shardmill-<worker id>/<slot>. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/magic.h>

#include "base/cgroup.h"
#include "base/clock.h"
#include "base/log.h"
#include "worker/machine/memory_impl.h"

#define NAME_PREFIX "shardmill-"
#define MET_MAX 64
#define EMPTY_WAIT_US (10 * USEC_PER_SEC)

/* ---- files ---- */

static size_t read_text(const char *group, const char *file, char *ret, size_t size)
{
	char path[4600];
	ssize_t got;
	int fd;

	snprintf(path, sizeof path, "%s/%s", group, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? 0 : read(fd, ret, size - 1);
	if (fd >= 0)
		close(fd);
	ret[got > 0 ? got : 0] = '\0';
	return got > 0 ? (size_t)got : 0;
}

/* 0, or -1 with errno. */
static int write_text(const char *group, const char *file, const char *text)
{
	char path[4600];
	int fd, code;
	bool done;

	snprintf(path, sizeof path, "%s/%s", group, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	done = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	code = errno;
	close(fd);
	errno = code;
	return done ? 0 : -1;
}

static int write_number(const char *group, const char *file, uint64_t number)
{
	char text[32];

	snprintf(text, sizeof text, "%" PRIu64, number);
	return write_text(group, file, text);
}

/* "name 12" of a file of such lines; 0 when it is not there. */
static uint64_t read_counter(const char *group, const char *file, const char *name)
{
	char text[1024];
	uint64_t value = 0;

	read_text(group, file, text, sizeof text);
	for (const char *at = text; at != NULL && *at != '\0'; at = strchr(at, '\n'), at = at ? at + 1 : at)
		if (strncmp(at, name, strlen(name)) == 0 && at[strlen(name)] == ' ')
			(void)sscanf(at + strlen(name), "%" SCNu64, &value);
	return value;
}

static uint64_t read_number(const char *group, const char *file)
{
	char text[64];

	read_text(group, file, text, sizeof text);
	return strtoull(text, NULL, 10);
}

static bool has_word(const char *group, const char *file, const char *word)
{
	char text[512], *rest = text, *one;

	read_text(group, file, text, sizeof text);
	while ((one = strsep(&rest, " \n")) != NULL)
		if (strcmp(one, word) == 0)
			return true;
	return false;
}

/* ---- a place for our groups ---- */

static int refuse(struct error *reterr, const char *group, const char *what, int code)
{
	if (code != 0)
		error_set(reterr, ERR_DENIED, "%s: %s", what, strerror(code));
	else
		error_set(reterr, ERR_DENIED, "%s", what);
	error_help(reterr, "delegate a group with the memory controller (systemd: Delegate=yes), or name one "
			   "with `cgroup`");
	return error_where(reterr, "%s", group);
}

/* The worker, and what it has started by now: the nursery. */
static int move_us(const char *group)
{
	char children[256], *rest = children, *pid;

	if (write_text(group, "cgroup.procs", "0") < 0)
		return -1;
	read_text("/proc/thread-self", "children", children, sizeof children);
	while ((pid = strsep(&rest, " \n")) != NULL)
		if (pid[0] != '\0' && write_text(group, "cgroup.procs", pid) < 0)
			return -1;
	return 0;
}

/* In v2 a group with processes of its own gives no controller to groups below. When we are the only one
 * in it, we make room. */
static int give_memory_below(struct memory_bounds *b, struct error *reterr)
{
	char worker[4300];

	if (has_word(b->parent, "cgroup.subtree_control", "memory") ||
	    write_text(b->parent, "cgroup.subtree_control", "+memory") == 0)
		return 0;
	if (errno != EBUSY)
		return refuse(reterr, b->parent, "cannot give the memory controller to groups below", errno);
	snprintf(worker, sizeof worker, "%s/worker", b->root.path);
	if (mkdir(worker, 0755) < 0 || move_us(worker) < 0)
		return refuse(reterr, b->parent, "cannot move the worker into a group of its own", errno);
	b->moved = true;
	if (write_text(b->parent, "cgroup.subtree_control", "+memory") == 0)
		return 0;
	return refuse(reterr, b->parent, "other processes than this worker are in the group", 0);
}

static int find_parent(struct memory_bounds *b, const char *group, struct error *reterr)
{
	struct cgroup own;
	struct statfs fs;

	if (group[0] == '\0') {
		cgroup_own("memory", &own);
		if (own.version == 0)
			return refuse(reterr, "/proc/self/cgroup", "no control group has a memory controller",
				      0);
		if ((size_t)snprintf(b->parent, sizeof b->parent, "%s%s", own.mount, own.path) >=
		    sizeof b->parent)
			return refuse(reterr, own.mount, "the group's path is too long", 0);
	} else if ((size_t)snprintf(b->parent, sizeof b->parent, "%s", group) >= sizeof b->parent) {
		return refuse(reterr, "cgroup", "the group's path is too long", 0);
	}
	if (statfs(b->parent, &fs) < 0)
		return refuse(reterr, b->parent, "cannot look at the group", errno);
	if ((unsigned long)fs.f_type == CGROUP2_SUPER_MAGIC)
		b->means = MEMORY_CGROUP2;
	else if ((unsigned long)fs.f_type == CGROUP_SUPER_MAGIC)
		b->means = MEMORY_CGROUP1;
	else
		return refuse(reterr, b->parent, "this is no control group", 0);
	if (b->means == MEMORY_CGROUP2 && !has_word(b->parent, "cgroup.controllers", "memory"))
		return refuse(reterr, b->parent, "the group has no memory controller", 0);
	return 0;
}

/* A group is made, bound and removed: what fails later would fail a shard. */
static int try_out(const struct memory_bounds *b, struct error *reterr)
{
	struct memory_group g = {.means = b->means, .bytes = 1 << 20};
	int rc = memory_cgroup_make(&g, b, "trial", reterr);

	if (rc == 0)
		memory_cgroup_remove(&g);
	return rc;
}

int memory_cgroup_open(struct memory_bounds *b, const char *group, const struct uuid *worker,
		       struct error *reterr)
{
	int rc = find_parent(b, group, reterr);

	if (rc < 0)
		return rc;
	if (cgroup_root_make(b->parent, NAME_PREFIX, worker, &b->root) < 0)
		return refuse(reterr, b->parent, "cannot make a group below", errno);
	if (b->means == MEMORY_CGROUP2)
		rc = give_memory_below(b, reterr);
	if (rc == 0 && b->means == MEMORY_CGROUP2 &&
	    write_text(b->root.path, "cgroup.subtree_control", "+memory") < 0)
		rc = refuse(reterr, b->root.path, "cannot give the memory controller to groups below", errno);
	if (rc == 0)
		rc = try_out(b, reterr);
	if (rc < 0)
		memory_cgroup_close(b);
	return rc;
}

void memory_cgroup_close(struct memory_bounds *b)
{
	char worker[4300];

	if (b->moved) { /* back, before anything but a leaf may hold processes again */
		write_text(b->root.path, "cgroup.subtree_control", "-memory");
		write_text(b->parent, "cgroup.subtree_control", "-memory");
		if (write_text(b->parent, "cgroup.procs", "0") == 0) {
			snprintf(worker, sizeof worker, "%s/worker", b->root.path);
			rmdir(worker);
		}
	}
	cgroup_root_close(&b->root);
}

/* ---- groups ---- */

static int set_bounds(const struct memory_group *g)
{
	if (g->means == MEMORY_CGROUP2) {
		write_number(g->path, "memory.swap.max", 0);  /* not there: no swap to bound */
		write_number(g->path, "memory.oom.group", 1); /* since Linux 4.19 */
		return write_number(g->path, "memory.max", g->bytes);
	}
	if (write_number(g->path, "memory.limit_in_bytes", g->bytes) < 0)
		return -1;
	write_number(g->path, "memory.memsw.limit_in_bytes", g->bytes);
	return 0;
}

int memory_cgroup_make(struct memory_group *g, const struct memory_bounds *b, const char *name,
		       struct error *reterr)
{
	char procs[4600];
	int code;

	snprintf(g->path, sizeof g->path, "%s/%s", b->root.path, name);
	g->procs_fd = g->dir_fd = -1;
	if (mkdir(g->path, 0755) < 0)
		return refuse(reterr, g->path, "cannot make a group", errno);
	snprintf(procs, sizeof procs, "%s/cgroup.procs", g->path);
	if (set_bounds(g) == 0)
		g->procs_fd = open(procs, O_WRONLY | O_CLOEXEC);
	if (g->procs_fd >= 0 && g->means == MEMORY_CGROUP2)
		g->dir_fd = open(g->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (g->procs_fd >= 0)
		return 0;
	code = errno;
	rmdir(g->path);
	return refuse(reterr, g->path, "cannot bound a group's memory", code);
}

/* A process that is just ending is no longer listed, but still keeps the group busy for a moment. */
static int remove_when_empty(const char *path)
{
	usec_t until = clock_mono_us() + EMPTY_WAIT_US;

	while (rmdir(path) < 0) {
		if (errno != EBUSY || clock_mono_us() > until)
			return -1;
		poll(NULL, 0, 1);
	}
	return 0;
}

void memory_cgroup_remove(struct memory_group *g)
{
	if (g->procs_fd >= 0)
		close(g->procs_fd);
	if (g->dir_fd >= 0)
		close(g->dir_fd);
	g->procs_fd = g->dir_fd = -1;
	if (rmdir(g->path) == 0 || errno == ENOENT)
		return;
	memory_cgroup_kill(g);
	memory_cgroup_empty(g);
	if (remove_when_empty(g->path) < 0)
		log_warn("a slot's control group stays behind", log_text("path", g->path),
			 log_text("error", strerror(errno)));
}

static uint64_t kills_of(const struct memory_group *g)
{
	return read_counter(g->path, g->means == MEMORY_CGROUP2 ? "memory.events" : "memory.oom_control",
			    "oom_kill");
}

void memory_cgroup_begin(struct memory_group *g)
{
	g->kills = kills_of(g);
	if (g->means == MEMORY_CGROUP2)
		g->hits = read_counter(g->path, "memory.events", "oom");
	else
		write_number(g->path, "memory.max_usage_in_bytes", 0);
}

enum memory_verdict memory_cgroup_verdict(const struct memory_group *g)
{
	uint64_t most;

	if (kills_of(g) == g->kills)
		return MEMORY_ENOUGH;
	if (g->means == MEMORY_CGROUP2)
		return read_counter(g->path, "memory.events", "oom") > g->hits ? MEMORY_SHORT : MEMORY_BEYOND;
	/* v1 does not say whose bound was passed: its own, when its usage was there. */
	most = read_number(g->path, "memory.max_usage_in_bytes");
	return most >= g->bytes - g->bytes / 16 ? MEMORY_SHORT : MEMORY_BEYOND;
}

/* What was met in a group, held by descriptors: their numbers may be others' when they are reaped. */
struct met {
	pid_t pids[MET_MAX];
	int fds[MET_MAX];
	unsigned count;
};

static void meet(struct met *m, pid_t pid)
{
	for (unsigned i = 0; i < m->count; i++)
		if (m->pids[i] == pid)
			return;
	if (m->count == MET_MAX)
		return;
	m->pids[m->count] = pid;
	m->fds[m->count] = pidfd_open(pid, 0);
	m->count += m->fds[m->count] >= 0;
}

/* Returns how many were listed. m may be NULL. */
static unsigned kill_listed(const struct memory_group *g, struct met *m)
{
	char text[8192], *at = text, *end;
	unsigned count = 0;

	read_text(g->path, "cgroup.procs", text, sizeof text);
	for (long pid; (pid = strtol(at, &end, 10)), end != at; at = end, count++) {
		if (pid <= 0 || *end != '\n') /* another namespace's, or cut off: the next time */
			continue;
		if (m != NULL)
			meet(m, (pid_t)pid);
		kill((pid_t)pid, SIGKILL);
	}
	return count;
}

void memory_cgroup_kill(const struct memory_group *g)
{
	if (g->means != MEMORY_CGROUP2 || write_text(g->path, "cgroup.kill", "1") < 0) /* since Linux 5.14 */
		(void)kill_listed(g, NULL);
}

void memory_cgroup_empty(const struct memory_group *g)
{
	struct met met = {.count = 0};
	usec_t until = 0;
	siginfo_t info;

	while (kill_listed(g, &met) > 0) {
		if (until == 0) {
			until = clock_mono_us() + EMPTY_WAIT_US;
			memory_cgroup_kill(g); /* also what is being made just now */
		} else if (clock_mono_us() > until) {
			log_warn("processes of an attempt do not end", log_text("group", g->path));
			break;
		}
		poll(NULL, 0, 1);
	}
	/* Those that we were handed. */
	for (unsigned i = 0; i < met.count; i++) {
		waitid(P_PIDFD, (id_t)met.fds[i], &info, WEXITED | (clock_mono_us() > until ? WNOHANG : 0));
		close(met.fds[i]);
	}
}

/* ---- what workers that are no more have left ---- */

static void sweep_one(const char *path, void *arg)
{
	const struct memory_bounds *b = arg;
	struct memory_group g = {.means = b->means, .procs_fd = -1, .dir_fd = -1};

	if ((size_t)snprintf(g.path, sizeof g.path, "%s", path) < sizeof g.path)
		memory_cgroup_remove(&g);
}

void memory_cgroup_sweep(struct memory_bounds *b)
{
	cgroup_root_sweep(b->parent, NAME_PREFIX, sweep_one, b);
}
