/* Questions are answered in a thread of their own, over a connection of their own: a long list holds up
 * neither the loop nor the writer. */
#include "dispatcher/store/history_private.h"

static void append(struct history_query **first, struct history_query **last, struct history_query *q)
{
	q->next = NULL;
	*(*first == NULL ? first : &(*last)->next) = q;
	*last = q;
}

void history_ask(struct history *h, struct history_query *q)
{
	pthread_mutex_lock(&h->lock);
	append(&h->asked, &h->asked_last, q);
	pthread_cond_signal(&h->wake_reader);
	pthread_mutex_unlock(&h->lock);
}

size_t history_poll(struct history *h)
{
	struct history_query *q;
	size_t count = 0;

	pthread_mutex_lock(&h->lock);
	q = h->answered;
	h->answered = NULL;
	pthread_mutex_unlock(&h->lock);
	while (q != NULL) {
		struct history_query *next = q->next; /* done may free q, or ask it again */

		q->done(q);
		q = next;
		count++;
	}
	return count;
}

static void run(struct history *h, struct history_reader **reader, struct history_query *q)
{
	q->rc = 0;
	if (*reader == NULL)
		q->rc = history_reader_open(reader, h->db.path, &q->error);
	if (q->rc == 0)
		q->run(*reader, q);
}

void *history_reader_main(void *history)
{
	struct history *h = history;
	struct history_reader *reader = NULL;

	pthread_mutex_lock(&h->lock);
	while (!h->stop) {
		struct history_query *q = h->asked;

		if (q == NULL) {
			pthread_cond_wait(&h->wake_reader, &h->lock);
			continue;
		}
		h->asked = q->next;
		pthread_mutex_unlock(&h->lock);
		run(h, &reader, q);
		pthread_mutex_lock(&h->lock);
		h->read_failing = reader == NULL;
		if (reader == NULL)
			h->read_error = q->error;
		append(&h->answered, &h->answered_last, q);
		history_tell(h);
	}
	pthread_mutex_unlock(&h->lock);
	history_reader_close(reader);
	return NULL;
}
