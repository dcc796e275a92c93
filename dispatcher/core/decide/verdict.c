#include "dispatcher/core/decide/verdict.h"

#include "base/rng.h"
#include "dispatcher/core/volatile/resource_names.h"
#include "dispatcher/core/decide/steps.h"

#define QUANTUM_MIN_US (16 * USEC_PER_MSEC)

/* Full jitter: uniform in [0, min(max, backoff * 2^(failures-1))].
 * https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ */
usec_t backoff_us(struct dispatcher_core *core, const struct policy *policy, uint32_t failures)
{
	usec_t bound = policy->backoff_us;

	for (uint32_t i = 1; i < failures && bound < policy->backoff_max_us; i++)
		bound = bound > USEC_NEVER / 2 ? USEC_NEVER : 2 * bound;
	if (policy->backoff_max_us > 0 && bound > policy->backoff_max_us)
		bound = policy->backoff_max_us;
	return bound == 0 ? 0 : (usec_t)rng_below(&core->rng, (uint64_t)bound + 1);
}

/* Shards that wait share a few buckets: due times are rounded up to about an eighth of the wait. */
static usec_t rounded_due(usec_t now_us, usec_t wait_us)
{
	usec_t quantum_us = QUANTUM_MIN_US;

	while (quantum_us < wait_us / 16)
		quantum_us *= 2;
	return (now_us + wait_us + quantum_us - 1) / quantum_us * quantum_us;
}

usec_t backoff_longest_us(const struct policy *policy)
{
	usec_t bound = policy->backoff_max_us > 0 ? policy->backoff_max_us : policy->backoff_us;

	return rounded_due(0, bound);
}

static bool exit_rule_says_fail(const struct policy *policy, const struct shard_failure *f)
{
	if (f->kind != FAILURE_EXIT)
		return false;
	for (uint32_t i = 0; i < policy->exit_rules.count; i++) {
		const struct exit_rule *rule = &policy->exit_rules.items[i];

		if (f->code >= rule->first && f->code <= rule->last)
			return rule->verdict == VERDICT_FAIL;
	}
	return false;
}

void verdict_failure(struct dispatcher_core *core, const struct policy *policy, uint32_t failures,
		     struct shard_failure *f)
{
	f->dead = failures >= policy->attempts_max || exit_rule_says_fail(policy, f) ||
		  failure_is_final(f->kind, f->code);
	if (f->dead)
		return;
	f->due_wall_us = rounded_due(steady_us(core), backoff_us(core, policy, failures));
	f->larger = f->kind == FAILURE_OOM && policy->retry_larger && policy->shape.memory_bytes > 0;
}
