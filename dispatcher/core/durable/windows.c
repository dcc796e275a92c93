#include "dispatcher/core/durable/writer.h"

#include "dispatcher/core/durable/windows.h"

#include <string.h>

#include "base/array.h"
#include "base/limits.h"
#include "dispatcher/core/durable/digest.h"
#include "dispatcher/core/durable/job_table.h"

#define KEY_SIZE 16 /* of a name, before the rule's */

static int refuse(struct bytes rule, const char *what, struct error *reterr)
{
	error_set(reterr, ERR_CORRUPT, "a window of rule %.*s: %s", (int)rule.size, (const char *)rule.data,
		  what);
	error_help(reterr, "the journal is not as it was written: restore the state directory");
	return ERR_CORRUPT;
}

static void set_name(struct blob *name, struct bytes rule, uint64_t hi, uint64_t lo)
{
	uint8_t text[KEY_SIZE + NAME_BYTES_MAX];

	memcpy(text, &hi, sizeof hi);
	memcpy(text + sizeof hi, &lo, sizeof lo);
	memcpy(text + KEY_SIZE, rule.data, rule.size);
	blob_set(name, BYTES(text, KEY_SIZE + rule.size));
}

static struct window_row *find(const struct durable *d, struct bytes rule, uint64_t hi, uint64_t lo)
{
	struct window_row *w = NULL;
	struct blob name = {0};

	set_name(&name, rule, hi, lo);
	HASH_FIND(hh, d->windows, name.data, name.size, w);
	blob_fini(&name);
	return w;
}

static void clear(struct window_row *w)
{
	for (uint32_t i = 0; i < w->count; i++)
		blob_fini(&w->events[i].part);
	w->count = 0;
}

static void destroy(struct window_row *w)
{
	clear(w);
	free(w->events);
	blob_fini(&w->name);
	free(w);
}

static struct window_row *add(struct durable *d, const struct window *r)
{
	struct window_row *w = check_calloc(1, sizeof *w);

	set_name(&w->name, r->rule, r->key_hi, r->key_lo);
	HASH_ADD_KEYPTR(hh, d->windows, w->name.data, w->name.size, w);
	return w;
}

static int check(const struct window *r, struct error *reterr)
{
	if (r->rule.size == 0 || r->rule.size > NAME_BYTES_MAX)
		return refuse(BYTES_LIT("?"), "its rule has no name that could be one", reterr);
	if (r->kind < WINDOW_BATCH || r->kind > WINDOW_JOIN)
		return refuse(r->rule, "it is of a kind that is not known", reterr);
	if (r->members.count == 0 || r->first > WINDOW_MEMBERS_MAX ||
	    r->members.count > WINDOW_MEMBERS_MAX - r->first)
		return refuse(r->rule, "it has no event, or too many", reterr);
	for (uint32_t i = 0; i < r->members.count; i++)
		if (r->members.items[i].part.size > NAME_BYTES_MAX)
			return refuse(r->rule, "the name of a part is too long", reterr);
	return 0;
}

static void take_events(struct window_row *w, const struct window_member_list *members)
{
	ARRAY_RESERVE(w->events, w->capacity, (size_t)w->count + members->count);
	for (uint32_t i = 0; i < members->count; i++) {
		const struct window_member *m = &members->items[i];
		struct window_event *e = &w->events[w->count++];

		*e = (struct window_event){.hi = m->event_id_hi, .lo = m->event_id_lo};
		if (m->part.size > 0)
			blob_set(&e->part, m->part);
	}
}

