/* Reports: when they leave, what they carry, and that they are kept until they are acknowledged. A
 * report that covers synced outputs leaves only when the sync is done; one sync a report, not one a
 * shard. */
#include "worker/core/state.h"

/* ---- pace ---- */

static usec_t longer(usec_t a, usec_t b)
{
	return a > b ? a : b;
}

/* At once when none is unacknowledged, else when the acknowledgement comes or after delay_max; but not
 * sooner than delay_min after the last one, unless a slot is idle, nor than delay_fed, unless one will be or
 * something is given back: each report is a sync here and a commit there. Many leases are told sooner, which
 * costs little for each. The dispatcher leases as many as it is told of, in the order of turns; if a worker
 * was given in one go what it runs in 100 ms, it would run others' later turns before them. */
static usec_t pace_us(const struct worker_core *c)
{
	const struct worker_config *config = &c->config;
	usec_t least = c->reports != NULL ? config->report_delay_max_us : config->report_delay_min_us;

	switch (worker_slots_lack(c)) {
	case SLOTS_LACK_NOTHING:
		if (!c->report_soon && !c->report_wanted && c->untold < config->report_leases)
			least = longer(least, config->report_delay_fed_us);
		break;
	case SLOTS_LACK_WORK:
		if (c->reports == NULL)
			return INT64_MIN;
		break;
	case SLOTS_LACK_NEXT:
		break;
	}
	return c->report_us + least;
}

static usec_t sync_pace_us(const struct worker_core *c)
{
	usec_t report = c->link == WORKER_IN_SESSION ? pace_us(c) : INT64_MIN;
	usec_t sync = c->sync_us + c->config.report_delay_min_us;

	return longer(report, sync);
}

static bool have_news(const struct worker_core *c)
{
	return c->link == WORKER_IN_SESSION && (c->ready != NULL || c->report_wanted);
}

usec_t worker_reports_deadline(const struct worker_core *c)
{
	usec_t at = USEC_NEVER;

	if (c->fresh != NULL && !c->sync_running)
		at = sync_pace_us(c);
	if (have_news(c) && pace_us(c) < at)
		at = pace_us(c);
	if (c->link == WORKER_IN_SESSION && c->reports != NULL &&
	    c->reports->sent_us + c->config.resend_us < at)
		at = c->reports->sent_us + c->config.resend_us;
	return at;
}

bool worker_reports_pending(const struct worker_core *c)
{
	return c->fresh != NULL || c->syncing != NULL || c->ready != NULL || c->reports != NULL;
}

/* ---- syncing ---- */

static void sync_start(struct worker_core *c)
{
	struct shard_set segments; /* numbers, each once, in order */
	uint64_t cursor = 0;
	struct worker_sync sync;
	struct range r;
	struct tally *t;
	uint32_t *list, n = 0;

	shard_set_init(&segments);
	while ((t = c->fresh) != NULL) {
		if (!shard_set_is_empty(&t->done))
			shard_set_add(&segments, t->segment, 1);
		for (uint32_t i = 0; i < t->fail_count; i++)
			shard_set_add(&segments, t->failed[i].segment, 1);
		worker_tally_move(c, t, &c->syncing);
	}
	list = worker_effect_alloc(c, shard_set_count(&segments) * sizeof(*list));
	for (; shard_set_next_range(&segments, cursor, &r); cursor = range_end(r))
		for (uint32_t i = 0; i < r.count; i++)
			list[n++] = r.first + i;
	shard_set_fini(&segments);
	c->sync_us = c->now_us;
	c->sync_running = true;
	sync = (struct worker_sync){.generation = ++c->sync_generation, .segments = list, .segment_count = n};
	worker_effect_push(c, WORKER_SYNC)->sync = sync;
}

/* What it covered may be gone by now: killed. It is under way all the same, until its answer. */
static int sync_ended(struct worker_core *c, uint64_t generation, struct error *reterr)
{
	if (generation == c->sync_generation) {
		c->sync_running = false;
		return 0;
	}
	return error_set(reterr, ERR_INVALID, "sync %llu ended, %llu is under way",
			 (unsigned long long)generation, (unsigned long long)c->sync_generation);
}

int worker_reports_synced(struct worker_core *c, uint64_t generation, struct error *reterr)
{
	int rc = sync_ended(c, generation, reterr);

	while (rc == 0 && c->syncing != NULL)
		worker_tally_move(c, c->syncing, &c->ready);
	return rc;
}

/* After a failed sync nobody knows what is on disk: those shards go back, and run again. */
int worker_reports_sync_failed(struct worker_core *c, const struct worker_sync_failed *f,
			       struct error *reterr)
{
	int rc = sync_ended(c, f->generation, reterr);

	worker_rest_wanted(c);
	while (rc == 0 && c->syncing != NULL) {
		worker_tally_spoil(c, c->syncing, FAILURE_OUTPUT, f->code, f->why);
		worker_tally_move(c, c->syncing, &c->ready);
	}
	return rc;
}

/* ---- sending ---- */

static struct bytes histogram(struct worker_core *c, const uint64_t counts[RUN_BUCKETS])
{
	uint8_t *out = worker_effect_alloc(c, RUN_BUCKETS * 10);
	size_t n = 0;

