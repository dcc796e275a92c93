/* finance-var as a resident runner (worker/run/runner_protocol.h, msgpack): of a job of S shards and N
 * scenarios, shard s is scenarios s * B to (s + 1) * B - 1, B = N / S rounded up. Shards may be as short as
 * one scenario, a microsecond: a run of them is answered with one tally of all. */
#pragma once

#include "jobs/library/finance/inputs.h"

/* finance-var's exit codes, which stand for failed shards, too. */
enum { EXIT_CODE_USAGE = 1, EXIT_CODE_DATA = 2, EXIT_CODE_SYSTEM = 3 };

/* m NULL: there is none because of *failure, and each shard fails with its words and exit code, so that the
 * job's retry rules decide. Returns when stdin is closed. ERR_IO, ERR_INVALID: the protocol was broken. */
int runner_serve(struct model *m, uint64_t scenario_count, const struct error *failure, int failure_code,
		 struct error *reterr) MUST_CHECK;
/* Shard s of S; count 0 when there is none left for it. */
struct scenario_range runner_range(uint64_t scenario_count, uint64_t shard, uint64_t shard_count);
