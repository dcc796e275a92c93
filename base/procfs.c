#include "base/procfs.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"

#define ENVIRON_BYTES_MAX (8 * MIB)
#define BLOCK_BYTES ((size_t)65536)

static bool contains_line(struct bytes text, const char *line)
{
	size_t size = strlen(line) + 1;
	const uint8_t *at = text.data, *end = text.data + text.size;

	while (at < end) {
		const uint8_t *nul = memchr(at, '\0', (size_t)(end - at));

		if ((size_t)(end - at) >= size && memcmp(at, line, size) == 0)
			return true;
		if (nul == NULL)
			return false;
		at = nul + 1;
	}
	return false;
}

bool procfs_has_environment(pid_t pid, const char *line)
{
	struct buf text = {0};
	char path[64];
	ssize_t got = 1;
	bool found;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	while (got > 0 && text.size < ENVIRON_BYTES_MAX) {
		got = read(fd, buf_reserve(&text, BLOCK_BYTES), BLOCK_BYTES);
		text.size += got > 0 ? (size_t)got : 0;
	}
	close(fd);
	found = contains_line(buf_bytes(&text), line);
	buf_fini(&text);
	return found;
}

int procfs_open_adopted(void)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)getpid(), (int)getpid());
	return open(path, O_RDONLY | O_CLOEXEC);
}

unsigned procfs_adopted(int fd, pid_t *ret, unsigned room)
{
	char text[4096];
	ssize_t got = fd < 0 ? 0 : pread(fd, text, sizeof text - 1, 0);
	unsigned count = 0;
	char *at = text, *end;

	if (got <= 0)
		return 0;
	text[got] = '\0';
	for (; count < room; at = end) {
		long pid = strtol(at, &end, 10);

		if (end == at || *end != ' ') /* the last may be cut off: it comes the next time */
			break;
		ret[count++] = (pid_t)pid;
	}
	return count;
}

/* The second field behind the name, which may hold anything, in parentheses. */
pid_t procfs_parent(pid_t pid)
{
	char path[64], line[512], *at;
	int parent = 0;
	ssize_t got;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	got = read(fd, line, sizeof line - 1);
	close(fd);
	line[got > 0 ? got : 0] = '\0';
	at = strrchr(line, ')');
	return at != NULL && sscanf(at + 1, " %*c %d", &parent) == 1 ? (pid_t)parent : 0;
}
