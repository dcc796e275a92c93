/* Turns of the loop: who runs, in which order, and what may vanish meanwhile. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/rng.h"

#define SEED 4242u

static struct loop *loop;
static struct error e;
static char trace[64];

static void setup(void)
{
	cr_assert_eq(loop_create(&loop, &e), 0, "%s", e.what);
	memset(trace, 0, sizeof trace);
}

static void teardown(void)
{
	loop_destroy(loop);
}

TestSuite(loop, .init = setup, .fini = teardown, .timeout = 20);

/* Notes its letter. */
static void note(struct loop *l, void *arg)
{
	(void)l;
	trace[strlen(trace)] = *(const char *)arg;
}

static void note_and_stop(struct loop *l, void *arg)
{
	note(l, arg);
	loop_stop(l);
}

Test(loop, timers_run_in_order_of_their_deadlines)
{
	usec_t now = clock_mono_us();
	struct loop_timer a = {.fn = note, .arg = "a"}, b = {.fn = note, .arg = "b"},
			  c = {.fn = note_and_stop, .arg = "c"}, d = {.fn = note, .arg = "d"},
			  past = {.fn = note, .arg = "p"}, moved = {.fn = note, .arg = "m"};

	loop_timer_set(loop, &c, now + 3000);
	loop_timer_set(loop, &moved, now + 3600 * USEC_PER_SEC);
	loop_timer_set(loop, &a, now + 1000);
	loop_timer_set(loop, &d, now + 500);
	loop_timer_set(loop, &b, now + 1000); /* equal: the one set first */
	loop_timer_set(loop, &past, -5);
	loop_timer_set(loop, &moved, now + 2000);
	loop_timer_unset(loop, &d);
	loop_timer_unset(loop, &d);
	loop_run(loop);
	cr_assert_str_eq(trace, "pabmc");
	cr_assert_geq(clock_mono_us(), now + 3000);
	cr_assert_geq(loop_now_us(loop), now + 3000);
}

Test(loop, a_timer_never_runs_before_its_time)
{
	struct loop_timer t = {.fn = note_and_stop, .arg = "t"};

	for (int i = 0; i < 20; i++) {
		usec_t deadline = clock_mono_us() + 50 * i;

		loop_timer_set(loop, &t, deadline);
		loop_run(loop);
		cr_assert_geq(clock_mono_us(), deadline);
	}
	loop_timer_set(loop, &t, USEC_NEVER);
	cr_assert_eq(t.place, 0);
}

static struct loop_timer many[400];
static usec_t last_deadline;
static size_t fired;

static void in_order(struct loop *l, void *arg)
{
	struct loop_timer *t = arg;

	(void)l;
	cr_assert_geq(t->deadline_us, last_deadline);
	last_deadline = t->deadline_us;
	fired++;
}

Test(loop, many_timers_set_moved_and_unset_at_random)
{
	usec_t past = clock_mono_us() - 1000000;
	size_t expected = 0;
	struct rng r;

	rng_seed(&r, SEED);
	for (size_t i = 0; i < ARRAY_LENGTH(many); i++)
		many[i] = (struct loop_timer){.fn = in_order, .arg = &many[i]};
	for (int i = 0; i < 5000; i++) {
		struct loop_timer *t = &many[rng_below(&r, ARRAY_LENGTH(many))];

		if (rng_chance(&r, 300000))
			loop_timer_unset(loop, t);
		else
			loop_timer_set(loop, t, past + (usec_t)rng_below(&r, 1000));
	}
	for (size_t i = 0; i < ARRAY_LENGTH(many); i++)
		expected += many[i].place != 0;
	loop_turn(loop, false);
	cr_assert_eq(fired, expected, "seed %u", SEED);
}

static void set_again(struct loop *l, void *arg)
{
	struct loop_timer *t = arg;

	fired++;
	loop_timer_set(l, t, 0); /* long past: but the next turn's */
}

Test(loop, a_timer_that_sets_itself_to_the_past_starves_nobody)
{
	struct loop_timer t = {.fn = set_again, .arg = &t};

	loop_timer_set(loop, &t, 0);
	for (size_t i = 1; i <= 5; i++) {
		loop_turn(loop, true);
		cr_assert_eq(fired, i);
	}
}

static struct loop_task tasks[3];

static void defer_again(struct loop *l, void *arg)
{
	note(l, arg);
	loop_defer(l, &tasks[0]);
}

Test(loop, deferred_work_runs_once_in_order_and_what_it_defers_waits)
{
	tasks[0] = (struct loop_task){.fn = defer_again, .arg = "0"};
	tasks[1] = (struct loop_task){.fn = note, .arg = "1"};
	tasks[2] = (struct loop_task){.fn = note, .arg = "2"};
	loop_defer(loop, &tasks[0]);
	loop_defer(loop, &tasks[1]);
	loop_defer(loop, &tasks[0]);
	loop_defer(loop, &tasks[2]);
	loop_defer_cancel(loop, &tasks[1]);
	loop_turn(loop, true);
	cr_assert_str_eq(trace, "02");
	loop_turn(loop, true); /* does not wait: something is queued */
	cr_assert_str_eq(trace, "020");
}

