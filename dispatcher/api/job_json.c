#include "dispatcher/api/job_json.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "dispatcher/retention/retention.h"
#include "dispatcher/trouble.h"
#include "dispatcher/store/history.h"
#include "dispatcher/store/history_reader.h"
#include "jobs/kinds.h"
#include "jobs/principal.h"

static const char *phase_name(const struct view_job *v, uint32_t phase)
{
	return phase < v->shards_phase ? "plan" : phase == v->shards_phase ? "shards" : "gather";
}

static json_t *phase_json(const char *name, const struct view_counts *c, bool sealed, bool ended)
{
	uint64_t known = c->pending + c->delayed + c->leased + c->done + c->dead;
	const struct api_phase phase = {
	    .name = bytes_of(name),
	    .shards = c->shards,
	    .sealed = sealed,
	    .pending = c->pending,
	    .leased = c->leased,
	    .delayed = c->delayed,
	    .done = c->done,
	    .dead = c->dead,
	    .dropped = ended && c->shards > known ? c->shards - known : 0,
	};

	return object_write(object_phase(), &phase);
}

static json_t *phases_json(const struct view_job *v)
{
	bool ended = job_state_is_ended(v->state);
	struct view_counts first = {.shards = v->first_shards, .done = v->first_done, .dead = v->first_dead};
	json_t *phases = json_array();

	if (v->shards_phase > 0 && (v->phase >= v->shards_phase || ended)) {
		bool done = v->phase >= v->shards_phase;
		/* Nothing but its one shard's death fails a job that has begun and is not planned. */
		bool dead = !done && v->state == JOB_FAILED && v->started_wall_us != 0;
		struct view_counts plan = {.shards = 1, .done = done, .dead = dead};

		json_array_append_new(phases, phase_json(phase_name(v, 0), &plan, true, ended));
	}
	if (v->phase > v->shards_phase || ended)
		json_array_append_new(phases,
				      phase_json(phase_name(v, v->shards_phase), &first, true, ended));
	for (uint32_t i = 0; i < v->later.count; i++) {
		const struct phase_counts *p = &v->later.items[i];
		struct view_counts counts = {.shards = p->shards, .done = p->done, .dead = p->dead};

		json_array_append_new(
		    phases, phase_json(phase_name(v, v->shards_phase + i + 1), &counts, true, ended));
	}
	if (!ended)
		json_array_append_new(phases,
				      phase_json(phase_name(v, v->phase), &v->counts, v->sealed, false));
	return phases;
}

static json_t *after_json(const struct view_job *v)
{
	json_t *list = v->after.count > 0 ? json_array() : NULL;

	for (uint32_t i = 0; i < v->after.count; i++)
		json_array_append_new(
		    list, object_write(object_after_job(),
				       &(struct api_after_job){.job = v->after.items[i].job,
							       .condition = bytes_of(after_condition_name(
								   v->after.items[i].condition))}));
	return list;
}

static struct api_job_group group_of(const struct view_group *g)
{
	struct api_job_group ret = {.group = g->name,
				    .limit = g->limit,
				    .mode = bytes_of(concurrency_mode_name(g->mode)),
				    .latest = g->latest,
				    .waits = g->waits,
				    .before = g->before,
				    .active = g->active,
				    .holders = json_array()};

	for (uint32_t i = 0; i < g->holder_count; i++)
		json_array_append_new(ret.holders, json_integer((json_int_t)g->holders[i]));
	return ret;
}

static struct api_principal principal_of(const struct principal *p, struct buf *words)
{
	if (p->kind != 0)
		principal_words(p, words);
	return (struct api_principal){.kind = bytes_of(p->kind != 0 ? principal_kind_name(p->kind) : ""),
				      .name = p->name,
				      .number = p->number,
				      .has_number = p->kind == BY_UID || p->kind == BY_JOB,
				      .text = buf_bytes(words)};
}

