#include "worker/machine/groups.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "worker/machine/memory.h"

#define NAME_PREFIX "shardmill-reapers-"
/* A group freezes at once, unless a process in it waits for a disk. */
#define FREEZE_WAIT_US (50 * 1000)
/* For what was killed. */
#define REMOVE_WAIT_US (2 * USEC_PER_SEC)

/* ---- files of a group ---- */

static bool put(int group_fd, const char *file, const char *text)
{
	int fd = openat(group_fd, file, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

/* A v1 group tells FREEZING until all are frozen. */
static bool is_freezing(int group_fd)
{
	char text[32] = "";
	int fd = openat(group_fd, "freezer.state", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof text - 1);

	if (fd >= 0)
		close(fd);
	return got > 0 && strncmp(text, "FREEZING", strlen("FREEZING")) == 0;
}

static void kill_listed(int group_fd)
{
	int fd = openat(group_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	FILE *list = fd < 0 ? NULL : fdopen(fd, "r");

	for (int pid; list != NULL && fscanf(list, "%d", &pid) == 1;)
		if (pid > 0 && pid != getpid()) /* 0: another namespace's */
			kill(pid, SIGKILL);
	if (list != NULL)
		fclose(list);
	else if (fd >= 0)
		close(fd);
}

void group_kill(int group_fd)
{
	usec_t until = clock_mono_us() + FREEZE_WAIT_US;

	if (put(group_fd, "cgroup.kill", "1"))
		return;
	if (!put(group_fd, "cgroup.freeze", "1"))
		put(group_fd, "freezer.state", "FROZEN");
	while (is_freezing(group_fd) && clock_mono_us() < until)
		poll(NULL, 0, 1);
	kill_listed(group_fd);
	if (!put(group_fd, "cgroup.freeze", "0"))
		put(group_fd, "freezer.state", "THAWED");
}

/* ---- a reaper's ---- */

static void name_of(unsigned number, char ret[16])
{
	snprintf(ret, 16, "%u", number);
}

/* Each switch of a process is counted in its group and in all above it (v2, PSI), which costs short attempts
 * some hundredths; nobody reads it here. Linux 6.1. */
static void count_no_pressure(int group_fd)
{
	put(group_fd, "cgroup.pressure", "0");
}

bool group_leave(int group_fd)
{
	return put(group_fd, "../cgroup.procs", "0");
}

bool group_return(int group_fd)
{
	return put(group_fd, "cgroup.procs", "0");
}

int group_enter(int groups_fd, unsigned number)
{
	char name[16];
	int fd;

	name_of(number, name);
	if (groups_fd < 0 || (mkdirat(groups_fd, name, 0755) < 0 && errno != EEXIST))
		return -1;
	fd = openat(groups_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	count_no_pressure(fd);
	if (group_return(fd))
		return fd;
	close(fd);
	unlinkat(groups_fd, name, AT_REMOVEDIR);
	return -1;
}

void group_remove(int groups_fd, unsigned number)
{
	char name[16];
	int fd;

	name_of(number, name);
	if (groups_fd < 0 || unlinkat(groups_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return;
	fd = openat(groups_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	group_kill(fd);
	close(fd);
	unlinkat(groups_fd, name, AT_REMOVEDIR);
}

/* ---- a worker's ---- */

/* With the groups that attempts have made below it. */
static void remove_all(const char *path, void *arg)
{
	usec_t until = clock_mono_us() + REMOVE_WAIT_US;
	int fd;

	if (rmdir(path) == 0 || errno == ENOENT)
		return;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	group_kill(fd);
	cgroup_root_each(path, remove_all, arg);
	while (rmdir(path) < 0 && errno == EBUSY && clock_mono_us() < until) {
		poll(NULL, 0, 1);
		group_kill(fd); /* what is not ended by cgroup.kill may have been listed too early */
	}
	close(fd);
}

/* What is in the way of the first group would be in the way of all. */
static bool can_kill(const struct groups *g)
{
	static const char *const files[] = {"cgroup.kill", "cgroup.freeze", "freezer.state"};
	char path[4300];
	bool can = false;

	for (size_t i = 0; i < ARRAY_LENGTH(files) && !can; i++) {
		snprintf(path, sizeof path, "%s/%s", g->root.path, files[i]);
		can = access(path, W_OK) == 0;
	}
	return can;
}

int groups_open(struct groups *g, const char *parent, const struct uuid *worker, struct error *reterr)
{
	struct error e;
	int rc = 0;

	if (cgroup_root_make(parent, NAME_PREFIX, worker, &g->root) < 0) {
		rc = error_set(&e, ERR_DENIED, "cannot make a group below: %s", strerror(errno));
	} else if (!can_kill(g)) {
		rc = error_set(&e, ERR_DENIED, "a group here has neither cgroup.kill nor a freezer");
		cgroup_root_close(&g->root);
	}
	if (rc == 0) {
		count_no_pressure(g->root.fd);
		cgroup_root_sweep(parent, NAME_PREFIX, remove_all, NULL);
		return 0;
	}
	error_where(&e, "%s", parent);
	if (reterr != NULL)
		*reterr = e;
	return rc;
}

static bool open_own(struct groups *g, const char *controller, const struct uuid *worker, struct error *e)
{
	struct cgroup own;
	char parent[sizeof own.mount + sizeof own.path];

	cgroup_own(controller, &own);
	if (own.version == 0) {
		error_set(e, ERR_DENIED, "there is no control group of v2 and no freezer");
		return false;
	}
	snprintf(parent, sizeof parent, "%s%s", own.mount, own.path);
	return groups_open(g, parent, worker, e) == 0;
}

void groups_find(struct groups *g, const char *group, const struct memory_bounds *memory,
		 const struct uuid *worker)
{
	char line[ERROR_LINE_MAX];
	struct error e;

	if ((group[0] != '\0' && groups_open(g, group, worker, &e) == 0) ||
	    (memory->means == MEMORY_CGROUP2 && groups_open(g, memory->parent, worker, &e) == 0) ||
	    open_own(g, "", worker, &e) || open_own(g, "freezer", worker, &e))
		return;
	g->root.fd = -1;
	log_info("no control group to end attempts by: their processes are ended one by one",
		 log_error_field(&e, line, sizeof line));
}

void groups_close(struct groups *g)
{
	if (g->root.fd < 0)
		return;
	cgroup_root_each(g->root.path, remove_all, NULL);
	cgroup_root_close(&g->root);
}
