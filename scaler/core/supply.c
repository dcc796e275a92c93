/* What is there: registered workers, and starts on their way. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "scaler/core/state.h"

static struct bytes keep(struct bytes b)
{
	uint8_t *copy = check_calloc(b.size + 1, 1);

	if (b.size > 0)
		memcpy(copy, b.data, b.size);
	return BYTES(copy, b.size);
}

static bool same_id(struct uuid a, struct uuid b)
{
	return a.hi == b.hi && a.lo == b.lo;
}

/* ---- workers ---- */

static void workers_free(struct worker_seen *w, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		free((void *)w[i].provider_id.data);
	free(w);
}

static void depart(struct pool *p, const struct worker_seen *w, const struct scaler_worker *items,
		   uint32_t count)
{
	struct bytes *at = &p->departed[p->departed_next];

	for (uint32_t i = 0; i < count; i++)
		if (same_id(w->id, items[i].id))
			return;
	if (w->provider_id.size == 0)
		return;
	free((void *)at->data);
	*at = keep(w->provider_id);
	p->departed_next = (p->departed_next + 1) % DEPARTED_MAX;
}

/* While nobody says who has registered, no start is late: its worker waits for the dispatcher, too. */
static usec_t told_until(const struct pool *p)
{
	return p->workers_us + WORKERS_FRESH_US;
}

static void forgive_silence(const struct scaler_core *c, struct pool *p)
{
	for (uint32_t i = 0; p->workers_known && c->now_us > told_until(p) && i < p->start_count; i++) {
		usec_t *at_us = &p->starts[i].at_us;

		*at_us += c->now_us - (*at_us > told_until(p) ? *at_us : told_until(p));
	}
}

void scaler_workers_take(struct scaler_core *c, struct pool *p, const struct scaler_worker *items,
			 uint32_t count)
{
	struct worker_seen *now = check_calloc(count + 1, sizeof(*now));

	forgive_silence(c, p);
	for (uint32_t i = 0; i < count; i++) {
		now[i] = (struct worker_seen){.id = items[i].id,
					      .provider_id = keep(items[i].provider_id),
					      .draining = items[i].draining,
					      .busy = items[i].busy,
					      .idle_since_us = c->now_us - items[i].idle_us};
		for (uint32_t k = 0; k < p->worker_count; k++)
			if (same_id(p->workers[k].id, items[i].id))
				now[i].drain_told_us = p->workers[k].drain_told_us;
	}
	for (uint32_t k = 0; k < p->worker_count; k++)
		depart(p, &p->workers[k], items, count);
	workers_free(p->workers, p->worker_count);
	p->workers = now;
	p->worker_count = count;
	p->workers_known = true;
	p->workers_us = c->now_us;
}

static bool registered(const struct pool *p, struct bytes provider_id)
{
	for (uint32_t i = 0; provider_id.size > 0 && i < p->worker_count; i++)
		if (bytes_equal(p->workers[i].provider_id, provider_id))
			return true;
	return false;
}

/* ---- starts ---- */

struct start *scaler_starts_add(struct scaler_core *c, struct pool *p, struct bytes provider_id)
{
	ARRAY_GROW(p->starts, p->start_capacity, p->start_count);
	p->starts[p->start_count++] = (struct start){.id = ++c->next_start,
						     .at_us = c->now_us,
						     .provider_id = keep(provider_id),
						     .listed = provider_id.size > 0,
						     .adopted = provider_id.size > 0};
	return &p->starts[p->start_count - 1];
}

static void start_remove(struct pool *p, uint32_t i)
{
	free((void *)p->starts[i].provider_id.data);
	memmove(&p->starts[i], &p->starts[i + 1], (p->start_count - i - 1) * sizeof(*p->starts));
	p->start_count--;
}

struct start *scaler_start_find(struct pool *p, uint64_t id)
{
	for (uint32_t i = 0; i < p->start_count; i++)
		if (p->starts[i].id == id)
			return &p->starts[i];
	return NULL;
}

static usec_t backoff_us(const struct pool *p)
{
	usec_t us = p->config.fail_backoff_us;

	for (uint32_t i = 1; i < p->failures && us < p->config.fail_backoff_max_us; i++)
		us *= 2;
	return us < p->config.fail_backoff_max_us ? us : p->config.fail_backoff_max_us;
}

