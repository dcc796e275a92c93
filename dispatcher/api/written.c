/* GET /v1/jobs/{id}/written: which of a range of done shards have written anything, and of which that is
 * lost. Of millions of short shards few have: their outputs are one for many, or none. */
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "dispatcher/api/job_json.h"
#include "dispatcher/segments.h"

/* Bounds of one answer: other requests wait meanwhile. */
#define SHARDS_LOOKED_AT (1u << 20)
#define CHUNK_SHARDS 65536u
#define WRITTEN_MAX 1000u
#define LOST UINT64_MAX
#define LOOKS_US (20 * USEC_PER_MSEC)

struct written {
	struct segments *segments;
	json_t *list;
	uint64_t next;		      /* the first shard that was not looked at */
	struct range lost;	      /* the last of the list are these, lost for the same reason; or none */
	struct output_entry *entries; /* CHUNK_SHARDS */
	uint32_t chunk_first;	      /* the shard of the first entry */
	usec_t until_us;
	struct error *reterr;
};

static void add(struct written *w, uint32_t shard, const struct output_entry *e)
{
	json_array_append_new(w->list,
			      json_pack("{s:I,s:I,s:I}", "shard", (json_int_t)shard, "out_bytes",
					(json_int_t)e->out_length, "err_bytes", (json_int_t)e->err_length));
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

	if (w->lost.count > 0 && range_end(w->lost) == shard) {
		json_object_set_new(last, "count", json_integer((json_int_t)++w->lost.count));
		return;
	}
	w->lost = (struct range){shard, 1};
	json_array_append_new(w->list,
			      json_pack("{s:I,s:i,s:b}", "shard", (json_int_t)shard, "count", 1, "lost", 1));
}

static int take_chunk(struct written *w, const struct history_winner *winner, struct range chunk)
{
	int rc;

	for (uint32_t i = 0; i < chunk.count; i++)
		w->entries[i] = (struct output_entry){0};
	w->chunk_first = chunk.first;
	rc = segments_collect_found(w->segments, &winner->worker, winner->segment, winner->token, chunk,
				    w->entries, mark_lost, w, w->reterr);
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

static int look(struct request *r, uint64_t job, struct written *w)
{
	uint64_t phase, first, end = 0, count;
	int rc = request_query_number(r, "phase", 0, UINT16_MAX, 0, &phase, w->reterr);

	if (rc == 0)
		rc = request_query_number(r, "first", 0, SHARDS_MAX, 0, &first, w->reterr);
	if (rc == 0)
		rc = history_phase_shards(r->services->reader, job, (uint32_t)phase, &end, w->reterr);
	if (rc == ERR_NOT_FOUND)
		job_refuse_unknown(r->services, job, w->reterr);
	if (rc == 0)
		rc = request_query_number(r, "count", 1, SHARDS_MAX, SHARDS_MAX, &count, w->reterr);
	if (rc < 0)
		return rc;
	w->next = first;
	if (first >= end)
		return 0;
	count = count < end - first ? count : end - first;
	count = count < SHARDS_LOOKED_AT ? count : SHARDS_LOOKED_AT;
	rc = history_winners(r->services->reader, job, (uint32_t)phase,
			     (struct range){(uint32_t)first, (uint32_t)count}, take_winner, w, w->reterr);
	return rc == ERR_LIMIT ? 0 : rc;
}

void api_written(struct request *r)
{
	struct error e = {0};
	struct written w = {.reterr = &e, .until_us = clock_mono_us() + LOOKS_US};
	uint64_t job;
	int rc;

	if (!request_job(r, &job))
		return;
	w.list = json_array();
	w.segments = segments_create(r->services->output_dir);
	w.entries = check_calloc(CHUNK_SHARDS, sizeof(*w.entries));
	rc = look(r, job, &w);
	if (rc < 0) {
		json_decref(w.list);
		request_fail(r, &e);
	} else {
		request_answer(r, MHD_HTTP_OK,
			       json_pack("{s:o,s:I}", "written", w.list, "next", (json_int_t)w.next));
	}
	segments_destroy(w.segments);
	free(w.entries);
}
