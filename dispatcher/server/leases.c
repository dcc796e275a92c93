#include "dispatcher/server/server.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "dispatcher/server/peers.h"

/* Of all slices of one message, and of one of its leases. */
#define SLICES_BYTES_MAX (32 * MIB)
#define SLICE_BYTES_MAX (2 * MIB)
#define SLICE_BYTES_MIN (128 * KIB) /* the largest item fits */
/* A frame is sent when it has grown beyond this; with what comes last it stays below FRAME_BYTES_MAX. */
#define CARGO_BYTES (1 * MIB)

/* One lease, ready to go. */
struct parcel {
	bool gone; /* its job ended, or what it needs cannot be read now */
	struct lease lease;
	const struct job_parameters *job;
	size_t slice_offset, slice_size;
	uint32_t count;	      /* of its shards that the slice covers */
	struct error *unread; /* NULL: nothing is wrong */
};

/* What the next frames will hold. */
struct cargo {
	struct server *s;
	uint64_t peer;
	uint64_t session;
	struct arena *arena;
	struct run_definition *definitions;
	struct job_parameters *jobs;
	struct lease *leases;
	struct revoked *revokes;
	uint32_t definition_count, job_count, lease_count, revoke_count;
	size_t bytes;
};

static struct run_definition run_definition_of(const struct definition_body *body, struct arena *arena)
{
	struct run_definition d = {.sha256 = body->sha256,
				   .name = body->name,
				   .value_names = body->value_names,
				   .output = body->output};

	d.phases.count = body->phases.count;
	d.phases.items = arena_alloc(arena, sizeof(*d.phases.items) * body->phases.count);
	for (uint32_t i = 0; i < body->phases.count; i++)
		d.phases.items[i] =
		    (struct phase_run){.name = body->phases.items[i].name, .run = body->phases.items[i].run};
	return d;
}

/* The JOB level: items come with slices. */
static const struct job_parameters *job_of(struct server *s, uint64_t job, uint32_t phase,
					   struct arena *arena)
{
	struct job_parameters *p = arena_alloc(arena, sizeof(*p));

	return dispatcher_view_parameters(s->core, job, phase, arena, p) ? p : NULL;
}

static size_t size_of(const struct codec *c, const void *value)
{
	struct buf b = {0};
	size_t size;

	codec_encode(c, value, &b);
	size = b.size;
	buf_fini(&b);
	return size;
}

static void cargo_send(struct cargo *c)
{
	struct parameters p = {.session = c->session,
			       .definitions = {c->definitions, c->definition_count},
			       .jobs = {c->jobs, c->job_count}};
	struct leases l = {.session = c->session, .leases = {c->leases, c->lease_count}};
	struct revoke r = {.session = c->session, .leases = {c->revokes, c->revoke_count}};

	if (c->definition_count + c->job_count > 0)
		peers_put(c->s, c->peer, MESSAGE_PARAMETERS, &p);
	if (c->lease_count > 0)
		peers_put(c->s, c->peer, MESSAGE_LEASES, &l);
	if (c->revoke_count > 0)
		peers_put(c->s, c->peer, MESSAGE_REVOKE, &r);
	c->definition_count = c->job_count = c->lease_count = c->revoke_count = 0;
	c->bytes = 0;
}

static void cargo_add_definition(struct cargo *c, struct bytes sha256)
{
	const struct definition_body *body = dispatcher_view_definition(c->s->core, sha256);
	struct run_definition d;

	if (body == NULL)
		return;
	d = run_definition_of(body, c->arena);
	c->definitions[c->definition_count++] = d;
	c->bytes += size_of(codec_run_definition(), &d);
}

static void cargo_add_job(struct cargo *c, const struct job_parameters *job)
{
	struct job_parameters p = *job;

	if (p.plan.kind == PLAN_ITEMS)
		p.plan.items = (struct text_item_list){0};
	c->jobs[c->job_count++] = p;
	c->bytes += size_of(codec_job_parameters(), &p);
}

static void cargo_open(struct cargo *c, size_t definitions, size_t jobs, size_t leases)
{
	c->definitions = arena_alloc(c->arena, sizeof(*c->definitions) * (definitions + 1));
	c->jobs = arena_alloc(c->arena, sizeof(*c->jobs) * (jobs + 1));
	c->leases = arena_alloc(c->arena, sizeof(*c->leases) * (leases + 1));
	c->revokes = arena_alloc(c->arena, sizeof(*c->revokes) * (leases + 1));
}

/* The slice of one lease. When it cannot be read the lease does not go now (unread.c). */
static int parcel_cut(struct server *s, struct parcel *p, size_t bytes_max, struct arena *arena,
		      struct buf *slices, uint64_t *ret_wait_lsn)
{
	struct error e = {0};
	int r;

