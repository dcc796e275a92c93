/* Keys are looked up in the files; inputs wait for that. And the part itself. */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/constants.h"
#include "dispatcher/dedup/dedup_private.h"
#include "dispatcher/part.h"
#include "jobs/event.h"

#define TRIES_MAX 8 /* a file takes longer to be made than a look into one */
#define AHEAD 8	    /* keys whose parts of the filters are fetched at one time */

struct asked_key {
	uint64_t hi, lo;
	struct dedup_fact known; /* bucket 0: no file has it */
};

struct asking {
	struct reading reading;
	struct dedup_files *files;
	struct key_file **in; /* as they were, a reference each */
	uint32_t file_count;
	uint64_t changes; /* then */
	struct dedup_key
	    *all; /* of dedup_look_up: a new file is asked for all of them. NULL: for one alone */
	uint32_t all_count, tries;
	struct asked_key *keys; /* that a filter may have */
	uint32_t count;
	uint32_t at; /* of the answers: where the last one was */
	dedup_looked_fn *fn;
	void *arg;
};

/* ---- looks ---- */

static int look(const struct asking *a, struct asked_key *key, struct error *reterr)
{
	struct key_mask mask = key_mask_of(key->hi, key->lo);
	struct key_entry e;
	int rc = ERR_NOT_FOUND;

	for (uint32_t i = a->file_count; i > 0 && rc == ERR_NOT_FOUND; i--)
		if (key_file_may_have(a->in[i - 1], &mask))
			rc = key_file_find(a->in[i - 1], key->hi, key->lo, &e, reterr);
	if (rc == 0)
		key->known = (struct dedup_fact){e.job, e.job_count, (usec_t)e.bucket_s * USEC_PER_SEC};
	return rc == ERR_NOT_FOUND ? 0 : rc;
}

/* In a reader's thread. */
static void run(struct history_reader *history, struct reading *r)
{
	struct asking *a = (struct asking *)r;

	(void)history;
	for (uint32_t i = 0; i < a->count && r->rc == 0; i++)
		r->rc = look(a, &a->keys[i], &r->error);
}

static void asking_clear(struct asking *a)
{
	for (uint32_t i = 0; i < a->file_count; i++)
		key_file_unref(a->in[i]);
	free(a->in);
	free(a->keys);
	a->in = NULL;
	a->keys = NULL;
	a->count = a->file_count = 0;
}

static void asking_destroy(struct asking *a)
{
	asking_clear(a);
	free(a->all);
	free(a);
}

static void on_looked(struct reading *r);

/* In the files that there are now. */
static void ask(struct asking *a)
{
	struct dedup_files *d = a->files;

	a->reading = (struct reading){.run = run,
				      .done = on_looked,
				      .lane = READERS_LANE_KEYS,
				      .lane_max = READERS_LANE_KEYS_MAX,
				      .without_history = true};
	a->in = check_calloc(d->count + 1, sizeof(*a->in));
	for (uint32_t i = 0; i < d->count; i++)
		a->in[a->file_count++] = key_file_ref(d->files[i]);
	a->changes = d->changes;
	d->looked_up += a->count;
	readers_ask(d->services->readers, &a->reading);
}

static uint32_t collect_some(struct asking *a, uint32_t first, uint32_t *room)
{
	struct key_mask masks[AHEAD];
	uint32_t count = 0;

	for (; count < AHEAD && first + count < a->all_count; count++) {
		masks[count] = key_mask_of(a->all[first + count].hi, a->all[first + count].lo);
		files_prefetch(a->files, &masks[count]);
	}
	for (uint32_t i = 0; i < count; i++) {
		if (!files_may_have(a->files, &masks[i]))
			continue;
		ARRAY_GROW(a->keys, *room, a->count);
		a->keys[a->count++] = (struct asked_key){a->all[first + i].hi, a->all[first + i].lo, {0}};
	}
	return count;
}

/* Those that a filter may have. False: there are none. */
static bool collect(struct asking *a)
{
	uint32_t room = 0;

	for (uint32_t at = 0; at < a->all_count;)
		at += collect_some(a, at, &room);
	return a->count > 0;
}

static void on_looked(struct reading *r)
{
	struct asking *a = (struct asking *)r;
	struct dedup_files *d = a->files;

	for (uint32_t i = 0; i < a->count; i++)
		d->found += a->keys[i].known.bucket_wall_us != 0;
	if (r->rc == 0 && a->all != NULL && a->changes != d->changes && !d->services->stopping &&
	    a->tries++ < TRIES_MAX) {
		asking_clear(a);
		(void)collect(a); /* what was asked for may be in the new file now, or still be in memory */
		ask(a);
		return;
	}
	d->answers = a;
	a->fn(a->arg);
	d->answers = NULL;
	asking_destroy(a);
}

bool dedup_look_up(struct services *s, const struct dedup_key *keys, uint32_t count, dedup_looked_fn *fn,
		   void *arg)
{
	struct asking all = {.files = s->dedup, .all = (struct dedup_key *)keys, .all_count = count}, *a;

	if (s->dedup == NULL || s->dedup->count == 0 || !collect(&all))
		return false;
	a = check_calloc(1, sizeof(*a));
	*a = all;
	a->fn = fn;
	a->arg = arg;
	a->all = check_calloc(count, sizeof(*keys));
	memcpy(a->all, keys, count * sizeof(*keys));
	ask(a);
	return true;
}

