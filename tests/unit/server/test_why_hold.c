/* Limits, turns, and until when. */
#include <criterion/criterion.h>

#include "dispatcher/why.h"

static void expect_hold(struct view_hold h, const char *sentence)
{
	struct buf out = {0};

	h.queue = BYTES_LIT("few");
	why_hold(&h, &out);
	cr_expect_str_eq(buf_text(&out), sentence);
	buf_fini(&out);
}

Test(why_hold, a_limit_of_its_queue)
{
	const struct bytes anna = BYTES_LIT("user anna (1000)");

	expect_hold((struct view_hold){.kind = VIEW_HOLD_NONE}, "");
	expect_hold((struct view_hold){.kind = VIEW_HOLD_PAUSED}, "queue few is paused");
	expect_hold((struct view_hold){.kind = VIEW_HOLD_PAUSED,
				       .why = BYTES_LIT("lunch"),
				       .by = {.kind = BY_TOKEN, .name = BYTES_LIT("ci")}},
		    "queue few is paused: lunch (token ci paused it)");
	expect_hold((struct view_hold){.kind = VIEW_HOLD_RUNNING,
				       .used = 3,
				       .limit = 3,
				       .holders = {{7, 2}, {9, 1}},
				       .holder_count = 2,
				       .shard_us = 5 * USEC_PER_SEC},
		    "queue few runs 3 shards, as many as it may: 2 of job 7, 1 of job 9; one of these shards "
		    "takes about 5s");
	expect_hold(
	    (struct view_hold){
		.kind = VIEW_HOLD_RUNNING,
		.used = 1,
		.holders = {{7, 1}},
		.holder_count = 1,
		.shard_us = 5 * USEC_PER_SEC,
		.until = {.known = true, .least_us = 2500 * USEC_PER_MSEC, .most_us = 12 * USEC_PER_SEC}},
	    "queue few runs 1 shard, as many as it may: 1 of job 7; one of these shards takes about "
	    "5s; the next of them ends in about 3s to 12s");
	expect_hold((struct view_hold){.kind = VIEW_HOLD_RUNNING, .used = 1, .owner = anna},
		    "user anna (1000) runs 1 shard in queue few, as many as each owner there may");
	expect_hold((struct view_hold){.kind = VIEW_HOLD_CPUS,
				       .used = 3500,
				       .limit = 4000,
				       .need = 1000,
				       .holders = {{7, 3500}},
				       .holder_count = 1},
		    "queue few uses 3.5 of the 4 cpus that it may use, and a shard needs 1: 3.5 of job 7");
	expect_hold(
	    (struct view_hold){
		.kind = VIEW_HOLD_CPUS, .used = 4000, .limit = 4000, .need = 1000, .owner = anna},
	    "user anna (1000) uses 4 of the 4 cpus that each owner may use in queue few, and a shard "
	    "needs 1");
	expect_hold((struct view_hold){.kind = VIEW_HOLD_FIRST, .next = 7},
		    "job 7 goes first in queue few, and waits for cpus of its limit");
}

static void expect_until(struct view_until u, const char *words)
{
	struct buf out = {0};

	why_until(&u, &out);
	cr_expect_str_eq(buf_text(&out), words);
	buf_fini(&out);
}

Test(why_hold, until_when_and_how_far_it_may_be_off)
{
	expect_until((struct view_until){0}, "");
	expect_until((struct view_until){.known = true, .most_us = 90 * USEC_PER_SEC}, "within about 1m30s");
	expect_until((struct view_until){.known = true, .least_us = 1500000, .most_us = 1900000},
		     "in about 2s");
	expect_until((struct view_until){.known = true, .least_us = 300000, .most_us = 4000000},
		     "in about 300ms to 4s");
	expect_until((struct view_until){.known = true, .late = true},
		     "at a time that nobody knows: it takes longer than its like did");
}

Test(why_hold, the_turn_of_another)
{
	expect_hold((struct view_hold){.kind = VIEW_HOLD_PRIORITY, .next = 7},
		    "job 7 goes first in queue few: its priority is higher");
	expect_hold((struct view_hold){.kind = VIEW_HOLD_SHARE, .next = 7},
		    "job 7 goes first in queue few: its owner, or fairness key, was served less");
	expect_hold((struct view_hold){.kind = VIEW_HOLD_AGE, .next = 7},
		    "job 7 goes first in queue few: it is older");
	expect_hold(
	    (struct view_hold){.kind = VIEW_HOLD_QUEUE,
			       .next = 7,
			       .next_queue = BYTES_LIT("heavy"),
			       .weight = 1,
			       .next_weight = 4},
	    "it is the turn of queue heavy (weight 4), of which job 7 goes first; its own is queue few "
	    "(weight 1)");
}
