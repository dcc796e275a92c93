#include "dispatcher/store/history_kept.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "dispatcher/store/history_reader_private.h"

int history_kept(struct history_reader *r, struct history_kept *ret, struct error *reterr)
{
	struct sql *s = &r->db;
	int rc = sql_begin(s, READ_KEPT, reterr, "");

	*ret = (struct history_kept){0};
	if (rc == 1) {
		ret->jobs = (uint64_t)sql_int(s, READ_KEPT, 0);
		ret->output_bytes = (uint64_t)sql_int(s, READ_KEPT, 1);
		ret->oldest_end_wall_us = sql_int(s, READ_KEPT, 2);
	}
	sql_end(s, READ_KEPT);
	if (rc < 0)
		return rc;
	rc = sql_begin(s, READ_BYTES, reterr, "");
	if (rc == 1)
		ret->history_bytes = (uint64_t)sql_int(s, READ_BYTES, 0);
	sql_end(s, READ_BYTES);
	return rc < 0 ? rc : 0;
}

static int by_end(const void *a, const void *b)
{
	usec_t x = ((const struct history_ended *)a)->ended_wall_us,
	       y = ((const struct history_ended *)b)->ended_wall_us;

	return (x > y) - (x < y);
}

/* Its jobs that are left. *ret_count of *ret, which is the caller's. */
static int ended_of(struct history_reader *r, int64_t block, struct history_ended **ret, uint32_t *ret_count)
{
	uint32_t ended = (uint32_t)history_block_field(HISTORY_ENDED, PART_JOB, "ended_us");
	uint32_t bytes = (uint32_t)history_block_field(HISTORY_ENDED, PART_JOB, "output_bytes");
	struct history_hidden hidden = {0};
	struct block_view *view;
	int code = history_views_get(r->views, block, HISTORY_ENDED, true, &view);

	if (code != SQLITE_OK)
		return code;
	code = history_hidden_read(r->views, history_block_jobs(view, HISTORY_ENDED), &hidden);
	*ret = check_calloc((size_t)block_view_count(view) + 1, sizeof **ret);
	*ret_count = 0;
	for (uint32_t i = 0; i < block_view_count(view); i++) {
		int64_t job = block_view_ids(view)[i];

		if (!history_is_hidden(&hidden, job))
			(*ret)[(*ret_count)++] =
			    (struct history_ended){(uint64_t)job, block_view_number(view, ended, i),
						   (uint64_t)block_view_number(view, bytes, i)};
	}
	history_hidden_fini(&hidden);
	history_views_release(r->views, view);
	qsort(*ret, *ret_count, sizeof **ret, by_end);
	return code;
}

/* 1: go on, 0: it is enough. */
static int walk_block(struct history_reader *r, int64_t block, history_ended_fn *fn, void *arg,
		      struct error *reterr)
{
	struct history_ended *jobs = NULL;
	uint32_t count = 0, i = 0;
	int code = ended_of(r, block, &jobs, &count);

	while (code == SQLITE_OK && i < count && fn(arg, &jobs[i]))
		i++;
	free(jobs);
	return code != SQLITE_OK ? history_reader_error(r, code, reterr) : i == count;
}

/* Rows and blocks, by when they ended, or the first of them did. */
static int oldest_now(struct history_reader *r, history_ended_fn *fn, void *arg, struct error *reterr)
{
	struct sql *s = &r->db;
	int rows = sql_begin(s, READ_OLDEST, reterr, "");
	int blocks = rows < 0 ? rows : sql_begin(s, READ_OLDEST_BLOCKS, reterr, "");
	int more = 1;

	while (rows >= 0 && blocks >= 0 && more == 1 && rows + blocks > 0) {
		if (rows == 0 ||
		    (blocks == 1 && sql_int(s, READ_OLDEST_BLOCKS, 1) <= sql_int(s, READ_OLDEST, 1))) {
			more = walk_block(r, sql_int(s, READ_OLDEST_BLOCKS, 0), fn, arg, reterr);
			blocks = sql_next(s, READ_OLDEST_BLOCKS, reterr);
			continue;
		}
		more = fn(arg, &(struct history_ended){(uint64_t)sql_int(s, READ_OLDEST, 0),
						       sql_int(s, READ_OLDEST, 1),
						       (uint64_t)sql_int(s, READ_OLDEST, 2)});
		rows = sql_next(s, READ_OLDEST, reterr);
	}
	sql_end(s, READ_OLDEST);
	sql_end(s, READ_OLDEST_BLOCKS);
	return more < 0 ? more : rows < 0 ? rows : blocks < 0 ? blocks : 0;
}

int history_oldest(struct history_reader *r, history_ended_fn *fn, void *arg, struct error *reterr)
{
	int rc = history_read_begin(r, reterr);

	if (rc == 0)
		rc = oldest_now(r, fn, arg, reterr);
	history_read_end(r);
	return rc;
}

int history_forgotten_jobs(struct history_reader *r, history_forgotten_fn *fn, void *arg,
			   struct error *reterr)
{
	struct sql *s = &r->db;
	int rc = sql_begin(s, READ_FORGOTTEN, reterr, "");

	for (; rc == 1; rc = sql_next(s, READ_FORGOTTEN, reterr))
		fn(arg, (uint64_t)sql_int(s, READ_FORGOTTEN, 0), (uint64_t)sql_int(s, READ_FORGOTTEN, 1));
	sql_end(s, READ_FORGOTTEN);
	return rc;
}

