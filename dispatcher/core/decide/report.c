/* Reports: outcomes in a session's sequence, each taken once, acknowledged when durable. */
#include "base/plant.h"
#include "dispatcher/core/decide/lease.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/volatile/sessions.h"
#include "dispatcher/core/decide/steps.h"

static void acknowledge(struct dispatcher_core *core, struct session *s, uint64_t seq, uint64_t lsn)
{
	struct ack *ack = step_alloc(core, sizeof *ack);

	*ack = (struct ack){.session = s->id, .seq = seq};
	effect_send(core, s->peer, MESSAGE_ACK, ack, PLANTED(ack_before_durable) ? 0 : lsn);
}

static uint64_t range_count(const struct report *m)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < m->outcomes.count; i++)
		n += (uint64_t)m->outcomes.items[i].done.count + m->outcomes.items[i].failed.count +
		     m->outcomes.items[i].returned.count;
	return n;
}

/* History learns it once a session. Lives as long as the effects. */
static struct bytes host_of(struct dispatcher_core *core, const struct session *s)
{
	struct register_worker *m = step_alloc(core, sizeof *m);
	int rc =
	    codec_decode(codec_register_worker(), blob_bytes(&s->registered), m, &core->out->arena, NULL);

	CHECK(rc == 0);
	return m->host;
}

static void take_outcomes(struct dispatcher_core *core, struct session *s, const struct report *m)
{
	struct outcomes_taken r = {.worker = s->worker->id, .wall_us = core->wall_us};

	for (uint32_t i = 0; i < m->outcomes.count; i++)
		outcome_take(core, s, &m->outcomes.items[i], &r.outcomes);
	if (r.outcomes.count == 0)
		return;
	if (!s->host_told)
		r.host = host_of(core, s);
	s->host_told = true;
	emit_applied(core, RECORD_OUTCOMES, &r);
}

static void take_credit(struct dispatcher_core *core, struct session *s, const struct report *m)
{
	session_offer(core, s, &m->credit);
	s->credit_bytes = m->credit_bytes;
	s->slot_idle = m->slot_idle;
	if (m->draining && !s->draining)
		worker_changed(core, s);
	s->draining = s->draining || m->draining;
	session_is_hungry(core, s);
}

void step_report(struct dispatcher_core *core, struct session *s, const struct report *m)
{
	if (m->seq > s->seq + 1 || m->seq == 0 || range_count(m) > RANGES_PER_REPORT_MAX) {
		/* One before it was lost, or it is none that a worker sends: what is known is said again. */
		acknowledge(core, s, session_acked(s, core->durable_lsn), 0);
		if (range_count(m) > RANGES_PER_REPORT_MAX)
			tell(core, true, 0,
			     step_text(core, "a report of %llu ranges is dropped: at most %d are allowed",
				       (unsigned long long)range_count(m), RANGES_PER_REPORT_MAX));
		return;
	}
	if (m->seq <= s->seq && !PLANTED(duplicate_report_counted)) {
		/* It is taken; the word that it is durable was lost, or is still to come. */
		uint64_t acked = session_acked(s, core->durable_lsn);

		if (m->seq <= acked)
			acknowledge(core, s, acked, 0);
		else
			acknowledge(core, s, s->seq, s->acks[s->ack_count - 1].lsn);
		return;
	}
	s->seq = m->seq;
	take_outcomes(core, s, m);
	take_credit(core, s, m);
	session_acked(s, core->durable_lsn);
	session_await_ack(s, core->d.last_lsn);
	acknowledge(core, s, s->seq, core->d.last_lsn);
}
