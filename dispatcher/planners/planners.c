#include "dispatcher/planners/planners.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uthash.h>
#include <utlist.h>

#include "base/check.h"
#include "base/s3/settings.h"
#include "dispatcher/planners/blobs.h"
#include "dispatcher/planners/plan_task.h"
#include "dispatcher/planners/sweep.h"
#include "dispatcher/readers.h"
#include "dispatcher/part.h"

#define PATIENCE_US (10 * USEC_PER_SEC) /* with an object store */
#define THREADS 8
#define LANE_MAX 2 /* of them for one bucket, or one directory of files */

struct planners {
	struct services *services;
	struct subscriber subscriber;
	struct readers *threads;
	struct plan_task *tasks;  /* all that are not done */
	struct plan_task *by_job; /* of those, but for previews */
	pthread_mutex_t lock;	  /* of told */
	struct buf told;	  /* inputs, encoded */
	int fd;
	struct loop_watch watch;
	int dir_fd;
	struct sweep *sweep;
	struct s3_client *s3;
};

static struct plan_task *task_create(struct planners *p)
{
	struct plan_task *t = check_calloc(1, sizeof(*t));

	t->planners = p;
	t->s3 = p->s3;
	t->output_fd = -1;
	arena_init(&t->arena, 0);
	return t;
}

static void task_destroy(struct plan_task *t)
{
	if (t->output_fd >= 0)
		close(t->output_fd);
	arena_fini(&t->arena);
	free(t);
}

static void tell(struct plan_task *t, enum input_type type, const void *body)
{
	struct planners *p = t->planners;

	if (t->stop)
		return;
	pthread_mutex_lock(&p->lock);
	codec_union_encode(&input_union, type, body, &p->told);
	pthread_mutex_unlock(&p->lock);
	CHECK(eventfd_write(p->fd, 1) == 0);
}

void plan_task_piece(struct plan_task *t, uint32_t count, struct bytes blob, struct bytes cursor)
{
	if (t->preview != NULL)
		return;
	tell(t, INPUT_PIECE,
	     &(struct input_piece){
		 .job = t->job, .phase = t->phase, .count = count, .blob = blob, .cursor = cursor});
}

void plan_task_sealed(struct plan_task *t, const struct plan *plan)
{
	if (t->preview != NULL) {
		if (plan->kind != 0) /* of a list it says nothing */
			CHECK(codec_copy(codec_plan(), plan, &t->preview->plan, &t->preview->arena));
		return;
	}
	tell(t, INPUT_SEALED, &(struct input_sealed){.job = t->job, .phase = t->phase, .plan = *plan});
}

void plan_task_failed(struct plan_task *t, bool final, const struct error *e)
{
	char line[ERROR_LINE_MAX];

	if (t->preview != NULL) {
		t->preview->rc = e->code;
		t->preview->error = *e;
		return;
	}
	tell(t, INPUT_PLAN_FAILED,
	     &(struct input_plan_failed){.job = t->job,
					 .phase = t->phase,
					 .kind = FAILURE_PLAN,
					 .final = final && e->code != ERR_EXHAUSTED,
					 .trouble = e->code == ERR_EXHAUSTED,
					 .why = bytes_of(error_text(e, line, sizeof(line)))});
}

static void plan(struct plan_task *t)
{
	struct error e = {0};

	switch (t->planner) {
	case PLANNER_SIZE:
		planner_size(t);
		break;
	case PLANNER_LINES:
	case PLANNER_JSON_LINES:
		planner_items(t);
		break;
	default:
		error_set(&e, ERR_VERSION, "this build has no planner of kind %u", t->planner);
		plan_task_failed(t, true, &e);
		break;
	}
}

static void run(struct history_reader *history, struct reading *r)
{
	struct plan_task *t = (struct plan_task *)r;
	struct error e = {0};

	if (t->phase > 0 && plan_output_find(history, t, &e) < 0) {
		if (e.code == ERR_IO) /* the dispatcher's own */
			e.code = ERR_EXHAUSTED;
		plan_task_failed(t, e.code == ERR_CORRUPT, &e);
	} else {
		plan(t);
	}
}

