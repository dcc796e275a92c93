#include "base/clock.h"

#include <time.h>

#include "base/check.h"

static usec_t read_clock(clockid_t clock)
{
	struct timespec ts;

	CHECK(clock_gettime(clock, &ts) == 0);
	return (usec_t)ts.tv_sec * USEC_PER_SEC + ts.tv_nsec / 1000;
}

usec_t clock_mono_us(void)
{
	return read_clock(CLOCK_BOOTTIME);
}

usec_t clock_wall_us(void)
{
	return read_clock(CLOCK_REALTIME);
}