/* What was just looked up, in the order in which it was asked for. */
static const struct asked_key *find_answer(const struct dedup_files *d, const struct input_accept *in)
{
	struct asking *a = (struct asking *)d->answers;

	if (a == NULL || a->reading.rc < 0 || a->changes != d->changes)
		return NULL;
	for (uint32_t i = 0; i < a->count; i++, a->at = (a->at + 1) % a->count)
		if (a->keys[a->at].hi == in->key_hi && a->keys[a->at].lo == in->key_lo)
			return &a->keys[a->at];
	return NULL;
}

/* ---- inputs ---- */

/* One that waits for a look. */
struct pending {
	struct services *services;
	struct ticket ticket;
	bool has_ticket;
	dedup_again_fn *again;
	struct arena arena;
	struct input_accept in;
};

static void refuse(const struct pending *p, const struct reading *r)
{
	struct dispatcher_reply refused = {.code = ERR_BUSY, .why = "the dispatcher stops"};

	if (!p->services->stopping)
		refused = (struct dispatcher_reply){
		    .code = ERR_BUSY,
		    .why = "whether it was taken before cannot be told: a file of keys cannot be read"};
	if (r->rc == ERR_IO || r->rc == ERR_CORRUPT) {
		refused.why = r->error.what;
		refused.cause = (enum error_code)r->rc;
	}
	if (p->has_ticket)
		p->ticket.fn(p->ticket.arg, &refused);
}

static void on_answered(void *arg)
{
	struct pending *p = arg;
	const struct reading *r = &p->services->dedup->answers->reading;

	if (r->rc < 0 || p->services->stopping)
		refuse(p, r);
	else
		p->again(p->services, &p->in, p->has_ticket ? &p->ticket : NULL);
	arena_fini(&p->arena);
	free(p);
}

static void wait_for_look(struct services *s, const struct input_accept *in, const struct ticket *ticket,
			  dedup_again_fn *again)
{
	struct pending *p = check_calloc(1, sizeof(*p));
	struct asking *a = check_calloc(1, sizeof(*a));

	p->services = s;
	p->again = again;
	p->has_ticket = ticket != NULL;
	if (ticket != NULL)
		p->ticket = *ticket;
	arena_init(&p->arena, 0);
	CHECK(codec_copy(codec_input_accept(), in, &p->in, &p->arena));
	*a = (struct asking){.files = s->dedup, .fn = on_answered, .arg = p, .count = 1};
	a->keys = check_calloc(1, sizeof(*a->keys));
	a->keys[0] = (struct asked_key){in->key_hi, in->key_lo, {0}};
	ask(a);
}

void dedup_submit(struct services *s, struct input_accept *in, const struct ticket *ticket,
		  dedup_again_fn *again)
{
	struct dedup_files *d = s->dedup;
	struct key_mask mask = key_mask_of(in->key_hi, in->key_lo);
	const struct asked_key *answer;

	in->known = (struct dedup_fact){0};
	if (d == NULL || d->count == 0 || (in->key_hi == 0 && in->key_lo == 0) || !files_may_have(d, &mask) ||
	    dispatcher_view_has_key(services_core(s), in->key_hi, in->key_lo)) {
		port_submit(s->port, INPUT_ACCEPT, in, ticket);
		return;
	}
	answer = find_answer(d, in);
	if (answer == NULL) {
		wait_for_look(s, in, ticket, again);
		return;
	}
	in->known = answer->known;
	port_submit(s->port, INPUT_ACCEPT, in, ticket);
}

/* ---- figures ---- */

void dedup_figures(const struct services *s, struct dedup_figures *ret)
{
	const struct dedup_files *d = s->dedup;
	struct view_counters c;

	dispatcher_view_counters(services_core(s), &c);
	*ret = (struct dedup_figures){.first_wall_us = c.dedup_first_us};
	if (d == NULL)
		return;
	ret->files = d->count;
	ret->bytes = files_bytes(d);
	ret->bytes_max = d->bytes_max;
	for (uint32_t i = 0; i < d->count; i++)
		ret->keys += d->files[i]->keys;
	if (d->count > 0)
		ret->first_wall_us = d->files[0]->first_us;
	ret->looked_up = d->looked_up;
	ret->found = d->found;
}

/* ---- the part ---- */

static void on_timer(struct loop *loop, void *arg)
{
	struct dedup_files *d = arg;

	loop_timer_set(loop, &d->timer, clock_mono_us() + DEDUP_LOOK_US);
	works_go_on(d);
}

static int dedup_open(struct services *s, struct error *reterr)
{
	struct dedup_files *d = s->dedup = check_calloc(1, sizeof(*d));
	int rc;

	d->services = s;
	d->dir = statedir_path(&s->state, "dedup");
	d->bytes_max = params_size_bytes(s->params, PARAM_DEDUP_BYTES);
	d->timer = (struct loop_timer){.fn = on_timer, .arg = d};
	rc = files_open(d, reterr);
	if (rc == 0)
		loop_timer_set(s->loop, &d->timer, clock_mono_us() + DEDUP_LOOK_US);
	return rc;
}

/* The readers are closed. */
static void dedup_close(struct services *s)
{
	struct dedup_files *d = s->dedup;

	if (d == NULL)
		return;
	loop_timer_unset(s->loop, &d->timer);
	loop_defer_cancel(s->loop, &d->copy);
	works_fini(d);
	for (uint32_t i = 0; i < d->count; i++)
		key_file_unref(d->files[i]);
	free(d->files);
	free(d->dir);
	free(d);
	s->dedup = NULL;
}

const struct part part_dedup = {.name = "dedup", .open = dedup_open, .close = dedup_close};
