#include "dispatcher/store/history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "dispatcher/store/history_blocks.h"
#include "dispatcher/store/history_module.h"

#define RECORD_ARENA_BYTES_MAX ((size_t)(256 * MIB))

static void init_locks(struct history *h)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&h->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&h->wake_writer, &attr);
	pthread_condattr_destroy(&attr);
}

static int open_database(struct history *h, uint64_t cluster_hi, uint64_t cluster_lo, struct error *reterr)
{
	struct history_views *views;
	int code = history_module_register(h->db.db, &views);

	if (code != SQLITE_OK)
		return sql_error(&h->db, code, reterr);
	history_blocks_open(h, views);
	return history_schema(h, cluster_hi, cluster_lo, reterr);
}

int history_open(struct history **ret, const char *path, uint64_t cluster_hi, uint64_t cluster_lo,
		 struct error *reterr)
{
	struct history *h = check_calloc(1, sizeof *h);
	int rc;

	h->effort_rows = h->failures_last_job = -1;
	init_locks(h);
	arena_init(&h->arena, RECORD_ARENA_BYTES_MAX);
	h->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (h->event_fd < 0)
		rc = error_set(reterr, ERR_IO, "cannot make an eventfd: %s", strerror(errno));
	else
		rc = sql_open(&h->db, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, reterr);
	if (rc == 0)
		rc = open_database(h, cluster_hi, cluster_lo, reterr);
	if (rc == ERR_CORRUPT)
		error_help(reterr, "move the file away: it is built again from the journal, as far back as "
				   "that goes");
	if (rc < 0) {
		history_close(h);
		return rc;
	}
	*ret = h;
	return 0;
}

static int start_thread(struct history *h, struct error *reterr)
{
	int rc = pthread_create(&h->writer, NULL, history_writer_main, h);

	if (rc != 0)
		return error_set(reterr, ERR_IO, "cannot start history's thread: %s", strerror(rc));
	h->has_thread = true;
	return 0;
}

int history_start(struct history *h, struct journal *j, uint64_t *ret_missing, struct error *reterr)
{
	uint64_t durable = journal_durable_lsn(j), oldest = journal_oldest_lsn(j), missing = 0;
	int rc;

	CHECK(!h->has_thread);
	if (h->applied_lsn > durable) {
		error_set(reterr, ERR_CORRUPT,
			  "history knows record %llu, but the journal ends with record %llu",
			  (unsigned long long)h->applied_lsn, (unsigned long long)durable);
		error_where(reterr, "%s", h->db.path);
		error_help(reterr,
			   "the journal has lost records, or the two are not of one state; if the journal "
			   "is the right one, move history away");
		return ERR_CORRUPT;
	}
	if (h->applied_lsn + 1 < oldest) {
		missing = oldest - 1 - h->applied_lsn;
		rc = sql_run(&h->db, WRITE_FIRST_LSN, reterr, "i", (int64_t)oldest);
		if (rc < 0)
			return rc;
		h->applied_lsn = oldest - 1;
		__atomic_store_n(&h->durable_lsn, oldest - 1, __ATOMIC_RELEASE);
	}
	h->journal = j;
	h->seen_lsn = durable;
	rc = start_thread(h, reterr);
	if (rc == 0 && ret_missing != NULL)
		*ret_missing = missing;
	return rc;
}

static void end_thread(struct history *h)
{
	pthread_mutex_lock(&h->lock);
	__atomic_store_n(&h->stop, true, __ATOMIC_RELAXED);
	pthread_cond_signal(&h->wake_writer);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->writer, NULL);
	h->has_thread = false;
}

void history_close(struct history *h)
{
	if (h == NULL)
		return;
	if (h->has_thread)
		end_thread(h);
	while (h->first != NULL) {
		struct history_batch *next = h->first->next;

		free(h->first);
		h->first = next;
	}
	if (h->blocks != NULL)
		history_views_rest(h->blocks->views);
	history_blocks_close(h);
	sql_close(&h->db);
	arena_fini(&h->arena);
	if (h->event_fd >= 0)
		close(h->event_fd);
	pthread_cond_destroy(&h->wake_writer);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

size_t history_batch_cost(size_t payload_size)
{
	return heap_cost(sizeof(struct history_batch) + payload_size);
}

bool history_submit(struct history *h, struct bytes payload, uint64_t first_lsn, uint32_t record_count)
{
	struct history_batch *b;
	bool kept;

	pthread_mutex_lock(&h->lock);
	h->seen_lsn = first_lsn + record_count - 1;
	kept = h->queued_bytes == 0 ||
	       h->queued_bytes + history_batch_cost(payload.size) <= HISTORY_QUEUE_BYTES_MAX;
	if (kept) {
		b = check_calloc(1, sizeof *b + payload.size);
		b->first_lsn = first_lsn;
		b->record_count = record_count;
		b->size = payload.size;
		memcpy(b->payload, payload.data, payload.size);
		*(h->first == NULL ? &h->first : &h->last->next) = b;
		h->last = b;
		h->queued_bytes += history_batch_cost(payload.size);
	}
	if (h->writer_is_idle)
		pthread_cond_signal(&h->wake_writer);
	pthread_mutex_unlock(&h->lock);
	return kept;
}

void history_tap(void *arg, uint64_t first_lsn, uint32_t record_count, uint32_t epoch, struct bytes payload)
{
	(void)epoch;
	(void)history_submit(arg, payload, first_lsn, record_count);
}

uint64_t history_lsn(const struct history *h)
{
	return __atomic_load_n(&h->durable_lsn, __ATOMIC_ACQUIRE);
}

int history_fd(const struct history *h)
{
	return h->event_fd;
}

void history_tell(struct history *h)
{
	uint64_t one = 1;

	(void)!write(h->event_fd, &one, sizeof one);
}

bool history_is_failing(const struct history *h, struct error *reterr)
{
	pthread_mutex_t *lock = &((struct history *)(uintptr_t)h)->lock;
	bool failing;

	pthread_mutex_lock(lock);
	failing = h->write_failing;
	if (failing && reterr != NULL)
		*reterr = h->write_error;
	pthread_mutex_unlock(lock);
	return failing;
}
