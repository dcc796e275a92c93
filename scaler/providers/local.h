/* Workers as processes of this machine: each with cores of its own inside one NUMA node.
 *
 * They outlive the scaler; a record of each (base/child.h: process, and here `cores`, `worker`) stands in
 * a directory, by which the next scaler finds it. Thread: the loop's. */
#pragma once

#include "base/loop.h"
#include "scaler/providers/provider.h"

struct local_options {
	const char *directory;	      /* of the records; made when missing */
	const char *program;	      /* path of shardmill-worker */
	const char *log_path;	      /* their output is appended to it; NULL = ours */
	const char *const *arguments; /* for every worker: "--connect=…", …; NULL-terminated */
	uint32_t cpu_milli;	      /* of each worker; 0 = all of a NUMA node */
	const char *gpus;	      /* of this machine, as gpus_choose takes it; NULL: none */
};

/* Everything in options is copied. */
int local_provider_create(struct loop *loop, const struct local_options *options, struct provider **ret,
			  struct error *reterr) MUST_CHECK;
