/* A lease through a runner: two runs in flight, each about RUN_US long. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "worker/runner_impl.h"

#define RUN_US (20 * USEC_PER_MSEC)
#define RUNS_MAX 2
#define RUN_SHARDS 65536u /* of one run */
#define ITEMS_SHARDS 256u /* of one run that carries items */

struct flight {
	struct range runs[RUNS_MAX]; /* sent (or to be sent again), not done; oldest first */
	uint32_t count;
	uint32_t sent;	 /* how many of them the present runner was told */
	usec_t since_us; /* when the oldest began */
	struct slot *slot;
	struct work *work;
	uint32_t cell;
	uint32_t chunk;
	struct error why;
};

static void record(struct flight *f, struct range r, usec_t run_us, uint64_t bytes)
{
	struct verdict v = {.done = true, .run_us = run_us, .output_bytes = bytes};

	if (r.count > 0)
		slot_record(f->slot, f->cell, f->work->arm.token, r, &v);
}

static void record_failure(struct flight *f, const struct failure *failed, usec_t run_us)
{
	struct verdict v = {.kind = failed->kind, .code = failed->code, .run_us = run_us};

	snprintf(v.why, sizeof v.why, "%.*s", (int)failed->why.size,
		 failed->why.size > 0 ? (const char *)failed->why.data : "");
	slot_record(f->slot, f->cell, f->work->arm.token, (struct range){failed->first, 1}, &v);
}

static void send_run(struct flight *f, struct range run)
{
	struct runner *r = f->slot->runner;

	if (r->told_job != f->work->arm.job)
		runner_encode_job(&f->work->arm, r->format, &r->tx);
	r->told_job = f->work->arm.job;
	runner_encode_run(&f->work->arm, &f->work->slice, run, r->format, &r->tx);
}

static bool take_run(struct flight *f, uint32_t max)
{
	struct range run = cell_take(&f->slot->cells[f->cell], max);

	if (run.count == 0)
		return false;
	if (f->count == 0)
		f->since_us = clock_mono_us();
	f->runs[f->count++] = run;
	return true;
}

/* Takes more from the cell while fewer than two runs are under way, and sends what is not sent. */
static void fill(struct flight *f)
{
	uint32_t max = f->work->arm.parameters->plan.kind == PLAN_ITEMS ? ITEMS_SHARDS : RUN_SHARDS;

	while (f->count < RUNS_MAX && take_run(f, f->chunk < max ? f->chunk : max))
		;
	while (f->sent < f->count)
		send_run(f, f->runs[f->sent++]);
}

static void drop_oldest(struct flight *f)
{
	f->runs[0] = f->runs[1];
	f->count--;
	f->sent -= f->sent > 0;
}

/* A run of about RUN_US from the next time on. */
static void adapt(struct flight *f, uint32_t count, usec_t us)
{
	usec_t per = us * 1024 / count;
	uint64_t chunk;

	f->slot->runner->shard_us =
	    f->slot->runner->shard_us == 0 ? per : (3 * f->slot->runner->shard_us + per) / 4;
	per = f->slot->runner->shard_us;
	chunk = per == 0 ? RUN_SHARDS : (uint64_t)(RUN_US * 1024 / per);
	f->chunk = chunk < 1		     ? 1
		   : chunk > 2ull * f->chunk ? 2 * f->chunk
					     : (uint32_t)chunk; /* at most doubles */
	f->chunk = f->chunk > RUN_SHARDS ? RUN_SHARDS : f->chunk;
}

static int store_results(struct flight *f, const struct runner_message *m, uint64_t *bytes)
{
	for (uint32_t i = 0; i < m->result_count; i++) {
		int rc = output_append(&f->slot->output, f->work->arm.token, m->results[i].shard,
				       m->results[i].output, &f->why);

		if (rc < 0)
			return rc;
		*bytes += m->results[i].output.size;
	}
	return 0;
}

static bool failed_before(const struct runner_message *m, uint32_t shard)
{
	for (uint32_t i = 0; i < m->failed.count; i++)
		if (m->failed.items[i].first == shard)
			return true;
	return false;
}

