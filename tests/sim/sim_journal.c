/* The dispatcher's journal in the simulated world: submissions wait while one commit is on its way to the
 * disk (disk.h), as they do for the real one. */
#include <string.h>

#include "base/array.h"
#include "tests/sim/sim.h"

static void commit(struct sim_dispatcher *d)
{
	struct disk *disk = &d->sim->disk;
	size_t size = 0, count = 0;
	uint32_t records = 0;

	if (disk->in_flight || d->batch_count == 0)
		return;
	while (count < d->batch_count &&
	       (count == 0 || size + d->batches[count].size_bytes <= disk_payload_bytes_max(disk))) {
		size += d->batches[count].size_bytes;
		records += d->batches[count++].record_count;
	}
	disk_submit(disk, BYTES(d->records.data, size), records, d->epoch, d->life);
	memmove(d->records.data, d->records.data + size, d->records.size - size);
	d->records.size -= size;
	if (d->doomed)
		world_push(&d->sim->world, d->sim->world.now_us + 1, SIM_DOOM, HOST_DISPATCHER, d->life, 0,
			   NULL);
	d->batch_count -= count;
	memmove(d->batches, d->batches + count, d->batch_count * sizeof *d->batches);
}

uint64_t sim_journal_submit(void *arg, uint32_t epoch, struct bytes records, uint32_t count, bool alone)
{
	struct sim_dispatcher *d = arg;

	(void)alone;
	buf_append_bytes(&d->records, records);
	ARRAY_GROW(d->batches, d->batch_capacity, d->batch_count);
	d->batches[d->batch_count++] = (struct sim_batch){.size_bytes = records.size, .record_count = count};
	d->epoch = epoch;
	d->submitted_lsn += count;
	commit(d);
	return d->submitted_lsn;
}

void sim_dispatcher_synced(struct sim_dispatcher *d)
{
	struct world *w = &d->sim->world;
	struct disk *disk = &d->sim->disk;

	disk_flight_read(disk, sim_observe_durable, d);
	disk_synced(disk);
	world_push(w, w->now_us + world_between(w, 1, d->sim->scenario.history_lag_us), SIM_HISTORY,
		   HOST_DISPATCHER, disk->durable_lsn, d->life, NULL);
	commit(d);
	sim_dispatcher_turn(d);
}

void sim_journal_facts(void *arg, struct engine_journal *ret)
{
	const struct sim *s = ((struct sim_dispatcher *)arg)->sim;

	*ret = (struct engine_journal){0};
	if (s->scenario.journal_tiny)
		*ret = (struct engine_journal){.segments = s->disk.segment_count,
					       .bytes = UINT64_MAX,
					       .second_lsn = disk_oldest_end_lsn(&s->disk)};
}

int sim_journal_trim(void *arg, uint64_t lsn, struct error *reterr)
{
	struct sim *s = ((struct sim_dispatcher *)arg)->sim;

	(void)reterr;
	disk_trim(&s->disk, lsn);
	coverage_hit(s->coverage, ROW_TRIMMED, s->world.now_us);
	return 0;
}
