/* POST /v1/changes and POST /v1/wait: one request for many jobs. A few hundred are seen to in a turn, so that
 * nobody else waits; what a turn changes is one commit. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/units.h"
#include "dispatcher/api/asker.h"
#include "dispatcher/api/job_json.h"
#include "dispatcher/api/job_waits.h"
#include "dispatcher/api/listener.h"
#include "dispatcher/api/reopen.h"
#include "dispatcher/retention/retention.h"
#include "outputs/segments.h"

#define STEPS_MAX 256u /* jobs in one turn */
#define IN_FLIGHT_MAX 4096u
#define REOPENINGS_MAX 64u
#define ERRORS_MAX 100u
#define FORGET_AHEAD_MAX 2000u /* records that history lacks */
#define NAMED_MAX 20u	       /* jobs that did not succeed, by number */
#define TURN_US USEC_PER_MSEC
#define WAIT_DEFAULT_US (30 * USEC_PER_SEC)
#define TIME_MAX_US (60 * USEC_PER_SEC) /* of one request */

struct job_range {
	uint64_t first, last;
};

/* A job of which history is asked what it was. */
struct many_reopening {
	struct many *many;
	struct reopening *reopening;
	uint64_t job;
	bool over;
};

struct many {
	struct request *request;
	struct loop_timer timer;
	struct job_wait change; /* of the job that has not ended */
	struct port_wait wait;	/* until history has forgotten the last */
	json_t *body;		/* why is borrowed from it */
	struct bytes why;
	struct principal by;
	enum many_what { MANY_WAIT, MANY_CANCEL, MANY_PAUSE, MANY_RESUME, MANY_RETRY, MANY_FORGET } what;
	bool cancelled; /* retry: also jobs that were cancelled */
	usec_t until_us;
	struct job_range *ranges;
	size_t count, at;
	uint64_t job;	   /* the next of ranges[at] */
	struct past *past; /* rows of the next ones; NULL: not asked yet */
	bool stopped;	   /* too many errors, or the time is over */
	size_t in_flight;
	struct many_reopening reopenings[REOPENINGS_MAX];
	struct segments *segments; /* the outputs of many jobs lie in few files */
	uint64_t changed, same, left;
	uint64_t ends[JOB_CANCELLED + 1]; /* by state */
	json_t *errors, *named;
};

static void many_destroy(void *state)
{
	struct many *m = state;

	loop_timer_unset(m->request->services->loop, &m->timer);
	job_wait_cancel(&m->change);
	port_wait_cancel(&m->wait);
	past_drop(m->past);
	for (size_t i = 0; i < REOPENINGS_MAX; i++)
		reopening_destroy(m->reopenings[i].reopening);
	segments_destroy(m->segments);
	json_decref(m->errors);
	json_decref(m->named);
	json_decref(m->body);
	free(m->ranges);
	free(m);
}

static void add_error(struct many *m, uint64_t job, const struct error *e)
{
	const struct api_job_error error = {.id = job, .error = api_error_of(e)};

	json_array_append_new(m->errors, object_write(object_job_error(), &error));
	m->stopped = m->stopped || json_array_size(m->errors) >= ERRORS_MAX;
}

/* ---- the answer ---- */

static json_t *waited_json(struct many *m, uint64_t next)
{
	const struct api_waited waited = {
	    .succeeded = m->ends[JOB_SUCCEEDED],
	    .failed = m->ends[JOB_FAILED],
	    .cancelled = m->ends[JOB_CANCELLED],
	    .not_succeeded = json_incref(m->named),
	    .errors = json_incref(m->errors),
	    .next = next,
	};

	return object_write(object_waited(), &waited);
}

static json_t *changed_json(struct many *m, uint64_t next)
{
	const struct api_changed changed = {
	    .changed = m->changed,
	    .same = m->same,
	    .left = m->left,
	    .errors = json_incref(m->errors),
	    .next = next,
	};

	return object_write(object_changed(), &changed);
}

