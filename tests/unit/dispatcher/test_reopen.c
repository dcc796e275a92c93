/* A job that has ended lives again, in place. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/dispatcher/kit.h"

static struct kit k;

/* Six shards, one of which dies; the others are done before, but for the last two, which are dropped. */
static const struct kit_job six = {.shards = 6, .attempts = 1, .gather = true};
static const struct range first_three[] = {{0, 3}};
static const struct kit_reopened as_it_ended = {1, 1, first_three, 1};

/* The newest lease that has it. */
static struct kit_lease lease_of(uint32_t worker, uint32_t shard)
{
	struct kit_lease found = {0};

	for (uint32_t i = 0; i < k.workers[worker].lease_count; i++) {
		struct kit_lease *l = &k.workers[worker].leases[i];

		if (shard >= l->first && shard - l->first < l->count)
			found = *l;
	}
	cr_assert_neq(found.count, 0, "shard %u was never leased", shard);
	found.first = shard;
	found.count = 1;
	return found;
}

/* Worker 0 has one slot. */
static void fail_the_fourth(const struct kit_job *job)
{
	struct kit_lease l;

	kit_register(&k, 0, 1000);
	cr_assert_eq(kit_submit(&k, *job), 1);
	for (uint32_t shard = 0; shard < 3; shard++) {
		l = lease_of(0, shard);
		kit_done(&k, 0, &l);
	}
	l = lease_of(0, 3);
	kit_failed(&k, 0, &l, FAILURE_EXIT, 3);
	cr_assert_eq(k.ended.state, JOB_FAILED);
	cr_assert_eq(k.ended.done, 3);
	cr_assert_eq(k.ended.dead, 1);
	cr_assert_eq(k.ended.dropped, 2);
}

static void forget_leases(void)
{
	k.workers[0].lease_count = 0;
}

/* All that it is leased in that phase, each shard noted in a bit. */
static uint32_t do_phase(uint32_t worker, uint32_t phase)
{
	uint32_t bits = 0;

	for (uint32_t at = 0; at < k.workers[worker].lease_count; at++) {
		struct kit_lease l = k.workers[worker].leases[at];

		if (l.phase != phase)
			continue;
		for (uint32_t i = 0; i < l.count; i++)
			bits |= 1u << (l.first + i);
		kit_done(&k, worker, &l);
	}
	return bits;
}

Test(reopen, what_is_done_stays_and_the_rest_runs_as_if_for_the_first_time)
{
	kit_open(&k);
	fail_the_fourth(&six);
	kit_settle(&k, 1);
	cr_assert_eq(kit_view(&k, 1).state, 0, "history knows it");
	forget_leases();
	cr_assert_eq(kit_reopen(&k, six, as_it_ended), ERR_OK, "%s", k.reply.why);
	cr_assert_eq(kit_view(&k, 1).state, JOB_ACTIVE);
	cr_assert_eq(kit_view(&k, 1).counts.done, 3);
	cr_assert_eq(kit_view(&k, 1).counts.dead, 0);
	cr_assert_eq(kit_view(&k, 1).reopens, 1);
	cr_assert_eq(kit_last_lease(&k, 0)->attempt, 1);
	cr_assert_eq(do_phase(0, 0), 0x38, "the fourth to the last");
	cr_assert_eq(do_phase(0, 1), 1, "and the gather");
	cr_assert_eq(k.ended_events, 2);
	cr_assert_eq(k.ended.state, JOB_SUCCEEDED);
	cr_assert_eq(k.ended.reopens, 1);
	cr_assert_eq(k.ended.done, 6);
	cr_assert_eq(k.ended.dead, 0);
	cr_assert_eq(k.ended.totals.run_us, 8000, "of all lives");
	kit_close(&k);
}

