/* Slices of leases, which other threads read: they come later, now and then short or not at all. */
#include "tests/sim/sim.h"

#define SHORT_SLICES_PPM 20000
#define UNREAD_PPM 10000
#define READ_US_MAX (5 * USEC_PER_MSEC)

void sim_slice_ask(void *arg, uint64_t read, const struct slice_request *rq)
{
	struct sim_dispatcher *d = arg;
	struct world *w = &d->sim->world;
	struct sim_read *r = d->reads;

	while (r < d->reads + SIM_READS_MAX && r->number != 0)
		r++;
	if (r == d->reads + SIM_READS_MAX)
		world_fail(w, "more slices are read at one time than may be");
	*r = (struct sim_read){read, rq->shards.count};
	world_push(w, w->now_us + world_between(w, 1, READ_US_MAX), SIM_READ, HOST_DISPATCHER, d->life, read,
		   NULL);
}

/* Now and then there is trouble, or fewer shards fit than were asked for. */
void sim_dispatcher_read(struct sim_dispatcher *d, uint64_t number)
{
	struct world *w = &d->sim->world;
	struct sim_read *r = d->reads;
	struct error why = {0};
	uint32_t count;

	while (r->number != number)
		r++;
	r->number = 0;
	count = r->shards;
	if (count > 1 && world_chance(w, SHORT_SLICES_PPM))
		count = (uint32_t)rng_below(&w->rng, count - 1) + 1;
	if (!d->sim->calm && world_chance(w, UNREAD_PPM)) {
		SAY(w, "d: a slice cannot be read");
		error_set(&why, ERR_IO, "the disk has trouble");
	}
	engine_read(d->engine, number, BYTES_LIT("slice"), count, why.code != ERR_OK ? &why : NULL);
	sim_dispatcher_turn(d);
}
