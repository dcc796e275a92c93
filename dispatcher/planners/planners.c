#include "dispatcher/planners/planners.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/s3/settings.h"
#include "dispatcher/planners/blobs.h"
#include "dispatcher/planners/plan_task.h"
#include "dispatcher/services.h"
#include "dispatcher/store/history_reader.h"

#define PATIENCE_US (10 * USEC_PER_SEC) /* with an object store: other plans wait meanwhile */
#define SWEEP_US (600 * USEC_PER_SEC)
#define SWEEP_FILES 200 /* looked at in one turn of the loop */
#define SWEEP_PAUSE_US (20 * USEC_PER_MSEC)

struct planners {
	struct services *services;
	struct subscriber subscriber;
	pthread_t thread;
	bool running;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct plan_task *first, *last; /* waiting */
	struct plan_task *current;
	bool closing;
	struct buf told; /* inputs, encoded */
	struct plan_preview *previewed;
	int fd;
	struct loop_watch watch;
	struct loop_timer timer;
	int dir_fd;
	DIR *swept; /* a sweep that goes on; NULL: none */
	struct s3_client *s3;
};

static loop_fn on_sweep;

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

bool plan_task_is_object(const struct plan_task *t)
{
	return t->plan.url.size > 5 && memcmp(t->plan.url.data, "s3://", 5) == 0;
}

static bool is_stopped(void *arg)
{
	const struct plan_task *t = arg;

	return t->stop;
}

struct s3_cancel plan_task_cancel(struct plan_task *t)
{
	return (struct s3_cancel){is_stopped, t};
}

int plan_task_head(struct plan_task *t, struct s3_name *ret_name, struct s3_head *ret, bool *ret_final,
		   struct error *reterr)
{
	int r = s3_name_parse(t->plan.url, ret_name, reterr);

	if (r == 0)
		r = s3_head(t->s3, ret_name, plan_task_cancel(t), ret, reterr);
	*ret_final = s3_error_is_final(r);
	return r;
}

int plan_task_path(const struct plan_task *t, char *ret, size_t size, struct error *reterr)
{
	static const char scheme[] = "file://";
	size_t skip = sizeof(scheme) - 1;
	struct bytes url = t->plan.url;

	if (url.size <= skip || memcmp(url.data, scheme, skip) != 0 || url.data[skip] != '/')
		error_set(reterr, ERR_INVALID, "expected an object s3://bucket/key or file:///path");
	else if (url.size - skip >= size || memchr(url.data, '\0', url.size) != NULL)
		error_set(reterr, ERR_INVALID, "expected a path that can be opened");
	else {
		memcpy(ret, url.data + skip, url.size - skip);
		ret[url.size - skip] = '\0';
		return 0;
	}
	return error_where(reterr, "%.*s", (int)(url.size < 200 ? url.size : 200), url.data);
}

static void run(struct plan_task *t)
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

