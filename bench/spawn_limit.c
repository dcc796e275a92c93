/* The limit of `exec`: two processes that do nothing but posix_spawn a program and wait for it.
 * Usage: spawn-limit PROGRAM SECONDS; prints programs a second, of both together. */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static long loop(const char *program, double until)
{
	char *argv[] = {(char *)(size_t)program, NULL};
	long count = 0;

	while (now() < until) {
		pid_t pid;

		if (posix_spawn(&pid, program, NULL, NULL, argv, environ) != 0)
			exit(1);
		waitpid(pid, NULL, 0);
		count++;
	}
	return count;
}

int main(int argc, char **argv)
{
	long *counts =
	    mmap(NULL, 2 * sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double seconds, start = now();

	if (argc != 3 || counts == MAP_FAILED)
		return 2;
	seconds = strtod(argv[2], NULL);
	for (int i = 0; i < 2; i++)
		if (fork() == 0) {
			counts[i] = loop(argv[1], start + seconds);
			_exit(0);
		}
	while (wait(NULL) > 0)
		;
	printf("%.0f\n", (double)(counts[0] + counts[1]) / (now() - start));
	return 0;
}
