/* What the dispatcher's API tells of workers and work, as the scaler's core wants it.
 *
 * A worker that was registered and whose process lives goes on counting for a while when the dispatcher
 * does not list it: after a restart of the dispatcher it is about to come back. */
#pragma once

#include "base/http_client.h"
#include "jobs/ids.h"
#include "scaler/core/core.h"
#include "scaler/providers/provider.h"

#define FLEET_MISSING_MAX_US (30 * USEC_PER_SEC)

struct fleet_worker {
	struct uuid id;
	char id_text[UUID_TEXT_BYTES];
	char provider_id[PROVIDER_ID_BYTES];
	bool ours; /* the provider lists it, and it has not ended */
	bool draining;
	bool busy;
	usec_t idle_since_us;	 /* while not busy */
	usec_t missing_since_us; /* 0 = it is registered */
	bool told;		 /* by this reading */
};

struct fleet {
	struct fleet_worker *workers;
	uint32_t count;
	struct scaler_demand demand;
	uint64_t unfit_shards;	/* wait for more than any worker of the pool has */
	struct resources offer; /* of the pool's largest worker, 0 = not known; set by the owner */
	usec_t shard_us;	/* cpu time of a shard, as last known; for what is leased */
	usec_t queued_since_us; /* 0 = nothing is queued */
};

void fleet_fini(struct fleet *f);
/* Asks the API; on failure nothing has changed. Workers of other pools are left out, unless `known`
 * says that they are the provider's. */
int fleet_read(struct fleet *f, struct http_client *http, const char *pool,
	       bool (*known)(void *arg, const char *provider_id), void *arg, usec_t now_us,
	       struct error *reterr) MUST_CHECK;
/* The registered or missing worker that the provider calls so; NULL when there is none. */
struct fleet_worker *fleet_find(struct fleet *f, const char *provider_id);
/* One that the provider lists as living and that was registered once, though nobody tells of it now. */
void fleet_miss(struct fleet *f, const struct provider_worker *w, usec_t now_us);
/* Forgets who is neither registered nor the provider's. */
void fleet_prune(struct fleet *f);
/* Is it there, or about to come back, or just about to end (it was draining)? */
bool fleet_counts(const struct fleet_worker *w, usec_t now_us);
