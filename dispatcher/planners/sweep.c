#include "dispatcher/planners/sweep.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "dispatcher/planners/blobs.h"
#include "dispatcher/readers.h"
#include "dispatcher/services.h"
#include "dispatcher/store/history_reader.h"
#include "jobs/kinds.h"

#define PERIOD_US (600 * USEC_PER_SEC)
#define FILES 200 /* looked at in one reading: others have their turn */

/* A blob that no job seems to need. */
struct found {
	uint64_t job;
	char name[BLOB_NAME_BYTES];
};

struct sweep {
	struct reading reading;
	struct services *services;
	struct loop_timer timer;
	int dir_fd;
	bool runs;
	/* The thread's while it reads. */
	DIR *dir; /* NULL: it begins, or is through */
	struct found found[FILES];
	size_t count;
	/* Jobs that have ended meanwhile: history may have said something else of them. */
	uint64_t *ended;
	size_t ended_count, ended_room;
};

/* Blobs that go away. The loop waits for no disk. */
struct removal {
	struct reading reading;
	int dir_fd;
	size_t count;
	char names[][BLOB_NAME_BYTES];
};

/* ---- removing ---- */

static void unlink_all(struct history_reader *history, struct reading *r)
{
	const struct removal *rm = (const struct removal *)r;

	(void)history;
	for (size_t i = 0; i < rm->count; i++)
		(void)unlinkat(rm->dir_fd, rm->names[i], 0);
}

static void removed(struct reading *r)
{
	free(r);
}

static struct removal *removal_create(const struct sweep *sw, size_t room)
{
	struct removal *rm = check_calloc(1, sizeof(*rm) + room * BLOB_NAME_BYTES);

	rm->reading = (struct reading){.run = unlink_all, .done = removed, .without_history = true};
	rm->dir_fd = sw->dir_fd;
	return rm;
}

static void removal_add(struct removal *rm, const struct sweep *sw, const char *name)
{
	blobs_forget(sw->services->blobs, bytes_of(name));
	memcpy(rm->names[rm->count++], name, BLOB_NAME_BYTES);
}

static void removal_start(struct removal *rm, const struct sweep *sw)
{
	if (rm->count > 0)
		readers_ask(sw->services->readers, &rm->reading);
	else
		free(rm);
}

/* ---- looking for what was missed ---- */

/* May it be reopened? Then its items are needed. */
static bool may_go_on(uint8_t state, uint64_t dead)
{
	return state != JOB_SUCCEEDED || dead > 0;
}

/* What history cannot say now is kept. */
static bool history_wants(struct history_reader *history, uint64_t job, struct arena *arena)
{
	struct history_job row;
	struct plan plan;
	int r = history_job(history, job, arena, &row, NULL);

	if (r == 0 && job_state_is_ended(row.state) && !may_go_on(row.state, row.dead))
		return false;
	if (r == 0)
		r = history_plan(history, job, arena, &plan, NULL);
	return r != ERR_NOT_FOUND;
}

static void look(struct history_reader *history, struct reading *r)
{
	struct sweep *sw = (struct sweep *)r;
	struct dirent *entry = NULL;
	struct arena arena;

	sw->count = 0;
	if (sw->dir == NULL)
		sw->dir = opendir(sw->services->plans_dir);
	if (sw->dir == NULL)
		return;
	arena_init(&arena, 0);
	for (int n = 0; n < FILES && (entry = readdir(sw->dir)) != NULL; n++) {
		struct found *f = &sw->found[sw->count];

		f->job = blob_job(entry->d_name);
		arena_reset(&arena);
		if (f->job == 0 || strlen(entry->d_name) >= sizeof(f->name) ||
		    history_wants(history, f->job, &arena))
			continue;
		memcpy(f->name, entry->d_name, strlen(entry->d_name) + 1);
		sw->count++;
	}
	arena_fini(&arena);
	if (entry != NULL)
		return;
	closedir(sw->dir);
	sw->dir = NULL;
}

/* It lives, or it did when history was asked: then what was read says nothing. */
static bool core_wants(const struct sweep *sw, uint64_t job)
{
	struct arena arena;
	struct view_job v;
	bool wants;

	arena_init(&arena, 0);
	wants = dispatcher_view_job(services_core(sw->services), job, &arena, &v);
	arena_fini(&arena);
	for (size_t i = 0; i < sw->ended_count && !wants; i++)
		wants = sw->ended[i] == job;
	return wants;
}

static void on_looked(struct reading *r)
{
	struct sweep *sw = (struct sweep *)r;
	struct removal *rm = removal_create(sw, sw->count);

	if (r->rc < 0)
		sw->count = 0;
	for (size_t i = 0; i < sw->count; i++)
		if (!core_wants(sw, sw->found[i].job))
			removal_add(rm, sw, sw->found[i].name);
	sw->ended_count = 0;
	sw->runs = sw->dir != NULL && r->rc == 0 && !sw->services->stopping;
	if (sw->services->stopping)
		free(rm);
	else
		removal_start(rm, sw);
	if (sw->runs)
		readers_ask(sw->services->readers, &sw->reading);
	else
		loop_timer_set(sw->services->loop, &sw->timer, clock_mono_us() + PERIOD_US);
}

void sweep_begin(struct sweep *sw)
{
	if (sw->runs)
		return;
	sw->runs = true;
	readers_ask(sw->services->readers, &sw->reading);
}

static void on_timer(struct loop *loop, void *arg)
{
	(void)loop;
	sweep_begin(arg);
}

/* ---- a job's end ---- */

static void note_ended(struct sweep *sw, uint64_t job)
{
	if (!sw->runs)
		return;
	if (sw->ended_count == sw->ended_room) {
		sw->ended_room = 2 * sw->ended_room + 16;
		sw->ended = check_realloc(sw->ended, sw->ended_room, sizeof(*sw->ended));
	}
	sw->ended[sw->ended_count++] = job;
}

void sweep_on_ended(struct sweep *sw, const struct job_ended *job)
{
	struct removal *rm;

	note_ended(sw, job->job);
	if (may_go_on(job->state, job->dead))
		return;
	if (job->reopens == 0 && !dispatcher_view_may_have_items(services_core(sw->services), job->job))
		return; /* one that was reopened has those of its life before */
	rm = removal_create(sw, 2);
	for (uint32_t phase = 0; phase < 2; phase++) { /* of the shards, which a plan phase may precede */
		char name[BLOB_NAME_BYTES] = {0};

		removal_add(rm, sw, blob_name(job->job, phase, name));
	}
	removal_start(rm, sw);
}

/* ---- open and close ---- */

struct sweep *sweep_create(struct services *s, int dir_fd)
{
	struct sweep *sw = check_calloc(1, sizeof(*sw));

	*sw = (struct sweep){.services = s,
			     .dir_fd = dir_fd,
			     .reading = {.run = look, .done = on_looked},
			     .timer = {.fn = on_timer, .arg = sw}};
	return sw;
}

void sweep_destroy(struct sweep *sw)
{
	if (sw == NULL)
		return;
	if (sw->dir != NULL)
		closedir(sw->dir);
	loop_timer_unset(sw->services->loop, &sw->timer);
	free(sw->ended);
	free(sw);
}
