/* The next segment is made ready, and trimmed ones are removed, beside the commits. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "dispatcher/store/journal_private.h"

#define RETRY_SEC 1

static int write_prepared(struct journal *j, int fd, uint64_t number, struct error *reterr)
{
	char name[SEGMENT_NAME_SIZE];
	int rc = store_zero(j, fd, PREPARED_NAME, 0, j->options.segment_bytes, reterr);

	if (rc < 0)
		return rc;
	/* fdatasync left out what is not needed to read the bytes; now all of it. */
	if (j->io->fsync(fd) < 0)
		return store_error(j, "sync", PREPARED_NAME, reterr);
	segment_name(number, name);
	if (j->io->renameat(j->dir_fd, PREPARED_NAME, name) < 0)
		return store_error(j, "name", name, reterr);
	return store_sync_dir(j, reterr);
}

int segment_prepare(struct journal *j, uint64_t number, int *ret_fd, struct error *reterr)
{
	char name[SEGMENT_NAME_SIZE];
	int fd = j->io->openat(j->dir_fd, PREPARED_NAME, O_RDWR | O_CREAT | O_TRUNC, 0600);
	int rc;

	if (fd < 0)
		return store_error(j, "create", PREPARED_NAME, reterr);
	rc = write_prepared(j, fd, number, reterr);
	if (rc < 0) {
		/* Nothing of it counts: give back the room, under either name. */
		close(fd);
		segment_name(number, name);
		j->io->unlinkat(j->dir_fd, PREPARED_NAME);
		j->io->unlinkat(j->dir_fd, name);
		return rc;
	}
	*ret_fd = fd;
	return 0;
}

void segment_add(struct journal *j, const struct segment_ref *ref)
{
	ARRAY_GROW(j->segments, j->segment_capacity, j->segment_count);
	j->segments[j->segment_count++] = *ref;
}

/* The number that follows the active segment's; 1 for the first of a journal. */
static uint64_t next_number(const struct journal *j)
{
	return j->segment_count == 0 ? 1 : j->segments[j->segment_count - 1].number + 1;
}

int segment_begin(struct journal *j, struct error *reterr)
{
	struct frame_segment s = {
	    .cluster_hi = j->options.cluster_hi,
	    .cluster_lo = j->options.cluster_lo,
	    .first_lsn = j->chain.lsn,
	    .epoch = j->chain.epoch,
	    .prev_crc = j->chain.prev_crc,
	    .format = FRAME_FORMAT_VERSION,
	};
	char name[SEGMENT_NAME_SIZE];
	struct segment_ref ref;
	off_t size = lseek(j->next_fd, 0, SEEK_END);
	int rc;

	segment_name(j->number + 1, name);
	if (getrandom(&s.seed, sizeof s.seed, 0) != sizeof s.seed)
		return store_error(j, "draw a seed for", name, reterr);
	if (size < (off_t)SEGMENT_BYTES_MIN)
		return store_error(j, "measure", name, reterr);
	s.segment_bytes = (uint64_t)size;
	buf_clear(&j->frame);
	frame_segment_encode(&s, &j->frame);
	rc = store_write(j, j->next_fd, name, buf_bytes(&j->frame), 0, reterr);
	if (rc < 0)
		return rc;
	if (j->io->fdatasync(j->next_fd) < 0)
		return store_error(j, "sync", name, reterr);
	if (j->fd >= 0)
		close(j->fd);
	pthread_mutex_lock(&j->lock);
	ref = (struct segment_ref){j->number + 1, s.first_lsn, s.segment_bytes, FRAME_BLOCK_BYTES};
	segment_add(j, &ref);
	j->fd = j->next_fd;
	j->next_fd = -1;
	pthread_cond_signal(&j->wake_preparer);
	pthread_mutex_unlock(&j->lock);
	j->number++;
	j->segment = s;
	j->offset = FRAME_BLOCK_BYTES;
	j->last_frame = 0;
	return 0;
}

void journal_prepare_now(struct journal *j)
{
	struct error error;
	uint64_t number;
	int fd = -1, rc;

	pthread_mutex_lock(&j->lock);
	if (j->next_fd >= 0) {
		pthread_mutex_unlock(&j->lock);
		return;
	}
	number = next_number(j);
	pthread_mutex_unlock(&j->lock);
	rc = segment_prepare(j, number, &fd, &error);
	pthread_mutex_lock(&j->lock);
	j->prepare_failed = rc == ERR_LIMIT;
	if (rc == ERR_LIMIT)
		j->prepare_error = error;
	else if (rc < 0)
		journal_fail(j, &error);
	else
		j->next_fd = fd;
	pthread_cond_signal(&j->wake_committer);
	pthread_mutex_unlock(&j->lock);
}

/* Is the oldest segment not needed any more? The active one always is. The lock is held. */
static bool can_remove(const struct journal *j)
{
	return j->segment_count > 1 && j->segments[1].first_lsn <= j->trim_lsn;
}

static int remove_oldest(struct journal *j, uint64_t number, struct error *reterr)
{
	char name[SEGMENT_NAME_SIZE];

	segment_name(number, name);
	if (j->io->unlinkat(j->dir_fd, name) < 0 && errno != ENOENT)
		return store_error(j, "remove", name, reterr);
	return store_sync_dir(j, reterr);
}

/* Oldest first, each removal synced: a crash between leaves no gap. */
void segments_remove(struct journal *j)
{
	struct error error;

	pthread_mutex_lock(&j->lock);
	while (can_remove(j) && !j->failed) {
		uint64_t number = j->segments[0].number;
		int rc;

		pthread_mutex_unlock(&j->lock);
		rc = remove_oldest(j, number, &error);
		pthread_mutex_lock(&j->lock);
		if (rc < 0) {
			journal_fail(j, &error);
			break;
		}
		j->segment_count--;
		for (uint32_t i = 0; i < j->segment_count; i++)
			j->segments[i] = j->segments[i + 1];
	}
	pthread_mutex_unlock(&j->lock);
}

static void wait_to_retry(struct journal *j)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += RETRY_SEC;
	pthread_cond_timedwait(&j->wake_preparer, &j->lock, &until);
}

void *journal_preparer_main(void *journal)
{
	struct journal *j = journal;

	pthread_mutex_lock(&j->lock);
	while (!j->stop && !j->failed) {
		bool remove = can_remove(j);

		if (!remove && j->next_fd >= 0) {
			pthread_cond_wait(&j->wake_preparer, &j->lock);
			continue;
		}
		if (!remove && j->prepare_failed)
			wait_to_retry(j);
		pthread_mutex_unlock(&j->lock);
		if (remove)
			segments_remove(j);
		journal_prepare_now(j);
		pthread_mutex_lock(&j->lock);
	}
	pthread_mutex_unlock(&j->lock);
	return NULL;
}

void journal_trim(struct journal *j, uint64_t lsn)
{
	pthread_mutex_lock(&j->lock);
	if (lsn > j->trim_lsn) {
		j->trim_lsn = lsn;
		pthread_cond_signal(&j->wake_preparer);
	}
	pthread_mutex_unlock(&j->lock);
	if (!j->has_threads)
		segments_remove(j);
}
