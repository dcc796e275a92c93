#include "tests/sim/disk.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define CLUSTER_HI 0x5d1a
#define CLUSTER_LO 0x11ed
#define SECTOR_BYTES 512

static void add_segment(struct disk *d)
{
	struct buf header = {0};
	struct disk_segment *s;

	d->segments = check_realloc(d->segments, d->segment_count + 1, sizeof *d->segments);
	s = &d->segments[d->segment_count++];
	*s = (struct disk_segment){
	    .bytes = check_calloc(1, d->segment_bytes),
	    .first_lsn = d->chain.lsn,
	    .end_lsn = d->chain.lsn,
	    .seed = (uint32_t)rng_u64(&d->world->rng),
	    .used_bytes = FRAME_BLOCK_BYTES,
	};
	frame_segment_encode(
	    &(struct frame_segment){
		.cluster_hi = CLUSTER_HI,
		.cluster_lo = CLUSTER_LO,
		.first_lsn = d->chain.lsn,
		.segment_bytes = d->segment_bytes,
		.seed = s->seed,
		.epoch = d->chain.epoch,
		.prev_crc = d->chain.prev_crc,
	    },
	    &header);
	CHECK(header.size == FRAME_BLOCK_BYTES);
	memcpy(s->bytes, header.data, header.size);
	buf_fini(&header);
}

void disk_init(struct disk *d, struct world *w, size_t segment_bytes)
{
	memset(d, 0, sizeof *d);
	d->world = w;
	d->segment_bytes = segment_bytes;
	d->chain.lsn = 1;
	add_segment(d);
}

void disk_fini(struct disk *d)
{
	for (size_t i = 0; i < d->segment_count; i++)
		free(d->segments[i].bytes);
	free(d->segments);
	d->segments = NULL;
	d->segment_count = 0;
}

size_t disk_payload_bytes_max(const struct disk *d)
{
	return frame_payload_bytes_max(d->segment_bytes);
}

static struct disk_segment *last_segment(struct disk *d)
{
	return &d->segments[d->segment_count - 1];
}

void disk_submit(struct disk *d, struct bytes payload, uint32_t record_count, uint32_t epoch, uint64_t life)
{
	struct world *w = d->world;
	struct disk_segment *s = last_segment(d);
	struct buf frame = {0};
	usec_t takes_us = world_between(w, 30, 300);

	CHECK(!d->in_flight && record_count > 0);
	if (payload.size > disk_payload_bytes_max(d))
		world_fail(w, "a commit of %zu bytes does not fit into a segment", payload.size);
	if (s->used_bytes + frame_size_bytes(payload.size) > d->segment_bytes) {
		add_segment(d);
		s = last_segment(d);
	}
	d->chain.epoch = epoch;
	frame_encode(&d->chain, s->seed, payload, record_count, &frame);
	d->in_flight = true;
	d->flight_offset = s->used_bytes;
	d->flight_size = frame.size;
	d->flight_payload = payload.size;
	d->flight_records = record_count;
	d->flight_lsn = d->chain.lsn - 1;
	memcpy(s->bytes + s->used_bytes, frame.data, frame.size);
	s->used_bytes += frame.size;
	s->end_lsn = d->chain.lsn;
	d->commit_count++;
	buf_fini(&frame);
	if (w->now_us < d->slow_until_us)
		takes_us += world_between(w, 0, 2 * USEC_PER_SEC);
	else if (world_chance(w, 20000))
		takes_us += world_between(w, 0, 50 * USEC_PER_MSEC);
	world_push(w, w->now_us + takes_us, SIM_DISK, HOST_DISPATCHER, life, 0, NULL);
}

void disk_synced(struct disk *d)
{
	CHECK(d->in_flight);
	d->in_flight = false;
	d->durable_lsn = d->flight_lsn;
}

