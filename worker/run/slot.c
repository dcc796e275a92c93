#include "worker/run/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "worker/run/runner.h"
#include "worker/run/slot_impl.h"

static void wake(struct slot *s)
{
	uint64_t one = 1;
	ssize_t done = write(s->wake_fd, &one, sizeof one);

	(void)done; /* full means raised already */
}

/* What was guessed to come next did not come. */
static void drop_ahead(struct slot *s)
{
	fetch_stop(s->ahead);
	s->ahead = NULL;
}

/* Until something is to be done; a runner that has no work meanwhile is looked after. */
static void sleep_until_woken(struct slot *s)
{
	struct pollfd p[2] = {{s->wake_fd, POLLIN, 0}, {runner_pidfd(s), POLLIN, 0}};
	usec_t idle = s->runner != NULL ? s->shared->runner_idle_us : 0;
	uint64_t count;

	drop_ahead(s);
	if (poll(p, 2, idle == 0 ? -1 : (int)(idle / USEC_PER_MSEC) + 1) == 0 || p[1].revents != 0)
		runner_end(s);
	if (p[0].revents != 0) {
		ssize_t got = read(s->wake_fd, &count, sizeof count);

		(void)got;
	}
}

/* The turn goes on behind cells that were released before it came to them. The core arms none of those again
 * before that: it arms in turn, too, and a cell in work is in its way. */
static void next_turn(struct slot *s)
{
	do {
		s->released[s->turn] = false;
		s->turn = cell_after(s->turn);
	} while (s->released[s->turn]);
}

/* The word is read, and the release recorded, before the cell may be armed again. */
void slot_release(struct slot *s, uint32_t cell)
{
	struct token token = s->cells[cell].token;

	atomic_store(&s->stop[cell], false);
	if (cell == s->turn)
		next_turn(s);
	else
		s->released[cell] = true;
	cell_release(&s->cells[cell]);
	slot_record_release(s, cell, token);
}

uint32_t slot_next(const struct slot *s, uint32_t cell)
{
	do
		cell = cell_after(cell);
	while (s->released[cell] && cell != s->turn);
	return cell;
}

void slot_release_emptied(struct slot *s)
{
	for (uint32_t cell = slot_next(s, s->newest); cell != s->turn && cell_is_armed(&s->cells[cell]);
	     cell = slot_next(s, cell)) {
		struct cell_view v = cell_peek(&s->cells[cell]);

		if (v.next == v.end)
			slot_release(s, cell);
	}
}

/* The thread, for what it starts; a definition may ask for more than its slot's cores. */
static void bind(struct slot *s, uint8_t pin)
{
	struct error e;

	if (s->bound == pin)
		return;
	s->bound = pin;
	if (topology_bind_thread(s->shared->topology, s->cores, s->core_count, pin, &e) < 0)
		log_warn("a slot runs unpinned", log_u64("slot", s->number), log_text("error", e.what));
	reaper_bind_as_caller(&s->reaper);
}

/* One cell from its arming to its release; through a runner also those that follow. */
static void run_cell(struct slot *s, uint32_t cell)
{
	struct token token = s->cells[cell].token;
	struct work work;
	struct range r;

	s->newest = cell;
	bind(s, s->arms[cell].run->run.pin == 0 ? PIN_CORE : s->arms[cell].run->run.pin);
	work_prepare(&work, s, &s->arms[cell], false);
	if (work.arm.run->run.kind == RUN_RUNNER && work.failed == 0) {
		atomic_store(&s->looks_itself, true);
		runner_run_cells(s, &work);
		atomic_store(&s->looks_itself, false);
		atomic_thread_fence(memory_order_seq_cst);
		return;
	}
	while (r = cell_take(&s->cells[cell], 1), r.count > 0) {
		struct verdict v;

		attempt_run(s, &work, r.first, &v);
		v.last = slot_is_last(s, cell);
		if (!v.stopped)
			slot_record(s, cell, token, r, &v);
	}
	work_fini(&work);
	slot_release(s, cell);
}

static void *slot_main(void *arg)
{
	struct slot *s = arg;

	bind(s, PIN_CORE);
	while (!atomic_load(&s->closing)) {
		if (cell_is_armed(&s->cells[s->turn]))
			run_cell(s, s->turn);
		else
			sleep_until_woken(s);
	}
	runner_end(s);
	drop_ahead(s);
	output_close(&s->output);
	atomic_store(&s->ended, true);
	slot_notify(s);
	return NULL;
}

