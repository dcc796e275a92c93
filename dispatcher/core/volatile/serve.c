/* Whose turn it is, and what that costs. */
#include "base/constants.h"
#include "base/plant.h"
#include "dispatcher/core/volatile/turns.h"

#define OVERTAKE_TIMES 4     /* as long as what is held ahead lasts, while another queue has its turns too */
#define USE_LEAST_US 1	     /* so that shards of no length have their turn, and no more */
#define CPU_MILLI_LEAST 1000 /* what a slot counts for that asks for less, or for none */

/* ---- whose turn ---- */

/* The first of the lane: of the highest level with an open entry; NULL: there is none. */
static struct turn_entry *first_of(const struct turn_lane *lane)
{
	for (uint32_t i = lane->count; i-- > 0;) {
		uint32_t at = PLANTED(lower_priority_first) ? lane->count - 1 - i : i;

		if (lane->levels[at]->keys.count > 0) /* a place is its entry's first member */
			return (struct turn_entry *)share_line_first(&lane->levels[at]->keys);
	}
	return NULL;
}

static struct turn_entry *better(struct turn_entry *a, struct turn_entry *b)
{
	if (a == NULL || b == NULL)
		return a == NULL ? b : a;
	if (a->level->priority != b->level->priority)
		return (b->level->priority > a->level->priority) != PLANTED(lower_priority_first) ? b : a;
	if (a->key != b->key)
		return share_place_is_before(&b->place, &a->place) ? b : a;
	return b->head < a->head ? b : a;
}

static struct turn_entry *best_of(const struct queue *q, turns_takes_fn *takes, const void *ctx,
				  bool open_only)
{
	struct turn_entry *best = NULL;

	for (uint32_t i = 0; i < q->lane_count; i++)
		if ((!open_only || q->lanes[i]->place.line != NULL) && takes(ctx, q->lanes[i]->shape))
			best = better(best, first_of(q->lanes[i]));
	return best;
}

struct turn_entry *turns_next_of(const struct queue *q, turns_takes_fn *takes, const void *ctx)
{
	return best_of(q, takes, ctx, true);
}

struct turn_entry *turns_best_of(const struct queue *q, turns_takes_fn *takes, const void *ctx)
{
	return best_of(q, takes, ctx, false);
}

struct turn_entry *turns_next(const struct dispatcher_core *core, turns_takes_fn *takes, const void *ctx)
{
	const struct queue *queue = NULL;

	for (uint32_t i = 0; i < core->shape_count; i++) {
		const struct turn_lane *lane;

		if (core->shapes[i] == NULL || core->shapes[i]->queues.count == 0 ||
		    !takes(ctx, core->shapes[i]))
			continue;
		lane = (const struct turn_lane *)share_line_first(&core->shapes[i]->queues);
		if (queue == NULL || share_place_is_before(&lane->queue->waiting, &queue->waiting))
			queue = lane->queue;
	}
	return queue != NULL ? turns_next_of(queue, takes, ctx) : NULL;
}

void turns_overtake(struct dispatcher_core *core, struct queue *q)
{
	q->overtake_until_us = core->mono_us + OVERTAKE_TIMES * core->config.lease_ahead_us;
	if (q->overtake_until_us > core->turns.overtake_until_us)
		core->turns.overtake_until_us = q->overtake_until_us;
}

bool turns_contended(const struct dispatcher_core *core, const struct turn_entry *e)
{
	return core->turns.queues.count > 1 || e->key->queue->keys.count > 1;
}

usec_t turns_quantum_us(const struct dispatcher_core *core)
{
	usec_t by_cores = (usec_t)(core->offered_cpu_milli / 1000) * FAIR_QUANTUM_PER_CORE_US;

	if (core->config.fair_quantum_us > 0)
		return core->config.fair_quantum_us;
	return by_cores > FAIR_QUANTUM_LEAST_US ? by_cores : FAIR_QUANTUM_LEAST_US;
}

/* ---- what it costs ---- */

/* Of a slot for so long: as many cores as it takes. */
static double use_of(const struct dispatcher_core *core, const struct shape *shape, double us)
{
	uint64_t milli = shape->need.v[0];

	return us * core->turns.clock.factor * (double)(milli > CPU_MILLI_LEAST ? milli : CPU_MILLI_LEAST) /
	       1000;
}

/* expected: what was charged for it when it was granted. */
static void charge(struct fair_key *key, double expected, double used)
{
	struct share *shares[] = {&key->share, &key->queue->share};

	for (size_t i = 0; i < ARRAY_LENGTH(shares) && !PLANTED(service_not_charged); i++)
		share_charge_late(shares[i], expected / shares[i]->weight, used / shares[i]->weight);
}

static void charge_ahead(struct fair_key *key, double used)
{
	struct share *shares[] = {&key->share, &key->queue->share};

	for (size_t i = 0; i < ARRAY_LENGTH(shares) && !PLANTED(service_not_charged); i++)
		share_charge_ahead(shares[i], used / shares[i]->weight);
}

/* Of leases of one key that are out at a time the later one has no earlier turn. */
struct rank turns_rank(const struct dispatcher_core *core, const struct turn_entry *e)
{
	const struct fair_key *key = e->key;
	int64_t turn = share_turn(&core->turns.clock, &key->share);

	return (struct rank){.queue = key->queue->index + 1,
			     .queue_turn = share_turn(&core->turns.clock, &key->queue->share),
			     .priority = e->level->priority,
			     .key_turn = key->leases > 0 && key->turn > turn ? key->turn : turn};
}

void turns_charge(struct dispatcher_core *core, const struct turn_entry *e, double us,
		  struct turn_charge *ret, struct rank *rank)
{
	struct fair_key *key = e->key;

	*rank = turns_rank(core, e);
	key->turn = rank->key_turn;
	*ret = (struct turn_charge){.key = key, .used = use_of(core, e->level->lane->shape, us)};
	key->leases++;
	charge_ahead(key, ret->used);
}

void turns_correct(struct dispatcher_core *core, struct turn_charge *c, const struct shape *shape,
		   uint32_t ended, uint32_t held, double us)
{
	double used = c->used * ended / held;

	if (c->key == NULL)
		return;
	c->used -= used;
	charge(c->key, used, use_of(core, shape, us > USE_LEAST_US ? us : USE_LEAST_US));
}

void turns_refund(struct turn_charge *c, uint32_t returned, uint32_t held)
{
	double used = c->used * returned / held;

	if (c->key == NULL)
		return;
	c->used -= used;
	charge(c->key, used, 0);
}

void turns_close(struct turn_charge *c)
{
	if (c->key == NULL)
		return;
	turns_refund(c, 1, 1);
	c->key->leases--;
	c->key = NULL;
}
