/* An attempt's input, and the next one's. */
#include <stdatomic.h>
#include <unistd.h>

#include "worker/run/attempt.h"

/* The input, asked for by an attempt that has no process yet. */
static bool woken_early(void *arg)
{
	struct attempt *a = arg;
	uint64_t count;
	ssize_t got = read(a->slot->wake_fd, &count, sizeof count);

	(void)got;
	slot_release_emptied(a->slot);
	a->stopped = atomic_load(&a->slot->stop[a->slot->turn]);
	return a->stopped;
}

struct input_request attempt_input_request(struct attempt *a)
{
	const struct slot_shared *shared = a->slot->shared;

	return (struct input_request){
	    .arm = &a->work->arm,
	    .slice = &a->work->slice,
	    .shard = a->shard,
	    .scratch = a->slot->scratch.path,
	    .output_root = shared->output_root,
	    .arena = &a->slot->arena,
	    .s3 = shared->s3,
	    .read_ahead_bytes = shared->read_ahead_bytes,
	    .ahead = &a->slot->ahead,
	    .wake_fd = a->slot->wake_fd,
	    .woken = woken_early,
	    .woken_arg = a,
	};
}

/* The shard that this slot will run next, as far as it is known now. */
static const struct worker_arm *next_arm(const struct slot *s, uint32_t *ret_shard)
{
	for (uint32_t i = 0; i < SLOT_CELLS; i++) {
		uint32_t cell = (s->turn + i) % SLOT_CELLS;
		struct cell_view v;

		if (!cell_is_armed(&s->cells[cell]))
			continue;
		v = cell_peek(&s->cells[cell]);
		*ret_shard = v.next;
		if (v.next < v.end)
			return &s->arms[cell];
	}
	return NULL;
}

void attempt_read_ahead(struct attempt *a)
{
	struct input_request rq;
	const struct worker_arm *arm;
	uint32_t shard = 0;

	if (!a->slot->shared->prefetch)
		return;
	arm = next_arm(a->slot, &shard);
	if (arm == NULL || arm->run->run.kind != RUN_EXEC || arm->run->run.input == FEED_NONE)
		return;
	rq = attempt_input_request(a);
	rq.shard = shard;
	input_read_ahead(&rq, &arm->parameters->plan, &a->input);
}

int64_t attempt_input_code(const struct attempt *a)
{
	return input_error_is_final(&a->work->arm.parameters->plan, a->why.code) ? FAILURE_CODE_FINAL : 0;
}