void scaler_text_copy(char *out, size_t size, const char *text, size_t length)
{
	if (length >= size) {
		length = size - 1;
		while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
			length--;
	}
	memcpy(out, text, length);
	out[length] = '\0';
}

/* Those that fail while one waits already are of the same cause: they do not make the wait longer. */
static void count_failure(struct scaler_core *c, struct pool *p, const char *why, size_t size)
{
	if (c->now_us >= p->retry_us) {
		p->failures++;
		p->retry_us = c->now_us + backoff_us(p);
	}
	scaler_text_copy(p->failure_why, sizeof(p->failure_why), why, size);
}

void scaler_started(struct pool *p, const struct scaler_started *s)
{
	struct start *at = scaler_start_find(p, s->start);

	if (at == NULL)
		return;
	free((void *)at->provider_id.data);
	at->provider_id = keep(s->provider_id);
}

void scaler_start_failed(struct scaler_core *c, struct pool *p, const struct scaler_start_failed *f)
{
	struct start *at = scaler_start_find(p, f->start);

	if (at == NULL)
		return;
	start_remove(p, (uint32_t)(at - p->starts));
	count_failure(c, p, f->why.size ? (const char *)f->why.data : "", f->why.size);
}

static bool in_list(struct bytes id, const struct bytes *ids, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (bytes_equal(id, ids[i]))
			return true;
	return false;
}

static bool starting(const struct pool *p, struct bytes id)
{
	for (uint32_t i = 0; i < p->start_count; i++)
		if (bytes_equal(p->starts[i].provider_id, id))
			return true;
	return false;
}

void scaler_instances_take(struct scaler_core *c, struct pool *p, const struct bytes *ids, uint32_t count)
{
	static const char ended[] = "it ended before it registered";

	for (uint32_t i = p->start_count; i-- > 0;) {
		struct start *s = &p->starts[i];
		bool there = in_list(s->provider_id, ids, count);

		/* A list may be older than a start: only what it had before can be missed. */
		if (s->listed && !there && !registered(p, s->provider_id)) {
			if (!s->adopted)
				count_failure(c, p, ended, sizeof(ended) - 1);
			start_remove(p, i);
		} else {
			s->listed |= there && s->provider_id.size > 0;
		}
	}
	for (uint32_t i = 0; i < count; i++) /* from before this scaler began */
		if (ids[i].size > 0 && !registered(p, ids[i]) && !starting(p, ids[i]) &&
		    !in_list(ids[i], p->departed, DEPARTED_MAX))
			scaler_starts_add(c, p, ids[i]);
}

void scaler_starts_settle(struct scaler_core *c, struct pool *p)
{
	static const char late[] = "it did not register in time";

	for (uint32_t i = p->start_count; i-- > 0;) {
		struct start *s = &p->starts[i];

		if (registered(p, s->provider_id)) {
			start_remove(p, i);
			p->failures = 0;
			p->retry_us = INT64_MIN;
		} else if (c->now_us >= s->at_us + p->config.start_timeout_us && c->now_us <= told_until(p)) {
			struct scaler_effect *e = scaler_effect_push(c, p, SCALER_ABANDON);

			e->abandon.start = s->id;
			e->abandon.provider_id = scaler_effect_bytes(c, s->provider_id);
			start_remove(p, i);
			count_failure(c, p, late, sizeof(late) - 1);
		}
	}
}

usec_t scaler_starts_deadline(const struct pool *p)
{
	usec_t at = USEC_NEVER;

	for (uint32_t i = 0; i < p->start_count; i++)
		if (p->starts[i].at_us + p->config.start_timeout_us < at)
			at = p->starts[i].at_us + p->config.start_timeout_us;
	return at <= told_until(p) ? at : USEC_NEVER;
}

void scaler_pool_fini(struct pool *p)
{
	while (p->start_count > 0)
		start_remove(p, p->start_count - 1);
	free(p->starts);
	workers_free(p->workers, p->worker_count);
	for (uint32_t i = 0; i < DEPARTED_MAX; i++)
		free((void *)p->departed[i].data);
}
