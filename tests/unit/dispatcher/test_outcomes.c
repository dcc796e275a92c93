/* The table of lease.h: what an outcome does, by the age of its token and where the shard stands. */
#include <criterion/criterion.h>

#include "tests/unit/dispatcher/kit.h"

enum age { CURRENT, FOREIGN, GONE };
enum kind { DONE, FAILED, FAILED_DEAD, LOST, RETURNED };
enum place { PENDING, DELAYED, SPECIAL, HELD, HELD_BY_OTHER, IS_DONE, IS_DEAD };

static struct kit k;
static uint64_t job;

#define TOKEN_A ((struct token){1, 1001}) /* worker 0: shards 0 and 1 */
#define TOKEN_B ((struct token){1, 1002}) /* worker 1: shards 4 and 5 */
#define TOKEN_C ((struct token){1, 1003}) /* nobody's */

static void join_with(uint32_t worker, struct token token, uint32_t first, uint32_t count)
{
	struct range r = {first, count};
	struct held_token t = {.token = token, .job = job, .running = {&r, 1}};

	k.workers[worker].cpu_milli = 1; /* nothing fits: what it holds is what it lists */
	kit_register_with(&k, worker, (struct held_token_list){&t, 1});
	cr_assert_eq(k.workers[worker].verdicts[0].verdict, TOKEN_KEEP);
}

static void outcome(uint32_t worker, struct token token, uint32_t phase, enum kind kind, uint32_t shard)
{
	struct range r = {shard, 1};
	struct failure f = {
	    shard, 1, kind == LOST ? FAILURE_LOST : FAILURE_EXIT, kind == FAILED_DEAD ? 66 : 1, {0}, 0};
	struct outcome o = {.token = token, .job = job, .phase = phase};

	if (kind == DONE)
		o.done = (struct range_list){&r, 1};
	else if (kind == RETURNED)
		o.returned = (struct range_list){&r, 1};
	else
		o.failed = (struct failure_list){&f, 1};
	kit_report(&k, worker, &o, 1);
}

/* Two workers hold two shards each; the shard that the case is about is brought to its place. */
static uint32_t given(enum place place)
{
	kit_open(&k);
	kit_restart(&k); /* the tokens are of the first epoch: of those any may have been granted */
	job = kit_submit(&k, (struct kit_job){.shards = 8,
					      .attempts = 9,
					      .tolerate_kind = TOLERATE_COUNT,
					      .tolerate = 8,
					      .backoff_us = 60 * USEC_PER_SEC,
					      .rule = {66, 66, VERDICT_FAIL}});
	join_with(0, TOKEN_A, 0, 2);
	join_with(1, TOKEN_B, 4, 2);
	switch (place) {
	case PENDING:
		return 7;
	case DELAYED:
		outcome(0, TOKEN_A, 0, FAILED, 0);
		return 0;
	case SPECIAL:
		join_with(2, (struct token){1, 1004}, 6, 1);
		kit_gone(&k, 2);
		return 6;
	case HELD:
		return 0;
	case HELD_BY_OTHER:
		return 4;
	case IS_DONE:
		outcome(0, TOKEN_A, 0, DONE, 0);
		return 0;
	case IS_DEAD:
		outcome(0, TOKEN_A, 0, FAILED_DEAD, 0);
		return 0;
	}
	return UINT32_MAX;
}

struct facts {
	int64_t pending, delayed, leased, done, dead, late, duplicate;
};

static struct facts look(void)
{
	struct view_counts c = kit_view(&k, job).counts;
	struct view_counters n;

	dispatcher_view_counters(k.core, &n);
	return (struct facts){(int64_t)c.pending, (int64_t)c.delayed, (int64_t)c.leased,   (int64_t)c.done,
			      (int64_t)c.dead,	  (int64_t)n.late,    (int64_t)n.duplicate};
}

#define LATE                                                                                                 \
	{                                                                                                    \
		.late = 1                                                                                    \
	}
#define DUPLICATE                                                                                            \
	{                                                                                                    \
		.duplicate = 1                                                                               \
	}

