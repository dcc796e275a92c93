#include <string.h>

#include "base/check.h"
#include "dispatcher/engine/engine_private.h"

static void count_kinds(struct stream *s)
{
	struct subscriber *one;

	s->kinds = 0;
	DL_FOREACH (s->subscribers, one)
		s->kinds |= one->kinds;
}

void port_subscribe(struct port *p, struct subscriber *s)
{
	DL_APPEND(p->engine->stream.subscribers, s);
	count_kinds(&p->engine->stream);
}

void port_unsubscribe(struct port *p, struct subscriber *s)
{
	struct stream *st = &p->engine->stream;

	if (st->next == s)
		st->next = s->next;
	DL_DELETE(st->subscribers, s);
	count_kinds(st);
}

bool stream_wants(const struct engine *e, enum stream_kind kind)
{
	return (e->stream.kinds & (1u << kind)) != 0;
}

void stream_deliver(struct engine *e, const struct stream_item *item)
{
	struct stream *st = &e->stream;

	for (struct subscriber *s = st->subscribers; s != NULL; s = st->next) {
		st->next = s->next;
		if (s->kinds & (1u << item->kind))
			s->fn(s->arg, item);
	}
}

void port_tell_pool(struct port *p, struct bytes name)
{
	struct engine *e = p->engine;

	if (!stream_wants(e, STREAM_POOL))
		return;
	release_item(e, &(struct stream_item){.kind = STREAM_POOL, .pool = name}, 0);
	e->ops->wake(e->arg);
}

/* ---- jobs that changed: once a turn ---- */

void stream_job(struct engine *e, uint64_t job)
{
	struct buf *changed = &e->stream.changed;
	uint64_t last = 0;

	if (changed->size > 0)
		memcpy(&last, changed->data + changed->size - sizeof(last), sizeof(last));
	if (job != last)
		buf_append(changed, &job, sizeof(job));
}

void stream_turn(struct engine *e)
{
	struct buf *changed = &e->stream.changed;

	for (size_t at = 0; at < changed->size; at += sizeof(uint64_t)) {
		struct stream_item item = {.kind = STREAM_JOB};

		memcpy(&item.job, changed->data + at, sizeof(item.job));
		release_item(e, &item, e->last_lsn);
	}
	buf_clear(changed);
}
