#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "dispatcher/api/api.h"
#include "dispatcher/dedup/dedup.h"
#include "dispatcher/planners/planners.h"
#include "dispatcher/server/losses.h"
#include "dispatcher/server/server.h"
#include "dispatcher/wire/peers.h"

/* ---- what the engine needs of the world ---- */

static usec_t op_mono_us(void *arg)
{
	(void)arg;
	return clock_mono_us();
}

static usec_t op_wall_us(void *arg)
{
	(void)arg;
	return clock_wall_us();
}

static uint64_t op_submit(void *arg, uint32_t epoch, struct bytes records, uint32_t count, bool alone)
{
	struct server *s = arg;

	return journal_submit(s->services.journal, epoch, records, count, alone);
}

static int op_has_room(void *arg, struct error *reterr)
{
	const struct server *s = arg;

	return journal_has_room(s->services.journal, reterr);
}

/* A write or sync that failed is final: what the kernel now holds may differ from the disk. */
static void die_if_failed(const struct server *s)
{
	struct error e = {0};
	char line[ERROR_LINE_MAX];

	if (!journal_failed(s->services.journal, &e))
		return;
	log_error("the journal cannot be written: ending, start again when the disk is well",
		  log_error_field(&e, line, sizeof(line)));
	_Exit(1);
}

static void op_progress(void *arg, uint64_t *ret_durable_lsn, uint64_t *ret_history_lsn)
{
	const struct server *s = arg;

	*ret_durable_lsn = journal_durable_lsn(s->services.journal);
	*ret_history_lsn = history_lsn(s->services.history);
	die_if_failed(s);
}

static void op_journal(void *arg, struct engine_journal *ret)
{
	const struct server *s = arg;
	struct journal_stats stats;

	journal_stats(s->services.journal, &stats);
	*ret = (struct engine_journal){
	    .segments = stats.segment_count, .bytes = stats.bytes, .second_lsn = stats.second_lsn};
}

static int op_trim(void *arg, uint64_t lsn, struct error *reterr)
{
	struct server *s = arg;
	int r = losses_note_trim(s, lsn, reterr);

	if (r == 0)
		journal_trim(s->services.journal, lsn);
	return r;
}

static void op_send(void *arg, uint64_t peer, enum message_type type, struct bytes frame)
{
	struct server *s = arg;

	(void)type;
	peers_send(s->services.peers, peer, frame);
}

static void op_plan(void *arg, const struct dispatcher_plan *plan)
{
	struct server *s = arg;

	planners_run(s->services.planners, plan);
}

static void op_plan_stop(void *arg, uint64_t job)
{
	struct server *s = arg;

	planners_forget(s->services.planners, job);
}

/* A broken worker, or a house that is full, could have a line written for each frame. */
static void op_tell(void *arg, const struct dispatcher_tell *t)
{
	struct server *s = arg;
	uint64_t withheld = 0;

	if (t->job == 0 && !log_quota_take(&s->tells, clock_mono_us(), &withheld))
		return;
	if (withheld > 0)
		log_warn("lines like the next were too many: some were not written",
			 log_u64("count", withheld));
	log_at(t->warning ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "dispatcher", log_text("what", t->what),
	       log_u64("job", t->job));
}

static void op_seal(void *arg, usec_t bucket_wall_us)
{
	struct server *s = arg;

	dedup_seal_up_to(&s->services, bucket_wall_us);
}

static void op_read(void *arg, uint64_t read, const struct slice_request *rq)
{
	slices_read(arg, read, rq);
}

static void op_wake(void *arg)
{
	struct server *s = arg;

	loop_defer(s->services.loop, &s->turn_end);
}

static const struct engine_ops ops = {
    .mono_us = op_mono_us,
    .wall_us = op_wall_us,
    .submit = op_submit,
    .has_room = op_has_room,
    .progress = op_progress,
    .journal = op_journal,
    .trim = op_trim,
    .send = op_send,
    .plan = op_plan,
    .plan_stop = op_plan_stop,
    .seal = op_seal,
    .tell = op_tell,
    .read = op_read,
    .wake = op_wake,
};

/* ---- turns ---- */

void turn_run(struct server *s)
{
	engine_turn(s->engine, peers_more(s->services.peers));
	api_turn(s->services.api);
	loop_timer_set(s->services.loop, &s->tick, engine_deadline(s->engine));
}

static void on_turn_end(struct loop *loop, void *arg)
{
	(void)loop;
	turn_run(arg);
}

/* Time in which frames waited here must not count against workers: drain the socket, then expire. */
static void on_tick(struct loop *loop, void *arg)
{
	struct server *s = arg;

	peers_drain(s->services.peers);
	if (peers_more(s->services.peers))
		loop_timer_set(loop, &s->tick, loop_now_us(loop) + USEC_PER_MSEC);
	else
		engine_tick(s->engine);
}

void turn_init(struct server *s)
{
	struct engine_bounds bounds;

	engine_bounds_init(&bounds);
	s->turn_end = (struct loop_task){.fn = on_turn_end, .arg = s};
	s->tick = (struct loop_timer){.fn = on_tick, .arg = s};
	s->engine =
	    engine_create(&ops, s, &bounds, s->core, s->replayed_lsn, history_lsn(s->services.history));
	s->services.port = engine_port(s->engine);
	s->services.turn = &s->turn_end;
}
