#include "worker/run/offspring.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/procfs.h"

#define LISTED_MAX 512u
/* When none of those that were killed ends within this time, they are looked for again. */
#define ROUND_NS (10 * 1000 * 1000L)

static void add_time(struct timeval *to, const struct timeval *from)
{
	to->tv_sec += from->tv_sec;
	to->tv_usec += from->tv_usec;
	if (to->tv_usec >= (suseconds_t)USEC_PER_SEC) {
		to->tv_sec++;
		to->tv_usec -= (suseconds_t)USEC_PER_SEC;
	}
}

void offspring_add_usage(struct rusage *to, const struct rusage *from)
{
	add_time(&to->ru_utime, &from->ru_utime);
	add_time(&to->ru_stime, &from->ru_stime);
	if (from->ru_maxrss > to->ru_maxrss)
		to->ru_maxrss = from->ru_maxrss;
}

static bool is_spared(pid_t pid, const pid_t spared[], unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (spared[i] == pid)
			return true;
	return false;
}

void offspring_kill(const pid_t spared[], unsigned count)
{
	pid_t pids[LISTED_MAX];
	unsigned listed = procfs_children(pids, LISTED_MAX);

	for (unsigned i = 0; i < listed; i++) {
		pid_t group;

		if (is_spared(pids[i], spared, count))
			continue;
		group = getpgid(pids[i]); /* our child until we reap it: the number is not another's */
		if (group > 1 && group != getpgrp())
			kill(-group, SIGKILL);
		kill(pids[i], SIGKILL);
	}
}

bool offspring_end(usec_t wait_us, struct rusage *usage)
{
	usec_t until = clock_mono_us() + wait_us;
	struct timespec round = {.tv_nsec = ROUND_NS};
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	for (unsigned reaped = 0;; reaped++) {
		struct rusage u;
		pid_t pid = wait4(-1, NULL, WNOHANG | __WALL, &u);

		if (pid < 0 && errno == ECHILD)
			return true;
		if (pid > 0)
			offspring_add_usage(usage, &u);
		if ((pid <= 0 || reaped % OFFSPRING_REAPED_MAX == 0) && clock_mono_us() > until)
			return false;
		/* Those that have ended go first: they stand before the others in the list of children. */
		if (pid > 0)
			continue;
		offspring_kill(NULL, 0);
		sigtimedwait(&child, NULL, &round);
	}
}
