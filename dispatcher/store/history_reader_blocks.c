/* What readers find in blocks, and lists of jobs, which are of both. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "dispatcher/store/history_reader_private.h"

/* ---- one job ---- */

static int worker_id(struct history_reader *r, int64_t number, struct uuid *ret, struct error *reterr)
{
	int rc = number == 0 ? 0 : sql_begin(&r->db, READ_WORKER_ID, reterr, "i", number);

	*ret = (struct uuid){0};
	if (rc == 1)
		sql_id_read(sql_bytes(&r->db, READ_WORKER_ID, 0), &ret->hi, &ret->lo);
	if (number != 0)
		sql_end(&r->db, READ_WORKER_ID);
	return rc < 0 ? rc : 0;
}

/* Texts of the view become the arena's, or are gone. */
static void keep_texts(struct history_entry *e, enum history_block_kind kind, struct arena *arena)
{
	const struct block_fields *fields = history_block_fields(kind);

	for (uint32_t f = 0; f < fields->count; f++) {
		const struct block_field *field = &fields->items[f];
		struct bytes *text = (struct bytes *)(void *)((uint8_t *)e + field->offset);

		if (field->kind == SQL_TEXT || field->kind == SQL_BLOB)
			*text = arena != NULL ? arena_copy(arena, *text) : (struct bytes){0};
	}
}

int history_block_entry(struct history_reader *r, uint64_t job, struct arena *arena,
			struct history_entry *ret, struct error *reterr)
{
	struct history_found f;
	int rc, code = history_find_job(r->views, (int64_t)job, true, &f);

	if (code != SQLITE_OK || f.view == NULL)
		return history_reader_error(r, code, reterr);
	*ret = (struct history_entry){0};
	block_view_row(f.view, f.row, ret);
	history_entry_complete(ret);
	code = block_view_is_damaged(f.view) ? SQLITE_CORRUPT : SQLITE_OK;
	keep_texts(ret, f.kind, arena);
	history_views_release(r->views, f.view);
	rc = history_reader_error(r, code, reterr);
	if (rc == 0)
		rc = worker_id(r, ret->range.place.worker, &ret->range.worker, reterr);
	if (rc == 0)
		rc = worker_id(r, ret->effort.worker, &ret->effort.worker_id, reterr);
	if (rc == 0)
		rc = worker_id(r, ret->dead.place.worker, &ret->dead.worker, reterr);
	return rc < 0 ? rc : 1;
}

/* ---- one event ---- */

struct event_wanted {
	struct arena *arena;
	struct bytes json;
	bool found;
};

static int take_event(void *arg, struct block_view *view, uint32_t row)
{
	struct event_wanted *w = arg;

	w->json = arena_copy(w->arena, block_view_text(view, EVENT_JSON, row));
	w->found = true;
	return SQLITE_DONE;
}

int history_block_event(struct history_reader *r, uint64_t hi, uint64_t lo, struct arena *arena,
			struct bytes *ret, struct error *reterr)
{
	struct event_wanted w = {.arena = arena};
	uint64_t id[2] = {hi, lo};
	int code = history_find_events(r->views, FILTER_EVENT, BYTES(id, sizeof id), take_event, &w);

	if (w.found)
		*ret = w.json;
	return code != SQLITE_OK ? history_reader_error(r, code, reterr) : w.found;
}

/* ---- lists ---- */

static int64_t below(uint64_t before)
{
	return before == 0 || before > INT64_MAX ? INT64_MAX : (int64_t)before;
}

static bool has(const struct newest *n, int64_t job)
{
	for (uint32_t i = 0; i < n->count; i++)
		if (n->items[i] == job)
			return true;
	return false;
}

/* The ids that a statement gives, newest first. */
static int put_rows(struct history_reader *r, int s, int rc, struct newest *to, struct error *reterr)
{
	for (; rc == 1; rc = sql_next(&r->db, s, reterr))
		if (!has(to, sql_int(&r->db, s, 0)))
			newest_put(to, sql_int(&r->db, s, 0));
	sql_end(&r->db, s);
	return rc;
}

