/* GET /v1/jobs, page by page. */
#pragma once

#include "cli/cli.h"

struct job_query {
	const char *state; /* "running,failed"; NULL: any */
	const char *name;  /* NULL: any */
	const char *event; /* its id, or the key of its object; NULL: any */
	uint64_t before;   /* only ids below; 0: all */
	uint64_t limit;
	bool ids; /* nothing but their numbers */
};

/* The newest first. *ret_jobs is a new list, of jobs or job_ids; *ret_next (may be NULL) is 0 when that was
 * all. Both are set on success only. */
int job_list_read(struct cli *cli, const struct job_query *q, json_t **ret_jobs, uint64_t *ret_next,
		  struct error *reterr) MUST_CHECK;
