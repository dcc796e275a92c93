#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/plant.h"
#include "dispatcher/engine/engine_private.h"

/* What an effect or an item borrows is copied behind the entry, encoded. */
struct release_entry {
	struct release_entry *prev, *next;
	uint64_t lsn;
	enum release_kind {
		RELEASE_SEND = 1,
		RELEASE_REPLY,
		RELEASE_PLAN,
		RELEASE_PLAN_STOP,
		RELEASE_SEAL,
		RELEASE_ITEM
	} kind;
	union {
		struct {
			uint64_t peer;
			enum message_type type;
		} send;
		struct dispatcher_reply reply;
		struct dispatcher_plan plan;
		usec_t seal_wall_us;
		struct {
			struct stream_item item;
			struct dispatcher_looked looked;
		};
	};
	size_t size;
	uint8_t bytes[];
};

/* ---- the queues ---- */

/* Most are answers, which bring no bytes and come by the thousand: those are used again. */
#define SPARE_BYTES 31u
#define SPARE_MAX 8192u

static struct release_entry *entry_create(struct engine *e, enum release_kind kind, struct bytes bytes)
{
	struct release *r = &e->release;
	struct release_entry *entry = r->spare;

	if (bytes.size > SPARE_BYTES || entry == NULL) {
		entry = check_realloc(
		    NULL, 1, sizeof(*entry) + (bytes.size > SPARE_BYTES ? bytes.size : SPARE_BYTES) + 1);
	} else {
		r->spare = entry->next;
		r->spare_count--;
	}
	*entry = (struct release_entry){0};

	entry->kind = kind;
	entry->size = bytes.size;
	if (bytes.size > 0)
		memcpy(entry->bytes, bytes.data, bytes.size);
	entry->bytes[bytes.size] = '\0';
	return entry;
}

/* after_lsn 0: at the end of the turn. Else in the order of the lsn, and of coming: most belong at the end.
 */
static void entry_queue(struct engine *e, struct release_entry *entry, uint64_t after_lsn)
{
	struct release *r = &e->release;
	struct release_entry **list = after_lsn == 0 ? &r->now : &r->waiting, *at;

	entry->lsn = after_lsn;
	at = *list != NULL ? (*list)->prev : NULL;
	if (at == NULL || at->lsn <= after_lsn) {
		DL_APPEND(*list, entry);
	} else {
		while (at != *list && at->prev->lsn > after_lsn)
			at = at->prev;
		DL_PREPEND_ELEM(*list, at, entry);
	}
	r->count++;
	/* Nobody waits for a change like for an answer: it may linger. */
	if (after_lsn != 0 && entry->kind != RELEASE_SEAL &&
	    !(entry->kind == RELEASE_ITEM && entry->item.kind == STREAM_JOB))
		e->urgent = e->batch_records > 0;
}

static void entry_destroy(struct engine *e, struct release_entry **list, struct release_entry *entry)
{
	struct release *r = &e->release;

	DL_DELETE(*list, entry);
	r->count--;
	if (entry->size > SPARE_BYTES || r->spare_count == SPARE_MAX) {
		free(entry);
		return;
	}
	entry->next = r->spare;
	r->spare = entry;
	r->spare_count++;
}

void release_fini(struct engine *e)
{
	struct release *r = &e->release;

	while (r->now != NULL)
		entry_destroy(e, &r->now, r->now);
	while (r->waiting != NULL)
		entry_destroy(e, &r->waiting, r->waiting);
	while (r->spare != NULL) {
		struct release_entry *entry = r->spare;

		r->spare = entry->next;
		free(entry);
	}
}

/* ---- in ---- */

/* What is asked back of a lease that has not gone out yet goes with it. */
static void send_revoke(struct engine *e, uint64_t peer, const struct revoke *revoke)
{
	struct revoked *items = check_calloc(revoke->leases.count + 1, sizeof(*items));
	struct revoke rest = {.session = revoke->session, .leases = {items, 0}};

	for (uint32_t i = 0; i < revoke->leases.count; i++)
		if (!late_revoke(e, peer, &revoke->leases.items[i]))
			items[rest.leases.count++] = revoke->leases.items[i];
	if (rest.leases.count > 0)
		engine_send(e, peer, 0, MESSAGE_REVOKE, &rest);
	free(items);
}

