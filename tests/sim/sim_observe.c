/* What the oracle and the coverage are shown of the dispatcher: durable records, frames that it sends, steps.
 */
#include "jobs/frame.h"
#include "tests/sim/sim.h"

/* ---- durable records ---- */

void sim_observe_durable(void *context, const struct frame *f)
{
	struct sim_dispatcher *d = context;
	struct oracle *o = &d->sim->oracle;
	struct bytes rest = f->payload;
	uint64_t lsn = f->lsn;

	while (rest.size > 0) {
		uint32_t type;
		void *body;

		arena_reset(&d->arena);
		if (codec_union_decode(&record_union, &rest, &type, &body, &d->arena, NULL) < 0)
			world_fail(&d->sim->world, "record %llu cannot be decoded", (unsigned long long)lsn);
		if (lsn > o->seen_lsn) {
			o->seen_lsn = lsn;
			oracle_record(o, type, body);
		}
		lsn++;
	}
	oracle_groups_settled(o);
	if (lsn != f->lsn + f->record_count)
		world_fail(&d->sim->world, "a commit of %u records holds another number", f->record_count);
}

/* ---- frames ---- */

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

void sim_observe_frame(struct sim_dispatcher *d, uint64_t peer, enum message_type type, struct bytes frame)
{
	static const enum cover_row rows[] = {
	    [MESSAGE_REGISTERED] = ROW_REGISTERED,
	    [MESSAGE_REVOKE] = ROW_REVOKED,
	    [MESSAGE_KILL] = ROW_KILL,
	    [MESSAGE_WHO] = ROW_WHO,
	    [MESSAGE_DRAIN] = ROW_DRAIN,
	};
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

void sim_observe_step(void *arg, const struct dispatcher_input *in, const struct dispatcher_effects *out)
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