/* An event's job may have gone from history since, or never have been in it. */
static int tell_jobs(struct history_reader *r, struct newest *jobs, struct arena *arena, history_job_fn *fn,
		     void *arg, struct error *reterr)
{
	int rc = 0;

	newest_sort(jobs);
	for (uint32_t i = 0; rc >= 0 && i < jobs->count; i++) {
		struct history_job j;

		rc = history_job(r, (uint64_t)jobs->items[i], arena, &j, reterr);
		if (rc == 0)
			rc = fn(arg, &j);
		else if (rc == ERR_NOT_FOUND)
			rc = 0;
	}
	return rc;
}

static int jobs_now(struct history_reader *r, uint64_t before, uint32_t states, uint32_t limit,
		    struct arena *arena, history_job_fn *fn, void *arg, struct error *reterr)
{
	uint32_t wanted = states != 0 ? states : UINT32_MAX;
	struct newest jobs = {.items = check_calloc(limit + 1, sizeof(int64_t)), .room = limit};
	int rc = sql_begin(&r->db, READ_JOBS, reterr, "iii", (int64_t)wanted, below(before), (int64_t)limit);

	rc = put_rows(r, READ_JOBS, rc, &jobs, reterr);
	if (rc == 0)
		rc = history_reader_error(
		    r, history_find_newest(r->views, HISTORY_ENDED, below(before), wanted, &jobs), reterr);
	if (rc == 0)
		rc = history_reader_error(
		    r, history_find_newest(r->views, HISTORY_MADE, below(before), wanted, &jobs), reterr);
	if (rc == 0)
		rc = tell_jobs(r, &jobs, arena, fn, arg, reterr);
	free(jobs.items);
	return rc;
}

int history_jobs(struct history_reader *r, uint64_t before, uint32_t states, uint32_t limit,
		 struct arena *arena, history_job_fn *fn, void *arg, struct error *reterr)
{
	int rc = history_read_begin(r, reterr);

	if (rc == 0)
		rc = jobs_now(r, before, states, limit, arena, fn, arg, reterr);
	history_read_end(r);
	return rc;
}

struct event_jobs {
	struct newest *to;
	int64_t before;
};

static int take_jobs(void *arg, struct block_view *view, uint32_t row)
{
	struct event_jobs *e = arg;
	int64_t first = block_view_number(view, EVENT_FIRST_JOB, row);

	for (int64_t job = first; job < first + block_view_number(view, EVENT_JOBS, row); job++)
		if (job < e->before && !has(e->to, job))
			newest_put(e->to, job);
	return SQLITE_OK;
}

static int jobs_of_event_now(struct history_reader *r, struct bytes text, struct bytes exact, uint64_t before,
			     uint32_t limit, struct arena *arena, history_job_fn *fn, void *arg,
			     struct error *reterr)
{
	struct newest jobs = {.items = check_calloc(limit + 1, sizeof(int64_t)), .room = limit};
	struct event_jobs e = {&jobs, below(before)};
	int code, rc = sql_begin(&r->db, READ_JOBS_OF_EVENT, reterr, "ttii", text, exact, below(before),
				 (int64_t)limit);

	rc = put_rows(r, READ_JOBS_OF_EVENT, rc, &jobs, reterr);
	if (rc == 0) {
		code = history_find_events(r->views, FILTER_ID, text, take_jobs, &e);
		if (code == SQLITE_OK)
			code = history_find_events(r->views, FILTER_OBJECT, text, take_jobs, &e);
		if (code == SQLITE_OK)
			code = history_find_events(r->views, FILTER_OBJECT_BASE64, exact, take_jobs, &e);
		rc = history_reader_error(r, code, reterr);
	}
	if (rc == 0)
		rc = tell_jobs(r, &jobs, arena, fn, arg, reterr);
	free(jobs.items);
	return rc;
}

int history_jobs_of_event(struct history_reader *r, struct bytes text, struct bytes exact, uint64_t before,
			  uint32_t limit, struct arena *arena, history_job_fn *fn, void *arg,
			  struct error *reterr)
{
	int rc = history_read_begin(r, reterr);

	if (rc == 0)
		rc = jobs_of_event_now(r, text, exact, before, limit, arena, fn, arg, reterr);
	history_read_end(r);
	return rc;
}
