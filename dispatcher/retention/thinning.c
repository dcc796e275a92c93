#include "dispatcher/retention/thinning.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <uthash.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/constants.h"
#include "base/log.h"
#include "dispatcher/part.h"
#include "dispatcher/readers.h"
#include "dispatcher/retention/candidates.h"
#include "dispatcher/store/history_kept.h"
#include "jobs/output_index.h"
#include "outputs/holes.h"

#define LISTED 256u /* segments in one reading */
#define COST_FACTOR 20
#define SOON_US (50 * USEC_PER_MSEC)

/* What a look at a segment has shown. */
struct note {
	struct note_key {
		struct uuid worker;
		uint64_t segment;
	} key;
	int64_t rows; /* that named it then */
	uint64_t dead_bytes;
	bool unable;
	uint32_t round;
	UT_hash_handle hh;
};

struct listed {
	struct history_segment in_history;
	bool is_suspect, closed;
};

struct thinning {
	struct services *services;
	struct loop_timer timer;
	struct reading list, thin;
	struct port_wait wait; /* for history to know all that could name the segment */
	struct candidates *candidates;
	struct note *notes;
	uint32_t round; /* through the table */
	struct thinning_figures figures;
	bool told;
	/* Of the thread that lists. */
	struct history_segment behind;
	struct listed listed[LISTED];
	uint32_t listed_count;
	bool is_whole;
	/* Of the thread that makes holes. */
	struct history_segment in_work;
	struct token *leases; /* that are needed, in order */
	uint32_t lease_count, lease_room;
	struct holes_made made;
	usec_t took_us;
};

/* ---- in a reader's thread ---- */

/* Fewer than half of the index's entries can be needed, unless rows stand for many of them. */
static void look_at_index(const char *output_dir, struct listed *l)
{
	char name[128], path[4096];
	struct stat st;

	output_path(&l->in_history.worker, l->in_history.segment, "idx", name, sizeof(name));
	snprintf(path, sizeof(path), "%s/%s", output_dir, name);
	if (stat(path, &st) < 0)
		return;
	l->closed = (st.st_mode & OUTPUT_INDEX_CLOSED) != 0;
	l->is_suspect = l->in_history.rows < st.st_size / OUTPUT_ENTRY_BYTES / 2;
}

static void run_list(struct history_reader *history, struct reading *r)
{
	struct thinning *t = (struct thinning *)((char *)r - offsetof(struct thinning, list));
	struct history_segment found[LISTED];
	usec_t begin_us = clock_mono_us();

	t->listed_count = 0;
	r->rc = history_is_whole(history, &t->is_whole, &r->error);
	if (r->rc == 0 && t->is_whole)
		r->rc = history_segments(history, &t->behind, LISTED, found, &t->listed_count, &r->error);
	for (uint32_t i = 0; i < t->listed_count; i++) {
		t->listed[i] = (struct listed){.in_history = found[i]};
		look_at_index(t->services->output_dir, &t->listed[i]);
	}
	t->took_us = clock_mono_us() - begin_us;
}

static void take_lease(void *arg, struct token token)
{
	struct thinning *t = arg;

	ARRAY_GROW(t->leases, t->lease_room, t->lease_count);
	t->leases[t->lease_count++] = token;
}

static int compare(const void *a, const void *b)
{
	const struct token *x = a, *y = b;

	if (x->epoch != y->epoch)
		return x->epoch < y->epoch ? -1 : 1;
	return x->lease < y->lease ? -1 : x->lease > y->lease;
}

static bool is_needed(void *arg, struct token token)
{
	const struct thinning *t = arg;

	return bsearch(&token, t->leases, t->lease_count, sizeof(token), compare) != NULL;
}

static void run_thin(struct history_reader *history, struct reading *r)
{
	struct thinning *t = (struct thinning *)((char *)r - offsetof(struct thinning, thin));
	usec_t begin_us = clock_mono_us();

	t->lease_count = 0;
	t->made = (struct holes_made){0};
	r->rc = history_segment_leases(history, &t->in_work, take_lease, t, &r->error);
	if (r->rc == 0 && t->lease_count > 0) /* else it is about to be removed */
		r->rc = holes_make(t->services->output_dir, &t->in_work.worker, t->in_work.segment, is_needed,
				   t, &t->made, &r->error);
	t->took_us = clock_mono_us() - begin_us;
}

/* ---- in the loop ---- */

static struct note *note_of(struct thinning *t, const struct history_segment *s)
{
	struct note_key key = {s->worker, s->segment};
	struct note *n;

	HASH_FIND(hh, t->notes, &key, sizeof(key), n);
	return n;
}

static void sweep_notes(struct thinning *t, bool all)
{
	struct note *n, *next;

	HASH_ITER (hh, t->notes, n, next) {
		if (!all && n->round == t->round)
			continue;
		t->figures.dead_bytes -= n->dead_bytes;
		HASH_DELETE(hh, t->notes, n);
		free(n);
	}
}

static void wait_for_next(struct thinning *t, usec_t us)
{
	if (us < COST_FACTOR * t->took_us)
		us = COST_FACTOR * t->took_us;
	t->took_us = 0;
	loop_timer_set(t->services->loop, &t->timer, clock_mono_us() + us);
}

static usec_t period_us(const struct thinning *t)
{
	usec_t timeout_us = params_duration_us(t->services->params, PARAM_WORKER_TIMEOUT);

	return timeout_us < RETENTION_US ? timeout_us : RETENTION_US;
}

