/* The gpus of this machine, numbered as CUDA and HIP number those that they see, with their NUMA nodes.
 *
 * NVIDIA's are those of /proc/driver/nvidia/gpus that have a /dev/nvidiaN, in the order of their PCI
 * addresses (CUDA_DEVICE_ORDER=PCI_BUS_ID, nvidia-smi); without /proc they are counted in /dev. AMD's are
 * those of the KFD's topology (/sys/class/kfd) that have a /dev/dri/renderDN, in its order. A machine with
 * both counts as one with NVIDIA's: the two would be numbered apart. */
#pragma once

#include "base/error.h"
#include "base/types.h"

#define GPUS_FOUND_MAX 64
#define GPU_NAME_BYTES 64
#define GPU_NO_NODE (-1)

struct gpu {
	char name[GPU_NAME_BYTES]; /* a number, or what CUDA_VISIBLE_DEVICES calls it: GPU-8932f937-… */
	int numa_node;		   /* GPU_NO_NODE: not known */
};

struct gpu_list {
	struct gpu items[GPUS_FOUND_MAX];
	unsigned count;
};

/* root: "" for this machine, or the directory that holds another's /proc, /sys and /dev. At most
 * GPUS_FOUND_MAX. */
void gpus_find(const char *root, struct gpu_list *ret);

/* What `--gpus` means: "" and 0 are none, N are so many, `auto` are those that are found, 0,2 are these.
 * visible: of CUDA_VISIBLE_DEVICES or HIP_VISIBLE_DEVICES, which others have set; N and `auto` are then of
 * those that it names. NULL: it is not set. */
int gpus_choose(const char *text, const char *visible, const char *root, struct gpu_list *ret,
		struct error *reterr) MUST_CHECK;
/* CUDA_VISIBLE_DEVICES, else HIP_VISIBLE_DEVICES, of our environment; NULL. */
const char *gpus_visible(void);

/* Those of a NUMA node come first, in their order; those whose node is not known count as node 0's. only: the
 * others go. */
void gpus_prefer_node(struct gpu_list *l, unsigned numa_node, bool only);
/* "0,2" of the numbers in items. */
void gpus_names(const struct gpu_list *l, const uint8_t items[], unsigned count, char *ret, size_t size);
