/* bomb CHAINS SECONDS FILE: starts so many chains, waits for 200 ms, writes the monotonic clock
 * (microseconds) to FILE and ends. A chain is a process in a session of its own that forks and ends, as does
 * its child: it has a number for a few microseconds only. After FORKS_MAX forks, which a machine bears
 * although nobody reaps what has ended, the processes sleep. They end after SECONDS, so that a test that
 * fails leaves nothing. */
#include <inttypes.h>
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
	while (now_us() < until) {
		if (__atomic_add_fetch(forks, 1, __ATOMIC_RELAXED) > FORKS_MAX)
			usleep(1000);
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
	FILE *f;

	if (argc != 4 || forks == MAP_FAILED)
		return 2;
	for (int i = atoi(argv[1]); i > 0; i--)
		if (fork() == 0)
			run_chain(forks, now_us() + (int64_t)atoi(argv[2]) * 1000000);
	usleep(200 * 1000);
	f = fopen(argv[3], "w");
	if (f == NULL || fprintf(f, "%" PRId64 "\n", now_us()) < 0 || fclose(f) != 0)
		return 1;
	_exit(0);
}
