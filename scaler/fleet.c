#include "scaler/fleet.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/amounts_text.h"
#include "jobs/api/objects.h"
#include "jobs/json.h"
#include "jobs/ids.h"

#define CALL_US (2 * USEC_PER_SEC)
#define ANSWER_DEPTH 16
#define SHARD_US_FIRST USEC_PER_SEC /* of a shard of which nothing is known */

void fleet_fini(struct fleet *f)
{
	free(f->workers);
	*f = (struct fleet){0};
}

/* ---- asking ---- */

/* ret_answer: of type o, which borrows from *ret; both are set on success only. */
static int get(struct http_client *http, const char *path, const struct object_type *o, void *ret_answer,
	       json_t **ret, struct error *reterr)
{
	const struct http_call call = {.method = "GET", .path = path, .timeout_us = CALL_US};
	struct http_answer answer;
	json_t *json = NULL;
	char asked[80];
	int rc = http_client_call(http, &call, &answer, reterr);

	if (rc < 0)
		return rc;
	if (answer.status == 200)
		json = json_read(buf_bytes(&answer.body), HTTP_ANSWER_BYTES_MAX, ANSWER_DEPTH, reterr);
	else
		error_set(reterr, ERR_IO, "expected status 200, found %u", answer.status);
	http_answer_fini(&answer);
	snprintf(asked, sizeof asked, "GET %s", path);
	if (json == NULL) {
		error_where(reterr, "%s", asked);
		return ERR_IO;
	}
	rc = object_read_answer(o, json, asked, ret_answer, reterr);
	if (rc == 0)
		*ret = json;
	else
		json_decref(json);
	return rc;
}

/* ---- workers ---- */

static struct fleet_worker *by_id(struct fleet *f, const char *id_text)
{
	for (uint32_t i = 0; i < f->count; i++)
		if (strcmp(f->workers[i].id_text, id_text) == 0)
			return &f->workers[i];
	return NULL;
}

struct fleet_worker *fleet_find(struct fleet *f, const char *provider_id)
{
	for (uint32_t i = 0; i < f->count; i++)
		if (provider_id[0] != '\0' && strcmp(f->workers[i].provider_id, provider_id) == 0)
			return &f->workers[i];
	return NULL;
}

static struct fleet_worker *add(struct fleet *f, const struct uuid *id, const char *provider_id,
				usec_t now_us)
{
	struct fleet_worker *w;

	f->workers = check_realloc(f->workers, f->count + 1, sizeof *f->workers);
	w = &f->workers[f->count++];
	*w = (struct fleet_worker){.id = *id, .idle_since_us = now_us};
	uuid_text(id, w->id_text);
	snprintf(w->provider_id, sizeof w->provider_id, "%s", provider_id);
	return w;
}

static void take_worker(struct fleet *f, const struct api_worker *said, usec_t now_us)
{
	struct fleet_worker *w;
	struct uuid id;

	if (uuid_parse(said->id, &id, NULL) < 0)
		return;
	w = by_id(f, api_text(said->id));
	if (w == NULL)
		w = add(f, &id, api_text(said->provider_id), now_us);
	if (w->busy)
		w->idle_since_us = now_us;
	w->told = true;
	w->missing_since_us = 0;
	w->busy = said->leases > 0;
	w->draining = bytes_equal(said->state, BYTES_LIT("draining"));
}

static int read_workers(struct http_client *http, json_t *all, struct error *reterr)
{
	char path[64] = "/v1/workers?limit=1000";
	struct api_workers workers;

	do {
		json_t *page;
		int rc = get(http, path, object_workers(), &workers, &page, reterr);

		if (rc < 0)
			return rc;
		json_array_extend(all, workers.workers);
		snprintf(path, sizeof path, "/v1/workers?limit=1000&cursor=%" PRIu64, workers.next);
		json_decref(page);
	} while (workers.next > 0 && json_array_size(all) < WORKERS_MAX);
	return 0;
}

void fleet_miss(struct fleet *f, const struct provider_worker *p, usec_t now_us)
{
	struct fleet_worker *w = fleet_find(f, p->id);
	struct uuid id;

	if (w == NULL && uuid_parse(bytes_of(p->worker), &id, NULL) == 0) {
		w = add(f, &id, p->id, now_us);
		w->missing_since_us = now_us;
		w->busy = true; /* for all we know */
	}
	if (w != NULL)
		w->ours = true;
}

