/* How many shards of each shape wait in a queue. */
#include "base/array.h"
#include "base/check.h"
#include "dispatcher/core/volatile/limits_impl.h"

static struct queue_demand *find(struct queue *q, const struct shape *shape)
{
	for (uint32_t i = 0; i < q->demand_count; i++)
		if (q->demands[i].shape == shape)
			return &q->demands[i];
	return NULL;
}

void queue_demand_add(struct queue *q, const struct shape *shape, uint64_t shards)
{
	struct queue_demand *d = find(q, shape);

	if (d == NULL) {
		q->demands = check_realloc(q->demands, q->demand_count + 1ul, sizeof *d);
		d = &q->demands[q->demand_count++];
		*d = (struct queue_demand){.shape = shape};
	}
	d->jobs++;
	d->shards += shards;
}

void queue_demand_remove(struct queue *q, const struct shape *shape, uint64_t shards)
{
	struct queue_demand *d = find(q, shape);

	CHECK(d != NULL && d->jobs > 0 && d->shards >= shards);
	d->shards -= shards;
	if (--d->jobs == 0)
		*d = q->demands[--q->demand_count];
}

/* More than may run: of the queue, or of all owners that have jobs in line. */
static uint64_t excess(const struct queue *q, const struct queue_demand *d)
{
	uint64_t room = q->closed ? 0 : limits_queue_room(q, d->shape), of_owners = 0;

	for (const struct queue_owner *o = q->owners; o != NULL && of_owners < room; o = o->hh.next) {
		uint64_t own = o->entries != NULL ? limits_owner_room(o, d->shape) : 0;

		of_owners = own < room - of_owners ? of_owners + own : room;
	}
	if (q->has_owners && of_owners < room)
		room = of_owners;
	return d->shards > room ? d->shards - room : 0;
}

uint64_t queue_demand_excess(const struct dispatcher_core *core, const struct shape *shape)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < core->queue_count; i++) {
		struct queue *q = core->queues[i];
		const struct queue_demand *d = q != NULL && q->row != NULL ? find(q, shape) : NULL;

		n += d != NULL ? excess(q, d) : 0;
	}
	return n;
}

void queue_demand_check(const struct dispatcher_core *core, const struct queue *q)
{
	for (uint32_t i = 0; i < q->demand_count; i++) {
		const struct queue_demand *d = &q->demands[i];

		CHECK(core->shapes[d->shape->index] == d->shape && d->jobs > 0);
		CHECK(d->jobs <= d->shape->plain_jobs + d->shape->demand_jobs);
		CHECK(d->shards <= d->shape->plain_shards + d->shape->demand_shards);
	}
}
