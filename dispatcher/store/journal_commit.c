/* Records into frames, frames onto the disk. */
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "dispatcher/store/journal_private.h"

void journal_fail(struct journal *j, const struct error *error)
{
	uint64_t one = 1;

	if (j->failed)
		return;
	j->failed = true;
	j->error = *error;
	error_help(&j->error, "what is on the disk is read at the next start; nothing that was said to be "
			      "durable is lost");
	pthread_cond_signal(&j->wake_committer);
	pthread_cond_signal(&j->wake_preparer);
	(void)!write(j->event_fd, &one, sizeof one);
}

static size_t batch_cost(const struct batch *b)
{
	return heap_cost(sizeof *b) + heap_cost(b->payload.capacity);
}

static void queue_add(struct journal *j, uint32_t epoch, struct bytes payload, uint32_t record_count)
{
	struct batch *b = j->last;

	if (b == NULL || b->epoch != epoch || b->payload.size + payload.size > journal_payload_bytes_max(j) ||
	    b->record_count > UINT32_MAX - record_count) {
		b = check_calloc(1, sizeof *b);
		b->epoch = epoch;
		*(j->last == NULL ? &j->first : &j->last->next) = b;
		j->last = b;
	} else {
		j->queued_bytes -= batch_cost(b);
	}
	buf_append_bytes(&b->payload, payload);
	b->record_count += record_count;
	j->queued_bytes += batch_cost(b);
}

static struct batch *queue_take(struct journal *j)
{
	struct batch *b = j->first;

	j->first = b->next;
	if (j->first == NULL)
		j->last = NULL;
	j->queued_bytes -= batch_cost(b);
	return b;
}

static bool fits(const struct journal *j, const struct batch *b)
{
	return j->offset + frame_size_bytes(b->payload.size) <= j->segment.segment_bytes;
}

/* The lock is not held, in_flight is ours. */
static int commit(struct journal *j, const struct batch *b, struct error *reterr)
{
	char name[SEGMENT_NAME_SIZE];
	int rc = fits(j, b) ? 0 : segment_begin(j, reterr);

	if (rc < 0)
		return rc;
	CHECK(fits(j, b));
	segment_name(j->number, name);
	buf_clear(&j->frame);
	j->chain.epoch = b->epoch;
	frame_encode(&j->chain, j->segment.seed, buf_bytes(&b->payload), b->record_count, &j->frame);
	rc = store_write(j, j->fd, name, buf_bytes(&j->frame), j->offset, reterr);
	if (rc < 0)
		return rc;
	if (j->io->fdatasync(j->fd) < 0)
		return store_error(j, "sync", name, reterr);
	j->last_frame = j->offset;
	j->offset += j->frame.size;
	if (j->options.tap != NULL)
		j->options.tap(j->options.tap_arg, j->chain.lsn - b->record_count, b->record_count, b->epoch,
			       buf_bytes(&b->payload));
	return 0;
}

/* Takes the first batch and commits it. The lock is held, but not meanwhile. */
static void commit_first(struct journal *j, bool is_inline)
{
	struct batch *b = queue_take(j);
	struct error error;
	int rc;

	j->in_flight = true;
	pthread_mutex_unlock(&j->lock);
	rc = commit(j, b, &error);
	pthread_mutex_lock(&j->lock);
	j->in_flight = false;
	if (rc < 0) {
		journal_fail(j, &error);
	} else {
		j->segments[j->segment_count - 1].used_bytes = j->offset;
		j->commit_count++;
		j->inline_count += is_inline;
		__atomic_store_n(&j->durable_lsn, j->chain.lsn - 1, __ATOMIC_RELEASE);
	}
	buf_fini(&b->payload);
	free(b);
}

/* Can the first batch be written now, or does it wait for the next segment? */
static bool has_place(const struct journal *j)
{
	return j->next_fd >= 0 || fits(j, j->first);
}

void *journal_committer_main(void *journal)
{
	struct journal *j = journal;
	uint64_t one = 1;

	pthread_mutex_lock(&j->lock);
	for (;;) {
		bool ready = !j->failed && !j->in_flight && j->first != NULL && has_place(j);

		if (ready) {
			commit_first(j, false);
			(void)!write(j->event_fd, &one, sizeof one);
		} else if (j->stop && !j->in_flight) {
			/* What still waits for room waits for nothing now. */
			break;
		} else {
			pthread_cond_wait(&j->wake_committer, &j->lock);
		}
	}
	pthread_mutex_unlock(&j->lock);
	return NULL;
}

void journal_commit_all(struct journal *j)
{
	while (!j->failed && j->first != NULL) {
		if (!has_place(j)) {
			pthread_mutex_unlock(&j->lock);
			journal_prepare_now(j);
			pthread_mutex_lock(&j->lock);
			if (j->next_fd < 0)
				return;
		}
		commit_first(j, true);
	}
}

uint64_t journal_submit(struct journal *j, uint32_t epoch, struct bytes payload, uint32_t record_count,
			bool alone)
{
	uint64_t last_lsn;

	CHECK(j->started && record_count > 0 && payload.size <= journal_payload_bytes_max(j));
	pthread_mutex_lock(&j->lock);
	CHECK(epoch >= j->epoch);
	j->epoch = epoch;
	j->next_lsn += record_count;
	last_lsn = j->next_lsn - 1;
	if (!j->failed) {
		queue_add(j, epoch, payload, record_count);
		if (!j->has_threads)
			journal_commit_all(j);
		else if (alone && !j->in_flight && j->first == j->last && has_place(j))
			commit_first(j, true);
		else
			pthread_cond_signal(&j->wake_committer);
	}
	pthread_mutex_unlock(&j->lock);
	return last_lsn;
}

size_t journal_payload_bytes_max(const struct journal *j)
{
	return frame_payload_bytes_max(j->options.segment_bytes);
}
