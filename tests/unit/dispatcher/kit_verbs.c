#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/dispatcher/kit.h"

static void fill_phase(struct phase_def *p, const struct kit_job *job, const char *name)
{
	*p = (struct phase_def){.name = bytes_of(name)};
	p->policy.shape.cpu_milli = job->cpu_milli != 0 ? job->cpu_milli : 1000;
	p->policy.shape.memory_bytes = job->memory_bytes;
	if (job->named.amount > 0)
		p->policy.shape.named =
		    (struct named_amount_list){(struct named_amount *)(uintptr_t)&job->named, 1};
	p->policy.attempts_max = job->attempts != 0 ? job->attempts : 3;
	p->policy.backoff_us = job->backoff_us != 0 ? job->backoff_us : 100 * USEC_PER_MSEC;
	p->policy.backoff_max_us = 60 * USEC_PER_SEC;
	p->policy.tolerate_kind = job->tolerate_kind != 0 ? job->tolerate_kind : TOLERATE_NONE;
	p->policy.tolerate = job->tolerate;
	p->policy.retry_larger = job->retry_larger;
	if (job->rule.verdict != 0)
		p->policy.exit_rules = (struct exit_rule_list){(struct exit_rule *)&job->rule, 1};
	p->run.kind = RUN_EXEC;
	if (job->stdin_file != NULL)
		p->run.stdin_file = bytes_of(job->stdin_file);
}

struct made {
	uint8_t sha[32];
	struct phase_def phases[3];
	struct definition_body def;
	struct text_item value;
	struct new_job job;
	struct after_job after[2];
	struct ended_fact ended[2];
};

static void make(struct made *m, const struct kit_job *job)
{
	struct definition_body *def = &m->def;
	struct new_job *j = &m->job;
	struct buf text = {0};

	*m = (struct made){.value = {BYTES_LIT("a value")}};
	*def = (struct definition_body){.name = bytes_of(job->name != NULL ? job->name : "job"),
					.queue = bytes_of(job->queue != NULL ? job->queue : "default"),
					.phases = {m->phases, 0}};
	*j = (struct new_job){.definition = BYTES(m->sha, 32),
			      .priority = job->priority,
			      .due_wall_us = job->due_wall_us,
			      .depth = job->depth,
			      .planner = job->planner != 0 ? job->planner : PLANNER_PURE,
			      .values = {&m->value, 1},
			      .plan = {.kind = PLAN_COUNT, .shard_count = job->shards, .step = 1}};
	j->deadline_wall_us = job->deadline_us;
	j->start_by_wall_us = job->start_by_us;
	j->rate = job->rate;
	if (job->group != NULL)
		j->concurrency =
		    (struct concurrency){.group = bytes_of(job->group),
					 .limit = job->group_limit != 0 ? job->group_limit : 1,
					 .mode = job->group_mode != 0 ? job->group_mode : CONCURRENCY_QUEUE,
					 .latest = job->group_latest};
	j->max_running = job->max_running;
	j->by = job->by;
	j->fair_key = job->fair_key != NULL ? bytes_of(job->fair_key) : (struct bytes){0};
	j->after.items = m->after;
	for (size_t i = 0; i < ARRAY_LENGTH(m->after); i++) {
		m->after[i] = job->after[i];
		m->ended[i] = job->ended[i];
		j->after.count += job->after[i].job != 0;
	}
	if (job->plan_phase) {
		fill_phase(&m->phases[def->phases.count++], job, "plan");
		def->items_planner = job->planner;
		j->planner = PLANNER_PURE;
		j->plan.shard_count = 1;
	} else if (job->planner != 0) {
		j->plan = (struct plan){.kind = PLAN_ITEMS};
	}
	fill_phase(&m->phases[def->phases.count++], job, "shards");
	if (job->gather) {
		fill_phase(&m->phases[def->phases.count], job, "gather");
		m->phases[def->phases.count++].fanin = job->fanin;
	}
	/* A hash of what it says: the same definition has the same name. */
	codec_encode(codec_definition_body(), def, &text);
	for (size_t i = 0; i < text.size; i++)
		m->sha[i % 32] = (uint8_t)(m->sha[i % 32] * 31 + text.data[i]);
	buf_fini(&text);
	def->sha256 = BYTES(m->sha, 32);
}

uint64_t kit_submit(struct kit *k, struct kit_job job)
{
	struct made m;
	struct input_accept in = {.request = ++k->next_request,
				  .key_hi = job.key,
				  .key_lo = job.key != 0 ? job.key * 0x9e3779b97f4a7c15ull : 0,
				  .definitions = {&m.def, 1},
				  .jobs = {&m.job, 1},
				  .whole = job.whole,
				  .known = job.known};

	make(&m, &job);
	in.ended.items = m.ended;
	for (size_t i = 0; i < ARRAY_LENGTH(m.ended); i++)
		in.ended.count += m.ended[i].job != 0;
	k->reply = (struct dispatcher_reply){0};
	kit_step(k, INPUT_ACCEPT, &in);
	return k->reply.request == in.request ? k->reply.job : 0;
}

enum error_code kit_reopen(struct kit *k, struct kit_job job, struct kit_reopened as)
{
	struct made m;
	struct input_reopen in = {.request = ++k->next_request, .history_lsn = k->stale ? 0 : k->history_lsn};

