/* What the worker offers: cores, memory, gpus and named resources. */
#include <stdlib.h>
#include <string.h>

#include "jobs/amounts_text.h"
#include "worker/agent_impl.h"

_Static_assert(GPUS_FOUND_MAX <= WORKER_GPUS_MAX, "each that is found can be given to a slot");

/* A worker that is bound to one of several nodes leaves the other nodes' gpus to the workers there. */
static int choose_gpus(struct agent *a, struct error *reterr)
{
	const char *text = params_text(a->params, PARAM_GPUS);

	if (gpus_choose(text, gpus_visible(), "", &a->gpus, reterr) < 0)
		return error_where(reterr, "--gpus");
	gpus_prefer_node(&a->gpus, a->topology.numa_node,
			 strcmp(text, "auto") == 0 && a->topology.pin && a->topology.node_count > 1);
	/* They are numbered by their PCI addresses, which is not what CUDA does by itself. */
	if (a->gpus.count > 0 && gpus_visible() == NULL)
		CHECK(setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID", 0) == 0);
	return 0;
}

int agent_open_offer(struct agent *a, struct error *reterr)
{
	uint64_t cpus = params_cpus_milli(a->params, PARAM_CPUS),
		 memory = params_size_bytes(a->params, PARAM_MEMORY);
	struct named_amount_list named = {.items = a->named};
	int rc = choose_gpus(a, reterr);

	if (rc == 0 && amounts_parse_named(params_text(a->params, PARAM_NAMED), &named, reterr) < 0)
		rc = error_where(reterr, "--named");
	if (rc < 0)
		return rc;
	a->capacity = (struct resources){
	    .cpu_milli = cpus != 0 ? cpus : a->topology.core_count * 1000ull,
	    .memory_bytes = memory != 0 ? memory : a->topology.memory_bytes,
	    .gpu_milli = a->gpus.count * GPU_MILLI,
	    .named = named,
	};
	return 0;
}
