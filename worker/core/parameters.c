/* Definitions and jobs that leases name: kept while a lease wants them, then as long as there is room;
 * asked for when they are missing, again and again with growing pauses. */
#include "worker/core/state.h"

#define ASK_DELAY_MAX_FACTOR 16

static struct params_key key_of_definition(struct bytes sha256)
{
	struct params_key key;

	memset(&key, 0, sizeof(key));
	CHECK(sha256.size == SHA256_BYTES);
	memcpy(key.sha256, sha256.data, SHA256_BYTES);
	key.kind = PARAMS_DEFINITION;
	return key;
}

static struct params_key key_of_job(uint64_t job, uint32_t phase)
{
	struct params_key key;

	memset(&key, 0, sizeof(key));
	key.job = job;
	key.phase = phase;
	key.kind = PARAMS_JOB;
	return key;
}

static struct params_entry *find(struct worker_core *c, const struct params_key *key)
{
	struct params_entry *e;

	HASH_FIND(hh, c->params, key, sizeof(*key), e);
	return e;
}

/* In no list yet. */
static struct params_entry *add(struct worker_core *c, const struct params_key *key)
{
	struct params_entry *e = check_calloc(1, sizeof(*e));

	e->key = *key;
	HASH_ADD(hh, c->params, key, sizeof(e->key), e);
	return e;
}

static uint64_t value_bytes(const struct params_entry *e)
{
	uint64_t bytes = heap_cost(sizeof(*e));

	if (e->value != NULL)
		bytes += heap_cost(sizeof(*e->value)) + e->value->arena.held_bytes;
	return bytes;
}

void worker_params_value_drop(struct params_value *v)
{
	if (v == NULL || --v->uses > 0)
		return;
	arena_fini(&v->arena);
	free(v);
}

static void forget(struct worker_core *c, struct params_entry *e)
{
	if (e->value != NULL && e->key.kind == PARAMS_DEFINITION)
		worker_effect_push(c, WORKER_FORGET_DEFINITION)->forget_definition =
		    worker_effect_bytes(c, BYTES(e->key.sha256, SHA256_BYTES));
	else if (e->value != NULL)
		worker_effect_push(c, WORKER_FORGET_JOB)->forget_job =
		    (struct job_ref){.job = e->key.job, .phase = e->key.phase};
	worker_params_value_drop(e->value);
	HASH_DELETE(hh, c->params, e);
	free(e);
}

static void spare(struct worker_core *c, struct params_entry *e)
{
	DL_APPEND(c->spare, e);
	c->spare_bytes += value_bytes(e);
	while (c->spare_bytes > c->config.cache_bytes_max) {
		struct params_entry *oldest = c->spare;

		DL_DELETE(c->spare, oldest);
		c->spare_bytes -= value_bytes(oldest);
		forget(c, oldest);
	}
}

static struct params_entry *want(struct worker_core *c, const struct params_key *key)
{
	struct params_entry *e = find(c, key);

	if (e == NULL) {
		e = add(c, key);
		e->ask_us = c->now_us;
		e->ask_delay_us = c->config.need_retry_us;
		DL_APPEND(c->missing, e);
	} else if (e->wanted == 0) {
		DL_DELETE(c->spare, e);
		c->spare_bytes -= value_bytes(e);
	}
	e->wanted++;
	return e;
}

struct params_entry *worker_params_want_definition(struct worker_core *c, struct bytes sha256)
{
	struct params_key key = key_of_definition(sha256);

	return want(c, &key);
}

struct params_entry *worker_params_want_job(struct worker_core *c, uint64_t job, uint32_t phase)
{
	struct params_key key = key_of_job(job, phase);

	return want(c, &key);
}

void worker_params_unwant(struct worker_core *c, struct params_entry *e)
{
	if (e == NULL || --e->wanted > 0)
		return;
	if (e->value == NULL) {
		DL_DELETE(c->missing, e);
		forget(c, e);
	} else if (e->key.kind == PARAMS_JOB && e->value->job.plan.shard_count == 1) {
		forget(c, e); /* there are millions of such jobs, and most of them need no other lease */
	} else {
		spare(c, e);
	}
}

static bool same_value(const struct params_entry *e, const void *value)
{
	if (e->key.kind == PARAMS_DEFINITION) /* named by its content */
		return true;
	return codec_equal(codec_job_parameters(), &e->value->job, value);
}

