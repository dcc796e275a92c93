#include "worker/strays.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/procfs.h"

#define PIDS_MAX 512

void strays_end_attempt(int adopted_fd, const char *attempt_id)
{
	char line[128];
	unsigned count, found;

	snprintf(line, sizeof line, "SHARDMILL_ATTEMPT_ID=%s", attempt_id);
	do { /* what we end hands us its children */
		pid_t pids[PIDS_MAX];

		found = 0;
		count = procfs_adopted(adopted_fd, pids, PIDS_MAX);
		for (unsigned i = 0; i < count; i++) {
			if (!procfs_has_environment(pids[i], line))
				continue;
			kill(pids[i], SIGKILL);
			waitpid(pids[i], NULL, 0);
			found++;
		}
	} while (found > 0);
}

static bool belongs(struct slot *const *slots, uint32_t count, pid_t pid)
{
	for (uint32_t i = 0; i < count; i++)
		if (slots[i] != NULL && slot_owns(slots[i], pid))
			return true;
	return false;
}

/* Never waits: a process that cannot die now is reaped the next time. */
static uint32_t end_one(struct slot *const *slots, uint32_t slot_count, pid_t pid)
{
	if (waitpid(pid, NULL, WNOHANG) != 0 || belongs(slots, slot_count, pid))
		return 0;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, WNOHANG);
	return 1;
}

/* Without a list of adopted processes: all our children. A child that is being started shows our own
 * environment until it has become its program, so a stray is one that was seen twice. */
static uint32_t end_by_scan(struct slot *const *slots, uint32_t slot_count)
{
	static pid_t before[PIDS_MAX];
	static unsigned before_count;
	pid_t seen[PIDS_MAX];
	unsigned seen_count = 0;
	uint32_t ended = 0;
	DIR *proc = opendir("/proc");

	for (struct dirent *d; proc != NULL && (d = readdir(proc)) != NULL;) {
		pid_t pid = (pid_t)strtol(d->d_name, NULL, 10);
		bool again = false;

		if (pid <= 1 || procfs_parent(pid) != getpid() || belongs(slots, slot_count, pid))
			continue;
		for (unsigned i = 0; i < before_count; i++)
			again |= before[i] == pid;
		if (again)
			ended += end_one(slots, slot_count, pid);
		else if (seen_count < PIDS_MAX)
			seen[seen_count++] = pid;
	}
	if (proc != NULL)
		closedir(proc);
	for (unsigned i = 0; i < seen_count; i++)
		before[i] = seen[i];
	before_count = seen_count;
	return ended;
}

uint32_t strays_end(struct slot *const *slots, uint32_t slot_count)
{
	int fd = procfs_open_adopted();
	uint32_t ended = 0;
	pid_t pids[PIDS_MAX];
	unsigned count;

	if (fd < 0)
		return end_by_scan(slots, slot_count);
	count = procfs_adopted(fd, pids, PIDS_MAX);
	close(fd);
	for (unsigned i = 0; i < count; i++)
		ended += end_one(slots, slot_count, pids[i]);
	return ended;
}
