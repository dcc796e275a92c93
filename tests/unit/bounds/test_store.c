/* What waits for the journal's disk, and for history. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>

#include "base/limits.h"
#include "dispatcher/store/history.h"
#include "tests/unit/bounds/heap.h"
#include "tests/unit/store/journal_kit.h"

static const uint8_t records[100000];
static const size_t payload_bytes[] = {60, 700, 100000};

Test(bounds, historys_queue)
{
	for (size_t i = 0; i < ARRAY_LENGTH(payload_bytes); i++) {
		struct history *h;
		struct kit k;
		char path[128];
		size_t before;
		uint64_t lsn = 1;

		kit_begin(&k);
		snprintf(path, sizeof path, "%s/history.db", k.dir);
		cr_assert_eq(history_open(&h, path, 1, 2, NULL), 0);
		before = heap_now();
		while (history_submit(h, BYTES(records, payload_bytes[i]), lsn, 1)) /* nobody writes */
			lsn++;
		expect_bound("history's queue", HISTORY_QUEUE_BYTES_MAX, heap_now() - before);
		history_close(h);
		kit_end(&k);
	}
}

/* The committer's thread stands here, as before a disk that does not answer. */
static pthread_mutex_t disk = PTHREAD_MUTEX_INITIALIZER;
static sem_t stands;

static void stand_still(void *arg, uint64_t first_lsn, uint32_t record_count, uint32_t epoch,
			struct bytes payload)
{
	(void)arg;
	(void)first_lsn;
	(void)record_count;
	(void)epoch;
	(void)payload;
	sem_post(&stands);
	pthread_mutex_lock(&disk);
	pthread_mutex_unlock(&disk);
}

Test(bounds, the_journals_queue)
{
	for (size_t i = 0; i < ARRAY_LENGTH(payload_bytes); i++) {
		struct kit k;
		size_t before;

		kit_begin(&k);
		k.options.no_threads = false;
		k.options.tap = stand_still;
		k.options.segment_bytes = 64 * MIB;
		cr_assert_eq(journal_open(&k.j, k.journal, &k.options, NULL), 0);
		cr_assert_eq(journal_start(k.j, NULL), 0);
		pthread_mutex_lock(&disk);
		sem_init(&stands, 0, 0);
		journal_submit(k.j, 1, BYTES(records, 10), 1, false);
		while (sem_wait(&stands) < 0)
			;
		before = heap_now();
		while (journal_has_room(k.j, NULL) == 0)
			journal_submit(k.j, 1, BYTES(records, payload_bytes[i]), 1, false);
		expect_bound("the journal's queue", JOURNAL_QUEUE_BYTES_MAX, heap_now() - before);
		pthread_mutex_unlock(&disk);
		journal_close(k.j);
		k.j = NULL;
		kit_end(&k);
	}
}
