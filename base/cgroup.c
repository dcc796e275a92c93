#include "base/cgroup.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/fs.h"

#define PROC_BYTES_MAX ((size_t)4 << 20)
/* v1 says "none" as the largest multiple of the page size. */
#define NO_LIMIT (1ull << 62)

/* The next part of *rest up to `end`, which is skipped; false when nothing is left. */
static bool next_part(struct bytes *rest, char end, struct bytes *ret)
{
	const uint8_t *at;

	if (rest->size == 0)
		return false;
	at = memchr(rest->data, end, rest->size);
	*ret = BYTES(rest->data, at == NULL ? rest->size : (size_t)(at - rest->data));
	*rest = at == NULL ? BYTES(NULL, 0) : BYTES(at + 1, rest->size - ret->size - 1);
	return true;
}

static bool list_has(struct bytes list, const char *name)
{
	for (struct bytes one; next_part(&list, ',', &one);)
		if (bytes_equal(one, bytes_of(name)))
			return true;
	return false;
}

static void keep(struct bytes text, char *ret, size_t size)
{
	snprintf(ret, size, "%.*s", (int)text.size, (const char *)text.data);
}

/* Lines NUMBER:CONTROLLERS:PATH; that of v2 is 0::PATH. */
static int find_path(struct bytes self, const char *controller, struct bytes *ret)
{
	int version = 0;

	for (struct bytes line, number, list; next_part(&self, '\n', &line);) {
		if (!next_part(&line, ':', &number) || !next_part(&line, ':', &list))
			continue;
		if (list_has(list, controller)) {
			*ret = line;
			return 1;
		}
		if (list.size == 0 && bytes_equal(number, BYTES_LIT("0"))) {
			*ret = line;
			version = 2;
		}
	}
	return version;
}

/* A field of mountinfo: space, tab, newline and backslash stand as three octal digits. */
static void unescape(struct bytes text, char *ret, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < text.size && n + 1 < size; i++) {
		unsigned code;

		if (text.data[i] == '\\' && i + 3 < text.size &&
		    sscanf((const char *)text.data + i + 1, "%3o", &code) == 1) {
			ret[n++] = (char)code;
			i += 3;
		} else {
			ret[n++] = (char)text.data[i];
		}
	}
	ret[n] = '\0';
}

struct mount {
	struct bytes root, point, type, options;
};

/* ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [OPTIONAL…] - TYPE SOURCE OPTIONS */
static bool parse_mount(struct bytes line, struct mount *ret)
{
	struct bytes field;

	for (int i = 0; i < 3; i++)
		if (!next_part(&line, ' ', &field))
			return false;
	if (!next_part(&line, ' ', &ret->root) || !next_part(&line, ' ', &ret->point))
		return false;
	do {
		if (!next_part(&line, ' ', &field))
			return false;
	} while (!bytes_equal(field, BYTES_LIT("-")));
	return next_part(&line, ' ', &ret->type) && next_part(&line, ' ', &field) &&
	       next_part(&line, ' ', &ret->options);
}

/* What is left of path below root; false when it does not lie there. */
static bool below(const char *path, const char *root, const char **ret)
{
	size_t size = strcmp(root, "/") == 0 ? 0 : strlen(root);

	*ret = path + size;
	return strncmp(path, root, size) == 0 && (path[size] == '/' || path[size] == '\0') &&
	       strncmp(path + size, "/..", 3) != 0;
}

void cgroup_parse(struct bytes self, struct bytes mountinfo, const char *controller, struct cgroup *ret)
{
	struct bytes own = BYTES(NULL, 0);
	int version = find_path(self, controller, &own);
	char path[sizeof ret->path], root[sizeof ret->path];
	const char *rest;

	memset(ret, 0, sizeof *ret);
	keep(own, path, sizeof path);
	for (struct bytes line; version != 0 && next_part(&mountinfo, '\n', &line);) {
		struct mount m;
		bool shown;

		if (!parse_mount(line, &m))
			continue;
		if (version == 2
			? !bytes_equal(m.type, BYTES_LIT("cgroup2"))
			: !bytes_equal(m.type, BYTES_LIT("cgroup")) || !list_has(m.options, controller))
			continue;
		unescape(m.root, root, sizeof root);
		shown = below(path, root, &rest);
		if (ret->version != 0 && !shown)
			continue;
		ret->version = version;
		unescape(m.point, ret->mount, sizeof ret->mount);
		snprintf(ret->path, sizeof ret->path, "%s", shown && strcmp(rest, "/") != 0 ? rest : "");
		if (shown)
			return;
	}
}

void cgroup_own(const char *controller, struct cgroup *ret)
{
	struct buf self = {0}, mounts = {0};

	memset(ret, 0, sizeof *ret);
	if (fs_read_file("/proc/self/cgroup", PROC_BYTES_MAX, &self, NULL) == 0 &&
	    fs_read_file("/proc/self/mountinfo", PROC_BYTES_MAX, &mounts, NULL) == 0)
		cgroup_parse(buf_bytes(&self), buf_bytes(&mounts), controller, ret);
	buf_fini(&self);
	buf_fini(&mounts);
}

/* Up to two numbers of a file; "max", a negative one and what is not there are 0. */
static void read_numbers(const char *folder, const char *file, int64_t *first, int64_t *second)
{
	struct buf path = {0}, text = {0};

	*first = *second = 0;
	buf_printf(&path, "%s/%s", folder, file);
	if (fs_read_file(buf_text(&path), 4096, &text, NULL) == 0)
		(void)sscanf(buf_text(&text), "%" SCNd64 " %" SCNd64, first, second);
	buf_fini(&path);
	buf_fini(&text);
}

static uint64_t memory_of(const char *folder, int version)
{
	int64_t bytes, none;

	read_numbers(folder, version == 2 ? "memory.max" : "memory.limit_in_bytes", &bytes, &none);
	return bytes <= 0 || (uint64_t)bytes >= NO_LIMIT ? 0 : (uint64_t)bytes;
}

static uint64_t quota_of(const char *folder, int version)
{
	int64_t quota, period, none;

	if (version == 2) {
		read_numbers(folder, "cpu.max", &quota, &period);
	} else {
		read_numbers(folder, "cpu.cfs_quota_us", &quota, &none);
		read_numbers(folder, "cpu.cfs_period_us", &period, &none);
	}
	return quota <= 0 || period <= 0 ? 0 : (uint64_t)quota * 1000 / (uint64_t)period;
}

static uint64_t least(const struct cgroup *c, uint64_t (*limit_of)(const char *folder, int version))
{
	char path[sizeof c->path], folder[sizeof c->mount + sizeof c->path];
	uint64_t best = 0;

	if (c->version == 0)
		return 0;
	memcpy(path, c->path, sizeof path);
	for (char *end = path + strlen(path); end != NULL; end = strrchr(path, '/')) {
		uint64_t limit;

		*end = '\0';
		snprintf(folder, sizeof folder, "%s%s", c->mount, path);
		limit = limit_of(folder, c->version);
		if (limit > 0 && (best == 0 || limit < best))
			best = limit;
	}
	return best;
}

uint64_t cgroup_memory_bytes(const struct cgroup *c)
{
	return least(c, memory_of);
}

uint64_t cgroup_quota_milli(const struct cgroup *c)
{
	return least(c, quota_of);
}