	p->slice_offset = slices->size;
	r = slice_cut(s, &p->job->plan, &p->lease, bytes_max, arena, slices, &p->count, ret_wait_lsn, &e);
	p->slice_size = slices->size - p->slice_offset;
	if (r == 0 || r == ERR_BUSY)
		return r;
	if (e.code == ERR_OK) /* who failed without words */
		error_set(&e, r, "what its shards are cannot be read");
	slices->size = p->slice_offset;
	p->unread = arena_alloc(arena, sizeof(e));
	*p->unread = e;
	p->gone = true;
	return 0;
}

static int parcels_cut(struct server *s, const struct leases *l, struct parcel *parcels, struct arena *arena,
		       struct buf *slices, uint64_t *ret_wait_lsn)
{
	size_t bytes_max = SLICES_BYTES_MAX / (l->leases.count + 1);
	const struct job_parameters *job = NULL;

	if (bytes_max > SLICE_BYTES_MAX)
		bytes_max = SLICE_BYTES_MAX;
	if (bytes_max < SLICE_BYTES_MIN)
		bytes_max = SLICE_BYTES_MIN;
	for (uint32_t i = 0; i < l->leases.count; i++) {
		struct parcel *p = &parcels[i];
		int r;

		p->lease = l->leases.items[i];
		if (job == NULL || job->job != p->lease.job || job->phase != p->lease.phase)
			job = job_of(s, p->lease.job, p->lease.phase, arena);
		p->job = job;
		p->count = p->lease.count;
		p->gone = job == NULL;
		if (p->gone || (job->plan.kind != PLAN_ITEMS && job->plan.kind != PLAN_GATHER))
			continue;
		r = parcel_cut(s, p, bytes_max, arena, slices, ret_wait_lsn);
		if (r < 0)
			return r;
	}
	return 0;
}

static void cargo_load(struct cargo *c, struct parcel *p, const struct buf *slices)
{
	struct server *s = c->s;

	if (!peers_remember_definition(s->peers, c->peer, p->lease.definition))
		cargo_add_definition(c, p->lease.definition);
	if (!peers_remember_job(s->peers, c->peer, p->lease.job, p->lease.phase, p->job->plan.shard_count))
		cargo_add_job(c, p->job);
	if (p->slice_size > 0)
		p->lease.slice = BYTES(slices->data + p->slice_offset, p->slice_size);
	c->leases[c->lease_count++] = p->lease;
	if (p->count < p->lease.count) /* the rest did not fit: it is asked back, and comes again */
		c->revokes[c->revoke_count++] =
		    (struct revoked){.token = p->lease.token, .keep_end = p->lease.first + p->count};
	c->bytes += p->slice_size + 128;
	if (c->bytes > CARGO_BYTES)
		cargo_send(c);
}

int leases_send(struct server *s, uint64_t peer, const struct leases *leases, uint64_t *ret_wait_lsn)
{
	return leases_send_again(s, peer, leases, 0, ret_wait_lsn);
}

int leases_send_again(struct server *s, uint64_t peer, const struct leases *leases, uint32_t tries,
		      uint64_t *ret_wait_lsn)
{

	struct arena arena;
	struct buf slices = {0};
	struct parcel *parcels;
	struct cargo c = {.s = s, .peer = peer, .session = leases->session, .arena = &arena};
	int r;

	arena_init(&arena, 0);
	parcels = arena_alloc(&arena, sizeof(*parcels) * (leases->leases.count + 1));
	r = parcels_cut(s, leases, parcels, &arena, &slices, ret_wait_lsn);
	if (r == 0) {
		cargo_open(&c, leases->leases.count, leases->leases.count, leases->leases.count);
		for (uint32_t i = 0; i < leases->leases.count; i++)
			if (!parcels[i].gone)
				cargo_load(&c, &parcels[i], &slices);
			else if (parcels[i].unread != NULL)
				unread_keep(s, peer, leases->session, &parcels[i].lease, tries,
					    parcels[i].unread);
		cargo_send(&c);
	}
	buf_fini(&slices);
	arena_fini(&arena);
	return r;
}

void leases_answer_need(struct server *s, const struct dispatcher_parameters *n)
{
	struct arena arena;
	struct cargo c = {.s = s, .peer = n->peer, .session = n->session, .arena = &arena};

	arena_init(&arena, 0);
	cargo_open(&c, n->need->definitions.count, n->need->jobs.count, 0);
	for (uint32_t i = 0; i < n->need->definitions.count; i++) {
		cargo_add_definition(&c, n->need->definitions.items[i].text);
		if (c.bytes > CARGO_BYTES)
			cargo_send(&c);
	}
	for (uint32_t i = 0; i < n->need->jobs.count; i++) {
		const struct job_ref *ref = &n->need->jobs.items[i];
		const struct job_parameters *job = job_of(s, ref->job, ref->phase, &arena);

		if (job != NULL)
			cargo_add_job(&c, job);
		if (c.bytes > CARGO_BYTES)
			cargo_send(&c);
	}
	cargo_send(&c);
	arena_fini(&arena);
}
