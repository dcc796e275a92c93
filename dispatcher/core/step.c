#include "dispatcher/core/core.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "dispatcher/core/durable/apply.h"
#include "dispatcher/core/decide/steps.h"
#include "dispatcher/core/volatile/turns.h"
#include "jobs/ids.h"

void dispatcher_effects_init(struct dispatcher_effects *out)
{
	*out = (struct dispatcher_effects){0};
	arena_init(&out->arena, 0);
}

void dispatcher_effects_fini(struct dispatcher_effects *out)
{
	free(out->items);
	buf_fini(&out->records);
	arena_fini(&out->arena);
}

static void effects_clear(struct dispatcher_effects *out)
{
	out->count = 0;
	buf_clear(&out->records);
	out->record_count = 0;
	out->carry_done = false;
	out->touched_count = 0;
	arena_reset(&out->arena);
}

void *step_alloc(struct dispatcher_core *core, size_t size)
{
	void *p = arena_alloc(&core->out->arena, size);

	CHECK(p != NULL);
	return p;
}

const char *step_text(struct dispatcher_core *core, const char *fmt, ...)
{
	char text[512];
	va_list args;
	size_t size;
	char *copy;

	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	size = strlen(text) + 1;
	copy = step_alloc(core, size);
	memcpy(copy, text, size);
	return copy;
}

void emit_applied(struct dispatcher_core *core, uint32_t type, const void *record)
{
	codec_union_encode_deltas(&record_union, type, record, &core->out->records);
	core->out->record_count++;
	durable_applied(&core->d);
}

void emit(struct dispatcher_core *core, uint32_t type, const void *record)
{
	struct error err = {0};
	int rc;

	codec_union_encode_deltas(&record_union, type, record, &core->out->records);
	core->out->record_count++;
	rc = durable_apply(&core->d, type, record, core->d.last_lsn + 1, &err);
	CHECK(rc == 0);
}

const char *step_uuid(struct dispatcher_core *core, const struct uuid *id)
{
	char *text = step_alloc(core, UUID_TEXT_BYTES);

	uuid_text(id, text);
	return text;
}

struct dispatcher_effect *effect_add(struct dispatcher_core *core, enum dispatcher_effect_kind kind,
				     uint64_t after_lsn)
{
	struct dispatcher_effects *out = core->out;
	struct dispatcher_effect *e;

	ARRAY_GROW(out->items, out->capacity, out->count);
	e = &out->items[out->count++];
	/* Nobody may hear of an epoch that a crash would give to the next start as well. */
	if (core->durable_lsn < core->epoch_lsn && after_lsn < core->epoch_lsn)
		after_lsn = core->epoch_lsn;
	*e = (struct dispatcher_effect){.kind = kind,
					.after_lsn = after_lsn <= core->durable_lsn ? 0 : after_lsn};
	return e;
}

void effect_send(struct dispatcher_core *core, uint64_t peer, enum message_type type, const void *body,
		 uint64_t after_lsn)
{
	if (peer != 0)
		effect_add(core, DISPATCHER_SEND, after_lsn)->send =
		    (struct dispatcher_send){peer, type, body};
}

void reply_ok(struct dispatcher_core *core, uint64_t request, uint64_t job, uint32_t job_count,
	      bool duplicate, uint64_t after_lsn)
{
	if (request != 0)
		effect_add(core, DISPATCHER_REPLY, after_lsn)->reply =
		    (struct dispatcher_reply){.request = request,
					      .job = job,
					      .job_count = job_count,
					      .duplicate = duplicate,
					      .why = ""};
}

void reply_dry(struct dispatcher_core *core, uint64_t request, uint64_t job, bool duplicate, const char *why)
{
	if (request != 0)
		effect_add(core, DISPATCHER_REPLY, core->d.last_lsn)->reply =
		    (struct dispatcher_reply){.request = request,
					      .job = job,
					      .job_count = duplicate,
					      .duplicate = duplicate,
					      .why = why != NULL ? why : ""};
}

void reply_accepted(struct dispatcher_core *core, uint64_t request, uint64_t job, uint32_t job_count,
		    const struct skipped *skipped)
{
	if (request != 0)
		effect_add(core, DISPATCHER_REPLY, core->d.last_lsn)->reply =
		    (struct dispatcher_reply){.request = request,
					      .job = job,
					      .job_count = job_count,
					      .skipped = skipped->count,
					      .why = skipped->count > 0 ? skipped->why : ""};
}

void reply_error(struct dispatcher_core *core, uint64_t request, enum error_code code, const char *why)
{
	if (request != 0)
		effect_add(core, DISPATCHER_REPLY, 0)->reply =
		    (struct dispatcher_reply){.request = request, .code = code, .why = why};
}

