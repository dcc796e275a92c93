/* Options of an `up` that found its daemons running: they go on with those that they were started with. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "cli/up/up.h"

#define PROC_BYTES_MAX ((size_t)1 << 20)

/* A list of texts with a NUL behind each, as in /proc/PID/cmdline and environ. */
static bool has_text(struct bytes list, const char *text)
{
	size_t size = strlen(text) + 1;

	for (const uint8_t *at = list.data; at < list.data + list.size;
	     at += strnlen((const char *)at, (size_t)(list.data + list.size - at)) + 1)
		if ((size_t)(list.data + list.size - at) >= size && memcmp(at, text, size) == 0)
			return true;
	return false;
}

static void add_option(struct buf *out, const char *option)
{
	buf_printf(out, "%s%s", out->size > 0 ? ", " : "", option);
}

/* What workers are told stands in the scaler's environment (up_export_worker_params). */
static void add_worker_options(const struct params *params, struct bytes environment, struct buf *out)
{
	for (unsigned id = 0; id < PARAM_COUNT; id++) {
		const struct param_info *info = param_info(id);
		unsigned both = PARAM_SCOPE_WORKER | PARAM_SCOPE_UP;
		struct buf line = {0}, option = {0};

		if ((info->scopes & both) != both || (info->scopes & PARAM_SCOPE_SCALER) ||
		    !params_is_set(params, id))
			continue;
		buf_printf(&line, "SHARDMILL_%s=", info->name);
		for (size_t i = 0; i < line.size; i++)
			line.data[i] = (uint8_t)toupper(line.data[i]);
		buf_printf(&option, "--%s=", info->name);
		for (size_t i = 2; i < option.size; i++)
			option.data[i] = option.data[i] == '_' ? '-' : option.data[i];
		params_format(params, id, &line);
		params_format(params, id, &option);
		if (!has_text(environment, buf_text(&line)))
			add_option(out, buf_text(&option));
		buf_fini(&line);
		buf_fini(&option);
	}
}

void up_say_idle_options(struct up *up, const struct daemon *d)
{
	struct buf command = {0}, environment = {0}, idle = {0};
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/cmdline", (int)d->child.pid);
	if (fs_read_file(path, PROC_BYTES_MAX, &command, NULL) == 0)
		for (size_t i = 1; d->argv[i] != NULL; i++)
			if (!has_text(buf_bytes(&command), d->argv[i]))
				add_option(&idle, d->argv[i]);
	snprintf(path, sizeof path, "/proc/%d/environ", (int)d->child.pid);
	if (d == &up->scaler && fs_read_file(path, PROC_BYTES_MAX, &environment, NULL) == 0)
		add_worker_options(up->plan.params, buf_bytes(&environment), &idle);
	if (idle.size > 0)
		up_say(up, "  without effect until it is started again: %s", buf_text(&idle));
	buf_fini(&command);
	buf_fini(&environment);
	buf_fini(&idle);
}
