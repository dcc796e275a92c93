/* GET /v1/jobs/{id}/explain: sentences for people (dispatcher/explain.h), of a live or an ended job. */
#include "dispatcher/explain.h"

#include <stdlib.h>

#include "base/check.h"
#include "dispatcher/api/job_json.h"
#include "dispatcher/api/job_output.h"

struct explaining {
	struct request *request;
	uint64_t job;
	struct past *past;
	struct explain explain;
	uint32_t phase, shards_phase;
	bool phase_known; /* of the core: history may be behind */
	struct plan plan;
	struct bytes definition; /* its text, in the past's arena, of a job that has ended */
	struct view_dead dead[EXPLAIN_DEAD_MAX];
	json_t *sentences;
};

static void destroy(void *state)
{
	struct explaining *x = state;

	past_drop(x->past);
	json_decref(x->sentences);
	free(x);
}

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

/* In a reader's thread: the first dead shards of a job that has ended. */
static int read_dead(void *arg, struct history_reader *history, const struct history_job *row,
		     struct arena *arena, struct error *reterr)
{
	struct explaining *x = arg;
	uint32_t last = x->phase_known ? x->phase : row->phase;
	uint32_t shards = x->phase_known ? x->shards_phase : row->shards_phase;
	struct bytes name;
	int rc = 0;

	if (history_definition(history, row->definition, arena, &name, &x->definition, NULL) < 0)
		x->definition = BYTES(NULL, 0);
	x->explain.dead_count = 0;
	for (uint32_t phase = last < shards ? last : shards;
	     rc == 0 && phase <= last && x->explain.dead_count < EXPLAIN_DEAD_MAX; phase++) {
		rc = history_failures(history, x->job, phase, 0,
				      (uint32_t)(EXPLAIN_DEAD_MAX - x->explain.dead_count), arena, add_row, x,
				      reterr);
		if (phase == shards)
			x->explain.dead_in_shards = x->explain.dead_count;
	}
	return rc;
}

static void use(void *arg, const struct why_facts *f)
{
	struct explaining *x = arg;
	struct services *s = x->request->services;
	const struct definition_body *body = dispatcher_view_definition(services_core(s), f->job->definition);
	bool lives = !job_state_is_ended(f->job->state);
	struct arena arena;
	uint64_t cursor = 0;

	arena_init(&arena, 0);
	x->explain.facts = f;
	x->explain.dead = x->dead;
	if (lives) {
		x->explain.dead_count =
		    dispatcher_view_dead(services_core(s), x->job, &cursor, x->dead, EXPLAIN_DEAD_MAX);
		x->explain.dead_in_shards = f->job->phase == f->job->shards_phase ? x->explain.dead_count : 0;
	}
	if (x->explain.dead_count > 0 && (lives ? job_array_live(s, f->job, &arena, &x->plan)
						: job_array_of_text(x->definition, &arena, &x->plan)))
		x->explain.plan = &x->plan;
	x->explain.gathers = body != NULL && body->phases.count > f->job->shards_phase + 1;
	explain_job(&x->explain);
	arena_fini(&arena);
}

static void answer(struct explaining *x)
{
	struct services *s = x->request->services;
	struct api_explanation answer;
	struct error e = {0};
	struct arena arena;
	struct view_job v;
	int rc;

	arena_init(&arena, 0);
	rc = job_view(s, x->past, x->job, &arena, &v, &e);
	if (rc == 0 && job_is_lost(&v))
		rc = job_refuse_lost(&v, &e);
	if (rc == 0) {
		job_with_facts(s, &v, use, x);
		answer = (struct api_explanation){.id = x->job,
						  .word = bytes_of(job_word_name(v.word)),
						  .sentences = json_incref(x->sentences)};
		request_answer(x->request, MHD_HTTP_OK, object_write(object_explanation(), &answer));
	} else {
		request_fail(x->request, &e);
	}
	arena_fini(&arena);
}

static void on_past(void *arg, struct past *past, int rc, const struct error *e)
{
	struct explaining *x = arg;

	(void)past;
	if (rc < 0)
		request_fail(x->request, e);
	else
		answer(x);
}

static void begin(struct explaining *x)
{
	struct services *s = x->request->services;
	struct arena arena;
	struct view_job v;

	arena_init(&arena, 0);
	x->phase_known = dispatcher_view_job(services_core(s), x->job, &arena, &v);
	x->phase = x->phase_known ? v.phase : 0;
	x->shards_phase = x->phase_known ? v.shards_phase : 0;
	arena_fini(&arena);
	if (job_is_live(s, x->job)) {
		answer(x);
		return;
	}
	x->past = past_create(s, read_dead, on_past, x);
	past_add(x->past, x->job);
	past_ask(x->past);
}

void api_explain(struct request *r)
{
	struct explaining *x;
	uint64_t job;

	if (!request_job(r, &job))
		return;
	x = check_calloc(1, sizeof(*x));
	x->request = r;
	x->job = job;
	x->sentences = json_array();
	x->explain.add = add;
	x->explain.arg = x->sentences;
	r->state = x;
	r->state_fini = destroy;
	begin(x);
}
