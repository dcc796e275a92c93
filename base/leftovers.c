#include "base/leftovers.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/procfs.h"

#define END_WAIT_US USEC_PER_SEC
#define ROUNDS_MAX 8

/* Kills it and waits until it is gone, so that it is not met again. By a descriptor: its number may be
 * another's by then. false: it was gone, or is not ours. */
static bool end_process(pid_t pid, const char *line)
{
	struct pollfd ended = {pidfd_open(pid, 0), POLLIN, 0};
	bool killed;

	if (ended.fd < 0)
		return false;
	killed = procfs_has_environment(pid, line) && pidfd_send_signal(ended.fd, SIGKILL, NULL, 0) == 0;
	if (killed && poll(&ended, 1, (int)(END_WAIT_US / USEC_PER_MSEC)) == 0)
		log_warn("a worker's leftover does not end", log_i64("pid", pid));
	close(ended.fd);
	return killed;
}

uint32_t leftovers_end(const char *worker_id)
{
	uint32_t all = 0, found = 1;
	char line[320];

	snprintf(line, sizeof line, "SHARDMILL_WORKER=%s", worker_id);
	/* Again until none is found: a process may have made another while we looked. */
	for (int round = 0; found > 0 && round < ROUNDS_MAX; round++) {
		DIR *proc = opendir("/proc");

		found = 0;
		for (struct dirent *d; proc != NULL && (d = readdir(proc)) != NULL;) {
			pid_t pid = (pid_t)strtol(d->d_name, NULL, 10);

			if (pid > 1 && pid != getpid() && procfs_has_environment(pid, line))
				found += end_process(pid, line);
		}
		if (proc != NULL)
			closedir(proc);
		all += found;
	}
	return all;
}
