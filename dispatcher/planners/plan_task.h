/* One plan to make, in one of the planners' threads. */
#pragma once

#include <stdatomic.h>
#include <uthash.h>

#include "base/s3/s3.h"
#include "dispatcher/planners/planners.h"
#include "dispatcher/readers.h"

struct plan_task {
	struct reading reading;
	struct plan_task *prev, *next;
	struct plan_task *then; /* of the same job, waits for this one */
	UT_hash_handle hh;
	uint64_t job;
	uint32_t phase;
	uint8_t planner; /* enum planner_kind */
	uint32_t shard_count;
	struct bytes cursor;
	struct plan plan;
	/* What the plan phase wrote: a stretch of an output segment; -1: the plan names its object. */
	int output_fd;
	uint64_t output_offset, output_length;
	uint32_t output_crc;
	struct arena arena;
	const char *plans_dir, *output_dir;
	struct plan_preview *preview; /* NULL: it is planned for a job */
	_Atomic bool stop;
	struct planners *planners;
	struct s3_client *s3;
};

/* What the thread tells; copied. */
void plan_task_piece(struct plan_task *t, uint32_t count, struct bytes blob, struct bytes cursor);
void plan_task_sealed(struct plan_task *t, const struct plan *plan);
/* final: trying again cannot help. */
void plan_task_failed(struct plan_task *t, bool final, const struct error *e);

/* Finds what the plan phase before t->phase wrote; nothing is an empty stretch. ERR_NOT_FOUND when it wrote
 * something that is lost. Thread: the planner's. */
int plan_output_find(struct history_reader *history, struct plan_task *t, struct error *reterr) MUST_CHECK;
/* Is all of it there, as it was written? ERR_CORRUPT, ERR_IO. Thread: the planner's. */
int plan_output_check(const struct plan_task *t, struct error *reterr) MUST_CHECK;

/* The planners. Each tells what it found, or that it failed, unless it is stopped. */
void planner_size(struct plan_task *t);
void planner_items(struct plan_task *t); /* lines and json-lines */

bool plan_task_is_object(const struct plan_task *t); /* s3://bucket/key */
/* Its size and eTag. ret_final as in plan_task_failed. */
int plan_task_head(struct plan_task *t, struct s3_name *ret_name, struct s3_head *ret, bool *ret_final,
		   struct error *reterr) MUST_CHECK;
/* Is it stopped? For calls that wait for a server. */
struct s3_cancel plan_task_cancel(struct plan_task *t);

/* The path that file:///… names. ERR_INVALID in words for any other URL, or a path with a NUL. */
int plan_task_path(const struct plan_task *t, char *ret, size_t size, struct error *reterr) MUST_CHECK;
