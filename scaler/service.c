#include "scaler/service.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "jobs/ids.h"
#include "scaler/service_impl.h"

/* How often the dispatcher is asked: seldom while nothing changes. With no worker at all somebody may be
 * waiting for the first one. */
#define POLL_QUIET_US USEC_PER_SEC
#define POLL_MOVING_US (200 * USEC_PER_MSEC)
#define CALL_US (2 * USEC_PER_SEC)
#define SILENCE_US (3 * USEC_PER_SEC) /* of the dispatcher, until it is told */

/* ---- effects ---- */

static void step(struct service *s, struct scaler_input *in);

static void fail_start(struct service *s, uint64_t start, const char *why)
{
	struct scaler_input in = {.kind = SCALER_START_FAILED};

	in.start_failed.start = start;
	in.start_failed.why = bytes_of(why);
	step(s, &in);
}

static void start_worker(struct service *s, uint64_t start)
{
	struct service_start *made = check_calloc(1, sizeof *made);
	struct scaler_input in = {.kind = SCALER_STARTED};
	char line[ERROR_LINE_MAX];
	struct error e;

	if (s->provider->ops->start(s->provider, made->id, &e) < 0) {
		log_warn("a worker could not be started", log_error_field(&e, line, sizeof line));
		free(made);
		fail_start(s, start, error_text(&e, line, sizeof line));
		return;
	}
	made->start = start;
	made->next = s->starts;
	s->starts = made;
	in.started.start = start;
	in.started.provider_id = bytes_of(made->id);
	step(s, &in);
}

/* It has registered (why is NULL), or ended before it did. */
static void settle_start(struct service *s, const char *id, const char *why)
{
	for (struct service_start **at = &s->starts; *at != NULL; at = &(*at)->next) {
		struct service_start *found = *at;

		if (strcmp(found->id, id) != 0)
			continue;
		*at = found->next;
		if (why != NULL)
			fail_start(s, found->start, why);
		free(found);
		return;
	}
}

/* False when the dispatcher did not take it. */
static bool post(struct service *s, const char *worker, const char *verb)
{
	char path[96], line[ERROR_LINE_MAX];
	const struct http_call call = {.method = "POST", .path = path, .timeout_us = CALL_US};
	struct http_answer answer;
	struct error e;

	snprintf(path, sizeof path, "/v1/workers/%s/%s", worker, verb);
	if (http_client_call(s->http, &call, &answer, &e) < 0) {
		log_warn("the dispatcher could not be told", log_text("what", verb),
			 log_text("worker", worker), log_error_field(&e, line, sizeof line));
		return false;
	}
	if (answer.status >= 400 && answer.status != 404)
		log_warn("the dispatcher refuses", log_text("what", verb), log_text("worker", worker),
			 log_u64("status", answer.status), log_bytes("answer", buf_bytes(&answer.body)));
	http_answer_fini(&answer);
	return answer.status < 500;
}

static void carry_out(struct service *s, const struct scaler_effect *e)
{
	char worker[UUID_TEXT_BYTES];

	switch (e->kind) {
	case SCALER_START:
		start_worker(s, e->start);
		break;
	case SCALER_DRAIN:
		uuid_text(&e->drain, worker);
		(void)post(s, worker, "drain"); /* the core says it again when it does not show */
		break;
	case SCALER_ABANDON:
		if (e->abandon.provider_id.size > 0)
			s->provider->ops->abandon(s->provider, (const char *)e->abandon.provider_id.data);
		break;
	case SCALER_TELL:
		log_info("scaling", log_text("pool", s->pool), log_u64("workers", s->fleet.count),
			 log_u64("wanted", e->tell.wanted), log_bytes("why", e->tell.why));
		break;
	}
}

/* A start is answered at once, by a step within this one: as deep as one decision starts workers. */
static void step(struct service *s, struct scaler_input *in)
{
	struct scaler_effects effects;
	char line[ERROR_LINE_MAX];
	struct error e;

	scaler_effects_init(&effects);
	in->mono_us = clock_mono_us();
	in->wall_us = clock_wall_us();
	if (scaler_core_step(s->core, in, &effects, &e) < 0)
		log_error("the scaler's core refuses an input", log_error_field(&e, line, sizeof line));
	for (int tells = 1; tells >= 0; tells--) /* the reason stands above what it brings about */
		for (uint32_t i = 0; i < effects.count; i++)
			if ((effects.items[i].kind == SCALER_TELL) == tells)
				carry_out(s, &effects.items[i]);
	scaler_effects_fini(&effects);
}

/* ---- what is there ---- */

/* Is it one of the provider's? */
struct lookup {
	const char *id;
	bool found;
};

static void look(void *arg, const struct provider_worker *w)
{
	struct lookup *l = arg;

	l->found = l->found || strcmp(l->id, w->id) == 0;
}

static bool is_known(void *arg, const char *provider_id)
{
	struct service *s = arg;
	struct lookup l = {.id = provider_id};

	if (provider_id[0] != '\0')
		s->provider->ops->list(s->provider, look, &l);
	return l.found;
}

