/* Leases come, wait for parameters, run, are asked back, are killed. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/worker/rig.h"

static const struct outcome *outcome(const struct rig *r, uint32_t n)
{
	const struct report *m = rig_last(r, MESSAGE_REPORT, 0);

	cr_assert_lt(n, m->outcomes.count);
	return &m->outcomes.items[n];
}

Test(leases, run_to_the_end_and_are_forgotten)
{
	struct worker_config config = rig_config();
	struct token t;
	struct rig r;

	rig_ready(&r, &config, false);
	t = rig_lease(&r, 100, 3);
	cr_assert_eq(rig_in_work(&r, 0)->arm.token.lease, t.lease);
	cr_assert_eq(rig_in_work(&r, 0)->arm.job, 7);
	cr_assert_eq(rig_in_work(&r, 0)->arm.parameters->plan.shard_count, 1000000);
	cr_assert_eq(rig_begin(&r, 0, 100), 3);
	rig_end(&r, 0, 0, 0);
	cr_assert_str_eq(rig_text(outcome(&r, 0)->done), "100+3");
	cr_assert_eq(outcome(&r, 0)->token.lease, t.lease);
	cr_assert_eq(outcome(&r, 0)->job, 7);
	cr_assert_eq(outcome(&r, 0)->segment, 1);
	cr_assert_eq(outcome(&r, 0)->totals.run_us, 3072);
	cr_assert_eq(rig_view(&r).leases, 1, "kept until acknowledged");
	rig_ack(&r, 2);
	cr_assert_eq(rig_view(&r).leases, 0);
	rig_fini(&r);
}

Test(leases, of_another_session_or_repeated_or_senseless_are_dropped)
{
	struct worker_config config = rig_config();
	struct lease l;
	struct leases m = {.leases = {&l, 1}};
	struct rig r;

	rig_ready(&r, &config, false);
	l = rig_lease_of(&r, 0, 5);
	m.session = r.session + 1;
	cr_assert_eq(rig_frame(&r, MESSAGE_LEASES, &m), 0);
	cr_assert_eq(rig_view(&r).leases, 0);

	m.session = r.session;
	cr_assert_eq(rig_frame(&r, MESSAGE_LEASES, &m), 0);
	cr_assert_eq(rig_frame(&r, MESSAGE_LEASES, &m), 0);
	cr_assert_eq(rig_view(&r).leases, 1);
	rig_begin(&r, 0, 5);
	rig_end(&r, 0, 0, 0);
	rig_ack(&r, 2);
	cr_assert_eq(rig_frame(&r, MESSAGE_LEASES, &m), 0);
	cr_assert_eq(rig_view(&r).leases, 0, "a repeat of one that is over");
	cr_assert_eq(rig_view(&r).leases_dropped, 3);

	l = rig_lease_of(&r, 0, 0);
	cr_assert_eq(rig_frame(&r, MESSAGE_LEASES, &m), ERR_INVALID);
	l = rig_lease_of(&r, UINT32_MAX, UINT32_MAX);
	cr_assert_eq(rig_frame(&r, MESSAGE_LEASES, &m), ERR_INVALID);
	l = rig_lease_of(&r, 0, 1);
	l.definition.size = 3;
	cr_assert_eq(rig_frame(&r, MESSAGE_LEASES, &m), ERR_INVALID);
	l = rig_lease_of(&r, 0, 1);
	l.token.epoch = 0;
	cr_assert_eq(rig_frame(&r, MESSAGE_LEASES, &m), ERR_INVALID);
	cr_assert_eq(rig_view(&r).leases, 0);
	rig_fini(&r);
}

Test(leases, that_overtook_another_frame_are_taken)
{
	static const struct {
		uint64_t id;
		bool taken;
	} cases[] = {
	    {100, true},	{90, true},	     {100, false},
	    {90, false},	{5000000000, true},  {95, false /* too old to be told from a repeat */},
	    {4999999999, true}, {4999999999, false}, {5000000000, false},
	};
	struct worker_config config = rig_config();
	struct lease l;
	struct leases m = {.leases = {&l, 1}};
	struct rig r;

	rig_ready(&r, &config, false);
	m.session = r.session;
	for (uint32_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		uint32_t before = rig_view(&r).leases;

		l = rig_lease_of(&r, i, 1);
		l.token.lease = cases[i].id;
		cr_assert_eq(rig_frame(&r, MESSAGE_LEASES, &m), 0);
		cr_assert_eq(rig_view(&r).leases, before + cases[i].taken, "%u", i);
	}
	rig_fini(&r);
}

