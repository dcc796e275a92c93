/* Workers come, are silent, come back, leave and die; the dispatcher restarts. */
#include <criterion/criterion.h>

#include "tests/unit/dispatcher/kit.h"

static struct kit k;

static uint8_t come_back(uint32_t worker, const struct kit_lease *l, uint32_t first, uint32_t count)
{
	struct range r = {first, count};
	struct held_token t = {.token = l->token, .job = l->job, .phase = l->phase, .running = {&r, 1}};

	kit_register_with(&k, worker, (struct held_token_list){&t, 1});
	return k.workers[worker].verdicts[0].verdict;
}

static struct view_counters counters(void)
{
	struct view_counters c;

	dispatcher_view_counters(k.core, &c);
	return c;
}

Test(restart, a_lease_with_a_hint_waits_for_its_worker_and_is_kept)
{
	uint64_t job;

	kit_open(&k);
	kit_register(&k, 0, 1000);
	job = kit_submit(&k, (struct kit_job){.shards = 1});
	kit_restart(&k);
	cr_assert_eq(counters().unbound_leases, 1);
	kit_register(&k, 1, 1000);
	cr_assert_eq(k.workers[1].lease_count, 0, "it is held for worker 0");
	cr_assert_eq(come_back(0, &k.workers[0].leases[0], 0, 1), TOKEN_KEEP);
	cr_assert_eq(counters().unbound_leases, 0);
	kit_done(&k, 0, &k.workers[0].leases[0]);
	cr_assert_eq(k.ended.state, JOB_SUCCEEDED);
	cr_assert_eq(kit_view(&k, job).counts.done, 1);
	kit_close(&k);
}

Test(restart, a_lease_whose_worker_does_not_come_goes_back_after_the_wait)
{
	kit_prepare(&k);
	k.config.adopt_wait_us = 10 * USEC_PER_SEC;
	kit_start(&k);
	kit_register(&k, 0, 1000);
	kit_submit(&k, (struct kit_job){.shards = 1});
	kit_restart(&k);
	kit_register(&k, 1, 1000);
	kit_pass(&k, 9 * USEC_PER_SEC, 2);
	cr_assert_eq(k.workers[1].lease_count, 0);
	kit_pass(&k, 2 * USEC_PER_SEC, 2);
	cr_assert_eq(k.workers[1].lease_count, 1);
	cr_assert_eq(come_back(0, &k.workers[0].leases[0], 0, 1), TOKEN_FINISH);
	kit_done(&k, 0, &k.workers[0].leases[0]);
	cr_assert_eq(k.ended.done, 1, "the late success counts");
	kit_close(&k);
}

Test(restart, a_wait_of_zero_is_no_wait)
{
	kit_prepare(&k);
	k.config.adopt_wait_us = 0;
	kit_start(&k);
	kit_register(&k, 0, 1000);
	kit_submit(&k, (struct kit_job){.shards = 1});
	kit_restart(&k);
	kit_register(&k, 1, 1000);
	kit_tick(&k);
	cr_assert_eq(k.workers[1].lease_count, 1, "the first tick gives it to whoever is there");
	kit_done(&k, 1, kit_last_lease(&k, 1));
	cr_assert_eq(k.ended.state, JOB_SUCCEEDED);
	kit_close(&k);
}

Test(restart, a_lease_without_a_hint_is_kept_if_its_shards_are_free)
{
	struct kit_lease lost;

	kit_open(&k);
	kit_submit(&k, (struct kit_job){.shards = 1});
	k.auto_durable = false;
	kit_register(&k, 0, 1000);
	lost = *kit_last_lease(&k, 0);
	kit_restart(&k); /* the grant's record was not durable */
	cr_assert_eq(counters().leases, 0);
	kit_durable(&k);
	k.auto_durable = true;
	cr_assert_eq(come_back(0, &lost, 0, 1), TOKEN_KEEP);
	cr_assert_eq(counters().leases, 1);
	kit_done(&k, 0, &lost);
	cr_assert_eq(k.ended.state, JOB_SUCCEEDED);
	kit_close(&k);
}

