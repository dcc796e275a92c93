/* The worker's core: made, stepped, asked when it wants to be woken. */
#include "worker/core/core.h"

#include "base/limits.h"
#include "worker/core/state.h"

static struct bytes keep(struct worker_core *c, struct bytes b)
{
	struct bytes copy = arena_copy(&c->arena, b);

	CHECK(copy.data != NULL);
	return copy;
}

static void config_copy(struct worker_core *c, const struct worker_config *config)
{
	worker_config_check(config);
	c->config = *config;
	c->config.host = keep(c, config->host);
	c->config.pool = keep(c, config->pool);
	c->config.provider_id = keep(c, config->provider_id);
	CHECK(codec_copy(codec_resources(), &config->capacity, &c->config.capacity, &c->arena));
	c->config.gone.items = arena_alloc(&c->arena, (config->gone.count + 1) * sizeof(*config->gone.items));
	CHECK(c->config.gone.items != NULL);
	for (uint32_t i = 0; i < config->gone.count; i++)
		c->config.gone.items[i] = config->gone.items[i];
}

struct worker_core *worker_core_create(const struct worker_config *config)
{
	struct worker_core *c = check_calloc(1, sizeof(*c));

	arena_init(&c->arena, 0);
	config_copy(c, config);
	rng_seed(&c->rng, config->seed);
	CHECK(c->config.capacity.named.count <= NAMED_RESOURCES_MAX);
	while (c->names.count < c->config.capacity.named.count) {
		c->names.items[c->names.count] = c->config.capacity.named.items[c->names.count].name;
		c->names.count++;
	}
	amounts_offered(&c->config.capacity, &c->names, &c->capacity);
	CHECK(c->config.capacity.gpu_milli % GPU_MILLI == 0); /* they are given out by their numbers */
	gpus_init(&c->used.gpus, c->config.capacity.gpu_milli / GPU_MILLI);
	c->heartbeat_us = c->config.heartbeat_us;
	c->timeout_us = c->config.timeout_us;
	c->cut_off = true; /* nothing to start before the first REGISTERED */
	c->report_us = c->sync_us = INT64_MIN / 2;
	c->now_us = INT64_MIN;
	return c;
}

void worker_core_destroy(struct worker_core *c)
{
	struct worker_effects unseen;

	if (c == NULL)
		return;
	worker_effects_init(&unseen);
	c->out = &unseen;
	while (c->leases != NULL)
		worker_held_destroy(c, c->leases);
	worker_reports_fini(c);
	worker_params_fini(c);
	shard_set_fini(&c->leases_seen);
	worker_slots_fini(c);
	worker_effects_fini(&unseen);
	arena_fini(&c->arena);
	free(c);
}

/* ---- frames ---- */

static int on_ack(struct worker_core *c, const struct ack *m, struct error *reterr)
{
	return worker_session_is(c, m->session) ? worker_reports_ack(c, m->seq, reterr) : 0;
}

static void on_revoke(struct worker_core *c, const struct revoke *m)
{
	if (!worker_session_is(c, m->session))
		return;
	for (uint32_t i = 0; i < m->leases.count; i++) {
		struct held *l = worker_held_find(c, m->leases.items[i].token);

		if (l != NULL)
			worker_held_revoke(c, l, m->leases.items[i].keep_end);
	}
}

/* A token is granted once and a job ends once: this is true in any session. */
static void on_kill(struct worker_core *c, const struct kill *m)
{
	for (uint32_t i = 0; i < m->tokens.count; i++) {
		struct held *l = worker_held_find(c, m->tokens.items[i]);

		if (l != NULL)
			worker_held_kill(c, l);
	}
}

/* The session that a frame names; 0 for REGISTERED, WHO and REFUSED, which stand outside of it. */
static uint64_t session_of(const struct worker_frame *f)
{
	switch (f->type) {
	case MESSAGE_LEASES:
		return ((const struct leases *)f->body)->session;
	case MESSAGE_PARAMETERS:
		return ((const struct parameters *)f->body)->session;
	case MESSAGE_ACK:
		return ((const struct ack *)f->body)->session;
	case MESSAGE_REVOKE:
		return ((const struct revoke *)f->body)->session;
	case MESSAGE_KILL:
		return ((const struct kill *)f->body)->session;
	case MESSAGE_DRAIN:
		return ((const struct drain *)f->body)->session;
	case MESSAGE_LOOK:
		return ((const struct look *)f->body)->session;
	case MESSAGE_TAIL:
		return ((const struct tail *)f->body)->session;
	default:
		return 0;
	}
}

