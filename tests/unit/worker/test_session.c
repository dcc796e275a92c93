/* A worker registers, is kept, is cut off, comes back, is drained, is refused. */
#include <criterion/criterion.h>

#include "tests/unit/worker/rig.h"

#define SEC USEC_PER_SEC

static const struct register_worker *last_register(const struct rig *r)
{
	return rig_last(r, MESSAGE_REGISTER, 0);
}

Test(session, registers_when_connected_and_again_until_it_is_answered)
{
	struct worker_config config = rig_config();
	struct rig r;

	rig_init(&r, &config);
	cr_assert_eq(worker_core_deadline(r.core), USEC_NEVER);
	rig_step(&r, (struct worker_input){.kind = WORKER_CONNECTED});
	cr_assert_eq(rig_count(&r, MESSAGE_REGISTER), 1);
	cr_assert_eq(last_register(&r)->capacity.cpu_milli, 4000);
	cr_assert(bytes_equal(last_register(&r)->host, BYTES_LIT("node1")));

	/* 500 ms, then twice as long each time up to 10 s, each between half and whole. */
	rig_until(&r, r.now + 499 * USEC_PER_MSEC);
	cr_assert_leq(rig_count(&r, MESSAGE_REGISTER), 2);
	rig_until(&r, r.now + 60 * SEC);
	cr_assert_geq(rig_count(&r, MESSAGE_REGISTER), 8);
	cr_assert_leq(rig_count(&r, MESSAGE_REGISTER), 20);
	cr_assert_eq(rig_count(&r, MESSAGE_HEARTBEAT), 0);

	rig_registered(&r, TOKEN_KEEP);
	cr_assert_eq(rig_view(&r).link, WORKER_IN_SESSION);
	cr_assert_eq(rig_count(&r, MESSAGE_REPORT), 1, "the first report gives the credit");
	rig_fini(&r);
}

Test(session, an_answer_to_an_earlier_register_is_dropped)
{
	struct worker_config config = rig_config();
	struct registered late = {.wire = WIRE_VERSION, .session = 5, .epoch = 1, .serial = 1};
	struct rig r;

	rig_init(&r, &config);
	rig_step(&r, (struct worker_input){.kind = WORKER_CONNECTED});
	rig_step(&r, (struct worker_input){.kind = WORKER_CONNECTED});
	cr_assert_eq(last_register(&r)->serial, 2);
	cr_assert_eq(rig_frame(&r, MESSAGE_REGISTERED, &late), 0);
	cr_assert_eq(rig_view(&r).link, WORKER_REGISTERING);
	late.serial = 2;
	late.wire = 9;
	cr_assert_eq(rig_frame(&r, MESSAGE_REGISTERED, &late), ERR_VERSION);
	cr_assert_eq(rig_view(&r).link, WORKER_REGISTERING);
	rig_fini(&r);
}

Test(session, a_dispatcher_of_the_version_before_is_met)
{
	struct worker_config config = rig_config();
	struct registered older = {.wire = WIRE_VERSION_WORKER_MIN, .session = 5, .epoch = 1, .serial = 1};
	struct rig r;

	rig_init(&r, &config);
	rig_step(&r, (struct worker_input){.kind = WORKER_CONNECTED});
	cr_assert_eq(last_register(&r)->wire_min, WIRE_VERSION_WORKER_MIN);
	cr_assert_eq(last_register(&r)->wire_max, WIRE_VERSION);
	older.wire--;
	cr_assert_eq(rig_frame(&r, MESSAGE_REGISTERED, &older), ERR_VERSION);
	older.wire++;
	cr_assert_eq(rig_frame(&r, MESSAGE_REGISTERED, &older), 0);
	cr_assert_eq(rig_view(&r).link, WORKER_IN_SESSION);
	rig_fini(&r);
}

Test(session, beats_when_it_has_nothing_else_to_say)
{
	struct worker_config config = rig_config();
	struct rig r;

	rig_ready(&r, &config, false);
	rig_until(&r, r.now + 7 * SEC);
	cr_assert_eq(rig_count(&r, MESSAGE_HEARTBEAT), 3);
	rig_ack(&r, 1);
	rig_until(&r, r.now + 28 * SEC);
	cr_assert_eq(rig_view(&r).link, WORKER_IN_SESSION, "an ACK renews");
	rig_fini(&r);
}