Test(restart, a_lease_without_a_hint_whose_shards_are_leased_elsewhere_is_to_finish)
{
	struct kit_lease lost;

	kit_open(&k);
	kit_submit(&k, (struct kit_job){.shards = 1});
	k.auto_durable = false;
	kit_register(&k, 0, 1000);
	lost = *kit_last_lease(&k, 0);
	kit_restart(&k);
	kit_durable(&k);
	k.auto_durable = true;
	kit_register(&k, 1, 1000);
	cr_assert_eq(k.workers[1].lease_count, 1);
	cr_assert_eq(come_back(0, &lost, 0, 1), TOKEN_FINISH);
	kit_close(&k);
}

Test(restart, tokens_of_two_starts_differ)
{
	struct token first;

	kit_open(&k);
	kit_register(&k, 0, 1000);
	kit_submit(&k, (struct kit_job){.shards = 9});
	first = kit_last_lease(&k, 0)->token;
	kit_restart(&k);
	kit_register(&k, 1, 1000);
	cr_assert_gt(kit_last_lease(&k, 1)->token.epoch, first.epoch);
	kit_close(&k);
}

Test(restart, nobody_hears_of_an_epoch_that_is_not_durable)
{
	kit_open(&k);
	kit_submit(&k, (struct kit_job){.shards = 1});
	k.auto_durable = false;
	kit_restart(&k);
	k.workers[0].cpu_milli = 1000;
	kit_register_with(&k, 0, (struct held_token_list){0});
	cr_assert_eq(k.workers[0].session, 0);
	cr_assert_eq(k.workers[0].lease_count, 0);
	kit_durable(&k);
	cr_assert_neq(k.workers[0].session, 0);
	cr_assert_eq(k.workers[0].lease_count, 1);
	kit_close(&k);
}

Test(session, what_a_worker_does_not_list_goes_back_at_once)
{
	uint64_t job;

	kit_open(&k);
	kit_register(&k, 0, 2000);
	job = kit_submit(&k, (struct kit_job){.shards = 2});
	k.workers[0].cpu_milli = 1; /* so that it is not leased anew */
	cr_assert_eq(come_back(0, &k.workers[0].leases[0], 0, 1), TOKEN_KEEP);
	cr_assert_eq(kit_view(&k, job).counts.leased, 1);
	cr_assert_eq(kit_view(&k, job).counts.pending, 1);
	kit_close(&k);
}

Test(session, a_part_of_a_lease_that_is_not_listed_goes_back)
{
	struct range r = {0, 10};
	struct held_token t = {.token = {1, 77}, .running = {&r, 1}};
	struct kit_lease l = {.token = t.token};

	kit_open(&k);
	t.job = l.job = kit_submit(&k, (struct kit_job){.shards = 10});
	k.workers[0].cpu_milli = 1;
	kit_register_with(&k, 0, (struct held_token_list){&t, 1});
	cr_assert_eq(kit_view(&k, t.job).counts.leased, 10);
	cr_assert_eq(come_back(0, &l, 3, 4), TOKEN_KEEP);
	cr_assert_eq(kit_view(&k, t.job).counts.leased, 4);
	cr_assert_eq(kit_view(&k, t.job).counts.pending, 6);
	kit_close(&k);
}

Test(session, a_token_with_holes_is_adopted_as_it_is)
{
	struct range r[] = {{1, 2}, {6, 3}};
	struct range other = {2, 5};
	struct held_token t = {.token = {1, 77}, .running = {&r[0], 1}, .unstarted = {&r[1], 1}};
	struct held_token u = {.token = {1, 78}, .running = {&other, 1}};

	kit_open(&k);
	t.job = u.job = kit_submit(&k, (struct kit_job){.shards = 10});
	k.workers[0].cpu_milli = k.workers[1].cpu_milli = 1;
	kit_register_with(&k, 0, (struct held_token_list){&t, 1});
	cr_assert_eq(kit_view(&k, t.job).counts.leased, 5);
	kit_register_with(&k, 1, (struct held_token_list){&u, 1});
	cr_assert_eq(k.workers[1].verdicts[0].verdict, TOKEN_KEEP);
	cr_assert_eq(kit_view(&k, t.job).counts.leased, 8, "3, 4 and 5 were free");
	kit_close(&k);
}

