/* GET /v1/jobs/{id}/explain: sentences for people (dispatcher/explain.h), of a live or an ended job. */
#include "dispatcher/explain.h"

#include "dispatcher/api/job_json.h"
#include "dispatcher/store/history_reader.h"

struct explaining {
	struct services *services;
	struct arena arena;
	struct explain explain;
	struct view_dead dead[EXPLAIN_DEAD_MAX];
	json_t *sentences;
};

static void add(void *arg, struct bytes sentence)
{
	json_array_append_new(arg, json_of_bytes(sentence));
}

static int add_row(void *arg, const struct history_failure *f)
{
	struct explaining *x = arg;

	x->dead[x->explain.dead_count++] = (struct view_dead){
	    .shards = f->shards, .kind = f->kind, .noted = true, .code = f->code, .why = f->why};
	return 0;
}

static int find_dead(struct explaining *x, const struct view_job *v, struct error *reterr)
{
	uint64_t cursor = 0;
	int rc = 0;

	x->explain.dead = x->dead;
	if (!job_state_is_ended(v->state)) {
		x->explain.dead_count = dispatcher_view_dead(services_core(x->services), v->job, &cursor,
							     x->dead, EXPLAIN_DEAD_MAX);
		return 0;
	}
	for (uint32_t phase = v->phase < v->shards_phase ? v->phase : v->shards_phase;
	     rc == 0 && phase <= v->phase && x->explain.dead_count < EXPLAIN_DEAD_MAX; phase++)
		rc = history_failures(x->services->reader, v->job, phase, 0,
				      (uint32_t)(EXPLAIN_DEAD_MAX - x->explain.dead_count), &x->arena,
				      add_row, x, reterr);
	return rc;
}

static void use(void *arg, const struct why_facts *f)
{
	struct explaining *x = arg;
	const struct definition_body *body =
	    dispatcher_view_definition(services_core(x->services), f->job->definition);

	x->explain.facts = f;
	x->explain.gathers = body != NULL && body->phases.count > f->job->shards_phase + 1;
	explain_job(&x->explain);
}

void api_explain(struct request *r)
{
	struct explaining x = {.services = r->services, .sentences = json_array()};
	struct error e = {0};
	struct api_explanation answer;
	struct view_job v;
	uint64_t job;
	int rc;

	if (!request_job(r, &job)) {
		json_decref(x.sentences);
		return;
	}
	x.explain.add = add;
	x.explain.arg = x.sentences;
	arena_init(&x.arena, 0);
	rc = job_view(r->services, job, &x.arena, &v, &e);
	if (rc == 0)
		rc = find_dead(&x, &v, &e);
	if (rc == 0) {
		job_with_facts(r->services, &v, use, &x);
		answer = (struct api_explanation){.id = job,
						  .word = bytes_of(job_word_name(v.word)),
						  .sentences = json_incref(x.sentences)};
		request_answer(r, MHD_HTTP_OK, object_write(object_explanation(), &answer));
	} else {
		request_fail(r, &e);
	}
	json_decref(x.sentences);
	arena_fini(&x.arena);
}
