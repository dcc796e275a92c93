/* Leases through a runner: runs in flight, each about RUN_US long, and what becomes of them. */
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
#include "worker/run/runner_flight.h"

#define REST_EVERY_US (200 * USEC_PER_MSEC) /* at the first answer, then so often: it only grows */

/* What the runner took since it was last looked at: once for all answers that came together. Some of it is
 * looked at less often: that costs more. */
static void look_at_usage(struct flight *f)
{
	struct runner *r = f->slot->runner;
	struct totals seen, came;
	usec_t now;

	if (r == NULL || r->usage_look == r->looks)
		return;
	r->usage_look = r->looks;
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

/* The oldest run's. */
static void record(struct flight *f, struct range r, usec_t run_us, uint64_t bytes)
{
	const struct flight_run *run = flight_run_at(f, 0);
	struct verdict v = {.done = true, .totals = {.run_us = (uint64_t)run_us, .output_bytes = bytes}};

	if (r.count == 0)
		return;
	v.segment = bytes > 0 ? f->segment : 0;
	v.last =
	    run->lease->runs == 1 && run->shards.count == r.count && slot_is_last(f->slot, run->lease->cell);
	put_usage(f, &v);
	slot_record(f->slot, run->lease->cell, run->lease->work.arm.token, r, &v);
}

static void record_failure(struct flight *f, const struct failure *failed, uint32_t segment, usec_t run_us)
{
	const struct flight_lease *l = flight_run_at(f, 0)->lease;
	struct verdict v = {.kind = failed->kind,
			    .code = failed->code,
			    .segment = segment,
			    .totals.run_us = (uint64_t)run_us};

	put_usage(f, &v);
	snprintf(v.why, sizeof v.why, "%.*s", (int)failed->why.size,
		 failed->why.size > 0 ? (const char *)failed->why.data : "");
	slot_record(f->slot, l->cell, l->work.arm.token, (struct range){failed->first, failed->count}, &v);
}

/* For shards that have failed: what the runner wrote to stderr while it had them. The segment, or 0. */
static uint32_t keep_said(struct flight *f, const struct failure *failed, uint32_t count, struct bytes said)
{
	const struct worker_arm *arm = &flight_run_at(f, 0)->lease->work.arm;
	uint32_t segment = 0;

	if (output_keep_said(f->slot->shared->output, arm->token, failed, count, said,
			     arm->run->run.durable_output, &segment, NULL) < 0)
		return 0;
	return segment;
}

static uint32_t keep_said_meanwhile(struct flight *f, const struct failure_list *failed)
{
	struct buf said = {0};
	uint32_t segment;

	if (failed->count == 0)
		return 0;
	runner_read_said(f->slot->runner, flight_run_at(f, 0)->said_at, &said);
	segment = keep_said(f, failed->items, failed->count, buf_bytes(&said));
	buf_fini(&said);
	return segment;
}

/* Sending */

/* The run is the next that was not sent; the runner has written so much to stderr by now. What it wrote at
 * its start belongs to its first one. */
static void send_run(struct flight *f, struct flight_run *run, uint32_t count, off_t said)
{
	const struct worker_arm *arm = &run->lease->work.arm;
	struct runner *r = f->slot->runner;

	run->said_at = r->told_job == 0 ? 0 : said;
	f->sent++;
	if (r->told_job != arm->job)
		runner_encode_job(arm, r->format, &r->tx);
	r->told_job = arm->job;
	runner_encode_run(arm, &run->lease->work.slice, (struct range){run->shards.first, count}, r->format,
			  &r->tx);
}

/* What the runner is to answer next. */
static struct range asked(struct flight *f)
{
	struct range run = flight_run_at(f, 0)->shards;

	if (f->probing > 0)
		run.count = 1;
	return run;
}

/* Takes more while there is room, and sends what is not sent. */
static void fill(struct flight *f)
{
	struct flight_run *run;
	off_t said = -1; /* of all that are sent together */

	if (f->slot->runner->closed)
		return;
	if (f->sent == 0) {
		f->since_us = clock_mono_us();
		said = runner_said_end(f->slot->runner);
		send_run(f, flight_run_at(f, 0), asked(f).count, said);
	}
	if (f->probing > 0)
		return;
	while (flight_take(f))
		;
	while (f->sent < f->run_count) {
		run = flight_run_at(f, f->sent);
		if (said < 0)
			said = runner_said_end(f->slot->runner);
		send_run(f, run, run->shards.count, said);
	}
}

/* What is behind the oldest run's first shards is to be answered now. */
static void advance(struct flight *f, uint32_t count)
{
	f->since_us = clock_mono_us();
	flight_advance(f, count);
	flight_settle(f);
}

/* A run of about RUN_US from the next time on, at most twice the last. */
static void adapt(struct flight *f, uint32_t count, usec_t us)
{
	struct runner *r = f->slot->runner;
	usec_t per = us * 1024 / count;
	struct flight_lease *l = flight_run_at(f, 0)->lease;
	uint32_t chunk;

	r->shard_us = r->shard_us == 0 ? per : (3 * r->shard_us + per) / 4;
	chunk = runner_chunk_of(r->shard_us);
	l->chunk = chunk > 2ull * l->chunk ? 2 * l->chunk : chunk;
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

static uint64_t output_bound(struct flight *f)
{
	uint64_t own = flight_run_at(f, 0)->lease->work.arm.run->run.output_bytes_max;

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
	const struct worker_arm *arm = &flight_run_at(f, 0)->lease->work.arm;
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
	return output_append(f->slot->shared->output, arm->token, kept, count, arm->run->run.durable_output,
			     &f->segment, &f->why);
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
	const struct flight_lease *l = flight_run_at(f, 0)->lease;
	const struct worker_arm *arm = &l->work.arm;
	struct verdict v = {
	    .done = true, .whole = true, .totals = {.run_us = (uint64_t)us, .output_bytes = m->result.size}};
	int rc = output_check(m->result, output_bound(f), &f->why);

	if (rc == 0)
		rc = output_append(f->slot->shared->output, arm->token, &output, 1,
				   arm->run->run.durable_output, &v.segment, &f->why);
	if (rc < 0) {
		fail_result(f, m->done, rc, us);
		return;
	}
	put_usage(f, &v);
	slot_record(f->slot, l->cell, arm->token, m->done, &v);
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
	memory = runner_end_told(f->slot, f->sent > 0 ? flight_run_at(f, 0)->said_at : 0, said, words,
				 sizeof words, &code);
	failed->code = code;
	snprintf(why, size, "%.100s%s%.280s", f->why.what, text_joint(bytes_of(words), ": "), words);
	if (memory == MEMORY_SHORT) {
		failed->kind = FAILURE_OOM;
		failed->code = (int64_t)f->slot->memory_bytes;
		snprintf(why, size, "%s", words);
	} else if (rc == ERR_TIMEOUT) {
		failed->kind = FAILURE_TIMEOUT;
		failed->code = flight_run_at(f, 0)->lease->work.arm.run->run.timeout_us;
	}
}

/* The shard in work fails when it was the only one that the runner had. Else nobody knows which one it
 * was: they are sent again, one at a time. */
static void blame(struct flight *f, int rc)
{
	struct flight_run *oldest = flight_run_at(f, 0);
	struct failure failed = {.first = oldest->shards.first, .count = 1, .kind = FAILURE_RUNNER};
	usec_t us = clock_mono_us() - f->since_us;
	uint64_t suspects = 0;
	struct buf said = {0};
	char why[400];

	for (uint32_t i = 0; i < f->sent; i++)
		suspects += flight_run_at(f, i)->shards.count;
	look_at_usage(f);
	end_runner(f, rc, &failed, &said, why, sizeof why);
	f->sent = 0;
	oldest->lease->chunk = 1;
	if (f->probing == 0 && suspects > 1) {
		f->probing = suspects;
	} else {
		failed.why = bytes_of(why);
		record_failure(f, &failed, keep_said(f, &failed, 1, buf_bytes(&said)), us);
		advance(f, 1);
	}
	buf_fini(&said);
}

static bool is_stopped(void *flight)
{
	return flight_is_stopped(flight);
}

/* A runner for this work that was told nothing yet. */
static int ready(struct flight *f)
{
	struct work *w = &flight_run_at(f, 0)->lease->work;
	char token[TOKEN_TEXT_BYTES], id[ATTEMPT_ID_BYTES];

	if (f->sent > 0 || runner_serves(f->slot, w))
		return 0;
	token_text(w->arm.token, token);
	snprintf(id, sizeof id, "%s-runner", token);
	return runner_start(f->slot, w, id, is_stopped, f, &f->why);
}

/* What is not done of those leases is nobody's outcome; the others' shards are sent again. */
static void stop(struct flight *f)
{
	if (f->slot->runner != NULL)
		f->slot->runner->failing = true;
	runner_end(f->slot);
	flight_drop_stopped(f);
}

/* Until the next outcome. */
static void go_on(struct flight *f)
{
	usec_t timeout = flight_run_at(f, 0)->lease->work.arm.run->run.timeout_us;
	struct runner_message m;
	int rc = ready(f);

	if (rc == 0) {
		fill(f);
		rc = runner_receive(f->slot, timeout == 0 ? USEC_NEVER : f->since_us + timeout, is_stopped, f,
				    &m, &f->why);
	}
	if (rc > 0)
		rc = take_done(f, &m);
	if (flight_is_stopped(f))
		stop(f);
	else if (rc < 0)
		blame(f, rc);
}

void runner_run_cells(struct slot *s, struct work *first)
{
	struct flight *f = check_calloc(1, sizeof *f);

	flight_init(f, s, first);
	if (s->runner != NULL)
		runner_trim_words(s->runner);
	while (flight_settle(f), f->run_count > 0 || flight_take(f))
		go_on(f);
	free(f);
}
