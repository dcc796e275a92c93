/* What history says of jobs, while they end, are reopened, and whoever asks goes away. History and the core
 * are this file's: the question runs in real threads. */
#include <criterion/criterion.h>
#include <sched.h>

#include "base/check.h"
#include "dispatcher/api/past.h"
#include "jobs/kinds.h"

#define JOB 7

static struct loop *loop;
static struct services services;
static _Atomic uint8_t in_history; /* the job's state; 0: it is not known */
static _Atomic int reads;
static _Atomic bool held, reading; /* the question waits in its thread; it has begun */
static _Atomic bool is_broken;
static bool in_core;

/* ---- history and the core ---- */

int history_reader_open(struct history_reader **ret, const char *path, struct error *reterr)
{
	if (is_broken)
		return error_set(reterr, ERR_IO, "cannot open %s", path);
	*ret = (struct history_reader *)&services;
	return 0;
}

void history_reader_close(struct history_reader *r)
{
	(void)r;
}

int history_job(struct history_reader *r, uint64_t job, struct arena *arena, struct history_job *ret,
		struct error *reterr)
{
	int state;

	(void)r;
	atomic_store(&reading, true);
	while (atomic_load(&held))
		sched_yield();
	state = atomic_load(&in_history);
	atomic_fetch_add(&reads, 1); /* what is changed behind it comes too late for this one */
	if (state == 0)
		return error_set(reterr, ERR_NOT_FOUND, "no job %llu", (unsigned long long)job);
	*ret = (struct history_job){
	    .job = job, .state = (uint8_t)state, .name = arena_copy(arena, BYTES_LIT("name"))};
	return 0;
}

int history_definition(struct history_reader *r, struct bytes sha256, struct arena *arena,
		       struct bytes *ret_name, struct bytes *ret_text, struct error *reterr)
{
	(void)r, (void)sha256, (void)arena;
	*ret_name = *ret_text = BYTES_LIT("gone");
	return error_set(reterr, ERR_NOT_FOUND, "no definition");
}

int history_event(struct history_reader *r, uint64_t hi, uint64_t lo, struct arena *arena, struct bytes *ret,
		  struct error *reterr)
{
	(void)r, (void)hi, (void)lo, (void)arena, (void)reterr;
	*ret = BYTES_LIT("{}");
	return 0;
}

struct port_view port_view(const struct port *p)
{
	(void)p;
	return (struct port_view){0};
}

bool dispatcher_view_job(const struct dispatcher_core *core, uint64_t job, struct arena *arena,
			 struct view_job *ret)
{
	(void)core, (void)arena;
	*ret = (struct view_job){.job = job, .state = JOB_ACTIVE};
	return in_core;
}

/* ---- who asks ---- */

struct asker {
	int called, rc, more;
	uint8_t state; /* of the row; 0: there is none */
};

static void on_past(void *arg, struct past *p, int rc, const struct error *e)
{
	struct asker *a = arg;
	const struct history_job *row = past_row(p, JOB);

	cr_assert(rc == 0 || e->code == rc);
	a->called++;
	a->rc = rc;
	a->state = rc == 0 && row != NULL ? row->state : 0;
	cr_assert(row == NULL || rc < 0 || bytes_equal(row->name, BYTES_LIT("name")));
	cr_assert(past_asked(p, JOB) && !past_asked(p, JOB + 1));
	past_drop(p);
}

/* What else is read: the definition is not known any more, the event is. */
static int more(void *arg, struct history_reader *history, const struct history_job *row, struct arena *arena,
		struct error *reterr)
{
	struct asker *a = arg;
	struct past_texts texts;
	int rc = past_read_texts(history, row->definition, 1, 2, arena, &texts, reterr);

	a->more++;
	cr_assert(texts.definition.size == 0 && bytes_equal(texts.event, BYTES_LIT("{}")));
	return rc;
}

static struct past *ask(struct asker *a, past_more_fn *fn)
{
	struct past *p = past_create(&services, fn, on_past, a);

