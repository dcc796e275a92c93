/* A queue's settings change, and what they refuse at submission. People are refused; a job that a rule makes
 * of an event is always taken: it counts, and waits in line as the others do, since what was accepted of an
 * event may not be lost. */
#include <stdio.h>

#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/durable/definition_table.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/volatile/limits_impl.h"
#include "base/units.h"
#include "jobs/principal.h"

#define OLDEST_WALK_MAX 1000 /* jobs that are passed to find the oldest one of a queue */

/* ---- settings ---- */

static bool is_as_asked(const struct queue_row *row, const struct queue_changed *r)
{
	struct queue_changed now;

	if (row == NULL)
		return queue_settings_are_default(r);
	now = row->as;
	now.wall_us = r->wall_us;
	now.by = r->by;
	return codec_equal(codec_queue_changed(), &now, r);
}

void step_queue_set(struct dispatcher_core *core, const struct input_queue_set *in)
{
	const struct queue_row *row = queue_row_find(&core->d, in->as.name);
	struct queue_changed r = in->as;
	struct error err = {0};
	int rc = queue_settings_check(&r, &err);

	if (rc == 0)
		rc = principal_check(&r.by, &err);
	if (rc == 0 && row == NULL && HASH_COUNT(core->d.queues) >= QUEUE_ROWS_MAX)
		rc = error_set(&err, ERR_LIMIT, "%d queues have settings of their own: no more may",
			       QUEUE_ROWS_MAX);
	if (rc < 0) {
		reply_error(core, in->request, (enum error_code)rc, step_text(core, "%s", err.what));
		return;
	}
	r.wall_us = core->wall_us;
	if (!r.paused)
		r.why = BYTES(NULL, 0);
	if (is_as_asked(row, &r)) {
		reply_ok(core, in->request, 0, 0, true, core->d.last_lsn);
		return;
	}
	emit(core, RECORD_QUEUE_CHANGED, &r);
	limits_set(core, r.name);
	reply_ok(core, in->request, 0, 0, false, core->d.last_lsn);
}

/* ---- submissions ---- */

struct asked {
	struct dispatcher_core *core;
	const struct queue *q;
	const struct new_job *job;
	uint32_t earlier; /* that come with it */
	struct bytes owner;
};

static bool is_person(const struct principal *p)
{
	return p->kind == 0 || p->kind == BY_UID || p->kind == BY_TOKEN;
}

/* user:NAME, user:NUMBER or token:NAME. */
static bool is_named(const struct principal *p, struct bytes text)
{
	char words[KEY_BYTES_MAX + 16];

	if (p->kind == BY_UID) {
		snprintf(words, sizeof words, "user:%llu", (unsigned long long)p->number);
		if (bytes_equal(bytes_of(words), text))
			return true;
	}
	if (p->name.size == 0 || p->kind == 0)
		return false;
	snprintf(words, sizeof words, "%s:%.*s", p->kind == BY_UID ? "user" : "token", (int)p->name.size,
		 (const char *)p->name.data);
	return bytes_equal(bytes_of(words), text);
}

static int check_submitter(const struct asked *a, struct error *reterr)
{
	const struct text_item_list *list = &a->q->row->as.submitters;
	struct buf words = {0};

	for (uint32_t i = 0; i < list->count; i++)
		if (is_named(&a->job->by, list->items[i].text))
			return 0;
	if (list->count == 0)
		return 0;
	principal_words(&a->job->by, &words);
	error_set(reterr, ERR_DENIED, "%s may not submit to queue %.*s",
		  words.size > 0 ? buf_text(&words) : "nobody known", (int)a->q->name.size,
		  (const char *)a->q->name.data);
	buf_fini(&words);
	return ERR_DENIED;
}

/* What can never run is not taken. */
static int check_cpus(const struct asked *a, const struct definition_body *def, struct error *reterr)
{
	uint64_t of_queue = a->q->row->as.limits.cpu_milli, of_owner = a->q->row->as.owner_limits.cpu_milli;
	uint64_t most = of_queue > 0 && (of_owner == 0 || of_queue < of_owner) ? of_queue : of_owner,
		 need = 0;
	char has[UNITS_TEXT_MAX], wants[UNITS_TEXT_MAX];

	for (uint32_t i = 0; i < def->phases.count; i++)
		if (def->phases.items[i].policy.shape.cpu_milli > need)
			need = def->phases.items[i].policy.shape.cpu_milli;
	if (most == 0 || need <= most)
		return 0;
	return error_set(reterr, ERR_LIMIT, "a shard needs %s cpus, and queue %.*s may use %s%s at a time",
			 units_format_cpus((uint32_t)need, wants, sizeof wants), (int)a->q->name.size,
			 (const char *)a->q->name.data, units_format_cpus((uint32_t)most, has, sizeof has),
			 most == of_queue ? "" : " for each owner");
}

