/* Cores made of the journal: at a start, and to compare with the live one. */
#include "jobs/frame.h"
#include "tests/sim/sim.h"

static struct dispatcher_core *new_core(const struct sim_dispatcher *d)
{
	const struct scenario *s = &d->sim->scenario;
	struct dispatcher_config config;

	dispatcher_config_init(&config, &d->sim->params);
	config.cluster = (struct uuid){.hi = 1, .lo = 2};
	config.heartbeat_us = s->heartbeat_us;
	config.timeout_us = s->timeout_us;
	config.adopt_wait_us = 2 * s->timeout_us;
	config.default_shard_us = 50 * USEC_PER_MSEC;
	config.crashes_max = s->crashes_max;
	config.dedup_seals = sim_keys_are_sealed(d->sim);
	config.dedup_bucket_max = 1;
	return dispatcher_core_create(&config);
}

struct replay {
	struct sim_dispatcher *dispatcher;
	struct dispatcher_core *core;
	uint64_t lsn;
	bool for_oracle;
};

static void apply_payload(struct replay *r, struct bytes rest)
{
	struct sim_dispatcher *d = r->dispatcher;
	struct error e = {0};
	char text[800];

	while (rest.size > 0) {
		uint32_t type;
		void *body;

		arena_reset(&d->arena);
		if (codec_union_decode(&record_union, &rest, &type, &body, &d->arena, &e) < 0 ||
		    dispatcher_core_apply(r->core, type, body, r->lsn, &e) < 0)
			world_fail(&d->sim->world, "replay of record %llu: %s", (unsigned long long)r->lsn,
				   error_text(&e, text, sizeof text));
		r->lsn++;
	}
}

static void apply_frame(void *context, const struct frame *f)
{
	struct replay *r = context;

	r->lsn = f->lsn;
	apply_payload(r, f->payload);
	if (r->for_oracle)
		sim_observe_durable(r->dispatcher, f);
}

static void replay_end(struct replay *r)
{
	struct error e = {0};
	char text[800];

	if (dispatcher_core_replay_end(r->core, &e) < 0)
		world_fail(&r->dispatcher->sim->world, "the end of replay: %s",
			   error_text(&e, text, sizeof text));
}

struct dispatcher_core *sim_replay_recovered(struct sim_dispatcher *d)
{
	struct replay r = {.dispatcher = d, .core = new_core(d), .for_oracle = true};

	disk_recover(&d->sim->disk, apply_frame, &r);
	replay_end(&r);
	dispatcher_core_check(r.core, CHECK_FULL);
	return r.core;
}

void sim_dispatcher_verify(struct sim_dispatcher *d)
{
	struct replay r = {.dispatcher = d, .core = new_core(d)};

	engine_flush(d->engine);
	disk_read(&d->sim->disk, apply_frame, &r);
	apply_payload(&r, buf_bytes(&d->records));
	replay_end(&r);
	if (dispatcher_core_digest(r.core) != dispatcher_core_digest(d->core))
		world_fail(&d->sim->world,
			   "replaying the journal gives another state than the dispatcher has");
	dispatcher_core_destroy(r.core);
}
