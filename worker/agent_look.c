/* Who looks on: which attempts run here, and what one has written. Asked by the dispatcher, of no concern to
 * the core. An answer names the session of the question, and that of another session is dropped there. */
#include <stdlib.h>

#include "base/check.h"
#include "worker/agent_impl.h"

static void answer(struct agent *a, enum message_type type, const void *body)
{
	const struct worker_send s = {.type = type, .body = body};

	agent_send(a, &s);
}

/* Those that end are among them: what they run goes on until it ends. */
static struct slot *slot_at(const struct agent *a, uint32_t i)
{
	return i < SLOTS_PER_WORKER_MAX ? a->slots[i] : a->ending[i - SLOTS_PER_WORKER_MAX];
}

static uint32_t slot_places(const struct agent *a)
{
	return SLOTS_PER_WORKER_MAX + a->ending_count;
}

void agent_answer_look(struct agent *a, const struct look *m)
{
	struct running r = {.session = m->session, .request = m->request};

	r.attempts.items = check_calloc(slot_places(a), sizeof(struct running_attempt));
	for (uint32_t i = 0; i < slot_places(a); i++) {
		struct slot *s = slot_at(a, i);

		if (s != NULL && output_running(slot_output(s), &r.attempts.items[r.attempts.count]))
			r.attempts.count++;
	}
	answer(a, MESSAGE_RUNNING, &r);
	free(r.attempts.items);
}

void agent_answer_tail(struct agent *a, const struct tail *m)
{
	size_t room = m->credit < TAIL_BYTES_MAX ? m->credit : TAIL_BYTES_MAX;
	struct tail_bytes t = {.session = m->session, .request = m->request};
	uint8_t *bytes = check_calloc(1, room + 1);
	int64_t got = ERR_NOT_FOUND;

	for (uint32_t i = 0; i < slot_places(a) && got == ERR_NOT_FOUND; i++) {
		struct slot *s = slot_at(a, i);

		if (s != NULL)
			got = output_read_live(slot_output(s), m->token, m->shard, m->err, m->from, bytes,
					       room);
	}
	if (got == ERR_NOT_FOUND)
		got = recent_read(&a->output.recent, a->output.path, m->token, m->shard, m->err, m->from,
				  bytes, room);
	t.known = got >= 0;
	t.bytes = BYTES(bytes, got > 0 ? (size_t)got : 0);
	answer(a, MESSAGE_TAIL_BYTES, &t);
	free(bytes);
}
