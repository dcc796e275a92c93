/* A part around the engine: what brings something in, or tells of something. The server opens them in the
 * order of parts.def and closes them in the opposite one.
 *
 * When the journal's disk is full, nothing new is taken on, and what was taken on goes to its end: only that
 * can make room again. So a part is paused if it would go on and fetch more from outside, and of each part:
 * - buckets pauses: no file is offered and scans stand still; what inotify tells meanwhile is found by a
 * scan.
 * - api is not paused: status, show and cancel must work. Each request that brings something in asks the port
 *   for room, and is refused in words with 503, or 429 when the queue is full.
 * - ended brings ends of jobs, which the core remembers until they are settled: it asks for room before each,
 *   and asks again later.
 * - planners plan only jobs that were taken on. Were they paused, a disk that is full of such jobs would
 * never be free again. A plan that cannot be written is tried again.
 * - peers brings what workers say of leases that they hold; looks brings nothing that is kept.
 * A part that fetches by itself (a queue, a schedule, a poller) pauses, as buckets does. */
#pragma once

#include "dispatcher/services.h"

struct part {
	const char *name;
	int (*open)(struct services *s, struct error *reterr);
	/* Also after an open that failed, or none. */
	void (*close)(struct services *s);
	/* Nothing more is brought in until it is resumed: the journal has no room, or the dispatcher stops.
	 * Also when it is not open, and several times. NULL: it fetches nothing. */
	void (*pause)(struct services *s);
	void (*resume)(struct services *s);
};

/* part_NAME, defined by each of them. */
#define PART(name, when) extern const struct part part_##name;
#include "dispatcher/parts.def"
#undef PART
