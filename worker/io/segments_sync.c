/* Syncing output segments. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

#include "worker/io/segments_impl.h"

/* Writing of all files begins before one is waited for: they then share the file system's commit. */
static int sync_files(const struct output_dir *d, const struct output_segment *g,
		      const bool dirty[SEGMENT_FILES], bool new_names, struct error *reterr)
{
	for (int f = 0; f < SEGMENT_FILES; f++)
		if (dirty[f])
			sync_file_range(g->fds[f], 0, 0, SYNC_FILE_RANGE_WRITE);
	for (int f = 0; f < SEGMENT_FILES; f++)
		if (dirty[f] && fdatasync(g->fds[f]) < 0)
			return segments_error(d, "sync", reterr);
	if (new_names && fsync(d->fd) < 0)
		return segments_error(d, "sync the directory of", reterr);
	if (!segments_are_there(d, g, dirty)) {
		error_set(reterr, ERR_IO, "the files of output segment %u were removed or replaced",
			  g->number);
		return error_where(reterr, "%s", d->path);
	}
	return 0;
}

void segments_sync_one(struct output_dir *d, struct output_segment *g, struct error *reterr)
{
	bool new_names = g->new_names, dirty[SEGMENT_FILES];
	int rc;

	if (!g->dirty[SEGMENT_IDX])
		return;
	memcpy(dirty, g->dirty, sizeof dirty);
	memset(g->dirty, 0, sizeof g->dirty);
	g->new_names = false;
	g->busy = true;
	pthread_mutex_unlock(&d->lock);
	rc = sync_files(d, g, dirty, new_names, reterr);
	pthread_mutex_lock(&d->lock);
	if (rc < 0)
		segments_add_failed(d, g->number);
	g->busy = false;
	pthread_cond_broadcast(&d->idle);
}

/* With the lock: an open segment that nobody syncs now; NULL: it is closed. */
static struct output_segment *find_idle(struct output_dir *d, uint32_t number)
{
	struct output_segment *g;

	for (;;) {
		DL_SEARCH_SCALAR(d->segments, g, number, number);
		if (g == NULL || !g->busy)
			return g;
		pthread_cond_wait(&d->idle, &d->lock);
	}
}

int output_sync(struct output_dir *d, const uint32_t *segments, uint32_t count, int *ret_errno,
		struct error *reterr)
{
	struct error e = {0};

	pthread_mutex_lock(&d->lock);
	for (uint32_t i = 0; i < count; i++) {
		struct output_segment *g = find_idle(d, segments[i]);

		if (g != NULL) {
			segments_sync_one(d, g, &e);
			segments_end_if_over(d, g);
		}
		if (segments_has_failed(d, segments[i]) && e.code == ERR_OK) {
			error_set(&e, ERR_IO, "output segment %u could not be synced earlier", segments[i]);
			error_where(&e, "%s", d->path);
		}
	}
	pthread_mutex_unlock(&d->lock);
	if (e.code == ERR_OK)
		return 0;
	*ret_errno = EIO;
	if (reterr != NULL)
		*reterr = e;
	return e.code;
}
