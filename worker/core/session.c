/* The session: register, be registered, stay alive, notice that one is cut off. */
#include "worker/core/state.h"

bool worker_session_is(const struct worker_core *c, uint64_t session)
{
	return c->link == WORKER_IN_SESSION && session == c->session;
}

/* What takes part in REGISTER, at most, encoded. */
#define TOKEN_BYTES 48
#define RANGE_BYTES 12
#define UUID_BYTES 20

/* ---- REGISTER ---- */

static void fail_ranges(struct shard_set *s, const struct tally *t)
{
	for (uint32_t i = 0; i < t->fail_count; i++)
		shard_set_add(s, t->failed[i].range.first, t->failed[i].range.count);
}

/* The three sets of a lease; how many ranges they take. */
static uint32_t sets_of(const struct held *l, struct shard_set *running, struct shard_set *unstarted,
			struct shard_set *unreported)
{
	const struct part *p;
	const struct tally *t;

	DL_FOREACH2(l->parts, p, lease_next)
	{
		shard_set_add(running, p->first, p->next - p->first);
		shard_set_subtract(running, &p->ended);
		shard_set_add(unstarted, p->next, p->end - p->next);
	}
	DL_FOREACH2(l->tallies, t, lease_next)
	{
		shard_set_unite(unreported, &t->done);
		shard_set_unite(unreported, &t->returned);
		fail_ranges(unreported, t);
	}
	return shard_set_run_count(running) + shard_set_run_count(unstarted) +
	       shard_set_run_count(unreported);
}

/* False: it does not fit any more, and is left out; the dispatcher then leases its shards elsewhere, and
 * what runs here ends as a late outcome. */
static bool list_token(struct worker_core *c, struct held *l, struct held_token *ret, uint64_t *room)
{
	struct shard_set running, unstarted, unreported;
	uint64_t ranges, bytes;

	shard_set_init(&running);
	shard_set_init(&unstarted);
	shard_set_init(&unreported);
	ranges = sets_of(l, &running, &unstarted, &unreported);
	bytes = TOKEN_BYTES + ranges * RANGE_BYTES;
	if (ranges > 0 && bytes <= *room) {
		*ret = (struct held_token){.token = worker_held_token_of(l),
					   .job = l->job,
					   .phase = l->phase,
					   .running = worker_tally_list(c, &running),
					   .unstarted = worker_tally_list(c, &unstarted),
					   .unreported = worker_tally_list(c, &unreported)};
		*room -= bytes;
		l->listed = c->serial;
	}
	shard_set_fini(&running);
	shard_set_fini(&unstarted);
	shard_set_fini(&unreported);
	return l->listed == c->serial;
}

static void send_register(struct worker_core *c)
{
	const struct worker_config *config = &c->config;
	struct register_worker *m = worker_effect_send(c, MESSAGE_REGISTER, sizeof(*m));
	uint64_t gone = (uint64_t)config->gone.count * UUID_BYTES;
	uint64_t room = gone < REGISTER_BYTES_MAX ? REGISTER_BYTES_MAX - gone : 0;
	struct held *l, *tmp;

	c->serial++;
	m->serial = c->serial;
	m->wire_min = WIRE_VERSION_WORKER_MIN;
	m->wire_max = WIRE_VERSION;
	m->worker = config->worker;
	m->host = worker_effect_bytes(c, config->host);
	m->pid = config->pid;
	m->pool = worker_effect_bytes(c, config->pool);
	m->provider_id = worker_effect_bytes(c, config->provider_id);
	m->numa_node = config->numa_node;
	CHECK(codec_copy(codec_resources(), &config->capacity, &m->capacity, &c->out->arena));
	m->gone.count = config->gone.count;
	m->gone.items = worker_effect_alloc(c, config->gone.count * sizeof(struct uuid));
	for (uint32_t i = 0; i < config->gone.count; i++)
		m->gone.items[i] = config->gone.items[i];
	m->draining = c->draining;
	m->tokens.items = worker_effect_alloc(c, HASH_COUNT(c->leases) * sizeof(struct held_token));
	HASH_ITER (hh, c->leases, l, tmp) {
		if (m->tokens.count < TOKENS_PER_WORKER_MAX && !l->killed &&
		    list_token(c, l, &m->tokens.items[m->tokens.count], &room))
			m->tokens.count++;
	}
	c->register_us = c->now_us + c->register_delay_us / 2 +
			 (usec_t)rng_below(&c->rng, (uint64_t)c->register_delay_us / 2 + 1);
	c->register_delay_us *= 2;
	if (c->register_delay_us > config->register_retry_max_us)
		c->register_delay_us = config->register_retry_max_us;
}

