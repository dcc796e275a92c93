#include "base/procfs.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

size_t procfs_read(const char *path, char *ret, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, ret, size - 1);

	if (fd >= 0)
		close(fd);
	ret[got > 0 ? got : 0] = '\0';
	return got > 0 ? (size_t)got : 0;
}

/* The second field behind the name, which may hold anything, in parentheses. 0: the process is gone. */
static pid_t parent_of(pid_t pid)
{
	char path[64], line[512], *at;
	int parent = 0;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	if (procfs_read(path, line, sizeof line) == 0)
		return 0;
	at = strrchr(line, ')');
	return at != NULL && sscanf(at + 1, " %*c %d", &parent) == 1 ? (pid_t)parent : 0;
}

/* Where the kernel was built without CONFIG_PROC_CHILDREN. */
static unsigned scan(pid_t *ret, unsigned room)
{
	DIR *proc = opendir("/proc");
	unsigned count = 0;

	for (struct dirent *d; proc != NULL && count < room && (d = readdir(proc)) != NULL;) {
		pid_t pid = (pid_t)strtol(d->d_name, NULL, 10);

		if (pid > 1 && parent_of(pid) == getpid())
			ret[count++] = pid;
	}
	if (proc != NULL)
		closedir(proc);
	return count;
}

unsigned procfs_children(pid_t *ret, unsigned room)
{
	char path[64], text[4096], *at = text, *end;
	unsigned count = 0;

	snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
	if (access(path, R_OK) < 0)
		return scan(ret, room);
	procfs_read(path, text, sizeof text);
	for (; count < room; at = end) {
		long pid = strtol(at, &end, 10);

		if (end == at || *end != ' ') /* the last may be cut off: it comes the next time */
			break;
		ret[count++] = (pid_t)pid;
	}
	return count;
}