Test(leases, wait_for_parameters_that_are_asked_for_until_they_come)
{
	struct worker_config config = rig_config();
	const struct need *need;
	struct rig r;

	rig_init(&r, &config);
	rig_connect(&r);
	rig_ack(&r, 1);
	rig_lease(&r, 0, 5);
	rig_lease(&r, 5, 5);
	cr_assert_eq(rig_count(&r, MESSAGE_NEED), 1, "once for both");
	need = rig_last(&r, MESSAGE_NEED, 0);
	cr_assert_eq(need->definitions.count, 1);
	cr_assert_eq(need->jobs.count, 1);
	cr_assert_eq(need->jobs.items[0].job, 7);
	for (int s = 0; s < 20; s++) {
		rig_until(&r, r.now + USEC_PER_SEC);
		rig_ack(&r, 1);
	}
	cr_assert_eq(rig_count(&r, MESSAGE_NEED), 5, "at 0, 1, 3, 7, 15 s: %u", rig_count(&r, MESSAGE_NEED));
	cr_assert_eq(rig_view(&r).slots_open, 0);
	rig_parameters(&r);
	cr_assert_eq(rig_begin(&r, 0, 9) + rig_begin(&r, 1, 9), 10);
	rig_until(&r, r.now + 20 * USEC_PER_SEC);
	cr_assert_eq(rig_count(&r, MESSAGE_NEED), 5);
	rig_fini(&r);
}

Test(leases, see_a_plan_that_has_grown_and_old_cells_keep_the_old_one)
{
	struct worker_config config = rig_config();
	struct job_parameters j = {.job = 7, .plan = {.kind = PLAN_COUNT, .shard_count = 5, .step = 1}};
	struct parameters m = {.jobs = {&j, 1}};
	const struct job_parameters *old;
	struct rig r;

	rig_ready(&r, &config, false);
	m.session = r.session;
	rig_lease(&r, 0, 5);
	old = rig_in_work(&r, 0)->arm.parameters;
	cr_assert_eq(rig_frame(&r, MESSAGE_PARAMETERS, &m), 0);
	rig_lease(&r, 5, 5);
	cr_assert_eq(old->plan.shard_count, 1000000);
	cr_assert_eq(rig_in_work(&r, 1)->arm.parameters->plan.shard_count, 5);
	rig_fini(&r);
}

Test(leases, that_cannot_run_here_fail_in_words)
{
	static struct named_amount fpga = {.name = {(const uint8_t *)"fpga", 4}, .amount = 1000};
	static const struct {
		struct resources shape;
		uint32_t phase;
		const char *words;
	} cases[] = {
	    {{.cpu_milli = 64000}, 0, "64000 thousandths of a core, this worker has 4000"},
	    {{.memory_bytes = 9ull << 30}, 0, "bytes of memory"},
	    {{.named = {&fpga, 1}}, 0, "fpga"},
	    {{.cpu_milli = 1000}, 3, "phase 3"},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct worker_config config = rig_config();
		struct leases m;
		struct lease l;
		struct rig r;

		rig_ready(&r, &config, false);
		rig_parameters_of(&r, RIG_SHA_2, cases[i].shape, 8);
		l = rig_lease_of(&r, 2, 4);
		l.definition = BYTES(RIG_SHA_2, 32);
		l.job = 8;
		l.phase = cases[i].phase;
		m = (struct leases){.session = r.session, .leases = {&l, 1}};
		cr_assert_eq(rig_frame(&r, MESSAGE_LEASES, &m), 0);
		if (l.phase > 0) {
			struct job_parameters j = {.job = 8, .phase = 3};
			struct parameters p = {.session = r.session, .jobs = {&j, 1}};

			rig_frame(&r, MESSAGE_PARAMETERS, &p);
		}
		cr_assert_eq(outcome(&r, 0)->failed.items[0].kind, FAILURE_NO_PROGRAM);
		cr_assert_eq(outcome(&r, 0)->failed.items[0].count, 4);
		cr_assert_not_null(
		    strstr((const char *)outcome(&r, 0)->failed.items[0].why.data, cases[i].words), "%s",
		    outcome(&r, 0)->failed.items[0].why.data);
		rig_fini(&r);
	}
}

Test(leases, asked_back_give_their_unbegun_tail)
{
	static const struct {
		uint32_t begun, keep;
		const char *returned;
	} cases[] = {
	    {0, 0, "0+10"}, {0, 5, "5+5"}, {3, 0, "3+7"}, {3, 8, "8+2"},
	    {3, 10, ""},    {10, 0, ""},   {3, 99, ""},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct worker_config config = rig_config();
		struct token t;
		struct rig r;

		rig_ready(&r, &config, false);
		t = rig_lease(&r, 0, 10);
		rig_begin(&r, 0, cases[i].begun);
		rig_revoke(&r, t, cases[i].keep);
		if (cases[i].returned[0]) {
			cr_assert_str_eq(rig_text(outcome(&r, 0)->returned), cases[i].returned);
			cr_assert_eq(outcome(&r, 0)->returned_why, FAILURE_REVOKED);
			rig_ack(&r, 2);
		} else {
			cr_assert_eq(rig_count(&r, MESSAGE_REPORT), 1);
		}
		rig_begin(&r, 0, 100);
		rig_end(&r, 0, 0, 0);
		rig_ack(&r, ((const struct report *)rig_last(&r, MESSAGE_REPORT, 0))->seq);
		cr_assert_eq(rig_view(&r).leases, 0);
		cr_assert_eq(rig_view(&r).done + rig_view(&r).returned, 10);
		rig_fini(&r);
	}
}