	make(&m, &job);
	in.definition = m.def;
	in.as = (struct reopened){.job = as.job,
				  .reopens = as.reopens,
				  .body = m.job,
				  .phase = job.plan_phase ? 1 : 0,
				  .plan = {.kind = PLAN_COUNT, .shard_count = job.shards, .step = 1},
				  .done = {(struct range *)as.done, as.done_count},
				  .accepted_wall_us = 1};
	in.as.body.job = as.job;
	if (job.planner != 0)
		in.as.plan =
		    (struct plan){.kind = PLAN_ITEMS, .shard_count = job.shards, .blob = BYTES_LIT("plan")};
	if (k->ended.job == as.job) {
		in.as.totals = k->ended.totals;
		in.as.retries = k->ended.retries;
		in.as.started_wall_us = k->ended.started_wall_us;
	}
	k->reply = (struct dispatcher_reply){.code = ERR_CLOSED};
	kit_step(k, INPUT_REOPEN, &in);
	return k->reply.code;
}

enum error_code kit_set_queue(struct kit *k, struct queue_changed as)
{
	struct input_queue_set in = {.request = ++k->next_request, .as = as};

	k->reply = (struct dispatcher_reply){.code = ERR_CLOSED};
	kit_step(k, INPUT_QUEUE_SET, &in);
	return k->reply.code;
}

void kit_settle(struct kit *k, uint64_t job)
{
	kit_step(k, INPUT_SETTLED, &(struct input_settled){.job = job});
}

void kit_register_with(struct kit *k, uint32_t worker, struct held_token_list tokens)
{
	struct kit_worker *w = &k->workers[worker];
	struct register_worker m = {.wire_min = 1,
				    .wire_max = WIRE_VERSION,
				    .worker = w->id,
				    .host = BYTES_LIT("host"),
				    .pool = BYTES_LIT("pool"),
				    .capacity = {.cpu_milli = w->cpu_milli, .memory_bytes = w->memory_bytes},
				    .tokens = tokens,
				    .serial = ++w->serial};

	w->peer = w->peer == 0 ? 100 * (worker + 1) : w->peer + 1;
	kit_message(k, worker, MESSAGE_REGISTER, &m);
}

void kit_register(struct kit *k, uint32_t worker, uint32_t cpu_milli)
{
	k->workers[worker].cpu_milli = cpu_milli;
	kit_register_with(k, worker, (struct held_token_list){0});
	cr_assert_neq(k->workers[worker].session, 0);
}

static void send_report(struct kit *k, uint32_t worker, const struct outcome *outcomes, uint32_t count,
			bool idle)
{
	struct kit_worker *w = &k->workers[worker];
	struct report m = {.session = w->session,
			   .seq = ++w->seq,
			   .outcomes = {(struct outcome *)outcomes, count},
			   .credit = {.cpu_milli = w->cpu_milli, .memory_bytes = w->memory_bytes},
			   .credit_bytes = MIB,
			   .slot_idle = idle};

	kit_message(k, worker, MESSAGE_REPORT, &m);
}

void kit_report(struct kit *k, uint32_t worker, const struct outcome *outcomes, uint32_t count)
{
	send_report(k, worker, outcomes, count, false);
}

void kit_idle(struct kit *k, uint32_t worker)
{
	send_report(k, worker, NULL, 0, true);
}

void kit_done_range(struct kit *k, uint32_t worker, const struct kit_lease *lease, uint32_t first,
		    uint32_t count)
{
	struct range r = {first, count};
	struct outcome o = {.token = lease->token,
			    .job = lease->job,
			    .phase = lease->phase,
			    .done = {&r, 1},
			    .totals.run_us = 1000ull * count,
			    .totals.output_bytes = 10ull * count,
			    .totals.cpu_us = 600ull * count,
			    .totals.max_rss_bytes = 4096ull * count};

	kit_report(k, worker, &o, 1);
}

void kit_done(struct kit *k, uint32_t worker, const struct kit_lease *lease)
{
	kit_done_range(k, worker, lease, lease->first, lease->count);
}

void kit_failed(struct kit *k, uint32_t worker, const struct kit_lease *lease, uint8_t kind, int64_t code)
{
	struct failure f = {lease->first, lease->count, kind, code, BYTES_LIT("it said no"), 7};
	struct outcome o = {.token = lease->token,
			    .job = lease->job,
			    .phase = lease->phase,
			    .failed = {&f, 1},
			    .totals.run_us = 1000ull * lease->count,
			    .totals.cpu_us = 50};

	kit_report(k, worker, &o, 1);
}

void kit_returned(struct kit *k, uint32_t worker, const struct kit_lease *lease, uint32_t first,
		  uint32_t count)
{
	struct range r = {first, count};
	struct outcome o = {.token = lease->token,
			    .job = lease->job,
			    .phase = lease->phase,
			    .returned = {&r, 1},
			    .returned_why = FAILURE_REVOKED};

	kit_report(k, worker, &o, 1);
}

void kit_cancel(struct kit *k, uint64_t job)
{
	struct input_cancel in = {.request = ++k->next_request, .job = job, .why = BYTES_LIT("enough")};

	kit_step(k, INPUT_CANCEL, &in);
}

void kit_gone(struct kit *k, uint32_t worker)
{
	struct input_gone in = {k->workers[worker].id};

	kit_step(k, INPUT_GONE, &in);
}

struct kit_lease *kit_last_lease(struct kit *k, uint32_t worker)
{
	struct kit_worker *w = &k->workers[worker];

	cr_assert_gt(w->lease_count, 0, "worker %u was leased nothing", worker);
	return &w->leases[w->lease_count - 1];
}

struct view_job kit_view(struct kit *k, uint64_t job)
{
	struct view_job v = {0};

	if (!dispatcher_view_job(k->core, job, &k->arena, &v))
		v.state = 0;
	return v;
}
