#include "dispatcher/core/volatile/groups.h"

#include <string.h>

#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/durable/job_table.h"

/* ---- lines of jobs ---- */

uint64_t job_line_first(const struct job_line *l)
{
	return l->count > 0 ? l->jobs[l->head] : 0;
}

uint64_t job_line_last(const struct job_line *l)
{
	return l->count > 0 ? l->jobs[l->head + l->count - 1] : 0;
}

uint32_t job_line_place(const struct job_line *l, uint64_t job)
{
	uint32_t low = 0, high = l->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (l->jobs[l->head + middle] < job)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Room behind the last: at the front, if half of it is free there, so that moving costs O(1) a job. */
static void make_room(struct job_line *l)
{
	if (l->head + l->count < l->capacity)
		return;
	if (l->head > l->capacity / 2) {
		memmove(l->jobs, l->jobs + l->head, l->count * sizeof *l->jobs);
		l->head = 0;
		return;
	}
	l->capacity = l->capacity == 0 ? 4 : 2 * l->capacity;
	l->jobs = check_realloc(l->jobs, l->capacity, sizeof *l->jobs);
}

static void line_add(struct job_line *l, uint64_t job)
{
	uint64_t *at;
	uint32_t place;

	make_room(l);
	place = job > job_line_last(l) ? l->count : job_line_place(l, job);
	at = l->jobs + l->head + place;
	memmove(at + 1, at, (l->count - place) * sizeof *at);
	*at = job;
	l->count++;
}

static void line_remove(struct job_line *l, uint64_t job)
{
	uint32_t place = job_line_place(l, job);
	uint64_t *at = l->jobs + l->head + place;

	CHECK(place < l->count && *at == job);
	l->count--;
	if (place == 0)
		l->head++;
	else
		memmove(at, at + 1, (l->count - place) * sizeof *at);
	if (l->count == 0) {
		free(l->jobs);
		*l = (struct job_line){0};
	}
}

/* ---- groups ---- */

struct group *group_named(const struct dispatcher_core *core, struct bytes name)
{
	struct group *g = NULL;

	if (core->groups.by_name != NULL && name.size > 0)
		HASH_FIND(hh, core->groups.by_name, name.data, name.size, g);
	return g;
}

struct group_member *group_member_of(const struct dispatcher_core *core, uint64_t job)
{
	struct group_member *m = NULL;

	if (core->groups.members != NULL)
		HASH_FIND(hh, core->groups.members, &job, sizeof job, m);
	return m;
}

static struct group *group_intern(struct dispatcher_core *core, struct bytes name)
{
	struct group *g = group_named(core, name);

	if (g != NULL)
		return g;
	g = check_calloc(1, sizeof *g);
	blob_set(&g->name, name);
	HASH_ADD_KEYPTR(hh, core->groups.by_name, g->name.data, g->name.size, g);
	return g;
}

static void group_drop(struct dispatcher_core *core, struct group *g)
{
	if (g->is_due)
		DL_DELETE2(core->groups.due, g, due_prev, due_next);
	HASH_DEL(core->groups.by_name, g);
	blob_fini(&g->name);
	free(g->active.jobs);
	free(g->waiting.jobs);
	free(g->arrived.jobs);
	free(g);
}

static struct job_line *line_of(struct group *g, uint8_t place)
{
	struct job_line *lines[] = {
	    [GROUP_WAITS] = &g->waiting, [GROUP_ARRIVED] = &g->arrived, [GROUP_ACTIVE] = &g->active};

	return lines[place];
}

static void become_due(struct dispatcher_core *core, struct group *g)
{
	if (g->is_due)
		return;
	g->is_due = true;
	DL_APPEND2(core->groups.due, g, due_prev, due_next);
}

struct group_member *group_join(struct dispatcher_core *core, uint64_t job, const struct concurrency *c)
{
	struct group_member *m = check_calloc(1, sizeof *m);

	*m = (struct group_member){.job = job,
				   .group = group_intern(core, c->group),
				   .limit = c->limit,
				   .mode = c->mode,
				   .latest = c->latest};
	m->group->members++;
	HASH_ADD(hh, core->groups.members, job, sizeof m->job, m);
	return m;
}

void group_move(struct dispatcher_core *core, struct group_member *m, enum group_place place)
{
	if (m->place != GROUP_AWAY)
		line_remove(line_of(m->group, m->place), m->job);
	m->place = (uint8_t)place;
	if (place != GROUP_AWAY)
		line_add(line_of(m->group, m->place), m->job);
	become_due(core, m->group);
}

void group_leave(struct dispatcher_core *core, uint64_t job)
{
	struct group_member *m = group_member_of(core, job);

	if (m == NULL)
		return;
	group_move(core, m, GROUP_AWAY);
	HASH_DEL(core->groups.members, m);
	if (--m->group->members == 0)
		group_drop(core, m->group);
	free(m);
}

void groups_fini(struct dispatcher_core *core)
{
	struct group_member *m, *next_member;
	struct group *g, *next;

	HASH_ITER (hh, core->groups.members, m, next_member) {
		HASH_DEL(core->groups.members, m);
		free(m);
	}
	HASH_ITER (hh, core->groups.by_name, g, next)
		group_drop(core, g);
}

static void check_line(const struct dispatcher_core *core, const struct group *g, const struct job_line *l,
		       uint8_t place)
{
	for (uint32_t i = 0; i < l->count; i++) {
		const struct group_member *m = group_member_of(core, l->jobs[l->head + i]);

		CHECK(m != NULL && m->group == g && m->place == place);
		CHECK(i == 0 || l->jobs[l->head + i - 1] < m->job);
	}
}

uint64_t groups_check(const struct dispatcher_core *core)
{
	const struct group_member *m, *next_member;
	const struct group *g, *next;
	uint64_t members = 0;

	HASH_ITER (hh, core->groups.members, m, next_member) {
		const struct job_row *row = job_get_live(core, m->job);

		CHECK(row != NULL && (row->flags & JOB_GROUPED));
		CHECK((row->state == JOB_ACTIVE) == (m->place == GROUP_ACTIVE));
		members++;
	}
	HASH_ITER (hh, core->groups.by_name, g, next) {
		CHECK(g->members > 0);
		check_line(core, g, &g->active, GROUP_ACTIVE);
		check_line(core, g, &g->waiting, GROUP_WAITS);
		check_line(core, g, &g->arrived, GROUP_ARRIVED);
		if (g->is_due)
			continue;
		m = group_member_of(core, job_line_first(&g->waiting));
		CHECK(g->arrived.count == 0 && (m == NULL || g->active.count >= m->limit));
	}
	return members;
}