Test(reopen, what_must_not_go_on_is_refused_in_words)
{
	static const struct range outside[] = {{4, 3}}, twice[] = {{0, 3}, {2, 1}};
	struct kit_reopened as = as_it_ended;
	struct kit_job other = six;
	uint64_t lsn;

	kit_prepare(&k);
	k.config.jobs_max = 1;
	kit_start(&k);
	as.job = 7;
	cr_assert_eq(kit_reopen(&k, six, as), ERR_NOT_FOUND);
	as.job = 0;
	cr_assert_eq(kit_reopen(&k, six, as), ERR_NOT_FOUND);
	k.auto_history = false;
	fail_the_fourth(&six);
	cr_assert_eq(kit_reopen(&k, six, as_it_ended), ERR_BUSY, "the rules have not seen its end");
	kit_settle(&k, 1);
	lsn = k.last_lsn;
	as.job = 1;
	as.done = outside;
	cr_assert_eq(kit_reopen(&k, six, as), ERR_INVALID);
	as.done = twice;
	as.done_count = 2;
	cr_assert_eq(kit_reopen(&k, six, as), ERR_INVALID);
	as = as_it_ended;
	as.reopens = 2;
	cr_assert_eq(kit_reopen(&k, six, as), ERR_INVALID, "it is another life that is asked for");
	as.reopens = 0;
	cr_assert_eq(kit_reopen(&k, six, as), ERR_INVALID);
	other.shards = 7;
	cr_assert_eq(kit_reopen(&k, other, as_it_ended), ERR_INVALID, "it had six");
	cr_assert_eq(k.last_lsn, lsn, "nothing was written");
	cr_assert_eq(kit_reopen(&k, six, as_it_ended), ERR_OK);
	cr_assert_eq(kit_reopen(&k, six, as_it_ended), ERR_EXISTS, "it lives");
	kit_cancel(&k, 1);
	cr_assert_neq(kit_submit(&k, six), 0);
	as.reopens = 2;
	cr_assert_eq(kit_reopen(&k, six, as), ERR_BUSY, "the house is full");
	kit_close(&k);
}

Test(reopen, an_end_that_is_not_durable_is_none_yet)
{
	kit_open(&k);
	kit_submit(&k, six);
	k.auto_durable = false;
	kit_cancel(&k, 1);
	kit_reopen(&k, six, (struct kit_reopened){1, 1, NULL, 0});
	cr_assert_eq(k.reply.code, ERR_BUSY);
	kit_durable(&k);
	k.auto_durable = true;
	cr_assert_eq(kit_reopen(&k, six, (struct kit_reopened){1, 1, NULL, 0}), ERR_OK);
	kit_close(&k);
}

Test(reopen, more_done_ranges_than_a_commit_holds_are_refused_with_a_way_out)
{
	const struct kit_job wide = {.shards = 4000000, .attempts = 1};
	struct kit_reopened as = {.job = 1, .reopens = 1, .done_count = 2000000};
	struct range *done = calloc(as.done_count, sizeof *done);

	for (uint32_t i = 0; i < as.done_count; i++)
		done[i] = (struct range){2 * i, 1};
	as.done = done;
	kit_open(&k);
	kit_submit(&k, wide);
	kit_cancel(&k, 1);
	cr_assert_eq(kit_reopen(&k, wide, as), ERR_LIMIT);
	cr_assert(strstr(k.reply.why, "--all") != NULL, "%s", k.reply.why);
	as.done_count = 1000;
	cr_assert_eq(kit_reopen(&k, wide, as), ERR_OK, "%s", k.reply.why);
	free(done);
	kit_close(&k);
}

Test(reopen, of_an_earlier_life_a_success_counts_and_a_failure_does_not)
{
	struct kit_lease early;

	kit_open(&k);
	fail_the_fourth(&six);
	kit_settle(&k, 1);
	early = *kit_last_lease(&k, 0);
	forget_leases();
	kit_gone(&k, 0);
	cr_assert_eq(kit_reopen(&k, six, as_it_ended), ERR_OK);
	k.workers[1].cpu_milli = 1;
	kit_register(&k, 1, 1); /* no room for a shard */
	early.first = 4;
	early.count = 1;
	kit_failed(&k, 1, &early, FAILURE_EXIT, 3);
	cr_assert_eq(kit_view(&k, 1).state, JOB_ACTIVE, "one attempt was all it had");
	cr_assert_eq(kit_view(&k, 1).counts.dead, 0);
	kit_done_range(&k, 1, &early, 4, 1);
	cr_assert_eq(kit_view(&k, 1).counts.done, 4);
	kit_done_range(&k, 1, &early, 0, 1);
	cr_assert_eq(kit_view(&k, 1).counts.done, 4, "that was done before");
	kit_close(&k);
}

/* What gathered before lacked what is done since. */
Test(reopen, an_earlier_gather_counts_for_nothing)
{
	const struct kit_job two = {.shards = 2, .gather = true};
	static const struct range both[] = {{0, 2}};
	struct range zero = {0, 1};
	struct held_token t = {.job = 1, .phase = 1, .running = {&zero, 1}};
	struct kit_lease early;

	kit_open(&k);
	kit_register(&k, 0, 1000);
	kit_submit(&k, two);
	do_phase(0, 0);
	early = *kit_last_lease(&k, 0);
	cr_assert_eq(early.phase, 1);
	kit_cancel(&k, 1);
	forget_leases();
	cr_assert_eq(kit_reopen(&k, two, (struct kit_reopened){1, 1, both, 1}), ERR_OK);
	cr_assert_eq(kit_last_lease(&k, 0)->phase, 1, "all shards are done: it gathers at once");
	kit_done(&k, 0, &early);
	cr_assert_eq(kit_view(&k, 1).state, JOB_ACTIVE);
	k.workers[1].cpu_milli = 1;
	t.token = early.token;
	kit_register_with(&k, 1, (struct held_token_list){&t, 1});
	cr_assert_eq(k.workers[1].verdicts[0].verdict, TOKEN_KILL);
	kit_done(&k, 0, kit_last_lease(&k, 0));
	cr_assert_eq(k.ended.state, JOB_SUCCEEDED);
	cr_assert_eq(k.ended.later.count, 1);
	cr_assert_eq(k.ended.later.items[0].done, 1);
	kit_close(&k);
}

