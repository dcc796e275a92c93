/* The simulated world: one virtual time, a heap of events ordered by (time, sequence), the clocks
 * of each host, one seeded generator, and a digest of all that happens. The same seed gives the
 * same digest.
 *
 * Events are data: run.c holds the one switch that says what each kind does. */
#pragma once

#include <setjmp.h>

#include "base/rng.h"
#include "base/types.h"

#define SIM_WORKERS_MAX 8
#define SIM_HOSTS_MAX (1 + SIM_WORKERS_MAX) /* 0 is the dispatcher's */
#define HOST_DISPATCHER 0

enum sim_kind {
	SIM_TO_DISPATCHER, /* a = connection; frame */
	SIM_TO_WORKER,	   /* a = connection; frame */
	SIM_CONNECT,	   /* host's worker tries to connect; a = incarnation */
	SIM_BREAK,	   /* a = connection: it is noticed that it is broken */
	SIM_TICK,	   /* the host's core wants a tick; a = incarnation, b = ticket */
	SIM_DISK,	   /* the commit in flight is synced; a = incarnation */
	SIM_HISTORY,	   /* history is past lsn a */
	SIM_PLANNER,	   /* a = incarnation, b = job; n = which answer */
	SIM_READ,	   /* a = incarnation, b = number of the slice */
	SIM_KEYS,	   /* a = incarnation, b = bucket of keys whose file stands */
	SIM_KEPT,	   /* the same: the core is told */
	SIM_SETTLE,	   /* a = incarnation, b = job and, above, which of its ends */
	SIM_START,	   /* the host's process starts */
	SIM_ATTEMPT,	   /* host's attempt ends; a = incarnation, b = attempt's number */
	SIM_SYNC,	   /* host's output sync ends; a = incarnation, b = ticket */
	SIM_CLIENT,	   /* a = number of the client's action */
	SIM_FAULT,	   /* the next fault */
	SIM_DOOM,	   /* the dispatcher dies while a commit is in flight; a = life */
	SIM_CALM,	   /* faults are over */
	SIM_SUPERVISOR,	   /* a = number of the worker's life: GONE is told */
	SIM_SCALER,
	SIM_KINDS,
};

/* Bytes under way; owned by the event that carries them. */
struct sim_frame {
	size_t size;
	uint8_t data[];
};

struct sim_event {
	usec_t at_us;
	uint64_t seq;
	enum sim_kind kind;
	uint32_t host;
	uint64_t a, b;
	struct sim_frame *frame; /* may be NULL */
};

struct host {
	usec_t mono_offset_us; /* its boot: mono = world time + this */
	usec_t wall_offset_us;
	usec_t wall_home_us;	/* what the offset is when the clock is right */
	usec_t paused_until_us; /* its process does nothing before; what arrives waits */
};

struct world {
	uint64_t seed;
	usec_t now_us;
	struct rng rng;
	struct host hosts[SIM_HOSTS_MAX];
	struct sim_event *heap;
	size_t heap_size, heap_capacity;
	uint64_t next_seq;
	uint64_t digest;
	uint64_t event_count;
	uint64_t harm_count; /* faults for which a worker may be lost, by no fault of its shards */
	bool trace;	     /* tell the story on stdout */
	jmp_buf out;	     /* where a failure goes */
	char failure[1200];
};

void world_init(struct world *w, uint64_t seed, bool trace);
void world_fini(struct world *w);

/* The frame, if any, becomes the event's. */
void world_push(struct world *w, usec_t at_us, enum sim_kind kind, uint32_t host, uint64_t a, uint64_t b,
		struct sim_frame *frame);
/* The next event, and the time with it; false when there is none. An event of a paused host is
 * put off until the host goes on. */
bool world_next(struct world *w, struct sim_event *ret);

usec_t world_mono(const struct world *w, uint32_t host);
usec_t world_wall(const struct world *w, uint32_t host);
/* What a clock shows that is right. */
usec_t world_true_wall(const struct world *w);

/* low..high, both included. */
usec_t world_between(struct world *w, usec_t low, usec_t high);
bool world_chance(struct world *w, uint32_t ppm);

struct sim_frame *sim_frame_of(struct bytes b);

void world_digest(struct world *w, const void *data, size_t size);
void world_digest_u64(struct world *w, uint64_t x);

/* The run is over: longjmp with words. */
_Noreturn void world_fail(struct world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
void world_say(struct world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* A line of the story; costs nothing when nobody listens. */
#define SAY(w, ...)                                                                                          \
	do {                                                                                                 \
		if (__builtin_expect((w)->trace, 0))                                                         \
			world_say((w), __VA_ARGS__);                                                         \
	} while (0)
