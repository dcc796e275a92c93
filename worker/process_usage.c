/* What processes have taken of cpu and memory. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/types.h"
#include "worker/process.h"

static uint64_t micros(const struct timeval *t)
{
	return (uint64_t)t->tv_sec * USEC_PER_SEC + (uint64_t)t->tv_usec;
}

uint64_t process_end_cpu_us(const struct process_end *end)
{
	return micros(&end->usage.ru_utime) + micros(&end->usage.ru_stime);
}

uint64_t process_end_max_rss_bytes(const struct process_end *end)
{
	return (uint64_t)end->usage.ru_maxrss * KIB;
}

uint64_t process_cpu_us(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
		return 0;
	return (uint64_t)t.tv_sec * USEC_PER_SEC + (uint64_t)t.tv_nsec / 1000;
}

/* VmHWM of proc(5): since the process became its program, unlike ru_maxrss. */
uint64_t process_max_rss_bytes(pid_t pid)
{
	char path[64], text[4096];
	const char *line;
	ssize_t got;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	got = read(fd, text, sizeof text - 1);
	close(fd);
	if (got <= 0)
		return 0;
	text[got] = '\0';
	line = strstr(text, "\nVmHWM:");
	return line == NULL ? 0 : strtoull(line + strlen("\nVmHWM:"), NULL, 10) * KIB;
}
