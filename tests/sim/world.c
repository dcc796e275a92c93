#include "tests/sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/check.h"

#define WALL_START_US ((usec_t)1750000000 * USEC_PER_SEC)

void world_init(struct world *w, uint64_t seed, bool trace)
{
	memset(w, 0, sizeof *w);
	w->seed = seed;
	w->trace = trace;
	w->digest = seed;
	rng_seed(&w->rng, seed);
	for (size_t i = 0; i < SIM_HOSTS_MAX; i++) {
		w->hosts[i].mono_offset_us = world_between(w, 1, 1000 * USEC_PER_SEC);
		w->hosts[i].wall_home_us = world_between(w, -USEC_PER_SEC, USEC_PER_SEC);
		w->hosts[i].wall_offset_us = w->hosts[i].wall_home_us;
	}
}

void world_fini(struct world *w)
{
	for (size_t i = 0; i < w->heap_size; i++)
		free(w->heap[i].frame);
	free(w->heap);
	w->heap = NULL;
	w->heap_size = 0;
}

static bool before(const struct sim_event *a, const struct sim_event *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->seq < b->seq;
}

static void sift_up(struct world *w, struct sim_event e)
{
	size_t at = w->heap_size++;

	while (at > 0 && before(&e, &w->heap[(at - 1) / 2])) {
		w->heap[at] = w->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	w->heap[at] = e;
}

static struct sim_event pop(struct world *w)
{
	struct sim_event top = w->heap[0], last = w->heap[--w->heap_size];
	size_t at = 0, child;

	while ((child = 2 * at + 1) < w->heap_size) {
		if (child + 1 < w->heap_size && before(&w->heap[child + 1], &w->heap[child]))
			child++;
		if (!before(&w->heap[child], &last))
			break;
		w->heap[at] = w->heap[child];
		at = child;
	}
	w->heap[at] = last;
	return top;
}

/* seq stays: what was sent first arrives first, also at one and the same time. */
static void push(struct world *w, struct sim_event e)
{
	ARRAY_GROW(w->heap, w->heap_capacity, w->heap_size);
	sift_up(w, e);
}

void world_push(struct world *w, usec_t at_us, enum sim_kind kind, uint32_t host, uint64_t a, uint64_t b,
		struct sim_frame *frame)
{
	push(w, (struct sim_event){
		    .at_us = at_us < w->now_us ? w->now_us : at_us,
		    .seq = w->next_seq++,
		    .kind = kind,
		    .host = host,
		    .a = a,
		    .b = b,
		    .frame = frame,
		});
}

/* What happens in a process waits while it is paused; what happens to it does not. */
static bool waits_for_process(enum sim_kind kind)
{
	switch (kind) {
	case SIM_TO_DISPATCHER:
	case SIM_TO_WORKER:
	case SIM_TICK:
	case SIM_PLANNER:
	case SIM_READ:
	case SIM_KEYS:
	case SIM_KEPT:
	case SIM_SETTLE:
	case SIM_HISTORY:
	case SIM_SYNC:
	case SIM_CLIENT:
		return true;
	default:
		return false;
	}
}

bool world_next(struct world *w, struct sim_event *ret)
{
	while (w->heap_size > 0) {
		struct sim_event e = pop(w);
		usec_t until = w->hosts[e.host].paused_until_us;

		w->now_us = e.at_us;
		if (until > w->now_us && waits_for_process(e.kind)) {
			e.at_us = until;
			push(w, e);
			continue;
		}
		w->event_count++;
		world_digest_u64(w, (uint64_t)e.at_us);
		world_digest_u64(w, ((uint64_t)e.kind << 32) | e.host);
		world_digest_u64(w, e.a ^ (e.b << 20));
		if (e.frame)
			world_digest(w, e.frame->data, e.frame->size);
		*ret = e;
		return true;
	}
	return false;
}

usec_t world_mono(const struct world *w, uint32_t host)
{
	return w->now_us + w->hosts[host].mono_offset_us;
}

usec_t world_wall(const struct world *w, uint32_t host)
{
	return WALL_START_US + w->now_us + w->hosts[host].wall_offset_us;
}

usec_t world_true_wall(const struct world *w)
{
	return WALL_START_US + w->now_us;
}

usec_t world_between(struct world *w, usec_t low, usec_t high)
{
	return low >= high ? low : low + (usec_t)rng_below(&w->rng, (uint64_t)(high - low) + 1);
}

bool world_chance(struct world *w, uint32_t ppm)
{
	return ppm > 0 && rng_chance(&w->rng, ppm);
}

struct sim_frame *sim_frame_of(struct bytes b)
{
	struct sim_frame *f = check_calloc(1, sizeof *f + b.size);

	f->size = b.size;
	if (b.size > 0)
		memcpy(f->data, b.data, b.size);
	return f;
}

void world_digest_u64(struct world *w, uint64_t x)
{
	w->digest = (w->digest ^ x) * 0x9e3779b97f4a7c15u;
	w->digest ^= w->digest >> 32;
}

void world_digest(struct world *w, const void *data, size_t size)
{
	const uint8_t *at = data;
	uint64_t x;

	for (; size >= sizeof x; size -= sizeof x, at += sizeof x) {
		memcpy(&x, at, sizeof x);
		world_digest_u64(w, x);
	}
	for (x = size; size > 0; size--)
		x = x << 8 | *at++;
	world_digest_u64(w, x);
}

void world_fail(struct world *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->failure, sizeof w->failure, fmt, ap);
	va_end(ap);
	SAY(w, "FAILED: %s", w->failure);
	longjmp(w->out, 1);
}

void world_say(struct world *w, const char *fmt, ...)
{
	va_list ap;

	printf("%12.6f  ", (double)w->now_us / 1e6);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}