static void answer(struct many *m)
{
	static const char *const done[] = {[MANY_CANCEL] = "jobs were cancelled",
					   [MANY_PAUSE] = "jobs were paused",
					   [MANY_RESUME] = "jobs were resumed",
					   [MANY_RETRY] = "jobs are tried again",
					   [MANY_FORGET] = "jobs were forgotten"};
	uint64_t next = m->at < m->count ? m->job : 0;

	if (m->changed > 0)
		log_change(&m->by, done[m->what], 0, m->changed);
	request_answer(m->request, MHD_HTTP_OK,
		       m->what == MANY_WAIT ? waited_json(m, next) : changed_json(m, next));
}

/* ---- one of the jobs ---- */

static void on_reply(void *arg, const struct dispatcher_reply *reply)
{
	struct many *m = arg;
	struct error e = {0};

	m->in_flight--;
	if (m->what == MANY_FORGET && reply->code == ERR_OK)
		retention_note_forgotten(m->request->services, reply->job, reply->job);
	if (reply->code == ERR_OK && !reply->duplicate && reply->job_count > 0) {
		m->changed++;
	} else if (reply->code == ERR_OK ||
		   reply->code == ERR_INVALID) { /* INVALID: it has ended meanwhile */
		m->same++;
	} else {
		error_set(&e, reply->code, "%s", reply->why);
		add_error(m, reply->job, &e);
	}
}

static void on_reopened(void *arg, const struct error *e, const struct reopen_counts *counts)
{
	struct many_reopening *r = arg;

	(void)counts;
	r->over = true;
	r->many->in_flight--;
	if (e == NULL)
		r->many->changed++;
	else
		add_error(r->many, r->job, e);
}

/* False: all places are taken. */
static bool reopen(struct many *m, uint64_t job)
{
	for (size_t i = 0; i < REOPENINGS_MAX; i++) {
		struct many_reopening *r = &m->reopenings[i];

		if (r->reopening != NULL && !r->over)
			continue;
		reopening_destroy(r->reopening);
		*r = (struct many_reopening){.many = m, .job = job};
		r->reopening = reopening_create(m->request->api, job, &m->by, m->segments, on_reopened, r);
		m->in_flight++;
		reopening_start(r->reopening);
		return true;
	}
	return false;
}

static void step(struct many *m, uint64_t job)
{
	struct port *p = m->request->services->port;
	struct ticket ticket = {on_reply, m};

	m->in_flight++;
	if (m->what == MANY_CANCEL)
		port_submit(p, INPUT_CANCEL, &(struct input_cancel){.job = job, .why = m->why, .by = m->by},
			    &ticket);
	else if (m->what == MANY_FORGET)
		port_submit(p, INPUT_FORGET,
			    &(struct input_forget){.jobs = {&(struct job_ids){job, 1}, 1}, .by = m->by},
			    &ticket);
	else if (m->what == MANY_RETRY)
		port_submit(p, INPUT_RETRY, &(struct input_retry){.job = job, .by = m->by}, &ticket);
	else
		port_submit(p, INPUT_PAUSE,
			    &(struct input_pause){
				.job = job, .why = m->why, .resume = m->what == MANY_RESUME, .by = m->by},
			    &ticket);
}

/* What has ended is left, but for a retry of what has not succeeded in full. */
static bool see_to_ended(struct many *m, const struct view_job *v)
{
	bool dead = v->counts.dead + v->first_dead > 0;

	if (m->what == MANY_RETRY && (v->state == JOB_FAILED || (v->state == JOB_SUCCEEDED && dead) ||
				      (v->state == JOB_CANCELLED && m->cancelled)))
		return reopen(m, v->job);
	m->left++;
	return true;
}

static bool wait_for(struct many *m, const struct view_job *v)
{
	if (!job_state_is_ended(v->state))
		return false;
	m->ends[v->state]++;
	if (v->state != JOB_SUCCEEDED && json_array_size(m->named) < NAMED_MAX)
		json_array_append_new(m->named, json_integer((json_int_t)v->job));
	return true;
}

/* What lives is left. Not now when history has much to forget already. */
static bool forget(struct many *m, const struct view_job *v)
{
	struct port_view now = port_view(m->request->services->port);

	if (!job_state_is_ended(v->state) && !job_is_lost(v))
		m->left++;
	else if (now.last_lsn - now.history_lsn > FORGET_AHEAD_MAX)
		return false;
	else
		step(m, v->job);
	return true;
}