Test(session, what_ended_under_a_token_that_is_not_known_is_not_adopted)
{
	struct range r = {0, 1};
	struct held_token t = {.token = {1, 77}, .unreported = {&r, 1}};

	kit_open(&k);
	t.job = kit_submit(&k, (struct kit_job){.shards = 1});
	k.workers[0].cpu_milli = 1;
	kit_register_with(&k, 0, (struct held_token_list){&t, 1});
	cr_assert_eq(k.workers[0].verdicts[0].verdict, TOKEN_FINISH, "its failure may be counted already");
	kit_close(&k);
}

Test(session, tokens_of_ended_jobs_are_killed)
{
	uint64_t job;

	kit_open(&k);
	kit_register(&k, 0, 1000);
	job = kit_submit(&k, (struct kit_job){.shards = 1});
	kit_cancel(&k, job);
	cr_assert_eq(come_back(0, &k.workers[0].leases[0], 0, 1), TOKEN_KILL);
	kit_close(&k);
}

Test(session, a_silent_worker_loses_its_leases_and_any_frame_keeps_them)
{
	kit_open(&k);
	kit_register(&k, 0, 1000);
	kit_submit(&k, (struct kit_job){.shards = 2});
	kit_pass(&k, 100 * USEC_PER_SEC, 1);
	cr_assert_eq(counters().sessions, 1, "it is heard of");
	kit_pass(&k, 29 * USEC_PER_SEC, 0);
	cr_assert_eq(counters().sessions, 1);
	kit_pass(&k, 2 * USEC_PER_SEC, 0);
	cr_assert_eq(counters().sessions, 0);
	cr_assert_eq(counters().leases, 0);
	kit_idle(&k, 0);
	cr_assert_eq(k.workers[0].who, 1);
	kit_close(&k);
}

Test(session, time_in_which_the_dispatcher_stood_still_does_not_count)
{
	kit_open(&k);
	kit_register(&k, 0, 1000);
	kit_submit(&k, (struct kit_job){.shards = 1});
	kit_pass(&k, 25 * USEC_PER_SEC, 0);
	k.mono_us += 3600 * USEC_PER_SEC; /* stopped, swapped out, suspended */
	kit_tick(&k);
	cr_assert_eq(counters().sessions, 1);
	kit_pass(&k, 5 * USEC_PER_SEC, 0);
	cr_assert_eq(counters().sessions, 0, "it really is silent");
	kit_close(&k);
}

Test(session, a_register_that_comes_late_is_dropped)
{
	kit_open(&k);
	kit_register(&k, 0, 1000);
	uint64_t session = k.workers[0].session;

	k.workers[0].serial = 0;
	kit_register_with(&k, 0, (struct held_token_list){0});
	cr_assert_eq(k.workers[0].session, session);
	cr_assert_eq(counters().sessions, 1);
	kit_close(&k);
}

Test(session, a_worker_that_speaks_another_version_is_refused_in_words)
{
	struct register_worker m = {.wire_min = WIRE_VERSION + 1,
				    .wire_max = WIRE_VERSION + 2,
				    .worker = {1, 1},
				    .host = BYTES_LIT("h")};

	kit_open(&k);
	k.workers[0].peer = 5;
	kit_message(&k, 0, MESSAGE_REGISTER, &m);
	cr_assert_eq(k.workers[0].refused, 1);
	cr_assert_eq(counters().sessions, 0);
	kit_close(&k);
}