/* One of the provider's list, after the API was read. */
static void reconcile(void *arg, const struct provider_worker *w)
{
	struct service *s = arg;
	struct fleet_worker *f = fleet_find(&s->fleet, w->id);
	const char *id = f != NULL ? f->id_text : w->worker;
	char why[sizeof w->how + 40];

	if (w->ended) {
		snprintf(why, sizeof why, "it ended before it registered: %s", w->how);
		settle_start(s, w->id, id[0] == '\0' ? why : NULL);
		/* Its leases go back at once. Who never registered has none. */
		if (id[0] == '\0' || post(s, id, "gone"))
			s->provider->ops->forget(s->provider, w->id);
		if (f != NULL) /* listed before it was told gone */
			f->missing_since_us = loop_now_us(s->loop);
		return;
	}
	if (f != NULL && f->missing_since_us == 0 && w->worker[0] == '\0') {
		s->provider->ops->note(s->provider, w->id, f->id_text);
		settle_start(s, w->id, NULL);
	}
	if (f != NULL && f->draining)
		return; /* it is leaving: neither missed nor an instance any more */
	fleet_miss(&s->fleet, w, loop_now_us(s->loop));
	s->instances = check_realloc(s->instances, s->instance_count + 1, sizeof *s->instances);
	s->instances[s->instance_count++] = bytes_of(w->id);
}

static void give_instances(struct service *s)
{
	struct scaler_input in = {.kind = SCALER_INSTANCES};

	in.instances.provider_ids = s->instances;
	in.instances.count = s->instance_count;
	step(s, &in);
}

static void give_workers(struct service *s)
{
	struct scaler_worker *items = check_calloc(s->fleet.count + 1, sizeof *items);
	struct scaler_input in = {.kind = SCALER_WORKERS};
	usec_t now = loop_now_us(s->loop);
	uint32_t count = 0;

	for (uint32_t i = 0; i < s->fleet.count; i++) {
		const struct fleet_worker *w = &s->fleet.workers[i];

		if (!fleet_counts(w, now))
			continue;
		items[count++] = (struct scaler_worker){.id = w->id,
							.provider_id = bytes_of(w->provider_id),
							.draining = w->draining,
							.busy = w->busy,
							.idle_us = w->busy ? 0 : now - w->idle_since_us};
	}
	in.workers.items = items;
	in.workers.count = count;
	step(s, &in);
	free(items);
}

static void tell_unfit(struct service *s)
{
	bool now = s->fleet.unfit_shards > 0;

	if (now && !s->unfit_told)
		log_warn("work waits that wants more than any worker of the pool has",
			 log_text("pool", s->pool), log_u64("shards", s->fleet.unfit_shards),
			 log_u64("cpus_of_a_worker", s->fleet.offer.cpu_milli / 1000),
			 log_u64("gpus_of_a_worker", s->fleet.offer.gpu_milli / 1000));
	s->unfit_told = now;
}

/* ---- the turn ---- */

static bool read_api(struct service *s)
{
	char line[ERROR_LINE_MAX];
	struct error e;
	usec_t now = loop_now_us(s->loop);
	bool good = fleet_read(&s->fleet, s->http, s->pool, is_known, s, now, &e) == 0;

	if (good && (s->silence_told || s->heard_us == 0))
		log_info("the dispatcher answers", log_text("api", s->api_socket));
	if (s->heard_us == 0)
		s->heard_us = now; /* at the start it may need a moment, too */
	if (good) {
		s->heard_us = now;
		s->silence_told = false;
	} else if (!s->silence_told && now - s->heard_us >= SILENCE_US) {
		s->silence_told = true;
		log_warn("the dispatcher does not answer; workers stay as they are",
			 log_error_field(&e, line, sizeof line));
	}
	s->api_answers = good;
	return good;
}

static usec_t next_poll(const struct service *s)
{
	struct scaler_view v;
	usec_t wait, deadline = scaler_core_deadline(s->core), now = loop_now_us(s->loop);

	scaler_core_view(s->core, 0, &v);
	wait = !s->api_answers || v.ready == 0 || v.starting > 0 || v.draining > 0 || v.wanted != v.ready
		   ? POLL_MOVING_US
		   : POLL_QUIET_US;
	return deadline < now + wait && deadline > now ? deadline : now + wait;
}

static void on_poll(struct loop *loop, void *arg)
{
	struct service *s = arg;
	struct scaler_input demand = {.kind = SCALER_DEMAND};

	s->instance_count = 0;
	if (read_api(s)) {
		s->provider->ops->list(s->provider, reconcile, s);
		fleet_prune(&s->fleet);
		tell_unfit(s);
		give_workers(s);
		give_instances(s);
		demand.demand = s->fleet.demand;
		step(s, &demand);
		service_tell(s);
	}
	loop_timer_set(loop, &s->poll, next_poll(s));
}

static void on_changed(void *arg)
{
	struct service *s = arg;

	loop_timer_set(s->loop, &s->poll, loop_now_us(s->loop));
}

static void on_signal(struct loop *loop, int signo, void *arg)
{
	(void)arg;
	log_info("the scaler leaves; its workers go on", log_i64("signal", signo));
	loop_stop(loop);
}

static void on_reload(struct loop *loop, int signo, void *arg)
{
	(void)loop;
	(void)arg;
	child_reopen_log();
	log_info("the log was opened again", log_i64("signal", signo));
}

int service_run(const struct params *params, struct error *reterr)
{
	struct service *s = check_calloc(1, sizeof *s);
	int rc = service_open(s, params, reterr);

	if (rc == 0)
		rc = loop_add_signal(s->loop, SIGINT, on_signal, s, reterr);
	if (rc == 0)
		rc = loop_add_signal(s->loop, SIGTERM, on_signal, s, reterr);
	if (rc == 0)
		rc = loop_add_signal(s->loop, SIGHUP, on_reload, s, reterr);
	if (rc == 0) {
		s->provider->changed = on_changed;
		s->provider->changed_arg = s;
		s->poll = (struct loop_timer){.fn = on_poll, .arg = s};
		loop_timer_set(s->loop, &s->poll, loop_now_us(s->loop));
		log_info("the scaler runs", log_text("pool", s->pool),
			 log_text("provider", s->provider->ops->name));
		loop_run(s->loop);
	}
	service_close(s);
	free(s);
	return rc;
}
