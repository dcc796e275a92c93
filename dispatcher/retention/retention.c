#include "dispatcher/retention/retention.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/constants.h"
#include "base/log.h"
#include "dispatcher/part.h"
#include "dispatcher/readers.h"
#include "dispatcher/retention/candidates.h"
#include "dispatcher/retention/files.h"
#include "dispatcher/retention/forgotten_jobs.h"
#include "dispatcher/store/history.h"
#include "jobs/kinds.h"

#define PIECE_JOBS FORGET_JOBS_MAX    /* forgotten by one record: history deletes them in one go */
#define REMOVED_SEGMENTS 64u	      /* in one reading: three files each */
#define FOUND_SEGMENTS CANDIDATES_MAX /* in one reading */
#define WALK_ENTRIES 500u	      /* in one reading */
#define SOON_US (50 * USEC_PER_MSEC)  /* there is more to do */
#define COST_FACTOR 20		      /* it waits for so many times what a look took */

_Static_assert(2 * REMOVED_SEGMENTS <= HISTORY_SEGMENT_CHANGES_MAX, "those that are removed, and as many");

struct retention {
	struct reading reading;
	struct services *services;
	struct loop_timer timer;
	struct port_wait wait; /* for history to have forgotten a piece */
	usec_t keep_us;	       /* 0: for ever */
	uint64_t keep_bytes;   /* 0: any number */
	bool known;	       /* kept */
	bool all_known;	       /* what is forgotten: history has passed the records of earlier starts */
	uint64_t start_lsn, asked_lsn;
	struct history_kept kept;
	struct forgotten_jobs forgotten;
	struct candidates *candidates;
	usec_t walk_us; /* when the next walk begins */
	bool told;	/* that it fails */
	/* The thread's while it reads. */
	struct segment_walk walk;
	bool walks, walked, more; /* it goes on walking, it has walked; there is more that is doomed */
	usec_t before_wall_us;	  /* jobs that ended before go */
	struct history_kept read_kept;
	usec_t counted_us, count_took_us;
	struct forgotten_jobs read_forgotten;
	uint64_t excess_bytes; /* more than are kept */
	uint64_t jobs[PIECE_JOBS];
	uint32_t job_count;
	struct history_segment_change removed[2 * REMOVED_SEGMENTS];
	uint32_t removed_count;
	struct candidate_found found[FOUND_SEGMENTS];
	uint32_t found_count;
	usec_t took_us;
};

/* ---- in a reader's thread ---- */

static void take_forgotten(void *arg, uint64_t first, uint64_t last)
{
	forgotten_jobs_add(arg, first, last);
}

static void take_doomed(void *arg, const struct uuid *worker, uint32_t segment)
{
	struct retention *r = arg;

	r->removed[r->removed_count++] = (struct history_segment_change){*worker, segment, true};
}

static int remove_doomed(struct history_reader *history, struct retention *r, struct error *reterr)
{
	const char *dir = r->services->output_dir;
	int rc = history_unused_segments(history, true, REMOVED_SEGMENTS, take_doomed, r, reterr);

	for (uint32_t i = 0; rc == 0 && i < r->removed_count; i++)
		rc = segment_files_remove(dir, &r->removed[i].worker, r->removed[i].segment, reterr);
	if (rc < 0)
		r->removed_count = 0;
	return rc;
}

static void take_found(void *arg, const struct uuid *worker, uint32_t segment)
{
	struct retention *r = arg;

	if (r->found_count < FOUND_SEGMENTS)
		r->found[r->found_count++] = (struct candidate_found){
		    *worker, segment, segment_files_are_closed(r->services->output_dir, worker, segment)};
}

static int find_unused(struct history_reader *history, struct retention *r, struct error *reterr)
{
	bool whole;
	int rc = history_unused_segments(history, false, FOUND_SEGMENTS / 2, take_found, r, reterr);

	r->more = r->removed_count == REMOVED_SEGMENTS;
	if (rc < 0 || !r->walks)
		return rc;
	rc = history_is_whole(history, &whole, reterr);
	if (rc < 0)
		return rc;
	r->walks = whole &&
		   segment_walk_step(&r->walk, r->services->output_dir, history, WALK_ENTRIES, take_found, r);
	return 0;
}

static bool take_ended(void *arg, const struct history_ended *job)
{
	struct retention *r = arg;

	if (r->job_count == PIECE_JOBS || (job->ended_wall_us >= r->before_wall_us && r->excess_bytes == 0))
		return false;
	r->excess_bytes -= job->output_bytes < r->excess_bytes ? job->output_bytes : r->excess_bytes;
	r->jobs[r->job_count++] = job->job;
	return true;
}

/* It goes over all that is kept, a piece of which is forgotten at a time: not for each piece, unless the
 * bytes decide what goes. */
