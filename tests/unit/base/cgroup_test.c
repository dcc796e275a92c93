/* Which group is ours, from the two files of /proc as systems of several kinds show them, and the
 * tightest limit on the way up, in trees made for it. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/cgroup.h"
#include "base/check.h"
#include "base/fs.h"
#include "tests/support/scratch.h"

TestSuite(cgroup, .init = scratch_make, .fini = scratch_remove, .timeout = 20);

#define V1_SELF "9:name=systemd:/\n5:memory:/jobs/7\n3:cpu,cpuacct:/\n0::/user.slice\n"
#define V1_MOUNTS                                                                                            \
	"31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"                                \
	"32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"              \
	"35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"                         \
	"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
#define V2_MOUNTS "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define DOCKER_MOUNTS "700 690 0:26 /docker/abc /sys/fs/cgroup ro master:4 - cgroup2 cgroup rw\n"

Test(cgroup, where_a_process_stands)
{
	static const struct {
		const char *self, *mounts, *controller;
		int version;
		const char *mount, *path;
	} cases[] = {
	    {V1_SELF, V1_MOUNTS, "memory", 1, "/sys/fs/cgroup/memory", "/jobs/7"},
	    {V1_SELF, V1_MOUNTS, "cpu", 1, "/sys/fs/cgroup/cpu", ""},
	    {V1_SELF, V1_MOUNTS, "io", 2, "/sys/fs/cgroup/unified", "/user.slice"},
	    {"0::/a/b c\n", V2_MOUNTS, "memory", 2, "/sys/fs/cgroup", "/a/b c"},
	    {"0::/a/b", V2_MOUNTS, "cpu", 2, "/sys/fs/cgroup", "/a/b"},
	    {"0::/\n", V2_MOUNTS, "memory", 2, "/sys/fs/cgroup", ""},
	    /* A container that sees its own part only. */
	    {"0::/docker/abc\n", DOCKER_MOUNTS, "memory", 2, "/sys/fs/cgroup", ""},
	    {"0::/docker/abc/x\n", DOCKER_MOUNTS, "memory", 2, "/sys/fs/cgroup", "/x"},
	    /* Names that only begin alike, and a group outside of our namespace. */
	    {"0::/docker/abcd\n", DOCKER_MOUNTS, "memory", 2, "/sys/fs/cgroup", ""},
	    {"0::/../other\n", V2_MOUNTS, "memory", 2, "/sys/fs/cgroup", ""},
	    /* The mount that shows our group is taken, wherever it stands. */
	    {"0::/x/y\n", DOCKER_MOUNTS "30 23 0:26 / /mnt/all\\040groups rw - cgroup2 none rw\n", "memory",
	     2, "/mnt/all groups", "/x/y"},
	    /* A path with a colon. */
	    {"0::/a:b\n", V2_MOUNTS, "memory", 2, "/sys/fs/cgroup", "/a:b"},
	    /* Nothing to be known. */
	    {"", V2_MOUNTS, "memory", 0, "", ""},
	    {"0::/a\n", "", "memory", 0, "", ""},
	    {"5:memory:/a\n", V2_MOUNTS, "memory", 0, "", ""},
	    {"rubbish\n0\n0:\n", "1 2 3\nx\n\n1 2 3 4 5 6 7\n", "memory", 0, "", ""},
	    {"0::/a\n", "30 23 0:26 / /sys/fs/cgroup rw -\n30 23 0:26 / /x rw - cgroup2\n", "memory", 0, "",
	     ""},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct cgroup c;

		cgroup_parse(bytes_of(cases[i].self), bytes_of(cases[i].mounts), cases[i].controller, &c);
		cr_expect_eq(c.version, cases[i].version, "%zu: %d", i, c.version);
		cr_expect_str_eq(c.mount, cases[i].mount, "%zu", i);
		cr_expect_str_eq(c.path, cases[i].path, "%zu", i);
	}
}

static void put(const char *name, const char *text)
{
	char folder[400];

	snprintf(folder, sizeof folder, "%s", scratch_path(name));
	*strrchr(folder, '/') = '\0';
	cr_assert_eq(fs_make_dirs(folder, 0700, NULL), 0);
	cr_assert_eq(fs_write_file(scratch_path(name), bytes_of(text), 0600, NULL), 0);
}

static struct cgroup group(int version, const char *mount, const char *path)
{
	struct cgroup c = {.version = version};

	snprintf(c.mount, sizeof c.mount, "%s", scratch_path(mount));
	snprintf(c.path, sizeof c.path, "%s", path);
	return c;
}

Test(cgroup, the_tightest_limit_on_the_way_up_counts)
{
	static const struct {
		int version;
		const char *mount, *path;
		uint64_t memory_bytes, quota_milli;
	} cases[] = {
	    {2, "two", "/a/b", 4096, 1500}, {2, "two", "", 0, 4000}, {2, "two", "/a/b/none", 4096, 1500},
	    {2, "two", "/a", 4096, 1500},   {2, "none", "/a", 0, 0}, {1, "one", "/j/7", 1 << 20, 2500},
	    {1, "one", "/j", 1 << 20, 0},   {1, "one", "", 0, 0},    {0, "two", "/a/b", 0, 0},
	};

	put("two/a/b/cpu.max", "max 100000\n");
	put("two/a/cpu.max", "150000 100000\n");
	put("two/cpu.max", "400000 100000\n");
	put("two/a/b/memory.max", "8192\n");
	put("two/a/memory.max", "4096\n");
	put("two/memory.max", "max\n");
	put("one/memory.limit_in_bytes", "9223372036854771712\n"); /* v1's "none" */
	put("one/j/memory.limit_in_bytes", "1048576\n");
	put("one/j/7/memory.limit_in_bytes", "9223372036854771712\n");
	put("one/j/cpu.cfs_quota_us", "-1\n");
	put("one/j/cpu.cfs_period_us", "100000\n");
	put("one/j/7/cpu.cfs_quota_us", "250000\n");
	put("one/j/7/cpu.cfs_period_us", "100000\n");
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct cgroup c = group(cases[i].version, cases[i].mount, cases[i].path);

		cr_expect_eq(cgroup_memory_bytes(&c), cases[i].memory_bytes, "%zu: %llu", i,
			     (unsigned long long)cgroup_memory_bytes(&c));
		cr_expect_eq(cgroup_quota_milli(&c), cases[i].quota_milli, "%zu: %llu", i,
			     (unsigned long long)cgroup_quota_milli(&c));
	}
}

Test(cgroup, this_machine_is_read_without_complaint)
{
	struct cgroup c;

	cgroup_own("memory", &c);
	cr_expect(c.version >= 0 && c.version <= 2);
	if (c.version != 0)
		cr_expect_eq(c.mount[0], '/');
}