Test(session, registers_again_when_asked_who_it_is)
{
	struct worker_config config = rig_config();
	struct rig r;
	struct who who = {0};

	rig_ready(&r, &config, false);
	rig_lease(&r, 0, 10);
	rig_begin(&r, 0, 2);
	rig_progress(&r, 0, 0, false);
	rig_frame(&r, MESSAGE_WHO, &who);
	rig_frame(&r, MESSAGE_WHO, &who); /* one is under way */
	cr_assert_eq(rig_count(&r, MESSAGE_REGISTER), 2);
	cr_assert_eq(last_register(&r)->tokens.count, 1);
	cr_assert_str_eq(rig_text(last_register(&r)->tokens.items[0].running), "0+2");
	cr_assert_str_eq(rig_text(last_register(&r)->tokens.items[0].unstarted), "2+8");

	/* The dispatcher was only restarted: what is leased goes on meanwhile. */
	rig_end(&r, 0, 0, 0);
	cr_assert_eq(rig_begin(&r, 0, 100), 8);
	rig_fini(&r);
}

Test(session, unacknowledged_reports_are_sent_again_in_the_new_session)
{
	struct worker_config config = rig_config();
	const struct report *m;
	struct rig r;

	rig_ready(&r, &config, false);
	rig_lease(&r, 0, 10);
	rig_begin(&r, 0, 4);
	rig_end(&r, 0, 0, 0);
	m = rig_last(&r, MESSAGE_REPORT, 0);
	cr_assert_eq(m->seq, 2);
	cr_assert_str_eq(rig_text(m->outcomes.items[0].done), "0+4");

	rig_step(&r, (struct worker_input){.kind = WORKER_DISCONNECTED});
	rig_begin(&r, 0, 1);
	rig_end(&r, 0, FAILURE_EXIT, 0);
	cr_assert_eq(rig_count(&r, MESSAGE_REPORT), 2, "nothing is sent into a closed door");
	rig_step(&r, (struct worker_input){.kind = WORKER_CONNECTED});
	cr_assert_str_eq(rig_text(last_register(&r)->tokens.items[0].unreported), "0+5");
	r.epoch = 2;
	rig_registered(&r, TOKEN_KEEP);
	m = rig_last(&r, MESSAGE_REPORT, 0);
	cr_assert_eq(m->seq, 1);
	cr_assert_eq(m->session, r.session);
	cr_assert_eq(m->outcomes.count, 1);
	cr_assert_str_eq(rig_text(m->outcomes.items[0].done), "0+4");
	cr_assert_eq(m->outcomes.items[0].failed.items[0].first, 4);
	rig_ack(&r, 1);
	cr_assert_eq(rig_view(&r).unreported, 0);
	cr_assert_eq(rig_view(&r).unstarted, 5);
	rig_fini(&r);
}

Test(session, each_verdict_has_its_effect)
{
	static const struct {
		uint8_t fate;
		bool unreported, running, unstarted; /* are they still told of? */
		const char *returned;
	} cases[] = {
	    {TOKEN_KEEP, true, true, true, ""},
	    {TOKEN_FINISH, true, true, false, "5+5"},
	    {TOKEN_KILL, false, false, false, ""},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct worker_config config = rig_config();
		const struct report *m;
		struct worker_view v;
		struct rig r;

		rig_ready(&r, &config, false);
		r.mute = true;
		rig_lease(&r, 0, 10);
		rig_begin(&r, 0, 2);
		rig_end(&r, 0, 0, 0);
		rig_begin(&r, 0, 3);
		rig_progress(&r, 0, 0, false);
		rig_step(&r, (struct worker_input){.kind = WORKER_CONNECTED});
		rig_registered(&r, cases[i].fate);
		if (cases[i].fate == TOKEN_FINISH)
			rig_progress(&r, 0, 0, false); /* the end was lowered */
		rig_until(&r, r.now + 50 * USEC_PER_MSEC);
		v = rig_view(&r);
		cr_assert_eq(r.slots[0].cells[0].stopped, cases[i].fate == TOKEN_KILL);
		cr_assert_eq(v.unstarted, cases[i].unstarted ? 5 : cases[i].fate == TOKEN_KILL ? 5 : 0);
		m = rig_last(&r, MESSAGE_REPORT, cases[i].returned[0] ? 1 : 0);
		cr_assert_eq(m->outcomes.count, cases[i].unreported);
		m = rig_last(&r, MESSAGE_REPORT, 0);
		if (cases[i].returned[0])
			cr_assert_str_eq(rig_text(m->outcomes.items[0].returned), cases[i].returned);
		cr_assert_eq(m->credit.cpu_milli, cases[i].fate == TOKEN_KEEP ? 4000 : 3000,
			     "what runs unknown to the dispatcher is not on offer");
		rig_fini(&r);
	}
}

