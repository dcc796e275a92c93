/* What the dispatcher's core wants done: now, or when an lsn is durable. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

static struct sim_peer *peer_of(struct sim_dispatcher *d, uint64_t peer)
{
	struct sim_peer *p;

	while (d->peer_count < peer) {
		if (d->peer_count % 16 == 0)
			d->peers = check_realloc(d->peers, d->peer_count + 16, sizeof *d->peers);
		d->peers[d->peer_count++] = (struct sim_peer){0};
	}
	p = &d->peers[peer - 1];
	p->life = d->sim->net.conns[peer - 1].worker_life;
	return p;
}

static struct sim_peer *peer_in_session(struct sim_dispatcher *d, uint64_t peer, uint64_t session)
{
	struct sim_peer *p = peer_of(d, peer);

	if (p->session != session) {
		p->session = session;
		p->job_count = 0;
		p->definitions = 0;
	}
	return p;
}

static struct sim_frame *encode(uint32_t type, const void *body)
{
	struct buf b = {0};
	struct sim_frame *f;

	codec_union_encode(&message_union, type, body, &b);
	f = sim_frame_of(buf_bytes(&b));
	buf_fini(&b);
	return f;
}

static void send_now(struct sim_dispatcher *d, uint64_t peer, uint32_t type, const void *body)
{
	struct sim_frame *f = encode(type, body);

	SAY(&d->sim->world, "d: sends %s to peer %llu", codec_union_find(&message_union, type)->name,
	    (unsigned long long)peer);
	net_send_down(&d->sim->net, peer, BYTES(f->data, f->size));
	free(f);
}

static void wait_for(struct sim_dispatcher *d, const struct sim_waiting *w)
{
	if (d->waiting_count == d->waiting_capacity) {
		d->waiting_capacity = d->waiting_capacity ? 2 * d->waiting_capacity : 64;
		d->waiting = check_realloc(d->waiting, d->waiting_capacity, sizeof *d->waiting);
	}
	d->waiting[d->waiting_count++] = *w;
}

static void leases_leave(struct sim_dispatcher *d, const struct leases *l)
{
	for (uint32_t i = 0; i < l->leases.count; i++)
		oracle_granted(&d->sim->oracle, &l->leases.items[i]);
}

static void acknowledge_leaves(struct sim_dispatcher *d, const struct ack *ack)
{
	oracle_acknowledged(&d->sim->oracle, ack->session, ack->seq);
}

static void late_leases_leave(struct sim_dispatcher *d, const struct sim_frame *f)
{
	struct bytes frame = BYTES(f->data, f->size);
	uint32_t type;
	void *body;

	arena_reset(&d->arena);
	if (codec_union_decode(&message_union, &frame, &type, &body, &d->arena, NULL) < 0)
		world_fail(&d->sim->world, "LEASES cannot be decoded");
	leases_leave(d, body);
}

/* ---- parameters ---- */

static void add_definition(struct sim_dispatcher *d, struct parameters *p, struct bytes sha256)
{
	const struct definition_body *def = dispatcher_view_definition(d->core, sha256);
	struct run_definition *r;

	if (def == NULL)
		return;
	r = &p->definitions.items[p->definitions.count++];
	*r = (struct run_definition){
	    .sha256 = def->sha256, .name = def->name, .value_names = def->value_names};
	r->phases.count = def->phases.count;
	r->phases.items = arena_alloc(&d->arena, def->phases.count * sizeof *r->phases.items);
	for (uint32_t i = 0; i < def->phases.count; i++)
		r->phases.items[i] =
		    (struct phase_run){.name = def->phases.items[i].name, .run = def->phases.items[i].run};
}

static void add_job(struct sim_dispatcher *d, struct parameters *p, struct job_ref ref)
{
	if (dispatcher_view_parameters(d->core, ref.job, ref.phase, &d->arena, &p->jobs.items[p->jobs.count]))
		p->jobs.count++;
}

static void parameters_begin(struct sim_dispatcher *d, struct parameters *p, uint64_t session,
			     size_t definitions, size_t jobs)
{
	arena_reset(&d->arena);
	*p = (struct parameters){.session = session};
	p->definitions.items = arena_alloc(&d->arena, definitions * sizeof *p->definitions.items);
	p->jobs.items = arena_alloc(&d->arena, jobs * sizeof *p->jobs.items);
}