static const struct row {
	enum kind kind;
	enum place place;
	struct facts current, foreign, gone; /* what changes */
} rows[] = {
    {DONE, PENDING, {.pending = -1, .done = 1}, {.pending = -1, .done = 1}, {.pending = -1, .done = 1}},
    {DONE, DELAYED, {.delayed = -1, .done = 1}, {.delayed = -1, .done = 1}, {.delayed = -1, .done = 1}},
    {DONE, SPECIAL, {.pending = -1, .done = 1}, {.pending = -1, .done = 1}, {.pending = -1, .done = 1}},
    {DONE, HELD, {.leased = -1, .done = 1}, {.leased = -1, .done = 1}, {.leased = -1, .done = 1}},
    {DONE, HELD_BY_OTHER, {.leased = -1, .done = 1}, {.leased = -1, .done = 1}, {.leased = -1, .done = 1}},
    {DONE, IS_DONE, DUPLICATE, DUPLICATE, DUPLICATE},
    {DONE, IS_DEAD, {.dead = -1, .done = 1}, {.dead = -1, .done = 1}, {.dead = -1, .done = 1}},
    {FAILED, PENDING, LATE, LATE, LATE},
    {FAILED, DELAYED, LATE, LATE, LATE},
    {FAILED, SPECIAL, LATE, LATE, LATE},
    {FAILED, HELD, {.leased = -1, .delayed = 1}, LATE, LATE},
    {FAILED, HELD_BY_OTHER, LATE, LATE, LATE},
    {FAILED, IS_DONE, DUPLICATE, DUPLICATE, DUPLICATE},
    {FAILED, IS_DEAD, LATE, LATE, LATE},
    {FAILED_DEAD, HELD, {.leased = -1, .dead = 1}, LATE, LATE},
    {FAILED_DEAD, HELD_BY_OTHER, LATE, LATE, LATE},
    {LOST, HELD, {.leased = -1, .pending = 1}, LATE, LATE},
    {RETURNED, PENDING, LATE, LATE, LATE},
    {RETURNED, DELAYED, LATE, LATE, LATE},
    {RETURNED, SPECIAL, LATE, LATE, LATE},
    {RETURNED, HELD, {.leased = -1, .pending = 1}, LATE, LATE},
    {RETURNED, HELD_BY_OTHER, LATE, LATE, LATE},
    {RETURNED, IS_DONE, DUPLICATE, DUPLICATE, DUPLICATE},
    {RETURNED, IS_DEAD, LATE, LATE, LATE},
};

static void try_cell(const struct row *row, enum age age, size_t at)
{
	static const struct token tokens[] = {TOKEN_A, TOKEN_B, TOKEN_C};
	const struct facts *want = age == CURRENT   ? &row->current
				   : age == FOREIGN ? &row->foreign
						    : &row->gone;
	uint32_t shard = given(row->place);
	struct facts before = look(), after;

	/* The reporter is worker 0, which holds A; B is worker 1's. A foreign token that holds the shard
	 * itself is B with HELD_BY_OTHER. */
	outcome(0, tokens[age], 0, row->kind, shard);
	after = look();
	cr_assert_eq(after.pending - before.pending, want->pending, "row %zu age %d: pending", at, age);
	cr_assert_eq(after.delayed - before.delayed, want->delayed, "row %zu age %d: delayed", at, age);
	cr_assert_eq(after.leased - before.leased, want->leased, "row %zu age %d: leased", at, age);
	cr_assert_eq(after.done - before.done, want->done, "row %zu age %d: done", at, age);
	cr_assert_eq(after.dead - before.dead, want->dead, "row %zu age %d: dead", at, age);
	cr_assert_eq(after.late - before.late, want->late, "row %zu age %d: late", at, age);
	cr_assert_eq(after.duplicate - before.duplicate, want->duplicate, "row %zu age %d: duplicate", at,
		     age);
	kit_close(&k);
}

Test(outcomes, every_cell_of_the_table)
{
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		for (enum age age = CURRENT; age <= GONE; age++)
			try_cell(&rows[i], age, i);
}

/* Shards 0 and 1 (A's), 2 and 3 (nobody's), 4 and 5 (B's) wrote one output, told by A's worker. */
static void whole(struct token token, struct range r)
{
	struct outcome o = {.token = token, .job = job, .done = {&r, 1}, .whole = true};

	kit_report(&k, 0, &o, 1);
}

