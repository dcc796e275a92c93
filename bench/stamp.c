/* The command whose start is measured: says when it began, in nanoseconds since 1970. */
#include <stdio.h>
#include <time.h>

int main(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	printf("%lld\n", (long long)now.tv_sec * 1000000000ll + now.tv_nsec);
	return 0;
}
