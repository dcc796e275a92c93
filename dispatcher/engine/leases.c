#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "dispatcher/engine/engine_private.h"
#include "jobs/plan.h"

/* Of all slices of one message, and of one of its leases. */
#define SLICES_BYTES_MAX (32 * MIB)
#define SLICE_BYTES_MAX (2 * MIB)
#define SLICE_BYTES_MIN (128 * KIB) /* the largest item fits */
/* A frame is sent when it has grown beyond this; with what comes last it stays below FRAME_BYTES_MAX. */
#define CARGO_BYTES (1 * MIB)

/* One lease, ready to go. */
struct parcel {
	struct lease lease;
	const struct job_parameters *job; /* NULL: it has ended */
	size_t slice_offset, slice_size;
	uint32_t count;	      /* of its shards that the slice covers */
	struct error *unread; /* what it needs cannot be read now; NULL: nothing is wrong */
	uint64_t wait_lsn;    /* of history, when that is all */
};

/* What the next frames will hold. */
struct cargo {
	struct engine *e;
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
static const struct job_parameters *job_of(struct engine *e, uint64_t job, uint32_t phase,
					   struct arena *arena)
{
	struct job_parameters *p = arena_alloc(arena, sizeof(*p));

	return dispatcher_view_parameters(e->core, job, phase, arena, p) ? p : NULL;
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
		engine_send(c->e, c->peer, MESSAGE_PARAMETERS, &p);
	if (c->lease_count > 0)
		engine_send(c->e, c->peer, MESSAGE_LEASES, &l);
	if (c->revoke_count > 0)
		engine_send(c->e, c->peer, MESSAGE_REVOKE, &r);
	c->definition_count = c->job_count = c->lease_count = c->revoke_count = 0;
	c->bytes = 0;
}

static void cargo_add_definition(struct cargo *c, struct bytes sha256)
{
	const struct definition_body *body = dispatcher_view_definition(c->e->core, sha256);
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

	if (plan_row(p.plan.kind)->input == PLAN_INPUT_ITEM) /* each lease brings its own */
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
static void parcel_cut(struct engine *e, struct parcel *p, size_t bytes_max, struct arena *arena,
		       struct buf *slices)
{
	struct error why = {0};
	int r;

	p->slice_offset = slices->size;
	r = slice_cut(e, &p->job->plan, &p->lease, bytes_max, arena, slices, &p->count, &p->wait_lsn, &why);
	p->slice_size = slices->size - p->slice_offset;
	if (r == 0)
		return;
	if (why.code == ERR_OK) /* who failed without words */
		error_set(&why, r, "what its shards are cannot be read");
	slices->size = p->slice_offset;
	p->unread = arena_alloc(arena, sizeof(why));
	*p->unread = why;
}

static void parcels_cut(struct engine *e, const struct leases *l, struct parcel *parcels, struct arena *arena,
			struct buf *slices)
{
	size_t bytes_max = SLICES_BYTES_MAX / (l->leases.count + 1);
	const struct job_parameters *job = NULL;
	uint8_t input;

	if (bytes_max > SLICE_BYTES_MAX)
		bytes_max = SLICE_BYTES_MAX;
	if (bytes_max < SLICE_BYTES_MIN)
		bytes_max = SLICE_BYTES_MIN;
	for (uint32_t i = 0; i < l->leases.count; i++) {
		struct parcel *p = &parcels[i];

		*p = (struct parcel){.lease = l->leases.items[i], .count = l->leases.items[i].count};
		if (job == NULL || job->job != p->lease.job || job->phase != p->lease.phase)
			job = job_of(e, p->lease.job, p->lease.phase, arena);
		p->job = job;
		input = job == NULL ? PLAN_INPUT_NONE : plan_row(job->plan.kind)->input;
		if (input == PLAN_INPUT_ITEM || input == PLAN_INPUT_OUTPUTS)
			parcel_cut(e, p, bytes_max, arena, slices);
	}
}

static void cargo_load(struct cargo *c, struct parcel *p, const struct buf *slices)
{
	if (!sent_definition(c->e, c->peer, p->lease.definition))
		cargo_add_definition(c, p->lease.definition);
	if (!sent_job(c->e, c->peer, p->lease.job, p->lease.phase, p->job->plan.shard_count))
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

static void parcel_go(struct cargo *c, struct parcel *p, const struct buf *slices, uint32_t tries)
{
	if (p->job == NULL)
		return;
	if (p->unread == NULL)
		cargo_load(c, p, slices);
	else if (p->wait_lsn > 0)
		unread_keep_until(c->e, c->peer, c->session, &p->lease, tries, p->wait_lsn);
	else
		unread_keep(c->e, c->peer, c->session, &p->lease, tries, p->unread);
}

void leases_send(struct engine *e, uint64_t peer, const struct leases *leases, uint32_t tries)
{
	struct arena arena;
	struct buf slices = {0};
	struct parcel *parcels;
	struct cargo c = {.e = e, .peer = peer, .session = leases->session, .arena = &arena};

	arena_init(&arena, 0);
	parcels = arena_alloc(&arena, sizeof(*parcels) * (leases->leases.count + 1));
	parcels_cut(e, leases, parcels, &arena, &slices);
	cargo_open(&c, leases->leases.count, leases->leases.count, leases->leases.count);
	for (uint32_t i = 0; i < leases->leases.count; i++)
		parcel_go(&c, &parcels[i], &slices, tries);
	cargo_send(&c);
	buf_fini(&slices);
	arena_fini(&arena);
}

void leases_answer_need(struct engine *e, const struct dispatcher_parameters *n)
{
	struct arena arena;
	struct cargo c = {.e = e, .peer = n->peer, .session = n->session, .arena = &arena};

	arena_init(&arena, 0);
	cargo_open(&c, n->need->definitions.count, n->need->jobs.count, 0);
	for (uint32_t i = 0; i < n->need->definitions.count; i++) {
		cargo_add_definition(&c, n->need->definitions.items[i].text);
		if (c.bytes > CARGO_BYTES)
			cargo_send(&c);
	}
	for (uint32_t i = 0; i < n->need->jobs.count; i++) {
		const struct job_ref *ref = &n->need->jobs.items[i];
		const struct job_parameters *job = job_of(e, ref->job, ref->phase, &arena);

		if (job != NULL)
			cargo_add_job(&c, job);
		if (c.bytes > CARGO_BYTES)
			cargo_send(&c);
	}
	cargo_send(&c);
	arena_fini(&arena);
}
