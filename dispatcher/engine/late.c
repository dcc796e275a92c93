/* Leases that cannot go at once, because what their shards are has to be read: items of a plan blob, or who
 * made what a gather reads. That happens in another thread, and it may fail: a disk has trouble, no
 * descriptor or memory is left. Such trouble is the dispatcher's, not the job's: the lease stays with its
 * worker, who has not heard of it yet, and is sent when it can be read. Only when that stays so, or when what
 * is read is damaged, the job has failed. Other leases go their way meanwhile. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "dispatcher/engine/engine_private.h"
#include "jobs/kinds.h"

#define READS_MAX 16u /* at one time: they bound the memory of slices */
#define FIRST_WAIT_US (250 * USEC_PER_MSEC)
#define TRIES_MAX 7 /* 32 s in all */

struct late_lease {
	struct late_lease *prev, *next;
	uint64_t peer, session;
	struct lease lease;
	struct arena arena; /* of the lease's texts */
	uint32_t tries;
	uint32_t keep_end;    /* shards from here on were asked back meanwhile */
	uint64_t read;	      /* it is being read; 0: it waits for one of these: */
	uint64_t history_lsn; /* a gather: history has to pass it */
	usec_t due_us;	      /* after trouble */
};

static void late_remove(struct engine *e, struct late_lease *l)
{
	if (l->read != 0)
		e->late.reads--;
	DL_DELETE(e->late.first, l);
	arena_fini(&l->arena);
	free(l);
}

/* ---- reading ---- */

static void read_now(struct engine *e, struct late_lease *l)
{
	struct arena arena;
	struct job_parameters job;
	struct slice_request rq = {.job = l->lease.job,
				   .phase = l->lease.phase,
				   .shards = {l->lease.first, l->lease.count},
				   .bytes_max = SLICE_BYTES_MAX};

	arena_init(&arena, 0);
	if (dispatcher_view_is_leased(e->core, l->lease.token) &&
	    dispatcher_view_parameters(e->core, rq.job, rq.phase, &arena, &job)) {
		rq.plan = job.plan;
		l->read = ++e->late.last_read;
		e->late.reads++;
		e->ops->read(e->arg, l->read, &rq);
	} else {
		late_remove(e, l);
	}
	arena_fini(&arena);
}

static bool may_read(const struct engine *e, const struct late_lease *l, usec_t now_us)
{
	return l->read == 0 && e->history_lsn >= l->history_lsn && now_us >= l->due_us;
}

/* As many as may be read at one time, those that wait longest first. */
static void read_some(struct engine *e)
{
	usec_t now_us = engine_now_us(e);
	struct late_lease *l, *next;

	DL_FOREACH_SAFE(e->late.first, l, next)
	{
		if (e->late.reads >= READS_MAX)
			return;
		if (may_read(e, l, now_us))
			read_now(e, l);
	}
}

/* What a gather reads is complete once history knows all that became of the phase before. */
static uint64_t history_lsn_of(struct engine *e, const struct lease *l)
{
	struct view_job v;
	struct arena arena;
	uint64_t lsn = 0;

	arena_init(&arena, 0);
	if (dispatcher_view_job(e->core, l->job, &arena, &v))
		lsn = v.last_done_lsn;
	arena_fini(&arena);
	return lsn;
}

static struct late_lease *late_add(struct engine *e, uint64_t peer, uint64_t session, const struct lease *l)
{
	struct late_lease *late = check_calloc(1, sizeof(*late));

	arena_init(&late->arena, 0);
	late->peer = peer;
	late->session = session;
	CHECK(codec_copy(codec_lease(), l, &late->lease, &late->arena));
	late->keep_end = l->first + l->count;
	late->history_lsn = history_lsn_of(e, l);
	DL_APPEND(e->late.first, late);
	return late;
}

void late_read(struct engine *e, uint64_t peer, uint64_t session, const struct lease *l)
{
	(void)late_add(e, peer, session, l);
	read_some(e);
}

usec_t late_deadline(const struct engine *e)
{
	usec_t due_us = USEC_NEVER;
	const struct late_lease *l;

	if (e->late.reads >= READS_MAX)
		return USEC_NEVER;
	DL_FOREACH (e->late.first, l)
		if (l->read == 0 && e->history_lsn >= l->history_lsn && l->due_us < due_us)
			due_us = l->due_us;
	return due_us;
}

void late_tick(struct engine *e)
{
	read_some(e);
}

/* ---- what became of it ---- */

static bool is_final(enum error_code code)
{
	return code == ERR_CORRUPT || code == ERR_LIMIT || code == ERR_INVALID || code == ERR_VERSION;
}

static bool is_known(const struct engine *e, uint64_t job)
{
	const struct late_lease *l;

	DL_FOREACH (e->late.first, l)
		if (l->lease.job == job && l->tries > 0)
			return true;
	return false;
}

static void say(struct engine *e, bool again, uint64_t job, const char *why)
{
	char line[SAY_BYTES];

	snprintf(line, sizeof(line), "the plan of the job cannot be read: %s: %s",
		 again ? "it is tried again" : "the job has failed", why);
	engine_say(e, true, job, line);
}

static void trouble(struct engine *e, struct late_lease *l, const struct error *why)
{
	char line[SAY_BYTES - 100];

	error_text(why, line, sizeof(line));
	if (is_final(why->code) || l->tries >= TRIES_MAX) {
		say(e, false, l->lease.job, line);
		engine_later(e, INPUT_PLAN_FAILED,
			     &(struct input_plan_failed){.job = l->lease.job,
							 .phase = l->lease.phase,
							 .kind = FAILURE_PLAN,
							 .final = true,
							 .why = bytes_of(line)});
		late_remove(e, l);
		return;
	}
	if (!is_known(e, l->lease.job))
		say(e, true, l->lease.job, line);
	l->due_us = engine_now_us(e) + (FIRST_WAIT_US << l->tries);
	l->tries++;
}

void late_fail(struct engine *e, uint64_t peer, uint64_t session, const struct lease *l,
	       const struct error *why)
{
	trouble(e, late_add(e, peer, session, l), why);
}

void engine_read(struct engine *e, uint64_t read, struct bytes slice, uint32_t count, const struct error *why)
{
	struct late_lease *l;
	uint32_t end;

	DL_FOREACH (e->late.first, l)
		if (l->read == read)
			break;
	if (l == NULL)
		return;
	l->read = 0;
	e->late.reads--;
	if (!dispatcher_view_is_leased(e->core, l->lease.token)) { /* its worker was lost meanwhile */
		late_remove(e, l);
	} else if (why != NULL) {
		trouble(e, l, why);
	} else {
		end = l->lease.first + count;
		leases_send_one(e, l->peer, l->session, &l->lease, slice,
				end < l->keep_end ? end : l->keep_end);
		late_remove(e, l);
	}
	read_some(e);
	e->ops->wake(e->arg);
}

/* ---- what is asked back before it has gone out ---- */

bool late_revoke(struct engine *e, uint64_t peer, const struct revoked *r)
{
	struct late_lease *l;

	DL_FOREACH (e->late.first, l) {
		if (l->peer != peer || l->lease.token.epoch != r->token.epoch ||
		    l->lease.token.lease != r->token.lease)
			continue;
		if (r->keep_end < l->keep_end)
			l->keep_end = r->keep_end;
		return true;
	}
	return false;
}

void late_fini(struct engine *e)
{
	while (e->late.first != NULL)
		late_remove(e, e->late.first);
}
