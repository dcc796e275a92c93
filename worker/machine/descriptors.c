#include "worker/machine/descriptors.h"

#include <sys/resource.h>

/* Counted in a worker (tests/e2e/test_worker.py compares): what it has without slots, and what a slot has at
 * most: its event, directory, reaper, output segment and control group; a runner's pipes, reaper and group;
 * an input and the connections of its object. */
#define OWN 64u
#define OF_A_SLOT 24u

struct descriptors descriptors_raise(void)
{
	struct rlimit l = {0};
	struct descriptors d;

	(void)getrlimit(RLIMIT_NOFILE, &l);
	d.before = d.limit = l.rlim_cur;
	l.rlim_cur = l.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &l) == 0)
		d.limit = l.rlim_max;
	return d;
}

uint64_t descriptors_slots(const struct descriptors *d)
{
	return d->limit <= OWN ? 0 : (d->limit - OWN) / OF_A_SLOT;
}