/* ---- in the loop ---- */

static void begin(struct planners *p, struct plan_task *t)
{
	readers_ask(p->threads, &t->reading);
}

/* Tasks of one job write to one blob: the first is begun, the others wait for it. */
static struct plan_task *task_of(const struct planners *p, uint64_t job)
{
	struct plan_task *t = NULL;

	HASH_FIND(hh, p->by_job, &job, sizeof(job), t);
	return t;
}

/* It is the first one of its job. Returns the next. */
static struct plan_task *task_forget(struct planners *p, struct plan_task *t)
{
	struct plan_task *next = t->then;

	HASH_DELETE(hh, p->by_job, t);
	if (next != NULL)
		HASH_ADD(hh, p->by_job, job, sizeof(next->job), next);
	return next;
}

static void done(struct reading *r)
{
	struct plan_task *t = (struct plan_task *)r, *next = NULL;
	struct planners *p = t->planners;
	struct plan_preview *preview = t->preview;
	struct error e = r->error;
	bool stopped = t->stop;
	int rc = r->rc;

	DL_DELETE(p->tasks, t);
	if (preview == NULL)
		next = task_forget(p, t);
	if (rc < 0 && preview == NULL &&
	    rc != ERR_CLOSED) { /* history cannot be opened: no fault of the job's */
		e.code = ERR_EXHAUSTED;
		plan_task_failed(t, false, &e);
	}
	task_destroy(t);
	if (preview != NULL) {
		if (stopped || rc < 0) /* what was found until then is not all */
			preview->rc = error_set(&preview->error, rc < 0 ? rc : ERR_CLOSED, "%s",
						rc < 0 ? e.what : "the dispatcher is stopping");
		preview->done(preview);
		return;
	}
	if (next != NULL)
		begin(p, next);
}

static void on_told(struct loop *loop, uint32_t events, void *arg)
{
	struct planners *p = arg;
	struct buf told;
	struct bytes in;
	struct arena arena;
	eventfd_t n;

	(void)loop;
	(void)events;
	(void)eventfd_read(p->fd, &n);
	pthread_mutex_lock(&p->lock);
	told = p->told;
	p->told = (struct buf){0};
	pthread_mutex_unlock(&p->lock);
	arena_init(&arena, 0);
	for (in = buf_bytes(&told); in.size > 0; arena_reset(&arena)) {
		uint32_t type;
		void *body;

		CHECK(codec_union_decode(&input_union, &in, &type, &body, &arena, NULL) == 0);
		port_submit(p->services->port, type, body, NULL);
	}
	arena_fini(&arena);
	buf_fini(&told);
}

static void on_ended(void *arg, const struct stream_item *item)
{
	struct planners *p = arg;

	planners_forget(p, item->ended->job);
	sweep_on_ended(p->sweep, item->ended);
}

static int planners_open(struct services *s, struct error *reterr)
{
	struct planners *p = s->planners = check_calloc(1, sizeof(*p));
	int r;

	p->services = s;
	p->fd = -1;
	p->dir_fd = open(s->plans_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->dir_fd < 0) {
		error_set(reterr, ERR_IO, "the plans cannot be read: %s", strerror(errno));
		error_where(reterr, "%s", s->plans_dir);
		free(p);
		s->planners = NULL;
		return ERR_IO;
	}
	p->sweep = sweep_create(s, p->dir_fd);
	pthread_mutex_init(&p->lock, NULL);
	p->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->fd < 0)
		return error_set(reterr, ERR_IO, "eventfd: %m");
	p->watch = (struct loop_watch){.fn = on_told, .arg = p};
	r = loop_add(s->loop, &p->watch, p->fd, EPOLLIN, reterr);
	if (r < 0)
		return r;
	r = s3_client_of_params(s->params, PATIENCE_US, &p->s3, reterr);
	if (r < 0)
		return r;
	r = readers_open(
	    &p->threads, s->loop,
	    &(struct readers_config){.history = s->history_path, .threads = THREADS, .lane_max = LANE_MAX},
	    reterr);
	if (r < 0)
		return r;
	p->subscriber = (struct subscriber){.fn = on_ended, .arg = p, .kinds = 1u << STREAM_JOB_ENDED};
	port_subscribe(s->port, &p->subscriber);
	return 0;
}

