/* A small epoll loop: descriptors, timers, signals, deferred work; one thread.
 *
 * One turn: prepare hooks; wait (not at all when tasks are queued); descriptors that are ready;
 * timers that are due; the tasks that were queued when the turn came to them. What a callback adds
 * is seen in the next turn, so nothing recurses and nothing starves.
 *
 * Watches, timers, tasks and hooks are the caller's memory: they must stay where they are while
 * added. Any callback may remove any of them, its own too, and free it then. A hook may remove itself, but no
 * other hook. Callbacks must not call loop_run or loop_turn.
 *
 * Children inherit the blocked mask of loop_add_signal: whoever spawns resets it. */
#pragma once

#include <sys/epoll.h>

#include "base/error.h"
#include "base/types.h"

struct loop;

typedef void loop_watch_fn(struct loop *loop, uint32_t events, void *arg);
typedef void loop_fn(struct loop *loop, void *arg);
typedef void loop_signal_fn(struct loop *loop, int signo, void *arg);

struct loop_watch {
	loop_watch_fn *fn; /* set these two; the rest is the loop's */
	void *arg;
	int fd;
	bool added;
};

struct loop_timer {
	loop_fn *fn;
	void *arg;
	usec_t deadline_us; /* mono */
	size_t place;	    /* in the heap, from 1; 0 = not set */
	uint64_t order;	    /* equal deadlines run in the order in which they were set */
};

struct loop_task {
	loop_fn *fn;
	void *arg;
	struct loop_task *prev, *next;
	bool queued;
};

int loop_create(struct loop **ret, struct error *reterr) MUST_CHECK;
/* NULL is fine. What is still added is forgotten; descriptors stay the caller's; the signal mask
 * becomes what it was. */
void loop_destroy(struct loop *loop);

/* events: EPOLLIN, EPOLLOUT, EPOLLET, …; a regular file cannot be watched (ERR_INVALID). */
int loop_add(struct loop *loop, struct loop_watch *w, int fd, uint32_t events,
	     struct error *reterr) MUST_CHECK;
void loop_change(struct loop *loop, struct loop_watch *w, uint32_t events);
/* Before the descriptor is closed. Does nothing when not added. */
void loop_remove(struct loop *loop, struct loop_watch *w);

/* Sets or moves it: fn runs once, when mono time is at or past deadline_us; USEC_NEVER unsets. */
void loop_timer_set(struct loop *loop, struct loop_timer *t, usec_t deadline_us);
void loop_timer_unset(struct loop *loop, struct loop_timer *t);

/* Runs fn once, behind this turn's descriptors and timers; does nothing when queued already. */
void loop_defer(struct loop *loop, struct loop_task *task);
void loop_defer_cancel(struct loop *loop, struct loop_task *task);

/* fn runs at the start of every turn, in the order in which hooks were added: for sources whose
 * readiness epoll does not tell (a ZeroMQ socket's descriptor is an edge: look before sleeping). */
void loop_add_prepare(struct loop *loop, struct loop_task *hook);
void loop_remove_prepare(struct loop *loop, struct loop_task *hook);

/* Blocks signo in this thread (start threads later, so that they inherit it) and calls fn from the
 * loop. A second call for the same signal replaces fn. */
int loop_add_signal(struct loop *loop, int signo, loop_signal_fn *fn, void *arg,
		    struct error *reterr) MUST_CHECK;

/* Mono time when this turn's wait ended: one clock call a turn, not one a callback. */
usec_t loop_now_us(const struct loop *loop);
/* Turns until loop_stop is called. */
void loop_run(struct loop *loop);
/* One turn; wait = false polls. */
void loop_turn(struct loop *loop, bool wait);
void loop_stop(struct loop *loop);
