#include "dispatcher/core/durable/writer.h"

#include "dispatcher/core/durable/lease_table.h"

#include "dispatcher/core/volatile/resource_names.h"
#include "dispatcher/core/volatile/limits.h"
#include "dispatcher/core/volatile/turns.h"

bool uuid_equal(struct uuid a, struct uuid b)
{
	return a.hi == b.hi && a.lo == b.lo;
}

bool token_equal(struct token a, struct token b)
{
	return a.epoch == b.epoch && a.lease == b.lease;
}

int token_compare(struct token a, struct token b)
{
	if (a.epoch != b.epoch)
		return a.epoch < b.epoch ? -1 : 1;
	return (a.lease > b.lease) - (a.lease < b.lease);
}

/* The key is the struct without its padding, which may hold anything. */
struct token_key {
	uint64_t epoch, lease;
};

struct lease_entry *lease_find(const struct durable *d, struct token token)
{
	struct token_key key = {token.epoch, token.lease};
	struct lease_entry *lease = NULL;

	HASH_FIND(hh, d->leases, &key, sizeof key, lease);
	return lease;
}

struct lease_entry *lease_add(struct durable *d, struct token token, struct worker *worker,
			      struct job_row *row, uint64_t job)
{
	struct lease_entry *lease = check_calloc(1, sizeof *lease);

	CHECK(row->run != NULL && lease_find(d, token) == NULL);
	lease->token = token;
	lease->key_epoch = token.epoch;
	lease->key_lease = token.lease;
	lease->job = job;
	lease->phase = row->phase;
	lease->worker = worker;
	lease->run = row->run;
	shard_set_init(&lease->held);
	DL_APPEND2(row->run->leases, lease, job_prev, job_next);
	row->run->lease_count++;
	DL_APPEND2(worker->leases, lease, worker_prev, worker_next);
	worker->lease_count++;
	HASH_ADD(hh, d->leases, key_epoch, sizeof(struct token_key), lease);
	return lease;
}

static void load_follow(struct lease_entry *lease)
{
	uint64_t shards = shard_set_count(&lease->held), ns = 0;

	if (lease->slots > 0 && shards > 0) {
		ns = lease->load_ns_max / shards < lease->shard_ns ? lease->load_ns_max
								   : shards * lease->shard_ns;
		ns /= lease->slots;
	}
	lease->worker->load_ns += ns - lease->load_ns;
	lease->load_ns = ns;
}

void lease_load_set(struct lease_entry *lease, uint64_t shard_ns, uint64_t load_ns_max, uint32_t slots)
{
	lease->shard_ns = shard_ns;
	lease->load_ns_max = load_ns_max;
	lease->slots = slots;
	load_follow(lease);
}

/* What its session has free, and what its shape has out, change with it. */
static void unbind(struct lease_entry *lease)
{
	lease_load_set(lease, 0, 0, 0);
	turns_close(&lease->charge);
	limits_unbind(lease);
	if (lease->shape == NULL)
		return;
	lease->shape->leases--;
	if (lease->worker->session != NULL)
		amounts_subtract(&lease->worker->session->used,
				 amounts_doubled(&lease->shape->need, lease->traits.doublings));
	lease->shape = NULL;
}

void lease_remove(struct durable *d, struct lease_entry *lease)
{
	struct worker *worker = lease->worker;
	struct run *run = lease->run;

	unbind(lease);
	run->leased_shards -= shard_set_count(&lease->held);
	worker->leased_shards -= shard_set_count(&lease->held);
	DL_DELETE2(run->leases, lease, job_prev, job_next);
	run->lease_count--;
	DL_DELETE2(worker->leases, lease, worker_prev, worker_next);
	worker->lease_count--;
	HASH_DEL(d->leases, lease);
	shard_set_fini(&lease->held);
	free(lease);
	worker_release(d, worker);
}

uint32_t lease_hold(struct lease_entry *lease, struct range r)
{
	uint32_t n = shard_set_add(&lease->held, r.first, r.count);

	lease->run->leased_shards += n;
	lease->worker->leased_shards += n;
	load_follow(lease);
	limits_follow(lease);
	return n;
}

uint32_t lease_drop(struct lease_entry *lease, struct range r)
{
	uint32_t n = shard_set_remove(&lease->held, r.first, r.count);

	lease->run->leased_shards -= n;
	lease->worker->leased_shards -= n;
	load_follow(lease);
	limits_follow(lease);
	return n;
}

struct worker *worker_find(const struct durable *d, struct uuid id)
{
	struct worker *worker = NULL;

	HASH_FIND(hh, d->workers, &id, sizeof id, worker);
	return worker;
}

struct worker *worker_intern(struct durable *d, struct uuid id)
{
	struct worker *worker = worker_find(d, id);

	if (worker != NULL)
		return worker;
	worker = check_calloc(1, sizeof *worker);
	worker->id = id;
	HASH_ADD(hh, d->workers, id, sizeof worker->id, worker);
	return worker;
}

void worker_release(struct durable *d, struct worker *worker)
{
	if (worker->leases != NULL || worker->session != NULL || worker->pinned)
		return;
	HASH_DEL(d->workers, worker);
	free(worker);
}

void lease_table_fini(struct durable *d)
{
	struct lease_entry *lease, *next;
	struct worker *worker, *next_worker;

	HASH_ITER (hh, d->leases, lease, next)
		lease_remove(d, lease);
	HASH_ITER (hh, d->workers, worker, next_worker) {
		HASH_DEL(d->workers, worker);
		free(worker);
	}
}
