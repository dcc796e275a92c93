#include "base/clock.h"
#include "base/gate.h"
#include "base/zap.h"
#include "dispatcher/api/job_json.h"
#include "dispatcher/api/listener.h"
#include "dispatcher/intake/buckets.h"
#include "dispatcher/readers.h"
#include "dispatcher/trouble.h"
#include "dispatcher/store/history.h"
#include "dispatcher/store/journal.h"
#include "dispatcher/wire/peers.h"

static void set(json_t *object, const char *name, uint64_t value)
{
	json_object_set_new(object, name, json_integer((json_int_t)value));
}

static json_t *journal_json(struct services *s)
{
	struct journal_stats stats;
	json_t *value = json_object();

	journal_stats(s->journal, &stats);
	set(value, "segments", stats.segment_count);
	set(value, "bytes", stats.bytes);
	set(value, "commits", stats.commit_count);
	set(value, "inline_commits", stats.inline_count);
	set(value, "oldest_lsn", stats.oldest_lsn);
	set(value, "last_lsn", port_view(s->port).last_lsn);
	set(value, "durable_lsn", port_view(s->port).durable_lsn);
	set(value, "history_lsn", port_view(s->port).history_lsn);
	return value;
}

/* null when all is well. */
static json_t *trouble_json(bool failing, const struct error *e)
{
	json_t *outer, *inner;

	if (!failing)
		return json_null();
	outer = json_of_error(e);
	inner = json_incref(json_object_get(outer, "error"));
	json_decref(outer);
	return inner;
}

static json_t *peers_json(struct services *s)
{
	struct peers_counters c;
	struct gate_counters g;
	json_t *value = json_object();

	peers_counters(s->peers, &c);
	gate_counters(&g);
	set(value, "frames_in", c.frames_in);
	set(value, "frames_out", c.frames_out);
	set(value, "denied", c.denied);
	set(value, "dropped", c.dropped);
	set(value, "queued_bytes", c.queued_bytes);
	set(value, "strangers", g.strangers);
	set(value, "strangers_cut", g.cut);
	set(value, "turned_away", g.no_descriptor);
	json_object_set_new(value, "address", json_of_bytes(bytes_of(peers_address(s->peers))));
	return value;
}

static json_t *jobs_json(const struct view_counters *c)
{
	json_t *value = json_object();

	set(value, "live", c->live_jobs);
	set(value, "held", c->held_jobs);
	set(value, "runnable", c->runnable_jobs);
	set(value, "ended", c->ended_jobs);
	set(value, "accepted", c->next_job > 0 ? c->next_job - 1 : 0);
	return value;
}

void api_status(struct request *r)
{
	struct services *s = r->services;
	struct view_counters c;
	json_t *value = json_object();
	struct error e = {0};
	bool failing;

	dispatcher_view_counters(services_core(s), &c);
	json_object_set_new(value, "version", json_string(SHARDMILL_VERSION));
	json_object_set_new(value, "cluster", json_string(s->state.cluster_id));
	set(value, "epoch", c.epoch);
	json_object_set_new(value, "started", json_of_time(s->started_wall_us));
	json_object_set_new(value, "now", json_of_time(clock_wall_us()));
	json_object_set_new(value, "jobs", jobs_json(&c));
	set(value, "workers", c.sessions);
	json_object_set_new(value, "pools", pools_json(s));
	set(value, "leases", c.leases);
	set(value, "leased_shards", c.leased_shards);
	set(value, "unbound_leases", c.unbound_leases);
	set(value, "shards_done", c.shards_done);
	set(value, "shards_failed", c.shards_failed);
	set(value, "shards_lost", c.shards_lost);
	set(value, "late", c.late);
	set(value, "duplicate", c.duplicate);
	set(value, "strange", c.strange);
	set(value, "dedup_entries", c.dedup_entries);
	rules_add_status(s, value);
	json_object_set_new(value, "buckets", buckets_json(s));
	json_object_set_new(value, "journal", journal_json(s));
	failing = trouble_of_journal(s, &e);
	json_object_set_new(value, "journal_error", trouble_json(failing, &e));
	failing = trouble_of_history(s, &e);
	json_object_set_new(value, "history_error", trouble_json(failing, &e));
	json_object_set_new(value, "peers", peers_json(s));
	request_answer(r, MHD_HTTP_OK, value);
}
