/* A worker's frames, and what else is heard of it. */
#include "dispatcher/core/durable/lease_table.h"
#include "dispatcher/core/volatile/sessions.h"
#include "dispatcher/core/decide/steps.h"

static void send_who(struct dispatcher_core *core, uint64_t peer, uint64_t session)
{
	struct who *who = step_alloc(core, sizeof *who);

	who->session = session;
	effect_send(core, peer, MESSAGE_WHO, who, 0);
}

/* The session that the frame names, if this peer is who has it; else it is asked who it is. */
static struct session *frame_session(struct dispatcher_core *core, uint64_t peer, uint64_t id)
{
	struct session *s = session_find(core, id);

	if (s == NULL || s->peer != peer) {
		send_who(core, peer, id);
		return NULL;
	}
	session_heard(core, s);
	return s;
}

static void take_heartbeat(struct dispatcher_core *core, uint64_t peer, const struct heartbeat *m)
{
	struct session *s = frame_session(core, peer, m->session);
	struct ack *ack;

	if (s == NULL)
		return;
	ack = step_alloc(core, sizeof *ack);
	*ack = (struct ack){.session = s->id, .seq = session_acked(s, core->durable_lsn)};
	effect_send(core, peer, MESSAGE_ACK, ack, 0);
}

static void take_need(struct dispatcher_core *core, uint64_t peer, const struct need *m)
{
	if (frame_session(core, peer, m->session) != NULL)
		effect_add(core, DISPATCHER_PARAMETERS, 0)->parameters =
		    (struct dispatcher_parameters){peer, m->session, m};
}

/* Of no concern to the core, but that the worker lives: who asked wants it. */
static void take_look(struct dispatcher_core *core, uint64_t peer, uint64_t session, uint32_t type,
		      const void *body)
{
	struct session *s = frame_session(core, peer, session);

	if (s != NULL)
		effect_add(core, DISPATCHER_LOOKED, 0)->looked =
		    (struct dispatcher_looked){s->worker->id, (enum message_type)type, body};
}

/* Its leases go back; crashed: they were in work when it was lost. */
static void end_session(struct dispatcher_core *core, struct worker *worker, bool crashed)
{
	worker->pinned = true;
	if (worker->session != NULL)
		session_destroy(core, worker->session);
	if (crashed)
		lease_crash(core, worker);
	else
		lease_return(core, worker, 0);
	worker->pinned = false;
	worker_release(&core->d, worker);
}

void session_end(struct dispatcher_core *core, struct session *s, bool crashed)
{
	end_session(core, s->worker, crashed);
}

void step_message(struct dispatcher_core *core, const struct input_message *in)
{
	struct bytes frame = in->frame;
	struct error err = {0};
	struct session *s;
	uint32_t type;
	void *body;
	int rc = codec_union_decode(&message_union, &frame, &type, &body, &core->out->arena, &err);

	if (rc < 0) {
		tell(core, true, 0,
		     step_text(core, "a worker's frame is dropped: %s (%s)", err.what, err.where));
		return;
	}
	switch ((enum message_type)type) {
	case MESSAGE_REGISTER:
		step_register(core, in->peer, body);
		return;
	case MESSAGE_REPORT:
		s = frame_session(core, in->peer, ((struct report *)body)->session);
		if (s != NULL)
			step_report(core, s, body);
		return;
	case MESSAGE_HEARTBEAT:
		take_heartbeat(core, in->peer, body);
		return;
	case MESSAGE_NEED:
		take_need(core, in->peer, body);
		return;
	case MESSAGE_RUNNING:
		take_look(core, in->peer, ((struct running *)body)->session, type, body);
		return;
	case MESSAGE_TAIL_BYTES:
		take_look(core, in->peer, ((struct tail_bytes *)body)->session, type, body);
		return;
	case MESSAGE_BYE:
		s = session_find(core, ((struct bye *)body)->session);
		if (s != NULL && s->peer == in->peer)
			session_end(core, s, false);
		return;
	default:
		tell(
		    core, true, 0,
		    step_text(core,
			      "a worker's frame is dropped: message %u goes the other way, or is no worker's",
			      type));
		return;
	}
}

void step_gone(struct dispatcher_core *core, struct uuid id)
{
	struct worker *worker = worker_find(&core->d, id);

	if (worker != NULL)
		end_session(core, worker, true);
}

void step_drain(struct dispatcher_core *core, const struct input_drain *in)
{
	struct worker *worker = worker_find(&core->d, in->worker);
	struct drain *m;

	if (worker == NULL || worker->session == NULL) {
		reply_error(core, in->request, ERR_NOT_FOUND, "no such worker is registered");
		return;
	}
	worker->session->draining = true;
	worker_changed(core, worker->session);
	m = step_alloc(core, sizeof *m);
	m->session = worker->session->id;
	effect_send(core, worker->session->peer, MESSAGE_DRAIN, m, 0);
	reply_ok(core, in->request, 0, 0, false, 0);
}