Test(outcomes, with_one_output_count_as_a_whole_or_not_at_all)
{
	static const struct {
		enum place first;   /* what became of shard 0 */
		bool other_is_done; /* shard 4, by B */
		struct token token;
		struct range range;
		struct facts want; /* what changes */
	} cases[] = {
	    {HELD, false, TOKEN_A, {0, 2}, {.leased = -2, .done = 2}},
	    {HELD, false, TOKEN_A, {0, 6}, {.pending = -2, .leased = -4, .done = 6}},
	    {HELD, false, TOKEN_C, {0, 6}, {.pending = -2, .leased = -4, .done = 6}},
	    {DELAYED, false, TOKEN_A, {0, 2}, {.delayed = -1, .leased = -1, .done = 2}},
	    {IS_DEAD, false, TOKEN_A, {0, 2}, {.dead = -1, .leased = -1, .done = 2}},
	    {IS_DONE, false, TOKEN_A, {0, 2}, {.leased = -1, .pending = 1, .duplicate = 1}},
	    {IS_DONE, false, TOKEN_C, {0, 2}, {.duplicate = 1, .late = 1}},
	    {HELD, true, TOKEN_A, {0, 6}, {.leased = -2, .pending = 2, .duplicate = 1, .late = 3}},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct facts before, after;

		given(cases[i].first);
		if (cases[i].other_is_done)
			outcome(1, TOKEN_B, 0, DONE, 4);
		before = look();
		whole(cases[i].token, cases[i].range);
		after = look();
		cr_assert_eq(after.pending - before.pending, cases[i].want.pending, "case %zu: pending", i);
		cr_assert_eq(after.delayed - before.delayed, cases[i].want.delayed, "case %zu: delayed", i);
		cr_assert_eq(after.leased - before.leased, cases[i].want.leased, "case %zu: leased", i);
		cr_assert_eq(after.done - before.done, cases[i].want.done, "case %zu: done", i);
		cr_assert_eq(after.dead - before.dead, cases[i].want.dead, "case %zu: dead", i);
		cr_assert_eq(after.late - before.late, cases[i].want.late, "case %zu: late", i);
		cr_assert_eq(after.duplicate - before.duplicate, cases[i].want.duplicate,
			     "case %zu: duplicate", i);
		kit_close(&k);
	}
}

Test(outcomes, of_a_job_that_ended_are_late)
{
	static const enum kind kinds[] = {DONE, FAILED, RETURNED};
	struct view_counters n;

	given(HELD);
	kit_cancel(&k, job);
	for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++)
		outcome(0, TOKEN_A, 0, kinds[i], 0);
	dispatcher_view_counters(k.core, &n);
	cr_assert_eq(n.late, 3);
	kit_close(&k);
}

Test(outcomes, of_a_phase_that_is_not_in_work_are_late)
{
	struct facts before, after;

	given(HELD);
	before = look();
	outcome(0, TOKEN_A, 1, DONE, 0);
	after = look();
	cr_assert_eq(after.late, before.late + 1);
	cr_assert_eq(after.leased, before.leased);
	kit_close(&k);
}

Test(outcomes, of_shards_that_the_phase_does_not_have_are_strange)
{
	static const enum kind kinds[] = {DONE, FAILED, RETURNED};
	struct facts before, after;
	struct view_counters n;

	given(HELD);
	before = look();
	for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
		outcome(0, TOKEN_A, 0, kinds[i], 8);
		outcome(0, TOKEN_A, 0, kinds[i], UINT32_MAX);
	}
	after = look();
	dispatcher_view_counters(k.core, &n);
	cr_assert_eq(n.strange, 6);
	cr_assert_eq(after.leased, before.leased);
	cr_assert_eq(after.late, before.late);
	kit_close(&k);
}

Test(outcomes, a_lease_that_others_emptied_is_closed)
{
	struct view_counters n;

	given(HELD);
	outcome(0, TOKEN_C, 0, DONE, 4);
	outcome(0, TOKEN_C, 0, DONE, 5);
	dispatcher_view_counters(k.core, &n);
	cr_assert_eq(n.leases, 1, "B holds nothing");
	outcome(1, TOKEN_B, 0, DONE, 4);
	dispatcher_view_counters(k.core, &n);
	cr_assert_eq(n.duplicate, 1);
	kit_close(&k);
}

