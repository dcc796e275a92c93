/* The gpus of machines that are made up of files: NVIDIA's by the driver's folder and by /dev, AMD's by the
 * KFD, and what --gpus takes of them. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/fs.h"
#include "base/gpus.h"
#include "tests/support/scratch.h"

TestSuite(gpus, .init = scratch_make, .fini = scratch_remove, .timeout = 20);

/* A file of the machine; its folders are made. */
static void put(const char *path, const char *text)
{
	const char *whole = scratch_path(path);
	char folder[4096];

	snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(whole, '/') - whole), whole);
	cr_assert_eq(fs_make_dirs(folder, 0700, NULL), 0);
	cr_assert_eq(fs_write_file(whole, bytes_of(text), 0600, NULL), 0);
}

/* "0@1 2@-1": names and nodes. */
static const char *text_of(const struct gpu_list *l)
{
	static char text[1024];
	size_t used = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < l->count; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s@%d", i > 0 ? " " : "",
					 l->items[i].name, l->items[i].numa_node);
	return text;
}

static const char *root(void)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s", scratch_path(""));
	return path;
}

static void put_nvidia(const char *address, int minor, int node, bool has_device)
{
	char path[200], text[200];

	snprintf(path, sizeof(path), "proc/driver/nvidia/gpus/%s/information", address);
	snprintf(text, sizeof(text), "Model: \t\t NVIDIA H100\nIRQ:   \t\t 99\nDevice Minor: \t %d\n", minor);
	put(path, text);
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/numa_node", address);
	snprintf(text, sizeof(text), "%d\n", node);
	put(path, text);
	snprintf(path, sizeof(path), "dev/nvidia%d", minor);
	if (has_device)
		put(path, "");
}

/* In the order of their addresses, whatever their minor numbers; one without a device is not ours to use, and
 * CUDA counts without it. */
Test(gpus, of_nvidias_driver)
{
	struct gpu_list l;

	put_nvidia("0000:c1:00.0", 0, 1, true);
	put_nvidia("0000:0a:00.0", 2, 0, true);
	put_nvidia("0000:1b:00.0", 3, 0, false);
	put_nvidia("0000:e0:00.0", 1, -1, true);
	gpus_find(root(), &l);
	cr_expect_str_eq(text_of(&l), "0@0 1@1 2@-1", "%s", text_of(&l));
}

static void put_pci(const char *address, const char *class, const char *vendor, const char *node)
{
	char path[200];

	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/class", address);
	put(path, class);
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/vendor", address);
	put(path, vendor);
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/numa_node", address);
	put(path, node);
}

Test(gpus, of_nvidias_devices_alone)
{
	struct gpu_list l;

	put("dev/nvidia0", "");
	put("dev/nvidia1", "");
	put("dev/nvidiactl", "");
	put("dev/nvidia-uvm", "");
	put("dev/nvidia0x", "");
	gpus_find(root(), &l);
	cr_expect_str_eq(text_of(&l), "0@-1 1@-1", "%s", text_of(&l));
	put_pci("0000:01:00.0", "0x030200\n", "0x10de\n", "1\n");
	put_pci("0000:00:02.0", "0x030000\n", "0x1234\n", "0\n"); /* the console's */
	put_pci("0000:01:00.1", "0x040300\n", "0x10de\n", "0\n"); /* its sound */
	put_pci("0000:02:00.0", "0x030000\n", "0x10de\n", "0\n");
	gpus_find(root(), &l);
	cr_expect_str_eq(text_of(&l), "0@1 1@0", "%s", text_of(&l));
}

static void put_kfd(int node, int simds, int minor, const char *numa)
{
	char path[200], text[200];

	snprintf(path, sizeof(path), "sys/class/kfd/kfd/topology/nodes/%d/properties", node);
	snprintf(text, sizeof(text), "cpu_cores_count %d\nsimd_count %d\ndrm_render_minor %d\n",
		 simds > 0 ? 0 : 64, simds, minor);
	put(path, text);
	if (numa == NULL)
		return;
	snprintf(path, sizeof(path), "sys/class/drm/renderD%d/device/numa_node", minor);
	put(path, numa);
	snprintf(path, sizeof(path), "dev/dri/renderD%d", minor);
	put(path, "");
}