/* body: NULL when the core does not know the definition (any more). */
static json_t *write_job(const struct view_job *v, const struct definition_body *body)
{
	char definition[HEX_BYTES_MAX];
	struct buf words[5] = {{0}};
	json_t *value;

	if (v->why.size == 0)
		why_after(v, &words[3]);
	if (v->why.size == 0 && words[3].size == 0)
		why_group(v, &words[3]);
	struct api_job job = {
	    .id = v->job,
	    .name = v->name,
	    .definition = hex_of(v->definition, definition),
	    .state = bytes_of(job_state_name(v->state)),
	    .word = bytes_of(job_word_name(v->word)),
	    .why = v->why.size > 0 ? v->why : buf_bytes(&words[3]),
	    .paused = v->paused,
	    .priority = v->priority,
	    .max_running = v->max_running,
	    .queue = body != NULL ? body->queue : (struct bytes){0},
	    .has_queue = body != NULL,
	    .phase = v->phase,
	    .phases = phases_json(v),
	    .retries = v->retries,
	    .reopens = v->reopens,
	    .totals = v->totals,
	    .shard_us = (usec_t)v->estimate_us,
	    .accepted_wall_us = v->accepted_wall_us,
	    .started_wall_us = v->started_wall_us,
	    .ended_wall_us = v->ended_wall_us,
	    .deadline_wall_us = v->deadline_wall_us,
	    .start_by_wall_us = v->start_by_wall_us,
	    .after = after_json(v),
	    .after_count = v->after_count,
	    .by = principal_of(&v->by, &words[0]),
	    .has_by = v->by.kind != 0,
	    .stopped_by = principal_of(&v->stopped_by, &words[1]),
	    .has_stopped_by = v->stopped_by.kind != 0,
	    .again_by = principal_of(&v->again_by, &words[2]),
	    .has_again_by = v->again_by.kind != 0,
	};

	if (v->group.name.size > 0) {
		job.has_concurrency = true;
		job.concurrency = group_of(&v->group);
	}
	why_rate(v, &words[4]);
	job.rate = buf_bytes(&words[4]);
	value = object_write(object_job(), &job);
	for (size_t i = 0; i < ARRAY_LENGTH(words); i++)
		buf_fini(&words[i]);
	return value;
}

json_t *job_json_live(struct services *s, const struct view_job *v)
{
	return write_job(v, dispatcher_view_definition(services_core(s), v->definition));
}

#define LOST "how it ended is not known: history was restored from a copy that ends before it did"

static void view_row(const struct history_job *row, struct view_job *ret)
{
	bool ended = job_state_is_ended(row->state);

	*ret = (struct view_job){
	    .job = row->job,
	    .state = row->state,
	    .word = ended ? JOB_WORD_SUCCEEDED + (row->state - JOB_SUCCEEDED) : 0,
	    .paused = row->paused,
	    .name = row->name,
	    .why = ended ? row->why : BYTES_LIT(LOST),
	    .definition = row->definition,
	    .phase = row->phase,
	    .shards_phase = row->shards_phase,
	    .priority = row->priority,
	    .accepted_wall_us = row->accepted_wall_us,
	    .started_wall_us = row->started_wall_us,
	    .ended_wall_us = row->ended_wall_us,
	    .retries = row->retries,
	    .totals = row->totals,
	    .counts = {.shards = row->shards, .done = row->done, .dead = row->dead},
	    .first_shards = row->shards,
	    .first_done = row->done,
	    .first_dead = row->dead,
	    .later = row->later,
	    .reopens = row->reopens,
	    .event_id_hi = row->event_id_hi,
	    .event_id_lo = row->event_id_lo,
	    .by = row->by,
	    .stopped_by = row->stopped_by,
	    .again_by = row->again_by,
	};
}

json_t *job_json_row(const struct history_job *row)
{
	struct view_job v;

	view_row(row, &v);
	return write_job(&v, NULL);
}

int job_refuse_unknown(struct services *s, uint64_t job, struct error *reterr)
{
	struct view_counters c;

	dispatcher_view_counters(services_core(s), &c);
	if (c.next_job <= 1)
		error_set(reterr, ERR_NOT_FOUND, "there is no job %llu; none has been accepted yet",
			  (unsigned long long)job);
	else if (job >= c.next_job)
		error_set(reterr, ERR_NOT_FOUND, "there is no job %llu; the last is %llu",
			  (unsigned long long)job, (unsigned long long)(c.next_job - 1));
	else if (retention_has_forgotten(s, job))
		error_set(reterr, ERR_NOT_FOUND,
			  "job %llu is forgotten: what was kept of it has been removed",
			  (unsigned long long)job);
	else
		error_set(reterr, ERR_NOT_FOUND, "history has no job %llu any more", (unsigned long long)job);
	return error_help(reterr, "`shardmill jobs` (GET /v1/jobs) lists them");
}

int job_refuse_lost(const struct view_job *v, struct error *reterr)
{
	error_set(reterr, ERR_NOT_FOUND, "job %llu: %s", (unsigned long long)v->job, LOST);
	return error_help(reterr, "`shardmill retry --all %llu` does all of it again, as a new job",
			  (unsigned long long)v->job);
}

