/* Questions in threads of their own: answered in the loop, a lane at a time, cancelled, never lost. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "base/check.h"
#include "dispatcher/readers.h"

#define ASKED 24

struct question {
	struct reading reading;
	_Atomic bool began;
	sem_t *begins;	  /* NULL: nobody waits for that */
	_Atomic bool *go; /* NULL: it ends at once */
	int done;
	bool again;
};

static struct loop *loop;
static struct readers *readers;
static int done_count, in_lane, in_lane_most;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void open_readers(uint32_t threads, uint32_t lane_max)
{
	struct readers_config c = {.threads = threads, .lane_max = lane_max};

	cr_assert_eq(loop_create(&loop, NULL), 0);
	cr_assert_eq(readers_open(&readers, loop, &c, NULL), 0);
}

static void count_lane(int change)
{
	pthread_mutex_lock(&lock);
	in_lane += change;
	if (in_lane > in_lane_most)
		in_lane_most = in_lane;
	pthread_mutex_unlock(&lock);
}

static void run(struct history_reader *history, struct reading *r)
{
	struct question *q = (struct question *)r;

	cr_assert_null(history);
	atomic_store(&q->began, true);
	if (q->begins != NULL)
		sem_post(q->begins);
	if (r->lane != 0)
		count_lane(1);
	while (q->go != NULL && !atomic_load(q->go) && !atomic_load(&r->cancelled))
		sched_yield();
	if (r->lane != 0)
		count_lane(-1);
}

static void done(struct reading *r)
{
	struct question *q = (struct question *)r;

	q->done++;
	done_count++;
	if (q->again) {
		q->again = false;
		readers_ask(readers, r);
	}
}

static void ask(struct question *q, uint64_t lane, _Atomic bool *go)
{
	q->go = go;
	q->reading = (struct reading){.run = run, .done = done, .lane = lane, .without_history = true};
	readers_ask(readers, &q->reading);
}

static void turn_until(int count)
{
	while (done_count < count)
		loop_turn(loop, true);
}

static void close_all(void)
{
	readers_close(readers);
	loop_destroy(loop);
}

Test(readers, all_are_answered_in_the_loop, .timeout = 20)
{
	struct question q[ASKED] = {0};

	open_readers(4, 1);
	for (int i = 0; i < ASKED; i++) {
		q[i].again = i % 3 == 0;
		ask(&q[i], 0, NULL);
	}
	turn_until(ASKED + ASKED / 3);
	for (int i = 0; i < ASKED; i++)
		cr_assert_eq(q[i].done, i % 3 == 0 ? 2 : 1);
	close_all();
}

Test(readers, a_lane_keeps_its_bound, .timeout = 20)
{
	struct question q[ASKED] = {0};

	open_readers(8, 2);
	for (int i = 0; i < ASKED; i++)
		ask(&q[i], 7, NULL);
	turn_until(ASKED);
	cr_assert_leq(in_lane_most, 2);
	close_all();
}

Test(readers, one_that_hangs_delays_nobody_of_another_lane, .timeout = 20)
{
	struct question hung[4] = {0}, other = {0};
	_Atomic bool go = false;

	open_readers(3, 2);
	for (int i = 0; i < 4; i++)
		ask(&hung[i], 7, &go);
	ask(&other, 8, NULL);
	turn_until(1);
	cr_assert_eq(other.done, 1);
	atomic_store(&go, true);
	turn_until(5);
	close_all();
}

Test(readers, one_is_cancelled_before_it_runs_or_while_it_does, .timeout = 20)
{
	struct question q[2] = {0};
	_Atomic bool go = false;
	sem_t begins;

	open_readers(1, 1);
	cr_assert_eq(sem_init(&begins, 0, 0), 0);
	q[0].begins = &begins;
	ask(&q[0], 0, &go);
	ask(&q[1], 0, &go);
	cr_assert_eq(sem_wait(&begins), 0);
	readers_cancel(readers, &q[1].reading);
	turn_until(1);
	cr_assert_eq(q[1].reading.rc, ERR_CLOSED);
	cr_assert_not(atomic_load(&q[1].began));
	readers_cancel(readers, &q[0].reading);
	turn_until(2);
	cr_assert_eq(q[0].reading.rc, 0);
	close_all();
}

Test(readers, all_are_done_when_it_closes, .timeout = 20)
{
	struct question q[ASKED] = {0};
	_Atomic bool go = false;

	open_readers(2, 1);
	for (int i = 0; i < ASKED; i++) {
		q[i].again = true;
		ask(&q[i], (uint64_t)i % 3, &go);
	}
	close_all();
	for (int i = 0; i < ASKED; i++) {
		cr_assert_eq(q[i].done, 2);
		cr_assert_eq(q[i].reading.rc, ERR_CLOSED);
	}
}
