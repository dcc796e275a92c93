/* What processes have taken of cpu and memory. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/types.h"
#include "worker/run/process.h"

static uint64_t micros(const struct timeval *t)
{
	return (uint64_t)t->tv_sec * USEC_PER_SEC + (uint64_t)t->tv_usec;
}

void process_end_totals(const struct process_end *end, struct totals *ret)
{
	ret->cpu_us = micros(&end->usage.ru_utime) + micros(&end->usage.ru_stime);
	ret->max_rss_bytes = (uint64_t)end->usage.ru_maxrss * KIB;
}

void process_cheap_totals(pid_t pid, struct totals *ret)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &t) == 0)
		ret->cpu_us = (uint64_t)t.tv_sec * USEC_PER_SEC + (uint64_t)t.tv_nsec / 1000;
}

/* The number behind `label` in a file of /proc/<pid>; false when there is none. */
static bool proc_number(pid_t pid, const char *file, const char *label, uint64_t *ret)
{
	char path[64], text[4096];
	const char *at;
	ssize_t got;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	got = read(fd, text, sizeof text - 1);
	close(fd);
	if (got <= 0)
		return false;
	text[got] = '\0';
	at = strstr(text, label);
	if (at != NULL)
		*ret = strtoull(at + strlen(label), NULL, 10);
	return at != NULL;
}

void process_other_totals(pid_t pid, struct totals *ret)
{
	uint64_t kib;

	/* VmHWM of proc(5): since the process became its program, unlike ru_maxrss. */
	if (proc_number(pid, "status", "\nVmHWM:", &kib) && kib * KIB > ret->max_rss_bytes)
		ret->max_rss_bytes = kib * KIB;
}