static void send_now(struct engine *e, uint64_t peer, enum message_type type, const void *body)
{
	if (type == MESSAGE_LEASES) {
		leases_send(e, peer, body);
		return;
	}
	if (type == MESSAGE_REVOKE) {
		send_revoke(e, peer, body);
		return;
	}
	if (type == MESSAGE_REGISTERED || type == MESSAGE_WHO)
		sent_forget(e, peer);
	engine_send(e, peer, 0, type, body);
	if (type == MESSAGE_REGISTERED)
		short_ask(e, peer, body);
}

static void take_send(struct engine *e, const struct dispatcher_send *send, uint64_t after_lsn)
{
	struct buf out = {0};
	struct release_entry *entry;

	if (after_lsn == 0) {
		send_now(e, send->peer, send->type, send->body);
		return;
	}
	codec_union_encode(&message_union, send->type, send->body, &out);
	entry = entry_create(e, RELEASE_SEND, buf_bytes(&out));
	entry->send.peer = send->peer;
	entry->send.type = send->type;
	entry_queue(e, entry, after_lsn);
	buf_fini(&out);
}

static void take_reply(struct engine *e, const struct dispatcher_reply *reply, uint64_t after_lsn)
{
	struct release_entry *entry =
	    entry_create(e, RELEASE_REPLY, bytes_of(reply->why != NULL ? reply->why : ""));

	entry->reply = *reply;
	entry_queue(e, entry, PLANTED(reply_before_durable) ? 0 : after_lsn);
}

/* A plan that waits: its cursor, then its header. */
static void take_plan(struct engine *e, const struct dispatcher_plan *plan, uint64_t after_lsn)
{
	struct buf out = {0};
	struct release_entry *entry;

	if (after_lsn == 0) {
		e->ops->plan(e->arg, plan);
		return;
	}
	buf_append_bytes(&out, plan->cursor);
	codec_encode(codec_plan(), plan->plan, &out);
	entry = entry_create(e, RELEASE_PLAN, buf_bytes(&out));
	entry->plan = *plan;
	entry_queue(e, entry, after_lsn);
	buf_fini(&out);
}

static void take_plan_stop(struct engine *e, uint64_t job, uint64_t after_lsn)
{
	struct release_entry *entry;

	if (after_lsn == 0) {
		e->ops->plan_stop(e->arg, job);
		return;
	}
	entry = entry_create(e, RELEASE_PLAN_STOP, (struct bytes){0});
	entry->plan.job = job;
	entry_queue(e, entry, after_lsn);
}

static void take_seal(struct engine *e, usec_t bucket_wall_us, uint64_t after_lsn)
{
	struct release_entry *entry = entry_create(e, RELEASE_SEAL, (struct bytes){0});

	entry->seal_wall_us = bucket_wall_us;
	entry_queue(e, entry, after_lsn);
}

void release_item(struct engine *e, const struct stream_item *item, uint64_t lsn)
{
	struct buf out = {0};
	struct release_entry *entry;

	if (item->kind == STREAM_JOB_ENDED)
		codec_encode(codec_job_ended(), item->ended, &out);
	else if (item->kind == STREAM_LOOKED)
		codec_union_encode(&message_union, item->looked->type, item->looked->body, &out);
	else if (item->kind == STREAM_POOL)
		buf_append_bytes(&out, item->pool);
	entry = entry_create(e, RELEASE_ITEM, buf_bytes(&out));
	entry->item = *item;
	entry->item.lsn = lsn;
	if (item->kind == STREAM_LOOKED)
		entry->looked = *item->looked;
	entry_queue(e, entry, lsn <= e->durable_lsn ? 0 : lsn);
	buf_fini(&out);
}

static void take_effect(struct engine *e, const struct dispatcher_effect *effect)
{
	struct stream_item item = {0};

	switch (effect->kind) {
	case DISPATCHER_SEND:
		take_send(e, &effect->send, effect->after_lsn);
		return;
	case DISPATCHER_REPLY:
		take_reply(e, &effect->reply, effect->after_lsn);
		return;
	case DISPATCHER_PLAN:
		take_plan(e, &effect->plan, effect->after_lsn);
		return;
	case DISPATCHER_PLAN_STOP:
		take_plan_stop(e, effect->plan.job, effect->after_lsn);
		return;
	case DISPATCHER_PARAMETERS:
		leases_answer_need(e, &effect->parameters);
		return;
	case DISPATCHER_SEAL:
		take_seal(e, effect->seal_wall_us, effect->after_lsn);
		return;
	case DISPATCHER_TELL:
		e->ops->tell(e->arg, &effect->tell);
		return;
	case DISPATCHER_JOB_ENDED:
		item = (struct stream_item){.kind = STREAM_JOB_ENDED, .ended = effect->ended};
		break;
	case DISPATCHER_LOOKED:
		item = (struct stream_item){.kind = STREAM_LOOKED, .looked = &effect->looked};
		break;
	case DISPATCHER_WORKER:
		item = (struct stream_item){.kind = STREAM_WORKER, .worker = effect->worker};
		break;
	}
	if (stream_wants(e, item.kind))
		release_item(e, &item, effect->after_lsn);
}

