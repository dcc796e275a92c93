#include "dispatcher/readers.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uthash.h>
#include <utlist.h>

#include "base/check.h"
#include "dispatcher/store/history_reader.h"

#define THREADS_MAX 32

/* Readings that share something: so many of them at a time. */
struct lane {
	uint64_t id;
	uint32_t taken; /* asked or running */
	struct reading *waiting;
	UT_hash_handle hh;
};

struct readers {
	struct loop *loop;
	struct loop_watch watch;
	char *history;
	uint32_t lane_max;
	int fd; /* eventfd: readings are over */
	pthread_t threads[THREADS_MAX];
	uint32_t thread_count;

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t wake;
	struct reading *asked;	 /* for the next thread, in the order of their coming */
	struct lane *lanes;	 /* that have some */
	struct reading *running; /* in some thread */
	struct reading *over;
	bool closing;
	bool failing;
	struct error error;
};

static void put(struct reading **list, struct reading *r)
{
	r->list = list;
	DL_APPEND(*list, r);
}

static void take(struct reading *r)
{
	DL_DELETE(*r->list, r);
	r->list = NULL;
}

/* ---- lanes ---- */

static struct lane *lane_of(struct readers *rs, uint64_t id)
{
	struct lane *lane = NULL;

	HASH_FIND(hh, rs->lanes, &id, sizeof(id), lane);
	if (lane == NULL) {
		lane = check_calloc(1, sizeof(*lane));
		lane->id = id;
		HASH_ADD(hh, rs->lanes, id, sizeof(lane->id), lane);
	}
	return lane;
}

/* It goes to the threads, or waits until its lane has room. */
static void enter(struct readers *rs, struct reading *r)
{
	uint32_t max = r->lane_max > 0 ? r->lane_max : rs->lane_max;
	struct lane *lane = r->lane != 0 ? lane_of(rs, r->lane) : NULL;

	if (lane != NULL && lane->taken >= max) {
		put(&lane->waiting, r);
		return;
	}
	if (lane != NULL)
		lane->taken++;
	put(&rs->asked, r);
	pthread_cond_signal(&rs->wake);
}

/* It does not run any more, or never will: another one has its turn. */
static void leave(struct readers *rs, const struct reading *r)
{
	struct lane *lane = r->lane != 0 ? lane_of(rs, r->lane) : NULL;
	struct reading *next;

	if (lane == NULL)
		return;
	lane->taken--;
	next = lane->waiting;
	if (next != NULL) {
		take(next);
		enter(rs, next);
	} else if (lane->taken == 0) {
		HASH_DELETE(hh, rs->lanes, lane);
		free(lane);
	}
}

/* ---- in the threads ---- */

static void run(struct readers *rs, struct history_reader **history, struct reading *r)
{
	r->rc = 0;
	if (!r->without_history && *history == NULL)
		r->rc = history_reader_open(history, rs->history, &r->error);
	if (r->rc == 0)
		r->run(r->without_history ? NULL : *history, r);
}

static void end_one(struct readers *rs, struct reading *r, const struct history_reader *history)
{
	if (!r->without_history) {
		rs->failing = history == NULL;
		if (rs->failing)
			rs->error = r->error;
	}
	take(r);
	put(&rs->over, r);
	leave(rs, r);
	CHECK(eventfd_write(rs->fd, 1) == 0);
}

static void *thread_main(void *arg)
{
	struct readers *rs = arg;
	struct history_reader *history = NULL;

	pthread_mutex_lock(&rs->lock);
	while (!rs->closing) {
		struct reading *r = rs->asked;

		if (r == NULL) {
			pthread_cond_wait(&rs->wake, &rs->lock);
			continue;
		}
		take(r);
		put(&rs->running, r);
		pthread_mutex_unlock(&rs->lock);
		run(rs, &history, r);
		pthread_mutex_lock(&rs->lock);
		end_one(rs, r, history);
	}
	pthread_mutex_unlock(&rs->lock);
	history_reader_close(history);
	return NULL;
}

/* ---- in the loop ---- */

