/* What service.c (the turns) and service_open.c (the beginning and the end) share. */
#pragma once

#include "base/http_client.h"
#include "base/limits.h"
#include "base/loop.h"
#include "base/params.h"
#include "scaler/core/core.h"
#include "scaler/fleet.h"
#include "scaler/providers/provider.h"

/* A start that the core waits for. */
struct service_start {
	uint64_t start;
	char id[PROVIDER_ID_BYTES];
	struct service_start *next;
};

struct service {
	struct loop *loop;
	int lock_fd;
	char *state_dir, *api_socket;
	const char *pool;
	struct http_client *http;
	struct provider *provider;
	struct scaler_core *core;
	struct fleet fleet;
	struct named_amount named[NAMED_RESOURCES_MAX]; /* of fleet.offer */
	struct loop_timer poll;
	struct bytes *instances; /* ids of the provider's living workers, for the turn */
	uint32_t instance_count;
	usec_t heard_us; /* when the dispatcher last answered; 0 = we have not asked yet */
	struct service_start *starts;
	bool api_answers, silence_told;
	bool unfit_told;
	uint32_t min_workers, max_workers; /* the bounds that hold */
	struct buf told; /* what the dispatcher was last told of the pool, without what only time changes */
	usec_t told_us;
};

int service_open(struct service *s, const struct params *params, struct error *reterr) MUST_CHECK;
void service_close(struct service *s);
/* tell.c: when something is new, and now and then. */
void service_tell(struct service *s);
