/* The journal's oldest segment is freed when its live state is written again behind it and history is
 * past it. A round starts when the journal is worth it: over SEGMENTS_MIN segments, and twice as large as
 * what the last round showed to be live. */
#include "dispatcher/server/losses.h"

#define SEGMENTS_MIN 4
#define STEP_BYTES (256 * KIB)
#define STEP_BYTES_MIN (4 * KIB)

static void start_round(struct server *s, const struct journal_stats *stats)
{
	s->carry.oldest_lsn = stats->second_lsn;
	s->carry.written_bytes = 0;
	s->carry.done_lsn = 0;
}

static void end_round(struct server *s)
{
	struct journal_stats stats;
	struct carry *c = &s->carry;
	struct error e = {0};
	char line[ERROR_LINE_MAX];

	if (losses_note_trim(s, c->oldest_lsn, &e) < 0) {
		log_warn("the journal is not shortened: where it begins cannot be noted",
			 log_error_field(&e, line, sizeof(line)));
		c->look_lsn = s->steps.durable_lsn + 65536;
		c->oldest_lsn = c->done_lsn = 0;
		return;
	}
	journal_trim(s->journal, c->oldest_lsn);
	journal_stats(s->journal, &stats);
	log_info("the journal was shortened", log_u64("segments", stats.segment_count),
		 log_u64("carried_bytes", c->written_bytes), log_u64("oldest_lsn", c->oldest_lsn));
	/* What this segment held of live state, for as many segments as there are. */
	c->wait_bytes = 2 * c->written_bytes * (stats.segment_count + 1);
	c->oldest_lsn = 0;
	c->done_lsn = 0;
}

static void step_round(struct server *s)
{
	struct carry *c = &s->carry;
	struct input_carry in = {.oldest_lsn = c->oldest_lsn, .bytes_max = STEP_BYTES};

	if (s->release.count > 0 || s->steps.batch.size > STEP_BYTES_MIN)
		in.bytes_max = STEP_BYTES / 8; /* others wait for the disk: small steps beside theirs */
	server_step(s, INPUT_CARRY, &in);
	c->written_bytes += s->steps.effects.records.size;
	if (s->steps.effects.carry_done)
		c->done_lsn = s->steps.last_lsn;
	s->steps.urgent = true;
}

void carry_turn(struct server *s)
{
	struct carry *c = &s->carry;
	struct journal_stats stats;

	if (!s->open || s->stopping)
		return;
	if (c->oldest_lsn == 0) {
		if (s->steps.durable_lsn < c->look_lsn)
			return;
		c->look_lsn = s->steps.durable_lsn + 256;
		journal_stats(s->journal, &stats);
		if (stats.segment_count > SEGMENTS_MIN && stats.second_lsn > 0 && stats.bytes > c->wait_bytes)
			start_round(s, &stats);
	} else if (c->done_lsn == 0) {
		step_round(s);
	} else if (s->steps.durable_lsn >= c->done_lsn && s->steps.history_lsn + 1 >= c->oldest_lsn) {
		end_round(s);
	}
}
