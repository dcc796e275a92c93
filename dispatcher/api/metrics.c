#include "dispatcher/api/metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/text.h"
#include "dispatcher/api/request.h"
#include "dispatcher/rules.h"
#include "dispatcher/store/history.h"
#include "dispatcher/store/journal.h"

/* Our own process, as the clients of Prometheus tell it. */
static void look_at_process(struct metrics *m)
{
	FILE *f = fopen("/proc/self/statm", "r");
	DIR *dir = opendir("/proc/self/fd");
	uint64_t pages = 0;
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage) == 0)
		m->process.cpu_seconds = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
					 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
	if (f != NULL) {
		if (fscanf(f, "%*u %" SCNu64, &pages) == 1)
			m->process.resident_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
		fclose(f);
	}
	if (dir != NULL) {
		for (const struct dirent *e; (e = readdir(dir)) != NULL;)
			m->process.open_fds += e->d_name[0] != '.';
		closedir(dir);
	}
}

void metrics_collect(struct services *s, struct metrics *ret)
{
	*ret = (struct metrics){.services = s};
	dispatcher_view_counters(services_core(s), &ret->core);
	journal_stats(s->journal, &ret->journal);
	peers_counters(s->peers, &ret->peers);
	producers_counters(s->producers, &ret->producers);
	gate_counters(&ret->gate);
	dedup_figures(s, &ret->dedup);
	thinning_figures(s, &ret->thinning);
	ret->now = port_view(s->port);
	if (ret->now.durable_lsn > ret->now.history_lsn)
		ret->history_waiting = ret->now.durable_lsn - ret->now.history_lsn;
	look_at_process(ret);
}

static void add_label(struct buf *out, const char *value)
{
	struct buf clean = {0};
	struct bytes text = bytes_of(value);

	if (!text_is_utf8(text)) {
		text_escape(&clean, text);
		text = buf_bytes(&clean);
	}
	for (size_t i = 0; i < text.size; i++) {
		char c = (char)text.data[i];

		if (c == '\\' || c == '"')
			buf_append(out, "\\", 1);
		if (c == '\n')
			buf_append(out, "\\n", 2);
		else
			buf_append(out, &c, 1);
	}
	buf_fini(&clean);
}

void metrics_sample(struct buf *out, const char *name, double value, ...)
{
	const char *label, *between = "{";
	va_list ap;

	buf_printf(out, "%s", name);
	va_start(ap, value);
	while ((label = va_arg(ap, const char *)) != NULL) {
		buf_printf(out, "%s%s=\"", between, label);
		add_label(out, va_arg(ap, const char *));
		buf_append(out, "\"", 1);
		between = ",";
	}
	va_end(ap);
	buf_printf(out, "%s %.17g\n", *between == ',' ? "}" : "", value);
}

static void head(struct buf *out, const char *type, const char *name, const char *doc)
{
	if (doc[0] != '\0')
		buf_printf(out, "# HELP %s %s\n", name, doc);
	buf_printf(out, "# TYPE %s %s\n", name, type);
}

void metrics_write(const struct metrics *m, struct buf *out)
{
#define METRIC(type, name, doc, value)                                                                       \
	head(out, #type, #name, doc);                                                                        \
	metrics_sample(out, #name, (double)(value), NULL);
#define FAMILY(type, name, labels, doc, function)                                                            \
	head(out, #type, #name, doc);                                                                        \
	metrics_##function(m, #name, out);
#include "dispatcher/api/metrics.def"
#undef METRIC
#undef FAMILY
}

void api_metrics(struct request *r)
{
	struct MHD_Response *response;
	struct buf out = {0};
	struct metrics m;

	metrics_collect(r->services, &m);
	metrics_write(&m, &out);
	response = MHD_create_response_from_buffer(out.size, out.data, MHD_RESPMEM_MUST_FREE);
	CHECK(response != NULL);
	(void)MHD_add_response_header(response, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
	request_answer_response(r, MHD_HTTP_OK, response);
}