Test(session, cut_off_it_finishes_what_runs_and_starts_nothing)
{
	struct worker_config config = rig_config();
	struct rig r;

	rig_ready(&r, &config, false);
	rig_lease(&r, 0, 10);
	rig_lease(&r, 50, 3);
	rig_begin(&r, 0, 2);
	rig_step(&r, (struct worker_input){.kind = WORKER_DISCONNECTED});
	rig_until(&r, r.now + 29 * SEC);
	cr_assert(!rig_view(&r).cut_off);
	rig_until(&r, r.now + 2 * SEC);
	cr_assert(rig_view(&r).cut_off);

	rig_end(&r, 0, 0, 0);
	cr_assert_eq(rig_begin(&r, 0, 1), 0);
	cr_assert_eq(rig_begin(&r, 1, 1), 0);
	rig_progress(&r, 1, 0, true);
	cr_assert_eq(rig_view(&r).unstarted, 11);
	cr_assert_eq(rig_view(&r).unreported, 2);

	rig_step(&r, (struct worker_input){.kind = WORKER_CONNECTED});
	rig_registered(&r, TOKEN_KEEP);
	cr_assert_eq(rig_begin(&r, 0, 100) + rig_begin(&r, 1, 100) + rig_begin(&r, 2, 100), 11);
	rig_fini(&r);
}

Test(session, silence_in_an_open_connection_is_noticed_too)
{
	struct worker_config config = rig_config();
	struct rig r;

	rig_ready(&r, &config, false);
	rig_until(&r, r.now + 31 * SEC);
	cr_assert(rig_view(&r).cut_off);
	cr_assert_eq(rig_view(&r).link, WORKER_REGISTERING);
	rig_registered(&r, TOKEN_KEEP);
	cr_assert(!rig_view(&r).cut_off);
	rig_fini(&r);
}

Test(session, drains_gives_back_the_rest_and_leaves_when_all_is_acknowledged)
{
	struct worker_config config = rig_config();
	const struct report *m;
	struct rig r;

	rig_ready(&r, &config, false);
	rig_lease(&r, 0, 10);
	rig_begin(&r, 0, 2);
	rig_step(&r, (struct worker_input){.kind = WORKER_DRAIN});
	m = rig_last(&r, MESSAGE_REPORT, 0);
	cr_assert(m->draining && m->credit.cpu_milli == 0);
	rig_until(&r, r.now + 20 * USEC_PER_MSEC);
	m = rig_last(&r, MESSAGE_REPORT, 0);
	cr_assert_str_eq(rig_text(m->outcomes.items[0].returned), "2+8");
	cr_assert_eq(m->outcomes.items[0].returned_why, FAILURE_DRAINED);

	rig_lease(&r, 90, 5); /* crossed on the way: back at once */
	rig_end(&r, 0, 0, 0);
	cr_assert(!r.exited);
	rig_until(&r, r.now + 20 * USEC_PER_MSEC);
	rig_ack(&r, ((const struct report *)rig_last(&r, MESSAGE_REPORT, 0))->seq - 1);
	cr_assert(!r.exited, "one report is not acknowledged");
	rig_ack(&r, ((const struct report *)rig_last(&r, MESSAGE_REPORT, 0))->seq);
	cr_assert(r.exited);
	cr_assert_eq(r.exit_code, WORKER_EXIT_DRAINED);
	cr_assert_eq(rig_count(&r, MESSAGE_BYE), 1);
	cr_assert_eq(rig_view(&r).done + rig_view(&r).returned, 15);
	rig_fini(&r);
}

