/* A lease through a runner: two runs in flight, each about RUN_US long. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/text.h"
#include "jobs/ids.h"
#include "jobs/plan.h"
#include "worker/run/blame.h"
#include "worker/run/runner_impl.h"

#define RUN_US (40 * USEC_PER_MSEC)
#define RUNS_MAX 2
#define REST_EVERY_US (200 * USEC_PER_MSEC) /* at the first answer, then so often: it only grows */
#define RUN_SHARDS 65536u		    /* of one run */
#define ITEMS_SHARDS 256u		    /* of one run that carries items */

struct flight {
	struct range runs[RUNS_MAX]; /* taken from the cell, not done; oldest first */
	uint32_t count;
	uint32_t sent;		 /* how many of them the present runner was told */
	off_t said_at[RUNS_MAX]; /* how long the runner's stderr was when it was told of the run */
	uint64_t probing;	 /* shards that are sent one at a time: one of them may have ended a runner */
	usec_t since_us;	 /* when the oldest began */
	struct slot *slot;
	struct work *work;
	uint32_t cell;
	uint32_t chunk;
	uint32_t segment;   /* where the results of the last answer are; 0: there were none */
	struct totals took; /* by the runner, not yet in a verdict */
	struct error why;
};

/* What the runner took since it was last looked at. Some of it is looked at less often: that costs more. */
static void look_at_usage(struct flight *f)
{
	struct runner *r = f->slot->runner;
	struct totals seen, came;
	usec_t now;

	if (r == NULL)
		return;
	seen = r->totals;
	process_cheap_totals(r->process.pid, &seen);
	if (seen.cpu_us <= r->totals.cpu_us)
		return;
	now = clock_mono_us();
	if (now >= r->rest_due_us) {
		process_other_totals(r->process.pid, &seen);
		r->rest_due_us = now + REST_EVERY_US;
	}
	came = totals_since(&seen, &r->totals);
	totals_add(&f->took, &came);
	totals_add(&r->totals, &came);
}

/* Sums stand in one verdict, maxima in each that follows. */
static void put_usage(struct flight *f, struct verdict *v)
{
	totals_add(&v->totals, &f->took);
	f->took = totals_since(&f->took, &f->took);
}

static void record(struct flight *f, struct range r, usec_t run_us, uint64_t bytes)
{
	struct verdict v = {.done = true, .totals = {.run_us = (uint64_t)run_us, .output_bytes = bytes}};

	if (r.count == 0)
		return;
	v.segment = bytes > 0 ? f->segment : 0;
	v.last = f->count == 1 && f->runs[0].count == r.count && slot_is_last(f->slot, f->cell);
	put_usage(f, &v);
	slot_record(f->slot, f->cell, f->work->arm.token, r, &v);
}

static void record_failure(struct flight *f, const struct failure *failed, uint32_t segment, usec_t run_us)
{
	struct verdict v = {.kind = failed->kind,
			    .code = failed->code,
			    .segment = segment,
			    .totals.run_us = (uint64_t)run_us};

	put_usage(f, &v);
	snprintf(v.why, sizeof v.why, "%.*s", (int)failed->why.size,
		 failed->why.size > 0 ? (const char *)failed->why.data : "");
	slot_record(f->slot, f->cell, f->work->arm.token, (struct range){failed->first, failed->count}, &v);
}

/* For shards that have failed: what the runner wrote to stderr while it had them. The segment, or 0. */
static uint32_t keep_said(struct flight *f, const struct failure *failed, uint32_t count, struct bytes said)
{
	uint32_t segment = 0;

	if (output_keep_said(f->slot->shared->output, f->work->arm.token, failed, count, said,
			     f->work->arm.run->run.durable_output, &segment, NULL) < 0)
		return 0;
	return segment;
}

static uint32_t keep_said_meanwhile(struct flight *f, const struct failure_list *failed)
{
	struct buf said = {0};
	uint32_t segment;

	if (failed->count == 0)
		return 0;
	runner_read_said(f->slot->runner, f->said_at[0], &said);
	segment = keep_said(f, failed->items, failed->count, buf_bytes(&said));
	buf_fini(&said);
	return segment;
}

/* Sending */

