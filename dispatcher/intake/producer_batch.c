/* Batches of events that producers sent: each body is read and offered, and the batch ends when the last of
 * its answers is there. */
#include "dispatcher/intake/producer_batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/array.h"
#include "base/clock.h"
#include "dispatcher/dedup/dedup.h"
#include "dispatcher/intake/intake.h"
#include "jobs/kinds.h"

#define WHY_BYTES_MAX 400

/* ---- notes ---- */

static void note(struct batch_record *r, bool taken, enum error_code code, const char *why)
{
	struct producer_news *n = &r->batch->news;
	size_t size = strnlen(why, WHY_BYTES_MAX);
	char *copy;

	if (r->noted)
		return;
	r->noted = true;
	while (size > 0 && ((uint8_t)why[size] & 0xc0) == 0x80) /* not within a character */
		size--;
	copy = check_calloc(size + 1, 1);
	memcpy(copy, why, size);
	ARRAY_GROW(n->notes, n->note_capacity, n->note_count);
	n->notes[n->note_count++] =
	    (struct event_note){.number = r->batch->first + (uint64_t)(r - r->batch->records),
				.taken = taken,
				.code = bytes_of(error_code_name(code)),
				.why = BYTES((uint8_t *)copy, size)};
	r->batch->producer->producers->counters.refused += !taken;
}

static void note_error(struct batch_record *r, bool taken, const struct error *e)
{
	char line[ERROR_LINE_MAX];

	note(r, taken, e->code, error_text(e, line, sizeof(line)));
}

void producer_news_clear(struct producer_news *n)
{
	for (uint32_t i = 0; i < n->note_count; i++)
		free((uint8_t *)n->notes[i].why.data);
	free(n->notes);
	*n = (struct producer_news){0};
}

/* from has none then. */
static void news_move(struct producer_news *from, struct producer_news *to)
{
	to->known += from->known;
	to->unmatched += from->unmatched;
	to->jobs += from->jobs;
	if (from->note_count > 0) {
		ARRAY_RESERVE(to->notes, to->note_capacity, to->note_count + from->note_count);
		memcpy(to->notes + to->note_count, from->notes, from->note_count * sizeof(*to->notes));
		to->note_count += from->note_count;
		from->note_count = 0;
	}
}

/* ---- the end of a batch ---- */

static void batch_destroy(struct batch *b)
{
	struct producer *pr = b->producer;

	pr->open_events -= b->count;
	pr->open_bytes -= b->bytes;
	pr->producers->counters.waiting_bytes -= heap_cost(sizeof(*b) + b->size);
	DL_DELETE(pr->batches, b);
	producer_news_clear(&b->news);
	events_fini(&b->list);
	free(b->records);
	free(b->events);
	free(b);
}

/* Those at the front that are answered. */
static void end_batches(struct producer *pr)
{
	bool any = false;

	while (pr->batches != NULL && pr->batches->begun && pr->batches->open == 0) {
		pr->durable = pr->batches->first + pr->batches->count - 1;
		pr->producers->counters.events += pr->batches->count;
		news_move(&pr->batches->news, &pr->news);
		batch_destroy(pr->batches);
		any = true;
	}
	if (any && !pr->over)
		producer_answer_soon(pr);
	producer_destroy_if_over(pr);
}

static void record_close(struct batch_record *r)
{
	struct batch *b = r->batch;
	struct producer *pr = b->producer;

	if (--r->open > 0)
		return;
	if (r->again && !pr->over) {
		pr->producers->again_count++;
		if (!pr->starved)
			producer_answer_soon(pr); /* which says why it has to wait */
		if (pr->producers->retry.place == 0)
			loop_timer_set(pr->producers->services->loop, &pr->producers->retry, clock_mono_us());
		return;
	}
	if (--b->open == 0)
		end_batches(pr);
}

/* ---- a record ---- */

/* Else it is offered again. A damaged file would stop all producers for as long as it is there: what needs
 * it is told, and a person may send it again. */
static bool is_final(const struct dispatcher_reply *reply)
{
	return reply->cause != ERR_OK ||
	       (reply->code != ERR_BUSY && reply->code != ERR_EXHAUSTED && reply->code != ERR_CLOSED);
}

