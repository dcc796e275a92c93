#include "base/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/array.h"
#include "base/check.h"
#include "base/clock.h"

#define BATCH 64
#define SIGNAL_MAX 65

struct task_list {
	struct loop_task *first, *last;
};

struct loop {
	int epoll_fd, timer_fd, signal_fd;
	bool stopping, turning;
	usec_t now_us;
	usec_t armed_us;	  /* what timer_fd is set to; USEC_NEVER = not */
	struct loop_timer **heap; /* heap[1] is due first */
	size_t heap_count, heap_capacity;
	uint64_t next_order;
	struct task_list tasks, hooks;
	struct epoll_event batch[BATCH];
	int batch_count;
	struct loop_watch signal_watch;
	sigset_t signals, mask_before;
	struct {
		loop_signal_fn *fn;
		void *arg;
	} on_signal[SIGNAL_MAX];
};

static int fail(const char *doing, struct error *reterr)
{
	return error_set(reterr, ERR_IO, "cannot %s: %s", doing, strerror(errno));
}

int loop_create(struct loop **ret, struct error *reterr)
{
	struct loop *loop = check_calloc(1, sizeof *loop);
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};

	loop->armed_us = USEC_NEVER;
	loop->signal_fd = -1;
	sigemptyset(&loop->signals);
	pthread_sigmask(SIG_SETMASK, NULL, &loop->mask_before);
	loop->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	/* Edge-triggered and never read: the edge wakes us, the heap says what is due. */
	if (loop->timer_fd < 0 || loop->epoll_fd < 0 ||
	    epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->timer_fd, &event) != 0) {
		int r = fail("make an event loop", reterr);

		loop_destroy(loop);
		return r;
	}
	loop->now_us = clock_mono_us();
	*ret = loop;
	return 0;
}

void loop_destroy(struct loop *loop)
{
	if (loop == NULL)
		return;
	if (loop->signal_fd >= 0) {
		close(loop->signal_fd);
		pthread_sigmask(SIG_SETMASK, &loop->mask_before, NULL);
	}
	if (loop->timer_fd >= 0)
		close(loop->timer_fd);
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	free(loop->heap);
	free(loop);
}

int loop_add(struct loop *loop, struct loop_watch *w, int fd, uint32_t events, struct error *reterr)
{
	struct epoll_event event = {.events = events, .data.ptr = w};

	CHECK(!w->added && w->fn != NULL);
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
		if (errno == EPERM)
			return error_set(reterr, ERR_INVALID,
					 "expected a socket, pipe or the like to watch, found a "
					 "file or directory");
		return fail("watch a descriptor", reterr);
	}
	w->fd = fd;
	w->added = true;
	return 0;
}

void loop_change(struct loop *loop, struct loop_watch *w, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = w};

	CHECK(w->added);
	CHECK(epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, w->fd, &event) == 0);
}

void loop_remove(struct loop *loop, struct loop_watch *w)
{
	if (!w->added)
		return;
	CHECK(epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL) == 0);
	w->added = false;
	/* It may stand in the batch that is being handed out, and be freed now. */
	for (int i = 0; i < loop->batch_count; i++)
		if (loop->batch[i].data.ptr == w)
			loop->batch[i].data.ptr = NULL;
}

static bool is_before(const struct loop_timer *a, const struct loop_timer *b)
{
	if (a->deadline_us != b->deadline_us)
		return a->deadline_us < b->deadline_us;
	return a->order < b->order;
}

static void heap_put(struct loop *loop, struct loop_timer *t, size_t place)
{
	loop->heap[place] = t;
	t->place = place;
}

static void heap_up(struct loop *loop, struct loop_timer *t, size_t place)
{
	for (; place > 1 && is_before(t, loop->heap[place / 2]); place /= 2)
		heap_put(loop, loop->heap[place / 2], place);
	heap_put(loop, t, place);
}

static void heap_down(struct loop *loop, struct loop_timer *t, size_t place)
{
	for (;;) {
		size_t child = place * 2;

		if (child < loop->heap_count && is_before(loop->heap[child + 1], loop->heap[child]))
			child++;
		if (child > loop->heap_count || !is_before(loop->heap[child], t))
			break;
		heap_put(loop, loop->heap[child], place);
		place = child;
	}
	heap_put(loop, t, place);
}

void loop_timer_unset(struct loop *loop, struct loop_timer *t)
{
	struct loop_timer *last;
	size_t place = t->place;

	if (place == 0)
		return;
	t->place = 0;
	last = loop->heap[loop->heap_count--];
	if (last == t)
		return;
	heap_up(loop, last, place);
	heap_down(loop, last, last->place);
}

void loop_timer_set(struct loop *loop, struct loop_timer *t, usec_t deadline_us)
{
	CHECK(t->fn != NULL);
	loop_timer_unset(loop, t);
	if (deadline_us == USEC_NEVER)
		return;
	ARRAY_RESERVE(loop->heap, loop->heap_capacity, loop->heap_count + 2); /* from place 1 on */
	t->deadline_us = deadline_us;
	t->order = loop->next_order++;
	heap_up(loop, t, ++loop->heap_count);
}

static void list_add(struct task_list *list, struct loop_task *task)
{
	CHECK(task->fn != NULL);
	if (task->queued)
		return;
	task->queued = true;
	task->next = NULL;
	task->prev = list->last;
	*(list->last != NULL ? &list->last->next : &list->first) = task;
	list->last = task;
}

