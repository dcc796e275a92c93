/* What stands where, for the end of a story that ended badly. */
#include "tests/sim/sim.h"

static void describe_jobs(struct sim *s)
{
	const struct dispatcher_core *core = s->dispatcher.core;
	struct arena arena;

	arena_init(&arena, 0);
	for (uint64_t id = dispatcher_view_next_job(core, 0); id != 0;
	     id = dispatcher_view_next_job(core, id)) {
		struct view_job v;

		if (!dispatcher_view_job(core, id, &arena, &v))
			continue;
		world_say(
		    &s->world,
		    "job %llu is %s%s, phase %u: %llu shards, %llu pending, %llu delayed, %llu leased, %llu "
		    "done, %llu dead %.*s",
		    (unsigned long long)id, job_word_name(v.word), v.sealed ? "" : " (not sealed)", v.phase,
		    (unsigned long long)v.counts.shards, (unsigned long long)v.counts.pending,
		    (unsigned long long)v.counts.delayed, (unsigned long long)v.counts.leased,
		    (unsigned long long)v.counts.done, (unsigned long long)v.counts.dead, (int)v.why.size,
		    (const char *)v.why.data);
	}
	arena_fini(&arena);
}

static void describe_sessions(struct sim *s)
{
	struct view_worker v;
	struct arena arena;

	arena_init(&arena, 0);
	for (uint64_t at = 0; dispatcher_view_next_worker(s->dispatcher.core, at, &arena, &v); at = v.session)
		world_say(&s->world, "session %llu of w%u: %u leases, %llu shards, credit %llu cpu_milli%s%s",
			  (unsigned long long)v.session, (unsigned)v.worker.hi, v.leases,
			  (unsigned long long)v.leased_shards, (unsigned long long)v.credit.cpu_milli,
			  v.draining ? ", draining" : "", v.quarantined ? ", quarantined" : "");
	arena_fini(&arena);
}

void sim_describe(struct sim *s)
{
	if (s->dispatcher.life != 0) {
		describe_jobs(s);
		describe_sessions(s);
	}
	for (uint32_t host = 1; host < SIM_HOSTS_MAX; host++) {
		struct worker_view v;

		if (s->workers[host].life == 0)
			continue;
		worker_core_view(s->workers[host].core, &v);
		world_say(&s->world,
			  "w%u: session %llu%s%s, %u leases, %u of %u slots busy, %llu running, %llu "
			  "unstarted, %llu "
			  "unreported, %u reports unacknowledged",
			  host, (unsigned long long)v.session, v.cut_off ? ", cut off" : "",
			  v.draining ? ", draining" : "", v.leases, v.slots_busy, v.slots_open,
			  (unsigned long long)v.running, (unsigned long long)v.unstarted,
			  (unsigned long long)v.unreported, v.reports_unacknowledged);
	}
}