void fleet_prune(struct fleet *f)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < f->count; i++)
		if (f->workers[i].missing_since_us == 0 || f->workers[i].ours)
			f->workers[kept++] = f->workers[i];
	f->count = kept;
}

bool fleet_counts(const struct fleet_worker *w, usec_t now_us)
{
	return w->missing_since_us == 0 || w->draining || now_us - w->missing_since_us < FLEET_MISSING_MAX_US;
}

/* ---- work ---- */

/* What part of the pool's largest worker a shard takes, in thousandths of its cpus; 0: it does not fit. A
 * shard of 1 cpu that needs half of the gpus keeps half of the worker's cpus from others like it. */
static uint64_t cpus_taken(const struct resources *offer, const struct api_shape *shape)
{
	struct named_amount items[NAMED_RESOURCES_MAX];
	struct named_amount_list named = {.items = items};
	double part = 0, most = 0;

	if (offer->cpu_milli == 0)
		return shape->cpus_milli;
	if (shape->gpus_milli > offer->gpu_milli || shape->cpus_milli > offer->cpu_milli ||
	    (offer->memory_bytes > 0 && shape->memory_bytes > offer->memory_bytes) ||
	    amounts_parse_named(shape->named.data != NULL ? api_text(shape->named) : "", &named, NULL) < 0)
		return 0;
	if (shape->gpus_milli > 0)
		most = (double)shape->gpus_milli / offer->gpu_milli;
	for (uint32_t i = 0; i < named.count; i++) {
		uint64_t has = 0;

		for (uint32_t k = 0; k < offer->named.count; k++)
			if (bytes_equal(offer->named.items[k].name, named.items[i].name))
				has = offer->named.items[k].amount;
		if (named.items[i].amount > has)
			return 0;
		part = (double)named.items[i].amount / (double)has;
		most = part > most ? part : most;
	}
	part = most * (double)offer->cpu_milli;
	return part > (double)shape->cpus_milli ? (uint64_t)part : shape->cpus_milli;
}

static void take_demand(struct fleet *f, const struct api_demand *said, uint64_t leased, usec_t now_us)
{
	struct scaler_demand d = {.leased_shards = leased};
	struct api_shape shape;
	uint64_t taken;
	json_t *json;
	size_t i;

	f->unfit_shards = 0;
	json_array_foreach(said->shapes, i, json)
	{
		object_read(object_shape(), json, &shape);
		taken = cpus_taken(&f->offer, &shape);
		if (taken == 0) {
			f->unfit_shards += shape.shards;
			continue;
		}
		d.queued_shards += shape.shards;
		d.work_us += (uint64_t)((double)shape.runnable_us * (double)taken / 1000);
	}
	if (d.queued_shards > 0)
		f->shard_us = (usec_t)(d.work_us / d.queued_shards);
	if (f->shard_us == 0)
		f->shard_us = SHARD_US_FIRST;
	d.work_us += leased * (uint64_t)f->shard_us;
	if (d.queued_shards == 0)
		f->queued_since_us = 0;
	else if (f->queued_since_us == 0)
		f->queued_since_us = now_us;
	d.oldest_wait_us = f->queued_since_us > 0 ? now_us - f->queued_since_us : 0;
	f->demand = d;
}

int fleet_read(struct fleet *f, struct http_client *http, const char *pool,
	       bool (*known)(void *arg, const char *provider_id), void *arg, usec_t now_us,
	       struct error *reterr)
{
	json_t *workers = json_array(), *demand_json = NULL, *one;
	struct api_demand demand;
	uint64_t leased = 0;
	size_t i;
	int rc = read_workers(http, workers, reterr);

	if (rc == 0)
		rc = get(http, "/v1/demand", object_demand(), &demand, &demand_json, reterr);
	if (rc == 0) {
		for (uint32_t k = 0; k < f->count; k++)
			f->workers[k].told = f->workers[k].ours = false;
		json_array_foreach(workers, i, one)
		{
			struct api_worker w;

			object_read(object_worker(), one, &w);
			leased += w.leased_shards;
			if (bytes_equal(w.pool, bytes_of(pool)) || known(arg, api_text(w.provider_id)))
				take_worker(f, &w, now_us);
		}
		for (uint32_t k = 0; k < f->count; k++)
			if (!f->workers[k].told && f->workers[k].missing_since_us == 0)
				f->workers[k].missing_since_us = now_us;
		take_demand(f, &demand, leased, now_us);
	}
	json_decref(workers);
	json_decref(demand_json);
	return rc;
}
