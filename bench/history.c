/* What history's thread takes for a job of one shard with its event, how many bytes of its file, and how fast
 * it forgets. Records are made as the core makes them, and fed without a journal behind them; the time is
 * that of the process without the thread that makes the records.
 *
 *   bench-history DIRECTORY JOBS [AHEAD]: JOBS are told of in ten parts, AHEAD of them (50000) are accepted
 * before the first one ends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rng.h"
#include "dispatcher/store/history.h"
#include "dispatcher/store/history_reader.h"
#include "jobs/kinds.h"

#define BATCH 256 /* jobs of one commit */
#define PARTS 10

static struct history *h;
static struct rng rng;
static struct buf records;
static uint64_t lsn;
static uint32_t record_count;
static uint8_t sha256[32] = {1};
static uint64_t (*event_ids)[2];

static double seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double writer_seconds(void)
{
	return seconds(CLOCK_PROCESS_CPUTIME_ID) - seconds(CLOCK_THREAD_CPUTIME_ID);
}

static void add(enum record_type type, const void *record)
{
	codec_union_encode(&record_union, type, record, &records);
	record_count++;
}

static void check(void)
{
	struct error e;

	if (!history_is_failing(h, &e))
		return;
	fprintf(stderr, "history fails: %s\n", e.what);
	exit(1);
}

static void commit(void)
{
	uint64_t first = lsn + 1;

	lsn += record_count;
	while (first > history_lsn(h) + 20 * BATCH) {
		check();
		usleep(500);
	}
	if (!history_submit(h, buf_bytes(&records), first, record_count))
		abort();
	buf_clear(&records);
	record_count = 0;
}

static void wait_for_all(void)
{
	while (history_lsn(h) < lsn) {
		check();
		usleep(1000);
	}
}

static void accept_job(uint64_t job)
{
	char json[600];
	struct new_job j = {.job = job,
			    .definition = BYTES(sha256, 32),
			    .name = BYTES_LIT("thumbnail"),
			    .planner = PLANNER_PURE,
			    .plan = {.shard_count = 1},
			    .event_id_hi = rng_u64(&rng),
			    .event_id_lo = rng_u64(&rng),
			    .by = {.kind = BY_RULE, .name = BYTES_LIT("thumbnail")},
			    .owner = BYTES_LIT("uid:1000")};
	struct accepted a = {.wall_us = (usec_t)(1700000000000000 + job * 13), .jobs = {&j, 1}};

	event_ids[job][0] = j.event_id_hi;
	event_ids[job][1] = j.event_id_lo;
	snprintf(json, sizeof json,
		 "{\"detail\":{\"bucket\":{\"name\":\"photos\"},\"object\":{\"etag\":\"%016llx\",\"key\":"
		 "\"in/%llu.jpg\",\"size\":%llu}},\"detail-type\":\"Object Created\",\"id\":\"%016llx\","
		 "\"source\":\"camera\",\"time\":\"2026-11-30T19:22:11Z\",\"version\":\"0\"}",
		 (unsigned long long)rng_u64(&rng), (unsigned long long)job,
		 (unsigned long long)rng_below(&rng, 5000000), (unsigned long long)rng_u64(&rng));
	a.event = bytes_of(json);
	add(RECORD_ACCEPTED, &a);
}

static void end_jobs(uint64_t first)
{
	static struct range all = {0, 1};
	struct outcome_taken o[BATCH];
	struct effort efforts[BATCH];
	struct block_end ends[BATCH];
	struct outcomes_taken outcomes = {
	    .worker = {7, 7}, .wall_us = 1700000000000000, .outcomes = {o, BATCH}};
	struct ended_block block = {.all = {.state = JOB_SUCCEEDED,
					    .shards = 1,
					    .done = 1,
					    .name = BYTES_LIT("thumbnail"),
					    .definition = BYTES(sha256, 32),
					    .by = {.kind = BY_RULE, .name = BYTES_LIT("thumbnail")},
					    .owner = BYTES_LIT("uid:1000")},
				    .jobs = {ends, BATCH}};

	for (uint32_t i = 0; i < BATCH; i++) {
		uint64_t job = first + i;
		usec_t accepted = (usec_t)(1700000000000000 + job * 13);
		struct totals t = {.run_us = 900 + rng_below(&rng, 300),
				   .output_bytes = 40,
				   .cpu_us = 800 + rng_below(&rng, 100),
				   .max_rss_bytes = 20000000};

		efforts[i] = (struct effort){.count = 1,
					     .sum = true,
					     .start_wall_us = accepted + (usec_t)rng_below(&rng, 9000),
					     .totals = t};
		o[i] = (struct outcome_taken){.token = {1, job / 32},
					      .job = job,
					      .done = {&all, 1},
					      .closed = true,
					      .totals = t,
					      .segment = 1 + (uint32_t)(job / 500000),
					      .attempt = 1,
					      .efforts = {&efforts[i], 1}};
		ends[i] = (struct block_end){.job = job,
					     .accepted_wall_us = accepted,
					     .started_wall_us = efforts[i].start_wall_us,
					     .wall_us = efforts[i].start_wall_us + 1000,
					     .totals = t,
					     .event_id_hi = event_ids[job][0],
					     .event_id_lo = event_ids[job][1]};
	}
	outcomes.wall_us += (usec_t)first * 13;
	add(RECORD_OUTCOMES, &outcomes);
	add(RECORD_ENDED_BLOCK, &block);
}

