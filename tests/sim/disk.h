/* The journal on a simulated disk: the real frame encoding and recovery (jobs/frame.h) over
 * segments in memory. One commit is in flight at a time. A crash loses it wholly, partly, in torn
 * sectors or with garbage, or keeps it; what was acknowledged must come back. */
#pragma once

#include "jobs/frame.h"
#include "tests/sim/world.h"

struct disk_segment {
	uint8_t *bytes;
	uint64_t first_lsn, end_lsn; /* records [first, end) that it holds */
	uint32_t seed;
	size_t used_bytes;
};

struct disk {
	struct world *world;
	size_t segment_bytes;
	struct disk_segment *segments; /* oldest first */
	size_t segment_count;
	struct frame_chain chain;
	uint64_t durable_lsn; /* the last record that is synced */
	bool in_flight;
	size_t flight_offset, flight_size; /* in the last segment */
	size_t flight_payload;
	uint32_t flight_records;
	uint64_t flight_lsn; /* its last record */
	uint64_t commit_count, trimmed_count;
	usec_t slow_until_us; /* syncs take long */
	bool torn;	      /* the last crash left a torn tail */
};

void disk_init(struct disk *d, struct world *w, size_t segment_bytes);
void disk_fini(struct disk *d);

/* The largest payload of one commit. */
size_t disk_payload_bytes_max(const struct disk *d);
/* Begins a commit in this epoch; SIM_DISK (host 0, a = life) tells its end. */
void disk_submit(struct disk *d, struct bytes payload, uint32_t record_count, uint32_t epoch, uint64_t life);
void disk_synced(struct disk *d);
void disk_crash(struct disk *d);

/* Called for each commit, in order. */
typedef void disk_frame_fn(void *context, const struct frame *f);
/* Reads all; what is torn is zeroed. Fails the run when anything durable is missing. */
void disk_recover(struct disk *d, disk_frame_fn *fn, void *context);

/* The same without a crash: all that is written, synced or not; changes nothing. */
void disk_read(struct disk *d, disk_frame_fn *fn, void *context);
/* The commit in flight alone. */
void disk_flight_read(struct disk *d, disk_frame_fn *fn, void *context);

/* Segments whose records all are before lsn go. */
void disk_trim(struct disk *d, uint64_t lsn);
/* Lsn behind the oldest segment's last record; 0 when there is only one segment. */
uint64_t disk_oldest_end_lsn(const struct disk *d);