int history_unused_segments(struct history_reader *r, bool doomed, uint32_t limit, history_segment_fn *fn,
			    void *arg, struct error *reterr)
{
	struct sql *s = &r->db;
	int rc = sql_begin(s, READ_UNUSED_SEGMENTS, reterr, "ii", (int64_t)doomed, (int64_t)limit);

	for (; rc == 1; rc = sql_next(s, READ_UNUSED_SEGMENTS, reterr)) {
		struct uuid worker;

		sql_id_read(sql_bytes(s, READ_UNUSED_SEGMENTS, 0), &worker.hi, &worker.lo);
		fn(arg, &worker, (uint32_t)sql_int(s, READ_UNUSED_SEGMENTS, 1));
	}
	sql_end(s, READ_UNUSED_SEGMENTS);
	return rc;
}

int history_is_whole(struct history_reader *r, bool *ret, struct error *reterr)
{
	int rc = sql_begin(&r->db, READ_FIRST_LSN, reterr, "");

	*ret = rc == 1 && sql_int(&r->db, READ_FIRST_LSN, 0) <= 1;
	sql_end(&r->db, READ_FIRST_LSN);
	return rc < 0 ? rc : 0;
}

int history_worker(struct history_reader *r, const struct uuid *worker, int64_t *ret, struct error *reterr)
{
	uint8_t id[16];
	int rc;

	sql_id_write(worker->hi, worker->lo, id);
	rc = sql_begin(&r->db, READ_WORKER, reterr, "b", BYTES(id, 16));
	*ret = rc == 1 ? sql_int(&r->db, READ_WORKER, 0) : 0;
	sql_end(&r->db, READ_WORKER);
	return rc < 0 ? rc : 0;
}

int history_has_segment(struct history_reader *r, int64_t worker, uint32_t segment, bool *ret,
			struct error *reterr)
{
	int rc = sql_begin(&r->db, READ_SEGMENT, reterr, "ii", worker, (int64_t)segment);

	*ret = rc == 1;
	sql_end(&r->db, READ_SEGMENT);
	return rc < 0 ? rc : 0;
}

static int by_place(const void *a, const void *b)
{
	const struct history_segment *x = a, *y = b;

	if (x->worker_number != y->worker_number)
		return x->worker_number < y->worker_number ? -1 : 1;
	return (x->segment > y->segment) - (x->segment < y->segment);
}

/* A block was counted as one row of each segment that it names; its jobs' outputs are spread over these. */
static void add_jobs_of_block(struct history_segment *found, uint32_t count, int64_t kept,
			      struct bytes segments)
{
	size_t names = segments.size / sizeof(struct segment_name);

	for (size_t i = 0; i < names; i++) {
		struct segment_name name;
		struct history_segment key, *one;

		memcpy(&name, segments.data + i * sizeof name, sizeof name);
		key =
		    (struct history_segment){.worker_number = name.worker, .segment = (uint32_t)name.segment};
		one = bsearch(&key, found, count, sizeof *found, by_place);
		if (one != NULL)
			one->rows += kept / (int64_t)names - 1;
	}
}

static int add_jobs_in_blocks(struct history_reader *r, struct history_segment *found, uint32_t count,
			      struct error *reterr)
{
	struct sql *s = &r->db;
	int rc = sql_begin(s, READ_SEGMENT_BLOCKS, reterr, "");

	for (; rc == 1; rc = sql_next(s, READ_SEGMENT_BLOCKS, reterr))
		add_jobs_of_block(found, count, sql_int(s, READ_SEGMENT_BLOCKS, 0),
				  sql_bytes(s, READ_SEGMENT_BLOCKS, 1));
	sql_end(s, READ_SEGMENT_BLOCKS);
	return rc;
}

int history_segments(struct history_reader *r, const struct history_segment *behind, uint32_t limit,
		     struct history_segment *ret, uint32_t *ret_count, struct error *reterr)
{
	struct sql *s = &r->db;
	int rc = sql_begin(s, READ_SEGMENTS, reterr, "iii", behind->worker_number, (int64_t)behind->segment,
			   (int64_t)limit);

	*ret_count = 0;
	for (; rc == 1; rc = sql_next(s, READ_SEGMENTS, reterr)) {
		struct history_segment *one = &ret[(*ret_count)++];

		*one = (struct history_segment){.worker_number = sql_int(s, READ_SEGMENTS, 0),
						.segment = (uint32_t)sql_int(s, READ_SEGMENTS, 2),
						.rows = sql_int(s, READ_SEGMENTS, 3)};
		sql_id_read(sql_bytes(s, READ_SEGMENTS, 1), &one->worker.hi, &one->worker.lo);
	}
	sql_end(s, READ_SEGMENTS);
	return rc == 0 && *ret_count > 0 ? add_jobs_in_blocks(r, ret, *ret_count, reterr) : rc;
}

int history_segment_leases(struct history_reader *r, const struct history_segment *segment,
			   history_lease_fn *fn, void *arg, struct error *reterr)
{
	struct sql *s = &r->db;
	int rc = sql_begin(s, READ_SEGMENT_LEASES, reterr, "ii", segment->worker_number,
			   (int64_t)segment->segment);

	for (; rc == 1; rc = sql_next(s, READ_SEGMENT_LEASES, reterr))
		fn(arg, (struct token){.epoch = (uint32_t)sql_int(s, READ_SEGMENT_LEASES, 0),
				       .lease = (uint64_t)sql_int(s, READ_SEGMENT_LEASES, 1)});
	sql_end(s, READ_SEGMENT_LEASES);
	return rc;
}
