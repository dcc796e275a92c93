#include "worker/io/syncer.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/array.h"
#include "base/check.h"

static void *syncer_main(void *arg)
{
	struct syncer *s = arg;

	pthread_mutex_lock(&s->lock);
	while (!s->stop) {
		uint64_t one = 1, generation = s->wanted;
		struct error e = {0};
		int code = 0;
		ssize_t put;

		if (generation == s->done) {
			pthread_cond_wait(&s->wake, &s->lock);
			continue;
		}
		pthread_mutex_unlock(&s->lock); /* nobody else touches the list until it is done */
		if (output_sync(s->dir, s->segments, s->segment_count, &code, &e) == 0)
			e = (struct error){0};
		pthread_mutex_lock(&s->lock);
		s->failed = e;
		s->failed_errno = code;
		s->done = generation;
		put = write(s->fd, &one, sizeof one);
		(void)put; /* full means raised already */
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

int syncer_start(struct syncer *s, struct output_dir *dir, struct error *reterr)
{
	sigset_t all, before;
	int rc;

	*s = (struct syncer){.dir = dir};
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->wake, NULL);
	s->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = s->fd < 0 ? errno : pthread_create(&s->thread, NULL, syncer_main, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	s->running = rc == 0;
	return rc == 0 ? 0
		       : error_set(reterr, ERR_IO, "the syncer's thread does not start: %s", strerror(rc));
}

void syncer_stop(struct syncer *s)
{
	if (!s->running)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	close(s->fd);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->wake);
	free(s->segments);
	s->running = false;
}

void syncer_request(struct syncer *s, uint64_t generation, const uint32_t *segments, uint32_t count)
{
	pthread_mutex_lock(&s->lock);
	CHECK(s->wanted == s->done);
	ARRAY_RESERVE(s->segments, s->segment_room, count);
	for (uint32_t i = 0; i < count; i++)
		s->segments[i] = segments[i];
	s->segment_count = count;
	s->wanted = generation;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}
