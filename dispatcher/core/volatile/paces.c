#include "dispatcher/core/volatile/paces.h"

#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/volatile/timers.h"

#define TOGETHER_PART 32u /* of the rate's count may be granted together */
#define NS_PER_US 1000

static struct pace *find(const struct dispatcher_core *core, uint64_t job)
{
	struct pace *p = NULL;

	if (core->paces != NULL)
		HASH_FIND(hh, core->paces, &job, sizeof job, p);
	CHECK(p != NULL);
	return p;
}

static int64_t now_ns(const struct dispatcher_core *core)
{
	return (int64_t)core->mono_us * NS_PER_US;
}

void pace_add(struct dispatcher_core *core, uint64_t job, const struct rate *rate, bool is_new)
{
	struct pace *p = check_calloc(1, sizeof *p);
	int64_t tokens;

	p->job = job;
	p->burst = 1 + rate->count / TOGETHER_PART;
	tokens = (int64_t)rate->count - p->burst + 1;
	p->interval_ns = (rate->per_us * NS_PER_US + tokens - 1) / tokens;
	p->empty_ns = now_ns(core) - (is_new ? p->burst * p->interval_ns : 0);
	HASH_ADD(hh, core->paces, job, sizeof p->job, p);
}

static bool is_paced(const void *ctx, uint64_t job)
{
	const struct dispatcher_core *core = ctx;
	struct pace *p = NULL;

	if (core->paces != NULL)
		HASH_FIND(hh, core->paces, &job, sizeof job, p);
	return p != NULL;
}

void pace_drop(struct dispatcher_core *core, uint64_t job)
{
	struct pace *p = find(core, job);

	HASH_DEL(core->paces, p);
	free(p);
	timer_sweep(&core->paced, HASH_COUNT(core->paces), is_paced, core);
}

static uint32_t tokens_of(const struct dispatcher_core *core, const struct pace *p)
{
	int64_t tokens = (now_ns(core) - p->empty_ns) / p->interval_ns;

	return tokens < 0 ? 0 : tokens < p->burst ? (uint32_t)tokens : p->burst;
}

void pace_take(struct dispatcher_core *core, uint64_t job, uint32_t shards)
{
	struct pace *p = find(core, job);
	int64_t full_ns = now_ns(core) - p->burst * p->interval_ns;

	if (p->empty_ns < full_ns)
		p->empty_ns = full_ns;
	p->empty_ns += shards * p->interval_ns;
}

uint32_t pace_tokens(const struct dispatcher_core *core, uint64_t job)
{
	return tokens_of(core, find(core, job));
}

uint32_t pace_burst(const struct dispatcher_core *core, uint64_t job)
{
	return find(core, job)->burst;
}

usec_t pace_when_us(const struct dispatcher_core *core, uint64_t job, uint32_t tokens)
{
	const struct pace *p = find(core, job);
	int64_t wanted = tokens < p->burst ? tokens : p->burst;

	return (p->empty_ns + wanted * p->interval_ns + NS_PER_US - 1) / NS_PER_US;
}

void pace_remind(struct dispatcher_core *core, uint64_t job, uint32_t tokens)
{
	struct pace *p = find(core, job);
	usec_t at_us = pace_when_us(core, job, tokens);

	if (p->reminded_us > core->mono_us && p->reminded_us <= at_us)
		return; /* it looks again then */
	p->reminded_us = at_us > core->mono_us ? at_us : core->mono_us + 1;
	timer_add(&core->paced, p->reminded_us, job);
}

void paces_fini(struct dispatcher_core *core)
{
	struct pace *p, *next;

	HASH_ITER (hh, core->paces, p, next) {
		HASH_DEL(core->paces, p);
		free(p);
	}
}