	past_add(p, JOB);
	past_ask(p);
	return p;
}

static void answer(const struct asker *a)
{
	while (a->called == 0)
		loop_turn(loop, true);
}

static void setup(void)
{
	struct readers_config c = {.history = "/history.db", .threads = 2, .lane_max = 1};

	cr_assert_eq(loop_create(&loop, NULL), 0);
	services.loop = loop;
	cr_assert_eq(readers_open(&services.readers, loop, &c, NULL), 0);
}

static void teardown(void)
{
	readers_close(services.readers);
	loop_destroy(loop);
}

TestSuite(past, .init = setup, .fini = teardown, .timeout = 20);

/* ---- stories ---- */

Test(past, a_job_that_has_ended)
{
	struct asker a = {0};

	in_history = JOB_FAILED;
	(void)ask(&a, more);
	cr_assert_eq(a.called, 0, "never at once");
	answer(&a);
	cr_assert(a.rc == 0 && a.state == JOB_FAILED && a.more == 1 && reads == 1);
}

Test(past, a_job_that_nobody_knows)
{
	struct asker a = {0};

	(void)ask(&a, more);
	answer(&a);
	cr_assert(a.rc == 0 && a.state == 0 && a.more == 0 && reads == 1);
}

Test(past, history_that_cannot_be_read)
{
	struct asker a = {0};

	is_broken = true;
	(void)ask(&a, NULL);
	answer(&a);
	cr_assert_eq(a.rc, ERR_IO);
}

/* It was reopened when its row was read; the core forgets it only when history knows how it ended. */
Test(past, it_ends_again_between_question_and_answer)
{
	struct asker a = {0};

	in_history = JOB_ACTIVE;
	held = true;
	(void)ask(&a, more);
	while (!reading)
		sched_yield();
	in_core = true;
	held = false;
	while (reads == 0)
		sched_yield();
	in_history = JOB_SUCCEEDED;
	in_core = false;
	answer(&a);
	cr_assert(a.state == JOB_SUCCEEDED && a.more == 2 && reads == 2);
}

Test(past, one_that_is_live_is_told_by_the_core)
{
	struct asker a = {0};

	in_history = JOB_ACTIVE;
	in_core = true;
	(void)ask(&a, NULL);
	answer(&a);
	cr_assert(a.state == JOB_ACTIVE && reads == 1, "its row is not read again");
}

/* History was restored from an old copy: it will never say how the job ended. */
Test(past, an_end_that_is_lost_is_not_asked_for_for_ever)
{
	struct asker a = {0};

	in_history = JOB_ACTIVE;
	(void)ask(&a, NULL);
	answer(&a);
	cr_assert(a.rc == 0 && a.state == JOB_ACTIVE && reads > 1);
}

Test(past, who_asked_goes_away)
{
	struct asker running = {0}, waiting[4] = {{0}}, last = {0};
	struct past *p, *others[4];

	in_history = JOB_FAILED;
	held = true;
	p = ask(&running, NULL);
	while (!reading)
		sched_yield();
	for (int i = 0; i < 4; i++)
		others[i] = ask(&waiting[i], NULL);
	past_drop(p);
	for (int i = 0; i < 4; i++)
		past_drop(others[i]);
	past_drop(NULL);
	held = false;
	(void)ask(&last, NULL);
	answer(&last);
	cr_assert(running.called == 0 && waiting[0].called == 0 && waiting[3].called == 0);
}

Test(past, the_dispatcher_stops)
{
	struct asker a = {0}, b = {0};

	in_history = JOB_FAILED;
	services.stopping = true;
	(void)ask(&a, NULL);
	answer(&a);
	cr_assert_eq(a.rc, ERR_CLOSED, "nothing may be begun any more");
	(void)ask(&b, NULL);
	readers_close(services.readers);
	cr_assert(b.called == 1 && b.rc == ERR_CLOSED, "whoever waits is told");
	services.readers = NULL;
}
