/* The sets of shards of a job that is in work: what JOB_STATE_BYTES_MAX bounds. */
#include "dispatcher/core/durable/writer.h"

#include "base/check.h"
#include "dispatcher/core/durable/shards.h"
#include "jobs/kinds.h"
#include "tests/unit/bounds/heap.h"

#define SHARDS 2000000u

static struct range one(uint32_t shard)
{
	return (struct range){.first = shard, .count = 1};
}

/* Every second shard: the sets fall into as many runs as they can. */
static void done(struct run *run)
{
	for (uint32_t s = 0; s < SHARDS; s += 2)
		shards_done(run, one(s), NULL);
}

static void returned(struct run *run)
{
	for (uint32_t s = 0; s < SHARDS; s += 2)
		shards_release(run, one(s), (struct traits){0});
}

static void failed(struct run *run)
{
	for (uint32_t s = 0; s < SHARDS / 10; s += 2)
		for (uint32_t n = 0; n <= s % 50; n++)
			shards_count_failure(run, one(s));
}

static void delayed(struct run *run)
{
	for (uint32_t s = 0; s < 20000; s++)
		shards_delay(run, one(2 * s), s % 2000 * USEC_PER_SEC, (struct traits){0});
}

static void suspected(struct run *run)
{
	for (uint32_t s = 0; s < 20000; s++)
		shards_release(run, one(2 * s), (struct traits){.crashes = 1});
}

static void dead(struct run *run)
{
	for (uint32_t s = 0; s < SHARDS; s += 2)
		shards_dead(run, one(s), s % 4 == 0 ? FAILURE_EXIT : FAILURE_SIGNAL);
}

Test(bounds, a_jobs_state)
{
	static const struct {
		const char *what;
		void (*fill)(struct run *run);
	} cases[] = {{"shards that are done", done},	    {"shards that came back", returned},
		     {"failed attempts", failed},	    {"shards that wait", delayed},
		     {"shards under suspicion", suspected}, {"dead shards", dead}};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct run *run = run_create(1);
		size_t before = heap_now();

		run->frontier = SHARDS;
		cases[i].fill(run);
		expect_bound(cases[i].what, shards_bytes(run), heap_now() - before);
		run_destroy(run);
	}
}
