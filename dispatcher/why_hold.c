/* Which limit or whose turn a job waits for, in words. */
#include <inttypes.h>

#include "base/units.h"
#include "dispatcher/why.h"
#include "jobs/principal.h"

static void say_queue(const char *before, struct bytes name, struct buf *out)
{
	buf_printf(out, "%squeue %.*s", before, (int)name.size, (const char *)name.data);
}

static void say_cpus(uint64_t milli, const char *behind, struct buf *out)
{
	char text[UNITS_TEXT_MAX];

	buf_printf(out, "%s%s", units_format_cpus((uint32_t)milli, text, sizeof(text)), behind);
}

void why_until(const struct view_until *u, struct buf *out)
{
	struct buf least = {0}, most = {0};

	if (!u->known)
		return;
	why_span(&least, u->least_us);
	why_span(&most, u->most_us);
	if (u->late)
		buf_printf(out, "at a time that nobody knows: it takes longer than its like did");
	else if (u->least_us == 0)
		buf_printf(out, "within about %s", buf_text(&most));
	else if (bytes_equal(buf_bytes(&least), buf_bytes(&most)))
		buf_printf(out, "in about %s", buf_text(&most));
	else
		buf_printf(out, "in about %s to %s", buf_text(&least), buf_text(&most));
	buf_fini(&least);
	buf_fini(&most);
}

/* ": 3 of job 12, 1 of job 15; a shard of them takes about 5s" */
static void say_holders(const struct view_hold *h, struct buf *out)
{
	for (uint32_t i = 0; i < h->holder_count; i++) {
		buf_printf(out, i == 0 ? ": " : ", ");
		if (h->kind == VIEW_HOLD_CPUS)
			say_cpus(h->holders[i].used, "", out);
		else
			buf_printf(out, "%" PRIu64, h->holders[i].used);
		buf_printf(out, " of job %" PRIu64, h->holders[i].job);
	}
	if (h->shard_us > 0) {
		buf_printf(out, "; one of these shards takes about ");
		why_span(out, (usec_t)h->shard_us);
	}
	if (h->until.known) {
		buf_printf(out, "; the next of them ends ");
		why_until(&h->until, out);
	}
}

static void say_paused(const struct view_hold *h, struct buf *out)
{
	struct buf by = {0};

	say_queue("", h->queue, out);
	buf_printf(out, " is paused");
	if (h->why.size > 0)
		buf_printf(out, ": %.*s", (int)h->why.size, (const char *)h->why.data);
	principal_words(&h->by, &by);
	if (by.size > 0)
		buf_printf(out, " (%s paused it)", buf_text(&by));
	buf_fini(&by);
}

static void say_limit(const struct view_hold *h, struct buf *out)
{
	bool of_owner = h->owner.size > 0;

	if (of_owner)
		buf_printf(out, "%.*s", (int)h->owner.size, (const char *)h->owner.data);
	else
		say_queue("", h->queue, out);
	if (h->kind == VIEW_HOLD_RUNNING) {
		buf_printf(out, " runs ");
		why_count(out, h->used, "shard");
		if (of_owner)
			say_queue(" in ", h->queue, out);
		buf_printf(out, ", as many as %s may", of_owner ? "each owner there" : "it");
	} else {
		buf_printf(out, " uses ");
		say_cpus(h->used, " of the ", out);
		say_cpus(h->limit, " cpus that ", out);
		buf_printf(out, of_owner ? "each owner may use" : "it may use");
		if (of_owner)
			say_queue(" in ", h->queue, out);
		buf_printf(out, ", and a shard needs ");
		say_cpus(h->need, "", out);
	}
	say_holders(h, out);
}

static void say_turn(const struct view_hold *h, struct buf *out)
{
	static const char *const reasons[] = {
	    [VIEW_HOLD_PRIORITY] = "its priority is higher",
	    [VIEW_HOLD_SHARE] = "its owner, or fairness key, was served less",
	    [VIEW_HOLD_AGE] = "it is older",
	};

	if (h->kind == VIEW_HOLD_QUEUE) {
		say_queue("it is the turn of ", h->next_queue, out);
		buf_printf(out, " (weight %u), of which job %" PRIu64 " goes first; its own is",
			   h->next_weight, h->next);
		say_queue(" ", h->queue, out);
		buf_printf(out, " (weight %u)", h->weight);
		return;
	}
	buf_printf(out, "job %" PRIu64 " goes first", h->next);
	say_queue(" in ", h->queue, out);
	if (h->kind == VIEW_HOLD_FIRST)
		buf_printf(out, ", and waits for cpus of its limit");
	else
		buf_printf(out, ": %s", reasons[h->kind]);
}

bool why_hold_is_limit(const struct view_hold *h)
{
	return h != NULL && h->kind >= VIEW_HOLD_PAUSED && h->kind <= VIEW_HOLD_FIRST;
}

void why_hold(const struct view_hold *h, struct buf *out)
{
	if (h == NULL || h->kind == VIEW_HOLD_NONE)
		return;
	if (h->kind == VIEW_HOLD_PAUSED)
		say_paused(h, out);
	else if (h->kind == VIEW_HOLD_RUNNING || h->kind == VIEW_HOLD_CPUS)
		say_limit(h, out);
	else
		say_turn(h, out);
}