Test(gpus, of_amds_driver)
{
	struct gpu_list l;

	put_kfd(0, 0, 0, NULL);
	put_kfd(1, 0, 0, NULL);
	put_kfd(2, 256, 129, "1\n");
	put_kfd(3, 256, 130, NULL); /* without a device */
	put_kfd(10, 256, 128, "0\n");
	gpus_find(root(), &l);
	cr_expect_str_eq(text_of(&l), "0@1 1@0", "%s", text_of(&l));
}

Test(gpus, a_machine_may_have_none)
{
	struct gpu_list l;

	gpus_find(root(), &l);
	cr_expect_eq(l.count, 0);
	put("proc/driver/nvidia/gpus/0000:01:00.0/information", "rubbish");
	put("sys/class/kfd/kfd/topology/nodes/0/properties", "simd_count\ndrm_render_minor x\n");
	gpus_find(root(), &l);
	cr_expect_eq(l.count, 0);
}

Test(gpus, what_the_option_means)
{
	static const struct {
		const char *text, *visible, *expected; /* expected: NULL is refused */
	} cases[] = {
	    {"", NULL, ""},
	    {"0", NULL, ""},
	    {"auto", NULL, "0@0 1@1"},
	    {"1", NULL, "0@0"},
	    {"3", NULL, "0@0 1@1 2@-1"}, /* who says so knows better */
	    {"0,1", NULL, "0@0 1@1"},
	    {"7,1", NULL, "7@-1 1@1"},
	    {"GPU-8932f937,1", NULL, "GPU-8932f937@-1 1@1"},
	    /* Somebody has dealt them. */
	    {"auto", "1", "1@1"},
	    {"auto", "1,0", "1@1 0@0"},
	    {"auto", "", ""},
	    {"auto", "-1", ""},
	    {"auto", "0,-1,1", "0@0"},
	    {"auto", "NoDevFiles", ""},
	    {"auto", "MIG-a/1/0", "MIG-a/1/0@-1"},
	    {"1", "1,0", "1@1"},
	    {"2", "1", NULL},
	    {"auto", "0,0", NULL},
	    {"auto", "0,,1", NULL},
	    {"65", NULL, NULL},
	    {"-1", NULL, NULL},
	    {"0.5", NULL, NULL},
	    {"all", NULL, NULL},
	    {",", NULL, NULL},
	    {"0,0", NULL, NULL},
	};

	put_nvidia("0000:01:00.0", 0, 0, true);
	put_nvidia("0000:02:00.0", 1, 1, true);
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct gpu_list l;
		struct error e = {0};
		int rc = gpus_choose(cases[i].text, cases[i].visible, root(), &l, &e);

		cr_expect_eq(rc == 0, cases[i].expected != NULL, "%zu: %s", i, e.what);
		if (rc == 0 && cases[i].expected != NULL)
			cr_expect_str_eq(text_of(&l), cases[i].expected, "%zu: %s", i, text_of(&l));
		if (rc < 0)
			cr_expect_neq(e.what[0], '\0');
	}
}

Test(gpus, of_a_node_come_first)
{
	static const struct {
		unsigned node;
		bool only;
		const char *expected;
	} cases[] = {
	    {0, false, "0@0 2@-1 3@0 1@1"},
	    {1, false, "1@1 0@0 2@-1 3@0"},
	    {1, true, "1@1"},
	    {0, true, "0@0 2@-1 3@0"},
	    {2, true, ""},
	};
	static const int nodes[] = {0, 1, GPU_NO_NODE, 0};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		static const uint8_t first_two[] = {1, 0};
		struct gpu_list l = {.count = ARRAY_LENGTH(nodes)};
		char names[200];

		for (unsigned k = 0; k < l.count; k++) {
			snprintf(l.items[k].name, sizeof(l.items[k].name), "%u", k);
			l.items[k].numa_node = nodes[k];
		}
		gpus_names(&l, first_two, 2, names, sizeof(names));
		cr_expect_str_eq(names, "1,0");
		gpus_prefer_node(&l, cases[i].node, cases[i].only);
		cr_expect_str_eq(text_of(&l), cases[i].expected, "%zu: %s", i, text_of(&l));
	}
}
