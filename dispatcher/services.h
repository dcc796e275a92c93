/* What the parts around the engine are given: each takes what it needs, and none knows the server that put
 * them together. Set while the dispatcher starts, in the order of its fields; never changed after, but for
 * `stopping` and the counter. Thread: the loop's. */
#pragma once

#include "base/loop.h"
#include "base/params.h"
#include "base/statedir.h"
#include "dispatcher/descriptors.h"
#include "dispatcher/engine/port.h"
#include "jobs/event.h"

struct api;
struct blobs;
struct buckets;
struct dedup_files;
struct history;
struct journal;
struct looks;
struct peers;
struct planners;
struct producers;
struct pools;
struct readers;
struct retention;
struct rules;
struct thinning;

enum part_id {
#define PART(name, when) PART_##name,
#include "dispatcher/parts.def"
#undef PART
	PART_COUNT
};

struct services {
	const struct params *params;
	struct loop *loop;
	struct descriptors descriptors;
	usec_t started_wall_us;
	struct statedir state;
	char *plans_dir, *output_dir;
	uint8_t dedup_secret[DEDUP_SECRET_BYTES];
	struct journal *journal; /* for its figures; nobody else writes */
	struct history *history;
	struct readers *readers; /* for whatever may block */
	char *history_path;
	struct port *port;
	struct loop_task *turn; /* deferred: the turn has to end */
	struct pools *pools;
	struct blobs *blobs;
	struct planners *planners;
	struct rules *rules;
	struct producers *producers;
	struct peers *peers;
	struct looks *looks;
	struct buckets *buckets;
	struct retention *retention;
	struct thinning *thinning;
	struct dedup_files *dedup;
	struct api *api;
	void *own[PART_COUNT]; /* of a part that nobody else asks anything */
	bool stopping;
	uint64_t events_unmatched; /* that no rule matches: answered, counted, not kept */
};

static inline const struct dispatcher_core *services_core(const struct services *s)
{
	return port_view(s->port).core;
}