/* ", of which job 17 is the oldest" */
static const char *oldest(const struct asked *a)
{
	uint64_t job = job_table_next(&a->core->d.jobs, 0);

	for (uint32_t i = 0; i < OLDEST_WALK_MAX && job != 0; i++) {
		const struct job_row *row = job_get_live(a->core, job);

		if (row != NULL && job_definition(a->core, row)->queue == a->q)
			return step_text(a->core, ", the oldest is job %llu", (unsigned long long)job);
		job = job_table_next(&a->core->d.jobs, job);
	}
	return "";
}

static int check_live(const struct asked *a, const struct queue_owner *o, struct error *reterr)
{
	uint64_t most = a->q->row->as.limits.jobs, own = a->q->row->as.owner_limits.jobs;

	if (most > 0 && a->q->live_jobs + a->earlier >= most)
		return error_set(reterr, ERR_BUSY,
				 "queue %.*s may have %llu jobs that have not ended, and has %llu%s",
				 (int)a->q->name.size, (const char *)a->q->name.data,
				 (unsigned long long)most, (unsigned long long)a->q->live_jobs, oldest(a));
	if (own > 0 && (o != NULL ? o->live_jobs : 0) + a->earlier >= own)
		return error_set(reterr, ERR_BUSY,
				 "each owner may have %llu jobs that have not ended in queue %.*s, and %.*s "
				 "has %llu",
				 (unsigned long long)own, (int)a->q->name.size, (const char *)a->q->name.data,
				 (int)a->owner.size, (const char *)a->owner.data,
				 (unsigned long long)(o != NULL ? o->live_jobs : 0));
	return 0;
}

/* A second's worth at once, then one after each interval (the generic cell rate algorithm, ITU-T I.371). */
static usec_t after_one_more(usec_t next_us, usec_t now_us, uint64_t milli, uint32_t jobs)
{
	usec_t interval = (usec_t)(1000 * (uint64_t)USEC_PER_SEC / milli);

	return (next_us > now_us ? next_us : now_us) + jobs * (interval > 0 ? interval : 1);
}

static bool is_too_soon(usec_t next_us, usec_t now_us, uint64_t milli, uint32_t jobs)
{
	usec_t interval = (usec_t)(1000 * (uint64_t)USEC_PER_SEC / milli);
	usec_t burst = interval > USEC_PER_SEC ? interval : USEC_PER_SEC;

	return after_one_more(next_us, now_us, milli, jobs) - now_us > burst;
}

static int refuse_rate(const struct asked *a, uint64_t milli, const char *of, struct error *reterr)
{
	char rate[UNITS_TEXT_MAX];

	return error_set(reterr, ERR_BUSY, "queue %.*s takes %s submissions a second%s, and had as many",
			 (int)a->q->name.size, (const char *)a->q->name.data,
			 units_format_cpus((uint32_t)milli, rate, sizeof rate), of);
}

static int check_rate(const struct asked *a, const struct queue_owner *o, struct error *reterr)
{
	uint64_t all = a->q->row->as.limits.submissions_milli;
	uint64_t own = a->q->row->as.owner_limits.submissions_milli;
	usec_t now = a->core->mono_us;

	if (all > 0 && is_too_soon(a->q->next_submission_us, now, all, a->earlier + 1))
		return refuse_rate(a, all, "", reterr);
	if (own > 0 && is_too_soon(o != NULL ? o->next_submission_us : 0, now, own, a->earlier + 1))
		return refuse_rate(a, own, " of each owner", reterr);
	return 0;
}

int queue_check_submission(struct dispatcher_core *core, const struct new_job_list *jobs, uint32_t n,
			   const struct definition_body *def, struct error *reterr)
{
	const struct new_job *j = &jobs->items[n];
	const struct queue *q = queue_find(core, def->queue);
	struct asked a = {.core = core, .q = q, .job = j, .earlier = n};
	struct queue_owner *o = NULL;
	struct buf words = {0};
	int rc;

	if (q == NULL || q->row == NULL || !is_person(&j->by))
		return 0;
	limits_owner_words(j, &words);
	a.owner = buf_bytes(&words);
	if (words.size > 0)
		HASH_FIND(hh, q->owners, words.data, words.size, o);
	rc = check_submitter(&a, reterr);
	if (rc == 0)
		rc = check_cpus(&a, def, reterr);
	if (rc == 0)
		rc = check_live(&a, o, reterr);
	if (rc == 0)
		rc = check_rate(&a, o, reterr);
	buf_fini(&words);
	return rc;
}

void queue_note_submission(struct dispatcher_core *core, const struct new_job *j, const struct job_row *row)
{
	struct queue *q = job_definition(core, row)->queue;
	struct queue_owner *o = limits_owner(q, row);
	uint64_t all = limits_of(q)->submissions_milli, own = limits_of_owners(q)->submissions_milli;

	if (!is_person(&j->by))
		return;
	if (all > 0)
		q->next_submission_us = after_one_more(q->next_submission_us, core->mono_us, all, 1);
	if (own > 0)
		o->next_submission_us = after_one_more(o->next_submission_us, core->mono_us, own, 1);
}