Test(session, a_second_signal_stops_what_runs_and_waits_only_a_moment)
{
	struct worker_config config = rig_config();
	const struct report *m;
	struct rig r;

	rig_ready(&r, &config, false);
	rig_lease(&r, 0, 10);
	rig_begin(&r, 0, 2);
	rig_step(&r, (struct worker_input){.kind = WORKER_DRAIN});
	rig_step(&r, (struct worker_input){.kind = WORKER_ABORT});
	rig_until(&r, r.now + 40 * USEC_PER_MSEC);
	m = rig_last(&r, MESSAGE_REPORT, 0);
	cr_assert_eq(m->outcomes.count, 2, "two whys: two outcomes");
	cr_assert_str_eq(rig_text(m->outcomes.items[0].returned), "2+8");
	cr_assert_str_eq(rig_text(m->outcomes.items[1].returned), "0+2");
	cr_assert_eq(m->outcomes.items[1].returned_why, FAILURE_PREEMPTED);
	rig_until(&r, r.now + 2 * SEC);
	cr_assert(r.exited);
	cr_assert_eq(r.exit_code, WORKER_EXIT_ABORTED);
	cr_assert_eq(rig_count(&r, MESSAGE_BYE), 1);
	rig_fini(&r);
}

Test(session, an_idle_worker_leaves_at_once)
{
	struct worker_config config = rig_config();
	struct rig r;
	struct drain drain;

	rig_ready(&r, &config, false);
	drain.session = r.session + 1;
	rig_frame(&r, MESSAGE_DRAIN, &drain);
	cr_assert(!r.exited, "another session's");
	drain.session = r.session;
	rig_frame(&r, MESSAGE_DRAIN, &drain);
	cr_assert(r.exited);
	rig_tick(&r); /* nothing more, ever */
	cr_assert_eq(worker_core_deadline(r.core), USEC_NEVER);
	rig_fini(&r);
}

Test(session, refused_it_ends_with_the_dispatchers_words)
{
	struct worker_config config = rig_config();
	struct refused m = {BYTES_LIT("wire version 1 is too old: install 2.0")};
	struct rig r;

	rig_ready(&r, &config, false);
	rig_lease(&r, 0, 10);
	rig_begin(&r, 0, 2);
	r.mute = true;
	rig_frame(&r, MESSAGE_REFUSED, &m);
	cr_assert(r.exited && r.slots[0].cells[0].stopped);
	cr_assert_eq(r.exit_code, WORKER_EXIT_REFUSED);
	rig_fini(&r);
}

Test(session, frames_that_make_no_sense_are_told)
{
	struct worker_config config = rig_config();
	struct ack ack;
	struct heartbeat beat = {0};
	struct token_verdict verdict = {{1, 1}, 77};
	struct registered reg = {
	    .wire = WIRE_VERSION, .session = 9, .epoch = 1, .tokens = {&verdict, 1}, .serial = 2};
	struct rig r;

	rig_ready(&r, &config, false);
	ack = (struct ack){.session = r.session, .seq = 99};
	cr_assert_eq(rig_frame(&r, MESSAGE_ACK, &ack), ERR_INVALID);
	cr_assert_eq(rig_frame(&r, MESSAGE_HEARTBEAT, &beat), ERR_VERSION);
	rig_step(&r, (struct worker_input){.kind = WORKER_CONNECTED});
	cr_assert_eq(rig_frame(&r, MESSAGE_REGISTERED, &reg), ERR_INVALID);
	cr_assert_eq(rig_view(&r).link, WORKER_REGISTERING);
	cr_assert_lt(rig_step(&r, (struct worker_input){.kind = 99}), 0);
	rig_fini(&r);
}
