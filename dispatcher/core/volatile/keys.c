#include "dispatcher/core/volatile/keys.h"

#include <string.h>

#include "base/limits.h"
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/durable/job_table.h"
#include "dispatcher/core/volatile/limits.h"
#include "jobs/principal.h"

#define SWEEP_FIRST 1024 /* keys, before those are looked for that nobody names */
#define REFUSALS_A_SWEEP 4096

/* What they are found by: the queue's number, then the name. */
struct key_bytes {
	uint32_t queue;
	char name[KEY_BYTES_MAX];
};

static void drop(struct dispatcher_core *core, struct fair_key *key)
{
	struct turn_entry *next;

	for (struct turn_entry *e = key->entries; e != NULL; e = next) { /* at the end of all */
		next = e->of_key;
		free(e);
	}
	HASH_DEL(core->turns.keys, key);
	blob_fini(&key->name);
	free(key);
}

static bool is_named(const struct fair_key *key)
{
	return key->entries != NULL || key->leases > 0;
}

static void sweep(struct dispatcher_core *core)
{
	struct fair_key *key, *next;
	uint32_t most;

	HASH_ITER (hh, core->turns.keys, key, next)
		if (!is_named(key))
			drop(core, key);
	most = 2 * HASH_COUNT(core->turns.keys);
	core->turns.sweep_at = most < SWEEP_FIRST ? SWEEP_FIRST : most < FAIR_KEYS_MAX ? most : FAIR_KEYS_MAX;
}

/* So seldom that a key costs the same however many there are. */
static bool has_room(struct dispatcher_core *core)
{
	if (HASH_COUNT(core->turns.keys) >= FAIR_KEYS_MAX) {
		if (core->turns.refused++ % REFUSALS_A_SWEEP == 0)
			sweep(core);
	} else if (HASH_COUNT(core->turns.keys) >= core->turns.sweep_at) {
		sweep(core);
	}
	return HASH_COUNT(core->turns.keys) < FAIR_KEYS_MAX;
}

static struct fair_key *find(struct dispatcher_core *core, const struct key_bytes *bytes, size_t size)
{
	struct fair_key *key;

	HASH_FIND(hh, core->turns.keys, bytes, offsetof(struct key_bytes, name) + size, key);
	return key;
}

static struct fair_key *intern(struct dispatcher_core *core, struct queue *q, struct bytes name)
{
	struct key_bytes bytes = {.queue = q->index};
	struct fair_key *key;

	if (name.size > sizeof bytes.name)
		name.size = sizeof bytes.name;
	if (name.size > 0)
		memcpy(bytes.name, name.data, name.size);
	key = find(core, &bytes, name.size);
	if (key != NULL)
		return key;
	if (!has_room(core) && name.size > 0) {
		if (!core->turns.crowded)
			tell(
			    core, true, 0,
			    step_text(core,
				      "more than %d fairness keys have jobs: those of further keys share one",
				      FAIR_KEYS_MAX));
		core->turns.crowded = true;
		return intern(core, q, BYTES(NULL, 0));
	}
	key = check_calloc(1, sizeof *key);
	key->queue = q;
	blob_set(&key->name, BYTES((const uint8_t *)&bytes, offsetof(struct key_bytes, name) + name.size));
	key->share.weight = limits_key_weight(q, name);
	key->waiting = (struct share_place){.share = &key->share, .serial = ++core->turns.serial};
	HASH_ADD_KEYPTR(hh, core->turns.keys, key->name.data, key->name.size, key);
	return key;
}

struct fair_key *keys_of_job(struct dispatcher_core *core, struct queue *q, const struct job_row *row)
{
	struct new_job body;
	struct buf words = {0};
	struct fair_key *key;
	struct bytes name;

	codec_decode_part(codec_new_job(), BYTES(row->body, row->body_size), "by", "fair_key", &body,
			  &core->out->arena);
	name = body.fair_key.size > 0 ? body.fair_key : body.owner;
	if (name.size == 0) {
		principal_words(&body.by, &words);
		name = buf_bytes(&words);
	}
	key = intern(core, q, name);
	buf_fini(&words);
	return key;
}

void keys_drop_of(struct dispatcher_core *core, const struct queue *q)
{
	struct fair_key *key, *next;

	HASH_ITER (hh, core->turns.keys, key, next)
		if (key->queue == q) {
			CHECK(!is_named(key));
			drop(core, key);
		}
}

void keys_weigh(struct dispatcher_core *core, const struct queue *q)
{
	const size_t before = offsetof(struct key_bytes, name);

	for (struct fair_key *key = core->turns.keys; key != NULL; key = key->hh.next)
		if (key->queue == q)
			share_set_weight(&key->share, limits_key_weight(q, BYTES(key->name.data + before,
										 key->name.size - before)));
}

void keys_shrink(struct dispatcher_core *core, uint32_t halvings)
{
	for (struct fair_key *key = core->turns.keys; key != NULL; key = key->hh.next)
		share_shrink(&key->share, halvings);
}

void keys_fini(struct dispatcher_core *core)
{
	struct fair_key *key, *next;

	HASH_ITER (hh, core->turns.keys, key, next)
		drop(core, key);
}