static void register_anew(struct worker_core *c)
{
	c->link = WORKER_REGISTERING;
	c->register_delay_us = c->config.register_retry_us;
	send_register(c);
}

void worker_session_connected(struct worker_core *c)
{
	register_anew(c);
}

void worker_session_disconnected(struct worker_core *c)
{
	c->link = WORKER_DOWN;
}

/* The dispatcher does not know us. While REGISTER is under way that is no news. */
void worker_session_who(struct worker_core *c)
{
	if (c->link == WORKER_IN_SESSION)
		register_anew(c);
}

/* ---- REGISTERED ---- */

static int verdicts_make_sense(const struct registered *m, struct error *reterr)
{
	if (m->wire < WIRE_VERSION_WORKER_MIN || m->wire > WIRE_VERSION)
		return error_set(reterr, ERR_VERSION,
				 "the dispatcher speaks wire version %u, this worker %d to %d", m->wire,
				 WIRE_VERSION_WORKER_MIN, WIRE_VERSION);
	for (uint32_t i = 0; i < m->tokens.count; i++)
		if (m->tokens.items[i].verdict < TOKEN_KEEP || m->tokens.items[i].verdict > TOKEN_KILL)
			return error_set(reterr, ERR_INVALID, "verdict %u is none of %s",
					 m->tokens.items[i].verdict, token_fate_names());
	return 0;
}

static void apply_verdicts(struct worker_core *c, const struct registered *m)
{
	struct held *l, *tmp;

	for (uint32_t i = 0; i < m->tokens.count; i++) {
		l = worker_held_find(c, m->tokens.items[i].token);
		if (l == NULL)
			continue;
		if (m->tokens.items[i].verdict == TOKEN_KILL)
			worker_held_kill(c, l);
		else if (m->tokens.items[i].verdict == TOKEN_FINISH)
			worker_held_finish(c, l);
	}
	HASH_ITER (hh, c->leases, l, tmp) {
		if (l->listed != c->serial)
			worker_held_finish(c, l);
	}
}

int worker_session_registered(struct worker_core *c, const struct registered *m, struct error *reterr)
{
	int rc;

	if (c->link != WORKER_REGISTERING || m->serial != c->serial)
		return 0; /* late */
	rc = verdicts_make_sense(m, reterr);
	if (rc < 0)
		return rc;
	c->link = WORKER_IN_SESSION;
	c->session = m->session;
	c->wire = m->wire;
	c->epoch = m->epoch;
	c->lease_high = 0;
	shard_set_clear(&c->leases_seen);
	c->heartbeat_us = m->heartbeat_us > 0 ? m->heartbeat_us : c->config.heartbeat_us;
	c->timeout_us = m->timeout_us > 0 ? m->timeout_us : c->config.timeout_us;
	c->heard_us = c->now_us;
	c->cut_off = false;
	c->place_wanted = true;
	worker_reports_renumber(c);
	apply_verdicts(c, m);
	worker_params_ask_anew(c);
	return 0;
}

/* ---- time ---- */

/* What is armed but not begun comes back to the core, and stays there until the next REGISTERED. */
static void freeze(struct worker_core *c)
{
	struct held *l, *tmp;
	struct part *p;

	c->cut_off = true;
	HASH_ITER (hh, c->leases, l, tmp)
		DL_FOREACH2(l->parts, p, lease_next)
	if (p->place == PART_ARMED)
		worker_slot_lower(c, p, 0);
}

void worker_session_expire(struct worker_core *c)
{
	if (c->cut_off || c->now_us < c->heard_us + c->timeout_us)
		return;
	freeze(c);
	if (c->link == WORKER_IN_SESSION)
		register_anew(c);
}

void worker_session_flush(struct worker_core *c)
{
	if (c->link == WORKER_REGISTERING && c->now_us >= c->register_us) {
		send_register(c);
	} else if (c->link == WORKER_IN_SESSION && c->now_us >= c->sent_us + c->heartbeat_us) {
		struct heartbeat *m = worker_effect_send(c, MESSAGE_HEARTBEAT, sizeof(*m));

		m->session = c->session;
	}
}

usec_t worker_session_deadline(const struct worker_core *c)
{
	usec_t at = c->cut_off ? USEC_NEVER : c->heard_us + c->timeout_us;

	if (c->link == WORKER_REGISTERING && c->register_us < at)
		at = c->register_us;
	if (c->link == WORKER_IN_SESSION && c->sent_us + c->heartbeat_us < at)
		at = c->sent_us + c->heartbeat_us;
	return at;
}