	for (int i = 0; i < RUN_BUCKETS; i++) {
		uint64_t v = counts[i];

		for (; v >= 0x80; v >>= 7)
			out[n++] = (uint8_t)(v | 0x80);
		out[n++] = (uint8_t)v;
	}
	return BYTES(out, n);
}

static void emit(struct worker_core *c, struct sent_report *r)
{
	struct report *m = worker_effect_send(c, MESSAGE_REPORT, sizeof(*m));
	struct tally *t;
	uint32_t count = 0;

	DL_FOREACH (r->tallies, t)
		count++;
	m->session = c->session;
	m->seq = r->seq;
	m->outcomes.items = worker_effect_alloc(c, count * sizeof(struct outcome));
	DL_FOREACH (r->tallies, t)
		worker_tally_fill(c, t, &m->outcomes.items[m->outcomes.count++]);
	worker_credit_fill(c, &m->credit);
	m->credit_bytes = c->draining || worker_is_resting(c) ? 0 : c->config.slice_bytes_max;
	m->slot_idle = !c->draining && !worker_is_resting(c) && worker_slots_lack(c) == SLOTS_LACK_WORK;
	m->draining = c->draining;
	m->run_histogram = histogram(c, r->run_counts);
	r->sent_us = c->now_us;
}

/* As many outcomes as fit into one frame; at least one range of one. */
static void collect(struct worker_core *c, struct sent_report *r)
{
	uint32_t ranges = c->config.report_ranges_max;
	uint64_t bytes = c->config.report_bytes_max;
	struct tally *t;

	while ((t = c->ready) != NULL && ranges > 0) {
		if (worker_tally_ranges(t) <= ranges && worker_tally_bytes(t) <= bytes) {
			ranges -= worker_tally_ranges(t);
			bytes -= worker_tally_bytes(t);
		} else if (r->tallies == NULL) {
			t = worker_tally_split(t, ranges, bytes);
			ranges = 0;
		} else {
			return;
		}
		worker_tally_move(c, t, &r->tallies);
	}
}

static void send_new(struct worker_core *c)
{
	do {
		struct sent_report *r = check_calloc(1, sizeof(*r));

		r->seq = ++c->seq;
		memcpy(r->run_counts, c->run_counts, sizeof(r->run_counts));
		memset(c->run_counts, 0, sizeof(c->run_counts));
		collect(c, r);
		DL_APPEND(c->reports, r);
		c->report_count++;
		c->totals.reports_sent++;
		emit(c, r);
	} while (c->ready != NULL);
	c->report_us = c->now_us;
	c->untold = 0;
	c->report_wanted = c->report_soon = false;
}

static void resend(struct worker_core *c)
{
	struct sent_report *r;

	DL_FOREACH (c->reports, r) {
		emit(c, r);
		c->totals.reports_resent++;
	}
}

void worker_reports_flush(struct worker_core *c)
{
	if (c->fresh != NULL && !c->sync_running && c->now_us >= sync_pace_us(c))
		sync_start(c);
	if (c->link != WORKER_IN_SESSION)
		return;
	if (c->reports != NULL && c->now_us >= c->reports->sent_us + c->config.resend_us)
		resend(c);
	if (have_news(c) && c->now_us >= pace_us(c))
		send_new(c);
}

/* ---- acknowledged, or sent again in another session ---- */

static void acknowledge(struct worker_core *c, struct tally *t)
{
	struct held *l = t->lease;

	shard_set_unite(&l->acked, &t->done);
	shard_set_unite(&l->acked, &t->returned);
	for (uint32_t i = 0; i < t->fail_count; i++)
		shard_set_add(&l->acked, t->failed[i].range.first, t->failed[i].range.count);
	worker_tally_destroy(t);
	worker_held_settle(c, l);
}

static void report_destroy(struct worker_core *c, struct sent_report *r)
{
	CHECK(r->tallies == NULL);
	DL_DELETE(c->reports, r);
	c->report_count--;
	free(r);
}

int worker_reports_ack(struct worker_core *c, uint64_t seq, struct error *reterr)
{
	if (seq > c->seq)
		return error_set(reterr, ERR_INVALID, "report %llu is acknowledged, the last one was %llu",
				 (unsigned long long)seq, (unsigned long long)c->seq);
	while (c->reports != NULL && c->reports->seq <= seq) {
		struct sent_report *r = c->reports;

		while (r->tallies != NULL)
			acknowledge(c, r->tallies);
		report_destroy(c, r);
	}
	return 0;
}

void worker_reports_renumber(struct worker_core *c)
{
	while (c->reports != NULL) {
		struct sent_report *r = c->reports;

		while (r->tallies != NULL && PLANTED(report_dropped_on_reregister))
			acknowledge(c, r->tallies);
		while (r->tallies != NULL)
			worker_tally_move(c, r->tallies, &c->ready);
		for (int i = 0; i < RUN_BUCKETS; i++)
			c->run_counts[i] += r->run_counts[i];
		report_destroy(c, r);
	}
	c->seq = 0;
	c->report_wanted = true;
}

void worker_reports_fini(struct worker_core *c)
{
	while (c->reports != NULL)
		report_destroy(c, c->reports);
}