Test(reopen, history_that_passes_an_earlier_end_leaves_it_alone)
{
	kit_open(&k);
	k.auto_history = false;
	fail_the_fourth(&six);
	kit_settle(&k, 1);
	cr_assert_eq(kit_reopen(&k, six, as_it_ended), ERR_OK);
	kit_history(&k);
	cr_assert_eq(kit_view(&k, 1).state, JOB_ACTIVE);
	kit_cancel(&k, 1);
	cr_assert_eq(kit_view(&k, 1).state, JOB_CANCELLED);
	kit_history(&k);
	cr_assert_eq(kit_view(&k, 1).state, 0);
	kit_close(&k);
}

/* The journal's front may begin anywhere: before the end, behind it, behind the reopening. */
Test(reopen, a_replay_gives_the_same_whatever_was_trimmed)
{
	for (int from = 0; from < 4; from++) {
		uint64_t end, reopened;

		kit_open(&k);
		fail_the_fourth(&six);
		kit_settle(&k, 1);
		end = k.last_lsn - 1;
		cr_assert_eq(kit_reopen(&k, six, as_it_ended), ERR_OK);
		reopened = k.last_lsn;
		if (from > 0) {
			uint64_t oldest = from == 1 ? end : from == 2 ? end + 1 : k.last_lsn + 1;

			cr_assert(kit_carry(&k, oldest, 1000, 1000));
			kit_durable(&k);
			kit_history(&k);
			kit_trim(&k, oldest);
			cr_assert_eq(from == 3, k.first_lsn > reopened);
		}
		kit_compare_replay(&k);
		forget_leases();
		kit_restart(&k);
		cr_assert_eq(kit_view(&k, 1).reopens, 1);
		cr_assert_eq(kit_view(&k, 1).counts.done, 3);
		kit_register(&k, 1, 1000);
		kit_gone(&k, 0);
		cr_assert_eq(do_phase(1, 0), 0x38);
		cr_assert_eq(do_phase(1, 1), 1);
		cr_assert_eq(k.ended.state, JOB_SUCCEEDED);
		cr_assert_eq(k.ended.reopens, 1);
		kit_restart(&k);
		cr_assert_eq(k.ended.reopens, 1, "offered again, as the same end");
		kit_compare_replay(&k);
		kit_close(&k);
	}
}

Test(reopen, it_may_happen_again_and_again)
{
	kit_open(&k);
	fail_the_fourth(&six);
	for (uint32_t n = 1; n <= 3; n++) {
		struct kit_reopened as = as_it_ended;
		struct kit_lease l;

		kit_settle(&k, 1);
		as.reopens = n;
		cr_assert_eq(kit_reopen(&k, six, as), ERR_OK, "%s", k.reply.why);
		l = lease_of(0, 3);
		kit_failed(&k, 0, &l, FAILURE_EXIT, 3);
		cr_assert_eq(k.ended.state, JOB_FAILED);
		cr_assert_eq(k.ended.reopens, n);
		kit_restart(&k);
		kit_register(&k, 0, 1000);
	}
	kit_close(&k);
}

Test(reopen, items_that_a_plan_phase_made_are_not_made_again)
{
	const struct kit_job job = {
	    .shards = 4, .attempts = 1, .planner = PLANNER_LINES, .plan_phase = true, .gather = true};
	static const struct range one[] = {{1, 1}};

	kit_open(&k);
	kit_submit(&k, job);
	kit_cancel(&k,
		   1); /* as if later: what history knows is what counts, once the core has forgotten it */
	cr_assert_eq(kit_reopen(&k, job, (struct kit_reopened){1, 1, one, 1}), ERR_OK, "%s", k.reply.why);
	cr_assert_eq(k.plans, 0);
	cr_assert_eq(kit_view(&k, 1).phase, 1);
	kit_register(&k, 0, 1000);
	kit_restart(&k);
	kit_register(&k, 0, 1000);
	cr_assert_eq(do_phase(0, 1), 0xd);
	cr_assert_eq(do_phase(0, 2), 1);
	cr_assert_eq(k.ended.state, JOB_SUCCEEDED);
	cr_assert_eq(k.ended.shards_phase, 1);
	kit_close(&k);
}