static void finish(struct readers *rs)
{
	struct reading *over;

	pthread_mutex_lock(&rs->lock);
	over = rs->over;
	rs->over = NULL;
	pthread_mutex_unlock(&rs->lock);
	while (over != NULL) { /* done may free it, or ask it again */
		struct reading *r = over;

		DL_DELETE(over, r);
		r->list = NULL;
		r->done(r);
	}
}

static void on_over(struct loop *loop, uint32_t events, void *arg)
{
	struct readers *rs = arg;
	eventfd_t n;

	(void)loop;
	(void)events;
	(void)eventfd_read(rs->fd, &n);
	finish(rs);
}

void readers_ask(struct readers *rs, struct reading *r)
{
	r->rc = 0;
	r->error = (struct error){0};
	atomic_store(&r->cancelled, false);
	CHECK(r->without_history || rs->history != NULL);
	pthread_mutex_lock(&rs->lock);
	enter(rs, r);
	pthread_mutex_unlock(&rs->lock);
}

static void never_run(struct readers *rs, struct reading *r, const char *why)
{
	bool had_place = r->list == &rs->asked;

	r->rc = error_set(&r->error, ERR_CLOSED, "%s", why);
	take(r);
	put(&rs->over, r);
	if (had_place)
		leave(rs, r);
}

void readers_cancel(struct readers *rs, struct reading *r)
{
	atomic_store(&r->cancelled, true);
	pthread_mutex_lock(&rs->lock);
	if (r->list != NULL && r->list != &rs->running && r->list != &rs->over) {
		never_run(rs, r, "nobody wants to know any more");
		CHECK(eventfd_write(rs->fd, 1) == 0);
	}
	pthread_mutex_unlock(&rs->lock);
}

bool readers_are_failing(struct readers *rs, struct error *reterr)
{
	bool failing;

	pthread_mutex_lock(&rs->lock);
	failing = rs->failing;
	if (failing && reterr != NULL)
		*reterr = rs->error;
	pthread_mutex_unlock(&rs->lock);
	return failing;
}

/* ---- open and close ---- */

int readers_open(struct readers **ret, struct loop *loop, const struct readers_config *config,
		 struct error *reterr)
{
	struct readers *rs = check_calloc(1, sizeof(*rs));
	int rc = 0;

	CHECK(config->threads > 0 && config->threads <= THREADS_MAX && config->lane_max > 0);
	rs->loop = loop;
	rs->lane_max = config->lane_max;
	rs->history = config->history != NULL ? strdup(config->history) : NULL;
	CHECK(config->history == NULL || rs->history != NULL);
	pthread_mutex_init(&rs->lock, NULL);
	pthread_cond_init(&rs->wake, NULL);
	rs->watch = (struct loop_watch){.fn = on_over, .arg = rs};
	*ret = rs;
	rs->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (rs->fd < 0)
		return error_set(reterr, ERR_EXHAUSTED, "no descriptor for the threads that read: %m");
	rc = loop_add(loop, &rs->watch, rs->fd, EPOLLIN, reterr);
	while (rc == 0 && rs->thread_count < config->threads) {
		rc = pthread_create(&rs->threads[rs->thread_count], NULL, thread_main, rs);
		if (rc != 0)
			return error_set(reterr, ERR_EXHAUSTED, "no thread to read with: %s", strerror(rc));
		rs->thread_count++;
	}
	return rc;
}

void readers_close(struct readers *rs)
{
	struct reading *r;

	if (rs == NULL)
		return;
	pthread_mutex_lock(&rs->lock);
	rs->closing = true;
	DL_FOREACH (rs->running, r)
		atomic_store(&r->cancelled, true);
	pthread_cond_broadcast(&rs->wake);
	pthread_mutex_unlock(&rs->lock);
	for (uint32_t i = 0; i < rs->thread_count; i++)
		pthread_join(rs->threads[i], NULL);
	do { /* those of a lane come one after the other, and what is done may ask once more */
		while (rs->asked != NULL)
			never_run(rs, rs->asked, "the dispatcher stops");
		finish(rs);
	} while (rs->asked != NULL);
	loop_remove(rs->loop, &rs->watch);
	if (rs->fd >= 0)
		close(rs->fd);
	pthread_cond_destroy(&rs->wake);
	pthread_mutex_destroy(&rs->lock);
	free(rs->history);
	free(rs);
}