/* The run is the next that was not sent. What a runner wrote at its start belongs to its first one. */
static void send_run(struct flight *f, struct range run)
{
	struct runner *r = f->slot->runner;

	f->said_at[f->sent++] = r->told_job == 0 ? 0 : runner_said_end(r);
	if (r->told_job != f->work->arm.job)
		runner_encode_job(&f->work->arm, r->format, &r->tx);
	r->told_job = f->work->arm.job;
	runner_encode_run(&f->work->arm, &f->work->slice, run, r->format, &r->tx);
}

static bool take_run(struct flight *f)
{
	uint8_t kind = f->work->arm.parameters->plan.kind;
	uint32_t max = plan_row(kind)->input == PLAN_INPUT_ITEM ? ITEMS_SHARDS : RUN_SHARDS;
	struct range run = cell_take(&f->slot->cells[f->cell], f->chunk < max ? f->chunk : max);

	if (run.count > 0)
		f->runs[f->count++] = run;
	return run.count > 0;
}

/* What the runner is to answer next. */
static struct range asked(const struct flight *f)
{
	struct range run = f->runs[0];

	if (f->probing > 0)
		run.count = 1;
	return run;
}

/* Takes more from the cell while fewer than two runs are under way, and sends what is not sent. */
static void fill(struct flight *f)
{
	if (f->slot->runner->closed)
		return;
	if (f->sent == 0) {
		f->since_us = clock_mono_us();
		send_run(f, asked(f));
	}
	if (f->probing > 0)
		return;
	while (f->count < RUNS_MAX && take_run(f))
		;
	while (f->sent < f->count)
		send_run(f, f->runs[f->sent]);
}

/* What is behind the oldest run's first shards is to be answered now. */
static void advance(struct flight *f, uint32_t count)
{
	f->since_us = clock_mono_us();
	f->runs[0].first += count;
	f->runs[0].count -= count;
	if (f->probing > 0) {
		f->probing -= count;
		f->sent = 0;
	}
	if (f->runs[0].count > 0)
		return;
	f->runs[0] = f->runs[1];
	f->said_at[0] = f->said_at[1];
	f->count--;
	f->sent -= f->sent > 0;
}

/* Of shards that take so long, in 1/1024 us. */
static uint32_t chunk_of(usec_t shard_us)
{
	uint64_t chunk = shard_us == 0 ? RUN_SHARDS : (uint64_t)(RUN_US * 1024 / shard_us);

	return chunk < 1 ? 1 : chunk > RUN_SHARDS ? RUN_SHARDS : (uint32_t)chunk;
}

/* Of a lease: the runner that has done others of its job goes on as it was, one of another job carefully. */
static uint32_t first_chunk(struct slot *s, struct work *w)
{
	if (w->has_command) /* none served when the lease was looked at */
		return 1;
	if (s->runner->told_job == w->arm.job)
		return chunk_of(s->runner->shard_us);
	return s->runner->shard_us < USEC_PER_MSEC * 1024 ? 64 : 1;
}

/* A run of about RUN_US from the next time on, at most twice the last. */
static void adapt(struct flight *f, uint32_t count, usec_t us)
{
	struct runner *r = f->slot->runner;
	usec_t per = us * 1024 / count;
	uint32_t chunk;

	r->shard_us = r->shard_us == 0 ? per : (3 * r->shard_us + per) / 4;
	chunk = chunk_of(r->shard_us);
	f->chunk = chunk > 2ull * f->chunk ? 2 * f->chunk : chunk;
}

/* Receiving */

