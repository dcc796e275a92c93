/* GET /v1/jobs/{id}/written: which of a range of done shards have written anything, and of which that is
 * lost. Of millions of short shards few have: their outputs are one for many, or none. */
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "dispatcher/api/job_json.h"
#include "dispatcher/api/job_waits.h"
#include "dispatcher/api/listener.h"
#include "dispatcher/readers.h"
#include "outputs/segments.h"
#include "dispatcher/store/history_reader.h"

/* Bounds of one answer: other questions wait meanwhile. */
#define SHARDS_LOOKED_AT (1u << 20)
#define CHUNK_SHARDS 65536u
#define WRITTEN_MAX 1000u
#define LOST UINT64_MAX
#define LOOKS_US (20 * USEC_PER_MSEC)

struct written {
	struct reading reading;
	struct request *request;
	struct job_wait wait;
	uint64_t job;
	uint32_t phase;
	uint64_t first, count; /* asked for */
	struct segments *segments;
	json_t *list;
	uint64_t next;		      /* the first shard that was not looked at */
	struct range lost;	      /* the last of the list are these, lost for the same reason; or none */
	struct output_entry *entries; /* CHUNK_SHARDS */
	uint32_t chunk_first;	      /* the shard of the first entry */
	usec_t until_us;
};

static void add(struct written *w, uint32_t shard, const struct output_entry *e)
{
	const struct api_written_shard written = {
	    .shard = shard, .out_bytes = e->out_length, .err_bytes = e->err_length};

	json_array_append_new(w->list, object_write(object_written_shard(), &written));
}

/* In place of lengths. */
static int mark_lost(void *arg, struct range shards, const struct error *why)
{
	struct written *w = arg;

	(void)why; /* told when the shard is asked for */
	for (uint32_t i = 0; i < shards.count; i++)
		w->entries[shards.first - w->chunk_first + i] = (struct output_entry){.out_length = LOST};
	return 0;
}

/* Neighbours are one entry of the list. */
static void add_lost(struct written *w, uint32_t shard)
{
	json_t *last = json_array_get(w->list, json_array_size(w->list) - 1);
	const struct api_lost_shards lost = {.shard = shard, .count = 1, .lost = true};

	if (w->lost.count > 0 && range_end(w->lost) == shard) {
		json_object_set_new(last, "count", json_integer((json_int_t)++w->lost.count));
		return;
	}
	w->lost = (struct range){shard, 1};
	json_array_append_new(w->list, object_write(object_lost_shards(), &lost));
}

static int take_chunk(struct written *w, const struct history_winner *winner, struct range chunk)
{
	int rc;

	for (uint32_t i = 0; i < chunk.count; i++)
		w->entries[i] = (struct output_entry){0};
	w->chunk_first = chunk.first;
	rc = segments_collect_found(w->segments, &winner->worker, winner->segment, winner->token, chunk,
				    w->entries, mark_lost, w, &w->reading.error);
	if (rc < 0)
		return rc;
	if (winner->row.count == 1 && w->entries[0].token.lease == 0)
		w->entries[0].out_length = LOST;
	for (uint32_t i = 0; i < chunk.count; i++) {
		const struct output_entry *e = &w->entries[i];
		bool lost = e->out_length == LOST;

		w->next = (uint64_t)chunk.first + i;
		if (!lost && e->out_length + e->err_length == 0)
			continue;
		if (json_array_size(w->list) == WRITTEN_MAX)
			return ERR_LIMIT;
		if (lost)
			add_lost(w, chunk.first + i);
		else
			add(w, chunk.first + i, e);
	}
	w->next = range_end(chunk);
	return clock_mono_us() < w->until_us ? 0 : ERR_LIMIT;
}

/* ERR_LIMIT: enough. A shard without a winner is one that history does not know yet: it is for later. */
static int take_winner(void *arg, const struct history_winner *winner)
{
	struct written *w = arg;
	struct range left = winner->shards;
	int rc = 0;

	if (winner->is_missing)
		return ERR_LIMIT;
	if (winner->segment == 0) {
		w->next = range_end(left);
		return 0;
	}
	while (left.count > 0 && rc == 0) {
		struct range chunk = {left.first, left.count < CHUNK_SHARDS ? left.count : CHUNK_SHARDS};

		rc = take_chunk(w, winner, chunk);
		left = (struct range){left.first + chunk.count, left.count - chunk.count};
	}
	return rc;
}

/* In a reader's thread. */
static void look(struct history_reader *history, struct reading *r)
{
	struct written *w = (struct written *)r;
	uint64_t end = 0, count;

	r->rc = history_phase_shards(history, w->job, w->phase, &end, &r->error);
	w->next = w->first;
	if (r->rc < 0 || w->first >= end)
		return;
	count = w->count < end - w->first ? w->count : end - w->first;
	count = count < SHARDS_LOOKED_AT ? count : SHARDS_LOOKED_AT;
	w->until_us = clock_mono_us() + LOOKS_US;
	r->rc =
	    history_winners(history, w->job, w->phase, (struct range){(uint32_t)w->first, (uint32_t)count},
			    take_winner, w, &r->error);
	if (r->rc == ERR_LIMIT)
		r->rc = 0;
}

static void destroy(void *state)
{
	struct written *w = state;

	job_wait_cancel(&w->wait);
	segments_destroy(w->segments);
	json_decref(w->list);
	free(w->entries);
	free(w);
}

static void on_looked(struct reading *r)
{
	struct written *w = (struct written *)r;
	struct error e = r->error;

	if (r->rc == ERR_NOT_FOUND)
		job_refuse_unknown(w->request->services, w->job, &e);
	if (r->rc < 0) {
		request_fail(w->request, &e);
	} else {
		const struct api_written answer = {.written = json_incref(w->list), .next = w->next};

		request_answer(w->request, MHD_HTTP_OK, object_write(object_written(), &answer));
	}
}

static void on_told(void *arg, bool late)
{
	struct written *w = arg;

	(void)late;
	readers_ask(w->request->services->readers, &w->reading);
}

void api_written(struct request *r)
{
	uint64_t job, phase, first, count;
	struct error e = {0};
	struct written *w;
	int rc;

	if (!request_job(r, &job))
		return;
	rc = request_number(r, "phase", &phase, &e);
	if (rc == 0)
		rc = request_number(r, "first", &first, &e);
	if (rc == 0)
		rc = request_number(r, "count", &count, &e);
	if (rc < 0) {
		request_fail(r, &e);
		return;
	}
	w = check_calloc(1, sizeof(*w));
	w->reading = (struct reading){
	    .run = look, .done = on_looked, .lane = READERS_LANE_OUTPUT, .lane_max = READERS_LANE_OUTPUT_MAX};
	w->request = r;
	w->job = job;
	w->phase = (uint32_t)phase;
	w->first = first;
	w->count = count;
	w->list = json_array();
	w->segments = segments_create(r->services->output_dir, NULL);
	w->entries = check_calloc(CHUNK_SHARDS, sizeof(*w->entries));
	r->state = w;
	r->state_fini = destroy;
	job_wait_told(r->api->waits, &w->wait, job, on_told, w);
}
