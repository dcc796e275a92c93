/* The journal's oldest segment is freed when its live state is written again behind it and history is
 * past it. A round starts when the journal is worth it: over segments_min segments, and twice as large as
 * what the last round showed to be live. */
#include <inttypes.h>
#include <stdio.h>

#include "dispatcher/engine/engine_private.h"

#define LOOK_AFTER_ERROR 65536 /* records until the next look when it could not be trimmed */
#define BUSY_SHARE 8	       /* of a step's bytes, when others wait for the disk */
#define BUSY_BYTES (4 * KIB)   /* of a commit that others wait for */

static void end_round(struct engine *e)
{
	struct engine_carry *c = &e->carry;
	struct engine_journal journal;
	struct error why = {0};
	char line[SAY_BYTES], text[SAY_BYTES - 100];

	if (e->ops->trim(e->arg, c->oldest_lsn, &why) < 0) {
		snprintf(line, sizeof(line), "the journal is not shortened: %s",
			 error_text(&why, text, sizeof(text)));
		engine_say(e, true, 0, line);
		c->look_lsn = e->durable_lsn + LOOK_AFTER_ERROR;
		c->oldest_lsn = c->done_lsn = 0;
		return;
	}
	e->ops->journal(e->arg, &journal);
	snprintf(line, sizeof(line),
		 "the journal was shortened to %" PRIu64 " segments; %" PRIu64
		 " bytes of live state were written again",
		 journal.segments, c->written_bytes);
	engine_say(e, false, 0, line);
	/* What this segment held of live state, for as many segments as there are. */
	c->wait_bytes = 2 * c->written_bytes * (journal.segments + 1);
	c->oldest_lsn = 0;
	c->done_lsn = 0;
}

static void step_round(struct engine *e)
{
	struct engine_carry *c = &e->carry;
	struct input_carry in = {.oldest_lsn = c->oldest_lsn, .bytes_max = (uint32_t)e->bounds.carry_bytes};

	if (e->release.count > 0 || e->batch.size > BUSY_BYTES)
		in.bytes_max = (uint32_t)(e->bounds.carry_bytes / BUSY_SHARE);
	engine_step(e, INPUT_CARRY, &in);
	c->written_bytes += e->effects.records.size;
	if (e->effects.carry_done)
		c->done_lsn = e->last_lsn;
	e->urgent = true;
}

static void start_round(struct engine *e)
{
	struct engine_carry *c = &e->carry;
	struct engine_journal journal;

	c->look_lsn = e->durable_lsn + e->bounds.carry_look_records;
	e->ops->journal(e->arg, &journal);
	if (journal.segments <= e->bounds.segments_min || journal.second_lsn == 0 ||
	    journal.bytes <= c->wait_bytes)
		return;
	c->oldest_lsn = journal.second_lsn;
	c->written_bytes = 0;
	c->done_lsn = 0;
}

void carry_turn(struct engine *e)
{
	struct engine_carry *c = &e->carry;

	if (c->oldest_lsn == 0) {
		if (e->durable_lsn >= c->look_lsn)
			start_round(e);
	} else if (c->done_lsn == 0) {
		step_round(e);
	} else if (e->durable_lsn >= c->done_lsn && e->history_lsn + 1 >= c->oldest_lsn) {
		end_round(e);
	}
}