static int on_frame(struct worker_core *c, const struct worker_frame *f, struct error *reterr)
{
	bool ours = worker_session_is(c, session_of(f));

	if (ours)
		c->heard_us = c->now_us;
	switch (f->type) {
	case MESSAGE_REGISTERED:
		return worker_session_registered(c, f->body, reterr);
	case MESSAGE_LEASES:
		return worker_held_take_leases(c, f->body, reterr);
	case MESSAGE_PARAMETERS:
		return ours ? worker_params_take(c, f->body, reterr) : 0;
	case MESSAGE_ACK:
		return on_ack(c, f->body, reterr);
	case MESSAGE_REVOKE:
		on_revoke(c, f->body);
		return 0;
	case MESSAGE_KILL:
		on_kill(c, f->body);
		return 0;
	case MESSAGE_WHO:
		worker_session_who(c);
		return 0;
	case MESSAGE_DRAIN:
		if (ours)
			worker_leave_drain(c);
		return 0;
	case MESSAGE_LOOK:
	case MESSAGE_TAIL: /* the shell answers */
		return 0;
	case MESSAGE_REFUSED:
		worker_leave_refused(c, ((const struct refused *)f->body)->why);
		return 0;
	default:
		return error_set(reterr, ERR_VERSION, "a dispatcher does not send messages of type %d",
				 (int)f->type);
	}
}

/* ---- the step ---- */

static int take_input(struct worker_core *c, const struct worker_input *in, struct error *reterr)
{
	switch (in->kind) {
	case WORKER_TICK:
		worker_session_expire(c);
		return 0;
	case WORKER_FRAME:
		return on_frame(c, &in->frame, reterr);
	case WORKER_CONNECTED:
		worker_session_connected(c);
		return 0;
	case WORKER_DISCONNECTED:
		worker_session_disconnected(c);
		return 0;
	case WORKER_SLOT_PROGRESS:
		return worker_slot_progress(c, &in->progress, reterr);
	case WORKER_SLOT_LOST:
		return worker_slot_lost(c, &in->lost, reterr);
	case WORKER_SYNCED:
		return worker_reports_synced(c, in->synced, reterr);
	case WORKER_SYNC_FAILED:
		return worker_reports_sync_failed(c, &in->sync_failed, reterr);
	case WORKER_DRAIN:
		worker_leave_drain(c);
		return 0;
	case WORKER_ABORT:
		worker_leave_abort(c);
		return 0;
	}
	return error_set(reterr, ERR_INVALID, "no input is of kind %d", (int)in->kind);
}

static void untouch(struct worker_core *c)
{
	while (c->touched != NULL) {
		c->touched->touched = false;
		c->touched = c->touched->touched_next;
	}
}

int worker_core_step(struct worker_core *c, const struct worker_input *in, struct worker_effects *out,
		     struct error *reterr)
{
	int rc;

	if (c->link == WORKER_ENDED)
		return 0;
	untouch(c);
	c->out = out;
	if (in->mono_us > c->now_us)
		c->now_us = in->mono_us;
	rc = take_input(c, in, reterr);
	if (c->link != WORKER_ENDED) {
		worker_rest_settle(c);
		worker_slots_place(c);
		worker_classes_drop_unused(c);
		worker_params_ask(c);
		worker_reports_flush(c);
		worker_session_flush(c);
		worker_leave_settle(c);
	}
	worker_core_check(c, CHECK_TOUCHED);
	c->out = NULL;
	return rc;
}

usec_t worker_core_deadline(const struct worker_core *c)
{
	usec_t all[] = {worker_session_deadline(c), worker_params_deadline(c), worker_reports_deadline(c),
			worker_leave_deadline(c), worker_rest_deadline(c)};
	usec_t at = USEC_NEVER;

	if (c->link == WORKER_ENDED)
		return USEC_NEVER;
	for (size_t i = 0; i < ARRAY_LENGTH(all); i++)
		at = all[i] < at ? all[i] : at;
	return at;
}