/* What the platter holds of the commit that was not synced. */
void disk_crash(struct disk *d)
{
	struct world *w = d->world;
	struct disk_segment *s = last_segment(d);
	uint8_t *at = s->bytes + d->flight_offset;
	size_t sectors = (FRAME_HEADER_BYTES + d->flight_payload + SECTOR_BYTES - 1) / SECTOR_BYTES;
	uint64_t how;

	if (!d->in_flight)
		return;
	d->in_flight = false;
	how = rng_below(&w->rng, 8);
	switch (how) {
	case 0: /* all of it was written */
		SAY(w, "disk: the commit in flight came through");
		return;
	case 1: /* nothing */
		memset(at, 0, d->flight_size);
		SAY(w, "disk: the commit in flight is lost");
		return;
	case 2: /* a prefix of sectors */
	case 3:
		for (size_t n = rng_below(&w->rng, sectors); n < sectors; n++)
			memset(at + n * SECTOR_BYTES, 0, SECTOR_BYTES);
		break;
	case 4: /* any sectors */
	case 5:
		for (size_t n = 0; n < sectors; n++)
			if (world_chance(w, 500000))
				memset(at + n * SECTOR_BYTES, 0, SECTOR_BYTES);
		break;
	default: /* garbage in one sector */
		for (size_t n = rng_below(&w->rng, sectors) * SECTOR_BYTES, i = 0; i < SECTOR_BYTES; i++)
			at[n + i] = (uint8_t)rng_u64(&w->rng);
		break;
	}
	SAY(w, "disk: the commit in flight is torn");
}

static enum frame_status read_segment(struct disk *d, size_t at, struct frame_expect *expect,
				      disk_frame_fn *fn, void *context)
{
	struct world *w = d->world;
	struct disk_segment *s = &d->segments[at];
	struct frame_cursor c;
	struct frame f;
	struct error e = {0};
	enum frame_status status;
	char text[1000];

	expect->is_first = at == 0;
	expect->is_last = at + 1 == d->segment_count;
	if (frame_recover(&c, BYTES(s->bytes, d->segment_bytes), expect, &e) < 0)
		world_fail(w, "recovery refuses segment %zu: %s", at, error_text(&e, text, sizeof text));
	while ((status = frame_next(&c, &f, &e)) == FRAME_OK)
		fn(context, &f);
	if (status == FRAME_DAMAGED || (status == FRAME_TORN && !expect->is_last))
		world_fail(w, "recovery finds damage where only a commit was torn: %s",
			   error_text(&e, text, sizeof text));
	if (status == FRAME_TORN)
		memset(s->bytes + c.torn_first, 0, c.torn_end - c.torn_first);
	expect->chain = c.chain;
	s->used_bytes = c.offset;
	s->end_lsn = c.chain.lsn;
	return status;
}

void disk_recover(struct disk *d, disk_frame_fn *fn, void *context)
{
	struct frame_expect expect = {.cluster_hi = CLUSTER_HI, .cluster_lo = CLUSTER_LO};

	for (size_t i = 0; i < d->segment_count; i++)
		d->torn = read_segment(d, i, &expect, fn, context) == FRAME_TORN;
	d->chain = expect.chain;
	if (d->chain.lsn <= d->durable_lsn)
		world_fail(d->world, "lsn %llu was acknowledged, but recovery ends before %llu",
			   (unsigned long long)d->durable_lsn, (unsigned long long)d->chain.lsn);
	d->durable_lsn = d->chain.lsn - 1;
}

void disk_read(struct disk *d, disk_frame_fn *fn, void *context)
{
	struct frame_expect expect = {.cluster_hi = CLUSTER_HI, .cluster_lo = CLUSTER_LO};

	for (size_t i = 0; i < d->segment_count; i++)
		if (read_segment(d, i, &expect, fn, context) == FRAME_TORN)
			world_fail(d->world, "a whole journal reads as torn");
}

void disk_flight_read(struct disk *d, disk_frame_fn *fn, void *context)
{
	struct disk_segment *s = last_segment(d);

	CHECK(d->in_flight);
	fn(context, &(struct frame){
			.lsn = d->flight_lsn - d->flight_records + 1,
			.record_count = d->flight_records,
			.payload = BYTES(s->bytes + d->flight_offset + FRAME_HEADER_BYTES, d->flight_payload),
		    });
}

void disk_trim(struct disk *d, uint64_t lsn)
{
	size_t gone = 0;

	while (gone + 1 < d->segment_count && d->segments[gone].end_lsn <= lsn)
		free(d->segments[gone++].bytes);
	if (gone == 0)
		return;
	d->segment_count -= gone;
	d->trimmed_count += gone;
	memmove(d->segments, d->segments + gone, d->segment_count * sizeof *d->segments);
	SAY(d->world, "disk: %zu segments are trimmed, %zu are left", gone, d->segment_count);
}

uint64_t disk_oldest_end_lsn(const struct disk *d)
{
	return d->segment_count > 1 ? d->segments[0].end_lsn : 0;
}
