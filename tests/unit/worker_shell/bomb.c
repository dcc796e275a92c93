/* bomb CHAINS SECONDS FILE: starts so many chains, waits until they have forked FORKS_MAX / 2 times, writes
 * the monotonic clock (microseconds) to FILE and ends. A chain is a process in a session of its own that
 * forks and ends, as does its child: it has a number for a few microseconds only. After FORKS_MAX forks,
 * which a machine bears although nobody reaps what has ended, the processes sleep. They end after SECONDS, so
 * that a test that fails leaves nothing. */
#include <inttypes.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifndef FORKS_MAX
#define FORKS_MAX 5000
#endif

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static _Noreturn void run_chain(int *forks, int64_t until)
{
	const struct timespec end = {until / 1000000, until % 1000000 * 1000};

	while (now_us() < until) {
		if (__atomic_add_fetch(forks, 1, __ATOMIC_RELAXED) > FORKS_MAX)
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
		else if (fork() > 0)
			break;
		else
			setsid();
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	int *forks = mmap(NULL, sizeof *forks, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int64_t until;
	FILE *f;

	if (argc != 4 || forks == MAP_FAILED)
		return 2;
	until = now_us() + (int64_t)atoi(argv[2]) * 1000000;
	for (int i = atoi(argv[1]); i > 0; i--)
		if (fork() == 0)
			run_chain(forks, until);
	while (__atomic_load_n(forks, __ATOMIC_RELAXED) < FORKS_MAX / 2 && now_us() < until)
		sched_yield();
	f = fopen(argv[3], "w");
	if (f == NULL || fprintf(f, "%" PRId64 "\n", now_us()) < 0 || fclose(f) != 0)
		return 1;
	_exit(0);
}
