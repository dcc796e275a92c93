/* Each parameter that is a number is given its lowest and its highest value, and the same number arrives
 * where it is used: a zero that was asked for is a zero, and nothing is cut off at the top. */
#include <criterion/criterion.h>
#include <stddef.h>

#include "base/constants.h"
#include "base/params.h"
#include "dispatcher/core/core.h"
#include "scaler/core/core.h"
#include "worker/core/core.h"

struct configs {
	struct dispatcher_config dispatcher;
	struct worker_config worker;
	struct scaler_pool_config pool;
};

/* Where a parameter arrives in the cores' configurations. */
static const struct place {
	enum param_id id;
	size_t offset, size;
} places[] = {
#define AT(id, field)                                                                                        \
	{                                                                                                    \
		PARAM_##id, offsetof(struct configs, field), sizeof(((struct configs *)0)->field)            \
	}
    AT(HEARTBEAT, dispatcher.heartbeat_us),
    AT(HEARTBEAT, worker.heartbeat_us),
    AT(WORKER_TIMEOUT, dispatcher.timeout_us),
    AT(WORKER_TIMEOUT, worker.timeout_us),
    AT(ADOPT_WAIT, dispatcher.adopt_wait_us),
    AT(LEASE_TIME, dispatcher.lease_time_us),
    AT(LEASE_AHEAD, dispatcher.lease_ahead_us),
    AT(FAIR_HALF_LIFE, dispatcher.fair_half_life_us),
    AT(FAIR_QUANTUM, dispatcher.fair_quantum_us),
    AT(PREFETCH_BELOW, dispatcher.prefetch_below_us),
    AT(DEDUP_WINDOW, dispatcher.dedup_window_us),
    AT(DEDUP_MAX, dispatcher.dedup_max),
    AT(JOBS_MAX, dispatcher.jobs_max),
    AT(REPORT_DELAY_MIN, worker.report_delay_min_us),
    AT(REPORT_DELAY_MAX, worker.report_delay_max_us),
    AT(REPORT_DELAY_FED, worker.report_delay_fed_us),
    AT(POOL_MIN, pool.min_workers),
    AT(POOL_MAX, pool.max_workers),
    AT(SCALE_UP_STEP, pool.step_max),
    AT(IDLE_BEFORE_SHRINK, pool.idle_before_shrink_us),
    AT(START_BACKOFF_MAX, pool.fail_backoff_max_us),
#undef AT
};

/* These go to the programs themselves: tests/e2e/test_parameters.py starts them so and looks. */
static const enum param_id seen_from_outside[] = {
    PARAM_JOURNAL_SEGMENT, PARAM_DRAIN_TIMEOUT,	  PARAM_CPUS,	       PARAM_KILL_GRACE,  PARAM_MEMORY,
    PARAM_MAX_OUTPUT,	   PARAM_CPUS_PER_WORKER, PARAM_BUCKET_RESCAN, PARAM_S3_PATIENCE, PARAM_S3_READ_AHEAD,
    PARAM_KEEP_JOBS,	   PARAM_KEEP_BYTES,	  PARAM_SEGMENT_AGE,   PARAM_DEDUP_BYTES,
};

static void fill(struct configs *all, const struct params *params)
{
	const struct scaler_provider provider = {.cpu_milli = 1000, .start_cost_us = USEC_PER_SEC};

	dispatcher_config_init(&all->dispatcher, params);
	worker_config_init(&all->worker, params);
	scaler_pool_config_init(&all->pool, params, &provider);
}

static int64_t number_at(const struct configs *all, const struct place *p)
{
	const char *at = (const char *)all + p->offset;

	return p->size == sizeof(uint32_t) ? (int64_t) * (const uint32_t *)at : *(const int64_t *)at;
}

/* How many places have it. */
static uint32_t expect_arrival(enum param_id id, const char *text)
{
	struct configs all;
	struct params params;
	uint32_t count = 0;

	params_init(&params, PARAM_SCOPE_ALL);
	cr_assert_eq(params_set(&params, id, bytes_of(text), PARAM_FROM_FLAG, "--x", NULL), 0);
	fill(&all, &params);
	for (size_t i = 0; i < ARRAY_LENGTH(places); i++) {
		if (places[i].id != id)
			continue;
		count++;
		cr_expect_eq(number_at(&all, &places[i]), params.values[id].number, "%s=%s arrives as %lld",
			     param_info(id)->name, text, (long long)number_at(&all, &places[i]));
	}
	params_fini(&params);
	return count;
}

Test(parameters, at_their_bounds_arrive_as_they_are)
{
	for (int id = 0; id < PARAM_COUNT; id++) {
		const struct param_info *info = param_info((enum param_id)id);
		uint32_t count = 0;

		if (info->min_text[0] == '\0')
			continue;
		for (size_t i = 0; i < ARRAY_LENGTH(seen_from_outside); i++)
			count += (int)seen_from_outside[i] == id;
		cr_expect_eq(expect_arrival((enum param_id)id, info->min_text) > 0, count == 0,
			     "%s: where does it arrive?", info->name);
		expect_arrival((enum param_id)id, info->max_text);
	}
}

/* The first wait after a failed start is no longer than the longest. */
Test(parameters, a_short_backoff_bounds_the_first_one_too)
{
	static const struct {
		const char *text;
		usec_t first_us;
	} cases[] = {{"10ms", 10 * USEC_PER_MSEC}, {"1s", USEC_PER_SEC}, {"1d", START_BACKOFF_US}};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct configs all;
		struct params params;

		params_init(&params, PARAM_SCOPE_SCALER);
		cr_assert_eq(params_set(&params, PARAM_START_BACKOFF_MAX, bytes_of(cases[i].text),
					PARAM_FROM_FLAG, "--x", NULL),
			     0);
		fill(&all, &params);
		cr_expect_eq(all.pool.fail_backoff_us, cases[i].first_us, "%s", cases[i].text);
		params_fini(&params);
	}
}

static const char *failed_check;

static void on_check(const char *file, int line, const char *func, const char *cond)
{
	(void)file;
	(void)line;
	(void)func;
	failed_check = cond;
	cr_assert(strcmp(cond, "c->complete") == 0, "%s", cond);
	exit(0);
}

/* A configuration that somebody wrote down by hand would have zeros that nobody asked for. */
Test(parameters, a_core_refuses_a_configuration_that_was_not_filled)
{
	const struct dispatcher_config by_hand = {.wire_min = 1, .wire_max = 1, .heartbeat_us = 1};

	check_set_hook(on_check);
	dispatcher_core_destroy(dispatcher_core_create(&by_hand));
	cr_assert_fail("it was taken");
}