void job_with_facts(struct services *s, const struct view_job *v,
		    void (*use)(void *arg, const struct why_facts *f), void *arg)
{
	const struct definition_body *body = dispatcher_view_definition(services_core(s), v->definition);
	struct why_facts f = {
	    .job = v, .pools = s->pools, .mono_us = clock_mono_us(), .wall_us = clock_wall_us()};
	struct view_supply supply;
	struct view_shared shared;
	struct view_hold hold;
	struct buf trouble = {0};
	struct arena arena;

	arena_init(&arena, 0);
	if (body != NULL)
		f.policy = &body->phases.items[v->shards_phase].policy;
	trouble_words(s, &trouble);
	f.trouble = buf_text(&trouble);
	pools_forget(s->pools, f.mono_us);
	if (why_asks_supply(v) && dispatcher_view_supply(services_core(s), v->job, &arena, &supply))
		f.supply = &supply;
	if (v->counts.pending > 0 && dispatcher_view_shared_lack(services_core(s), v->job, &shared))
		f.shared = &shared;
	if (!job_state_is_ended(v->state) && v->state != JOB_HELD && v->counts.pending > 0) {
		dispatcher_view_hold(services_core(s), v->job, &arena, &hold);
		f.hold = &hold;
	}
	use(arg, &f);
	buf_fini(&trouble);
	arena_fini(&arena);
}

static void set_why(void *arg, const struct why_facts *f)
{
	struct buf why = {0}, rest = {0}, outlook = {0};

	why_not(f, &rest);
	buf_printf(&why, "%s%s", f->trouble, f->trouble[0] != '\0' && rest.size > 0 ? "; " : "");
	buf_append_bytes(&why, buf_bytes(&rest));
	buf_fini(&rest);
	json_object_set_new(arg, "why", json_of_bytes(buf_bytes(&why)));
	why_outlook(f, &outlook);
	if (outlook.size > 0)
		json_object_set_new(arg, "outlook", json_of_bytes(buf_bytes(&outlook)));
	buf_fini(&outlook);
	buf_fini(&why);
}

bool job_is_of_core(struct services *s, uint64_t job)
{
	return dispatcher_view_has_job(services_core(s), job);
}

int job_view(struct services *s, const struct past *past, uint64_t job, struct arena *arena,
	     struct view_job *ret, struct error *reterr)
{
	const struct history_job *row;

	if (dispatcher_view_job(services_core(s), job, arena, ret))
		return 0;
	row = past != NULL ? past_row(past, job) : NULL;
	if (row == NULL)
		return job_refuse_unknown(s, job, reterr);
	view_row(row, ret);
	return 0;
}

json_t *job_json(struct services *s, const struct view_job *v)
{
	json_t *value;

	if (!job_is_live(s, v->job))
		return write_job(v, NULL);
	value = job_json_live(s, v);
	job_with_facts(s, v, set_why, value);
	return value;
}

bool job_is_live(struct services *s, uint64_t job)
{
	struct arena arena;
	struct view_job v;
	bool live;

	arena_init(&arena, 0);
	live = dispatcher_view_job(services_core(s), job, &arena, &v) && !job_state_is_ended(v.state);
	arena_fini(&arena);
	return live;
}

struct with_job {
	struct request *request;
	uint64_t job;
	request_job_fn *fn;
};

static void with_past(void *arg, struct past *past, int rc, const struct error *why)
{
	struct with_job *w = arg;
	struct request *r = w->request;
	uint64_t job = w->job;
	request_job_fn *fn = w->fn;
	struct error e = *why;

	free(w);
	r->state = NULL;
	r->state_fini = NULL;
	if (rc == 0 && past_row(past, job) == NULL && !job_is_of_core(r->services, job))
		rc = job_refuse_unknown(r->services, job, &e);
	if (rc < 0)
		request_fail(r, &e);
	else
		fn(r, job, past);
	past_drop(past);
}

void request_with_job(struct request *r, uint64_t job, request_job_fn *fn)
{
	struct with_job *w;
	struct past *past;

	if (job_is_of_core(r->services, job)) {
		fn(r, job, NULL);
		return;
	}
	w = check_calloc(1, sizeof(*w));
	*w = (struct with_job){r, job, fn};
	past = past_create(r->services, NULL, with_past, w);
	past_add(past, job);
	past_ask(past);
}

bool job_history_lags(struct services *s, uint64_t job)
{
	struct arena arena;
	struct view_job v;
	bool lags;

	arena_init(&arena, 0);
	lags = dispatcher_view_job(services_core(s), job, &arena, &v) && job_state_is_ended(v.state) &&
	       v.ended_lsn > port_view(s->port).history_lsn;
	arena_fini(&arena);
	return lags;
}

bool job_has_ended(struct services *s, uint64_t job)
{
	struct view_counters c;

	dispatcher_view_counters(services_core(s), &c);
	return job < c.next_job && !job_is_live(s, job);
}