static bool peer_has_job(const struct sim_peer *p, struct job_ref ref)
{
	for (size_t i = 0; i < p->job_count; i++)
		if (p->jobs[i].job == ref.job && p->jobs[i].phase == ref.phase)
			return true;
	return false;
}

/* What these leases name and the peer was not sent in this session; it goes when they go. */
static void send_parameters(struct sim_dispatcher *d, uint64_t peer, const struct leases *l,
			    uint64_t after_lsn)
{
	struct sim_peer *p = peer_in_session(d, peer, l->session);
	struct parameters out;

	parameters_begin(d, &out, l->session, l->leases.count, l->leases.count);
	for (uint32_t i = 0; i < l->leases.count; i++) {
		const struct lease *lease = &l->leases.items[i];
		struct job_ref ref = {.job = lease->job, .phase = lease->phase};
		uint64_t bit = 1ull << lease->definition.data[0];

		if (!(p->definitions & bit))
			add_definition(d, &out, lease->definition);
		p->definitions |= bit;
		if (peer_has_job(p, ref))
			continue;
		add_job(d, &out, ref);
		if (p->job_count % 8 == 0)
			p->jobs = check_realloc(p->jobs, p->job_count + 8, sizeof *p->jobs);
		p->jobs[p->job_count++] = ref;
	}
	if (out.definitions.count + out.jobs.count == 0)
		return;
	if (after_lsn == 0)
		send_now(d, peer, MESSAGE_PARAMETERS, &out);
	else
		wait_for(d, &(struct sim_waiting){.after_lsn = after_lsn,
						  .kind = DISPATCHER_SEND,
						  .peer = peer,
						  .frame = encode(MESSAGE_PARAMETERS, &out)});
}

static void answer_need(struct sim_dispatcher *d, const struct dispatcher_parameters *e)
{
	struct parameters out;

	coverage_hit(d->sim->coverage, ROW_NEED, d->sim->world.now_us);
	parameters_begin(d, &out, e->session, e->need->definitions.count, e->need->jobs.count);
	for (uint32_t i = 0; i < e->need->definitions.count; i++)
		add_definition(d, &out, e->need->definitions.items[i].text);
	for (uint32_t i = 0; i < e->need->jobs.count; i++)
		add_job(d, &out, e->need->jobs.items[i]);
	send_now(d, e->peer, MESSAGE_PARAMETERS, &out);
}

/* ---- what is seen on the way, for the table ---- */

static void cover_leases(struct sim *s, const struct leases *l)
{
	for (uint32_t i = 0; i < l->leases.count; i++) {
		const struct lease *lease = &l->leases.items[i];
		const struct oracle_job *j = oracle_job(&s->oracle, lease->job);

		coverage_hit(s->coverage, ROW_LEASED, s->world.now_us);
		if (j != NULL && lease->phase > j->shards_phase)
			coverage_hit(s->coverage, ROW_GATHER_LEASED, s->world.now_us);
	}
}

static void cover_registered(struct sim *s, const struct registered *r)
{
	static const enum cover_row rows[] = {
	    [TOKEN_KEEP] = ROW_ADOPTED, [TOKEN_FINISH] = ROW_FINISH, [TOKEN_KILL] = ROW_KILL_VERDICT};

	coverage_hit(s->coverage, ROW_REGISTERED, s->world.now_us);
	for (uint32_t i = 0; i < r->tokens.count; i++)
		coverage_hit(s->coverage, rows[r->tokens.items[i].verdict], s->world.now_us);
}

static void cover_send(struct sim *s, const struct dispatcher_send *send)
{
	switch (send->type) {
	case MESSAGE_LEASES:
		cover_leases(s, send->body);
		break;
	case MESSAGE_REGISTERED:
		cover_registered(s, send->body);
		break;
	case MESSAGE_REVOKE:
		coverage_hit(s->coverage, ROW_REVOKED, s->world.now_us);
		break;
	case MESSAGE_KILL:
		coverage_hit(s->coverage, ROW_KILL, s->world.now_us);
		break;
	case MESSAGE_WHO:
		coverage_hit(s->coverage, ROW_WHO, s->world.now_us);
		break;
	case MESSAGE_DRAIN:
		coverage_hit(s->coverage, ROW_DRAIN, s->world.now_us);
		break;
	default:
		break;
	}
}

/* ---- now, or later ---- */