static int by_failed(const void *a, const void *b)
{
	const struct failure *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

static int by_result(const void *a, const void *b)
{
	const struct runner_result *x = a, *y = b;

	return x->shard < y->shard ? -1 : x->shard > y->shard;
}

/* Sorts the lists, and finds what is there twice. */
static bool has_repeats(struct runner_message *m)
{
	if (m->failed.count > 1)
		qsort(m->failed.items, m->failed.count, sizeof *m->failed.items, by_failed);
	if (m->result_count > 1)
		qsort(m->results, m->result_count, sizeof *m->results, by_result);
	for (uint32_t i = 1; i < m->failed.count; i++)
		if (m->failed.items[i].first == m->failed.items[i - 1].first)
			return true;
	for (uint32_t i = 1; i < m->result_count; i++)
		if (m->results[i].shard == m->results[i - 1].shard)
			return true;
	return false;
}

static int check_done(struct flight *f, struct runner_message *m)
{
	struct range want = asked(f);

	if (m->type != RUNNER_DONE)
		return error_set(&f->why, ERR_INVALID, "the runner says hello in the middle of its work");
	if (m->done.first != want.first || m->done.count > want.count)
		return error_set(&f->why, ERR_INVALID,
				 "the runner answers shards %u to %llu, but %u to %llu are next",
				 m->done.first, (unsigned long long)range_end(m->done) - 1, want.first,
				 (unsigned long long)range_end(want) - 1);
	if (has_repeats(m))
		return error_set(&f->why, ERR_INVALID, "the runner's answer names a shard twice");
	return 0;
}

static uint64_t output_bound(const struct flight *f)
{
	uint64_t own = f->work->arm.run->run.output_bytes_max;

	return own != 0 ? own : f->slot->shared->output_bytes_max;
}

static bool has_failed(const struct runner_message *m, uint32_t shard)
{
	const struct failure key = {.first = shard};

	return m->failed.count > 0 &&
	       bsearch(&key, m->failed.items, m->failed.count, sizeof *m->failed.items, by_failed) != NULL;
}

/* All results of an answer that can be kept, at once: a shard of microseconds has no time for writes of
 * its own. */
static int keep_results(struct flight *f, const struct runner_message *m)
{
	uint64_t bound = output_bound(f);
	struct shard_output *kept;
	uint32_t count = 0;

	if (m->result_count == 0)
		return 0;
	kept = arena_alloc(&f->slot->runner->arena, m->result_count * sizeof *kept);
	for (uint32_t i = 0; i < m->result_count; i++) {
		const struct runner_result *r = &m->results[i];

		if (r->output.size > 0 && output_check(r->output, bound, NULL) == 0 &&
		    !has_failed(m, r->shard))
			kept[count++] = (struct shard_output){r->shard, r->output};
	}
	return output_append(f->slot->shared->output, f->work->arm.token, kept, count,
			     f->work->arm.run->run.durable_output, &f->segment, &f->why);
}

/* rc: ERR_LIMIT when the result is over its bound, else it could not be kept here. */
static void fail_result(struct flight *f, struct range shards, int rc, usec_t run_us)
{
	struct failure failed = {.first = shards.first,
				 .count = shards.count,
				 .kind = rc == ERR_LIMIT ? FAILURE_OUTPUT_MAX : FAILURE_OUTPUT};
	char line[400];

	failed.why = bytes_of(error_text(&f->why, line, sizeof line));
	record_failure(f, &failed, 0, run_us);
}

/* Shard by shard: what is not among the failed, and whose result could be kept, is done. */
static void record_each(struct flight *f, const struct runner_message *m, usec_t each)
{
	uint32_t failed = 0, result = 0;
	struct range done = {m->done.first, 0};
	uint64_t bytes = 0, bound = output_bound(f);
	uint32_t said = keep_said_meanwhile(f, &m->failed);
	int kept = keep_results(f, m);

	for (uint64_t n = m->done.first; n < range_end(m->done); n++) {
		bool is_failed = failed < m->failed.count && m->failed.items[failed].first == n;
		const struct runner_result *r =
		    result < m->result_count && m->results[result].shard == n ? &m->results[result++] : NULL;
		int rc = r == NULL || is_failed ? 0
			 : kept < 0		? kept
						: output_check(r->output, bound, &f->why);

		if (!is_failed && rc == 0) {
			bytes += r != NULL ? r->output.size : 0;
			done.count++;
			continue;
		}
		record(f, done, (usec_t)done.count * each, bytes);
		done = (struct range){(uint32_t)n + 1, 0};
		bytes = 0;
		if (is_failed)
			record_failure(f, &m->failed.items[failed++], said, each);
		else
			fail_result(f, (struct range){(uint32_t)n, 1}, rc, each);
	}
	record(f, done, (usec_t)done.count * each, bytes);
}

/* What they wrote together is the first one's in the index. */
static void record_whole(struct flight *f, const struct runner_message *m, usec_t us)
{
	const struct shard_output output = {m->done.first, m->result};
	struct verdict v = {
	    .done = true, .whole = true, .totals = {.run_us = (uint64_t)us, .output_bytes = m->result.size}};
	int rc = output_check(m->result, output_bound(f), &f->why);

	if (rc == 0)
		rc = output_append(f->slot->shared->output, f->work->arm.token, &output, 1,
				   f->work->arm.run->run.durable_output, &v.segment, &f->why);
	if (rc < 0) {
		fail_result(f, m->done, rc, us);
		return;
	}
	put_usage(f, &v);
	slot_record(f->slot, f->cell, f->work->arm.token, m->done, &v);
}

static int take_done(struct flight *f, struct runner_message *m)
{
	usec_t us = clock_mono_us() - f->since_us;
	int rc = check_done(f, m);

	if (rc < 0)
		return rc;
	look_at_usage(f);
	if (m->result.size > 0)
		record_whole(f, m, us);
	else if (m->failed.count == 0 && m->result_count == 0)
		record(f, m->done, us, 0);
	else
		record_each(f, m, us / m->done.count);
	adapt(f, m->done.count, us);
	advance(f, m->done.count);
	return 0;
}

/* When the runner is of no use any more */

/* Its end in words, and another may be started. */
static void end_runner(struct flight *f, int rc, struct failure *failed, struct buf *said, char *why,
		       size_t size)
{
	char words[320];
	enum memory_verdict memory;
	int code;

	if (f->slot->runner == NULL) {
		failed->kind = blame_runner(f->why.code);
		error_text(&f->why, why, size);
		return;
	}
	f->slot->runner->failing = rc != ERR_CLOSED;
	memory = runner_end_told(f->slot, f->sent > 0 ? f->said_at[0] : 0, said, words, sizeof words, &code);
	failed->code = code;
	snprintf(why, size, "%.100s%s%.280s", f->why.what, text_joint(bytes_of(words), ": "), words);
	if (memory == MEMORY_SHORT) {
		failed->kind = FAILURE_OOM;
		failed->code = (int64_t)f->slot->memory_bytes;
		snprintf(why, size, "%s", words);
	} else if (rc == ERR_TIMEOUT) {
		failed->kind = FAILURE_TIMEOUT;
		failed->code = f->work->arm.run->run.timeout_us;
	}
}

/* The shard in work fails when it was the only one that the runner had. Else nobody knows which one it
 * was: they are sent again, one at a time. */
static void blame(struct flight *f, int rc)
{
	struct failure failed = {.first = f->runs[0].first, .count = 1, .kind = FAILURE_RUNNER};
	usec_t us = clock_mono_us() - f->since_us;
	uint64_t suspects = 0;
	struct buf said = {0};
	char why[400];

	for (uint32_t i = 0; i < f->sent; i++)
		suspects += f->runs[i].count;
	look_at_usage(f);
	end_runner(f, rc, &failed, &said, why, sizeof why);
	f->sent = 0;
	f->chunk = 1;
	if (f->probing == 0 && suspects > 1) {
		f->probing = suspects;
	} else {
		failed.why = bytes_of(why);
		record_failure(f, &failed, keep_said(f, &failed, 1, buf_bytes(&said)), us);
		advance(f, 1);
	}
	buf_fini(&said);
}

/* A runner for this work that was told nothing yet. */
static int ready(struct flight *f)
{
	char token[TOKEN_TEXT_BYTES], id[ATTEMPT_ID_BYTES];

	if (f->sent > 0 || runner_serves(f->slot, f->work))
		return 0;
	token_text(f->work->arm.token, token);
	snprintf(id, sizeof id, "%s-runner", token);
	return runner_start(f->slot, f->work, id, &f->why);
}

void runner_run_cell(struct slot *s, struct work *w, uint32_t cell)
{
	struct flight f = {.slot = s, .work = w, .cell = cell};
	usec_t timeout = w->arm.run->run.timeout_us;

	f.chunk = first_chunk(s, w);
	if (s->runner != NULL)
		runner_trim_words(s->runner);
	while (f.count > 0 || take_run(&f)) {
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
