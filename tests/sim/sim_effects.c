#include "tests/sim/sim.h"

#include "base/array.h"

#define SHORT_SLICES_PPM 20000
#define UNREAD_PPM 10000
#define READ_US_MAX (5 * USEC_PER_MSEC)

static usec_t op_mono_us(void *arg)
{
	return world_mono(&((struct sim_dispatcher *)arg)->sim->world, HOST_DISPATCHER);
}

static usec_t op_wall_us(void *arg)
{
	return world_wall(&((struct sim_dispatcher *)arg)->sim->world, HOST_DISPATCHER);
}

static uint64_t op_submit(void *arg, uint32_t epoch, struct bytes records, uint32_t count, bool alone)
{
	struct sim_dispatcher *d = arg;

	(void)alone;
	buf_append_bytes(&d->records, records);
	ARRAY_GROW(d->batches, d->batch_capacity, d->batch_count);
	d->batches[d->batch_count++] = (struct sim_batch){.size_bytes = records.size, .record_count = count};
	d->epoch = epoch;
	d->submitted_lsn += count;
	sim_dispatcher_commit(d);
	return d->submitted_lsn;
}

static int op_has_room(void *arg, struct error *reterr)
{
	(void)arg, (void)reterr;
	return 0;
}

static void op_progress(void *arg, uint64_t *ret_durable_lsn, uint64_t *ret_history_lsn)
{
	const struct sim_dispatcher *d = arg;

	*ret_durable_lsn = d->sim->disk.durable_lsn;
	*ret_history_lsn = d->history_lsn;
}

static void op_journal(void *arg, struct engine_journal *ret)
{
	const struct sim *s = ((struct sim_dispatcher *)arg)->sim;

	*ret = (struct engine_journal){0};
	if (s->scenario.journal_tiny)
		*ret = (struct engine_journal){.segments = s->disk.segment_count,
					       .bytes = UINT64_MAX,
					       .second_lsn = disk_oldest_end_lsn(&s->disk)};
}

static int op_trim(void *arg, uint64_t lsn, struct error *reterr)
{
	struct sim *s = ((struct sim_dispatcher *)arg)->sim;

	(void)reterr;
	disk_trim(&s->disk, lsn);
	coverage_hit(s->coverage, ROW_TRIMMED, s->world.now_us);
	return 0;
}

/* ---- frames, and what is seen in them ---- */

static void see_leases(struct sim *s, const struct leases *l)
{
	for (uint32_t i = 0; i < l->leases.count; i++) {
		const struct lease *lease = &l->leases.items[i];
		const struct oracle_job *j = oracle_job(&s->oracle, lease->job);

		oracle_granted(&s->oracle, lease);
		coverage_hit(s->coverage, ROW_LEASED, s->world.now_us);
		if (j != NULL && lease->phase > j->shards_phase)
			coverage_hit(s->coverage, ROW_GATHER_LEASED, s->world.now_us);
	}
}

static void see_registered(struct sim *s, const struct registered *r)
{
	static const enum cover_row rows[] = {
	    [TOKEN_KEEP] = ROW_ADOPTED, [TOKEN_FINISH] = ROW_FINISH, [TOKEN_KILL] = ROW_KILL_VERDICT};

	for (uint32_t i = 0; i < r->tokens.count; i++)
		coverage_hit(s->coverage, rows[r->tokens.items[i].verdict], s->world.now_us);
}

static void op_send(void *arg, uint64_t peer, enum message_type type, struct bytes frame)
{
	static const enum cover_row rows[] = {
	    [MESSAGE_REGISTERED] = ROW_REGISTERED,
	    [MESSAGE_REVOKE] = ROW_REVOKED,
	    [MESSAGE_KILL] = ROW_KILL,
	    [MESSAGE_WHO] = ROW_WHO,
	    [MESSAGE_DRAIN] = ROW_DRAIN,
	};
	struct sim_dispatcher *d = arg;
	struct sim *s = d->sim;
	struct bytes in = frame;
	const struct ack *ack;
	uint32_t as;
	void *body;

	SAY(&s->world, "d: sends %s to peer %llu", codec_union_find(&message_union, type)->name,
	    (unsigned long long)peer);
	arena_reset(&d->arena);
	if (codec_union_decode(&message_union, &in, &as, &body, &d->arena, NULL) < 0)
		world_fail(&s->world, "a frame of the dispatcher cannot be decoded");
	if (type < ARRAY_LENGTH(rows) && rows[type] != 0)
		coverage_hit(s->coverage, rows[type], s->world.now_us);
	ack = body;
	if (type == MESSAGE_LEASES)
		see_leases(s, body);
	else if (type == MESSAGE_REGISTERED)
		see_registered(s, body);
	else if (type == MESSAGE_ACK)
		oracle_acknowledged(&s->oracle, ack->session, ack->seq);
	net_send_down(&s->net, peer, frame);
}

static void op_plan(void *arg, const struct dispatcher_plan *plan)
{
	sim_planner_begin(arg, plan);
}

static void op_plan_stop(void *arg, uint64_t job)
{
	sim_planner_stop(arg, job);
}

static void op_tell(void *arg, const struct dispatcher_tell *tell)
{
	SAY(&((struct sim_dispatcher *)arg)->sim->world, "d: says: %s", tell->what);
}

static void op_read(void *arg, uint64_t read, const struct slice_request *rq)
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

static void op_wake(void *arg)
{
	(void)arg; /* each event of the world is a turn */
}

/* ---- steps ---- */

/* A step does what is due besides what it is asked for: only when it did not, nothing may change. */
static bool only_carried(struct sim_dispatcher *d, struct bytes rest)
{
	uint32_t type;
	void *body;

	arena_reset(&d->arena);
	while (rest.size > 0) {
		if (codec_union_decode(&record_union, &rest, &type, &body, &d->arena, NULL) < 0)
			world_fail(&d->sim->world, "a record of the step cannot be decoded");
		if (type == RECORD_GRANTED)
			return false;
	}
	return true;
}

static void op_observe(void *arg, const struct dispatcher_input *in, const struct dispatcher_effects *out)
{
	struct sim_dispatcher *d = arg;
	struct sim *s = d->sim;

	if (out == NULL) {
		if (in->type == INPUT_CARRY)
			d->carried_from = dispatcher_core_digest(d->core);
		return;
	}
	d->step_count++;
	dispatcher_core_check(d->core, CHECK_FULL);
	world_digest_u64(&s->world, out->last_lsn);
	if (in->type == INPUT_CARRY && dispatcher_core_digest(d->core) != d->carried_from &&
	    only_carried(d, buf_bytes(&out->records)))
		world_fail(&s->world,
			   "carrying forward what is known changed the dispatcher's durable state");
	for (size_t i = 0; i < out->count; i++)
		if (out->items[i].kind == DISPATCHER_PARAMETERS)
			coverage_hit(s->coverage, ROW_NEED, s->world.now_us);
}

const struct engine_ops sim_engine_ops = {
    .mono_us = op_mono_us,
    .wall_us = op_wall_us,
    .submit = op_submit,
    .has_room = op_has_room,
    .progress = op_progress,
    .journal = op_journal,
    .trim = op_trim,
    .send = op_send,
    .plan = op_plan,
    .plan_stop = op_plan_stop,
    .tell = op_tell,
    .read = op_read,
    .wake = op_wake,
    .observe = op_observe,
};
