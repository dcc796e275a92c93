#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "dispatcher/engine/engine_private.h"
#include "jobs/plan.h"

/* A frame is sent when it has grown beyond this; with what comes last it stays below FRAME_BYTES_MAX. */
#define CARGO_BYTES (1 * MIB)

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

static struct run_definition run_definition_of(const struct dispatcher_core *core,
					       const struct definition_body *body, struct arena *arena)
{
	struct run_definition d = {.sha256 = body->sha256,
				   .name = body->name,
				   .value_names = body->value_names,
				   .output = body->output};

	d.phases.count = body->phases.count;
	d.phases.items = arena_alloc(arena, sizeof(*d.phases.items) * body->phases.count);
	/* A worker knows nothing of what the cluster has together, and would not take it. */
	for (uint32_t i = 0; i < body->phases.count; i++) {
		const struct phase_def *p = &body->phases.items[i];

		d.phases.items[i] = (struct phase_run){.name = p->name, .run = p->run};
		dispatcher_view_own_need(core, &p->run.shape, arena, &d.phases.items[i].run.shape);
	}
	return d;
}

/* The JOB level: items come with slices. */
static const struct job_parameters *job_of(struct engine *e, uint64_t job, uint32_t phase,
					   struct arena *arena)
{
	struct job_parameters *p = arena_alloc(arena, sizeof(*p));

	return dispatcher_view_parameters(e->core, job, phase, arena, p) ? p : NULL;
}

static void cargo_send(struct cargo *c)
{
	struct parameters p = {.session = c->session,
			       .definitions = {c->definitions, c->definition_count},
			       .jobs = {c->jobs, c->job_count}};
	struct leases l = {.session = c->session, .leases = {c->leases, c->lease_count}};
	struct revoke r = {.session = c->session, .leases = {c->revokes, c->revoke_count}};
	uint32_t wire = dispatcher_view_wire(c->e->core, c->session);

	if (c->definition_count + c->job_count > 0)
		engine_send(c->e, c->peer, wire, MESSAGE_PARAMETERS, &p);
	if (c->lease_count > 0)
		engine_send(c->e, c->peer, wire, MESSAGE_LEASES, &l);
	if (c->revoke_count > 0)
		engine_send(c->e, c->peer, wire, MESSAGE_REVOKE, &r);
	c->definition_count = c->job_count = c->lease_count = c->revoke_count = 0;
	c->bytes = 0;
}

static void cargo_add_definition(struct cargo *c, struct bytes sha256)
{
	const struct definition_body *body = dispatcher_view_definition(c->e->core, sha256);
	struct run_definition d;

	if (body == NULL)
		return;
	d = run_definition_of(c->e->core, body, c->arena);
	c->definitions[c->definition_count++] = d;
	c->bytes += codec_size_max(codec_run_definition(), &d);
}

static void cargo_add_job(struct cargo *c, const struct job_parameters *job)
{
	struct job_parameters p = *job;

	if (plan_row(p.plan.kind)->input == PLAN_INPUT_ITEM) /* each lease brings its own */
		p.plan.items = (struct text_item_list){0};
	c->jobs[c->job_count++] = p;
	c->bytes += codec_size_max(codec_job_parameters(), &p);
}

static void cargo_open(struct cargo *c, size_t definitions, size_t jobs, size_t leases)
{
	c->definitions = arena_alloc(c->arena, sizeof(*c->definitions) * (definitions + 1));
	c->jobs = arena_alloc(c->arena, sizeof(*c->jobs) * (jobs + 1));
	c->leases = arena_alloc(c->arena, sizeof(*c->leases) * (leases + 1));
	c->revokes = arena_alloc(c->arena, sizeof(*c->revokes) * (leases + 1));
}

static void cargo_load(struct cargo *c, const struct lease *l, const struct job_parameters *job,
		       struct bytes slice, uint32_t keep_end)
{
	struct lease *mine = &c->leases[c->lease_count++];

	if (!sent_definition(c->e, c->peer, c->session, l->definition))
		cargo_add_definition(c, l->definition);
	if (!sent_job(c->e, c->peer, c->session, l->job, l->phase, job->plan.shard_count))
		cargo_add_job(c, job);
	*mine = *l;
	mine->slice = slice;
	if (keep_end < l->first + l->count) { /* the rest is asked back, and comes again */
		c->revokes[c->revoke_count++] = (struct revoked){.token = l->token, .keep_end = keep_end};
		short_add(c->e, l->token, keep_end);
	}
	c->bytes += slice.size + 128;
	if (c->bytes > CARGO_BYTES)
		cargo_send(c);
}

/* Of items that stand in the plan itself. */
static struct bytes cut_here(struct cargo *c, const struct lease *l, const struct job_parameters *job,
			     size_t bytes_max, uint32_t *ret_count, struct error *reterr)
{
	struct slice_request rq = {.job = l->job,
				   .phase = l->phase,
				   .shards = {l->first, l->count},
				   .plan = job->plan,
				   .bytes_max = bytes_max};
	struct buf out = {0};
	struct bytes slice = {0};

	if (slice_cut(&rq, NULL, &out, ret_count, reterr) == 0)
		slice = arena_copy(c->arena, buf_bytes(&out));
	buf_fini(&out);
	return slice;
}

static void lease_go(struct cargo *c, const struct lease *l, const struct job_parameters *job,
		     size_t bytes_max)
{
	struct error why = {0};
	struct bytes slice = {0};
	uint32_t count = l->count;

	if (slice_is_read(&job->plan)) {
		late_read(c->e, c->peer, c->session, l);
		return;
	}
	if (slice_is_needed(&job->plan))
		slice = cut_here(c, l, job, bytes_max, &count, &why);
	if (why.code != ERR_OK)
		late_fail(c->e, c->peer, c->session, l, &why);
	else
		cargo_load(c, l, job, slice, l->first + count);
}

void leases_send(struct engine *e, uint64_t peer, const struct leases *leases)
{
	size_t bytes_max = SLICE_BYTES_MAX / (leases->leases.count + 1);
	const struct job_parameters *job = NULL;
	struct arena arena;
	struct cargo c = {.e = e, .peer = peer, .session = leases->session, .arena = &arena};

	if (bytes_max < SLICE_BYTES_MIN)
		bytes_max = SLICE_BYTES_MIN;
	arena_init(&arena, 0);
	cargo_open(&c, leases->leases.count, leases->leases.count, leases->leases.count);
	for (uint32_t i = 0; i < leases->leases.count; i++) {
		const struct lease *l = &leases->leases.items[i];

		if (job == NULL || job->job != l->job || job->phase != l->phase)
			job = job_of(e, l->job, l->phase, &arena);
		if (job != NULL) /* else it has ended */
			lease_go(&c, l, job, bytes_max);
	}
	cargo_send(&c);
	arena_fini(&arena);
}

void leases_send_one(struct engine *e, uint64_t peer, uint64_t session, const struct lease *l,
		     struct bytes slice, uint32_t keep_end)
{
	struct arena arena;
	struct cargo c = {.e = e, .peer = peer, .session = session, .arena = &arena};
	const struct job_parameters *job;

	arena_init(&arena, 0);
	job = job_of(e, l->job, l->phase, &arena);
	cargo_open(&c, 1, 1, 1);
	if (job != NULL)
		cargo_load(&c, l, job, slice, keep_end);
	cargo_send(&c);
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