void planners_stop(struct planners *p)
{
	struct plan_task *t;

	if (p == NULL)
		return;
	DL_FOREACH (p->tasks, t)
		t->stop = true;
	readers_close(p->threads); /* calls done of all that were begun */
	p->threads = NULL;
}

static void planners_close(struct services *s)
{
	struct planners *p = s->planners;
	struct plan_task *t;

	if (p == NULL)
		return;
	planners_stop(p);
	HASH_CLEAR(hh, p->by_job);
	while (p->tasks != NULL) { /* never begun */
		t = p->tasks;
		DL_DELETE(p->tasks, t);
		task_destroy(t);
	}
	sweep_destroy(p->sweep);
	if (p->subscriber.fn != NULL)
		port_unsubscribe(p->services->port, &p->subscriber);
	close(p->dir_fd);
	if (p->fd >= 0) {
		loop_remove(p->services->loop, &p->watch);
		close(p->fd);
	}
	s3_client_destroy(p->s3);
	buf_fini(&p->told);
	pthread_mutex_destroy(&p->lock);
	free(p);
	s->planners = NULL;
}

const struct part part_planners = {.name = "planners", .open = planners_open, .close = planners_close};

/* One store, as far as its name tells: a bucket, or the top of a file's path. */
static uint64_t lane_of(const struct plan_task *t)
{
	uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
	int slashes = 0, slashes_max = plan_task_is_object(t) ? 3 : 5;

	for (size_t i = 0; i < t->plan.url.size && slashes < slashes_max; i++) {
		slashes += t->plan.url.data[i] == '/';
		hash = (hash ^ t->plan.url.data[i]) * UINT64_C(1099511628211);
	}
	return hash | 1;
}

static void add(struct planners *p, struct plan_task *t)
{
	struct plan_task *before = NULL;

	t->reading =
	    (struct reading){.run = run, .done = done, .lane = lane_of(t), .without_history = t->phase == 0};
	DL_APPEND(p->tasks, t);
	if (t->preview == NULL) {
		before = task_of(p, t->job);
		if (before == NULL)
			HASH_ADD(hh, p->by_job, job, sizeof(t->job), t);
	}
	if (before == NULL) {
		begin(p, t);
		return;
	}
	while (before->then != NULL)
		before = before->then;
	before->then = t;
}

void planners_run(struct planners *p, const struct dispatcher_plan *plan)
{
	struct plan_task *t = task_create(p);

	t->job = plan->job;
	t->phase = plan->phase;
	t->planner = plan->planner;
	t->shard_count = plan->shard_count;
	t->plans_dir = p->services->plans_dir;
	t->cursor = arena_copy(&t->arena, plan->cursor);
	CHECK(codec_copy(codec_plan(), plan->plan, &t->plan, &t->arena));
	t->output_dir = p->services->output_dir;
	add(p, t);
}

void planners_preview(struct planners *p, struct plan_preview *preview)
{
	struct plan_task *t = task_create(p);

	t->planner = preview->planner;
	t->preview = preview;
	CHECK(codec_copy(codec_plan(), &preview->plan, &t->plan, &t->arena));
	add(p, t);
}

void plan_preview_fini(struct plan_preview *preview)
{
	for (size_t i = 0; i < PLAN_PREVIEW_ITEMS; i++) {
		buf_fini(&preview->first[i]);
		buf_fini(&preview->last[i]);
	}
	arena_fini(&preview->arena);
}

void planners_forget(struct planners *p, uint64_t job)
{
	struct plan_task *t = task_of(p, job), *waiting;

	if (t == NULL)
		return;
	t->stop = true;
	while ((waiting = t->then) != NULL) {
		t->then = waiting->then;
		DL_DELETE(p->tasks, waiting);
		task_destroy(waiting);
	}
	readers_cancel(p->threads, &t->reading);
}

void planners_sweep(struct services *s)
{
	sweep_begin(s->planners->sweep);
}
