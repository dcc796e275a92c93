/* Which gpus each worker of this machine gets: each gpu belongs to one place of the core deal, of its own
 * NUMA node where there is one. */
#pragma once

#include "base/gpus.h"
#include "scaler/providers/cores.h"

/* Of one place. */
struct gpu_part {
	char *text; /* "0,2", for CUDA_VISIBLE_DEVICES; "" when it has none */
	unsigned count;
};

struct gpu_deal {
	struct gpu_part *parts; /* as many as there are places, in their order */
	size_t *order; /* of the places, those with the most gpus first: the first workers have them */
	size_t count;
	unsigned most; /* of one place */
};

/* gpu_deal_fini is due. */
void gpu_deal_init(struct gpu_deal *d, const struct core_deal *cores, const struct gpu_list *gpus);
void gpu_deal_fini(struct gpu_deal *d);
/* Do the two lists have a gpu in common? */
bool gpu_lists_overlap(const char *a, const char *b);
/* Our environment, but for the gpus that it shows. The list is to be freed, and the text behind it, its last.
 */
char **gpu_environment(const char *gpus, char **ret_text);