static struct loop_task hook;

static void hook_once(struct loop *l, void *arg)
{
	note(l, arg);
	loop_remove_prepare(l, &hook);
	loop_defer(l, &tasks[0]);
}

Test(loop, a_hook_runs_before_the_wait_and_can_prevent_it)
{
	tasks[0] = (struct loop_task){.fn = note, .arg = "t"};
	hook = (struct loop_task){.fn = hook_once, .arg = "h"};
	loop_add_prepare(loop, &hook);
	loop_turn(loop, true); /* would wait for ever */
	loop_turn(loop, false);
	cr_assert_str_eq(trace, "ht");
}

struct end {
	struct loop_watch watch;
	int fds[2];
	struct end *victim; /* removed and freed by the callback */
};

static void on_ready(struct loop *l, uint32_t events, void *arg)
{
	struct end *end = arg;
	char byte;

	cr_assert(events & EPOLLIN);
	cr_assert_eq(read(end->fds[0], &byte, 1), 1);
	fired++;
	if (end->victim != NULL) {
		loop_remove(l, &end->victim->watch);
		close(end->victim->fds[0]);
		close(end->victim->fds[1]);
		free(end->victim);
		end->victim = NULL;
	}
}

static struct end *end_make(void)
{
	struct end *end = calloc(1, sizeof *end);

	cr_assert_eq(pipe2(end->fds, O_NONBLOCK | O_CLOEXEC), 0);
	end->watch.fn = on_ready;
	end->watch.arg = end;
	cr_assert_eq(loop_add(loop, &end->watch, end->fds[0], EPOLLIN, &e), 0);
	return end;
}

static void end_drop(struct end *end)
{
	loop_remove(loop, &end->watch);
	loop_remove(loop, &end->watch);
	close(end->fds[0]);
	close(end->fds[1]);
	free(end);
}

Test(loop, a_watch_that_is_freed_while_it_is_ready_is_not_called)
{
	for (int first = 0; first < 2; first++) {
		struct end *ends[2] = {end_make(), end_make()};

		fired = 0;
		/* epoll hands out in the order of becoming ready. */
		cr_assert_eq(write(ends[first]->fds[1], "x", 1), 1);
		cr_assert_eq(write(ends[!first]->fds[1], "x", 1), 1);
		ends[first]->victim = ends[!first];
		loop_turn(loop, true);
		cr_assert_eq(fired, 1);
		end_drop(ends[first]);
	}
}

static void on_writable(struct loop *l, uint32_t events, void *arg)
{
	(void)arg;
	cr_assert(events & EPOLLOUT);
	loop_stop(l);
}

Test(loop, events_can_be_changed)
{
	struct loop_watch w = {.fn = on_writable};
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	cr_assert_eq(loop_add(loop, &w, fds[0], EPOLLIN, &e), 0);
	loop_turn(loop, false);
	loop_change(loop, &w, EPOLLOUT);
	loop_run(loop);
	loop_remove(loop, &w);
	close(fds[0]);
	close(fds[1]);
}

Test(loop, what_cannot_be_watched_is_told)
{
	struct loop_watch w = {.fn = on_writable};
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	cr_assert_eq(loop_add(loop, &w, fd, EPOLLIN, &e), ERR_INVALID);
	cr_assert_eq(loop_add(loop, &w, 99999, EPOLLIN, &e), ERR_IO);
	cr_assert_not(w.added);
	close(fd);
}

static void on_signal(struct loop *l, int signo, void *arg)
{
	note(l, arg);
	if (signo == SIGUSR2)
		loop_stop(l);
}

Test(loop, signals_come_through_the_loop_and_the_mask_is_given_back)
{
	sigset_t before, after;

	pthread_sigmask(SIG_SETMASK, NULL, &before);
	cr_assert_eq(loop_add_signal(loop, SIGUSR1, on_signal, "x", &e), 0, "%s", e.what);
	cr_assert_eq(loop_add_signal(loop, SIGUSR1, on_signal, "1", &e), 0);
	cr_assert_eq(loop_add_signal(loop, SIGUSR2, on_signal, "2", &e), 0);
	raise(SIGUSR1);
	raise(SIGUSR2);
	loop_run(loop);
	cr_assert_str_eq(trace, "12");
	loop_destroy(loop);
	loop = NULL;
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	cr_assert_eq(sigismember(&after, SIGUSR1), sigismember(&before, SIGUSR1));
}

Test(loop, a_signal_and_a_timer_meet_in_one_wait)
{
	struct loop_timer t = {.fn = note_and_stop, .arg = "t"};

	cr_assert_eq(loop_add_signal(loop, SIGUSR1, on_signal, "s", &e), 0);
	loop_timer_set(loop, &t, clock_mono_us() + 2000);
	raise(SIGUSR1);
	loop_run(loop);
	cr_assert_str_eq(trace, "st");
}