void release_effects(struct engine *e)
{
	for (size_t i = 0; i < e->effects.count; i++)
		take_effect(e, &e->effects.items[i]);
	if (!stream_wants(e, STREAM_JOB))
		return;
	for (uint32_t i = 0; i < e->effects.touched_count; i++)
		stream_job(e, e->effects.touched[i]);
}

/* ---- out ---- */

static void let_out_send(struct engine *e, const struct release_entry *entry)
{
	struct bytes frame = BYTES(entry->bytes, entry->size);
	enum message_type type = entry->send.type;
	struct arena arena;
	uint32_t as;
	void *body;

	if (type != MESSAGE_LEASES && type != MESSAGE_REVOKE && type != MESSAGE_REGISTERED &&
	    type != MESSAGE_WHO) {
		e->ops->send(e->arg, entry->send.peer, type, frame);
		return;
	}
	arena_init(&arena, 0);
	CHECK(codec_union_decode(&message_union, &frame, &as, &body, &arena, NULL) == 0);
	send_now(e, entry->send.peer, type, body);
	arena_fini(&arena);
}

static void let_out_plan(struct engine *e, struct release_entry *entry)
{
	struct dispatcher_plan *p = &entry->plan;
	struct arena arena;
	struct plan plan = {0};

	arena_init(&arena, 0);
	p->cursor.data = entry->bytes;
	CHECK(codec_decode(codec_plan(), BYTES(entry->bytes + p->cursor.size, entry->size - p->cursor.size),
			   &plan, &arena, NULL) == 0);
	p->plan = &plan;
	e->ops->plan(e->arg, p);
	arena_fini(&arena);
}

static void let_out_item(struct engine *e, struct release_entry *entry)
{
	struct bytes bytes = BYTES(entry->bytes, entry->size);
	struct stream_item *item = &entry->item;
	struct job_ended ended;
	struct arena arena;
	uint32_t type;
	void *body;

	arena_init(&arena, 0);
	if (item->kind == STREAM_JOB_ENDED) {
		CHECK(codec_decode(codec_job_ended(), bytes, &ended, &arena, NULL) == 0);
		item->ended = &ended;
	} else if (item->kind == STREAM_LOOKED) {
		CHECK(codec_union_decode(&message_union, &bytes, &type, &body, &arena, NULL) == 0);
		entry->looked.body = body;
		item->looked = &entry->looked;
	} else if (item->kind == STREAM_POOL) {
		item->pool = bytes;
	}
	stream_deliver(e, item);
	arena_fini(&arena);
}

static void let_out(struct engine *e, struct release_entry *entry)
{
	switch (entry->kind) {
	case RELEASE_SEND:
		let_out_send(e, entry);
		break;
	case RELEASE_REPLY:
		entry->reply.why = (const char *)entry->bytes;
		tickets_deliver(e, &entry->reply);
		break;
	case RELEASE_PLAN:
		let_out_plan(e, entry);
		break;
	case RELEASE_PLAN_STOP:
		e->ops->plan_stop(e->arg, entry->plan.job);
		break;
	case RELEASE_SEAL:
		if (e->ops->seal != NULL)
			e->ops->seal(e->arg, entry->seal_wall_us);
		break;
	case RELEASE_ITEM:
		let_out_item(e, entry);
		break;
	}
}

bool release_is_due(const struct engine *e)
{
	const struct release *r = &e->release;

	return r->now != NULL || (r->waiting != NULL && r->waiting->lsn <= e->durable_lsn);
}

/* What comes in meanwhile waits for the next round, so that none of them can hold up a turn. */
bool release_due(struct engine *e)
{
	struct release *r = &e->release;
	struct release_entry *now = r->now, *last = NULL, *entry;
	bool any = release_is_due(e), more = true;

	DL_FOREACH (r->waiting, entry) {
		if (entry->lsn > e->durable_lsn)
			break;
		last = entry;
	}
	r->now = NULL;
	while ((entry = now) != NULL) {
		let_out(e, entry);
		entry_destroy(e, &now, entry);
	}
	while (last != NULL && more) {
		entry = r->waiting;
		more = entry != last;
		let_out(e, entry);
		entry_destroy(e, &r->waiting, entry);
	}
	return any;
}
