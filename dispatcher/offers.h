/* What is there to run shards on: the most that workers have, and pools could start. A submission that needs
 * more is refused, since nobody would ever run it; whoever knows better says `allow_pending`. Pure. */
#pragma once

#include "base/arena.h"
#include "dispatcher/core/view.h"
#include "dispatcher/pools.h"

/* What a worker of the pool has: in *ret, whose named ones stand in items and borrow p. What its scaler did
 * not tell is 0 (cpus, memory: any number). */
void offer_of_pool(const struct pool_told *p, struct resources *ret,
		   struct named_amount items[NAMED_RESOURCES_MAX]);
/* Is all that is needed in one such worker? */
bool offer_suffices(const struct resources *need, const struct resources *offer);
/* The first thing of which more is needed than there is: "8 cpus" and "2". false: there is none. */
struct offer_lack {
	char needed[160], offered[64];
};
bool offer_lacks(const struct resources *need, const struct resources *offer, struct offer_lack *ret);

/* "cpus=8,memory=64GiB,gpus=2,license=1", without what is nothing; appended. */
void offer_write(const struct resources *r, struct buf *out);

/* ERR_LIMIT, in words, when a shard needs more of something than the cluster has together. */
int offers_check_shared(const struct resources *need, const struct view_shared shared[], uint32_t count,
			struct error *reterr) MUST_CHECK;
/* need: without what is shared. ERR_LIMIT, in words, when neither a worker nor a pool could ever run an
 * attempt that needs this. Nothing is refused where nobody is known, nor while workers of before a restart
 * may come back. */
int offers_check(const struct resources *need, const struct view_offers *workers, const struct pools *pools,
		 struct error *reterr) MUST_CHECK;