/* What is not among the failed is done. */
static void record_done(struct flight *f, const struct runner_message *m, usec_t us, uint64_t bytes)
{
	usec_t each = us / m->done.count;
	uint32_t first = m->done.first;

	for (uint32_t i = 0; i < m->failed.count; i++)
		record_failure(f, &m->failed.items[i], each);
	if (m->failed.count == 0) {
		record(f, m->done, us, bytes);
		return;
	}
	for (uint64_t n = first; n < range_end(m->done); n++)
		if (!failed_before(m, (uint32_t)n)) {
			record(f, (struct range){(uint32_t)n, 1}, each, bytes);
			bytes = 0;
		}
}

static bool fits(const struct flight *f, const struct runner_message *m)
{
	if (m->type != RUNNER_DONE || f->count == 0 || m->done.first != f->runs[0].first ||
	    m->done.count > f->runs[0].count)
		return false;
	for (uint32_t i = 0; i < m->failed.count; i++)
		for (uint32_t k = 0; k < i; k++)
			if (m->failed.items[k].first == m->failed.items[i].first)
				return false;
	return true;
}

static int take_done(struct flight *f, const struct runner_message *m)
{
	usec_t now = clock_mono_us(), us = now - f->since_us;
	uint64_t bytes = 0;
	int rc;

	if (!fits(f, m))
		return error_set(&f->why, ERR_INVALID,
				 "the runner answers shards %u..+%u, which it was not asked for next",
				 m->done.first, m->done.count);
	rc = store_results(f, m, &bytes);
	if (rc < 0)
		return rc;
	record_done(f, m, us, bytes);
	adapt(f, m->done.count, us);
	f->since_us = now;
	f->runs[0].first += m->done.count;
	f->runs[0].count -= m->done.count;
	if (f->runs[0].count == 0)
		drop_oldest(f);
	return 0;
}

/* The runner is of no use any more: the shard in work fails, what else it was given is sent to the next. */
static void blame(struct flight *f, int rc)
{
	struct failure failed = {.first = f->runs[0].first, .count = 1, .kind = FAILURE_RUNNER, .code = rc};
	char words[256], why[400];

	if (f->slot->runner != NULL) {
		runner_last_words(f->slot->runner, words, sizeof words);
		f->slot->runner->failing = true;
		runner_end(f->slot);
		snprintf(why, sizeof why, "%.140s%s%.240s", f->why.what, words[0] ? ": " : "", words);
	} else {
		snprintf(why, sizeof why, "%.390s", f->why.what);
		failed.kind = FAILURE_START;
	}
	if (rc == ERR_TIMEOUT)
		failed.kind = FAILURE_TIMEOUT;
	failed.why = bytes_of(why);
	record_failure(f, &failed, clock_mono_us() - f->since_us);
	f->runs[0].first++;
	if (--f->runs[0].count == 0)
		drop_oldest(f);
	f->since_us = clock_mono_us();
	f->sent = 0;
	f->chunk = 1;
}

static int ready(struct flight *f)
{
	struct runner_command command;
	int rc;

	if (runner_serves(f->slot, f->work))
		return 0;
	f->sent = 0;
	rc = attempt_command(f->slot, f->work, &command, &f->why);
	return rc < 0 ? rc : runner_start(f->slot, f->work, &command, &f->why);
}

void runner_run_cell(struct slot *s, struct work *w, uint32_t cell)
{
	struct flight f = {.slot = s, .work = w, .cell = cell};
	usec_t timeout = w->arm.run->run.timeout_us;

	f.chunk = runner_serves(s, w) && s->runner->shard_us < USEC_PER_MSEC * 1024 ? 64 : 1;
	while (f.count > 0 || take_run(&f, f.chunk)) {
		struct runner_message m;
		int rc = ready(&f);

		if (rc == 0) {
			fill(&f);
			rc = runner_receive(s, timeout == 0 ? USEC_NEVER : f.since_us + timeout, &m, &f.why);
		}
		if (rc > 0)
			rc = take_done(&f, &m);
		if (atomic_load(&s->stop[cell])) { /* what is not done is nobody's outcome */
			if (s->runner != NULL)
				s->runner->failing = true;
			runner_end(s);
			return;
		}
		if (rc < 0)
			blame(&f, rc);
	}
}
