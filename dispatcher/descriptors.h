/* What becomes of the descriptors that the system lets us have: so many for HTTP, the rest for workers, and a
 * reserve above both, so that files are never refused because of connections. Pure but for descriptors_raise.
 */
#pragma once

#include "base/error.h"

struct descriptors {
	uint64_t limit;
	int backlog;	      /* of the endpoint for workers */
	int line;	      /* a descriptor from here on is for files, not for connections */
	int wire_line;	      /* one from here on is not for workers */
	uint32_t http_places; /* of each HTTP listener */
};

/* Raises the soft limit to the hard one; the limit there is now. */
uint64_t descriptors_raise_limit(void);
/* ERR_EXHAUSTED, in words: there are fewer than DESCRIPTORS_MIN. */
int descriptors_cut(uint64_t limit, uint32_t http_listeners, struct descriptors *ret,
		    struct error *reterr) MUST_CHECK;
