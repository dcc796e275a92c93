/* The items that a plan phase's command has written: the output of its one shard, as history knows it. */
#include "dispatcher/api/segments.h"
#include "dispatcher/planners/plan_task.h"
#include "dispatcher/server/server.h"

struct finding {
	struct segments *segments;
	struct plan_task *task;
	struct error error;
};

static int take_winner(void *arg, const struct history_winner *w)
{
	struct finding *f = arg;
	struct plan_task *t = f->task;
	struct output_entry entry = {0};
	int rc;

	if (w->is_missing)
		return error_set(&f->error, ERR_CORRUPT, "nobody is known to have written the items");
	rc = segments_collect(f->segments, &w->worker, w->segment, w->token, w->shards, &entry, &f->error);
	if (rc == 0 && entry.out_length > 0)
		rc = segments_open(f->segments, &w->worker, w->segment, "out", &t->output_fd, &f->error);
	t->output_offset = entry.out_offset;
	t->output_length = entry.out_length;
	return rc;
}

int plan_output_find(struct server *s, struct plan_task *t, struct error *reterr)
{
	struct finding f = {.segments = segments_create(s->output_dir), .task = t};
	int rc =
	    history_winners(s->reader, t->job, t->phase - 1, (struct range){0, 1}, take_winner, &f, reterr);

	if (rc < 0 && f.error.code != ERR_OK)
		*reterr = f.error;
	segments_destroy(f.segments);
	return rc;
}