static int count_kept(struct history_reader *history, struct retention *r, struct error *reterr)
{
	usec_t begin_us = clock_mono_us();
	int rc;

	if (r->keep_bytes == 0 && r->counted_us > 0 &&
	    begin_us - r->counted_us < COST_FACTOR * r->count_took_us)
		return 0;
	rc = history_kept(history, &r->read_kept, reterr);
	r->counted_us = clock_mono_us();
	r->count_took_us = r->counted_us - begin_us;
	return rc;
}

static int find_old(struct history_reader *history, struct retention *r, struct error *reterr)
{
	int rc = count_kept(history, r, reterr);

	r->excess_bytes = r->keep_bytes > 0 && r->read_kept.output_bytes > r->keep_bytes
			      ? r->read_kept.output_bytes - r->keep_bytes
			      : 0;
	if (rc < 0 || (r->before_wall_us <= 0 && r->excess_bytes == 0))
		return rc;
	return history_oldest(history, take_ended, r, reterr);
}

static void look(struct history_reader *history, struct reading *reading)
{
	struct retention *r = (struct retention *)reading;
	usec_t begin_us = clock_mono_us();

	r->job_count = r->removed_count = r->found_count = 0;
	reading->rc = remove_doomed(history, r, &reading->error);
	if (reading->rc == 0)
		reading->rc = find_unused(history, r, &reading->error);
	if (reading->rc == 0 && !r->all_known)
		reading->rc =
		    history_forgotten_jobs(history, take_forgotten, &r->read_forgotten, &reading->error);
	if (reading->rc == 0)
		reading->rc = find_old(history, r, &reading->error);
	r->took_us = clock_mono_us() - begin_us;
}

/* ---- in the loop ---- */

static void ask(struct retention *r)
{
	usec_t now_us = clock_mono_us();

	if (!r->walks && now_us >= r->walk_us)
		r->walks = true;
	r->asked_lsn = port_view(r->services->port).history_lsn;
	r->walked = r->walks;
	r->before_wall_us = r->keep_us > 0 ? clock_wall_us() - r->keep_us : 0;
	readers_ask(r->services->readers, &r->reading);
}

static void on_timer(struct loop *loop, void *arg)
{
	(void)loop;
	ask(arg);
}

static usec_t period_us(const struct retention *r)
{
	usec_t timeout_us = params_duration_us(r->services->params, PARAM_WORKER_TIMEOUT), us = RETENTION_US;

	if (candidates_count(r->candidates) > 0 && timeout_us < us)
		us = timeout_us;
	if (r->keep_us > 0 && r->keep_us / 4 < us)
		us = r->keep_us / 4;
	return us > SOON_US ? us : SOON_US;
}

static void wait_for_next(struct retention *r, bool soon)
{
	usec_t us = soon ? SOON_US : period_us(r);

	if (us < COST_FACTOR * r->took_us && !soon)
		us = COST_FACTOR * r->took_us;
	loop_timer_set(r->services->loop, &r->timer, clock_mono_us() + us);
}

/* Segments that are removed, and those that are to be. True: there are some. */
static bool change_segments(struct retention *r)
{
	const struct dispatcher_core *core = services_core(r->services);
	usec_t now_us = clock_mono_us();
	uint32_t doomed = 0;

	for (uint32_t i = 0; i < r->found_count && doomed < REMOVED_SEGMENTS; i++) {
		const struct candidate_found *f = &r->found[i];
		struct view_presence worker;

		dispatcher_view_presence(core, &f->worker, &worker);
		if (candidates_see(r->candidates, f, &worker, dispatcher_view_last_token(core), now_us))
			r->removed[r->removed_count + doomed++] =
			    (struct history_segment_change){f->worker, f->segment, false};
	}
	candidates_sweep(r->candidates, now_us);
	if (r->removed_count + doomed == 0)
		return false;
	/* When it cannot be taken now, all of it is found again. */
	(void)history_submit_segments(r->services->history, r->removed, r->removed_count + doomed);
	return true;
}

/* It may have been reopened since, and who is told of its end may yet ask for it. */
static bool may_go(const struct retention *r, uint64_t job)
{
	struct arena arena;
	struct view_job v;
	bool there;

	arena_init(&arena, 0);
	there = dispatcher_view_job(services_core(r->services), job, &arena, &v);
	arena_fini(&arena);
	return !there || (job_state_is_ended(v.state) && !v.event_due);
}