static void forget(uint64_t jobs)
{
	double begin = writer_seconds();
	usec_t begin_us = clock_mono_us();

	for (uint64_t job = 1; job + 4096 <= jobs; job += 4096) {
		struct job_ids ids = {job, 4096};
		struct forgotten r = {.jobs = {&ids, 1}};

		add(RECORD_FORGOTTEN, &r);
		commit();
	}
	wait_for_all();
	printf("forgetting: %.2f us of processor time a job, %.0f jobs a second\n",
	       (writer_seconds() - begin) * 1e6 / (double)jobs,
	       (double)jobs * 1e6 / (double)(clock_mono_us() - begin_us));
}

static int count_job(void *arg, const struct history_job *j)
{
	(void)j;
	++*(int *)arg;
	return 0;
}

static void look(const char *path, uint64_t jobs)
{
	struct history_reader *r;
	struct arena arena;
	struct history_job j;
	struct bytes event;
	char name[64];
	int found = 0;
	usec_t us[3] = {0};

	arena_init(&arena, 0);
	if (history_reader_open(&r, path, NULL) < 0)
		abort();
	for (int i = 0; i < 20; i++) {
		uint64_t job = 1 + rng_below(&rng, jobs);
		usec_t begin = clock_mono_us();

		if (history_job(r, job, &arena, &j, NULL) < 0)
			abort();
		us[0] += clock_mono_us() - begin;
		begin = clock_mono_us();
		if (history_event(r, event_ids[job][0], event_ids[job][1], &arena, &event, NULL) < 0)
			abort();
		us[1] += clock_mono_us() - begin;
		begin = clock_mono_us();
		snprintf(name, sizeof name, "in/%llu.jpg", (unsigned long long)job);
		if (history_jobs_of_event(r, bytes_of(name), (struct bytes){0}, 0, 10, &arena, count_job,
					  &found, NULL) < 0)
			abort();
		us[2] += clock_mono_us() - begin;
	}
	printf("looking: a job %.2f ms, an event %.2f ms, the jobs of an object %.2f ms (%d of 20 found)\n",
	       (double)us[0] / 20e3, (double)us[1] / 20e3, (double)us[2] / 20e3, found);
	history_reader_close(r);
	arena_fini(&arena);
}

int main(int argc, char **argv)
{
	uint64_t jobs = argc > 2 ? strtoull(argv[2], NULL, 10) / (BATCH * PARTS) * BATCH * PARTS : 0;
	uint64_t ahead = argc > 3 ? strtoull(argv[3], NULL, 10) : 50000, accepted = 0;
	struct journal_options options = {
	    .segment_bytes = 16 * MIB, .create = true, .cluster_hi = 1, .cluster_lo = 2};
	struct journal *j;
	char journal[512], path[512];
	struct error e;
	struct stat st;

	if (jobs == 0)
		return 2;
	event_ids = calloc(jobs + BATCH + 1, sizeof *event_ids);
	rng_seed(&rng, 1);
	snprintf(journal, sizeof journal, "%s/journal", argv[1]);
	snprintf(path, sizeof path, "%s/history.db", argv[1]);
	if (journal_open(&j, journal, &options, &e) < 0 || journal_start(j, &e) < 0 ||
	    history_open(&h, path, 1, 2, &e) < 0 || history_start(h, j, NULL, &e) < 0) {
		fprintf(stderr, "%s\n", e.what);
		return 1;
	}
	for (uint64_t job = 1, part = 0; part < PARTS; part++) {
		double begin = writer_seconds();
		usec_t begin_us = clock_mono_us();

		for (; job <= (part + 1) * (jobs / PARTS); job += BATCH) {
			while (accepted < jobs && accepted < job + BATCH - 1 + ahead)
				accept_job(++accepted);
			end_jobs(job);
			commit();
		}
		wait_for_all();
		printf("%llu jobs: %.2f us of processor time a job, %.0f jobs a second\n",
		       (unsigned long long)(job - 1), (writer_seconds() - begin) * 1e6 * PARTS / (double)jobs,
		       (double)jobs / PARTS * 1e6 / (double)(clock_mono_us() - begin_us));
	}
	stat(path, &st);
	printf("file: %.0f bytes a job\n", (double)st.st_size / (double)jobs);
	look(path, jobs);
	forget(jobs);
	history_close(h);
	journal_close(j);
	return 0;
}