Test(session, what_a_worker_says_to_who_looks_on_is_passed_on_when_it_is_its_own)
{
	struct tail_bytes bytes = {.request = 5, .known = true, .bytes = BYTES_LIT("hello")};
	struct register_worker older = {.wire_min = 1, .wire_max = 1, .worker = {7, 7}, .serial = 1};
	struct running runs = {.request = 6};
	struct view_session s;

	kit_open(&k);
	kit_register(&k, 0, 1000);
	kit_register(&k, 1, 1000);
	bytes.session = runs.session = k.workers[0].session;
	kit_message(&k, 0, MESSAGE_TAIL_BYTES, &bytes);
	kit_message(&k, 0, MESSAGE_RUNNING, &runs);
	cr_assert_eq(k.looked, 2);
	kit_message(&k, 1, MESSAGE_TAIL_BYTES, &bytes); /* of another's session */
	bytes.session = 12345;
	kit_message(&k, 0, MESSAGE_TAIL_BYTES, &bytes);
	cr_assert_eq(k.looked, 2);
	cr_assert(dispatcher_view_session(k.core, &k.workers[1].id, &s));
	cr_assert_eq(s.session, k.workers[1].session);
	cr_assert_eq(s.wire, WIRE_VERSION);
	k.workers[2].peer = 5;
	kit_message(&k, 2, MESSAGE_REGISTER, &older);
	cr_assert(dispatcher_view_session(k.core, &older.worker, &s));
	cr_assert_eq(s.wire, 1, "it is never asked");
	kit_gone(&k, 1);
	cr_assert_not(dispatcher_view_session(k.core, &k.workers[1].id, &s));
	kit_close(&k);
}

Test(session, a_worker_of_an_older_version_gets_no_shard_whose_stdin_it_would_not_give)
{
	struct register_worker older = {.wire_min = 1,
					.wire_max = WIRE_VERSION_STDIN - 1,
					.worker = {7, 7},
					.capacity = {.cpu_milli = 1000},
					.serial = 1};
	struct view_supply supply;
	uint64_t job;

	kit_open(&k);
	k.workers[2] = (struct kit_worker){.id = older.worker, .peer = 5, .cpu_milli = 1000};
	kit_message(&k, 2, MESSAGE_REGISTER, &older);
	kit_idle(&k, 2);
	job = kit_submit(&k, (struct kit_job){.shards = 1, .stdin_file = "/in"});
	cr_assert_eq(k.workers[2].lease_count, 0);
	cr_assert(dispatcher_view_supply(k.core, job, &k.arena, &supply));
	cr_assert_eq(supply.fitting, 0);
	cr_assert_eq(supply.older, 1);
	kit_submit(&k, (struct kit_job){.shards = 1});
	cr_assert_eq(k.workers[2].lease_count, 1, "one without is another matter");
	kit_register(&k, 0, 1000);
	kit_idle(&k, 0);
	cr_assert_eq(k.workers[0].lease_count, 1);
	cr_assert_eq(k.workers[0].leases[0].job, job);
	kit_close(&k);
}

Test(session, a_draining_worker_gets_nothing_new_and_leaves)
{
	struct input_drain in = {.request = 1};
	struct bye bye;

	kit_open(&k);
	kit_register(&k, 0, 1000);
	kit_submit(&k, (struct kit_job){.shards = 3});
	in.worker = k.workers[0].id;
	kit_step(&k, INPUT_DRAIN, &in);
	cr_assert_eq(k.workers[0].drains, 1);
	kit_done(&k, 0, kit_last_lease(&k, 0));
	cr_assert_eq(k.workers[0].lease_count, 2);
	bye.session = k.workers[0].session;
	kit_message(&k, 0, MESSAGE_BYE, &bye);
	cr_assert_eq(counters().sessions, 0);
	in.worker.lo++;
	kit_step(&k, INPUT_DRAIN, &in);
	cr_assert_eq(k.reply.code, ERR_NOT_FOUND);
	kit_close(&k);
}

