/* The simulated disk by itself: whatever a crash does to the commit in flight, recovery gives back
 * every acknowledged record, in order, and at most the one commit more. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/disk.h"

#define ROUNDS 300

struct seen {
	uint64_t next_lsn, records;
};

static void count(void *context, const struct frame *f)
{
	struct seen *s = context;

	if (s->next_lsn != 0 && f->lsn != s->next_lsn) {
		fprintf(stderr, "lsn %llu follows %llu\n", (unsigned long long)f->lsn,
			(unsigned long long)s->next_lsn);
		exit(1);
	}
	s->next_lsn = f->lsn + f->record_count;
	s->records += f->record_count;
}

static void one_round(struct disk *d, struct world *w, uint64_t *torn)
{
	uint8_t payload[9000];
	size_t size = 1 + rng_below(&w->rng, sizeof payload);
	struct seen s = {0};

	memset(payload, (int)rng_below(&w->rng, 256), size);
	disk_submit(d, BYTES(payload, size), 1 + (uint32_t)rng_below(&w->rng, 3), 1, 1);
	if (!world_chance(w, 300000)) {
		disk_synced(d);
		return;
	}
	disk_crash(d);
	disk_recover(d, count, &s);
	*torn += d->torn;
	if (world_chance(w, 300000))
		disk_trim(d, disk_oldest_end_lsn(d));
}

/* Commits made, or -1 when a promise was broken. */
static int one_seed(uint64_t seed, uint64_t *torn)
{
	struct world w;
	struct disk d;

	world_init(&w, seed, false);
	disk_init(&d, &w, 16 * FRAME_BLOCK_BYTES);
	if (setjmp(w.out) != 0) {
		fprintf(stderr, "seed %llu: %s\n", (unsigned long long)seed, w.failure);
		return -1;
	}
	for (size_t i = 0; i < ROUNDS; i++)
		one_round(&d, &w, torn);
	disk_fini(&d);
	world_fini(&w);
	return ROUNDS;
}

int main(void)
{
	uint64_t torn = 0;
	int64_t commits = 0;

	for (uint64_t seed = 1; seed <= 50; seed++) {
		int n = one_seed(seed, &torn);

		if (n < 0)
			return 1;
		commits += n;
	}
	printf("sim disk: %lld commits, %llu torn tails, nothing acknowledged is lost\n", (long long)commits,
	       (unsigned long long)torn);
	return torn == 0;
}