static void note_refusal(struct batch_record *r, const struct dispatcher_reply *reply)
{
	struct error e = {0};

	error_set(&e, reply->cause != ERR_OK ? reply->cause : reply->code, "%s", reply->why);
	if (reply->cause != ERR_OK)
		error_help(&e, "whether it was taken before cannot be told; send it again when the file is "
			       "mended or gone");
	note_error(r, false, &e);
}

static void on_reply(void *arg, const struct dispatcher_reply *reply)
{
	struct batch_event *one = arg;
	struct batch_record *r = one->record;
	struct producers *p = r->batch->producer->producers;

	one->counted = true;
	if (reply->code == ERR_OK && reply->duplicate) {
		r->batch->news.known++;
	} else if (reply->code == ERR_OK) {
		r->batch->news.jobs += reply->job_count;
	} else if (is_final(reply)) {
		note_refusal(r, reply);
	} else {
		one->counted = false;
		r->again = true;
		p->again_failed = true;
		snprintf(p->again_why, sizeof(p->again_why), "%s", reply->why);
	}
	record_close(r);
}

static void offer(struct batch_event *one, const struct event *e)
{
	struct batch_record *r = one->record;
	struct producer *pr = r->batch->producer;
	struct services *s = pr->producers->services;
	const struct principal by = {.kind = BY_PRODUCER, .name = bytes_of(pr->name)};
	struct intake_error errors[INTAKE_ERRORS_MAX];
	struct intake_result result = {.list = errors};

	r->open++;
	intake_offer(s, e, event_dedup_key(e, s->dedup_secret), &by, &(struct ticket){on_reply, one},
		     &result);
	if (result.jobs == 0) {
		r->open--;
		r->batch->news.unmatched++;
		one->counted = true;
	}
	if (result.errors > 0)
		note_error(r, true, &errors[0].error);
}

/* The events of its body, as they were read now: what was counted is not offered again. */
static void offer_record(struct batch_record *r, const struct event *events, uint32_t count)
{
	r->open++; /* ours */
	for (uint32_t i = 0; i < count; i++)
		if (!r->batch->events[r->first + i].counted)
			offer(&r->batch->events[r->first + i], &events[i]);
	record_close(r);
}

/* Appended to list. */
static void read_body(struct batch_record *r, struct bytes body, struct event_list *list)
{
	struct event_problems problems = {0};
	struct error e = {0};

	if (events_read_each(body, clock_wall_us(), list, &problems, &e) < 0)
		note_error(r, false, &e);
	else if (problems.count > 0)
		note_error(r, false, &problems.items[0]);
	free(problems.items);
}

/* ---- batches ---- */

struct batch *batch_create(struct producer *pr, uint64_t first, uint32_t count, size_t bytes,
			   struct bytes frame)
{
	struct batch *b = check_realloc(NULL, 1, sizeof(*b) + frame.size);

	*b = (struct batch){
	    .producer = pr, .first = first, .count = count, .bytes = bytes, .size = frame.size};
	memcpy(b->frame, frame.data, frame.size);
	DL_APPEND(pr->batches, b);
	pr->open_events += count;
	pr->open_bytes += bytes;
	pr->producers->counters.waiting_bytes += heap_cost(sizeof(*b) + b->size);
	return b;
}

/* Of a frame that was decoded when it came. */
static const struct events *decode(struct batch *b)
{
	struct bytes in = BYTES(b->frame, b->size);
	uint32_t type;
	void *body;

	arena_reset(&b->producer->producers->arena);
	CHECK(codec_union_decode(&message_union, &in, &type, &body, &b->producer->producers->arena, NULL) ==
	      0);
	return body;
}

/* All bodies; in the list are their events. */
static void read_batch(struct batch *b, const struct events *m, struct event_list *list)
{
	events_cut(list, 0);
	b->records = check_calloc(b->count, sizeof(*b->records));
	for (uint32_t i = 0; i < b->count; i++) {
		struct batch_record *r = &b->records[i];

		r->batch = b;
		r->first = list->count;
		read_body(r, m->bodies.items[i].body, list);
		r->events = list->count - r->first;
	}
	b->events = check_calloc(list->count + 1, sizeof(*b->events));
	for (uint32_t i = 0; i < b->count; i++)
		for (uint32_t n = 0; n < b->records[i].events; n++)
			b->events[b->records[i].first + n].record = &b->records[i];
}