static void *thread_main(void *arg)
{
	struct planners *p = arg;

	pthread_mutex_lock(&p->lock);
	while (!p->closing) {
		struct plan_task *t = p->first;

		if (t == NULL) {
			pthread_cond_wait(&p->wake, &p->lock);
			continue;
		}
		p->first = t->next;
		if (p->first == NULL)
			p->last = NULL;
		p->current = t;
		pthread_mutex_unlock(&p->lock);
		run(t);
		pthread_mutex_lock(&p->lock);
		p->current = NULL;
		if (t->preview != NULL) {
			t->preview->next = p->previewed;
			p->previewed = t->preview;
			CHECK(eventfd_write(p->fd, 1) == 0);
		}
		task_destroy(t);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void on_told(struct loop *loop, uint32_t events, void *arg)
{
	struct planners *p = arg;
	struct buf told;
	struct plan_preview *previewed;
	struct bytes in;
	struct arena arena;
	eventfd_t n;

	(void)loop;
	(void)events;
	(void)eventfd_read(p->fd, &n);
	pthread_mutex_lock(&p->lock);
	told = p->told;
	p->told = (struct buf){0};
	previewed = p->previewed;
	p->previewed = NULL;
	pthread_mutex_unlock(&p->lock);
	while (previewed != NULL) {
		struct plan_preview *next = previewed->next;

		previewed->done(previewed);
		previewed = next;
	}
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

/* May it be reopened? Then its items are needed. */
static bool may_go_on(uint8_t state, uint64_t dead)
{
	return state != JOB_SUCCEEDED || dead > 0;
}

static void on_ended(void *arg, const struct stream_item *item)
{
	struct services *s = ((struct planners *)arg)->services;
	const struct job_ended *job = item->ended;

	planners_forget(s->planners, job->job);
	if (may_go_on(job->state, job->dead))
		return;
	if (job->reopens == 0 && !dispatcher_view_may_have_items(services_core(s), job->job))
		return; /* one that was reopened has those of its life before */
	for (uint32_t phase = 0; phase < 2; phase++) { /* of the shards, which a plan phase may precede */
		char name[BLOB_NAME_BYTES];

		blobs_forget(s->blobs, bytes_of(blob_name(job->job, phase, name)));
		(void)unlinkat(s->planners->dir_fd, name, 0);
	}
}

int planners_open(struct services *s, struct error *reterr)
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
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
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
	r = pthread_create(&p->thread, NULL, thread_main, p);
	if (r != 0)
		return error_set(reterr, ERR_IO, "no thread for planners: %s", strerror(r));
	p->running = true;
	p->timer = (struct loop_timer){.fn = on_sweep, .arg = p};
	p->subscriber = (struct subscriber){.fn = on_ended, .arg = p, .kinds = 1u << STREAM_JOB_ENDED};
	port_subscribe(s->port, &p->subscriber);
	loop_timer_set(s->loop, &p->timer, clock_mono_us() + SWEEP_US);
	return 0;
}

void planners_close(struct planners *p)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->closing = true;
	if (p->current != NULL)
		p->current->stop = true;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	if (p->running)
		pthread_join(p->thread, NULL);
	if (p->swept != NULL)
		closedir(p->swept);
	while (p->first != NULL) {
		struct plan_task *t = p->first;

		p->first = t->next;
		if (t->preview != NULL) {
			t->preview->next = p->previewed;
			p->previewed = t->preview;
		}
		task_destroy(t);
	}
	while (p->previewed != NULL) {
		struct plan_preview *preview = p->previewed;

		p->previewed = preview->next;
		preview->rc = error_set(&preview->error, ERR_CLOSED, "the dispatcher is stopping");
		preview->done(preview);
	}
	loop_timer_unset(p->services->loop, &p->timer);
	if (p->subscriber.fn != NULL)
		port_unsubscribe(p->services->port, &p->subscriber);
	close(p->dir_fd);
	if (p->fd >= 0) {
		loop_remove(p->services->loop, &p->watch);
		close(p->fd);
	}
	s3_client_destroy(p->s3);
	buf_fini(&p->told);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static void queue(struct planners *p, struct plan_task *t)
{
	pthread_mutex_lock(&p->lock);
	if (p->last != NULL)
		p->last->next = t;
	else
		p->first = t;
	p->last = t;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
}

void planners_run(struct planners *p, const struct dispatcher_plan *plan)
{
	struct plan_task *t = task_create(p);
	struct error e = {0};

	t->job = plan->job;
	t->phase = plan->phase;
	t->planner = plan->planner;
	t->shard_count = plan->shard_count;
	t->plans_dir = p->services->plans_dir;
	t->cursor = arena_copy(&t->arena, plan->cursor);
	CHECK(codec_copy(codec_plan(), plan->plan, &t->plan, &t->arena));
	if (t->phase > 0 && plan_output_find(p->services, t, &e) < 0) {
		plan_task_failed(t, e.code == ERR_CORRUPT, &e);
		task_destroy(t);
		return;
	}
	queue(p, t);
}

void planners_preview(struct planners *p, struct plan_preview *preview)
{
	struct plan_task *t = task_create(p);

	t->planner = preview->planner;
	t->preview = preview;
	CHECK(codec_copy(codec_plan(), &preview->plan, &t->plan, &t->arena));
	queue(p, t);
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
	pthread_mutex_lock(&p->lock);
	if (p->current != NULL && p->current->job == job)
		p->current->stop = true;
	for (struct plan_task *t = p->first; t != NULL; t = t->next)
		if (t->job == job)
			t->stop = true;
	pthread_mutex_unlock(&p->lock);
}

/* Live, or it may live again. What history cannot say now is kept. */
static bool is_wanted(struct services *s, uint64_t job, struct arena *arena)
{
	struct view_job view;
	struct history_job row;
	struct plan plan;
	int r;

	if (dispatcher_view_job(services_core(s), job, arena, &view))
		return true; /* if it has ended: until history says how */
	r = history_job(s->reader, job, arena, &row, NULL);
	if (r == 0 && job_state_is_ended(row.state) && !may_go_on(row.state, row.dead))
		return false;
	if (r == 0)
		r = history_plan(s->reader, job, arena, &plan, NULL);
	return r != ERR_NOT_FOUND;
}

static void on_sweep(struct loop *loop, void *arg)
{
	struct planners *p = arg;

	(void)loop;
	planners_sweep(p->services);
}

void planners_sweep(struct services *s)
{
	struct planners *p = s->planners;
	struct dirent *entry = NULL;
	struct arena arena;

	if (p->swept == NULL)
		p->swept = opendir(s->plans_dir);
	loop_timer_set(s->loop, &p->timer, clock_mono_us() + SWEEP_US);
	if (p->swept == NULL)
		return;
	arena_init(&arena, 0);
	for (int n = 0; n < SWEEP_FILES && (entry = readdir(p->swept)) != NULL; n++) {
		uint64_t job = blob_job(entry->d_name);

		arena_reset(&arena);
		if (job == 0 || is_wanted(s, job, &arena))
			continue;
		blobs_forget(s->blobs, bytes_of(entry->d_name));
		(void)unlinkat(dirfd(p->swept), entry->d_name, 0);
	}
	arena_fini(&arena);
	if (entry != NULL) { /* others have their turn */
		loop_timer_set(s->loop, &p->timer, clock_mono_us() + SWEEP_PAUSE_US);
		return;
	}
	closedir(p->swept);
	p->swept = NULL;
}