/* False: not now. */
static bool see_to(struct many *m, uint64_t job)
{
	struct services *s = m->request->services;
	struct arena arena;
	struct view_job v;
	struct error e = {0};
	bool fine = true;
	int rc;

	arena_init(&arena, 0);
	rc = job_view(s, m->past, job, &arena, &v, &e);
	if (rc == 0 && job_is_lost(&v) && m->what != MANY_FORGET)
		rc = job_refuse_lost(&v, &e);
	if (rc == ERR_NOT_FOUND && m->what == MANY_FORGET && retention_has_forgotten(s, job))
		m->same++;
	else if (rc < 0)
		add_error(m, job, &e);
	else if (m->what == MANY_WAIT)
		fine = wait_for(m, &v);
	else if (m->what == MANY_FORGET)
		fine = forget(m, &v);
	else if (job_state_is_ended(v.state))
		fine = see_to_ended(m, &v);
	else if (port_has_room(s->port, &e) < 0)
		fine = false;
	else
		step(m, job);
	arena_fini(&arena);
	return fine;
}

/* ---- what history knows ---- */

static void next_turn(struct many *m)
{
	loop_timer_set(m->request->services->loop, &m->timer, clock_mono_us() + TURN_US);
}

static void advance(const struct many *m, size_t *at, uint64_t *job)
{
	if ((*job)++ == m->ranges[*at].last && ++*at < m->count)
		*job = m->ranges[*at].first;
}

static void forget_past(struct many *m)
{
	past_drop(m->past);
	m->past = NULL;
}

static void on_past(void *arg, struct past *past, int rc, const struct error *e)
{
	struct many *m = arg;

	(void)past;
	if (rc < 0) {
		add_error(m, m->job, e);
		advance(m, &m->at, &m->job);
		forget_past(m);
	}
	next_turn(m);
}

/* Of the job whose turn it is, and of those behind it. */
static void ask_past(struct many *m)
{
	struct services *s = m->request->services;
	uint64_t job = m->job;
	size_t at = m->at;

	forget_past(m);
	m->past = past_create(s, NULL, on_past, m);
	for (size_t n = 0; n < PAST_JOBS_MAX && at < m->count; n++) {
		if (!job_is_of_core(s, job))
			past_add(m->past, job);
		advance(m, &at, &job);
	}
	past_ask(m->past);
}

static bool is_known(const struct many *m)
{
	return job_is_of_core(m->request->services, m->job) ||
	       (m->past != NULL && past_asked(m->past, m->job));
}

/* ---- turns ---- */

static void on_history(void *arg)
{
	answer(arg);
}

/* Who is told that jobs are forgotten finds them nowhere. */
static void finish(struct many *m)
{
	struct port *p = m->request->services->port;

	m->wait = (struct port_wait){.fn = on_history, .arg = m};
	if (m->what == MANY_FORGET && m->changed > 0)
		port_when_in_history(p, port_view(p).last_lsn, &m->wait);
	else
		answer(m);
}

static void on_change(void *arg, bool late);

static void wait_for_change(struct many *m)
{
	forget_past(m); /* what was read is old by then */
	job_wait_change(m->request->api->waits, &m->change, m->job, m->until_us - clock_mono_us(), on_change,
			m);
}

static void on_turn(struct loop *loop, void *arg)
{
	struct many *m = arg;
	bool blocked = false, unknown = false;

	m->stopped = m->stopped || loop_now_us(loop) >= m->until_us || m->request->services->stopping;
	for (size_t n = 0; n < STEPS_MAX && m->at < m->count && !m->stopped && m->in_flight < IN_FLIGHT_MAX;
	     n++) {
		unknown = !is_known(m);
		blocked = unknown || !see_to(m, m->job);
		if (blocked)
			break;
		advance(m, &m->at, &m->job);
	}
	if (m->in_flight == 0 && (m->at == m->count || m->stopped))
		finish(m);
	else if (unknown)
		ask_past(m);
	else if (blocked && m->what == MANY_WAIT)
		wait_for_change(m);
	else
		next_turn(m);
}