static void offer_batch(struct batch *b, const struct event_list *list)
{
	for (uint32_t i = 0; i < b->count; i++)
		offer_record(&b->records[i], list->items + b->records[i].first, b->records[i].events);
	if (--b->open == 0)
		end_batches(b->producer);
}

static void on_looked(void *arg)
{
	struct batch *b = arg;
	struct producer *pr = b->producer;
	struct event_list list = b->list;
	bool over = pr->over;

	b->list = (struct event_list){0};
	pr->looking = NULL;
	if (!pr->producers->services->stopping) {
		offer_batch(b, &list); /* which may end all of a session that is over */
		if (!over)
			producer_go_on(pr);
	}
	events_fini(&list);
}

/* True: on_looked is called when it is known which of the events were taken before. */
static bool look_up(struct batch *b, const struct event_list *list)
{
	struct services *s = b->producer->producers->services;
	struct dedup_key *keys = check_calloc(list->count + 1, sizeof(*keys));
	bool looks;

	for (uint32_t i = 0; i < list->count; i++)
		keys[i] = event_dedup_key(&list->items[i], s->dedup_secret);
	looks = dedup_look_up(s, keys, list->count, on_looked, b);
	free(keys);
	return looks;
}

void batch_begin(struct batch *b, const struct events *m)
{
	struct producers *p = b->producer->producers;

	b->begun = true;
	b->open = b->count + 1; /* one is ours */
	read_batch(b, m != NULL ? m : decode(b), &p->list);
	if (!look_up(b, &p->list)) {
		offer_batch(b, &p->list);
		return;
	}
	b->producer->looking = b;
	b->list = p->list;
	p->list = (struct event_list){0};
}

static void offer_record_again(struct batch_record *r, struct bytes body)
{
	struct event_list *list = &r->batch->producer->producers->list;

	events_cut(list, 0);
	read_body(r, body, list);
	offer_record(r, list->items, list->count < r->events ? list->count : r->events);
}

/* It may be over then; end_batches is the caller's. */
static void offer_again(struct batch *b)
{
	struct producers *p = b->producer->producers;
	const struct events *m = decode(b);

	b->open++; /* ours */
	for (uint32_t i = 0; i < b->count && p->again_left > 0; i++) {
		if (!b->records[i].again || b->records[i].open > 0)
			continue;
		b->records[i].again = false;
		p->again_count--;
		p->again_left--;
		offer_record_again(&b->records[i], m->bodies.items[i].body);
	}
	b->open--;
}

static bool waits_again(const struct batch *b)
{
	for (uint32_t i = 0; b->begun && i < b->count; i++)
		if (b->records[i].again && b->records[i].open == 0)
			return true;
	return false;
}

void producer_offer_again(struct producer *pr)
{
	struct batch *b;

	DL_FOREACH (pr->batches, b) {
		if (pr->producers->again_left > 0 && waits_again(b))
			offer_again(b);
	}
	end_batches(pr); /* only now: it frees several of them */
}

/* ---- the end of a session ---- */

static void drop_again(struct batch *b)
{
	for (uint32_t i = 0; i < b->count; i++) {
		if (!b->records[i].again || b->records[i].open > 0)
			continue;
		b->records[i].again = false;
		b->producer->producers->again_count--;
		b->open--;
	}
}

void producer_drop_waiting(struct producer *pr)
{
	struct batch *b, *next;

	DL_FOREACH_SAFE(pr->batches, b, next)
	{
		if (b->begun)
			drop_again(b);
		if (!b->begun || b->open == 0)
			batch_destroy(b);
	}
}

void producer_destroy(struct producer *pr)
{
	while (pr->batches != NULL)
		batch_destroy(pr->batches);
	producer_news_clear(&pr->news);
	free(pr);
}

void producer_destroy_if_over(struct producer *pr)
{
	if (!pr->over || pr->batches != NULL)
		return;
	DL_DELETE2(pr->producers->over, pr, prev, next_over);
	producer_destroy(pr);
}