Test(leases, asked_back_while_queued_are_cut_in_the_queue)
{
	struct worker_config config = rig_config();
	struct token t = {0};
	struct rig r;

	rig_ready(&r, &config, false);
	for (uint32_t i = 0; i < 9; i++)
		t = rig_lease(&r, i * 10, 10); /* four slots, two cells each: the ninth is queued */
	cr_assert_eq(rig_view(&r).slots_open, 4);
	rig_revoke(&r, t, 84);
	rig_until(&r, r.now + 2 * USEC_PER_MSEC);
	cr_assert_str_eq(rig_text(outcome(&r, 0)->returned), "84+6");
	rig_revoke(&r, t, 82);
	rig_revoke(&r, t, 83); /* never up again */
	rig_ack(&r, 2);
	rig_until(&r, r.now + 2 * USEC_PER_MSEC);
	cr_assert_str_eq(rig_text(outcome(&r, 0)->returned), "82+2");
	rig_revoke(&r, t, 0);
	rig_ack(&r, 3);
	rig_until(&r, r.now + 2 * USEC_PER_MSEC);
	cr_assert_str_eq(rig_text(outcome(&r, 0)->returned), "80+2");
	rig_ack(&r, 4);
	cr_assert_eq(rig_view(&r).leases, 8);
	rig_fini(&r);
}

Test(leases, killed_are_stopped_and_never_spoken_of)
{
	struct worker_config config = rig_config();
	struct token t;
	struct rig r;

	rig_ready(&r, &config, false);
	r.mute = true;
	t = rig_lease(&r, 0, 10);
	rig_begin(&r, 0, 2);
	rig_end(&r, 0, 0, 0); /* report 2 is under way */
	rig_begin(&r, 0, 2);
	rig_kill(&r, t);
	cr_assert(r.slots[0].cells[0].stopped);
	rig_end(&r, 0, 0, 0); /* they ended before the signal came; the cell is released */
	rig_step(&r, (struct worker_input){.kind = WORKER_CONNECTED});
	cr_assert_eq(((const struct register_worker *)rig_last(&r, MESSAGE_REGISTER, 0))->tokens.count, 0);
	rig_registered(&r, TOKEN_KEEP);
	cr_assert_eq(((const struct report *)rig_last(&r, MESSAGE_REPORT, 0))->outcomes.count, 0);
	cr_assert_eq(rig_view(&r).leases, 0);
	rig_fini(&r);
}

Test(leases, beyond_the_bound_are_given_back_at_once)
{
	struct worker_config config = rig_config();
	struct lease l;
	struct leases m = {.leases = {&l, 1}};
	struct rig r;

	config.tokens_max = 2;
	config.slice_bytes_max = 100;
	rig_ready(&r, &config, false);
	m.session = r.session;
	rig_lease(&r, 0, 1);
	l = rig_lease_of(&r, 1, 1);
	l.slice = BYTES(RIG_SHA RIG_SHA RIG_SHA RIG_SHA, 128);
	cr_assert_eq(rig_frame(&r, MESSAGE_LEASES, &m), 0);
	cr_assert_str_eq(rig_text(outcome(&r, 0)->returned), "1+1");
	rig_ack(&r, 2);
	rig_lease(&r, 2, 1);
	rig_lease(&r, 3, 1);
	cr_assert_str_eq(rig_text(outcome(&r, 0)->returned), "3+1");
	rig_fini(&r);
}

Test(leases, that_are_over_leave_room_in_the_cache)
{
	struct worker_config config = rig_config();
	char sha[33];
	struct rig r;

	config.cache_bytes_max = 20000;
	rig_ready(&r, &config, false);
	memcpy(sha, RIG_SHA, 33);
	for (uint64_t job = 100; job < 200; job++) {
		sha[0] = (char)job;
		rig_parameters_of(&r, sha, (struct resources){.cpu_milli = 1000}, job);
	}
	cr_assert_gt(r.forgotten, 100, "%u", r.forgotten);
	rig_lease(&r, 0, 1);
	cr_assert_eq(rig_count(&r, MESSAGE_NEED), 1, "the first to be forgotten was job 7");
	rig_fini(&r);
}
