/* Slices of leases are read in the readers' threads. */
#include <stdlib.h>

#include "base/check.h"
#include "dispatcher/planners/blobs.h"
#include "dispatcher/readers.h"
#include "dispatcher/server/server.h"
#include "dispatcher/store/history_reader.h"

struct slice_reading {
	struct reading reading;
	struct server *server;
	uint64_t number;
	struct slice_request request;
	struct arena arena; /* of the request's plan */
	struct buf slice;
	uint32_t count;
};

struct sources {
	struct blobs *blobs;
	struct history_reader *history;
};

static int read_items(void *arg, struct bytes blob, uint32_t first, uint32_t count, size_t bytes_max,
		      struct arena *arena, struct text_item *items, uint32_t *ret_count, struct error *reterr)
{
	struct sources *s = arg;

	return blobs_items(s->blobs, blob, first, count, bytes_max, arena, items, ret_count, reterr);
}

struct winners {
	slice_winner_fn *fn;
	void *arg;
};

static int take_winner(void *arg, const struct history_winner *w)
{
	const struct winners *to = arg;
	struct slice_source_winner one = {.shards = w->shards,
					  .is_missing = w->is_missing,
					  .whole = w->shards.count == w->row.count,
					  .worker = w->worker,
					  .token = w->token,
					  .segment = w->segment};

	return to->fn(to->arg, &one);
}

static int read_winners(void *arg, uint64_t job, uint32_t phase, struct range shards, slice_winner_fn *fn,
			void *fn_arg, struct error *reterr)
{
	struct sources *s = arg;
	struct winners to = {fn, fn_arg};

	return history_winners(s->history, job, phase, shards, take_winner, &to, reterr);
}

static void run(struct history_reader *history, struct reading *r)
{
	struct slice_reading *s = (struct slice_reading *)r;
	struct sources from = {s->server->services.blobs, history};

	r->rc = slice_cut(&s->request, &(struct slice_sources){read_items, read_winners, &from}, &s->slice,
			  &s->count, &r->error);
	if (r->rc < 0 && r->error.code == ERR_OK) /* who failed without words */
		error_set(&r->error, r->rc, "what its shards are cannot be read");
}

static void done(struct reading *r)
{
	struct slice_reading *s = (struct slice_reading *)r;

	engine_read(s->server->engine, s->number, buf_bytes(&s->slice), s->count,
		    r->rc < 0 ? &r->error : NULL);
	buf_fini(&s->slice);
	arena_fini(&s->arena);
	free(s);
}

void slices_read(struct server *s, uint64_t number, const struct slice_request *rq)
{
	struct slice_reading *r = check_calloc(1, sizeof(*r));

	r->server = s;
	r->number = number;
	r->request = *rq;
	arena_init(&r->arena, 0);
	CHECK(codec_copy(codec_plan(), &rq->plan, &r->request.plan, &r->arena));
	r->reading.run = run;
	r->reading.done = done;
	r->reading.without_history = rq->plan.blob.size > 0;
	r->reading.lane = r->reading.without_history ? READERS_LANE_BLOBS : 0;
	readers_ask(s->services.readers, &r->reading);
}