Test(session, a_worker_names_others_whose_leftovers_it_ended)
{
	struct register_worker m = {.wire_min = 1, .wire_max = 1, .worker = {9, 9}, .serial = 1};

	kit_open(&k);
	kit_register(&k, 0, 1000);
	kit_submit(&k, (struct kit_job){.shards = 1});
	m.gone = (struct uuid_list){&k.workers[0].id, 1};
	k.workers[1].peer = 5;
	kit_message(&k, 1, MESSAGE_REGISTER, &m);
	cr_assert_eq(counters().leases, 0);
	cr_assert_eq(counters().sessions, 1);
	kit_close(&k);
}

Test(crash, the_shard_that_kills_its_workers_is_found_and_the_others_are_done)
{
	const uint32_t poison = 37;
	struct view_job v = {0};
	uint32_t lost = 0;
	uint64_t job;

	kit_open(&k);
	job = kit_submit(&k, (struct kit_job){.shards = 64, .tolerate_kind = TOLERATE_COUNT, .tolerate = 1});
	while (kit_view(&k, job).state == JOB_ACTIVE) {
		bool dies = false;

		cr_assert_lt(lost, 20);
		k.workers[0].id.lo += 100; /* a new process each time */
		k.workers[0].serial = 0;
		k.workers[0].lease_count = 0;
		kit_register(&k, 0, 4000);
		for (uint32_t i = 0; i < k.workers[0].lease_count && !dies; i++) {
			struct kit_lease *l = &k.workers[0].leases[i];

			dies = poison >= l->first && poison < l->first + l->count;
			if (dies && poison > l->first)
				kit_done_range(&k, 0, l, l->first, poison - l->first);
			if (!dies)
				kit_done(&k, 0, l);
		}
		if (dies) {
			lost++;
			kit_gone(&k, 0);
		}
		v = kit_view(&k, job);
	}
	cr_assert_eq(v.state, JOB_SUCCEEDED);
	cr_assert_eq(k.ended.done, 63);
	cr_assert_eq(k.ended.dead, 1);
	cr_assert_eq(lost, CRASHES_MAX);
	kit_close(&k);
}

Test(crash, a_shard_that_took_two_workers_runs_alone_on_the_next)
{
	uint64_t job;

	kit_open(&k);
	job = kit_submit(&k, (struct kit_job){.shards = 8});
	for (uint32_t w = 0; w < 2; w++) {
		kit_register(&k, w, 2000);
		cr_assert_eq(k.workers[w].lease_count, 4);
		kit_gone(&k, w);
	}
	kit_restart(&k); /* crash counts are journaled */
	kit_register(&k, 2, 2000);
	cr_assert_eq(k.workers[2].lease_count, 1, "the suspect has the worker to itself");
	for (uint32_t i = 0; i < 4; i++) {
		cr_assert_eq(k.workers[2].lease_count, i + 1, "one suspect at a time");
		kit_done(&k, 2, &k.workers[2].leases[i]);
	}
	cr_assert_gt(k.workers[2].lease_count, 4, "all suspects are cleared");
	cr_assert_eq(kit_view(&k, job).counts.dead, 0);
	kit_close(&k);
}

Test(crash, a_suspect_waits_until_a_worker_is_empty)
{
	kit_open(&k);
	kit_submit(&k, (struct kit_job){.shards = 1});
	for (uint32_t w = 0; w < 2; w++) {
		kit_register(&k, w, 2000);
		if (w == 1)
			break;
		kit_gone(&k, w);
	}
	kit_submit(&k, (struct kit_job){.shards = 9});
	kit_register(&k, 2, 1000);
	cr_assert_eq(k.workers[2].lease_count, 2);
	kit_gone(&k, 1);
	kit_done(&k, 2, &k.workers[2].leases[0]);
	cr_assert_eq(k.workers[2].lease_count, 2, "it is kept free for the suspect");
	kit_done(&k, 2, &k.workers[2].leases[1]);
	cr_assert_eq(k.workers[2].lease_count, 3, "it has become empty");
	cr_assert_eq(k.workers[2].leases[2].job, 1);
	kit_done(&k, 2, &k.workers[2].leases[2]);
	cr_assert_gt(k.workers[2].lease_count, 3);
	kit_close(&k);
}
