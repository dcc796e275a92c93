#include "dispatcher/core/durable/writer.h"

#include "dispatcher/core/durable/queue_table.h"

#include <string.h>

#include "base/limits.h"
#include "dispatcher/core/durable/digest.h"
#include "dispatcher/core/durable/job_table.h"

static bool is_submitter(struct bytes text)
{
	static const char *const kinds[] = {"user:", "token:"};

	for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
		size_t size = strlen(kinds[i]);

		if (text.size > size && text.size <= size + KEY_BYTES_MAX &&
		    memcmp(text.data, kinds[i], size) == 0)
			return true;
	}
	return false;
}

static int check_submitters(const struct queue_changed *as, struct error *reterr)
{
	if (as->submitters.count > QUEUE_SUBMITTERS_MAX)
		return error_set(reterr, ERR_INVALID, "expected at most %d who may submit, found %u",
				 QUEUE_SUBMITTERS_MAX, as->submitters.count);
	for (uint32_t i = 0; i < as->submitters.count; i++) {
		struct bytes text = as->submitters.items[i].text;

		if (!is_submitter(text))
			return error_set(reterr, ERR_INVALID,
					 "expected user:NAME or token:NAME as who may submit, found \"%.*s\"",
					 (int)(text.size < 60 ? text.size : 60), (const char *)text.data);
	}
	return 0;
}

static int check_weight(const char *of, uint32_t weight, struct error *reterr)
{
	if (weight >= 1 && weight <= QUEUE_WEIGHT_MAX)
		return 0;
	return error_set(reterr, ERR_INVALID, "expected a weight%s from 1 to %d, found %u", of,
			 QUEUE_WEIGHT_MAX, weight);
}

int queue_settings_check(const struct queue_changed *as, struct error *reterr)
{
	int rc;

	if (as->name.size == 0 || as->name.size > NAME_BYTES_MAX)
		return error_set(reterr, ERR_INVALID, "expected a queue's name of 1 to %d bytes",
				 NAME_BYTES_MAX);
	if (as->why.size > QUEUE_WHY_BYTES_MAX)
		return error_set(reterr, ERR_INVALID, "expected a reason of at most %d bytes",
				 QUEUE_WHY_BYTES_MAX);
	if (as->weights.count > QUEUE_KEY_WEIGHTS_MAX)
		return error_set(reterr, ERR_INVALID, "expected weights of at most %d keys, found %u",
				 QUEUE_KEY_WEIGHTS_MAX, as->weights.count);
	rc = check_weight("", as->weight, reterr);
	for (uint32_t i = 0; rc == 0 && i < as->weights.count; i++) {
		const struct queue_weight *w = &as->weights.items[i];

		rc = check_weight(" of a key", w->weight, reterr);
		if (rc == 0 && (w->key.size == 0 || w->key.size > KEY_BYTES_MAX))
			rc = error_set(reterr, ERR_INVALID, "expected keys of 1 to %d bytes", KEY_BYTES_MAX);
	}
	return rc < 0 ? rc : check_submitters(as, reterr);
}

static bool bounds_nothing(const struct queue_limits *l)
{
	return l->running == 0 && l->cpu_milli == 0 && l->jobs == 0 && l->submissions_milli == 0;
}

bool queue_settings_are_default(const struct queue_changed *as)
{
	return as->weight == 1 && !as->paused && bounds_nothing(&as->limits) &&
	       bounds_nothing(&as->owner_limits) && as->submitters.count == 0 && as->weights.count == 0;
}

static struct queue_row *find(const struct durable *d, struct bytes name)
{
	struct queue_row *row = NULL;

	HASH_FIND(hh, d->queues, name.data, name.size, row);
	return row;
}

const struct queue_row *queue_row_find(const struct durable *d, struct bytes name)
{
	return find(d, name);
}

static void destroy(struct durable *d, struct queue_row *row)
{
	HASH_DEL(d->queues, row);
	blob_fini(&row->name);
	arena_fini(&row->arena);
	free(row);
}

int apply_queue(struct durable *d, const struct queue_changed *r, uint64_t lsn, struct error *reterr)
{
	struct error err = {0};
	struct queue_row *row;
	bool ok;

	if (queue_settings_check(r, &err) < 0) {
		error_set(reterr, ERR_CORRUPT, "the settings of a queue: %s", err.what);
		error_help(reterr, "the journal is not as it was written: restore the state directory");
		return ERR_CORRUPT;
	}
	row = find(d, r->name);
	if (queue_settings_are_default(r)) {
		if (row != NULL)
			destroy(d, row);
		return 0;
	}
	if (row == NULL) {
		row = check_calloc(1, sizeof *row);
		blob_set(&row->name, r->name);
		arena_init(&row->arena, 0);
	} else {
		HASH_DEL(d->queues, row);
		arena_reset(&row->arena);
	}
	ok = codec_copy(codec_queue_changed(), r, &row->as, &row->arena);
	CHECK(ok);
	row->lsn = lsn;
	HASH_ADD_KEYPTR(hh, d->queues, row->name.data, row->name.size, row);
	return 0;
}

uint64_t queues_digest(const struct durable *d)
{
	const struct queue_row *row, *next;
	struct buf text = {0};
	uint64_t sum = 0;

	HASH_ITER (hh, d->queues, row, next) {
		buf_clear(&text);
		codec_encode(codec_queue_changed(), &row->as, &text);
		sum += digest_mix_bytes(DIGEST_SEED, buf_bytes(&text));
	}
	buf_fini(&text);
	return sum;
}

void queues_fini(struct durable *d)
{
	struct queue_row *row, *next;

	HASH_ITER (hh, d->queues, row, next)
		destroy(d, row);
}
