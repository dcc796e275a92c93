/* gather: {fanin: N}: node n reads the outputs of shards [n * fanin, (n + 1) * fanin) of the phase before. No
 * key of `shard` chooses it: the core makes such a plan when the shards are through. */
#include "base/check.h"
#include "jobs/plan.h"
#include "jobs/plan_kind.h"

struct plan plan_to_gather(uint32_t inputs, uint32_t fanin)
{
	uint32_t nodes = fanin == 0 || inputs <= fanin ? 1 : inputs / fanin + (inputs % fanin != 0);

	return (struct plan){.kind = PLAN_GATHER, .fanin = fanin, .inputs = inputs, .shard_count = nodes};
}

struct range plan_gather_inputs(const struct plan *p, uint32_t node)
{
	uint32_t fanin = p->fanin == 0 ? p->inputs : p->fanin;
	uint64_t first = (uint64_t)node * fanin;

	CHECK(node < p->shard_count);
	if (first >= p->inputs)
		return (struct range){p->inputs, 0};
	return (struct range){(uint32_t)first,
			      p->inputs - (uint32_t)first < fanin ? p->inputs - (uint32_t)first : fanin};
}

static void environment(const struct plan_shard *s, struct plan_facts *ret)
{
	fact_text(ret, "SHARDMILL_MANIFEST", s->manifest);
	fact_size(ret, "SHARDMILL_MISSING", s->missing);
}

const struct plan_row plan_row_gather = {
    .kind = PLAN_GATHER,
    .input = PLAN_INPUT_OUTPUTS,
    .planner = PLANNER_PURE,
    .column = "NODE",
    .environment = environment,
};