int apply_window(struct durable *d, const struct window *r, uint64_t lsn, struct error *reterr)
{
	struct window_row *w;
	int rc = check(r, reterr);

	if (rc < 0)
		return rc;
	w = find(d, r->rule, r->key_hi, r->key_lo);
	if (w == NULL && r->first > 0 && d->live)
		return refuse(r->rule, "an event joins it, but it is not open", reterr);
	if (w == NULL) {
		w = add(d, r);
		w->noted = r->first > 0;
	}
	if (r->first == 0) { /* all of it: the table stays in the order of lsn */
		clear(w);
		w->noted = false;
		w->lsn = lsn;
		HASH_DEL(d->windows, w);
		HASH_ADD_KEYPTR(hh, d->windows, w->name.data, w->name.size, w);
	} else if (w->noted) {
		return 0; /* it comes again, whole */
	} else if (r->first != w->count) {
		return refuse(r->rule, "an event joins it out of turn", reterr);
	}
	w->kind = r->kind;
	w->opened_wall_us = r->opened_wall_us;
	w->due_wall_us = r->due_wall_us;
	w->tries = r->tries;
	take_events(w, &r->members);
	return 0;
}

int apply_window_closed(struct durable *d, const struct window_closed *r, struct error *reterr)
{
	struct window_row *w;

	if (r->rule.size == 0 || r->rule.size > NAME_BYTES_MAX)
		return refuse(BYTES_LIT("?"), "its rule has no name that could be one", reterr);
	w = find(d, r->rule, r->key_hi, r->key_lo);
	if (w == NULL) /* a trimmed journal */
		return d->live ? refuse(r->rule, "it closes, but is not open", reterr) : 0;
	HASH_DEL(d->windows, w);
	destroy(w);
	return 0;
}

int windows_check_known(const struct durable *d, struct error *reterr)
{
	const struct window_row *w, *tmp;

	HASH_ITER (hh, d->windows, w, tmp) {
		if (w->noted)
			return refuse(BYTES(w->name.data + KEY_SIZE, w->name.size - KEY_SIZE),
				      "records name it, but none says what it is", reterr);
	}
	return 0;
}

void window_record(const struct window_row *w, struct window *ret, struct arena *arena)
{
	struct window_member *items = arena_alloc(arena, w->count * sizeof *items);

	CHECK(items != NULL);
	*ret = (struct window){
	    .rule = arena_copy(arena, BYTES(w->name.data + KEY_SIZE, w->name.size - KEY_SIZE)),
	    .kind = w->kind,
	    .opened_wall_us = w->opened_wall_us,
	    .due_wall_us = w->due_wall_us,
	    .tries = w->tries,
	    .members = {items, w->count},
	};
	memcpy(&ret->key_hi, w->name.data, sizeof ret->key_hi);
	memcpy(&ret->key_lo, w->name.data + sizeof ret->key_hi, sizeof ret->key_lo);
	for (uint32_t i = 0; i < w->count; i++)
		items[i] = (struct window_member){.event_id_hi = w->events[i].hi,
						  .event_id_lo = w->events[i].lo,
						  .part = arena_copy(arena, blob_bytes(&w->events[i].part))};
}

void windows_check(const struct durable *d)
{
	const struct window_row *w, *tmp;
	uint64_t lsn = 0;

	HASH_ITER (hh, d->windows, w, tmp) {
		CHECK(!w->noted || !d->live);
		CHECK(w->noted || (w->count > 0 && w->count <= WINDOW_MEMBERS_MAX));
		CHECK(w->noted || w->lsn >= lsn);
		lsn = w->lsn;
	}
}

uint64_t windows_digest(const struct durable *d)
{
	const struct window_row *w, *tmp;
	uint64_t sum = 0;

	HASH_ITER (hh, d->windows, w, tmp) {
		uint64_t h = digest_mix_bytes(DIGEST_SEED, blob_bytes(&w->name));

		h = digest_mix(digest_mix(h, w->kind), w->tries);
		h = digest_mix(digest_mix(h, (uint64_t)w->opened_wall_us), (uint64_t)w->due_wall_us);
		for (uint32_t i = 0; i < w->count; i++) {
			h = digest_mix(digest_mix(h, w->events[i].hi), w->events[i].lo);
			h = digest_mix_bytes(h, blob_bytes(&w->events[i].part));
		}
		sum += h;
	}
	return sum;
}

void windows_fini(struct durable *d)
{
	struct window_row *w, *tmp;

	HASH_ITER (hh, d->windows, w, tmp) {
		HASH_DEL(d->windows, w);
		destroy(w);
	}
}