static void list_remove(struct task_list *list, struct loop_task *task)
{
	if (!task->queued)
		return;
	*(task->prev != NULL ? &task->prev->next : &list->first) = task->next;
	*(task->next != NULL ? &task->next->prev : &list->last) = task->prev;
	task->queued = false;
}

void loop_defer(struct loop *loop, struct loop_task *task)
{
	list_add(&loop->tasks, task);
}

void loop_defer_cancel(struct loop *loop, struct loop_task *task)
{
	list_remove(&loop->tasks, task);
}

void loop_add_prepare(struct loop *loop, struct loop_task *hook)
{
	list_add(&loop->hooks, hook);
}

void loop_remove_prepare(struct loop *loop, struct loop_task *hook)
{
	list_remove(&loop->hooks, hook);
}

static void on_signals(struct loop *loop, uint32_t events, void *arg)
{
	struct signalfd_siginfo info;

	(void)events;
	(void)arg;
	while (read(loop->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
		uint32_t signo = info.ssi_signo;

		if (signo < SIGNAL_MAX && loop->on_signal[signo].fn != NULL)
			loop->on_signal[signo].fn(loop, (int)signo, loop->on_signal[signo].arg);
	}
}

int loop_add_signal(struct loop *loop, int signo, loop_signal_fn *fn, void *arg, struct error *reterr)
{
	int fd;

	CHECK(signo > 0 && signo < SIGNAL_MAX && fn != NULL);
	sigaddset(&loop->signals, signo);
	fd = signalfd(loop->signal_fd, &loop->signals, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return fail("take signals", reterr);
	if (loop->signal_fd < 0) {
		int r;

		loop->signal_watch.fn = on_signals;
		r = loop_add(loop, &loop->signal_watch, fd, EPOLLIN, reterr);
		if (r != 0) {
			close(fd);
			return r;
		}
		loop->signal_fd = fd;
	}
	pthread_sigmask(SIG_BLOCK, &loop->signals, NULL);
	loop->on_signal[signo].fn = fn;
	loop->on_signal[signo].arg = arg;
	return 0;
}

usec_t loop_now_us(const struct loop *loop)
{
	return loop->now_us;
}

/* timer_fd to the first deadline; a call only when that has come nearer. What it is set to may be too early:
 * then one turn finds nothing due and sets it again, while deadlines that move on in each turn cost no call.
 */
static void arm(struct loop *loop)
{
	usec_t first_us = loop->heap_count > 0 ? loop->heap[1]->deadline_us : USEC_NEVER;
	struct itimerspec spec = {0};

	if (loop->armed_us <= first_us)
		return;
	loop->armed_us = first_us;
	if (first_us != USEC_NEVER) {
		usec_t at_us = first_us > 0 ? first_us : 1; /* zero would disarm it */

		spec.it_value.tv_sec = (time_t)(at_us / USEC_PER_SEC);
		spec.it_value.tv_nsec = (long)(at_us % USEC_PER_SEC) * 1000;
	}
	CHECK(timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL) == 0);
}

static void run_watches(struct loop *loop)
{
	for (int i = 0; i < loop->batch_count; i++) {
		struct loop_watch *w = loop->batch[i].data.ptr;

		if (w != NULL) /* NULL: removed in this turn, or timer_fd */
			w->fn(loop, loop->batch[i].events, w->arg);
	}
	loop->batch_count = 0;
}

static void run_timers(struct loop *loop)
{
	uint64_t end = loop->next_order; /* what is set from here on waits for the next turn */

	while (loop->heap_count > 0 && loop->heap[1]->deadline_us <= loop->now_us &&
	       loop->heap[1]->order < end) {
		struct loop_timer *t = loop->heap[1];

		loop_timer_unset(loop, t);
		t->fn(loop, t->arg);
	}
}

static void run_tasks(struct loop *loop)
{
	struct loop_task end = {.fn = (loop_fn *)abort}; /* a mark, never run */

	if (loop->tasks.first == NULL)
		return;
	list_add(&loop->tasks, &end);
	while (loop->tasks.first != &end) {
		struct loop_task *task = loop->tasks.first;

		list_remove(&loop->tasks, task);
		task->fn(loop, task->arg);
	}
	list_remove(&loop->tasks, &end);
}

static void run_hooks(struct loop *loop)
{
	struct loop_task *next;

	for (struct loop_task *hook = loop->hooks.first; hook != NULL; hook = next) {
		next = hook->next;
		hook->fn(loop, hook->arg);
	}
}

void loop_turn(struct loop *loop, bool wait)
{
	int count;

	CHECK(!loop->turning);
	loop->turning = true;
	run_hooks(loop);
	arm(loop);
	do
		count = epoll_wait(loop->epoll_fd, loop->batch, BATCH,
				   wait && loop->tasks.first == NULL && !loop->stopping ? -1 : 0);
	while (count < 0 && errno == EINTR);
	CHECK(count >= 0);
	loop->batch_count = count;
	loop->now_us = clock_mono_us();
	if (loop->armed_us <= loop->now_us)
		loop->armed_us = USEC_NEVER; /* it has gone off */
	run_watches(loop);
	run_timers(loop);
	run_tasks(loop);
	loop->turning = false;
}

void loop_run(struct loop *loop)
{
	loop->stopping = false;
	while (!loop->stopping)
		loop_turn(loop, true);
}

void loop_stop(struct loop *loop)
{
	loop->stopping = true;
}