Test(outcomes, one_outcome_that_contradicts_itself_counts_once)
{
	struct range twice[] = {{0, 2}, {1, 1}};
	struct range back = {0, 2};
	struct failure f = {0, 2, FAILURE_EXIT, 1, {0}, 0};
	struct outcome o = {.token = TOKEN_A, .done = {twice, 2}, .failed = {&f, 1}, .returned = {&back, 1}};

	given(HELD);
	o.job = job;
	kit_report(&k, 0, &o, 1);
	cr_assert_eq(look().done, 2);
	cr_assert_eq(look().delayed, 0);
	kit_close(&k);
}

Test(reports, a_repeat_is_acknowledged_again_and_counts_nothing)
{
	uint64_t seq;

	given(HELD);
	outcome(0, TOKEN_A, 0, DONE, 0);
	seq = k.workers[0].seq;
	cr_assert_eq(k.workers[0].acked, seq);
	k.workers[0].acked = 0;
	k.workers[0].seq--;
	outcome(0, TOKEN_A, 0, DONE, 0);
	cr_assert_eq(k.workers[0].acked, seq);
	cr_assert_eq(look().duplicate, 0);
	kit_close(&k);
}

Test(reports, a_repeat_of_what_is_not_durable_waits_too)
{
	given(HELD);
	k.auto_durable = false;
	outcome(0, TOKEN_A, 0, DONE, 0);
	k.workers[0].seq--;
	outcome(0, TOKEN_A, 0, DONE, 0);
	cr_assert_eq(k.workers[0].acked, 0);
	kit_durable(&k);
	cr_assert_eq(k.workers[0].acked, 1);
	kit_close(&k);
}

Test(reports, a_gap_is_not_taken)
{
	given(HELD);
	k.workers[0].seq += 3;
	outcome(0, TOKEN_A, 0, DONE, 0);
	cr_assert_eq(look().done, 0);
	cr_assert_eq(k.workers[0].acked, 0);
	k.workers[0].seq = 0;
	outcome(0, TOKEN_A, 0, DONE, 0);
	cr_assert_eq(look().done, 1);
	kit_close(&k);
}

Test(reports, of_a_peer_that_is_not_known_are_answered_who)
{
	given(HELD);
	k.workers[0].session += 1;
	outcome(0, TOKEN_A, 0, DONE, 0);
	cr_assert_eq(k.workers[0].who, 1);
	cr_assert_eq(look().done, 0);
	kit_close(&k);
}

Test(reports, a_frame_that_is_none_is_told_and_dropped)
{
	static const char *const frames[] = {"", "\x93", "\x92\x01\xc0", "\x92\xcd\xff\xff\x90", "garbage"};
	uint32_t tells;

	given(HELD);
	tells = k.tells;
	for (size_t i = 0; i < ARRAY_LENGTH(frames); i++) {
		struct input_message in = {k.workers[0].peer, bytes_of(frames[i])};

		kit_step(&k, INPUT_MESSAGE, &in);
		cr_assert_eq(k.tells, tells + i + 1);
	}
	kit_close(&k);
}

Test(outcomes, a_token_that_was_never_granted_is_believed_nothing)
{
	static const struct token tokens[] = {{2, 1},	       {2, UINT64_MAX}, {3, 1},
					      {UINT32_MAX, 1}, {0, 1},		{1, 0}};
	struct view_counters before, after;

	given(HELD);
	dispatcher_view_counters(k.core, &before);
	for (size_t i = 0; i < ARRAY_LENGTH(tokens); i++) {
		struct range all = {0, 8};
		struct failure f = {.first = 0, .count = 8, .kind = FAILURE_EXIT, .code = 66};
		struct outcome o = {.token = tokens[i],
				    .job = job,
				    .done = {&all, 1},
				    .failed = {&f, 1},
				    .returned = {&all, 1}};

		kit_report(&k, 0, &o, 1);
		cr_assert_eq(k.outcome_records, 0, "token %zu", i);
	}
	dispatcher_view_counters(k.core, &after);
	cr_assert_eq(after.strange - before.strange, ARRAY_LENGTH(tokens));
	cr_assert_eq(kit_view(&k, job).state, JOB_ACTIVE);
	kit_close(&k);
}
