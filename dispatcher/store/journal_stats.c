/* What others may ask. */
#include "dispatcher/store/journal_private.h"

/* The lock is the one thing that asking changes. */
static void lock(const struct journal *j)
{
	pthread_mutex_lock(&((struct journal *)(uintptr_t)j)->lock);
}

static void unlock(const struct journal *j)
{
	pthread_mutex_unlock(&((struct journal *)(uintptr_t)j)->lock);
}

uint64_t journal_next_lsn(const struct journal *j)
{
	return j->next_lsn; /* the caller's thread alone writes it */
}

uint64_t journal_durable_lsn(const struct journal *j)
{
	return __atomic_load_n(&j->durable_lsn, __ATOMIC_ACQUIRE);
}

uint32_t journal_epoch(const struct journal *j)
{
	return j->epoch;
}

int journal_fd(const struct journal *j)
{
	return j->event_fd;
}

bool journal_was_torn(const struct journal *j, struct error *reterr)
{
	if (j->was_torn && reterr != NULL)
		*reterr = j->torn;
	return j->was_torn;
}

bool journal_failed(const struct journal *j, struct error *reterr)
{
	bool failed;

	lock(j);
	failed = j->failed;
	if (failed && reterr != NULL)
		*reterr = j->error;
	unlock(j);
	return failed;
}

int journal_has_room(const struct journal *j, struct error *reterr)
{
	int rc = 0;

	lock(j);
	if (j->prepare_failed) {
		rc = ERR_LIMIT;
		if (reterr != NULL)
			*reterr = j->prepare_error;
	} else if (j->queued_bytes > JOURNAL_QUEUE_BYTES_MAX) {
		rc = error_set(reterr, ERR_BUSY, "%llu bytes wait for the journal's disk, more than %llu",
			       (unsigned long long)j->queued_bytes, JOURNAL_QUEUE_BYTES_MAX);
	}
	unlock(j);
	return rc;
}

void journal_stats(const struct journal *j, struct journal_stats *ret)
{
	lock(j);
	*ret = (struct journal_stats){
	    .oldest_lsn = j->segments[0].first_lsn,
	    .second_lsn = j->segment_count > 1 ? j->segments[1].first_lsn : 0,
	    .segment_count = j->segment_count,
	    .commit_count = j->commit_count,
	    .inline_count = j->inline_count,
	    .queued_bytes = j->queued_bytes,
	};
	for (uint32_t i = 0; i < j->segment_count; i++)
		ret->bytes += j->segments[i].used_bytes;
	unlock(j);
}

uint64_t journal_oldest_lsn(const struct journal *j)
{
	struct journal_stats s;

	journal_stats(j, &s);
	return s.oldest_lsn;
}

uint64_t journal_bytes(const struct journal *j)
{
	struct journal_stats s;

	journal_stats(j, &s);
	return s.bytes;
}
