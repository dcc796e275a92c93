/* From read to written, and the end. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "dispatcher/store/journal_private.h"

/* Bytes that were read may be in memory only: a sync that failed leaves them there, marked clean. What
 * the last process may have left so is its last frame, or the header of the segment it had begun. */
static int write_again(struct journal *j, const char *name, struct error *reterr)
{
	uint64_t places[2][2] = {{0, FRAME_BLOCK_BYTES}, {j->last_frame, j->offset}};
	int rc = 0;

	for (int i = 0; rc == 0 && i < (j->last_frame != 0 ? 2 : 1); i++) {
		size_t size = (size_t)(places[i][1] - places[i][0]);
		struct bytes bytes;

		buf_clear(&j->frame);
		bytes = BYTES(buf_reserve(&j->frame, size), size);
		rc = store_read(j, j->fd, name, bytes, places[i][0], reterr);
		if (rc == 0)
			rc = store_write(j, j->fd, name, bytes, places[i][0], reterr);
	}
	if (rc == 0 && j->io->fdatasync(j->fd) < 0)
		rc = store_error(j, "sync", name, reterr);
	return rc;
}

static int make_writable(struct journal *j, struct error *reterr)
{
	char name[SEGMENT_NAME_SIZE];
	int rc;

	segment_name(j->number, name);
	if (j->fd < 0)
		j->fd = j->io->openat(j->dir_fd, name, O_RDWR, 0);
	if (j->fd < 0)
		return store_error(j, "open", name, reterr);
	rc = store_zero(j, j->fd, name, j->torn_first, j->torn_end, reterr);
	if (rc == 0)
		rc = write_again(j, name, reterr);
	if (rc == 0)
		rc = store_sync_dir(j, reterr);
	return rc;
}

/* A segment that an older build began has only records that this build could read: whoever goes back to that
 * one is told so by the next segment's header, and not by what it makes of the records. */
static int leave_older_format(struct journal *j, struct error *reterr)
{
	int rc = 0;

	if (j->segment.format >= FRAME_FORMAT_VERSION)
		return 0;
	if (j->next_fd < 0)
		rc = segment_prepare(j, j->number + 1, &j->next_fd, reterr);
	return rc < 0 ? rc : segment_begin(j, reterr);
}

static int start_threads(struct journal *j, struct error *reterr)
{
	int rc = pthread_create(&j->committer, NULL, journal_committer_main, j);

	if (rc == 0) {
		rc = pthread_create(&j->preparer, NULL, journal_preparer_main, j);
		if (rc != 0) {
			pthread_mutex_lock(&j->lock);
			j->stop = true;
			pthread_cond_signal(&j->wake_committer);
			pthread_mutex_unlock(&j->lock);
			pthread_join(j->committer, NULL);
		}
	}
	errno = rc;
	if (rc != 0)
		return store_error(j, "start threads for", "", reterr);
	j->has_threads = true;
	return 0;
}

int journal_start(struct journal *j, struct error *reterr)
{
	int rc;

	CHECK(!j->started && !j->stop);
	rc = make_writable(j, reterr);
	if (rc == 0)
		rc = leave_older_format(j, reterr);
	if (rc == 0 && !j->options.no_threads)
		rc = start_threads(j, reterr);
	j->started = rc == 0;
	return rc;
}

static void end_threads(struct journal *j)
{
	pthread_mutex_lock(&j->lock);
	j->stop = true;
	pthread_cond_signal(&j->wake_committer);
	pthread_cond_signal(&j->wake_preparer);
	pthread_mutex_unlock(&j->lock);
	pthread_join(j->committer, NULL);
	pthread_join(j->preparer, NULL);
	j->has_threads = false;
}

void journal_stop(struct journal *j)
{
	if (j->has_threads)
		end_threads(j);
	pthread_mutex_lock(&j->lock);
	journal_commit_all(j);
	j->stop = true;
	pthread_mutex_unlock(&j->lock);
	j->started = false;
}

void journal_close(struct journal *j)
{
	if (j == NULL)
		return;
	journal_stop(j);
	while (j->first != NULL) {
		struct batch *next = j->first->next;

		buf_fini(&j->first->payload);
		free(j->first);
		j->first = next;
	}
	int fds[] = {j->fd, j->next_fd, j->dir_fd, j->event_fd};

	for (size_t i = 0; i < ARRAY_LENGTH(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	pthread_cond_destroy(&j->wake_committer);
	pthread_cond_destroy(&j->wake_preparer);
	pthread_mutex_destroy(&j->lock);
	buf_fini(&j->frame);
	free(j->segments);
	free(j->dir);
	free(j);
}
