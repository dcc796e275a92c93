#include "dispatcher/store/history_kept.h"

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

int history_oldest(struct history_reader *r, history_ended_fn *fn, void *arg, struct error *reterr)
{
	struct sql *s = &r->db;
	int rc = sql_begin(s, READ_OLDEST, reterr, "");

	for (; rc == 1; rc = sql_next(s, READ_OLDEST, reterr)) {
		const struct history_ended job = {(uint64_t)sql_int(s, READ_OLDEST, 0),
						  sql_int(s, READ_OLDEST, 1),
						  (uint64_t)sql_int(s, READ_OLDEST, 2)};

		if (!fn(arg, &job)) {
			rc = 0;
			break;
		}
	}
	sql_end(s, READ_OLDEST);
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
	return rc;
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