static int start_thread(struct slot *s, struct error *reterr)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&s->thread, NULL, slot_main, s);
	if (rc == 0) {
		char name[16]; /* as the system keeps them */

		snprintf(name, sizeof name, "slot-%u", s->number % 100000);
		pthread_setname_np(s->thread, name);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc == 0 ? 0 : error_set(reterr, ERR_IO, "a slot's thread does not start: %s", strerror(rc));
}

static void destroy(struct slot *s)
{
	for (struct slot_batch *b = slot_fetch(s), *next; b != NULL; b = next) {
		next = b->next;
		slot_batch_free(b);
	}
	output_close(&s->output);
	memory_group_close(&s->memory);
	scratch_close(&s->scratch);
	reaper_fini(&s->reaper);
	if (s->wake_fd >= 0)
		close(s->wake_fd);
	if (s->opened_fd >= 0)
		close(s->opened_fd);
	arena_fini(&s->arena);
	pthread_mutex_destroy(&s->lock);
	free(s->cores);
	free(s);
}

/* The slot's thread has all signals blocked. */
static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int slot_open(const struct slot_shared *shared, const struct worker_slot_ref *ref, const unsigned cores[],
	      unsigned core_count, struct slot **ret, struct error *reterr)
{
	struct slot *s = NULL;
	int rc;

	CHECK(posix_memalign((void **)&s, 64, sizeof *s) == 0);
	memset(s, 0, sizeof *s);
	s->shared = shared;
	s->number = ref->slot;
	s->cores = check_calloc(core_count, sizeof *s->cores);
	memcpy(s->cores, cores, core_count * sizeof *s->cores);
	s->core_count = core_count;
	s->cpu_milli = ref->shape.cpu_milli;
	s->memory_bytes = ref->shape.memory_bytes;
	s->gpus = ref->gpus;
	arena_init(&s->arena, 0);
	pthread_mutex_init(&s->lock, NULL);
	reaper_init(&s->reaper, shared->nursery);
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->opened_fd = open_signals();
	rc = s->wake_fd < 0 || s->opened_fd < 0
		 ? error_set(reterr, ERR_IO, "cannot make a slot: %s", strerror(errno))
		 : scratch_open(&s->scratch, shared->home, s->number, "", reterr);
	if (rc == 0) {
		output_open(&s->output, shared->output);
		memory_group_open(&s->memory, shared->memory, s->scratch.name, s->memory_bytes);
		rc = start_thread(s, reterr);
	}
	if (rc < 0) {
		destroy(s);
		return rc;
	}
	*ret = s;
	return 0;
}

void slot_end(struct slot *s)
{
	atomic_store(&s->closing, true);
	wake(s);
}

bool slot_has_ended(const struct slot *s)
{
	return atomic_load(&s->ended);
}

void slot_close(struct slot *s)
{
	if (s == NULL)
		return;
	slot_end(s);
	pthread_join(s->thread, NULL);
	destroy(s);
}

const unsigned *slot_cores(const struct slot *s, unsigned *ret_count, uint64_t *ret_cpu_milli)
{
	*ret_count = s->core_count;
	*ret_cpu_milli = s->cpu_milli;
	return s->cores;
}

void slot_arm(struct slot *s, const struct worker_arm *arm)
{
	s->arms[arm->cell] = *arm;
	atomic_store(&s->stop[arm->cell], false);
	cell_arm(&s->cells[arm->cell], arm->token, arm->range);
	atomic_thread_fence(memory_order_seq_cst); /* it looks once more after it has said that it does not */
	if (!atomic_load(&s->looks_itself))
		wake(s);
}

static bool holds(const struct slot *s, uint32_t cell, struct token token)
{
	return cell_is_armed(&s->cells[cell]) && s->cells[cell].token.epoch == token.epoch &&
	       s->cells[cell].token.lease == token.lease;
}

bool slot_lower_end(struct slot *s, const struct worker_lower_end *l, struct cell_view *ret)
{
	if (!holds(s, l->cell, l->token))
		return false;
	*ret = cell_lower_end(&s->cells[l->cell], l->end);
	wake(s);
	return true;
}

void slot_stop(struct slot *s, const struct worker_stop *st)
{
	if (!holds(s, st->cell, st->token))
		return;
	cell_lower_end(&s->cells[st->cell], 0);
	atomic_store(&s->stop[st->cell], true);
	wake(s);
}

struct cell_view slot_peek(const struct slot *s, uint32_t cell)
{
	return cell_peek(&s->cells[cell]);
}

struct output *slot_output(struct slot *s)
{
	return &s->output;
}