void tell(struct dispatcher_core *core, bool warning, uint64_t job, const char *what)
{
	effect_add(core, DISPATCHER_TELL, 0)->tell = (struct dispatcher_tell){warning, job, what};
}

/* Also when the core is destroyed, with nobody to tell. */
void worker_changed(struct dispatcher_core *core, const struct session *s)
{
	if (core->out != NULL)
		effect_add(core, DISPATCHER_WORKER, 0)->worker = s->worker->id;
}

static void step_watermark(struct dispatcher_core *core, const struct input_watermark *in)
{
	struct watermark r = {.intake = in->intake, .position = in->position};

	emit(core, RECORD_WATERMARK, &r);
}

/* The shell tells what has come to be. False: it is another input. */
static bool take_fact(struct dispatcher_core *core, const struct dispatcher_input *in)
{
	const void *body = in->body;

	switch ((unsigned)in->type) {
	case INPUT_DURABLE:
		step_durable(core, ((const struct input_durable *)body)->lsn);
		return true;
	case INPUT_HISTORY:
		step_history(core, ((const struct input_history *)body)->lsn);
		return true;
	case INPUT_DEDUP_KEPT:
		step_dedup_kept(core, body);
		return true;
	default:
		return false;
	}
}

static int take_input(struct dispatcher_core *core, const struct dispatcher_input *in)
{
	const void *body = in->body;

	if (take_fact(core, in))
		return 0;
	switch ((enum input_type)in->type) {
	case INPUT_TICK:
		step_tick(core);
		return 0;
	case INPUT_MESSAGE:
		step_message(core, body);
		return 0;
	case INPUT_ACCEPT:
		step_accept(core, body);
		return 0;
	case INPUT_CANCEL:
		step_cancel(core, body);
		return 0;
	case INPUT_PAUSE:
		step_pause(core, body);
		return 0;
	case INPUT_RETRY:
		step_retry(core, body);
		return 0;
	case INPUT_REOPEN:
		step_reopen(core, body);
		return 0;
	case INPUT_INTEREST:
		core->ends_unwanted = !((const struct input_interest *)body)->ends;
		return 0;
	case INPUT_FORGET:
		step_forget(core, body);
		return 0;
	case INPUT_QUEUE_SET:
		step_queue_set(core, body);
		return 0;
	case INPUT_PIECE:
		step_piece(core, body);
		return 0;
	case INPUT_SEALED:
		step_sealed(core, body);
		return 0;
	case INPUT_PLAN_FAILED:
		step_plan_failed(core, body);
		return 0;
	case INPUT_GONE:
		step_gone(core, ((const struct input_gone *)body)->worker);
		return 0;
	case INPUT_DRAIN:
		step_drain(core, body);
		return 0;
	case INPUT_SETTLED:
		step_settled(core, ((const struct input_settled *)body)->job);
		return 0;
	case INPUT_WATERMARK:
		step_watermark(core, body);
		return 0;
	case INPUT_OPEN:
		return step_open(core, body);
	case INPUT_CARRY:
		step_carry(core, body);
		return 0;
	case INPUT_DURABLE:
	case INPUT_HISTORY:
	case INPUT_DEDUP_KEPT:
		break; /* taken */
	}
	return ERR_INVALID;
}

/* The live clock stands still while the dispatcher does: a gap counts as one heartbeat at most. */
static void take_time(struct dispatcher_core *core, const struct dispatcher_input *in)
{
	usec_t gap_us = core->open && in->mono_us > core->mono_us ? in->mono_us - core->mono_us : 0;

	if (gap_us > core->config.heartbeat_us)
		gap_us = core->config.heartbeat_us;
	core->live_us += gap_us;
	if (!core->open || in->mono_us > core->mono_us)
		core->mono_us = in->mono_us;
	core->wall_us = in->wall_us;
	turns_set_time(core);
}

int dispatcher_core_step(struct dispatcher_core *core, const struct dispatcher_input *in,
			 struct dispatcher_effects *out)
{
	effects_clear(out);
	if (core->open == (in->type == INPUT_OPEN) || codec_union_find(&input_union, in->type) == NULL)
		return ERR_INVALID;
	take_time(core, in);
	core->out = out;
	if (take_input(core, in) < 0) {
		core->out = NULL;
		return ERR_INVALID;
	}
	step_settle(core);
	step_grant(core);
	step_steal(core);
	out->last_lsn = core->d.last_lsn;
	core->out = NULL;
	dispatcher_core_check(core, CHECK_TOUCHED);
	for (uint32_t i = 0; i < core->d.touched_count; i++) {
		struct job_row *row = job_get(core, core->d.touched[i]);

		if (row != NULL)
			row->live_flags &= (uint8_t)~JOB_TOUCHED;
	}
	out->touched = core->d.touched;
	out->touched_count = core->d.touched_count;
	core->d.touched_count = 0;
	return 0;
}
