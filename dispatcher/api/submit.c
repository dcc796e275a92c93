/* POST /v1/jobs: a definition, or a command line that is made into one. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "dispatcher/api/after.h"
#include "dispatcher/api/asker.h"
#include "dispatcher/api/dry_run.h"
#include "dispatcher/api/submission.h"
#include "dispatcher/dedup/dedup.h"
#include "dispatcher/intake/intake_after.h"
#include "dispatcher/offers.h"
#include "dispatcher/retention/retention.h"

/* The header wins nothing: given twice, both have to say the same. */
static int read_key(struct request *r, struct submission *u, struct dedup_key *ret, struct error *reterr)
{
	const char *header = request_header(r, "Idempotency-Key");
	struct bytes id = u->asked.id, part;

	if (id.data != NULL && header[0] != '\0' && !bytes_equal(id, bytes_of(header)))
		error_set(reterr, ERR_INVALID, "the header Idempotency-Key and \"id\" are not the same");
	else if (id.data != NULL && (id.size == 0 || id.size > KEY_BYTES_MAX))
		error_set(reterr, ERR_INVALID, "expected 1 to %d bytes", KEY_BYTES_MAX);
	else if (strlen(header) > KEY_BYTES_MAX)
		error_set(reterr, ERR_INVALID, "expected an Idempotency-Key of at most %d bytes",
			  KEY_BYTES_MAX);
	else {
		part = id.data != NULL ? id : bytes_of(header);
		if (part.size > 0)
			*ret = dedup_key_of("submit", &part, 1, r->services->dedup_secret);
		return 0;
	}
	return error_where(reterr, "id");
}

bool submission_refused(struct request *r, const struct dispatcher_reply *reply)
{
	struct error e = {0};

	if (reply->code == ERR_OK)
		return false;
	error_set(&e, reply->code, "%s", reply->why);
	if (reply->code == ERR_EXISTS)
		error_help(&e, "wait until it has ended, or let the mode of `concurrency` be queue");
	if (reply->code == ERR_BUSY)
		error_help(&e, "send it again later; the bounds are the dispatcher's --jobs-max and what "
			       "`shardmill queues` shows");
	request_fail(r, &e);
	return true;
}

static void on_reply(void *arg, const struct dispatcher_reply *reply)
{
	struct request *r = arg;
	const struct api_accepted accepted = {.id = reply->job,
					      .jobs = reply->job_count,
					      .duplicate = reply->duplicate,
					      .forgotten = reply->duplicate &&
							   retention_has_forgotten(r->services, reply->job)};

	if (submission_refused(r, reply))
		return;
	request_answer(r, reply->duplicate ? MHD_HTTP_OK : MHD_HTTP_CREATED,
		       object_write(object_accepted(), &accepted));
}

/* Somebody has, or could start a worker that has, what each phase needs. */
static int check_offers(struct request *r, const struct submission *u, struct error *reterr)
{
	const struct definition_body *body = &u->definition->body;
	const struct dispatcher_core *core = services_core(r->services);
	struct view_shared shared[NAMED_RESOURCES_MAX];
	uint32_t shared_count = dispatcher_view_shared(core, shared);
	struct arena arena;
	int rc = 0;

	if (u->asked.allow_pending)
		return 0;
	arena_init(&arena, 0);
	pools_forget(r->services->pools, clock_mono_us());
	for (uint32_t i = 0; i < body->phases.count && rc == 0; i++) {
		const struct resources *need = &body->phases.items[i].policy.shape;
		struct view_offers offers;
		struct resources own;

		rc = offers_check_shared(need, shared, shared_count, reterr);
		if (rc < 0)
			break;
		dispatcher_view_own_need(core, need, &arena, &own);
		dispatcher_view_offers(core, &own, &arena, &offers);
		rc = offers_check(&own, &offers, r->services->pools, reterr);
	}
	arena_fini(&arena);
	return rc;
}

int submission_start(struct request *r, struct submission *u, struct error *reterr)
{
	struct dedup_key key = {0}, event_id;
	struct input_accept in = {0};
	struct ticket ticket = {on_reply, r};
	struct buf event = {0};
	int rc = read_key(r, u, &key, reterr);

	if (rc == 0)
		rc = check_offers(r, u, reterr);
	if (rc < 0)
		return rc;
	if (u->has_event)
		event_write(&u->event, &event);
	event_id = u->has_event ? key : (struct dedup_key){0};
	if (u->has_event && key.hi == 0 && key.lo == 0)
		randombytes_buf(&event_id, sizeof(event_id)); /* so that history keeps it all the same */
	u->job.by = request_by(r);
	u->job.event_id_hi = event_id.hi;
	u->job.event_id_lo = event_id.lo;
	in.key_hi = key.hi;
	in.key_lo = key.lo;
	in.definitions = (struct definition_body_list){&u->definition->body, 1};
	in.jobs = (struct new_job_list){&u->job, 1};
	in.event = buf_bytes(&event);
	in.ended = u->ended;
	in.whole = true;
	in.dry = u->asked.dry_run;
	if (in.dry)
		ticket = (struct ticket){dry_run_reply, dry_run_of(r, u)};
	/* A job that it waits for may end while it waits for a look into files of keys. */
	dedup_submit(r->services, &in, &ticket, intake_after_submit);
	buf_fini(&event);
	return 0;
}

void api_submit(struct request *r)
{
	struct submission *u;
	struct error e = {0};
	json_t *body;
	int rc;

	if (port_has_room(r->services->port, &e) < 0) {
		request_fail_room(r, &e);
		return;
	}
	body = request_object(r);
	if (body == NULL)
		return;
	u = check_calloc(1, sizeof(*u));
	rc = submission_read(u, body, &e);
	if (rc == 0 && u->job.after.count > 0) {
		after_start(r, u);
		return;
	}
	if (rc == 0)
		rc = submission_start(r, u, &e);
	if (rc < 0)
		request_fail(r, &e);
	submission_fini(u);
	free(u);
}
