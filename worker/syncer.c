#include "worker/syncer.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void sync_all(struct syncer *s)
{
	s->failed = (struct error){0};
	for (uint32_t i = 0; i < s->slot_count; i++) {
		struct error e;

		if (s->slots[i] != NULL && slot_sync(s->slots[i], &e) < 0) {
			s->failed = e;
			s->failed_errno = e.code == ERR_LIMIT ? ENOSPC : EIO;
		}
	}
}

static void *syncer_main(void *arg)
{
	struct syncer *s = arg;

	pthread_mutex_lock(&s->lock);
	while (!s->stop) {
		uint64_t one = 1, generation = s->wanted;
		ssize_t put;

		if (generation == s->done) {
			pthread_cond_wait(&s->wake, &s->lock);
			continue;
		}
		sync_all(s);
		s->done = generation;
		put = write(s->fd, &one, sizeof one);
		(void)put; /* full means raised already */
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

int syncer_start(struct syncer *s, struct slot **slots, uint32_t slot_count, struct error *reterr)
{
	sigset_t all, before;
	int rc;

	*s = (struct syncer){.slots = slots, .slot_count = slot_count};
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
	s->running = false;
}

void syncer_request(struct syncer *s, uint64_t generation)
{
	pthread_mutex_lock(&s->lock);
	s->wanted = generation;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

void syncer_replace(struct syncer *s, uint32_t index, struct slot *slot)
{
	pthread_mutex_lock(&s->lock);
	s->slots[index] = slot;
	pthread_mutex_unlock(&s->lock);
}
