/* Records into rows, behind the journal. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "dispatcher/store/history_private.h"

#define TRANSACTION_BYTES_MAX ((size_t)(4 * MIB))
#define RETRY_NS 1000000000ll

static struct timespec after_ns(int64_t ns)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	ns += t.tv_nsec;
	t.tv_sec += ns / 1000000000;
	t.tv_nsec = ns % 1000000000;
	return t;
}

/* The lock is held. */
static void wait_until(struct history *h, const struct timespec *until)
{
	while (!h->stop && pthread_cond_timedwait(&h->wake_writer, &h->lock, until) == 0)
		;
}

/* Those of the records that are not in yet. */
static int apply_records(struct history *h, struct bytes payload, uint64_t first_lsn, uint32_t record_count,
			 struct error *reterr)
{
	uint64_t lsn = first_lsn;

	CHECK(first_lsn <= h->applied_lsn + 1);
	for (; lsn < first_lsn + record_count; lsn++) {
		uint32_t type;
		void *record;
		int rc;

		arena_reset(&h->arena);
		rc = codec_union_decode(&record_union, &payload, &type, &record, &h->arena, reterr);
		if (rc == 0 && lsn > h->applied_lsn)
			rc = history_apply(h, type, record, reterr);
		if (rc < 0) {
			error_where(reterr, "%s, record %llu", h->db.path, (unsigned long long)lsn);
			return rc;
		}
		if (lsn > h->applied_lsn)
			h->applied_lsn = lsn;
	}
	return 0;
}

static int begin(struct history *h, struct error *reterr)
{
	return sql_run(&h->db, WRITE_BEGIN, reterr, "");
}

/* segments: changes of their table that the transaction made. */
static int commit(struct history *h, size_t segments, struct error *reterr)
{
	int rc = history_blocks_write(h, reterr);

	if (rc == 0)
		rc = sql_run(&h->db, WRITE_LSN, reterr, "i", (int64_t)h->applied_lsn);
	if (rc == 0)
		rc = sql_run(&h->db, WRITE_COMMIT, reterr, "");
	if (rc < 0)
		return rc;
	pthread_mutex_lock(
	    &h->lock); /* who sees the new lsn sees no failure that is over, and room for changes */
	h->write_failing = false;
	if (segments > 0)
		h->segment_change_count = 0;
	pthread_mutex_unlock(&h->lock);
	__atomic_store_n(&h->durable_lsn, h->applied_lsn, __ATOMIC_RELEASE);
	history_tell(h);
	return 0;
}

static void rollback(struct history *h)
{
	if (!sqlite3_get_autocommit(h->db.db))
		(void)!sql_run(&h->db, WRITE_ROLLBACK, NULL, "");
	h->applied_lsn = h->durable_lsn;
	memset(h->failure_rows, 0, sizeof h->failure_rows);
	history_efforts_changed(h);
	h->effort_rows = h->failures_last_job = -1;
	history_blocks_rollback(h);
	memset(h->known_definition, 0, sizeof h->known_definition);
	h->known_worker_number = 0;
	h->has_leftovers = true;
}

struct catch_up {
	struct history *h;
	size_t bytes; /* in the open transaction */
};

static int catch_up_frame(void *arg, const struct frame *f, struct error *reterr)
{
	struct catch_up *c = arg;
	int rc = apply_records(c->h, f->payload, f->lsn, f->record_count, reterr);

	c->bytes += f->payload.size;
	if (rc < 0 || c->bytes < TRANSACTION_BYTES_MAX)
		return rc;
	c->bytes = 0;
	rc = commit(c->h, 0, reterr);
	if (rc < 0)
		return rc;
	if (__atomic_load_n(&c->h->stop, __ATOMIC_RELAXED))
		return error_set(reterr, ERR_CLOSED, "stopped while catching up");
	return begin(c->h, reterr);
}

/* What was not kept in the queue stands in the journal. Inside a transaction, before and after. */
static int catch_up(struct history *h, struct error *reterr)
{
	struct catch_up c = {.h = h};

	return journal_replay(h->journal, h->applied_lsn + 1, catch_up_frame, &c, reterr);
}

/* behind: there are records that are not in the queue; segments: changes of their table. */
static int write_batches(struct history *h, const struct history_batch *first, bool behind, size_t segments,
			 struct error *reterr)
{
	int rc = begin(h, reterr);

	for (const struct history_batch *b = first; rc == 0 && b != NULL; b = b->next) {
		if (b->first_lsn > h->applied_lsn + 1)
			rc = catch_up(h, reterr);
		if (rc == 0)
			rc = apply_records(h, BYTES(b->payload, b->size), b->first_lsn, b->record_count,
					   reterr);
	}
	if (rc == 0 && first == NULL && behind)
		rc = catch_up(h, reterr);
	if (rc == 0)
		rc = history_change_segments(h, segments, reterr);
	if (rc == 0)
		rc = history_clear_leftovers(h, reterr);
	if (rc == 0)
		rc = commit(h, segments, reterr);
	if (rc < 0)
		rollback(h);
	return rc;
}

/* The lock is held. */
static struct history_batch *take(struct history *h)
{
	struct history_batch *first = h->first, *b;
	size_t bytes = 0;

	for (b = first; b != NULL && b->next != NULL && bytes < TRANSACTION_BYTES_MAX; b = b->next)
		bytes += b->size;
	h->first = b != NULL ? b->next : NULL;
	if (h->first == NULL)
		h->last = NULL;
	if (b != NULL)
		b->next = NULL;
	return first;
}

/* The lock is held. Not written: they come first again. */
static void give_back(struct history *h, struct history_batch *first)
{
	struct history_batch *b = first;

	if (first == NULL)
		return;
	while (b->next != NULL)
		b = b->next;
	b->next = h->first;
	if (h->last == NULL)
		h->last = b;
	h->first = first;
}

static void forget(struct history *h, struct history_batch *first)
{
	while (first != NULL) {
		struct history_batch *next = first->next;

		h->queued_bytes -= history_batch_cost(first->size);
		free(first);
		first = next;
	}
}

/* One transaction. The lock is held, but not meanwhile. */
static int turn(struct history *h)
{
	struct history_batch *batches = take(h);
	bool behind = h->seen_lsn > h->applied_lsn;
	size_t segments = h->segment_change_count; /* later ones wait until there are none */
	struct error error = {0};
	int rc;

	pthread_mutex_unlock(&h->lock);
	rc = write_batches(h, batches, behind, segments, &error);
	pthread_mutex_lock(&h->lock);
	if (rc == 0)
		forget(h, batches);
	else
		give_back(h, batches);
	if (rc < 0 && !h->write_failing)
		history_tell(h);
	h->write_failing = rc < 0;
	h->write_error = error;
	return rc;
}

void *history_writer_main(void *history)
{
	struct history *h = history;

	pthread_mutex_lock(&h->lock);
	for (;;) {
		struct timespec next = after_ns(1000000000ll / HISTORY_RATE);

		if (h->first == NULL && (h->stop || (h->seen_lsn <= h->applied_lsn &&
						     h->segment_change_count == 0 && !h->has_leftovers))) {
			if (h->stop)
				break;
			h->writer_is_idle = true;
			pthread_cond_wait(&h->wake_writer, &h->lock);
			h->writer_is_idle = false;
			continue;
		}
		if (turn(h) < 0) {
			if (h->stop)
				break;
			next = after_ns(RETRY_NS);
		}
		wait_until(h, &next);
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}