static void on_change(void *arg, bool late)
{
	struct many *m = arg;

	(void)late;
	on_turn(m->request->services->loop, m);
}

/* ---- the request ---- */

/* [7, [9, 12]]: jobs, and ranges of jobs */
static int read_jobs(struct many *m, struct error *reterr)
{
	json_t *list = json_object_get(m->body, "jobs"), *item;
	size_t i;

	m->ranges = check_calloc(json_array_size(list) + 1, sizeof(*m->ranges));
	json_array_foreach(list, i, item)
	{
		json_t *first = json_is_array(item) ? json_array_get(item, 0) : item;
		json_t *last = json_is_array(item) ? json_array_get(item, 1) : item;

		if (!json_is_integer(first) || !json_is_integer(last) || json_integer_value(first) < 1 ||
		    json_integer_value(last) < json_integer_value(first)) {
			error_set(reterr, ERR_INVALID, "expected a job's number, or [first, last]");
			return error_where(reterr, "jobs[%zu]", i);
		}
		m->ranges[m->count++] = (struct job_range){(uint64_t)json_integer_value(first),
							   (uint64_t)json_integer_value(last)};
	}
	if (m->count == 0) {
		error_set(reterr, ERR_INVALID, "expected a list of jobs");
		return error_where(reterr, "jobs");
	}
	m->job = m->ranges[0].first;
	return 0;
}

static int read_change(struct many *m, struct error *reterr)
{
	static const char *const changes[] = {[MANY_CANCEL] = "cancel",
					      [MANY_PAUSE] = "pause",
					      [MANY_RESUME] = "resume",
					      [MANY_RETRY] = "retry",
					      [MANY_FORGET] = "forget"};
	struct api_changes asked;
	int rc = object_read_request(object_changes(), m->body, &asked, reterr);

	if (rc < 0)
		return rc;
	m->why = asked.why;
	if (m->why.size > 400)
		m->why.size = 400;
	m->cancelled = asked.cancelled;
	for (size_t i = MANY_CANCEL; i < ARRAY_LENGTH(changes); i++)
		if (bytes_equal(asked.change, bytes_of(changes[i])))
			m->what = (enum many_what)i;
	if (m->what != MANY_WAIT)
		return 0;
	error_set(reterr, ERR_INVALID, "expected cancel, pause, resume, retry or forget");
	return error_where(reterr, "change");
}

static int read_wait(struct many *m, struct error *reterr)
{
	usec_t timeout_us = WAIT_DEFAULT_US;
	struct api_wait asked;
	int rc = object_read_request(object_wait(), m->body, &asked, reterr);

	if (rc == 0 && asked.timeout.data != NULL &&
	    units_parse_duration(asked.timeout, &timeout_us, reterr) < 0)
		return error_where(reterr, "timeout");
	if (timeout_us < TIME_MAX_US)
		m->until_us = clock_mono_us() + timeout_us;
	return rc;
}

static void begin(struct request *r, int (*read)(struct many *m, struct error *reterr))
{
	struct many *m = check_calloc(1, sizeof(*m));
	struct error e = {0};
	int rc = 0;

	m->request = r;
	m->by = request_by(r);
	m->timer = (struct loop_timer){.fn = on_turn, .arg = m};
	m->errors = json_array();
	m->named = json_array();
	m->until_us = clock_mono_us() + TIME_MAX_US;
	r->state = m;
	r->state_fini = many_destroy;
	r->may_leave = read == read_wait;
	m->segments = segments_create(r->services->output_dir, NULL);
	m->body = request_object(r);
	if (m->body == NULL)
		return;
	rc = read(m, &e);
	if (rc == 0)
		rc = read_jobs(m, &e);
	if (rc < 0)
		request_fail(r, &e);
	else
		loop_timer_set(r->services->loop, &m->timer, clock_mono_us());
}

void api_changes(struct request *r)
{
	begin(r, read_change);
}

void api_wait_many(struct request *r)
{
	begin(r, read_wait);
}
