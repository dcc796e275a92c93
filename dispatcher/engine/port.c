#include "dispatcher/engine/port.h"

#include <stdlib.h>

#include "base/array.h"
#include "dispatcher/engine/engine_private.h"

/* ---- tickets ---- */

/* Where an input keeps the number that its answer comes back with; NULL: nobody is answered. */
static uint64_t *request_of(enum input_type type, void *body)
{
	switch ((unsigned)type) {
	case INPUT_ACCEPT:
		return &((struct input_accept *)body)->request;
	case INPUT_CANCEL:
		return &((struct input_cancel *)body)->request;
	case INPUT_PAUSE:
		return &((struct input_pause *)body)->request;
	case INPUT_RETRY:
		return &((struct input_retry *)body)->request;
	case INPUT_REOPEN:
		return &((struct input_reopen *)body)->request;
	case INPUT_FORGET:
		return &((struct input_forget *)body)->request;
	case INPUT_QUEUE_SET:
		return &((struct input_queue_set *)body)->request;
	case INPUT_DRAIN:
		return &((struct input_drain *)body)->request;
	default:
		return NULL;
	}
}

static uint64_t ticket_keep(struct tickets *t, const struct ticket *ticket)
{
	struct ticket_place *place;
	uint32_t number = t->free;

	if (number == 0) {
		ARRAY_GROW(t->places, t->capacity, t->count);
		t->places[t->count] = (struct ticket_place){0};
		number = ++t->count;
	} else {
		t->free = t->places[number - 1].next;
	}
	place = &t->places[number - 1];
	place->ticket = *ticket;
	place->waiting = true;
	place->times++;
	return (uint64_t)place->times << 32 | number;
}

void port_submit(struct port *p, enum input_type type, void *body, const struct ticket *ticket)
{
	uint64_t *request = request_of(type, body);

	if (request != NULL)
		*request = 0;
	if (ticket != NULL) {
		CHECK(request != NULL);
		*request = ticket_keep(&p->engine->tickets, ticket);
	}
	engine_step(p->engine, type, body);
}

void tickets_deliver(struct engine *e, const struct dispatcher_reply *reply)
{
	struct tickets *t = &e->tickets;
	uint32_t number = (uint32_t)reply->request, times = (uint32_t)(reply->request >> 32);
	struct ticket_place *place;
	struct ticket ticket;

	if (number == 0 || number > t->count)
		return;
	place = &t->places[number - 1];
	if (!place->waiting || place->times != times)
		return;
	place->waiting = false;
	place->next = t->free;
	t->free = number;
	ticket = place->ticket; /* places may move meanwhile */
	ticket.fn(ticket.arg, reply);
}

/* ---- room, views ---- */

int port_has_room(const struct port *p, struct error *reterr)
{
	const struct engine *e = p->engine;

	if (e->stopping || !e->open)
		return error_set(reterr, ERR_BUSY, "the dispatcher is %s",
				 e->stopping ? "stopping" : "starting");
	if (e->release.count > e->bounds.waiting_max)
		return error_set(reterr, ERR_BUSY, "%zu answers wait for the disk", e->release.count);
	return e->ops->has_room(e->arg, reterr);
}

struct port_view port_view(const struct port *p)
{
	const struct engine *e = p->engine;

	return (struct port_view){.core = e->core,
				  .last_lsn = e->last_lsn,
				  .durable_lsn = e->durable_lsn,
				  .history_lsn = e->history_lsn};
}

/* ---- waits ---- */

/* In the order of their lsn, and of their coming: most belong at the end. */
static void wait_add(struct port_wait **list, uint64_t lsn, struct port_wait *w)
{
	struct port_wait *before = *list != NULL ? (*list)->prev : NULL;

	CHECK(w->list == NULL);
	w->lsn = lsn;
	w->list = list;
	if (before == NULL || before->lsn <= lsn) {
		DL_APPEND(*list, w);
		return;
	}
	while (before != *list && before->prev->lsn > lsn)
		before = before->prev;
	DL_PREPEND_ELEM(*list, before, w);
}

void port_when_durable(struct port *p, uint64_t lsn, struct port_wait *w)
{
	wait_add(&p->engine->durable_waits, lsn, w);
	p->engine->urgent |= p->engine->batch_records > 0;
	p->engine->ops->wake(p->engine->arg);
}

void port_when_in_history(struct port *p, uint64_t lsn, struct port_wait *w)
{
	wait_add(&p->engine->history_waits, lsn, w);
	p->engine->urgent |= p->engine->batch_records > 0;
	p->engine->ops->wake(p->engine->arg);
}

void port_wait_cancel(struct port_wait *w)
{
	if (w->list == NULL)
		return;
	DL_DELETE(*w->list, w);
	w->list = NULL;
}

/* Those that are added meanwhile wait for the next round, so that none of them can hold up a turn. */
bool waits_deliver(struct port_wait **list, uint64_t lsn)
{
	struct port_wait *due = NULL, *w, *next;
	bool any = false;

	DL_FOREACH_SAFE(*list, w, next)
	{
		if (w->lsn > lsn)
			break;
		DL_DELETE(*list, w);
		DL_APPEND(due, w);
		w->list = &due;
	}
	while (due != NULL) {
		w = due;
		port_wait_cancel(w);
		w->fn(w->arg);
		any = true;
	}
	return any;
}

void port_fini(struct engine *e)
{
	free(e->tickets.places);
	while (e->durable_waits != NULL)
		port_wait_cancel(e->durable_waits);
	while (e->history_waits != NULL)
		port_wait_cancel(e->history_waits);
}
