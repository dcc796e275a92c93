/* The items that a plan phase's command has written: the output of its one shard, as history knows it. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/limits.h"
#include "outputs/segments.h"
#include "dispatcher/planners/plan_task.h"
#include "dispatcher/store/history_reader.h"

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
	if (w->segment == 0)
		return 0; /* it wrote nothing */
	rc = segments_collect(f->segments, &w->worker, w->segment, w->token, w->shards, &entry, &f->error);
	if (rc == 0 && entry.token.lease != w->token.lease)
		return segments_lost(f->segments, &w->worker, w->segment, "idx", w->shards, SEGMENTS_NO_ENTRY,
				     &f->error);
	if (rc == 0 && entry.out_length > 0)
		rc = segments_open(f->segments, &w->worker, w->segment, "out", &t->output_fd, &f->error);
	t->output_offset = entry.out_offset;
	t->output_length = entry.out_length;
	t->output_crc = entry.out_crc;
	return rc;
}

int plan_output_find(struct history_reader *history, struct plan_task *t, struct error *reterr)
{
	struct finding f = {.segments = segments_create(t->output_dir, NULL), .task = t};
	int rc =
	    history_winners(history, t->job, t->phase - 1, (struct range){0, 1}, take_winner, &f, reterr);

	if (rc < 0 && f.error.code != ERR_OK)
		*reterr = f.error;
	segments_destroy(f.segments);
	return rc;
}

int plan_output_check(const struct plan_task *t, struct error *reterr)
{
	uint8_t block[64 * KIB];
	uint64_t done = 0;
	uint32_t crc = 0;

	while (done < t->output_length && !t->stop) {
		uint64_t left = t->output_length - done;
		ssize_t n = pread(t->output_fd, block, left < sizeof(block) ? left : sizeof(block),
				  (off_t)(t->output_offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set(reterr, error_code_of_errno(errno),
					 "what the plan phase wrote cannot be read: %s", strerror(errno));
		if (n == 0)
			return error_set(
			    reterr, ERR_CORRUPT,
			    "what the plan phase wrote ends before it should: %llu of %llu bytes",
			    (unsigned long long)done, (unsigned long long)t->output_length);
		crc = crc32c(crc, block, (size_t)n);
		done += (uint64_t)n;
	}
	if (crc != t->output_crc && !t->stop)
		return error_set(reterr, ERR_CORRUPT,
				 "what the plan phase wrote is not as it was written: its checksum differs");
	return 0;
}