/* A plan may grow: cells that run by the old value keep it, what is armed from now on gets the new. */
static void hold(struct worker_core *c, const struct params_key *key, const struct codec *codec,
		 const void *value)
{
	struct params_entry *e = find(c, key);
	struct params_value *v;
	bool kept;

	if (e != NULL && e->value != NULL && same_value(e, value))
		return;
	v = check_calloc(1, sizeof(*v));
	v->uses = 1;
	arena_init(&v->arena, 0);
	kept = codec_copy(codec, value, &v->definition, &v->arena);
	CHECK(kept); /* the arena has no bound */
	if (e == NULL) {
		e = add(c, key);
		e->value = v;
		spare(c, e);
		return;
	}
	if (e->wanted == 0) {
		DL_DELETE(c->spare, e);
		c->spare_bytes -= value_bytes(e);
	} else if (e->value == NULL) {
		DL_DELETE(c->missing, e);
	}
	worker_params_value_drop(e->value);
	e->value = v;
	if (e->wanted == 0)
		spare(c, e);
}

int worker_params_take(struct worker_core *c, const struct parameters *p, struct error *reterr)
{
	for (uint32_t i = 0; i < p->definitions.count; i++)
		if (p->definitions.items[i].sha256.size != SHA256_BYTES)
			return error_set(reterr, ERR_INVALID, "a definition's sha256 has %zu bytes, not %d",
					 p->definitions.items[i].sha256.size, SHA256_BYTES);
	for (uint32_t i = 0; i < p->definitions.count; i++) {
		struct params_key key = key_of_definition(p->definitions.items[i].sha256);

		hold(c, &key, codec_run_definition(), &p->definitions.items[i]);
	}
	for (uint32_t i = 0; i < p->jobs.count; i++) {
		struct params_key key = key_of_job(p->jobs.items[i].job, p->jobs.items[i].phase);

		hold(c, &key, codec_job_parameters(), &p->jobs.items[i]);
	}
	worker_held_resolve(c);
	return 0;
}

void worker_params_ask(struct worker_core *c)
{
	uint32_t due[3] = {0};
	struct params_entry *e;
	struct need *m;

	if (c->link != WORKER_IN_SESSION)
		return;
	DL_FOREACH (c->missing, e)
		due[e->key.kind] += e->ask_us <= c->now_us;
	if (due[PARAMS_DEFINITION] + due[PARAMS_JOB] == 0)
		return;
	m = worker_effect_send(c, MESSAGE_NEED, sizeof(*m));
	m->session = c->session;
	m->definitions.items = worker_effect_alloc(c, due[PARAMS_DEFINITION] * sizeof(struct text_item));
	m->jobs.items = worker_effect_alloc(c, due[PARAMS_JOB] * sizeof(struct job_ref));
	DL_FOREACH (c->missing, e) {
		if (e->ask_us > c->now_us ||
		    (e->key.kind == PARAMS_DEFINITION ? m->definitions.count == NEED_DEFINITIONS_MAX
						      : m->jobs.count == NEED_JOBS_MAX))
			continue; /* the rest is asked for in the next step: a frame is bounded */
		if (e->key.kind == PARAMS_DEFINITION)
			m->definitions.items[m->definitions.count++].text =
			    worker_effect_bytes(c, BYTES(e->key.sha256, SHA256_BYTES));
		else
			m->jobs.items[m->jobs.count++] =
			    (struct job_ref){.job = e->key.job, .phase = e->key.phase};
		e->ask_us = c->now_us + e->ask_delay_us;
		if (e->ask_delay_us < ASK_DELAY_MAX_FACTOR * c->config.need_retry_us)
			e->ask_delay_us *= 2;
	}
}

void worker_params_ask_anew(struct worker_core *c)
{
	struct params_entry *e;

	DL_FOREACH (c->missing, e) {
		e->ask_us = c->now_us;
		e->ask_delay_us = c->config.need_retry_us;
	}
}

usec_t worker_params_deadline(const struct worker_core *c)
{
	usec_t at = USEC_NEVER;
	const struct params_entry *e;

	if (c->link == WORKER_IN_SESSION)
		DL_FOREACH (c->missing, e)
			at = e->ask_us < at ? e->ask_us : at;
	return at;
}

void worker_params_fini(struct worker_core *c)
{
	struct params_entry *e, *tmp;

	HASH_ITER (hh, c->params, e, tmp) {
		HASH_DELETE(hh, c->params, e);
		worker_params_value_drop(e->value);
		free(e);
	}
}