static void tell_failure(struct thinning *t, const struct reading *r)
{
	char line[ERROR_LINE_MAX];

	if (!t->told)
		log_warn("room of outputs that are forgotten cannot be given back now",
			 log_error_field(&r->error, line, sizeof(line)));
	t->told = true;
}

static void note_look(struct thinning *t)
{
	struct note *n = note_of(t, &t->in_work);

	if (n == NULL) {
		n = check_calloc(1, sizeof(*n));
		n->key = (struct note_key){t->in_work.worker, t->in_work.segment};
		HASH_ADD(hh, t->notes, key, sizeof(n->key), n);
	}
	t->figures.dead_bytes -= n->dead_bytes;
	n->rows = t->in_work.rows;
	n->round = t->round;
	n->unable = t->made.unable;
	n->dead_bytes = t->made.given_back_bytes > 0 ? 0 : t->made.dead_bytes;
	t->figures.dead_bytes += n->dead_bytes;
}

static void on_thinned(struct reading *r)
{
	struct thinning *t = (struct thinning *)((char *)r - offsetof(struct thinning, thin));

	if (t->services->stopping)
		return;
	if (r->rc < 0) {
		if (r->rc != ERR_NOT_FOUND) /* it was removed meanwhile */
			tell_failure(t, r);
		wait_for_next(t, period_us(t));
		return;
	}
	t->told = false;
	note_look(t);
	if (t->made.given_back_bytes > 0) {
		t->figures.segments++;
		t->figures.given_back_bytes += t->made.given_back_bytes;
		log_debug("room of outputs was given back", log_u64("segment", t->in_work.segment),
			  log_u64("bytes", t->made.given_back_bytes));
	}
	wait_for_next(t, SOON_US);
}

/* History knows all that was accepted when nothing could come any more. */
static void on_history(void *arg)
{
	struct thinning *t = arg;

	t->thin = (struct reading){.run = run_thin,
				   .done = on_thinned,
				   .lane = READERS_LANE_OUTPUT,
				   .lane_max = READERS_LANE_OUTPUT_MAX};
	readers_ask(t->services->readers, &t->thin);
}

static bool is_worth_a_look(struct thinning *t, const struct listed *l)
{
	struct note *n = note_of(t, &l->in_history);

	if (n != NULL)
		n->round = t->round;
	return l->is_suspect &&
	       (n == NULL || (!n->unable && l->in_history.rows <= n->rows - (n->rows + 3) / 4));
}

/* The first of those that were listed which is to be looked at now. */
static const struct listed *choose(struct thinning *t)
{
	const struct dispatcher_core *core = services_core(t->services);

	for (uint32_t i = 0; i < t->listed_count; i++) {
		const struct listed *l = &t->listed[i];
		struct candidate_found found = {l->in_history.worker, l->in_history.segment, l->closed};
		struct view_presence worker;

		if (!is_worth_a_look(t, l))
			continue;
		dispatcher_view_presence(core, &found.worker, &worker);
		if (candidates_see(t->candidates, &found, &worker, dispatcher_view_last_token(core),
				   clock_mono_us()))
			return l;
	}
	return NULL;
}

static void on_listed(struct reading *r)
{
	struct thinning *t = (struct thinning *)((char *)r - offsetof(struct thinning, list));
	const struct listed *chosen;

	if (t->services->stopping)
		return;
	if (r->rc < 0) {
		tell_failure(t, r);
		wait_for_next(t, period_us(t));
		return;
	}
	chosen = choose(t);
	candidates_sweep(t->candidates, clock_mono_us());
	if (chosen != NULL) {
		t->in_work = chosen->in_history;
		t->behind = chosen->in_history;
		port_when_in_history(t->services->port, port_view(t->services->port).last_lsn, &t->wait);
		return;
	}
	if (t->listed_count == LISTED) {
		t->behind = t->listed[LISTED - 1].in_history;
		wait_for_next(t, SOON_US);
		return;
	}
	sweep_notes(t, false); /* of segments that have gone */
	t->round++;
	t->behind = (struct history_segment){0};
	wait_for_next(t, period_us(t));
}

static void on_timer(struct loop *loop, void *arg)
{
	struct thinning *t = arg;

	(void)loop;
	t->list = (struct reading){.run = run_list,
				   .done = on_listed,
				   .lane = READERS_LANE_OUTPUT,
				   .lane_max = READERS_LANE_OUTPUT_MAX};
	readers_ask(t->services->readers, &t->list);
}

void thinning_figures(const struct services *s, struct thinning_figures *ret)
{
	*ret = s->thinning != NULL ? s->thinning->figures : (struct thinning_figures){0};
}

/* ---- the part ---- */

static int thinning_open(struct services *s, struct error *reterr)
{
	struct thinning *t = s->thinning = check_calloc(1, sizeof(*t));

	(void)reterr;
	t->services = s;
	t->timer = (struct loop_timer){.fn = on_timer, .arg = t};
	t->wait = (struct port_wait){.fn = on_history, .arg = t};
	t->candidates = candidates_create(params_duration_us(s->params, PARAM_WORKER_TIMEOUT));
	wait_for_next(t, period_us(t));
	return 0;
}

/* The readers are closed. */
static void thinning_close(struct services *s)
{
	struct thinning *t = s->thinning;

	if (t == NULL)
		return;
	port_wait_cancel(&t->wait);
	loop_timer_unset(s->loop, &t->timer);
	sweep_notes(t, true);
	candidates_destroy(t->candidates);
	free(t->leases);
	free(t);
	s->thinning = NULL;
}

const struct part part_thinning = {.name = "thinning", .open = thinning_open, .close = thinning_close};