static void carry_out(struct sim_dispatcher *d, struct sim_waiting *w)
{
	switch (w->kind) {
	case DISPATCHER_SEND:
	case DISPATCHER_PARAMETERS:
		if (w->leases)
			late_leases_leave(d, w->frame);
		if (w->ack.session != 0)
			oracle_acknowledged(&d->sim->oracle, w->ack.session, w->ack.seq);
		if (w->frame != NULL)
			net_send_down(&d->sim->net, w->peer, BYTES(w->frame->data, w->frame->size));
		break;
	case DISPATCHER_REPLY:
		sim_client_replied(d->sim, &w->reply);
		break;
	case DISPATCHER_PLAN:
		sim_planner_begin(d, w);
		break;
	case DISPATCHER_PLAN_STOP:
		sim_planner_stop(d, w->job);
		break;
	case DISPATCHER_JOB_ENDED:
		oracle_told_ended(&d->sim->oracle, w->job);
		world_push(&d->sim->world,
			   d->sim->world.now_us + world_between(&d->sim->world, 1, 200 * USEC_PER_MSEC),
			   SIM_SETTLE, HOST_DISPATCHER, d->life, w->job | (uint64_t)w->reopens << 32, NULL);
		break;
	case DISPATCHER_TELL:
	case DISPATCHER_LOOKED:
		break;
	}
	free(w->frame);
	w->frame = NULL;
}

static uint32_t cursor_of(struct bytes b)
{
	uint32_t piece = 0;

	if (b.size == sizeof piece)
		memcpy(&piece, b.data, sizeof piece);
	return piece;
}

static void take(struct sim_dispatcher *d, const struct dispatcher_effect *e)
{
	struct sim_waiting w = {.after_lsn = e->after_lsn, .kind = e->kind};

	switch (e->kind) {
	case DISPATCHER_SEND:
		cover_send(d->sim, &e->send);
		if (e->send.type == MESSAGE_LEASES)
			send_parameters(d, e->send.peer, e->send.body, e->after_lsn);
		if (e->after_lsn == 0) {
			if (e->send.type == MESSAGE_LEASES)
				leases_leave(d, e->send.body);
			if (e->send.type == MESSAGE_ACK)
				acknowledge_leaves(d, e->send.body);
			send_now(d, e->send.peer, e->send.type, e->send.body);
			return;
		}
		w.peer = e->send.peer;
		w.frame = encode(e->send.type, e->send.body);
		w.leases = e->send.type == MESSAGE_LEASES;
		if (e->send.type == MESSAGE_ACK)
			w.ack = *(const struct ack *)e->send.body;
		break;
	case DISPATCHER_REPLY:
		w.reply = e->reply;
		w.reply.why = "";
		break;
	case DISPATCHER_PLAN:
		w.job = e->plan.job;
		w.phase = e->plan.phase;
		w.shard_count = e->plan.shard_count;
		w.cursor = cursor_of(e->plan.cursor);
		break;
	case DISPATCHER_PLAN_STOP:
		w.job = e->plan.job;
		break;
	case DISPATCHER_JOB_ENDED:
		w.job = e->ended->job;
		w.reopens = e->ended->reopens;
		break;
	case DISPATCHER_LOOKED: /* nobody looks on */
		return;
	case DISPATCHER_PARAMETERS:
		answer_need(d, &e->parameters);
		return;
	case DISPATCHER_TELL:
		SAY(&d->sim->world, "d: says: %s", e->tell.what);
		return;
	}
	if (e->after_lsn == 0)
		carry_out(d, &w);
	else
		wait_for(d, &w);
}

void sim_effects_take(struct sim_dispatcher *d)
{
	for (size_t i = 0; i < d->effects.count; i++)
		take(d, &d->effects.items[i]);
}

void sim_effects_release(struct sim_dispatcher *d, uint64_t durable_lsn)
{
	size_t kept = 0;

	for (size_t i = 0; i < d->waiting_count; i++) {
		struct sim_waiting w = d->waiting[i];

		if (w.after_lsn > durable_lsn)
			d->waiting[kept++] = w;
		else
			carry_out(d, &w);
	}
	d->waiting_count = kept;
}

void sim_effects_forget(struct sim_dispatcher *d)
{
	for (size_t i = 0; i < d->waiting_count; i++)
		free(d->waiting[i].frame);
	d->waiting_count = 0;
}
