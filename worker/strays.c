#include "worker/strays.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Parent and session of a process, from /proc/<pid>/stat (proc(5)): behind the name, which may hold
 * anything, in parentheses. */
static bool read_stat(pid_t pid, pid_t *parent, pid_t *session)
{
	char path[64], line[512];
	FILE *f;
	size_t got;
	char *at;
	int group;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (f == NULL)
		return false;
	got = fread(line, 1, sizeof line - 1, f);
	fclose(f);
	line[got] = '\0';
	at = strrchr(line, ')');
	return at != NULL && sscanf(at + 1, " %*c %d %d %d", parent, &group, session) == 3;
}

static bool belongs(struct slot *const *slots, uint32_t count, pid_t pid, pid_t session)
{
	for (uint32_t i = 0; i < count; i++)
		if (slots[i] != NULL && slot_owns(slots[i], pid, session))
			return true;
	return false;
}

static bool any_starting(struct slot *const *slots, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (slots[i] != NULL && slot_is_starting(slots[i]))
			return true;
	return false;
}

uint32_t strays_end(struct slot *const *slots, uint32_t slot_count)
{
	DIR *proc = opendir("/proc");
	pid_t self = getpid();
	uint32_t ended = 0;

	for (struct dirent *d; proc != NULL && (d = readdir(proc)) != NULL;) {
		pid_t pid = (pid_t)strtol(d->d_name, NULL, 10), parent, session;

		if (pid <= 1 || !read_stat(pid, &parent, &session) || parent != self)
			continue;
		/* Asked after the child was seen: one that is being started is no stray. */
		if (any_starting(slots, slot_count) || belongs(slots, slot_count, pid, session))
			continue;
		kill(pid, SIGKILL);
		if (waitpid(pid, NULL, 0) == pid)
			ended++;
	}
	if (proc != NULL)
		closedir(proc);
	return ended;
}
