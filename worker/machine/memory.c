#include "worker/machine/memory.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/constants.h"
#include "base/log.h"
#include "base/text.h"
#include "base/units.h"
#include "worker/machine/memory_impl.h"

static const char *const means_names[] = {"nothing", "cgroup v2", "cgroup v1", "rlimit"};

int memory_bounds_open(struct memory_bounds *b, uint8_t how, const char *group, const struct uuid *worker,
		       struct error *reterr)
{
	struct error e;
	int rc;

	*b = (struct memory_bounds){.root.fd = -1,
				    .means = how == MEMORY_HOW_OFF ? MEMORY_OFF : MEMORY_RLIMIT};
	if (how == MEMORY_HOW_OFF || how == MEMORY_HOW_RLIMIT)
		return 0;
	rc = memory_cgroup_open(b, group, worker, &e);
	if (rc < 0 && how == MEMORY_HOW_CGROUP) {
		if (reterr != NULL)
			*reterr = e;
		return rc;
	}
	if (rc < 0) {
		char line[ERROR_LINE_MAX];

		b->means = MEMORY_RLIMIT;
		log_info("no control group for attempts: their memory is bound by rlimits",
			 log_error_field(&e, line, sizeof line));
		return 0;
	}
	memory_cgroup_sweep(b);
	return 0;
}

void memory_bounds_close(struct memory_bounds *b)
{
	if (b->means == MEMORY_CGROUP1 || b->means == MEMORY_CGROUP2)
		memory_cgroup_close(b);
	b->means = MEMORY_OFF;
}

const char *memory_bounds_text(const struct memory_bounds *b, char *buf, size_t size)
{
	bool group = b->means == MEMORY_CGROUP1 || b->means == MEMORY_CGROUP2;

	snprintf(buf, size, "%s%s%s", means_names[b->means], group ? " below " : "", group ? b->parent : "");
	return buf;
}

static bool is_cgroup(const struct memory_group *g)
{
	return g->means == MEMORY_CGROUP1 || g->means == MEMORY_CGROUP2;
}

void memory_group_open(struct memory_group *g, const struct memory_bounds *bounds, const char *name,
		       uint64_t bytes)
{
	char line[ERROR_LINE_MAX];
	struct error e;

	g->means = bounds == NULL || bytes == 0 ? MEMORY_OFF : bounds->means;
	g->bytes = bytes;
	g->procs_fd = g->dir_fd = -1;
	if (!is_cgroup(g) || memory_cgroup_make(g, bounds, name, &e) == 0)
		return;
	g->means = MEMORY_RLIMIT;
	log_warn("a slot's memory is bound by rlimits: its control group cannot be made",
		 log_error_field(&e, line, sizeof line));
}

void memory_group_close(struct memory_group *g)
{
	if (is_cgroup(g))
		memory_cgroup_remove(g);
	g->means = MEMORY_OFF;
}

void memory_group_begin(struct memory_group *g)
{
	g->peak_bytes = 0;
	if (is_cgroup(g))
		memory_cgroup_begin(g);
}

bool memory_group_kill(const struct memory_group *g)
{
	if (is_cgroup(g))
		memory_cgroup_kill(g);
	return is_cgroup(g);
}

uint64_t memory_data_bytes(const struct memory_group *g)
{
	return g->means == MEMORY_RLIMIT ? g->bytes : 0;
}

bool memory_wants_looks(const struct memory_group *g)
{
	return g->means == MEMORY_RLIMIT;
}

/* Within a sixteenth: allocators ask for blocks. */
static bool came_near(const struct memory_group *g)
{
	return g->peak_bytes >= g->bytes - g->bytes / 16;
}

enum memory_verdict memory_group_end(struct memory_group *g, bool failed, const char *words, char *ret,
				     size_t size)
{
	enum memory_verdict verdict = MEMORY_ENOUGH;
	char bound[UNITS_TEXT_MAX], last[300];

	text_last_lines(last, sizeof last, bytes_of(words), WORDS_LINES);
	units_show_size(g->bytes, bound, sizeof bound);
	ret[0] = '\0';
	if (is_cgroup(g)) {
		memory_cgroup_empty(g);
		verdict = memory_cgroup_verdict(g);
	} else if (g->means == MEMORY_RLIMIT && failed && (came_near(g) || memory_words_say_so(words))) {
		verdict = MEMORY_SHORT;
	}
	if (verdict == MEMORY_SHORT && is_cgroup(g))
		snprintf(ret, size, "it needed more than %s (cgroup memory limit)", bound);
	else if (verdict == MEMORY_SHORT)
		snprintf(ret, size, "a process of it ran out of %s (rlimit)%s%s", bound,
			 text_joint(bytes_of(last), ": "), last);
	else if (verdict == MEMORY_BEYOND)
		snprintf(ret, size,
			 "the kernel ended a process of it for lack of memory on the machine or in a group "
			 "above: its own bound of %s was not reached",
			 bound);
	return verdict;
}
