#include "base/clock.h"
#include "base/gate.h"
#include "base/zap.h"
#include "dispatcher/api/job_json.h"
#include "dispatcher/api/listener.h"
#include "dispatcher/dedup/dedup.h"
#include "dispatcher/intake/buckets.h"
#include "dispatcher/producers.h"
#include "dispatcher/readers.h"
#include "dispatcher/retention/retention.h"
#include "dispatcher/retention/thinning.h"
#include "dispatcher/trouble.h"
#include "dispatcher/store/history.h"
#include "dispatcher/store/journal.h"
#include "dispatcher/wire/peers.h"

static struct api_journal journal_facts(struct services *s)
{
	struct port_view now = port_view(s->port);
	struct journal_stats stats;

	journal_stats(s->journal, &stats);
	return (struct api_journal){
	    .segments = stats.segment_count,
	    .bytes = stats.bytes,
	    .commits = stats.commit_count,
	    .inline_commits = stats.inline_count,
	    .oldest_lsn = stats.oldest_lsn,
	    .last_lsn = now.last_lsn,
	    .durable_lsn = now.durable_lsn,
	    .history_lsn = now.history_lsn,
	};
}

static struct api_peers peers_facts(struct services *s)
{
	struct peers_counters c;
	struct gate_counters g;

	peers_counters(s->peers, &c);
	gate_counters(&g);
	return (struct api_peers){
	    .frames_in = c.frames_in,
	    .frames_out = c.frames_out,
	    .denied = c.denied,
	    .dropped = c.dropped,
	    .queued_bytes = c.queued_bytes,
	    .strangers = g.strangers,
	    .strangers_cut = g.cut,
	    .turned_away = g.no_descriptor,
	    .address = bytes_of(peers_address(s->peers)),
	};
}

static struct api_job_counts jobs_facts(const struct view_counters *c)
{
	return (struct api_job_counts){
	    .live = c->live_jobs,
	    .held = c->held_jobs,
	    .runnable = c->runnable_jobs,
	    .ended = c->ended_jobs,
	    .accepted = c->next_job > 0 ? c->next_job - 1 : 0,
	};
}

static bool kept_facts(struct services *s, struct api_kept *ret)
{
	struct thinning_figures thinning;
	struct history_kept kept;

	thinning_figures(s, &thinning);
	if (!retention_kept(s, &kept))
		return false;
	*ret = (struct api_kept){
	    .jobs = kept.jobs,
	    .output_bytes = kept.output_bytes,
	    .history_bytes = kept.history_bytes,
	    .since_wall_us = kept.oldest_end_wall_us,
	    .forgotten = retention_forgotten_count(s),
	    .unused_segments = retention_unused_segments(s),
	    .dead_bytes = thinning.dead_bytes,
	    .given_back_bytes = thinning.given_back_bytes,
	    .keep_jobs_us = params_duration_us(s->params, PARAM_KEEP_JOBS),
	    .keep_bytes = params_size_bytes(s->params, PARAM_KEEP_BYTES),
	};
	return true;
}

static struct api_dedup dedup_facts(struct services *s, const struct view_counters *c)
{
	struct dedup_figures f;

	dedup_figures(s, &f);
	return (struct api_dedup){
	    .in_memory = c->dedup_entries,
	    .in_files = f.keys,
	    .files = f.files,
	    .bytes = f.bytes,
	    .bytes_max = f.bytes_max,
	    .since_wall_us = f.first_wall_us,
	    .window_us = params_duration_us(s->params, PARAM_DEDUP_WINDOW),
	};
}

static struct api_producers producers_facts(struct services *s)
{
	struct producers_counters c;

	producers_counters(s->producers, &c);
	return (struct api_producers){
	    .sessions = c.sessions,
	    .events = c.events,
	    .refused = c.refused,
	    .waiting_bytes = c.waiting_bytes,
	    .strange = c.strange,
	};
}

static json_t *shared_json(struct services *s)
{
	struct view_shared all[NAMED_RESOURCES_MAX];
	uint32_t count = dispatcher_view_shared(services_core(s), all);
	json_t *list = json_array();

	for (uint32_t i = 0; i < count; i++) {
		const struct api_shared one = {
		    .name = all[i].name, .total_milli = all[i].total, .used_milli = all[i].used};

		json_array_append_new(list, object_write(object_shared(), &one));
	}
	return list;
}

void api_status(struct request *r)
{
	struct services *s = r->services;
	struct error journal = {0}, history = {0}, rules = {0};
	struct view_counters c;
	struct api_status status;

	dispatcher_view_counters(services_core(s), &c);
	status = (struct api_status){
	    .version = BYTES_LIT(SHARDMILL_VERSION),
	    .cluster = bytes_of(s->state.cluster_id),
	    .epoch = c.epoch,
	    .started_wall_us = s->started_wall_us,
	    .now_wall_us = clock_wall_us(),
	    .jobs = jobs_facts(&c),
	    .workers = c.sessions,
	    .pools = pools_json(s),
	    .shared = shared_json(s),
	    .leases = c.leases,
	    .leased_shards = c.leased_shards,
	    .unbound_leases = c.unbound_leases,
	    .shards_done = c.shards_done,
	    .shards_failed = c.shards_failed,
	    .shards_lost = c.shards_lost,
	    .late = c.late,
	    .duplicate = c.duplicate,
	    .strange = c.strange,
	    .dedup_entries = c.dedup_entries,
	    .dedup = dedup_facts(s, &c),
	    .buckets = buckets_json(s),
	    .journal = journal_facts(s),
	    .has_journal_error = trouble_of_journal(s, &journal),
	    .has_history_error = trouble_of_history(s, &history),
	    .peers = peers_facts(s),
	    .producers = producers_facts(s),
	};
	status.has_kept = kept_facts(s, &status.kept);
	status.journal_error = api_error_of(&journal);
	status.history_error = api_error_of(&history);
	rules_add_status(s, &status, &rules);
	request_answer(r, MHD_HTTP_OK, object_write(object_status(), &status));
}
