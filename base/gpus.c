#include "base/gpus.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/units.h"

static void add(struct gpu_list *l, int numa_node)
{
	struct gpu *g;

	if (l->count == GPUS_FOUND_MAX)
		return;
	g = &l->items[l->count];
	snprintf(g->name, sizeof g->name, "%u", l->count++);
	g->numa_node = numa_node;
}

/* ---- what files say ---- */

/* sysfs and procfs tell no size: this is not fs_read_file. */
static bool read_text(const char *path, char *ret, size_t size)
{
	FILE *f = fopen(path, "re");
	size_t got;

	if (f == NULL)
		return false;
	got = fread(ret, 1, size - 1, f);
	ret[got] = '\0';
	fclose(f);
	return true;
}

static bool exists(const char *root, const char *dir, unsigned long number)
{
	char path[4200];
	struct stat st;

	snprintf(path, sizeof path, "%s%s%lu", root, dir, number);
	return stat(path, &st) == 0;
}

static int read_node(const char *path)
{
	char text[64], *end;
	long node = read_text(path, text, sizeof text) ? strtol(text, &end, 10) : GPU_NO_NODE;

	return node < 0 || node > 65535 ? GPU_NO_NODE : (int)node;
}

/* The number behind a name, as "Device Minor: 3" and "simd_count 256" have it. */
static bool value_of(const char *text, const char *name, unsigned long *ret)
{
	const char *at = strstr(text, name);

	if (at == NULL)
		return false;
	at += strlen(name);
	at += strspn(at, ": \t");
	if (!isdigit((unsigned char)*at))
		return false;
	*ret = strtoul(at, NULL, 10);
	return true;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int by_number(const struct dirent **a, const struct dirent **b)
{
	unsigned long x = strtoul((*a)->d_name, NULL, 10), y = strtoul((*b)->d_name, NULL, 10);

	return x < y ? -1 : x > y;
}

static int is_visible(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

/* Visits a directory's names in an order; the function gets the path of each. */
static void each_in(const char *root, const char *dir,
		    int (*order)(const struct dirent **, const struct dirent **),
		    void (*visit)(const char *root, const char *path, const char *name, struct gpu_list *l),
		    struct gpu_list *l)
{
	struct dirent **names = NULL;
	char folder[4200], path[4600];
	int count;

	snprintf(folder, sizeof folder, "%s%s", root, dir);
	count = scandir(folder, &names, is_visible, order);
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
		visit(root, path, names[i]->d_name, l);
		free(names[i]);
	}
	free(names);
}

/* ---- NVIDIA ---- */

static void visit_nvidia(const char *root, const char *path, const char *name, struct gpu_list *l)
{
	char file[4700], text[4096];
	unsigned long minor;

	snprintf(file, sizeof file, "%s/information", path);
	if (!read_text(file, text, sizeof text) || !value_of(text, "Device Minor", &minor) ||
	    !exists(root, "/dev/nvidia", minor))
		return;
	snprintf(file, sizeof file, "%s/sys/bus/pci/devices/%s/numa_node", root, name);
	add(l, read_node(file));
}

/* NVIDIA's display devices of the PCI bus, for their nodes. */
static void visit_pci(const char *root, const char *path, const char *name, struct gpu_list *l)
{
	char file[4700], text[64];

	(void)root;
	(void)name;
	snprintf(file, sizeof file, "%s/class", path);
	if (!read_text(file, text, sizeof text) || strncmp(text, "0x03", 4) != 0)
		return;
	snprintf(file, sizeof file, "%s/vendor", path);
	if (!read_text(file, text, sizeof text) || strncmp(text, "0x10de", 6) != 0)
		return;
	snprintf(file, sizeof file, "%s/numa_node", path);
	add(l, read_node(file));
}

static void visit_dev(const char *root, const char *path, const char *name, struct gpu_list *l)
{
	size_t digits;

	(void)root;
	(void)path;
	if (strncmp(name, "nvidia", 6) != 0)
		return;
	digits = strspn(name + 6, "0123456789");
	if (digits > 0 && name[6 + digits] == '\0')
		add(l, GPU_NO_NODE);
}

static void find_nvidia(const char *root, struct gpu_list *l)
{
	struct gpu_list pci = {.count = 0};

	each_in(root, "/proc/driver/nvidia/gpus", by_name, visit_nvidia, l);
	if (l->count > 0)
		return;
	each_in(root, "/dev", by_name, visit_dev, l);
	each_in(root, "/sys/bus/pci/devices", by_name, visit_pci, &pci);
	for (unsigned i = 0; i < l->count && pci.count == l->count; i++)
		l->items[i].numa_node = pci.items[i].numa_node;
}

/* ---- AMD ---- */

/* Nodes without SIMD units are processors. */
static void visit_kfd(const char *root, const char *path, const char *name, struct gpu_list *l)
{
	char file[4700], text[8192];
	unsigned long simds, minor;

	(void)name;
	snprintf(file, sizeof file, "%s/properties", path);
	if (!read_text(file, text, sizeof text) || !value_of(text, "simd_count", &simds) || simds == 0 ||
	    !value_of(text, "drm_render_minor", &minor) || !exists(root, "/dev/dri/renderD", minor))
		return;
	snprintf(file, sizeof file, "%s/sys/class/drm/renderD%lu/device/numa_node", root, minor);
	add(l, read_node(file));
}

void gpus_find(const char *root, struct gpu_list *ret)
{
	*ret = (struct gpu_list){.count = 0};
	find_nvidia(root, ret);
	if (ret->count == 0)
		each_in(root, "/sys/class/kfd/kfd/topology/nodes", by_number, visit_kfd, ret);
}

/* ---- what is wanted ---- */

const char *gpus_visible(void)
{
	const char *cuda = getenv("CUDA_VISIBLE_DEVICES");

	return cuda != NULL ? cuda : getenv("HIP_VISIBLE_DEVICES");
}

/* The node of the gpu with this name, when that is its number among those found. */
static int node_of(const struct gpu_list *found, const char *name)
{
	for (unsigned i = 0; i < found->count; i++)
		if (strcmp(found->items[i].name, name) == 0)
			return found->items[i].numa_node;
	return GPU_NO_NODE;
}

/* As CUDA reads it: what is no name of a device (-1, NoDevFiles) ends the list. false: one is too long, or
 * stands there twice. */
static bool take_names(const char *text, const struct gpu_list *found, struct gpu_list *ret)
{
	*ret = (struct gpu_list){.count = 0};
	while (*text != '\0' && *text != '-' && strncmp(text, "NoDev", 5) != 0) {
		size_t size = strcspn(text, ",");
		struct gpu *g = &ret->items[ret->count];

		if (size == 0 || size >= sizeof g->name || ret->count == GPUS_FOUND_MAX)
			return false;
		snprintf(g->name, sizeof g->name, "%.*s", (int)size, text);
		g->numa_node = node_of(found, g->name);
		for (unsigned i = 0; i < ret->count; i++)
			if (strcmp(ret->items[i].name, g->name) == 0)
				return false;
		ret->count++;
		text += size;
		text += *text == ',';
	}
	return true;
}

static int refuse(const char *text, struct error *reterr)
{
	error_set(reterr, ERR_INVALID,
		  "expected auto, a number of gpus up to %d, or a list of them as 0,2, found `%s`",
		  GPUS_FOUND_MAX, text);
	return ERR_INVALID;
}

int gpus_choose(const char *text, const char *visible, const char *root, struct gpu_list *ret,
		struct error *reterr)
{
	struct gpu_list found, shown;
	uint64_t count = 0;
	bool is_auto = strcmp(text, "auto") == 0;

	*ret = (struct gpu_list){.count = 0};
	if (text[0] == '\0' || strcmp(text, "0") == 0)
		return 0;
	gpus_find(root, &found);
	if (strchr(text, ',') != NULL)
		return text[0] != ',' && take_names(text, &found, ret) && ret->count > 0
			   ? 0
			   : refuse(text, reterr);
	if (!is_auto && units_parse_number(text, 0, GPUS_FOUND_MAX, &count, NULL) < 0)
		return refuse(text, reterr);
	if (visible != NULL && !take_names(visible, &found, &shown))
		return error_set(reterr, ERR_INVALID,
				 "expected a list of gpus in CUDA_VISIBLE_DEVICES, found `%.100s`", visible);
	if (visible == NULL)
		shown = found;
	if (!is_auto && count > shown.count && visible != NULL)
		return error_set(reterr, ERR_INVALID,
				 "%u gpus are to be offered, but CUDA_VISIBLE_DEVICES shows %u",
				 (unsigned)count, shown.count);
	while (!is_auto && shown.count < count) /* who says so knows of gpus that we do not find */
		add(&shown, GPU_NO_NODE);
	*ret = shown;
	if (!is_auto)
		ret->count = (unsigned)count;
	return 0;
}

static bool is_of(const struct gpu *g, unsigned numa_node)
{
	return g->numa_node == GPU_NO_NODE ? numa_node == 0 : (unsigned)g->numa_node == numa_node;
}

void gpus_prefer_node(struct gpu_list *l, unsigned numa_node, bool only)
{
	struct gpu_list sorted = {.count = 0};

	for (int own = 1; own >= (only ? 1 : 0); own--)
		for (unsigned i = 0; i < l->count; i++)
			if (is_of(&l->items[i], numa_node) == (own == 1))
				sorted.items[sorted.count++] = l->items[i];
	*l = sorted;
}

void gpus_names(const struct gpu_list *l, const uint8_t items[], unsigned count, char *ret, size_t size)
{
	size_t used = 0;

	ret[0] = '\0';
	for (unsigned i = 0; i < count && used < size; i++)
		used += (size_t)snprintf(ret + used, size - used, "%s%s", i == 0 ? "" : ",",
					 l->items[items[i]].name);
}
