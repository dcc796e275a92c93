#include "dispatcher/descriptors.h"

#include <sys/resource.h>

#include "base/constants.h"

#define LINE_MAX_FDS (1 << 30)
/* So many descriptors are in use, at least, before anybody connects. */
#define OWN 40
#define BACKLOG_PART 8
/* HTTP has at most this part. */
#define HTTP_PART 3
#define HTTP_PLACES_MIN 16
#define HTTP_PLACES_MAX                                                                                      \
	(HTTP_LOOSE_MAX + HTTP_CALLS_MAX + HTTP_FIRST_MAX + HTTP_LONG_MAX + HTTP_STREAMS_MAX + HTTP_WAITS_MAX)

uint64_t descriptors_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return DESCRIPTORS_MIN;
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			(void)getrlimit(RLIMIT_NOFILE, &limit);
	}
	return limit.rlim_cur;
}

static uint64_t bounded(uint64_t n, uint64_t min, uint64_t max)
{
	return n < min ? min : n > max ? max : n;
}

int descriptors_cut(uint64_t limit, uint32_t http_listeners, struct descriptors *ret, struct error *reterr)
{
	uint64_t line, http;

	if (limit < DESCRIPTORS_MIN) {
		error_set(reterr, ERR_EXHAUSTED, "expected a limit of at least %d descriptors, found %llu",
			  DESCRIPTORS_MIN, (unsigned long long)limit);
		return error_help(reterr, "raise it: `ulimit -n`, or LimitNOFILE= of the service");
	}
	ret->limit = limit;
	ret->backlog = (int)bounded(limit / BACKLOG_PART, BACKLOG_MIN, BACKLOG_MAX);
	line = bounded(limit, 0, LINE_MAX_FDS) - (uint64_t)ret->backlog - DESCRIPTORS_SPARE;
	http = line > OWN ? (line - OWN) / HTTP_PART : 0;
	ret->http_places = (uint32_t)bounded(http / http_listeners, HTTP_PLACES_MIN, HTTP_PLACES_MAX);
	ret->line = (int)line;
	ret->wire_line = (int)(line - (uint64_t)ret->http_places * http_listeners);
	return 0;
}
