/* The scaler's core: made, stepped, asked when it wants to be woken. */
#include "scaler/core/core.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "scaler/core/state.h"

static int pool_config(struct scaler_core *c, const struct scaler_pool_config *from,
		       struct scaler_pool_config *to, struct error *reterr)
{
	scaler_pool_config_check(from);
	*to = *from;
	to->name = arena_copy(&c->arena, from->name);
	CHECK(to->name.data != NULL);
	if (to->max_workers < 1 || to->max_workers > WORKERS_MAX || to->min_workers > to->max_workers)
		return error_set(
		    reterr, ERR_INVALID,
		    "pool %.*s: expected 0 <= min <= max and 1 <= max <= %d workers, found %u and %u",
		    (int)(to->name.size < NAME_BYTES_MAX ? to->name.size : NAME_BYTES_MAX),
		    (const char *)to->name.data, WORKERS_MAX, to->min_workers, to->max_workers);
	return 0;
}

int scaler_core_create(const struct scaler_config *config, struct scaler_core **ret, struct error *reterr)
{
	struct scaler_core *c = check_calloc(1, sizeof(*c));
	int rc = 0;

	arena_init(&c->arena, 0);
	c->now_us = INT64_MIN;
	c->pool_count = config->pool_count;
	c->pools = check_calloc(config->pool_count + 1, sizeof(*c->pools));
	for (uint32_t i = 0; i < config->pool_count && rc == 0; i++) {
		rc = pool_config(c, &config->pools[i], &c->pools[i].config, reterr);
		c->pools[i].low_since_us = c->pools[i].again_us = USEC_NEVER;
		c->pools[i].step_us = c->pools[i].retry_us = INT64_MIN / 2;
	}
	if (rc == 0)
		*ret = c;
	else
		scaler_core_destroy(c);
	return rc;
}

void scaler_core_destroy(struct scaler_core *c)
{
	if (c == NULL)
		return;
	for (uint32_t i = 0; i < c->pool_count; i++)
		scaler_pool_fini(&c->pools[i]);
	free(c->pools);
	arena_fini(&c->arena);
	free(c);
}

static int take_input(struct scaler_core *c, const struct scaler_input *in, struct error *reterr)
{
	struct pool *p = in->pool < c->pool_count ? &c->pools[in->pool] : NULL;

	if (in->kind == SCALER_TICK)
		return 0;
	if (p == NULL)
		return error_set(reterr, ERR_INVALID, "pool %u of %u", in->pool, c->pool_count);
	switch (in->kind) {
	case SCALER_TICK:
		return 0;
	case SCALER_DEMAND:
		p->demand = in->demand;
		p->demand_us = c->now_us;
		p->demand_known = true;
		return 0;
	case SCALER_WORKERS:
		scaler_workers_take(c, p, in->workers.items, in->workers.count);
		return 0;
	case SCALER_STARTED:
		scaler_started(p, &in->started);
		return 0;
	case SCALER_START_FAILED:
		scaler_start_failed(c, p, &in->start_failed);
		return 0;
	case SCALER_INSTANCES:
		scaler_instances_take(c, p, in->instances.provider_ids, in->instances.count);
		return 0;
	}
	return error_set(reterr, ERR_INVALID, "no input is of kind %d", (int)in->kind);
}

int scaler_core_step(struct scaler_core *c, const struct scaler_input *in, struct scaler_effects *out,
		     struct error *reterr)
{
	int rc;

	c->out = out;
	if (in->mono_us > c->now_us)
		c->now_us = in->mono_us;
	rc = take_input(c, in, reterr);
	for (uint32_t i = 0; i < c->pool_count; i++) {
		if (in->kind != SCALER_TICK && i != in->pool)
			continue;
		scaler_starts_settle(c, &c->pools[i]);
		scaler_decide(c, &c->pools[i]);
	}
	scaler_core_check(c, CHECK_TOUCHED);
	c->out = NULL;
	return rc;
}

usec_t scaler_core_deadline(const struct scaler_core *c)
{
	usec_t at = USEC_NEVER;

	for (uint32_t i = 0; i < c->pool_count; i++) {
		usec_t starts = scaler_starts_deadline(&c->pools[i]);

		at = c->pools[i].again_us < at ? c->pools[i].again_us : at;
		at = starts < at ? starts : at;
	}
	return at;
}

void scaler_core_check(const struct scaler_core *c, enum check_depth depth)
{
	for (uint32_t i = 0; i < c->pool_count; i++) {
		const struct pool *p = &c->pools[i];

		CHECK(p->wanted <= p->config.max_workers);
		CHECK(p->step_used <= p->config.step_max);
		CHECK(p->start_count <= p->start_capacity);
		CHECK(p->low_since_us == USEC_NEVER || p->low_peak >= p->wanted);
		if (depth == CHECK_TOUCHED)
			continue;
		for (uint32_t s = 0; s < p->start_count; s++) {
			CHECK(p->starts[s].id > 0 && p->starts[s].id <= c->next_start);
			CHECK(s == 0 || p->starts[s].id > p->starts[s - 1].id);
			CHECK(p->starts[s].at_us <= c->now_us);
		}
	}
}

void scaler_core_view(const struct scaler_core *c, uint32_t pool, struct scaler_view *ret)
{
	const struct pool *p = &c->pools[pool];

	CHECK(pool < c->pool_count);
	*ret = (struct scaler_view){
	    .wanted = p->wanted, .starting = p->start_count, .failed_starts = p->failures};
	if (p->failures > 0 && p->retry_us > c->now_us)
		ret->retry_in_us = p->retry_us - c->now_us;
	memcpy(ret->why, p->why, sizeof(ret->why));
	if (p->failures > 0)
		memcpy(ret->failure_why, p->failure_why, sizeof(ret->failure_why));
	for (uint32_t i = 0; i < p->worker_count; i++) {
		ret->draining += p->workers[i].draining;
		ret->ready += !p->workers[i].draining;
		ret->busy += !p->workers[i].draining && p->workers[i].busy;
	}
}
