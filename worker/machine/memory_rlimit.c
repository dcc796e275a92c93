/* What can be seen from outside of a process whose allocations fail. */
#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "worker/machine/memory_impl.h"

#define LOOKS_MAX 64 /* processes of an attempt that are looked at */

static size_t read_proc(pid_t pid, const char *name, char *ret, size_t size)
{
	char path[80];
	ssize_t got;
	int fd;

	snprintf(path, sizeof path, name, (int)pid, (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? 0 : read(fd, ret, size - 1);
	if (fd >= 0)
		close(fd);
	ret[got > 0 ? got : 0] = '\0';
	return got > 0 ? (size_t)got : 0;
}

/* VmData is what RLIMIT_DATA bounds: private writable pages but for the stack. proc(5). */
static uint64_t data_bytes(pid_t pid)
{
	char text[2048];
	const char *line;
	uint64_t kib = 0;

	read_proc(pid, "/proc/%d/status", text, sizeof text);
	line = strstr(text, "\nVmData:");
	if (line == NULL || sscanf(line, "\nVmData: %" SCNu64, &kib) != 1)
		return 0;
	return kib * 1024;
}

static unsigned add_children(pid_t pid, pid_t to[], unsigned count)
{
	char text[1024], *at = text, *end;

	read_proc(pid, "/proc/%d/task/%d/children", text, sizeof text);
	for (long child; count < LOOKS_MAX && (child = strtol(at, &end, 10)) > 0 && end != at; at = end)
		to[count++] = (pid_t)child;
	return count;
}

void memory_look(struct memory_group *g, pid_t leader)
{
	pid_t pids[LOOKS_MAX] = {leader};
	unsigned count = 1;

	for (unsigned i = 0; i < count; i++) {
		uint64_t bytes = data_bytes(pids[i]);

		if (bytes > g->peak_bytes)
			g->peak_bytes = bytes;
		count = add_children(pids[i], pids, count);
	}
}

/* As C libraries, shells, C++, Python, Java, Go, Rust, Perl and R put it. */
bool memory_words_say_so(const char *words)
{
	static const char *const phrases[] = {
	    "out of memory",	 "cannot allocate", "can't allocate",	 "memory exhausted",
	    "std::bad_alloc",	 "memoryerror",	    "outofmemory",	 "not enough memory",
	    "allocation failed", "failed to alloc", "memory allocation",
	};
	char small[512];
	size_t n = 0;

	for (; words[n] != '\0' && n + 1 < sizeof small; n++)
		small[n] = (char)tolower((unsigned char)words[n]);
	small[n] = '\0';
	for (size_t i = 0; i < ARRAY_LENGTH(phrases); i++)
		if (strstr(small, phrases[i]) != NULL)
			return true;
	return false;
}
