/* What the cluster has together: no more of it is leased than there is, wherever; what is given back is
 * leased again, wherever. */
#include <criterion/criterion.h>

#include "base/rng.h"
#include "tests/unit/dispatcher/kit.h"

static struct kit k;

static struct kit_job job_of(uint32_t shards, uint64_t licences_milli)
{
	return (struct kit_job){.shards = shards, .named = {BYTES_LIT("licence"), licences_milli}};
}

static void open_with(uint64_t licences_milli)
{
	kit_prepare(&k);
	k.config.shared[0] = (struct named_amount){BYTES_LIT("licence"), licences_milli};
	k.config.shared_count = 1;
	kit_start(&k);
}

static uint64_t used(void)
{
	struct view_shared all[NAMED_RESOURCES_MAX];

	cr_assert_eq(dispatcher_view_shared(k.core, all), 1);
	return all[0].used;
}

static uint32_t given(uint32_t workers)
{
	uint32_t n = 0;

	for (uint32_t w = 0; w < workers; w++)
		n += k.workers[w].lease_count;
	return n;
}

Test(shared, no_more_is_leased_than_there_is)
{
	open_with(3000);
	kit_register(&k, 0, 2000);
	kit_register(&k, 1, 2000);
	kit_submit(&k, job_of(100, 1000));
	cr_assert_eq(given(2), 3, "and none waits at a worker that could not run it");
	cr_assert_eq(used(), 3000);
	for (uint32_t i = 0; i < 40; i++) {
		uint32_t w = i % 2 < k.workers[0].lease_count ? i % 2 : 0;

		kit_done(&k, w, kit_last_lease(&k, w));
		cr_assert_eq(kit_last_lease(&k, w)->count, 1);
		cr_assert_eq(used(), 3000, "the next is leased at once");
	}
	kit_close(&k);
}

Test(shared, others_go_on_meanwhile)
{
	uint64_t holder, later, lacks, free_of_it;
	struct view_shared s;

	open_with(1500);
	kit_register(&k, 0, 8000);
	holder = kit_submit(&k, job_of(1, 1000));
	later = kit_submit(&k, job_of(2, 1000));
	lacks = kit_submit(&k, job_of(1, 2000));
	free_of_it = kit_submit(&k, job_of(3, 0));
	cr_assert_eq(kit_view(&k, later).counts.leased, 0);
	cr_assert_eq(kit_view(&k, free_of_it).counts.leased, 3);
	kit_submit(&k, job_of(1, 500));
	cr_assert_eq(used(), 1500, "a part is left for who needs no more");
	cr_assert(dispatcher_view_shared_lack(k.core, later, &s));
	cr_assert(bytes_equal(s.name, BYTES_LIT("licence")));
	cr_assert(s.total == 1500 && s.used == 1500 && s.need == 1000 && s.job_count == 2);
	cr_assert(s.jobs[0] == holder || s.jobs[1] == holder);
	cr_assert(dispatcher_view_shared_lack(k.core, lacks, &s) && s.need > s.total);
	cr_assert_not(dispatcher_view_shared_lack(k.core, free_of_it, &s));
	kit_close(&k);
}

Test(shared, what_is_given_back_goes_to_whoever_can_use_it)
{
	struct kit_job large = job_of(1, 1000);
	uint64_t job;

	open_with(1000);
	kit_register(&k, 0, 1000);
	kit_submit(&k, job_of(1, 1000));
	kit_register(&k, 1, 4000);
	large.cpu_milli = 4000;
	job = kit_submit(&k, large);
	cr_assert_eq(k.workers[1].lease_count, 0);
	kit_done(&k, 0, kit_last_lease(&k, 0)); /* worker 0 could not run it */
	cr_assert_eq(kit_view(&k, job).counts.leased, 1);
	kit_cancel(&k, job);
	cr_assert_eq(used(), 0);
	kit_close(&k);
}

Test(shared, leases_of_before_a_restart_count)
{
	open_with(2000);
	kit_register(&k, 0, 1000);
	kit_submit(&k, job_of(5, 1000));
	cr_assert_eq(used(), 1000);
	kit_restart(&k);
	cr_assert_eq(used(), 1000, "its worker is about to come back");
	kit_register(&k, 1, 8000);
	cr_assert_eq(k.workers[1].lease_count, 1);
	cr_assert_eq(used(), 2000);
	kit_close(&k);
}

Test(shared, less_than_before_a_restart)
{
	open_with(2000);
	kit_register(&k, 0, 2000);
	kit_submit(&k, job_of(5, 1000));
	k.config.shared[0].amount = 1000;
	kit_restart(&k);
	kit_register(&k, 1, 8000);
	cr_assert_eq(used(), 2000);
	cr_assert_eq(k.workers[1].lease_count, 0);
	kit_close(&k);
}

/* A worker's own offer of the name counts for nothing, and is not asked for. */
Test(shared, a_worker_offers_no_part_of_it)
{
	struct resources need = {.cpu_milli = 1000}, own;
	struct named_amount two[] = {{BYTES_LIT("licence"), 1000}, {BYTES_LIT("scratch"), 1000}};

	open_with(1000);
	need.named = (struct named_amount_list){two, 2};
	kit_submit(&k, (struct kit_job){.shards = 1, .named = two[1]});
	dispatcher_view_own_need(k.core, &need, &k.arena, &own);
	cr_assert_eq(own.named.count, 1);
	cr_assert(bytes_equal(own.named.items[0].name, BYTES_LIT("scratch")));
	kit_close(&k);
}

/* Whatever comes: at most what there is, and all of it gets done. */
Test(shared, holds_on_random_days)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct view_counters c = {.live_jobs = 1};
		uint64_t jobs = 0;
		struct rng rng;

		rng_seed(&rng, seed);
		open_with(3000);
		for (uint32_t w = 0; w < 3; w++)
			kit_register(&k, w, 1000 * (uint32_t)(1 + rng_below(&rng, 4)));
		for (uint32_t i = 0; i < 3000 && c.live_jobs > 0; i++) {
			uint32_t w = (uint32_t)rng_below(&rng, 3);
			struct kit_worker *kw = &k.workers[w];

			if (jobs < 12) {
				kit_submit(
				    &k, job_of(1 + (uint32_t)rng_below(&rng, 6), 1000 * rng_below(&rng, 4)));
				jobs++;
			}
			for (uint32_t l = 0; l < kw->lease_count; l++) {
				struct kit_lease *lease = &kw->leases[l];

				if (lease->count == 0 || lease->killed || rng_below(&rng, 3) == 0)
					continue;
				if (rng_below(&rng, 4) == 0)
					kit_returned(&k, w, lease, lease->first, lease->count);
				else
					kit_done(&k, w, lease);
				lease->count = 0;
				break;
			}
			cr_assert_leq(used(), 3000, "seed %d, step %u", (int)seed, i);
			dispatcher_view_counters(k.core, &c);
		}
		cr_assert_eq(c.live_jobs, 0, "seed %d: %d jobs are left", (int)seed, (int)c.live_jobs);
		kit_close(&k);
	}
}