static int compare_jobs(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint32_t make_ranges(struct retention *r, struct job_ids ranges[PIECE_JOBS])
{
	uint32_t count = 0;

	qsort(r->jobs, r->job_count, sizeof(r->jobs[0]), compare_jobs);
	for (uint32_t i = 0; i < r->job_count; i++) {
		uint64_t job = r->jobs[i];

		if (!may_go(r, job))
			continue;
		if (count > 0 && ranges[count - 1].first + ranges[count - 1].count == job)
			ranges[count - 1].count++;
		else
			ranges[count++] = (struct job_ids){job, 1};
	}
	return count;
}

static void on_forgotten(void *arg)
{
	ask(arg); /* there may be more */
}

/* The answer came in the same turn, when the core had not changed: it is no refusal. */
static void on_reply(void *arg, const struct dispatcher_reply *reply)
{
	struct retention *r = arg;

	if (reply->code != ERR_OK) {
		log_error("jobs cannot be forgotten", log_text("error", reply->why));
		wait_for_next(r, false);
		return;
	}
	log_debug("jobs are forgotten", log_u64("jobs", reply->job_count), log_u64("first", reply->job));
	port_when_in_history(r->services->port, port_view(r->services->port).last_lsn, &r->wait);
}

/* False: there is nothing to forget. */
static bool forget_jobs(struct retention *r)
{
	struct job_ids ranges[PIECE_JOBS];
	struct input_forget in = {.jobs = {ranges, make_ranges(r, ranges)}};

	if (in.jobs.count == 0)
		return false;
	for (uint32_t i = 0; i < in.jobs.count; i++)
		retention_note_forgotten(r->services, ranges[i].first, ranges[i].first + ranges[i].count - 1);
	port_submit(r->services->port, INPUT_FORGET, &in, &(struct ticket){on_reply, r});
	return true;
}

static void take_known(struct retention *r)
{
	r->kept = r->read_kept;
	r->known = true;
	for (uint32_t i = 0; i < r->read_forgotten.count; i++) {
		const struct forgotten_range *f = &r->read_forgotten.items[i];

		retention_note_forgotten(r->services, f->first, f->last);
	}
	forgotten_jobs_fini(&r->read_forgotten);
	r->all_known = r->all_known || r->asked_lsn >= r->start_lsn;
}

/* What a walk has found is settled, or gone, at the next one. */
static void note_walk(struct retention *r, bool walked)
{
	usec_t timeout_us = params_duration_us(r->services->params, PARAM_WORKER_TIMEOUT);
	usec_t us = SEGMENT_LEFT_TIMEOUTS * timeout_us;

	if (!walked || r->walks)
		return;
	r->walk_us = clock_mono_us() +
		     (candidates_count(r->candidates) > 0 && us < RETENTION_WALK_US ? us : RETENTION_WALK_US);
}

static void on_looked(struct reading *reading)
{
	struct retention *r = (struct retention *)reading;
	char line[ERROR_LINE_MAX];
	bool soon, walked = r->walked;

	if (r->services->stopping)
		return;
	if (reading->rc < 0) {
		if (!r->told)
			log_warn("what is forgotten cannot be removed now",
				 log_error_field(&reading->error, line, sizeof(line)));
		r->told = true;
		forgotten_jobs_fini(&r->read_forgotten);
		wait_for_next(r, false);
		return;
	}
	r->told = false;
	take_known(r);
	soon = change_segments(r) || r->more || r->walks;
	note_walk(r, walked);
	if (!forget_jobs(r))
		wait_for_next(r, soon);
}

/* ---- for others ---- */

bool retention_kept(const struct services *s, struct history_kept *ret)
{
	const struct retention *r = s->retention;

	if (r == NULL || !r->known)
		return false;
	*ret = r->kept;
	return true;
}

uint64_t retention_forgotten_count(const struct services *s)
{
	return s->retention != NULL ? s->retention->forgotten.jobs : 0;
}

uint32_t retention_unused_segments(const struct services *s)
{
	return s->retention != NULL ? candidates_count(s->retention->candidates) : 0;
}

bool retention_has_forgotten(const struct services *s, uint64_t job)
{
	return s->retention != NULL && forgotten_jobs_have(&s->retention->forgotten, job);
}

void retention_note_forgotten(struct services *s, uint64_t first, uint64_t last)
{
	forgotten_jobs_add(&s->retention->forgotten, first, last);
}

/* ---- the part ---- */

static int retention_open(struct services *s, struct error *reterr)
{
	struct retention *r = s->retention = check_calloc(1, sizeof(*r));

	(void)reterr;
	r->services = s;
	r->reading = (struct reading){.run = look, .done = on_looked};
	r->timer = (struct loop_timer){.fn = on_timer, .arg = r};
	r->wait = (struct port_wait){.fn = on_forgotten, .arg = r};
	r->keep_us = params_duration_us(s->params, PARAM_KEEP_JOBS);
	r->keep_bytes = params_size_bytes(s->params, PARAM_KEEP_BYTES);
	r->start_lsn = port_view(s->port).last_lsn;
	r->candidates = candidates_create(params_duration_us(s->params, PARAM_WORKER_TIMEOUT));
	ask(r);
	return 0;
}

/* The readers are closed. */
static void retention_close(struct services *s)
{
	struct retention *r = s->retention;

	if (r == NULL)
		return;
	port_wait_cancel(&r->wait);
	loop_timer_unset(s->loop, &r->timer);
	segment_walk_end(&r->walk);
	forgotten_jobs_fini(&r->forgotten);
	forgotten_jobs_fini(&r->read_forgotten);
	candidates_destroy(r->candidates);
	free(r);
	s->retention = NULL;
}

const struct part part_retention = {.name = "retention", .open = retention_open, .close = retention_close};
